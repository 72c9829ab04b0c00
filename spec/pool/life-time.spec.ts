import test from 'ava';
import type { PoolOptions } from '../../lib/options.ts';
import { attempt, type FakeHandle, fakePool, type TestContext } from '../support/driver.ts';
import { gate, settled } from '../support/gate.ts';

/** A pool with `count` idle connections that came back in the order of their numbers, and the log of its closes. */
async function idlePool(t: TestContext, count: number, options: PoolOptions = {}) {
  const made = fakePool(t, { max: count, ...options });
  const closed: unknown[] = [];
  made.pool.on('close', ({ connection, reason }) => closed.push(`${connection} ${reason}`));
  const handles: FakeHandle[] = [];
  for (let index = 0; index < count; index++) handles.push(await made.pool.acquire());
  for (const handle of handles) await handle.release();
  return { ...made, closed };
}

test('lifo hands out the connection used last', async (t) => {
  const { pool } = await idlePool(t, 3, { order: 'lifo' });
  t.is((await pool.acquire()).use(), 3);
  t.is((await pool.acquire()).use(), 2);
});

test('fifo hands out the connection unused for longest', async (t) => {
  const { pool } = await idlePool(t, 3, { order: 'fifo' });
  const first = await pool.acquire();
  t.is(first.use(), 1);
  await first.release();
  t.is((await pool.acquire()).use(), 2);
});

test('an idle connection is closed when it has been unused for idleTimeout', async (t) => {
  const { pool, clock, closed } = await idlePool(t, 2, { idleTimeout: 10_000 });
  await clock.pass(5000);
  const busy = await pool.acquire();
  await busy.release();
  await clock.pass(5000);
  t.deepEqual(closed, ['1 idleTimeout'], 'the one in use meanwhile stays');
  await clock.pass(6000);
  t.deepEqual(closed, ['1 idleTimeout', '2 idleTimeout']);
  t.is(pool.stats().size, 0);
  t.is(clock.pending, 0, 'and with the last connection goes the timer');
});

test('idle connections up to min stay open, those unused for longest go', async (t) => {
  for (const order of ['lifo', 'fifo'] as const) {
    const { pool, clock, closed } = await idlePool(t, 4, { idleTimeout: 1000, min: 2, order });
    await clock.pass(60_000);
    t.deepEqual(closed, ['1 idleTimeout', '2 idleTimeout']);
    t.like(pool.stats(), { size: 2, idle: 2 });
  }
});

test('an idleTimeout of Infinity closes nothing', async (t) => {
  const { clock, closed } = await idlePool(t, 2, { idleTimeout: Infinity });
  await clock.pass(1e6);
  t.deepEqual(closed, []);
});

test('a short idleTimeout is kept within a quarter of itself', async (t) => {
  const { clock, closed } = await idlePool(t, 1, { idleTimeout: 100 });
  await clock.pass(99);
  t.deepEqual(closed, []);
  await clock.pass(26);
  t.deepEqual(closed, ['1 idleTimeout']);
});

test('the housekeeping never holds the process', async (t) => {
  const { clock } = await idlePool(t, 1);
  for (let round = 0; round < 3; round++) {
    t.true(clock.pending > 0);
    t.is(clock.holding, 0);
    await clock.pass(5000);
  }
});

test('a connection in use is never ended by maxLifetime, and is retired on its return', async (t) => {
  const { pool, clock } = fakePool(t, { maxLifetime: 10_000 });
  const reasons: string[] = [];
  pool.on('discard', ({ reason }) => reasons.push(reason));
  const db = await pool.acquire();
  await clock.pass(60_000);
  t.is(db.use(), 1);
  await db.release();
  t.deepEqual(reasons, ['maxLifetime']);
  t.is(pool.stats().size, 0);
});

test('an idle connection past its life time is closed, even below min', async (t) => {
  const { clock, closed } = await idlePool(t, 2, { maxLifetime: 10_000, min: 2 });
  await clock.pass(9000);
  t.deepEqual(closed, []);
  await clock.pass(2000);
  t.deepEqual(new Set(closed), new Set(['1 maxLifetime', '2 maxLifetime']));
});

test('an idle connection past its life time is not handed out, though no housekeeping has run', async (t) => {
  const { pool, clock, closed } = await idlePool(t, 2, { maxLifetime: 10_000 });
  clock.skip(10_000);
  t.is((await pool.acquire()).use(), 3);
  t.deepEqual(closed, ['2 maxLifetime', '1 maxLifetime']);
});

