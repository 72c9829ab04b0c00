import test from 'ava';
import { attempt, fakePool } from '../support/driver.ts';
import { gate, settled } from '../support/gate.ts';

test('a larger max serves those who wait at once', async (t) => {
  const { pool } = fakePool(t, { max: 1 });
  await pool.acquire();
  const waiting = [1, 2, 3].map(() => attempt(pool.acquire()));
  pool.resize({ max: 3 });
  await settled();
  t.deepEqual(
    waiting.map(({ state }) => state),
    ['granted', 'granted', 'waiting'],
  );
  t.like(pool.stats(), { max: 3, size: 3 });
});

test('a smaller max closes idle connections above it, those unused for longest first', async (t) => {
  const { pool } = fakePool(t, { max: 4 });
  const handles = [await pool.acquire(), await pool.acquire(), await pool.acquire(), await pool.acquire()];
  for (const handle of handles.slice(1)) await handle.release();
  const closed: unknown[] = [];
  pool.on('close', (event) => closed.push(event));
  pool.resize({ max: 2 });
  t.deepEqual(closed, [
    { connection: 2, reason: 'resize' },
    { connection: 3, reason: 'resize' },
  ]);
  t.like(pool.stats(), { size: 2, idle: 1, leased: 1, max: 2 });
});

test('a smaller max takes no connection from a holder, and closes what comes back above it', async (t) => {
  const { pool } = fakePool(t, { max: 3 });
  const reasons: string[] = [];
  pool.on('discard', ({ reason }) => reasons.push(reason));
  const handles = [await pool.acquire(), await pool.acquire(), await pool.acquire()];
  pool.resize({ max: 1 });
  const waiting = attempt(pool.acquire());
  for (const handle of handles) handle.use();
  await handles[0]?.release();
  await handles[1]?.release();
  t.is(waiting.state, 'waiting');
  t.like(pool.stats(), { size: 1, leased: 1 });
  t.deepEqual(reasons, ['resize', 'resize']);
  await handles[2]?.release();
  await settled();
  t.is(waiting.handle?.use(), 3);
});

test('a connection that is closing does not count against a smaller max', async (t) => {
  const { pool, driver } = fakePool(t, { max: 3 });
  const closing = gate();
  driver.beforeClose = () => closing.passed;
  const handles = [await pool.acquire(), await pool.acquire(), await pool.acquire()];
  pool.resize({ max: 2 });
  for (const handle of handles) await handle.release();
  t.like(pool.stats(), { size: 3, idle: 2, counters: { discarded: 1 } });
  pool.resize({ max: 2 });
  t.is(pool.stats().idle, 2);
  closing.open();
  await settled();
  t.like(pool.stats(), { size: 2, idle: 2 });
});

test('an open under way counts against a smaller max when it arrives', async (t) => {
  const { pool, driver } = fakePool(t, { max: 2 });
  const opening = gate();
  driver.beforeOpen = () => opening.passed;
  const both = [attempt(pool.acquire()), attempt(pool.acquire())];
  pool.resize({ max: 1 });
  opening.open();
  await settled();
  t.is(both.filter(({ state }) => state === 'granted').length, 1);
  t.like(pool.stats(), { size: 1, leased: 1, waiting: 1 });
  t.is(driver.connections.size, 1);
});

test('a connection in its onAcquire hook counts against a smaller max when the hook is done', async (t) => {
  let hook: Promise<void> | undefined;
  const { pool } = fakePool(t, { max: 2, onAcquire: () => hook });
  await pool.acquire();
  const preparing = gate();
  hook = preparing.passed;
  const second = attempt(pool.acquire());
  pool.resize({ max: 1 });
  preparing.open();
  await settled();
  t.is(pool.stats().leased, 1);
  t.is(second.state, 'waiting');
});

test('min follows a smaller max, and a larger one is kept up', async (t) => {
  const { pool, clock } = fakePool(t, { max: 4, min: 3, idleTimeout: 10_000 });
  await pool.ready();
  pool.resize({ max: 2 });
  t.like(pool.stats(), { min: 2, max: 2, size: 2 });
  pool.resize({ max: 5, min: 4 });
  await clock.pass(1000);
  t.like(pool.stats(), { min: 4, max: 5, idle: 4 });
  pool.resize({ min: 0 });
  await clock.pass(60_000);
  t.is(pool.stats().size, 0);
});

test('a bad size is refused and changes nothing', (t) => {
  const { pool } = fakePool(t);
  for (const bad of [{ max: 0 }, { max: 1.5 }, { min: 3 }, { max: 1, min: 2 }, { size: 3 }, null]) {
    t.throws(() => pool.resize(bad as never), { code: 'ERR_LEASEHOLD_OPTIONS' });
  }
  t.like(pool.stats(), { max: 2, min: 0 });
});

