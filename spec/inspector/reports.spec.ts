import test from 'ava';
import type { LeaseDetail, Report } from '../../lib/inspector/wire.ts';
import { openItems } from '../support/items.ts';
import { Reader } from './support/reader.ts';
import { ask, here, inspect } from './support/serve.ts';
import { watch, watchedPool } from './support/watched.ts';

// What is answered to one who polls, and that who applies it in order misses nothing and is told nothing twice.

test('a reader who polls at any time misses nothing and is told nothing twice', async (t) => {
  const { pool, clock, monitor, read } = await watchedPool(t);
  for (const ticks of [1, 3, 10, 0, 27, 2, 119, 5, 120, 1]) {
    for (let tick = 0; tick < ticks; tick++) {
      await pool.withConnection(() => clock.skip(1));
      await clock.pass(499);
    }
    read();
  }
  const reader = read();
  t.is(reader.complete, 1, 'it never came too late');
  t.is(reader.ticks.length, monitor.number);
  t.is(reader.sums().released, 288);
  t.is(reader.trends.length, 28);
});

test('who comes back after more than a minute is told all that is kept, as if he were new', async (t) => {
  const { clock, tick, read } = await watchedPool(t);
  await tick();
  await clock.pass(500 * 121);
  const reader = read();
  t.is(reader.complete, 2);
  t.deepEqual([reader.ticks[0]?.number, reader.ticks.length], [3, 120]);
});

test('who knows the tick before the oldest that is kept is told the rest, and no trend twice', async (t) => {
  const { clock, read, tick } = await watchedPool(t);
  await tick(10);
  await clock.pass(500);
  t.is(read().trends.length, 1);
  await clock.pass(500 * 120);
  const reader = read();
  t.is(reader.complete, 1);
  t.is(reader.ticks.length, 131);
  t.deepEqual(
    reader.trends.map(({ at }) => at - (reader.ticks[0]?.at ?? 0)),
    Array.from({ length: 13 }, (_, index) => 500 * (10 * index + 9)),
  );
});

test('trends of ten minutes are kept for who is new, ticks of one', async (t) => {
  const { clock, monitor } = await watchedPool(t);
  for (let tick = 0; tick < 1300; tick++) clock.advance(500);
  const { trends, ticks } = JSON.parse(monitor.report()) as Report;
  t.is(trends.length, 120);
  t.is(ticks.length, 120);
  t.is((trends.at(-1)?.at ?? 0) - (trends[0]?.at ?? 0), 595_000);
});

test('a trend sums up the waits and holds of five seconds, and only those', async (t) => {
  const { pool, clock, tick } = await watchedPool(t);
  for (const time of [10, 20, 30]) await pool.withConnection(() => clock.skip(time));
  const reader = await tick(20);
  const [first, second] = reader.trends;
  t.is(first?.hold.count, 3);
  t.true(Math.abs((first?.hold.p50 ?? 0) - 20) < 1);
  t.is(first?.hold.max, 30);
  t.deepEqual(first?.wait, { count: 3, p50: 0, p95: 0, p99: 0, max: 0 });
  for (const none of [second?.wait, second?.hold]) t.deepEqual(none, { count: 0, p50: 0, p95: 0, p99: 0, max: 0 });
});

test('a tick that comes late tells all that happened until then', async (t) => {
  const { pool, clock, tick } = await watchedPool(t);
  await pool.withConnection(() => clock.skip(7300));
  const reader = await tick(2);
  t.deepEqual([reader.ticks.length, reader.bars().length], [2, 1]);
});

test('what has been asked for is of this moment, also between ticks', async (t) => {
  const { pool, clock, monitor, reader, read } = await watchedPool(t);
  await clock.pass(500);
  read();
  const db = await pool.acquire({ label: 'fresh' });
  clock.skip(30);
  read();
  t.like(reader.state(), { leased: 1, holders: [{ label: 'fresh', age: 30 }] });
  t.is(reader.ticks.length, monitor.number);
  db.close();
  t.is(read().state().leased, 0);
});

