import test from 'ava';
import { AbortError } from '../../lib/errors.ts';
import { attempt, fakePool } from '../support/driver.ts';
import { settled } from '../support/gate.ts';

test('a signal whose earlier listener frees the connection does not get it for the acquire it aborts', async (t) => {
  const { pool } = fakePool(t, { max: 1 });
  const holder = await pool.acquire();
  const controller = new AbortController();
  controller.signal.addEventListener('abort', () => void holder.release());
  const aborted = attempt(pool.acquire({ signal: controller.signal }));
  const next = attempt(pool.acquire());
  controller.abort();
  await settled();
  t.true(aborted.error instanceof AbortError);
  t.is(next.state, 'granted');
  t.like(pool.stats().counters, { aborted: 1, acquired: 2 });
});

test('a listener of a timeout may acquire again', async (t) => {
  const { pool, clock } = fakePool(t, { max: 1 });
  const holder = await pool.acquire();
  const again: ReturnType<typeof attempt>[] = [];
  pool.once('timeout', () => again.push(attempt(pool.acquire({ timeout: 50 }))));
  const late = attempt(pool.acquire({ timeout: 10 }));
  await clock.pass(10);
  t.is(late.state, 'refused');
  t.is(pool.stats().waiting, 1);
  void holder.release();
  await settled();
  t.is(again[0]?.state, 'granted');
});

test('a listener of a timeout may close the pool during a hand-off', async (t) => {
  const { pool, clock, driver } = fakePool(t, { max: 1 });
  const holder = await pool.acquire();
  pool.on('timeout', () => void pool.close());
  const late = attempt(pool.acquire({ timeout: 10 }));
  const patient = attempt(pool.acquire());
  clock.skip(10);
  void holder.release();
  await settled();
  t.like(late.error, { code: 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT' });
  t.like(patient.error, { code: 'ERR_LEASEHOLD_CLOSED' });
  t.is(driver.connections.size, 0);
});

test('an acquire during which a listener closes the pool is refused', async (t) => {
  const { pool, clock, driver } = fakePool(t, { maxLifetime: 1000 });
  await (await pool.acquire()).release();
  pool.on('close', () => void pool.close());
  clock.skip(1000);
  await t.throwsAsync(pool.acquire(), { code: 'ERR_LEASEHOLD_CLOSED' });
  t.is(driver.connections.size, 0);
});

test('a tryAcquire during which onOpen closes the pool is refused, and its connection closed', async (t) => {
  const { pool, driver } = fakePool(t, { onOpen: () => void pool.close() });
  t.throws(() => pool.tryAcquire(), { code: 'ERR_LEASEHOLD_CLOSED' });
  await settled();
  t.is(driver.opens, 1);
  t.is(driver.connections.size, 0);
});

test('a listener may close idle connections while the housekeeping does', async (t) => {
  const { pool, clock } = fakePool(t, { max: 3, maxLifetime: 10_000 });
  const handles = [await pool.acquire(), await pool.acquire(), await pool.acquire()];
  for (const handle of handles) await handle.release();
  const closed: number[] = [];
  pool.on('close', ({ connection }) => {
    closed.push(connection);
    pool.closeIdle();
  });
  clock.skip(10_000);
  await clock.pass(1000);
  t.deepEqual(new Set(closed), new Set([1, 2, 3]));
  t.is(closed.length, 3);
});

test('what a listener puts back while the housekeeping closes others is not lost', async (t) => {
  const { pool, clock } = fakePool(t, { max: 3, maxLifetime: 10_000, order: 'fifo' });
  const old = [await pool.acquire(), await pool.acquire()];
  await clock.pass(5000);
  const young = await pool.acquire();
  for (const handle of [...old, young]) await handle.release();
  // Passes over the second of the old ones, which is closed on the way.
  pool.once('close', () => void pool.tryAcquire()?.release());
  clock.skip(5000);
  await clock.pass(1000);
  t.like(pool.stats(), { size: 1, idle: 1, counters: { closed: 2 } });
  t.is(pool.tryAcquire()?.use(), 3);
});

test('a listener may give back another lease that closeOverdue was about to take', async (t) => {
  const { pool } = fakePool(t);
  const [, second] = [await pool.acquire(), await pool.acquire()];
  pool.once('release', () => void second.release());
  t.is(pool.closeOverdue(0), 1);
  t.like(pool.stats(), { leased: 0, idle: 1, counters: { doubleReleases: 0, released: 2, discarded: 1 } });
});

test('a listener of a release may acquire, and comes after those who wait', async (t) => {
  const { pool } = fakePool(t, { max: 1 });
  const holder = await pool.acquire();
  const waiting = attempt(pool.acquire());
  const later: ReturnType<typeof attempt>[] = [];
  pool.once('release', () => later.push(attempt(pool.acquire())));
  void holder.release();
  await settled();
  t.is(waiting.state, 'granted');
  t.is(later[0]?.state, 'waiting');
  await waiting.handle?.release();
  await settled();
  t.is(later[0]?.state, 'granted');
});