test('life times differ by up to five per cent, so that not all connections close together', async (t) => {
  const { clock, pool } = await idlePool(t, 100, { maxLifetime: 100_000, idleTimeout: Infinity });
  const closedAt: number[] = [];
  pool.on('close', () => closedAt.push(clock.now() - 1000));
  await clock.pass(94_999);
  t.is(closedAt.length, 0);
  await clock.pass(6001);
  t.is(closedAt.length, 100);
  t.true(new Set(closedAt).size > 1);
});

test('a new connection serves once, however short its life', async (t) => {
  const { pool, driver, clock } = fakePool(t, {
    maxLifetime: 5,
    onAcquire: () => {
      clock.skip(10);
    },
  });
  const db = await pool.acquire();
  t.is(db.use(), 1);
  await db.release();
  t.is(driver.connections.size, 0);
});

test('a connection that is closing does not count towards min', async (t) => {
  const { pool, clock, driver, closed } = await idlePool(t, 3, { idleTimeout: 1000, min: 1 });
  const closing = gate();
  driver.beforeClose = () => closing.passed;
  await clock.pass(5000);
  t.is(driver.connections.size, 1);
  closing.open();
  await settled();
  t.deepEqual(closed, ['1 idleTimeout', '2 idleTimeout']);
  t.is(pool.stats().idle, 1);
});

test('a connection is retired after maxUses leases', async (t) => {
  const { pool, driver } = fakePool(t, { maxUses: 3 });
  const reasons: string[] = [];
  pool.on('discard', ({ reason }) => reasons.push(reason));
  const used: number[] = [];
  for (let round = 0; round < 7; round++) {
    const db = await pool.acquire();
    used.push(db.use());
    await db.release();
  }
  t.deepEqual(used, [1, 1, 1, 2, 2, 2, 3]);
  t.deepEqual(reasons, ['maxUses', 'maxUses']);
  t.is(driver.connections.size, 1);
});

test('a maxUses of 1 gives everybody a new connection, also by direct hand-off', async (t) => {
  const { pool } = fakePool(t, { max: 1, maxUses: 1 });
  const used = await Promise.all([1, 2, 3].map(() => pool.withConnection((db) => db.use())));
  t.deepEqual(used, [1, 2, 3]);
});

function watched(t: TestContext, options: Parameters<typeof fakePool>[1] = {}) {
  const made = fakePool(t, options);
  const closed: string[] = [];
  made.pool.on('close', ({ connection, reason }) => closed.push(`${connection} ${reason}`));
  return { ...made, closed };
}

test('an idle connection that is lost is closed at once, and nobody gets it', async (t) => {
  const { pool, closed } = watched(t);
  const [first, second] = await Promise.all([pool.acquire(), pool.acquire()]);
  await first.release();
  await second.release();
  first.connection.lose('the server has ended it');
  t.deepEqual(closed, ['1 the server has ended it']);
  t.like(pool.stats(), { size: 1, idle: 1 });
  t.is((await pool.acquire()).use(), 2);
  t.is((await pool.acquire()).use(), 3);
});

test('a connection that is lost in use stays with its holder, and is closed when it comes back', async (t) => {
  const { pool, closed } = watched(t, { max: 1 });
  const holder = await pool.acquire();
  const next = attempt(pool.acquire());
  holder.connection.lose('cut');
  t.deepEqual([closed, holder.use()], [[], 1]);
  await holder.release();
  await settled();
  t.deepEqual(closed, ['1 cut']);
  t.is(next.handle?.use(), 2, 'whoever waits gets a new one');
});

test('a connection that is lost while it is being opened serves nobody', async (t) => {
  const { pool, driver, closed } = watched(t, { max: 1 });
  driver.beforeOpen = (onLost) => {
    driver.beforeOpen = () => {};
    onLost('came and went');
    onLost('once more');
  };
  t.is((await pool.acquire()).use(), 2);
  t.deepEqual(closed, ['1 came and went']);
});

test('a connection that is closed can be lost without harm', async (t) => {
  const { pool, closed } = watched(t);
  const holder = await pool.acquire();
  await holder.release();
  pool.closeIdle();
  holder.connection.lose('too late');
  t.deepEqual(closed, ['1 closeIdle']);
  t.is(pool.stats().size, 0);
});

test('connections kept up by min are replaced when they are lost', async (t) => {
  const { pool, clock, driver } = watched(t, { min: 2 });
  await pool.ready();
  for (const connection of driver.connections) connection.lose('restart');
  t.is(pool.stats().size, 0);
  await clock.pass(600_000);
  t.like(pool.stats(), { size: 2, idle: 2 });
});
