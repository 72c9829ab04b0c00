import { getEventListeners } from 'node:events';
import test from 'ava';
import { AbortError } from '../../lib/errors.ts';
import { attempt, FakeDriver, fakePool } from '../support/driver.ts';
import { gate, settled } from '../support/gate.ts';

test('an acquire whose signal is aborted already takes nothing', async (t) => {
  const { pool, driver } = fakePool(t);
  const reason = new Error('client gone');
  const signal = AbortSignal.abort(reason);
  const error = await t.throwsAsync(pool.acquire({ signal }), { instanceOf: AbortError });
  t.like(error, { name: 'AbortError', code: 'ABORT_ERR', cause: reason });
  t.throws(() => pool.tryAcquire({ signal }), { instanceOf: AbortError });
  t.is(driver.opens, 0);
  t.like(pool.stats(), { waiting: 0, counters: { aborted: 2 } });
});

test('an abort ends the wait of its acquire and of no other', async (t) => {
  const { pool } = fakePool(t, { max: 1 });
  const holder = await pool.acquire();
  const controller = new AbortController();
  const aborted = attempt(pool.acquire({ signal: controller.signal }));
  const other = attempt(pool.acquire());
  controller.abort('reason');
  t.is(pool.stats().waiting, 1);
  await settled();
  t.like(aborted.error, { name: 'AbortError', cause: 'reason' });
  void holder.release();
  await settled();
  t.is(other.state, 'granted');
  t.like(pool.stats().counters, { aborted: 1, timeouts: 0, acquired: 2 });
});

test('one signal aborts all who share it', async (t) => {
  const { pool } = fakePool(t, { max: 1 });
  await pool.acquire();
  const controller = new AbortController();
  const all = Array.from({ length: 50 }, () => attempt(pool.acquire({ signal: controller.signal })));
  controller.abort();
  await settled();
  t.true(all.every(({ error }) => error instanceof AbortError));
  t.is(pool.stats().waiting, 0);
});

test('an abort just before the release sends the connection to the next', async (t) => {
  const { pool } = fakePool(t, { max: 1 });
  const holder = await pool.acquire();
  const controller = new AbortController();
  const aborted = attempt(pool.acquire({ signal: controller.signal }));
  const next = attempt(pool.acquire());
  controller.abort();
  void holder.release();
  await settled();
  t.is(aborted.state, 'refused');
  t.is(next.state, 'granted');
});

test('an abort just after the release finds the connection granted, and it is not lost', async (t) => {
  const { pool } = fakePool(t, { max: 1 });
  const holder = await pool.acquire();
  const controller = new AbortController();
  const granted = attempt(pool.acquire({ signal: controller.signal }));
  void holder.release();
  controller.abort();
  await settled();
  t.is(granted.state, 'granted');
  t.true(granted.handle?.lease.signal?.aborted, 'the handle knows');
  await granted.handle?.release();
  t.like(pool.stats(), { idle: 1, leased: 0, counters: { aborted: 0 } });
});

test('an abort after the acquire leaves the lease to its holder', async (t) => {
  const { pool } = fakePool(t, { max: 1 });
  const controller = new AbortController();
  const db = await pool.acquire({ signal: controller.signal });
  controller.abort();
  t.is(pool.stats().leased, 1);
  await db.release();
  t.like(pool.stats(), { idle: 1, counters: { aborted: 0, discarded: 0 } });
});

test('an abort from within the acquire event does not lose the connection', async (t) => {
  const { pool } = fakePool(t, { max: 1 });
  const holder = await pool.acquire();
  const controller = new AbortController();
  pool.on('acquire', ({ label }) => {
    if (label === 'aborted') controller.abort();
  });
  const aborted = attempt(pool.acquire({ label: 'aborted', signal: controller.signal }));
  const next = attempt(pool.acquire());
  void holder.release();
  await settled();
  // Whoever of the two may count as first, the connection has a holder who knows of it.
  await aborted.handle?.release();
  await settled();
  t.is(next.state, 'granted');
});

test('no listener stays on a signal, however the acquire ends', async (t) => {
  const { pool, clock } = fakePool(t, { max: 1 });
  const { signal } = new AbortController();
  const listeners = () => getEventListeners(signal, 'abort').length;
  const holder = await pool.acquire({ signal });
  t.is(listeners(), 0, 'at once');
  void attempt(pool.acquire({ signal }));
  t.is(listeners(), 1);
  void holder.release();
  t.is(listeners(), 0, 'granted');
  void attempt(pool.acquire({ signal, timeout: 10 }));
  await clock.pass(10);
  t.is(listeners(), 0, 'timed out');
  void attempt(pool.acquire({ signal }));
  t.is(listeners(), 1);
  await pool.close({ timeout: 0 });
  t.is(listeners(), 0, 'closed');
});

test('an abort while a connection is opened for it leaves that connection to the pool', async (t) => {
  const driver = new FakeDriver();
  const opening = gate();
  driver.beforeOpen = () => opening.passed;
  const { pool } = fakePool(t, { max: 1 }, driver);
  const controller = new AbortController();
  const aborted = attempt(pool.acquire({ signal: controller.signal }));
  controller.abort();
  await settled();
  t.is(aborted.state, 'refused');
  opening.open();
  await settled();
  t.like(pool.stats(), { size: 1, idle: 1 });
});

test('an abort while a hook prepares the connection leaves it to the next', async (t) => {
  const hook = gate();
  const { pool } = fakePool(t, { max: 1, onAcquire: () => hook.passed });
  const controller = new AbortController();
  const aborted = attempt(pool.acquire({ signal: controller.signal }));
  const next = attempt(pool.acquire());
  controller.abort();
  hook.open();
  await settled();
  t.is(aborted.state, 'refused');
  t.is(next.state, 'granted');
  await next.handle?.release();
  t.like(pool.stats(), { size: 1, idle: 1, counters: { discarded: 0 } });
});

test('abort and deadline in the same tick settle the acquire once', async (t) => {
  const { pool, clock } = fakePool(t, { max: 1 });
  await pool.acquire();
  const controller = new AbortController();
  const first = attempt(pool.acquire({ signal: controller.signal, timeout: 10 }));
  clock.advance(10);
  controller.abort();
  await settled();
  t.like(first.error, { code: 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT' });
  t.like(pool.stats(), { waiting: 0, counters: { timeouts: 1, aborted: 0 } });
});
