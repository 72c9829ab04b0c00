import test from 'ava';
import type { Residue } from '../../lib/driver.ts';
import type { PoolEventName } from '../../lib/events.ts';
import { attempt, FakeDriver, fakePool } from '../support/driver.ts';
import { gate, settled } from '../support/gate.ts';

const advice = 'Await all work before the end, and finish what it began.';

test('a residue that could be cleaned up is reported, and the connection pooled', async (t) => {
  const { pool } = fakePool(t);
  const events: unknown[] = [];
  pool.on('dirty', (event) => events.push(event));
  await pool.withConnection((db) => db.begin(), { label: 'job' });
  t.deepEqual(events, [
    {
      lease: 1,
      connection: 1,
      label: 'job',
      scope: 1,
      traces: ['open transaction'],
      message: `Scope #1 "job" of "fake" left behind: open transaction. ${advice}`,
    },
  ]);
  t.like(pool.stats(), { idle: 1, counters: { dirty: 1, discarded: 0 } });
});

test('a residue that can not be cleaned up is reported, and the connection discarded', async (t) => {
  const { pool, driver } = fakePool(t);
  const events: unknown[] = [];
  pool.on('dirty', (event) => events.push(event));
  pool.on('discard', (event) => events.push(event));
  pool.on('close', (event) => events.push(event));
  const db = await pool.acquire();
  db.soil('pragma', 'user function');
  await db.release();
  t.deepEqual(events, [
    {
      lease: 1,
      connection: 1,
      label: undefined,
      scope: undefined,
      traces: ['pragma', 'user function'],
      message: `Lease #1 of "fake" left behind: pragma, user function. ${advice}`,
    },
    { connection: 1, reason: 'pragma, user function' },
    { connection: 1, reason: 'pragma, user function' },
  ]);
  t.is(driver.connections.size, 0);
  t.like(pool.stats(), { size: 0, counters: { dirty: 1, discarded: 1, closed: 1 } });
});

test('failures of the clean-up are reported as errors', async (t) => {
  const { pool } = fakePool(t);
  const errors: Error[] = [];
  const reasons: string[] = [];
  pool.on('error', (error) => errors.push(error));
  pool.on('discard', ({ reason }) => reasons.push(reason));
  const failure = new Error('rollback failed');
  const residue: Residue = { traces: [], reusable: false, errors: [failure, 'text'] };
  const db = await pool.acquire();
  db.connection.residue = residue;
  await db.release();
  t.is(errors[0], failure);
  t.like(errors[1], { message: 'Cleaning a connection failed', cause: 'text' });
  t.deepEqual(reasons, ['failed clean-up']);
  t.is(pool.stats().counters.dirty, 0);
});

test('while a connection is cleaned up asynchronously, nobody has it and those who wait keep their turn', async (t) => {
  const { pool, driver } = fakePool(t, { max: 1 });
  const reclaiming = gate();
  driver.beforeReclaim = () => reclaiming.passed;
  const db = await pool.acquire();
  let released = false;
  void Promise.resolve(db.release()).then(() => {
    released = true;
  });
  const first = attempt(pool.acquire());
  await settled();
  t.false(released);
  t.like(pool.stats(), { size: 1, idle: 0, leased: 0, waiting: 1 });
  t.is(pool.tryAcquire(), undefined);
  const second = attempt(pool.acquire());
  reclaiming.open();
  await settled();
  t.true(released);
  t.is(first.handle?.use(), 1);
  t.is(second.state, 'waiting');
});

test('a dirty connection is found out asynchronously as well', async (t) => {
  const { pool, driver } = fakePool(t, { max: 1 });
  driver.beforeReclaim = () => settled();
  const db = await pool.acquire();
  db.soil('pragma');
  const next = attempt(pool.acquire());
  await db.release();
  await settled();
  t.is(next.handle?.use(), 2);
  t.is(pool.stats().counters.dirty, 1);
});

test('an asynchronous clean-up that never ends does not cost the slot for good', async (t) => {
  const { pool, driver, clock } = fakePool(t, { max: 1, acquireTimeout: 1000 });
  const reclaiming = gate();
  driver.beforeReclaim = () => reclaiming.passed;
  const db = await pool.acquire();
  void db.release();
  const waiting = attempt(pool.acquire({ timeout: Infinity }));
  await clock.pass(1000);
  t.is(waiting.handle?.use(), 2);
  reclaiming.open();
  await settled();
  t.is(waiting.handle?.use(), 2, 'nor does its late end change anything');
  t.like(pool.stats(), { size: 1, leased: 1 });
});

for (const [how, close] of [
  [
    'throws',
    () => {
      throw new Error('close');
    },
  ],
  ['rejects', () => Promise.reject(new Error('close'))],
] as const) {
  test(`a close that ${how} is reported, and the place is free all the same`, async (t) => {
    const { pool, driver } = fakePool(t, { max: 1 });
    const errors: string[] = [];
    pool.on('error', ({ message }) => errors.push(message));
    driver.beforeClose = close;
    const db = await pool.acquire();
    const next = attempt(pool.acquire());
    db.discard();
    await db.release();
    await settled();
    t.is(next.handle?.use(), 2);
    t.deepEqual(errors, ['close']);
    t.like(pool.stats(), { size: 1, counters: { closed: 1 } });
  });
}

