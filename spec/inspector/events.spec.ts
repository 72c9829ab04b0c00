import type { ServerResponse } from 'node:http';
import { setImmediate } from 'node:timers/promises';
import test from 'ava';
import { Answers } from '../../lib/inspector/answers.ts';
import type { Monitor } from '../../lib/inspector/monitor.ts';
import { exchange } from '../../lib/inspector/node-exchange.ts';
import { eventStream } from '../../lib/inspector/stream.ts';
import type { Report } from '../../lib/inspector/wire.ts';
import { openItems } from '../support/items.ts';
import { Reader } from './support/reader.ts';
import { ask, EventParser, here, inspect, listen, serve } from './support/serve.ts';
import { watchedPool } from './support/watched.ts';

// Server-sent events, over real sockets but where time is the subject.

function readAll(reports: readonly Report[], reader = new Reader()): Reader {
  for (const report of reports) reader.apply(report);
  return reader;
}

test('the first event is complete, and each after it has one tick', async (t) => {
  const pool = await openItems(t);
  const site = await serve(t, inspect(t, pool).node);
  const listener = await listen(t, site);
  t.is(listener.response.statusCode, 200);
  t.like(listener.response.headers, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store, no-transform',
  });
  await listener.until(1);
  await pool.withConnection(() => {}, { label: 'seen' });
  const reports = await listener.until(3);
  const reader = readAll(reports);
  t.deepEqual(
    reports.map(({ complete }) => complete),
    reports.map((_, index) => index === 0),
  );
  for (const { ticks } of reports.slice(1)) t.true(ticks.length > 0);
  t.deepEqual(
    reader.bars().map(({ label }) => label),
    ['seen'],
  );
  const numbers = reports.map((_, index) => readAll(reports.slice(0, index + 1)).ticks.at(-1)?.number ?? 0);
  t.deepEqual(
    listener.parser.fields.map(({ event, id }) => [event, id]),
    numbers.map((number) => ['report', `${number}`]),
  );
  t.true(Number(listener.parser.retry) > 0);
});

test('a reader who does not read for three seconds is told all that happened meanwhile, once', async (t) => {
  const pool = await openItems(t);
  const site = await serve(t, inspect(t, pool).node);
  const [quick, slow] = [await listen(t, site), await listen(t, site)];
  await slow.until(1);
  const { length } = slow.parser.fields;
  const reading = quick.until(7);
  while (quick.parser.fields.length < 7) {
    await pool.withConnection(() => {}, { label: 'busy' });
    await setImmediate();
  }
  const fast = readAll(await reading);
  t.is(slow.parser.fields.length, length, 'it has not read');
  await slow.until(length + 1);
  while ((slow.parser.reports.at(-1)?.ticks.at(-1)?.number ?? 0) < 6) await slow.until(slow.parser.fields.length + 1);
  const late = readAll(slow.parser.reports);
  t.is(late.complete, 1);
  t.deepEqual(late.ticks.slice(0, 6), fast.ticks.slice(0, 6));
});

test('a reader who does not read at all costs no more than a bounded buffer, and catches up when he reads again', async (t) => {
  const { pool, monitor, clock } = await watchedPool(t, { max: 32 });
  const answers = new Answers(monitor, () => true);
  let response: ServerResponse | undefined;
  const site = await serve(t, (request, made) => {
    response = made;
    void exchange((asked, peer) => answers.answer(asked, peer), request, made);
  });
  const listener = await listen(t, site);
  await listener.until(1);
  let longest = 0;
  for (let tick = 0; tick < 1000; tick++) {
    const leases = await Promise.all(
      Array.from({ length: 32 }, (_, at) => pool.acquire({ label: `${at}`.repeat(60) })),
    );
    for (const lease of leases) lease.close();
    await clock.pass(500);
    longest = Math.max(longest, response?.writableLength ?? Infinity);
  }
  t.true(longest < 3e5, `${longest} bytes wait in the response`);
  listener.response.resume();
  // What comes first was made long ago; then what was missed meanwhile, at the next tick.
  for (let tick = 0; listener.parser.last?.ticks.at(-1)?.number !== monitor.number && tick < 100; tick++) {
    await clock.pass(500);
    for (let turn = 0; turn < 100; turn++) await setImmediate();
  }
  const reader = readAll(listener.parser.reports);
  t.true(listener.parser.fields.length < 1000, `${listener.parser.fields.length} reports`);
  t.is(reader.ticks.at(-1)?.number, monitor.number);
});

