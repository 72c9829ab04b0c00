import { DataPointType } from '@opentelemetry/sdk-metrics';
import test, { type ExecutionContext } from 'ava';
import type { SqlitePool, SqlitePoolOptions } from '../../lib/index.ts';
import { SqlitePool as ClockedPool } from '../../lib/sqlite/pool.ts';
import { instrument } from '../../lib/telemetry/opentelemetry.ts';
import { FakeClock } from '../support/clock.ts';
import { temporaryFile } from '../support/files.ts';
import { gate, settled } from '../support/gate.ts';
import { figuresOf, metricsSdk } from '../support/opentelemetry.ts';
import { temporaryPool } from '../support/sqlite.ts';

// https://opentelemetry.io/docs/specs/semconv/database/database-metrics/, and the one they have no name for.
const conventions: readonly (readonly [string, DataPointType, string, boolean | undefined])[] = [
  ['db.client.connection.count', DataPointType.SUM, '{connection}', false],
  ['db.client.connection.create_time', DataPointType.HISTOGRAM, 's', undefined],
  ['db.client.connection.idle.max', DataPointType.SUM, '{connection}', false],
  ['db.client.connection.idle.min', DataPointType.SUM, '{connection}', false],
  ['db.client.connection.max', DataPointType.SUM, '{connection}', false],
  ['db.client.connection.pending_requests', DataPointType.SUM, '{request}', false],
  ['db.client.connection.timeouts', DataPointType.SUM, '{timeout}', true],
  ['db.client.connection.use_time', DataPointType.HISTOGRAM, 's', undefined],
  ['db.client.connection.wait_time', DataPointType.HISTOGRAM, 's', undefined],
  ['leasehold.write_lane.pending_requests', DataPointType.SUM, '{request}', false],
];

const short = (name: string): string => name.replace('db.client.connection.', '');

function measured(t: ExecutionContext, options: SqlitePoolOptions) {
  const sdk = metricsSdk(t);
  const pool = temporaryPool(t, options);
  instrument(pool, { meterProvider: sdk.meterProvider });
  return { ...sdk, pool };
}

/** A pool on a clock that stands still. */
function timed(t: ExecutionContext, options: SqlitePoolOptions = {}) {
  const sdk = metricsSdk(t);
  const clock = new FakeClock();
  const pool = new ClockedPool(temporaryFile(t), { name: 'app', ...options }, clock);
  t.teardown(() => pool.close({ timeout: 0 }));
  instrument(pool, { meterProvider: sdk.meterProvider });
  const times = async () => {
    const collected = await sdk.collect();
    return (name: string) => collected.get(`db.client.connection.${name}_time`)?.points[0];
  };
  return { ...sdk, clock, pool, times };
}

function near(t: ExecutionContext, actual: number | undefined, expected: number): void {
  t.true(Math.abs((actual ?? Number.NaN) - expected) < 1e-9, `${actual} is ${expected}`);
}

test('a pool has all the figures of the semantic conventions, each of its kind and in its unit', async (t) => {
  const { pool, collect } = measured(t, { name: 'orders' });
  await pool.run('CREATE TABLE item (name TEXT)');
  const collected = await collect();
  t.deepEqual(
    [...collected]
      .map(([name, { type, unit, isMonotonic }]) => [name, type, unit, isMonotonic] as const)
      .toSorted(([a], [b]) => a.localeCompare(b)),
    conventions.toSorted(([a], [b]) => a.localeCompare(b)),
  );
});

test('every figure has the name of its pool, the count also the state, and nothing has more', async (t) => {
  const { pool, collect } = measured(t, { name: 'orders' });
  await pool.withConnection(() => {}, { label: 'GET /order' });
  await pool.run('CREATE TABLE item (name TEXT)');
  for (const [name, { points }] of await collect()) {
    const about = { 'db.client.connection.pool.name': 'orders' };
    const expected =
      name === 'db.client.connection.count'
        ? ['idle', 'used'].map((state) => ({ ...about, 'db.client.connection.state': state }))
        : [about];
    t.deepEqual(
      points.map(({ attributes }) => attributes),
      expected,
      name,
    );
  }
});