test('while a connection closes asynchronously, its place is taken', async (t) => {
  const { pool, driver } = fakePool(t, { max: 1 });
  const closing = gate();
  driver.beforeClose = () => closing.passed;
  const db = await pool.acquire();
  db.discard();
  await db.release();
  const next = attempt(pool.acquire());
  await settled();
  t.is(next.state, 'waiting');
  t.like(pool.stats(), { size: 1, counters: { closed: 0 } });
  closing.open();
  await settled();
  t.is(next.handle?.use(), 2);
});

test('a close that never ends does not cost the slot for good', async (t) => {
  const { pool, driver, clock } = fakePool(t, { max: 1, acquireTimeout: 1000 });
  const closing = gate();
  driver.beforeClose = () => closing.passed;
  const db = await pool.acquire();
  db.discard();
  await db.release();
  const next = attempt(pool.acquire({ timeout: Infinity }));
  await clock.pass(1000);
  t.is(next.handle?.use(), 2);
  closing.open();
  await settled();
  t.like(pool.stats(), { size: 1, leased: 1, counters: { closed: 1 } });
});

test('a holder has its connection discarded, once and for one reason', async (t) => {
  const { pool } = fakePool(t);
  const reasons: string[] = [];
  pool.on('discard', ({ reason }) => reasons.push(reason));
  const db = await pool.acquire();
  db.discard('broken');
  db.discard('again');
  t.is(db.use(), 1, 'it serves its holder to the end');
  await db.release();
  t.deepEqual(reasons, ['broken']);
});

function fail(name: string, later: boolean): unknown {
  if (later) return Promise.reject(new Error(`${name} later`));
  throw new Error(name);
}

test('listeners that throw or reject disturb nothing and are reported', async (t) => {
  const { pool, clock } = fakePool(t, { max: 1 });
  const names: PoolEventName[] = ['open', 'close', 'wait', 'acquire', 'release', 'discard', 'dirty', 'timeout'];
  for (const name of names) {
    for (const later of [false, true]) pool.on(name, () => fail(name, later));
  }
  const errors: string[] = [];
  pool.on('error', ({ message }) => errors.push(message));
  pool.on('error', () => {
    throw new Error('of the listener of errors');
  });
  const db = await pool.acquire();
  const late = attempt(pool.acquire({ timeout: 10 }));
  await clock.pass(10);
  t.is(late.state, 'refused');
  const next = attempt(pool.acquire());
  db.soil('pragma');
  await db.release();
  await settled();
  t.is(next.handle?.use(), 2);
  for (const name of names) {
    t.true(errors.includes(name), name);
    t.true(errors.includes(`${name} later`), name);
  }
});

/** A driver that opens and closes as one of a server would: by promises. */
function asyncDriver(): FakeDriver {
  const driver = new FakeDriver();
  driver.beforeOpen = () => Promise.resolve();
  driver.beforeClose = () => Promise.resolve();
  return driver;
}

test('a connection on its way from the driver counts at every step', async (t) => {
  for (let steps = 0; steps < 20; steps++) {
    const { pool, driver } = fakePool(t, { max: 1 }, asyncDriver());
    const first = attempt(pool.acquire());
    for (let step = 0; step < steps; step++) await Promise.resolve();
    t.is(pool.stats().size, 1, `after ${steps} steps`);
    const second = attempt(pool.acquire());
    await settled();
    t.is(driver.opens, 1);
    t.deepEqual([first.state, second.state], ['granted', 'waiting']);
    await first.handle?.release();
    await settled();
    await second.handle?.release();
  }
});

test('close waits for a connection at every step of its way from the driver', async (t) => {
  for (let steps = 0; steps < 20; steps++) {
    const { pool, driver } = fakePool(t, { max: 1 }, asyncDriver());
    void attempt(pool.acquire());
    for (let step = 0; step < steps; step++) await Promise.resolve();
    await pool.close({ timeout: 0 });
    t.is(driver.connections.size, 0, `after ${steps} steps`);
  }
});

test('a smaller max closes as many as are too many, however long a close takes', async (t) => {
  const { pool, driver } = fakePool(t, { max: 8, min: 8 }, asyncDriver());
  await pool.ready();
  const slow = gate();
  driver.beforeClose = () => slow.passed;
  pool.resize({ max: 6 });
  slow.open();
  await settled();
  t.like(pool.stats(), { size: 6, idle: 6 });
});

test('leases that come back together to a smaller max close no more than are too many', async (t) => {
  const { pool, driver } = fakePool(t, { max: 4 }, asyncDriver());
  const handles = await Promise.all(Array.from({ length: 4 }, () => pool.acquire()));
  const slow = gate();
  driver.beforeClose = () => slow.passed;
  pool.resize({ max: 2 });
  for (const handle of handles) void handle.release();
  slow.open();
  await settled();
  t.like(pool.stats(), { size: 2, idle: 2 });
});

test('the idle timeout keeps min connections, however long a close takes', async (t) => {
  const { pool, driver, clock } = fakePool(t, { max: 6, min: 3, idleTimeout: 1000 }, asyncDriver());
  const handles = await Promise.all(Array.from({ length: 6 }, () => pool.acquire()));
  for (const handle of handles) void handle.release();
  const slow = gate();
  driver.beforeClose = () => slow.passed;
  await clock.pass(2000);
  slow.open();
  await settled();
  t.like(pool.stats(), { size: 3, idle: 3 });
});