const questions: Readonly<Record<string, [query: (id: string) => string, complete: boolean]>> = {
  nothing: [() => '', true],
  'a number without a server': [() => '?after=0', true],
  'a number of another server': [() => '?after=0&server=other', true],
  'a number of this server': [(id) => `?after=0&server=${id}`, false],
  'the same the other way round': [(id) => `?server=${id}&after=0`, false],
  'a server without a number': [(id) => `?server=${id}`, true],
  'a number that is yet to come': [(id) => `?after=7&server=${id}`, true],
  'a number below 0': [(id) => `?after=-1&server=${id}`, true],
  'a fraction': [(id) => `?after=0.5&server=${id}`, true],
  'an exponent': [(id) => `?after=1e0&server=${id}`, true],
  'a number beyond all': [(id) => `?after=99999999999999999999&server=${id}`, true],
  'no number': [(id) => `?after=NaN&server=${id}`, true],
  'an empty number': [(id) => `?after=&server=${id}`, true],
  'a number twice, the first of which counts': [(id) => `?after=0&after=x&server=${id}`, false],
  'a word that is none': [(id) => `?after=__proto__&server=${id}&constructor=1`, true],
};

for (const [what, [query, complete]] of Object.entries(questions)) {
  test(`data with ${what} is ${complete ? 'a complete report' : 'what came after that'}`, async (t) => {
    const page = inspect(t, await openItems(t));
    const asked = async (path: string) => (await (await page(ask(path), here)).json()) as Report;
    const { server } = await asked('/data');
    t.is((await asked(`/data${query(server.id)}`)).complete, complete);
  });
}

test('each inspector is a server of its own, so that the ticks of one are never taken for those of another', async (t) => {
  const { pool, clock, monitor } = await watchedPool(t);
  const other = watch(t, [pool], clock);
  other.read();
  t.not(monitor.id, other.monitor.id);
  const reader = new Reader().apply(JSON.parse(monitor.report()) as Report);
  t.throws(() => reader.apply({ ...(JSON.parse(other.monitor.report(0)) as Report) }));
});

test('the server says what it is', async (t) => {
  const page = inspect(t, await openItems(t));
  const { server } = (await (await page(ask('/data'), here)).json()) as Report;
  t.like(server, { pid: process.pid, node: process.version, interval: 500, window: 60_000, showsSql: false });
  t.true(Math.abs(server.now - Date.now()) < 60_000);
  t.true(server.uptime > 0);
});

test('a lease is told in detail while it is held, and after, as long as it is in a tick or among the longest', async (t) => {
  const { pool, clock, detail, tick } = await watchedPool(t, { leakThreshold: 100_000 });
  const scope = pool.openScope({ label: () => 'GET /' });
  await scope.run(() => pool.connection());
  clock.skip(50);
  const present = detail(2);
  t.like(present, {
    pool: pool.id,
    lease: 2,
    connection: 1,
    label: 'GET /',
    waited: 0,
    writes: [],
    reads: [],
    notes: [],
  });
  t.is(present?.to, undefined);
  t.is(typeof present?.scope, 'number');
  t.regex(present?.stack ?? '', /reports\.spec/);
  await scope.end();
  const ended = detail(2) as LeaseDetail;
  t.is((ended.to ?? 0) - ended.from, 50);
  t.deepEqual({ ...ended, to: undefined }, { ...present, to: undefined });
  await tick();
  t.deepEqual(detail(2), ended);
  // Longer ones take its place, in its tick too.
  await clock.pass(600_001);
  t.is(detail(2), undefined);
  t.is(detail(3), undefined);
  t.is(detail(2, pool.id + 1), undefined);
});

const leases: Readonly<Record<string, [query: string, status: number]>> = {
  'an unknown lease': ['?pool=1&lease=99999', 404],
  'an unknown pool': ['?pool=999999999&lease=1', 404],
  'no lease': ['?pool=1', 400],
  'no pool': ['?lease=1', 400],
  nothing: ['', 400],
  'words for numbers': ['?pool=one&lease=two', 400],
  'a negative number': ['?pool=1&lease=-1', 400],
};

for (const [what, [query, status]] of Object.entries(leases)) {
  test(`lease with ${what} is ${status}, in a sentence`, async (t) => {
    const page = inspect(t, await openItems(t));
    const answer = await page(ask(`/lease${query}`), here);
    t.is(answer.status, status);
    t.is(answer.headers.get('content-type'), 'text/plain; charset=utf-8');
    t.regex(await answer.text(), /^[A-Z].*\.\n$/);
  });
}
