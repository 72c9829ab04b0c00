import test from 'ava';
import type { LabelStats } from '../../lib/index.ts';
import { SqlitePool } from '../../lib/sqlite/pool.ts';
import { FakeClock } from '../support/clock.ts';
import { temporaryFile } from '../support/files.ts';
import { gate, settled } from '../support/gate.ts';
import { refusal } from '../support/items.ts';
import { byLabel, countsByLabel, labelledPool, statsOf } from '../support/labels.ts';

function isNear(figure: number, exact: number): boolean {
  return Math.abs(figure - exact) <= exact * 0.07 + 0.001;
}

test('no label, no entry', async (t) => {
  const { pool } = await labelledPool(t);
  await pool.withConnection(() => {});
  t.deepEqual(byLabel(pool), []);
  t.true(pool.stats().counters.acquired > 0);
});

test('each label has its counts and times, and those that held for longest come first', async (t) => {
  const { pool, clock } = await labelledPool(t, { max: 1 });
  const hold = (label: string, duration: number) => pool.withConnection(() => clock.skip(duration), { label });
  for (const duration of [10, 10, 10]) await hold('often', duration);
  await hold('long', 100);
  const handle = await pool.acquire({ label: 'now' });
  t.deepEqual(countsByLabel(pool), [
    ['long', { leased: 0, acquired: 1, timeouts: 0, waits: 1, holds: 1 }],
    ['often', { leased: 0, acquired: 3, timeouts: 0, waits: 3, holds: 3 }],
    ['now', { leased: 1, acquired: 1, timeouts: 0, waits: 1, holds: 0 }],
  ]);
  const { holdTime, waitTime } = statsOf(pool, 'often');
  t.deepEqual([holdTime.count, holdTime.max, holdTime.mean], [3, 10, 10]);
  t.true([holdTime.p50, holdTime.p95, holdTime.p99].every((figure) => isNear(figure, 10)));
  t.deepEqual(waitTime, { count: 3, mean: 0, p50: 0, p95: 0, p99: 0, max: 0 });
  const waiting = pool.acquire({ label: 'late' });
  clock.skip(1000);
  handle.close();
  (await waiting).close();
  t.deepEqual(
    byLabel(pool).map(({ label }) => label),
    ['now', 'long', 'often', 'late'],
  );
  t.is(statsOf(pool, 'late').waitTime.max, 1000);
  t.true(isNear(statsOf(pool, 'late').waitTime.p50, 1000));
});

test('a lease has the label of its scope, unless it was given one of its own', async (t) => {
  const { pool } = await labelledPool(t);
  await pool.withScope(
    async () => {
      await pool.run("INSERT INTO item VALUES ('a')");
      await pool.all('SELECT * FROM item');
      await pool.transaction(() => {});
      await pool.read(() => {}, { label: 'own' });
      await pool.connection();
      // On the connection of the scope, so no lease more.
      await pool.transaction(() => {}, { label: 'part' });
      await pool.withConnection(() => {}, { label: 'shared' });
      await pool.withConnection(() => {}, { fresh: true });
      (await pool.acquire({ label: 'own' })).close();
      pool.tryAcquire()?.close();
      await pool.withScope(() => pool.connection(), { fresh: true, label: 'inner' });
    },
    { label: 'request' },
  );
  const acquired = Object.fromEntries(byLabel(pool).map((each) => [each.label, each.acquired]));
  t.deepEqual(acquired, { request: 6, own: 2, inner: 1 });
});

test('what waits for the write lane counts with its label, from the call on', async (t) => {
  const { pool, clock } = await labelledPool(t);
  const open = gate();
  const holding = pool.transaction(() => open.passed, { label: 'first' });
  await settled();
  const writers = [
    pool.transaction(() => {}, { label: 'transaction' }),
    pool.run("INSERT INTO item VALUES ('a')", [], { label: 'statement' }),
    pool.withConnection(() => {}, { label: 'scope', write: true }),
    pool.acquire({ label: 'lease', write: true }).then((db) => db.close()),
  ];
  await settled();
  clock.skip(40);
  open.open();
  await Promise.all([holding, ...writers]);
  for (const label of ['transaction', 'statement', 'scope', 'lease'])
    t.is(statsOf(pool, label).waitTime.max, 40, label);
  t.is(statsOf(pool, 'first').holdTime.max, 40);
  t.is(statsOf(pool, 'first').waitTime.max, 0);
  const { laneWaitTime, waitTime } = pool.stats();
  t.deepEqual([laneWaitTime.count, laneWaitTime.max, laneWaitTime.mean], [4, 40, 40]);
  t.is(waitTime.max, 40);
});

test('a transaction on the connection of a scope waits for the lane, and not for a lease', async (t) => {
  const { pool, clock } = await labelledPool(t);
  const open = gate();
  const holding = pool.transaction(() => open.passed, { label: 'first' });
  await settled();
  const running = pool.withConnection(() => pool.transaction(() => {}, { label: 'part' }), { label: 'bound' });
  await settled();
  clock.skip(40);
  open.open();
  await Promise.all([holding, running]);
  t.is(statsOf(pool, 'bound').waitTime.max, 0);
  t.is(statsOf(pool, 'bound').holdTime.max, 40);
  t.is(pool.stats().laneWaitTime.max, 40);
  t.is(
    byLabel(pool).find(({ label }) => label === 'part'),
    undefined,
  );
});

