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

const program = fileURLToPath(new URL(`./kysely${extname(import.meta.filename)}`, import.meta.url));

interface Example {
  readonly url: string;
  readonly file: string;
  /** Asks the payment service that the example was given, which stops at its first call until the gate opens. */
  readonly payment: ReturnType<typeof stoppingAt>;
  stop(): Promise<{ readonly code: number | null; readonly complaints: string }>;
}

/** Starts the example as a process of its own, with a payment service that is within the test. */
async function start(t: ExecutionContext, file = temporaryFile(t)): Promise<Example> {
  const payment = stoppingAt(1);
  const payments = await listen(paymentRoutes(new Ledger(), payment.think), { host: '127.0.0.1', port: 0 });
  t.teardown(() => payments[Symbol.asyncDispose]() as Promise<void>);
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
  const stop = async () => {
    child.kill('SIGTERM');
    const [code] = await ended;
    return { code, complaints };
  };
  return { url, file, payment, stop };
}

async function json(response: Response | Promise<Response>): Promise<unknown> {
  return (await response).json();
}

/** Looks at the pool until so many wait for the write lane. */
async function laneWaiting({ url }: Example, count: number): Promise<void> {
  for (;;) {
    const stats = (await json(fetch(`${url}/pool`))) as { readonly laneWaiting: number };
    if (stats.laneWaiting === count) return;
  }
}

const quiet = { code: 0, complaints: '' };

test('while one request has its transaction open, others read what is committed and wait for their turn to write', async (t) => {
  const example = await start(t);
  const { url, payment } = example;
  t.deepEqual(await json(post(`${url}/shows`, { title: 'Hamlet', seats: 1 })), { id: 1, title: 'Hamlet', seats: 1 });
  //  first                                  others
  //  takes the last seat, and pays
  const first = post(`${url}/shows/1/bookings`, { guest: 'Ada' });
  await payment.asked;
  //                                         see it free yet
  t.deepEqual(await json(fetch(`${url}/shows/1`)), { left: 1 });
  t.is(await (await fetch(`${url}/bookings`)).text(), '');
  //                                         want it as well, or write something else
  const second = watch(post(`${url}/shows/1/bookings`, { guest: 'Grace' }));
  await laneWaiting(example, 1);
  const announced = watch(post(`${url}/shows`, { title: 'Macbeth', seats: 2 }));
  await laneWaiting(example, 2);
  t.false(second.settled || announced.settled);
  t.deepEqual(await json(fetch(`${url}/shows/1`)), { left: 1 });
  //  has paid
  payment.answer.open();
  const booked = await first;
  t.is(booked.status, 201);
  t.deepEqual(await json(booked), { booking: 1 });
  //                                         are told what is true by now
  t.is((await second.done).status, 409);
  t.is((await announced.done).status, 201);
  t.is(payment.calls(), 1);
  t.deepEqual(await json(fetch(`${url}/shows/1`)), { left: 0 });
  t.is(await (await fetch(`${url}/bookings`)).text(), 'Ada\n');
  t.deepEqual(await example.stop(), quiet);
  // The pool was closed: no log is left beside the file.
  t.deepEqual(readdirSync(dirname(example.file)), ['app.db', 'app.db-migration-lock']);
});

test('a seat that is not paid is free again, also where the client goes away meanwhile', async (t) => {
  const example = await start(t);
  const { url, payment } = example;
  await post(`${url}/shows`, { title: 'Hamlet', seats: 1 });
  const client = new AbortController();
  const body = JSON.stringify({ guest: 'Ada' });
  const gone = fetch(`${url}/shows/1/bookings`, { method: 'POST', body, signal: client.signal });
  await payment.asked;
  const declined = post(`${url}/shows/1/bookings`, { guest: 'Grace', card: cards.declined });
  await laneWaiting(example, 1);
  client.abort();
  await t.throwsAsync(gone, { name: 'AbortError' });
  t.is((await declined).status, 402);
  t.deepEqual(await json(fetch(`${url}/shows/1`)), { left: 1 });
  t.is((await post(`${url}/shows/1/bookings`, { guest: 'Mary' })).status, 201);
  t.is((await fetch(`${url}/shows/2`)).status, 404);
  t.is(await (await fetch(`${url}/bookings`)).text(), 'Mary\n');
  payment.answer.open();
  t.deepEqual(await example.stop(), quiet);
});

test('two that are started at once on a new file migrate it once', async (t) => {
  const file = temporaryFile(t);
  const [one, two] = await Promise.all([start(t, file), start(t, file)]);
  t.deepEqual(await json(post(`${one.url}/shows`, { title: 'Hamlet', seats: 3 })), {
    id: 1,
    title: 'Hamlet',
    seats: 3,
  });
  t.deepEqual(await json(fetch(`${two.url}/shows/1`)), { left: 3 });
  t.deepEqual(await Promise.all([one.stop(), two.stop()]), [quiet, quiet]);
});