test('the figures are those of what is held and waited for at that moment', async (t) => {
  const { pool, collect } = measured(t, { name: 'app', max: 2, min: 1 });
  await pool.run('CREATE TABLE item (name TEXT)');
  const gauges = async () =>
    Object.fromEntries(
      Object.entries(figuresOf(await collect(), 'app'))
        .filter(([name]) => !name.endsWith('_time'))
        .map(([name, value]) => [short(name), value]),
    );
  const idle = {
    'count idle': 1,
    'count used': 0,
    max: 2,
    'idle.max': 2,
    'idle.min': 1,
    pending_requests: 0,
    timeouts: 0,
    'leasehold.write_lane.pending_requests': 0,
  };
  t.deepEqual(await gauges(), idle, 'the connection of the write lane is there');
  const written = gate();
  const writing = pool.transaction(() => written.passed);
  await settled();
  t.deepEqual(await gauges(), { ...idle, 'count idle': 0, 'count used': 1 });
  const held = [await pool.acquire(), await pool.acquire()];
  const waiting = [pool.acquire(), pool.acquire()];
  const queued = [pool.transaction(() => {}), pool.run("INSERT INTO item VALUES ('x')"), pool.transaction(() => {})];
  await settled();
  const busy = { ...idle, 'count idle': 0, 'count used': 3, pending_requests: 2 };
  t.deepEqual(await gauges(), { ...busy, 'leasehold.write_lane.pending_requests': 3 });
  await t.throwsAsync(pool.acquire({ timeout: 1 }), { code: 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT' });
  t.is((await gauges())['timeouts'], 1);
  await t.throwsAsync(
    pool.transaction(() => {}, { timeout: 1 }),
    { code: 'ERR_LEASEHOLD_WRITE_TIMEOUT' },
  );
  t.deepEqual(await gauges(), { ...busy, timeouts: 2, 'leasehold.write_lane.pending_requests': 3 });
  written.open();
  await Promise.all([writing, ...queued]);
  for (const db of held) db.close();
  for (const db of await Promise.all(waiting)) db.close();
  t.deepEqual(await gauges(), { ...idle, 'count idle': 3, timeouts: 2 });
});

test('the connection that the lane keeps of its own is counted, and is above "max"', async (t) => {
  const { pool, collect } = measured(t, { name: 'app', max: 1 });
  const db = await pool.acquire();
  const writer = await pool.acquire({ write: true });
  t.like(figuresOf(await collect(), 'app'), {
    'db.client.connection.count used': 2,
    'db.client.connection.max': 1,
    'db.client.connection.idle.max': 1,
  });
  writer.close();
  db.close();
});

test('a resize is seen', async (t) => {
  const { pool, collect } = measured(t, { name: 'app' });
  const limits = async () => {
    const figures = figuresOf(await collect(), 'app');
    return ['max', 'idle.max', 'idle.min'].map((name) => figures[`db.client.connection.${name}`]);
  };
  t.deepEqual(await limits(), [8, 8, 0]);
  pool.resize({ max: 3, min: 2 });
  t.deepEqual(await limits(), [3, 3, 2]);
});

test('the wait of a transaction for its turn to write is in wait_time, and not in use_time', async (t) => {
  const { pool, clock, times } = timed(t);
  const holder = await pool.acquire({ write: true });
  const queued = pool.transaction(() => clock.skip(1000));
  await settled();
  await clock.pass(250);
  holder.close();
  await queued;
  const of = await times();
  t.is(of('wait')?.value, 2);
  near(t, of('wait')?.sum, 0.25);
  t.is(of('use')?.value, 2);
  near(t, of('use')?.sum, 0.25 + 1);
});

test('the wait of an acquire, and how long it is held, are in seconds', async (t) => {
  const { pool, clock, times } = timed(t, { max: 1 });
  const first = await pool.acquire();
  const second = pool.acquire();
  await settled();
  await clock.pass(40);
  first.close();
  const db = await second;
  await clock.pass(3);
  db.close();
  const of = await times();
  near(t, of('wait')?.sum, 0.04);
  near(t, of('use')?.sum, 0.043);
  const { boundaries = [], counts = [] } = of('wait')?.buckets ?? {};
  const bucketOf = (seconds: number) => boundaries.findIndex((boundary) => seconds <= boundary);
  t.deepEqual(
    counts.flatMap((count, bucket) => (count === 0 ? [] : [[bucket, count]])),
    [
      [bucketOf(0), 1],
      [bucketOf(0.04), 1],
    ],
  );
  t.true(
    boundaries.some((boundary) => boundary < 0.001),
    'fine enough for SQLite',
  );
});

test('who waits in vain has no wait_time', async (t) => {
  const { pool, clock, times } = timed(t, { max: 1 });
  const db = await pool.acquire();
  const refused = t.throwsAsync(pool.acquire({ timeout: 30 }));
  await settled();
  await clock.pass(30);
  await refused;
  const of = await times();
  t.is(of('wait')?.value, 1);
  near(t, of('wait')?.sum, 0);
  db.close();
});

test('create_time has the hook of a connection in it', async (t) => {
  const clock: { current?: FakeClock } = {};
  const made = timed(t, { onOpen: () => clock.current?.skip(120) });
  clock.current = made.clock;
  (await made.pool.acquire()).close();
  const of = await made.times();
  t.is(of('create')?.value, 1);
  near(t, of('create')?.sum, 0.12);
});

test('the histograms come to what the pool counts itself', async (t) => {
  const { pool, collect } = measured(t, { name: 'app', max: 2 });
  await pool.run('CREATE TABLE item (name TEXT)');
  const work: Promise<unknown>[] = [];
  for (let index = 0; index < 40; index++) {
    work.push(
      pool.transaction((tx) => tx.prepare('INSERT INTO item VALUES (?)').run(`${index}`)),
      pool.read(async (db) => {
        await settled();
        return db.prepare('SELECT count(*) FROM item').get();
      }),
      pool.get('SELECT count(*) FROM item'),
    );
  }
  await Promise.all(work);
  await pool.drain();
  await pool.get('SELECT 1');
  const collected = await collect();
  const { waitTime, holdTime, openTime, counters } = pool.stats();
  t.is(counters.acquired, 122);
  for (const [name, { count, mean }] of [
    ['wait', waitTime],
    ['use', holdTime],
    ['create', openTime],
  ] as const) {
    const point = collected.get(`db.client.connection.${name}_time`)?.points[0];
    t.is(point?.value, count, name);
    t.true(count > 1, name);
    near(t, point?.sum, (mean * count) / 1000);
  }
});

test('pools on one provider are told apart by their names', async (t) => {
  const { pool, collect, meterProvider } = measured(t, { name: 'orders', max: 3 });
  const reports = temporaryPool(t, { name: 'reports', max: 5 });
  instrument(reports, { meterProvider });
  const db = await reports.acquire();
  (await pool.acquire()).close();
  const collected = await collect();
  t.like(shortened(figuresOf(collected, 'orders')), {
    'count idle': 1,
    'count used': 0,
    max: 3,
    wait_time: 1,
    use_time: 1,
  });
  const figures = shortened(figuresOf(collected, 'reports'));
  t.like(figures, { 'count idle': 0, 'count used': 1, max: 5, wait_time: 1 });
  t.is(figures['use_time'], undefined);
  db.close();
});

test('pools of one name are added up, as in Prometheus', async (t) => {
  const { pool, collect, meterProvider } = measured(t, { name: 'app', max: 3 });
  const other: SqlitePool = temporaryPool(t, { name: 'app', max: 5 });
  instrument(other, { meterProvider });
  const held = [await pool.acquire(), await other.acquire(), await other.acquire()];
  for (const expected of [3, 3]) {
    const figures = shortened(figuresOf(await collect(), 'app'));
    t.like(figures, { 'count used': expected, max: 8, 'idle.max': 8, wait_time: 3 });
  }
  for (const db of held) db.close();
});

function shortened(figures: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.entries(figures).map(([name, value]) => [short(name), value]));
}
