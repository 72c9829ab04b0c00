import { once } from 'node:events';
import { copyFileSync } from 'node:fs';
import { get, type IncomingMessage, request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import { createPool } from '../../lib/index.ts';
import { temporaryDirectory, temporaryFile } from '../support/files.ts';
import { fill } from './server/seed.ts';
import { anOrder, openExport, placeOrder, poolUntil, startDemo } from './support/demo.ts';

// Several times what the sockets on both sides buffer, so that an export which nobody reads goes on for good.
const orders = 45_000;

let prepared = '';
const cleanUp: (() => void | Promise<void>)[] = [];

test.before(async (t) => {
  prepared = temporaryFile({ teardown: (fn) => void cleanUp.push(fn) });
  await using pool = createPool(prepared);
  t.deepEqual(await fill(pool, { customers: 100, orders }), { customers: 100, orders });
});

test.after.always(async () => {
  for (const fn of cleanUp) await fn();
});

async function serve(t: Parameters<typeof startDemo>[0], ...args: string[]) {
  const file = `${temporaryDirectory(t)}/copy.db`;
  copyFileSync(prepared, file);
  const demo = startDemo(t, '--file', file, '--port', '0', ...args);
  return { demo, file, url: await demo.url() };
}

const isHeld = ({ leases }: { leases: readonly { label: string }[] }) => leases[0]?.label === 'GET /orders';

test('requests in turns have a connection each, and one reads on as of its start', async (t) => {
  const { url } = await serve(t);
  //  export                          others
  //  first rows, then nobody reads
  const slow = await openExport(url);
  await poolUntil(url, isHeld);
  //                                  place an order; it is there for everybody
  const placed = await placeOrder(url);
  t.is(placed.status, 201);
  t.is((await fetch(`${url}/orders/${orders + 1}`)).status, 200);
  const { leases, stats } = await poolUntil(url, isHeld);
  t.is(leases.length, 1);
  // That of the export, that of the next reader, and the one on which orders are placed.
  t.is(stats.size, 3);
  //  the rest: the new order is not in it
  const lines = await slow.rest();
  t.is(lines.length, orders);
  t.is(JSON.parse(lines.at(-1) as string).id, orders);
  //                                  an export that begins now has it
  t.is((await (await openExport(url)).rest()).length, orders + 1);
});

test('a client that goes away gives its connection back at once', async (t) => {
  const { url } = await serve(t, '--connections', '1');
  const slow = await openExport(url);
  await poolUntil(url, isHeld);
  slow.abort();
  const { stats } = await poolUntil(url, ({ leases }) => leases.length === 0);
  t.is(stats.counters.acquired, stats.counters.released);
  // The one connection there is serves the next.
  t.is((await fetch(`${url}/orders/1`)).status, 200);
  t.is((await poolUntil(url, () => true)).stats.size, 1);
});

test('an iteration that a client’s abort ends leaves its lease clean', async (t) => {
  const { url } = await serve(t);
  const slow = await openExport(url);
  await poolUntil(url, isHeld);
  slow.abort();
  const { stats } = await poolUntil(url, ({ leases }) => leases.length === 0);
  t.is(stats.counters.dirty, 0);
});

test('a client that goes away while it waits for a connection leaves the queue', async (t) => {
  const { url } = await serve(t, '--connections', '1');
  const slow = await openExport(url);
  await poolUntil(url, isHeld);
  const giveUp = async () => {
    const waiting = get(`${url}/customers/1`).on('error', () => {});
    await poolUntil(url, ({ stats }) => stats.waiting === 1);
    waiting.destroy();
    const { stats } = await poolUntil(url, (view) => view.stats.waiting === 0);
    return stats.counters;
  };
  // On a machine that stands still for two seconds it is refused before it goes away.
  let { aborted, timeouts } = await giveUp();
  for (let again = 0; again < 2 && aborted === 0; again++) ({ aborted, timeouts } = await giveUp());
  t.is(aborted, 1);
  t.true(timeouts <= 2);
  slow.abort();
});

test('who finds no free connection in time is told to come back, and others are served', async (t) => {
  const { url } = await serve(t, '--connections', '1');
  const slow = await openExport(url);
  await poolUntil(url, isHeld);
  const refused = await fetch(`${url}/customers/1`);
  t.is(refused.status, 503);
  t.is(refused.headers.get('retry-after'), '1');
  t.deepEqual(await refused.json(), { error: 'Too busy. Try again later.' });
  t.is((await fetch(`${url}/health`)).status, 200);
  t.is((await slow.rest()).length, orders);
  t.is((await fetch(`${url}/customers/1`)).status, 200);
});

test('Ctrl-C lets a request in hand finish, takes no new one, and ends with 0', async (t) => {
  const { demo, url } = await serve(t);
  const order = JSON.stringify(anOrder());
  const slow = request(`${url}/orders`, { method: 'POST', headers: { Expect: '100-continue' } });
  slow.flushHeaders();
  await once(slow, 'continue');
  demo.kill('SIGINT');
  await demo.printed(/^Closing/m);
  await t.throwsAsync(fetch(`${url}/health`));
  // It gets its connection now: the pool closes after the server.
  slow.end(order);
  const [response] = (await once(slow, 'response')) as [IncomingMessage];
  t.is(response.statusCode, 201);
  response.resume();
  t.deepEqual(await demo.ended, { code: 0, signal: null });
  t.is(demo.complaints, '');
});

test('a client that never reads on holds up the end for a bounded time only', async (t) => {
  const { demo, url } = await serve(t);
  await openExport(url);
  await poolUntil(url, isHeld);
  demo.kill('SIGTERM');
  t.like(await demo.ended, { code: 0 });
  t.is(demo.complaints, '');
});

test('a second Ctrl-C ends the program at once', async (t) => {
  const { demo, url } = await serve(t);
  await openExport(url);
  await poolUntil(url, isHeld);
  const over = new AbortController();
  const ending = demo.ended.finally(() => over.abort());
  // The first ones count as a single keystroke, which arrives twice under npm.
  while (!over.signal.aborted) {
    demo.kill('SIGINT');
    await delay(100, undefined, { signal: over.signal }).catch(() => {});
  }
  t.like(await ending, { code: 130 });
});
