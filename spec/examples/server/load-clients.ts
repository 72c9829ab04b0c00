import { once } from 'node:events';
import { Agent, type ClientRequest, type IncomingMessage, request } from 'node:http';
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

// The process that drives the server: gets a task from its parent, and reports how it went.

export interface Task {
  readonly url: string;
  readonly seconds: number;
  readonly clients: number;
  /** Customers and orders that certainly exist. */
  readonly customers: number;
  readonly orders: number;
}

export interface Report {
  /** How long it really took. */
  readonly seconds: number;
  readonly routes: readonly RouteReport[];
  /** What went wrong, in words, and how often. */
  readonly failures: Readonly<Record<string, number>>;
}

interface RouteReport {
  readonly label: string;
  readonly requests: number;
  readonly errors: number;
  /** Milliseconds from request to last byte. */
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

interface Kind {
  readonly label: string;
  /** Of 100 requests. */
  readonly share: number;
  readonly method: 'GET' | 'POST';
  readonly status: number;
  path(task: Task): string;
  body?(task: Task): string;
}

const kinds: readonly Kind[] = [
  {
    label: 'GET /customers/:id',
    share: 40,
    method: 'GET',
    status: 200,
    path: ({ customers }) => `/customers/${idUpTo(customers)}`,
  },
  {
    label: 'GET /orders/:id',
    share: 25,
    method: 'GET',
    status: 200,
    path: ({ orders }) => `/orders/${idUpTo(orders)}`,
  },
  { label: 'GET /top', share: 10, method: 'GET', status: 200, path: () => '/top' },
  { label: 'GET /report', share: 5, method: 'GET', status: 200, path: () => '/report' },
  { label: 'GET /health', share: 10, method: 'GET', status: 200, path: () => '/health' },
  {
    label: 'POST /orders',
    share: 10,
    method: 'POST',
    status: 201,
    path: () => '/orders',
    body: ({ customers }) => JSON.stringify({ customerId: idUpTo(customers), totalCents: idUpTo(50_000) }),
  },
];

/** One of 100 tickets for each percent of a share. */
const tickets = kinds.flatMap((kind) => Array.from({ length: kind.share }, () => kind));

// Longest a request may take, and pause after a failed one, so that a dead server is not hammered. Milliseconds.
const requestTimeout = 5000;
const pauseAfterFailure = 50;

class Tally {
  readonly times: RecordableHistogram = createHistogram();
  errors = 0;

  report(label: string): RouteReport {
    const { times, errors } = this;
    const percentile = (share: number) => (times.count === 0 ? 0 : times.percentile(share) / 1000);
    return { label, requests: times.count, errors, p50: percentile(50), p95: percentile(95), p99: percentile(99) };
  }
}

async function drive(task: Task): Promise<Report> {
  const agent = new Agent({ keepAlive: true, maxSockets: task.clients });
  const tallies = new Map(kinds.map((kind) => [kind, new Tally()]));
  const failures: Record<string, number> = {};
  const startedAt = performance.now();
  const endsAt = startedAt + task.seconds * 1000;

  const client = async () => {
    while (performance.now() < endsAt) {
      const kind = tickets[Math.floor(Math.random() * tickets.length)] as Kind;
      const tally = tallies.get(kind) as Tally;
      const sentAt = performance.now();
      const failure = await send(kind, task, agent);
      tally.times.record(Math.max(1, Math.round((performance.now() - sentAt) * 1000)));
      if (failure === undefined) continue;
      tally.errors++;
      failures[failure] = (failures[failure] ?? 0) + 1;
      await sleep(pauseAfterFailure);
    }
  };
  await Promise.all(Array.from({ length: task.clients }, client));

  agent.destroy();
  const routes = Array.from(tallies, ([kind, tally]) => tally.report(kind.label));
  return { seconds: (performance.now() - startedAt) / 1000, routes, failures };
}

/** Sends one request and reads its answer. Returns what went wrong, `undefined` if nothing did. */
async function send(kind: Kind, task: Task, agent: Agent): Promise<string | undefined> {
  try {
    const sent = request(task.url + kind.path(task), { method: kind.method, agent, timeout: requestTimeout });
    sent.once('timeout', () => sent.destroy(new Error('timeout')));
    sent.end(kind.body?.(task));
    const response = await answerTo(sent);
    response.resume();
    await once(response, 'end');
    return response.statusCode === kind.status ? undefined : `${kind.label} answered ${response.statusCode}`;
  } catch (error) {
    return `${kind.label}: ${(error as Error).message}`;
  }
}

async function answerTo(sent: ClientRequest): Promise<IncomingMessage> {
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  return response;
}

function idUpTo(most: number): number {
  return 1 + Math.floor(Math.random() * most);
}

// A terminal sends Ctrl-C to parent and child alike. What becomes of it is for the parent to say.
process.on('SIGINT', () => {});
// The parent is gone, however it went.
process.on('disconnect', () => process.exit());
process.once('message', (task: Task) => {
  void drive(task).then((report) => process.send?.(report, () => process.disconnect()));
});
