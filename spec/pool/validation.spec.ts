import test from 'ava';
import { attempt, FakeDriver, fakePool, type TestContext } from '../support/driver.ts';
import { gate, settled } from '../support/gate.ts';

/** A pool that has its connections looked at after 30 s without use. */
function validating(t: TestContext, options: Parameters<typeof fakePool>[1] = {}) {
  const driver = new FakeDriver();
  driver.validateAfter = 30_000;
  const looks: number[] = [];
  driver.beforeValidate = ({ id }) => void looks.push(id);
  const made = fakePool(t, options, driver);
  const discarded: string[] = [];
  made.pool.on('discard', ({ connection, reason }) => discarded.push(`${connection} ${reason}`));
  return { ...made, driver, looks, discarded };
}

test('a connection is validated before its lease where it was idle for long, and not otherwise', async (t) => {
  const { pool, clock, looks } = validating(t);
  await (await pool.acquire()).release();
  await clock.pass(29_999);
  await (await pool.acquire()).release();
  t.deepEqual(looks, []);
  await clock.pass(30_000);
  const handle = await pool.acquire();
  t.deepEqual([looks, handle.use()], [[1], 1]);
});

test('one that is of no use is closed, and the acquire is given another within its deadline', async (t) => {
  const { pool, clock, driver, discarded } = validating(t);
  await (await pool.acquire()).release();
  await clock.pass(30_000);
  driver.beforeValidate = () => Promise.reject(new Error('no answer'));
  const errors: unknown[] = [];
  pool.on('error', (error) => errors.push(error));
  const handle = await pool.acquire();
  t.is(handle.use(), 2);
  t.deepEqual(discarded, ['1 validate']);
  t.deepEqual(errors, []);
});

test('a validation that hangs is given up, at the latest with the deadline of whoever waits', async (t) => {
  const { pool, clock, driver } = validating(t, { acquireTimeout: 1000, max: 1 });
  await (await pool.acquire()).release();
  await clock.pass(30_000);
  const hanging = gate();
  driver.beforeValidate = () => hanging.passed;
  const waiting = attempt(pool.acquire());
  await clock.pass(1000);
  t.is(waiting.state, 'refused');
  await settled();
  t.is((await pool.acquire()).use(), 2);
  hanging.open();
});

test('a connection that comes back goes to the next without a look', async (t) => {
  const { pool, clock, looks } = validating(t, { max: 1 });
  const holder = await pool.acquire();
  const next = attempt(pool.acquire({ timeout: Infinity }));
  await clock.pass(60_000);
  await holder.release();
  await settled();
  t.is(next.handle?.use(), 1);
  t.deepEqual(looks, []);
});

test('validation comes before onAcquire, which sees none that has failed', async (t) => {
  const order: string[] = [];
  const { pool, clock, driver } = validating(t, {
    onAcquire: ({ connection }) => void order.push(`hook ${connection.id}`),
  });
  await (await pool.acquire()).release();
  await clock.pass(30_000);
  driver.beforeValidate = ({ id }) => {
    order.push(`look ${id}`);
    throw new Error('gone');
  };
  await pool.acquire();
  t.deepEqual(order, ['hook 1', 'look 1', 'hook 2']);
});

for (const order of ['lifo', 'fifo'] as const) {
  test(`with order '${order}' a connection that has to be validated keeps its turn`, async (t) => {
    const { pool, clock, looks } = validating(t, { order });
    const all = [await pool.acquire(), await pool.acquire()];
    for (const handle of all) await handle.release();
    await clock.pass(30_000);
    t.is((await pool.acquire()).use(), order === 'lifo' ? 2 : 1);
    t.deepEqual(looks, [order === 'lifo' ? 2 : 1]);
  });
}

test('tryAcquire does not wait for a validation: whoever comes next has the connection', async (t) => {
  const { pool, clock, looks } = validating(t);
  await (await pool.acquire()).release();
  await clock.pass(30_000);
  t.is(pool.tryAcquire(), undefined);
  await settled();
  t.deepEqual(looks, [1]);
  t.is(pool.tryAcquire()?.use(), 1);
});

test('where one is of no use, those that were used since are kept', async (t) => {
  const { pool, clock, driver, looks, discarded } = validating(t, { order: 'fifo' });
  const [old, recent] = [await pool.acquire(), await pool.acquire()];
  await old.release();
  await clock.pass(30_000);
  await recent.release();
  driver.beforeValidate = ({ id }) => {
    looks.push(id);
    throw new Error('no answer');
  };
  t.is((await pool.acquire()).use(), 2);
  t.deepEqual(looks, [1]);
  t.deepEqual(discarded, ['1 validate']);
  t.like(pool.stats(), { size: 1, counters: { opened: 2 } });
});

test('where one is of no use, the others that were idle for as long are closed with it', async (t) => {
  const { pool, clock, driver, looks } = validating(t, { max: 4 });
  const all = await Promise.all([pool.acquire(), pool.acquire(), pool.acquire(), pool.acquire()]);
  for (const handle of all.slice(1)) await handle.release();
  await clock.pass(30_000);
  await all[0]?.release();
  const recent = await pool.acquire();
  t.is(recent.use(), 1, 'used a moment ago, and so not asked');
  driver.beforeValidate = ({ id }) => {
    looks.push(id);
    throw new Error('no answer');
  };
  t.is((await pool.acquire()).use(), 5);
  t.is(looks.length, 1);
  t.like(pool.stats(), { size: 2, idle: 0 });
});
