import test from 'ava';
import { attempt, fakePool } from '../support/driver.ts';
import { gate, settled } from '../support/gate.ts';

// A connection that `onAcquire` refuses is closed, which may take its time. Whoever waited for it has not to wait for that.

/** What an asynchronous hook may come to that refuses. */
const refusals: Record<string, () => unknown> = {
  'resolves to false': () => false,
  rejects: () => {
    throw new Error('stale');
  },
};

for (const [how, refuse] of Object.entries(refusals)) {
  for (const slow of ['beforeReclaim', 'beforeClose'] as const) {
    test(`who waits for an asynchronous onAcquire that ${how} is given another idle connection at once (${slow})`, async (t) => {
      const [deciding, closing] = [gate(), gate()];
      const { pool, driver } = fakePool(t, {
        max: 3,
        onAcquire: async (db, { uses }) => {
          if (uses === 0 || db.connection.id !== 3) return undefined;
          await deciding.passed;
          return refuse();
        },
      });
      const handles = [await pool.acquire(), await pool.acquire(), await pool.acquire()];
      for (const handle of handles) await handle.release();
      driver[slow] = ({ id }) => (id === 3 ? closing.passed : undefined);
      const waiting = attempt(pool.acquire());
      await settled();
      t.is(waiting.state, 'waiting');
      t.like(pool.stats(), { size: 3, idle: 2, waiting: 1 });
      deciding.open();
      await settled();
      t.is(waiting.handle?.use(), 2, 'while the one that was refused is not closed yet');
      t.is(driver.opens, 3);
      t.like(pool.stats(), { size: 3, idle: 1, leased: 1, waiting: 0 });
      closing.open();
      await settled();
      t.like(pool.stats(), { size: 2, idle: 1, leased: 1, waiting: 0 });
      await waiting.handle?.release();
    });
  }
}

test('of several whose connections are refused at a time, each is given another as far as there are any', async (t) => {
  const [deciding, closing] = [gate(), gate()];
  const { pool, driver } = fakePool(t, {
    max: 4,
    onAcquire: async (db, { uses }) => {
      if (uses === 0 || db.connection.id < 3) return undefined;
      await deciding.passed;
      return false;
    },
  });
  const handles = await Promise.all([1, 2, 3, 4].map(() => pool.acquire()));
  for (const handle of handles) await handle.release();
  driver.beforeClose = ({ id }) => (id < 3 ? undefined : closing.passed);
  const waiting = [1, 2, 3].map(() => attempt(pool.acquire()));
  await settled();
  // Two of them wait for a hook that does not answer, the third was given a connection of its own.
  t.like(pool.stats(), { size: 4, idle: 1, leased: 1, waiting: 2 });
  deciding.open();
  await settled();
  t.deepEqual(
    waiting.map(({ state }) => state),
    ['granted', 'granted', 'waiting'],
  );
  closing.open();
  await settled();
  await settled();
  t.is(waiting[2]?.state, 'granted', 'there was room for a new one');
  t.is(driver.opens, 5);
  for (const { handle } of waiting) await handle?.release();
});

test('where the pool was closed meanwhile, nothing is handed on', async (t) => {
  const deciding = gate();
  const { pool, driver } = fakePool(t, {
    onAcquire: async (_, { uses }) => {
      if (uses > 0) await deciding.passed;
      return uses === 0;
    },
  });
  const handles = [await pool.acquire(), await pool.acquire()];
  for (const handle of handles) await handle.release();
  const waiting = attempt(pool.acquire());
  await settled();
  const closing = pool.close();
  deciding.open();
  await closing;
  t.like(waiting.error, { code: 'ERR_LEASEHOLD_CLOSED' });
  t.is(driver.connections.size, 0);
});
