import test from 'ava';
import type { PoolEvents } from '../../lib/events.ts';
import { type FakeConnection, FakeDriver, type FakeHandle, fakePool, type TestContext } from '../support/driver.ts';

const gone = 'the target is gone';

/** A pool whose first connections lead to what is replaced as soon as `replace` is called. */
async function watched(t: TestContext, count: number) {
  const made = fakePool(t, { max: 4 });
  const told: PoolEvents['replace'][] = [];
  made.pool.on('replace', (event) => told.push(event));
  const closed: unknown[] = [];
  made.pool.on('close', ({ connection, reason }) => closed.push(`${connection} ${reason}`));
  const handles: FakeHandle[] = [];
  for (let index = 0; index < count; index++) handles.push(await made.pool.acquire());
  let looks = 0;
  let newest = Infinity;
  made.driver.outdated = ({ id }: FakeConnection) => {
    looks++;
    return id <= newest ? undefined : gone;
  };
  const replace = (): void => {
    const former = made.driver.opens;
    made.driver.outdated = ({ id }: FakeConnection) => {
      looks++;
      return id <= former ? gone : undefined;
    };
    newest = former;
  };
  return { ...made, told, closed, handles, replace, looks: () => looks };
}

test('an acquire that finds the target replaced is given a new connection, and the idle ones are closed', async (t) => {
  const { pool, clock, handles, told, closed, replace } = await watched(t, 3);
  for (const handle of handles) await handle.release();
  replace();
  await clock.pass(1000);
  const handle = await pool.acquire();
  t.is(handle.use(), 4);
  t.deepEqual(new Set(closed), new Set([`1 ${gone}`, `2 ${gone}`, `3 ${gone}`]));
  t.is(told.length, 1);
  t.like(told[0], { target: '/data/fake.db', reason: gone, retired: 3 });
  t.regex(told[0]?.message ?? '', /^3 connections of "fake" to "\/data\/fake\.db" retired: the target is gone\./);
});

test('a connection in use goes on, and is closed when it comes back', async (t) => {
  const { pool, clock, handles, told, closed, replace } = await watched(t, 2);
  const [first, second] = handles as [FakeHandle, FakeHandle];
  await second.release();
  replace();
  await clock.pass(1000);
  t.is((await pool.acquire()).use(), 3);
  t.deepEqual([first.use(), closed], [1, [`2 ${gone}`]]);
  await first.release();
  t.deepEqual(closed, [`2 ${gone}`, `1 ${gone}`]);
  t.is(told.length, 1);
});

test('a connection in use is retired once, however often its target is looked at before it comes back', async (t) => {
  const { pool, driver, clock, handles, told, closed, replace } = await watched(t, 1);
  replace();
  for (let look = 0; look < 3; look++) {
    await clock.pass(1000);
    await (await pool.acquire()).release();
  }
  t.deepEqual(
    told.map(({ retired }) => retired),
    [1],
  );
  await handles[0]?.release();
  t.deepEqual(closed, [`1 ${gone}`]);
  t.is(driver.opens, 2);
});

test('one that is handed on without ever being idle is found, too', async (t) => {
  const { pool, clock, handles, closed, replace } = await watched(t, 4);
  const waiting = pool.acquire();
  replace();
  await clock.pass(1000);
  await handles[0]?.release();
  t.is((await waiting).use(), 5);
  t.deepEqual(closed, [`1 ${gone}`]);
});

test('it looks once a second at most, however many come and go', async (t) => {
  const { pool, clock, handles, looks } = await watched(t, 1);
  await handles[0]?.release();
  const before = looks();
  for (let turn = 0; turn < 100; turn++) await (await pool.acquire()).release();
  await clock.pass(999);
  for (let turn = 0; turn < 100; turn++) await (await pool.acquire()).release();
  t.true(looks() - before <= 1, `${looks() - before}`);
  await clock.pass(1001);
  for (let turn = 0; turn < 100; turn++) await (await pool.acquire()).release();
  t.true(looks() - before <= 2 && looks() > before, `${looks() - before}`);
});

test('tryAcquire finds it as well', async (t) => {
  const { pool, clock, handles, replace } = await watched(t, 1);
  await handles[0]?.release();
  replace();
  await clock.pass(1000);
  t.is(pool.tryAcquire()?.use(), 2);
});

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