test('a stream that is not read has one report waiting, however many ticks pass, and then tells them all', async (t) => {
  const { pool, monitor, clock } = await watchedPool(t);
  const stream = eventStream(monitor, () => {}, clock).getReader();
  const parser = new EventParser();
  const next = async () => {
    const { value, done } = await stream.read();
    if (!done) parser.feed(Buffer.from(value).toString());
    return !done;
  };
  // The time to come back after, and the complete report.
  await next();
  await next();
  for (let tick = 0; tick < 20; tick++) {
    await pool.withConnection(() => {});
    await clock.pass(500);
  }
  await next();
  t.is(parser.fields.length, 2);
  t.is(readAll(parser.reports).ticks.length, 1, 'made when there was room');
  await clock.pass(500);
  await next();
  const reader = readAll(parser.reports);
  t.is(parser.fields.length, 3, 'no more than two reports for 21 ticks');
  t.is(reader.ticks.length, 21);
  t.is(reader.sums().released, 20);
  await stream.cancel();
});

test('a stream ends after five minutes, so that who may look is asked again', async (t) => {
  const { monitor, clock } = await watchedPool(t);
  let ends = 0;
  const stream = eventStream(monitor, () => ends++, clock).getReader();
  await clock.pass(299_999);
  t.is(ends, 0);
  await clock.pass(1);
  t.is(ends, 1);
  while (!(await stream.read()).done);
  monitor.stop();
  t.is(ends, 1);
});

for (const [how, end] of [
  ['after five minutes', (monitor: Monitor) => void monitor],
  ['because all is over', (monitor: Monitor) => monitor.stop()],
] as const) {
  test(`a stream that has ended ${how} and is given up unread is counted once`, async (t) => {
    const { monitor, clock } = await watchedPool(t);
    let ends = 0;
    const stream = eventStream(monitor, () => ends++, clock).getReader();
    end(monitor);
    await clock.pass(300_000);
    await stream.cancel();
    t.is(ends, 1);
  });
}

test('a stream that is given up ends its timer and hears of no tick', async (t) => {
  const { monitor, clock } = await watchedPool(t);
  const pending = clock.pending;
  let ends = 0;
  const stream = eventStream(monitor, () => ends++, clock).getReader();
  t.is(clock.pending, pending + 1);
  t.is(clock.holding, 0, 'no timer keeps a process alive');
  await stream.cancel();
  t.is(clock.pending, pending);
  await clock.pass(5000);
  t.is(ends, 1);
});

test('when the last pool is closed the last report says so, with all that ended until then, and the stream ends', async (t) => {
  const pool = await openItems(t);
  const page = inspect(t, pool);
  const site = await serve(t, page.node);
  const listener = await listen(t, site);
  await listener.until(2);
  const holder = await pool.acquire({ label: 'last' });
  const closing = pool.close();
  holder.close();
  await closing;
  const reader = readAll(await listener.untilEnd());
  t.true(reader.state().closed);
  t.deepEqual(reader.state().holders, []);
  t.deepEqual(
    reader.bars().map(({ label }) => label),
    ['last'],
  );
  t.deepEqual(reader.sums(), { acquired: 1, released: 1 });
  const again = await fetch(`${site.url}/events`);
  t.is(again.status, 204);
  t.is(await again.text(), '');
  t.true(((await (await fetch(`${site.url}/data`)).json()) as Report).pools[0]?.closed);
  await new Promise((resolve) => {
    site.server.close(resolve);
  });
});

test('close ends every stream, and lets a server close', async (t) => {
  const pool = await openItems(t);
  const page = inspect(t, pool);
  const site = await serve(t, page.node);
  const listeners = [await listen(t, site), await listen(t, site)];
  for (const listener of listeners) await listener.until(1);
  page.close();
  page.close();
  for (const listener of listeners) await listener.untilEnd();
  await new Promise((resolve) => {
    site.server.close(resolve);
  });
  t.is((await page(ask('/events'), here)).status, 204);
  t.is((await page(ask('/data'), here)).status, 200);
  await pool.withConnection(() => t.pass('the pool goes on'));
});

test('leaving the block of an inspector closes it', async (t) => {
  const pool = await openItems(t);
  const held = inspect(t, pool);
  {
    using page = held;
    t.is((await page(ask('/events', {}, 'HEAD'), here)).status, 200);
  }
  t.is((await held(ask('/events', {}, 'HEAD'), here)).status, 204);
});

test('fifty who listen cost a pool no more than one: what a tick tells is made once', async (t) => {
  const { pool, monitor, clock } = await watchedPool(t);
  const streams = Array.from({ length: 50 }, () => eventStream(monitor, () => {}, clock).getReader());
  const parsers = streams.map(() => new EventParser());
  const readOnce = async () => {
    for (const [index, stream] of streams.entries())
      parsers[index]?.feed(Buffer.from((await stream.read()).value ?? []).toString());
  };
  await readOnce();
  await readOnce();
  const own: (options?: object) => unknown = pool.stats.bind(pool);
  let looks = 0;
  Object.defineProperty(pool, 'stats', {
    configurable: true,
    value: (options?: object) => {
      looks++;
      return own(options);
    },
  });
  await clock.pass(500);
  await readOnce();
  for (const parser of parsers) t.is(parser.last?.ticks.length, 1);
  t.true(looks <= 3, `${looks} looks`);
  for (const stream of streams) await stream.cancel();
});