test('where every lease has a label, they add up to the whole', async (t) => {
  const clock = new FakeClock();
  const pool = new SqlitePool(temporaryFile(t), { max: 2 }, clock);
  t.teardown(() => pool.close({ timeout: 0 }));
  await pool.run('CREATE TABLE item (name TEXT)', [], { label: 'setup' });
  await Promise.allSettled(
    Array.from({ length: 60 }, async (_, index) => {
      const options = { label: `label ${index % 7}`, timeout: index % 5 === 0 ? 3 : 5000 };
      const work = async () => clock.pass(index % 4);
      if (index % 3 === 0) await pool.transaction(work, options);
      else if (index % 3 === 1) await pool.withConnection(work, options);
      else await pool.run("INSERT INTO item VALUES ('a')", [], options);
    }),
  );
  const kept = await pool.acquire({ label: 'kept' });
  const labels = byLabel(pool);
  const sum = (of: (each: LabelStats) => number) => labels.reduce((total, each) => total + of(each), 0);
  const { leased, counters, waitTime, holdTime } = pool.stats();
  t.true(counters.timeouts > 0 && waitTime.max > 0 && holdTime.max > 0);
  t.is(leased, 1);
  t.deepEqual(
    [sum((each) => each.leased), sum((each) => each.acquired), sum((each) => each.timeouts)],
    [leased, counters.acquired, counters.timeouts],
  );
  t.deepEqual(
    [sum(({ waitTime: { count } }) => count), sum(({ holdTime: { count } }) => count)],
    [waitTime.count, holdTime.count],
  );
  t.is(Math.max(...labels.map((each) => each.waitTime.max)), waitTime.max);
  t.is(Math.max(...labels.map((each) => each.holdTime.max)), holdTime.max);
  const total = sum(({ holdTime: { count, mean } }) => count * mean);
  t.true(Math.abs(total - holdTime.count * holdTime.mean) < 1e-6);
  kept.close();
});

test('a thousand labels are told apart, all that come later are one', async (t) => {
  const { pool, clock } = await labelledPool(t, { max: 2 });
  const use = (label: string) => pool.tryAcquire({ label })?.close();
  for (let index = 0; index < 1000; index++) use(`user ${index}`);
  t.is(byLabel(pool).length, 1000);
  t.true(byLabel(pool).every(({ label }) => label !== undefined));
  for (let index = 1000; index < 1500; index++) use(`user ${index}`);
  use('user 3');
  const held = [await pool.acquire({ label: 'user 2000' }), await pool.acquire({ label: 'user 4' })];
  const late = t.throwsAsync(pool.acquire({ label: 'user 2001', timeout: 10 }), refusal('ACQUIRE_TIMEOUT'));
  await clock.pass(10);
  await late;
  t.is(byLabel(pool).length, 1001);
  const others = byLabel(pool).filter(({ label }) => label === undefined);
  t.like(others, { 0: { leased: 1, acquired: 501, timeouts: 1 }, length: 1 });
  t.is(statsOf(pool, 'user 3').acquired, 2, 'one that is known stays so');
  t.is(statsOf(pool, 'user 4').leased, 1);
  held[1]?.close();
  clock.skip(5);
  held[0]?.close();
  t.is(byLabel(pool).find(({ label }) => label === undefined)?.leased, 0);
  const first = byLabel(pool).slice(0, 2);
  t.deepEqual(
    first.map(({ label }) => label),
    [undefined, 'user 4'],
    'the others take their place by what they held together',
  );
});

test('what is told is a copy', async (t) => {
  const { pool } = await labelledPool(t);
  pool.tryAcquire({ label: 'a' })?.close();
  const before = byLabel(pool);
  pool.tryAcquire({ label: 'a' })?.close();
  t.is(before[0]?.acquired, 1);
  before.length = 0;
  t.is(statsOf(pool, 'a').acquired, 2);
});

test('labels may be named as anything an object has already', async (t) => {
  const { pool } = await labelledPool(t);
  const names = ['__proto__', 'constructor', 'toString', ''];
  for (const label of names) pool.tryAcquire({ label })?.close();
  t.deepEqual(new Set(byLabel(pool).map(({ label }) => label)), new Set(names));
});

test('bad options are refused', async (t) => {
  const { pool } = await labelledPool(t);
  const stats = pool.stats.bind(pool) as (options?: unknown) => unknown;
  for (const options of [
    { by: 'scope' },
    { by: true },
    { By: 'label' },
    { by: 'label', limit: 1 },
    null,
    'label',
    [],
  ]) {
    t.throws(() => stats(options), refusal('OPTIONS'), JSON.stringify(options));
  }
  t.deepEqual(Object.keys(stats(undefined) as object), Object.keys(pool.stats()));
});

test('who asks for nothing in particular is told the whole, that of the lane with it', async (t) => {
  const { pool } = await labelledPool(t);
  const stats = pool.stats.bind(pool) as (options?: unknown) => object;
  for (const options of [{}, { by: undefined }]) t.deepEqual(Object.keys(stats(options)), Object.keys(pool.stats()));
});
