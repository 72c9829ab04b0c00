import test from 'ava';
import { attempt, fakePool, type TestContext } from '../support/driver.ts';
import { settled } from '../support/gate.ts';

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
