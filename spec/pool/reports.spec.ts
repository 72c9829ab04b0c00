import { AsyncLocalStorage } from 'node:async_hooks';
import { inspect } from 'node:util';
import test from 'ava';
import { poolEventNames } from '../../lib/events.ts';
import { poolSettings } from '../../lib/options.ts';
import { Pool } from '../../lib/pool/pool.ts';
import { attempt, FakeDriver, fakePool } from '../support/driver.ts';
import { gate, settled } from '../support/gate.ts';

test('the life of a connection is told by events in order', async (t) => {
  const driver = new FakeDriver();
  const opening = gate();
  driver.beforeOpen = () => opening.passed;
  const { pool, clock } = fakePool(t, { max: 1 }, driver);
  const log: unknown[] = [];
  for (const name of poolEventNames) pool.on(name, (event) => log.push([name, event]));
  const first = attempt(pool.acquire({ label: 'first' }));
  await clock.pass(30);
  opening.open();
  await settled();
  const second = attempt(pool.acquire());
  await clock.pass(70);
  await first.handle?.release();
  await settled();
  second.handle?.discard('enough');
  await second.handle?.release();
  t.deepEqual(log, [
    ['open', { connection: 1, took: 30 }],
    ['acquire', { lease: 1, connection: 1, label: 'first', waited: 30 }],
    ['wait', { for: 'connection', label: undefined, waiting: 1 }],
    ['release', { lease: 1, connection: 1, label: 'first', held: 70 }],
    ['acquire', { lease: 2, connection: 1, label: undefined, waited: 70 }],
    ['release', { lease: 2, connection: 1, label: undefined, held: 0 }],
    ['discard', { connection: 1, reason: 'enough' }],
    ['close', { connection: 1, reason: 'enough' }],
  ]);
});

test('an acquire from the idle connections is announced as one without a wait', async (t) => {
  const { pool } = fakePool(t);
  await (await pool.acquire()).release();
  const log: unknown[] = [];
  pool.on('acquire', (event) => log.push(event));
  await pool.acquire({ label: 'a' });
  pool.tryAcquire({ label: 'b' });
  t.deepEqual(log, [
    { lease: 2, connection: 1, label: 'a', waited: 0 },
    { lease: 3, connection: 2, label: 'b', waited: 0 },
  ]);
});

test('gauges and counters tell the state of the pool', async (t) => {
  const { pool, clock } = fakePool(t, { max: 3, min: 1, maxWaiting: 2 });
  t.like(pool.stats(), { size: 0, idle: 0, leased: 0, waiting: 0, max: 3, min: 1 });
  const handles = [await pool.acquire(), await pool.acquire(), await pool.acquire()];
  const controller = new AbortController();
  void attempt(pool.acquire({ signal: controller.signal }));
  void attempt(pool.acquire({ timeout: 10 }));
  void attempt(pool.acquire());
  t.like(pool.stats(), { size: 3, idle: 0, leased: 3, waiting: 2 });
  controller.abort();
  await clock.pass(10);
  void handles[0]?.release();
  void handles[0]?.release();
  handles[1]?.soil('pragma');
  void handles[1]?.release();
  await settled();
  t.like(pool.stats(), { size: 2, idle: 1, leased: 1, waiting: 0 });
  t.deepEqual(pool.stats().counters, {
    acquired: 3,
    released: 2,
    timeouts: 1,
    refused: 1,
    aborted: 1,
    opened: 3,
    closed: 1,
    openErrors: 0,
    discarded: 1,
    dirty: 1,
    leaks: 0,
    doubleReleases: 1,
    deadlocks: 0,
  });
});

test('what stats returned does not change afterwards', async (t) => {
  const { pool } = fakePool(t);
  const before = pool.stats();
  await pool.acquire();
  t.is(before.counters.acquired, 0);
  t.is(pool.stats().counters.acquired, 1);
});

function near(actual: number, expected: number): boolean {
  return Math.abs(actual - expected) <= expected / 100;
}

