import { once } from 'node:events';
import { Agent, type ClientRequest, type IncomingMessage, request } from 'node:http';
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Kind, kinds, type Task } from './load-kinds.ts';

// The process that drives the server: gets a task from its parent, and reports how it went.

export interface Report {
  /** How long it really took. */
  readonly seconds: number;
  readonly routes: readonly RouteReport[];
  /** What went wrong, in words, and how often. */
  readonly failures: Readonly<Record<string, number>>;
}

interface RouteReport {
  readonly label: string;
  readonly writes: boolean;
  readonly requests: number;
  /** Answered that it can not be: the card was declined, the stock too small. */
  readonly refused: number;
  readonly errors: number;
  /** Milliseconds from request to last byte. */
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

/** One of 100 tickets for each percent of a share. */
const tickets = kinds.flatMap((kind) => Array.from({ length: kind.share }, () => kind));

// Longest a request may take, and pause after a failed one, so that a dead server is not hammered. Milliseconds.
const requestTimeout = 12_000;
const pauseAfterFailure = 50;
// Clients come one after the other within this time, since nobody's come all in the same moment.
const rampUp = 500;

class Tally {
  readonly times: RecordableHistogram = createHistogram();
  refused = 0;
  errors = 0;

  report({ label, method }: Kind): RouteReport {
    const { times, refused, errors } = this;
    const percentile = (share: number) => (times.count === 0 ? 0 : times.percentile(share) / 1000);
    const percentiles = { p50: percentile(50), p95: percentile(95), p99: percentile(99) };
    return { label, writes: method === 'POST', requests: times.count, refused, errors, ...percentiles };
  }
}

async function drive(task: Task): Promise<Report> {
  const agent = new Agent({ keepAlive: true, maxSockets: task.clients });
  const tallies = new Map(kinds.map((kind) => [kind, new Tally()]));
  const failures: Record<string, number> = {};
  const startedAt = performance.now();
  const endsAt = startedAt + task.seconds * 1000;

  const client = async (index: number) => {
    await sleep((index / task.clients) * rampUp);
    while (performance.now() < endsAt) {
      const kind = tickets[Math.floor(Math.random() * tickets.length)] as Kind;
      const tally = tallies.get(kind) as Tally;
      const sentAt = performance.now();
      const outcome = await send(kind, task, agent);
      tally.times.record(Math.max(1, Math.round((performance.now() - sentAt) * 1000)));
      if (outcome === 'refused') tally.refused++;
      if (outcome === 'done' || outcome === 'refused') continue;
      tally.errors++;
      failures[outcome.failure] = (failures[outcome.failure] ?? 0) + 1;
      await sleep(pauseAfterFailure);
    }
  };
  await Promise.all(Array.from({ length: task.clients }, (_, index) => client(index)));

  agent.destroy();
  const routes = Array.from(tallies, ([kind, tally]) => tally.report(kind));
  return { seconds: (performance.now() - startedAt) / 1000, routes, failures };
}

type Outcome = 'done' | 'refused' | { readonly failure: string };

/** Sends one request and reads its answer, or hangs up before it is there. */
async function send(kind: Kind, task: Task, agent: Agent): Promise<Outcome> {
  const { label, method, patience, status, refusals } = kind;
  const sent = request(task.url + kind.path(task), { method, agent, timeout: requestTimeout });
  sent.once('timeout', () => sent.destroy(new Error('timeout')));
  let hungUp = false;
  const hangUp = () => {
    hungUp = true;
    sent.destroy();
  };
  const timer = patience && setTimeout(hangUp, patience());
  try {
    sent.end(kind.body && JSON.stringify(kind.body(task)));
    const response = await answerTo(sent);
    const answer = await text(response);
    const { statusCode = 0 } = response;
    if (refusals?.includes(statusCode)) return 'refused';
    if (statusCode !== status) return { failure: `${label} answered ${statusCode}` };
    const wrong = kind.check?.(JSON.parse(answer));
    return wrong === undefined ? 'done' : { failure: `${label}: ${wrong}` };
  } catch (error) {
    return hungUp ? 'done' : { failure: `${label}: ${(error as Error).message}` };
  } finally {
    clearTimeout(timer);
  }
}

async function answerTo(sent: ClientRequest): Promise<IncomingMessage> {
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  return response;
}

// A terminal sends Ctrl-C to parent and child alike. What becomes of it is for the parent to say.
process.on('SIGINT', () => {});
// The parent is gone, however it went.
process.on('disconnect', () => process.exit());
process.once('message', (task: Task) => {
  void drive(task).then((report) => process.send?.(report, () => process.disconnect()));
});