test('a closed pool is not resized', async (t) => {
  const { pool } = fakePool(t);
  await pool.close();
  t.throws(() => pool.resize({ max: 3 }), { code: 'ERR_LEASEHOLD_CLOSED' });
});

test('drain replaces every connection that is there: idle ones now, the others when they come back', async (t) => {
  const { pool, driver } = fakePool(t, { max: 3 });
  const handles = [await pool.acquire(), await pool.acquire(), await pool.acquire()];
  await handles[0]?.release();
  const closed: unknown[] = [];
  pool.on('close', (event) => closed.push(event));
  let drained = false;
  void pool.drain().then(() => {
    drained = true;
  });
  t.deepEqual(closed, [{ connection: 1, reason: 'drain' }]);
  const fresh = await pool.acquire();
  t.is(fresh.use(), 4, 'new acquires are served meanwhile');
  handles[1]?.use();
  await handles[1]?.release();
  await settled();
  t.false(drained);
  await handles[2]?.release();
  await settled();
  t.true(drained);
  t.is(driver.connections.size, 1);
  await fresh.release();
  t.like(pool.stats(), { idle: 1, counters: { discarded: 2 } });
});

test('a drained connection that comes back makes room for a waiter', async (t) => {
  const { pool } = fakePool(t, { max: 1 });
  const db = await pool.acquire();
  const waiting = attempt(pool.acquire());
  const draining = pool.drain();
  await db.release();
  await draining;
  t.is(waiting.handle?.use(), 2);
});

test('drain waits for the last close, and closing the pool ends it', async (t) => {
  const { pool, driver } = fakePool(t);
  const closing = gate();
  driver.beforeClose = () => closing.passed;
  const [idle, held] = [await pool.acquire(), await pool.acquire()];
  await idle.release();
  let drained = false;
  void pool.drain().then(() => {
    drained = true;
  });
  closing.open();
  await settled();
  t.false(drained);
  await pool.close({ timeout: 0 });
  await settled();
  t.true(drained);
  t.throws(() => held.use(), { code: 'ERR_LEASEHOLD_RELEASED' });
});

test('drain of an empty pool is done at once', async (t) => {
  await t.notThrowsAsync(fakePool(t).pool.drain());
});

test('closeIdle closes what is idle, also below min, and says how many', async (t) => {
  const { pool } = fakePool(t, { max: 3, min: 2 });
  const reasons: string[] = [];
  pool.on('close', ({ reason }) => reasons.push(reason));
  const handles = [await pool.acquire(), await pool.acquire(), await pool.acquire()];
  await handles[0]?.release();
  await handles[1]?.release();
  t.is(pool.closeIdle(), 2);
  t.is(pool.closeIdle(), 0);
  t.deepEqual(reasons, ['closeIdle', 'closeIdle']);
  t.like(pool.stats(), { size: 1, leased: 1, counters: { discarded: 0, closed: 2 } });
});

test('closeOverdue takes away what has been held for too long, and says how many', async (t) => {
  const { pool, driver, clock } = fakePool(t, { max: 3 });
  const log: unknown[] = [];
  pool.on('release', ({ lease, held }) => log.push([lease, held]));
  pool.on('discard', ({ connection, reason }) => log.push([connection, reason]));
  const old = await pool.acquire({ label: 'old' });
  await clock.pass(100);
  const young = await pool.acquire();
  await clock.pass(50);
  t.is(pool.closeOverdue(151), 0);
  t.is(pool.closeOverdue(150), 1);
  t.deepEqual(log, [
    [1, 150],
    [1, 'overdue'],
  ]);
  const error = t.throws(() => old.use(), { code: 'ERR_LEASEHOLD_RELEASED' });
  t.like(error, { end: 'overdue', label: 'old' });
  t.is(young.use(), 2);
  await old.release();
  t.is(driver.connections.size, 1);
  t.like(pool.stats(), { leased: 1, counters: { doubleReleases: 1, released: 1, discarded: 1 } });
  t.is(pool.closeOverdue(0), 1);
});

test('what closeOverdue frees serves those who wait', async (t) => {
  const { pool, driver } = fakePool(t, { max: 1 });
  driver.beforeReclaim = () => settled();
  await pool.acquire();
  const waiting = attempt(pool.acquire());
  t.is(pool.closeOverdue(0), 1);
  await settled();
  await settled();
  t.is(waiting.handle?.use(), 2);
});

test('closeOverdue is refused without an age', (t) => {
  const { pool } = fakePool(t);
  for (const age of [undefined, -1, '5', Number.NaN]) {
    const error = t.throws(() => pool.closeOverdue(age as number), { code: 'ERR_LEASEHOLD_OPTIONS' });
    t.like(error, { option: 'age' });
  }
});