test('waiting, holding and opening are timed', async (t) => {
  const driver = new FakeDriver();
  const opening = gate();
  driver.beforeOpen = () => opening.passed;
  const { pool, clock } = fakePool(t, { max: 1 }, driver);
  const first = attempt(pool.acquire());
  await clock.pass(40);
  opening.open();
  await settled();
  await clock.pass(100);
  await first.handle?.release();
  await (await pool.acquire()).release();
  const { waitTime, holdTime, openTime } = pool.stats();
  t.is(waitTime.count, 2);
  t.is(waitTime.p50, 0);
  t.true(near(waitTime.max, 40));
  t.is(holdTime.count, 2);
  t.true(near(holdTime.max, 100));
  t.is(openTime.count, 1);
  t.true(near(openTime.mean, 40));
});

test('leases lists the holders, oldest first', async (t) => {
  const { pool, clock } = fakePool(t, { max: 3 });
  const first = await pool.acquire({ label: 'first' });
  await clock.pass(10);
  const second = await pool.acquire({ label: 'second' });
  await pool.withConnection(
    async () => {
      await clock.pass(10);
      await first.release();
      await pool.acquire();
      second.use();
      t.deepEqual(
        pool
          .leases()
          .map(({ id, connection, label, age, idleFor, scope }) => [id, connection, label, age, idleFor, scope]),
        [
          [2, 2, 'second', 10, 0, undefined],
          [3, 3, 'request', 10, 10, 1],
          [4, 1, 'request', 0, 0, 1],
        ],
      );
    },
    { label: 'request' },
  );
});

test('on, once and off return the pool and refuse what is no event or no listener', async (t) => {
  const { pool } = fakePool(t);
  const log: string[] = [];
  const listener = () => log.push('on');
  t.is(pool.on('acquire', listener), pool);
  t.is(
    pool.once('acquire', () => log.push('once')),
    pool,
  );
  await (await pool.acquire()).release();
  await (await pool.acquire()).release();
  t.is(pool.off('acquire', listener), pool);
  await (await pool.acquire()).release();
  t.deepEqual(log, ['on', 'once', 'on']);
  for (const method of ['on', 'once', 'off'] as const) {
    const error = t.throws(() => pool[method]('opened' as never, listener), { code: 'ERR_LEASEHOLD_OPTIONS' });
    t.like(error, { option: 'event', value: 'opened', allowed: `one of ${poolEventNames.join(', ')}` });
    t.like(
      t.throws(() => pool[method]('open', 'x' as never), { code: 'ERR_LEASEHOLD_OPTIONS' }),
      { option: 'listener' },
    );
  }
});

test('listeners run in the async context of their registration, whoever caused the event', async (t) => {
  const storage = new AsyncLocalStorage<string>();
  const { pool, clock } = fakePool(t, { max: 1 });
  const seen: unknown[] = [];
  storage.run('registrant', () => {
    for (const name of ['acquire', 'release', 'timeout', 'close'] as const) {
      pool.on(name, () => seen.push([name, storage.getStore()]));
    }
  });
  await storage.run('user', async () => {
    const db = await pool.acquire();
    const late = attempt(pool.acquire({ timeout: 10 }));
    await clock.pass(10);
    t.is(late.state, 'refused');
    await db.release();
    pool.closeIdle();
  });
  t.deepEqual(seen, [
    ['acquire', 'registrant'],
    ['timeout', 'registrant'],
    ['release', 'registrant'],
    ['close', 'registrant'],
  ]);
});

test('inspect shows a pool in a line of facts', async (t) => {
  const { pool } = fakePool(t, { name: 'app' });
  await pool.acquire();
  t.is(
    inspect(pool, { breakLength: Infinity }),
    "ScopedPool { name: 'app', state: 'open', size: 1, idle: 0, leased: 1, waiting: 0, max: 2 }",
  );
  await pool.close({ timeout: 0 });
  t.regex(inspect(pool), /state: 'closed'/);
  t.is(pool.name, 'app');
});

test('the bare pool knows no scope, needs no hooks, and has a clock of its own', async (t) => {
  const pool = new Pool(new FakeDriver(), poolSettings({}, { name: 'bare', max: 1 }));
  const db = await pool.acquire({ label: 'x' });
  t.like(pool.leases(), { 0: { label: 'x', scope: undefined }, length: 1 });
  await db.release();
  await pool.close();
  t.is(pool.stats().counters.closed, 1);
});
