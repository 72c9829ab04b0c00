import test from 'ava';
import { FakeDriver, fakePool } from '../support/driver.ts';

test('connections to what was replaced are closed, though nobody listens for it', async (t) => {
  const { pool, driver, clock } = fakePool(t, { max: 2 });
  const [first, second] = [await pool.acquire(), await pool.acquire()];
  await first.release();
  driver.outdated = ({ id }) => (id <= 2 ? 'it was replaced' : undefined);
  await clock.pass(1000);
  const db = await pool.acquire();
  t.is(db.use(), 3, 'the idle one is not lent again');
  await second.release();
  t.deepEqual(
    [...driver.connections].map(({ id }) => id),
    [3],
    'and the other closed when it comes back',
  );
  await db.release();
  t.like(pool.stats(), { size: 1, idle: 1, counters: { closed: 2 } });
});

test('a driver that can not tell whether its database was replaced keeps its connections', async (t) => {
  const driver: { outdated?: unknown } = new FakeDriver();
  driver.outdated = undefined;
  const { pool, clock } = fakePool(t, { max: 1 }, driver as FakeDriver);
  for (let round = 0; round < 3; round++) {
    const db = await pool.acquire();
    t.is(db.use(), 1);
    await db.release();
    await clock.pass(2000);
  }
  t.like(pool.stats().counters, { opened: 1, closed: 0 });
});
