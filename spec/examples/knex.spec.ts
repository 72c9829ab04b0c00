import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { dirname, extname } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { temporaryFile } from '../support/files.ts';
import { watch } from '../support/processes.ts';
import { listen } from './server/listen.ts';
import { cards, Ledger, paymentRoutes } from './server/payment-service.ts';
import { post } from './support/demo.ts';
import { stoppingAt } from './support/shop.ts';

const program = fileURLToPath(new URL(`./knex${extname(import.meta.filename)}`, import.meta.url));

interface Example {
  readonly url: string;
  readonly file: string;
  readonly ledger: Ledger;
  /** The payment service is asked for the first time, which it answers when the gate is opened. */
  readonly payment: ReturnType<typeof stoppingAt>;
  /** Ends it by SIGTERM, and tells how it has ended, and what it has complained of. */
  stop(): Promise<{ readonly code: number | null; readonly complaints: string }>;
}

/** Starts the example as a process of its own. Its payment service is within the test. */
async function start(t: ExecutionContext): Promise<Example> {
  const payment = stoppingAt(1);
  const ledger = new Ledger();
  const payments = await listen(paymentRoutes(ledger, payment.think), { host: '127.0.0.1', port: 0 });
  t.teardown(() => payments[Symbol.asyncDispose]() as Promise<void>);
  const file = temporaryFile(t);
  const child = spawn(process.execPath, [program, '--file', file, '--port', '0', '--payments', payments.url], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 40_000,
    killSignal: 'SIGKILL',
  });
  const ended = once(child, 'close') as Promise<[number | null]>;
  t.teardown(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  let complaints = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    complaints += chunk;
  });
  const [line] = await Promise.race([
    once(createInterface(child.stdout), 'line') as Promise<[string]>,
    ended.then(() => [complaints] as const),
  ]);
  const [, url] = /^Listening on (\S+)$/.exec(line) ?? [];
  if (url === undefined) throw new Error(`It did not say where it listens, but: ${line}`);
  return {
    url,
    file,
    ledger,
    payment,
    async stop() {
      child.kill('SIGTERM');
      const [code] = await ended;
      return { code, complaints };
    },
  };
}

async function json<Result>(response: Response | Promise<Response>): Promise<Result> {
  return (await (await response).json()) as Result;
}

const ordersOf = ({ url }: Example) => json<unknown[]>(fetch(`${url}/orders`));

/** Looks at the pool until what it sees will do. */
async function poolUntil({ url }: Example, enough: (stats: { laneHeld: number; laneWaiting: number }) => boolean) {
  while (!enough(await json(fetch(`${url}/pool`)))) {
    // Each look is a round trip.
  }
}

test('while one request has its transaction open, others read what is committed and wait for their turn to write', async (t) => {
  const example = await start(t);
  const { url, payment } = example;
  const order = post(`${url}/orders`, { item: 'lamp' });
  await payment.asked;
  // The order is in the file by now, in a transaction that awaits its payment.
  t.deepEqual(await ordersOf(example), []);
  const review = watch(json(post(`${url}/reviews`, { words: 'Bright.' })));
  await poolUntil(example, ({ laneHeld, laneWaiting }) => laneHeld === 1 && laneWaiting === 1);
  t.deepEqual(await ordersOf(example), []);
  t.false(review.settled);
  payment.answer.open();
  const answer = await order;
  t.is(answer.status, 201);
  const lamp = { id: 1, item: 'lamp', status: 'paid' };
  t.deepEqual(await json(answer), lamp);
  // It was written after the order, and so has seen it.
  t.deepEqual(await review.done, { id: 1, words: 'Bright.', orders: 1 });
  t.deepEqual(await ordersOf(example), [lamp]);
  t.deepEqual(await example.stop(), { code: 0, complaints: '' });
  // The pool was closed: no log is left beside the file.
  t.deepEqual(readdirSync(dirname(example.file)), ['app.db']);
});

test('an order that is not paid leaves nothing behind', async (t) => {
  const example = await start(t);
  const { url, payment } = example;
  payment.answer.open();
  t.is((await post(`${url}/orders`, { item: 'lamp', card: cards.declined })).status, 402);
  t.deepEqual(await ordersOf(example), []);
  t.is((await post(`${url}/orders`, { item: 'lamp', card: cards.good })).status, 201);
  t.is((await ordersOf(example)).length, 1);
  t.deepEqual(await example.stop(), { code: 0, complaints: '' });
});

test('a client that goes away undoes what was ordered, and the next writer gets his turn', async (t) => {
  const example = await start(t);
  const { url, payment } = example;
  const client = new AbortController();
  const order = fetch(`${url}/orders`, {
    method: 'POST',
    body: JSON.stringify({ item: 'lamp' }),
    signal: client.signal,
  });
  await payment.asked;
  const review = json(post(`${url}/reviews`, { words: 'Too slow.' }));
  await poolUntil(example, ({ laneWaiting }) => laneWaiting === 1);
  client.abort();
  await t.throwsAsync(order, { name: 'AbortError' });
  t.deepEqual(await review, { id: 1, words: 'Too slow.', orders: 0 });
  t.deepEqual(await ordersOf(example), []);
  payment.answer.open();
  t.deepEqual(await example.stop(), { code: 0, complaints: '' });
});
