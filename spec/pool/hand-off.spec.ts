import { AsyncLocalStorage } from 'node:async_hooks';
import test from 'ava';
import type { AcquireTimeoutError } from '../../lib/congestion-errors.ts';
import { ReleasedError } from '../../lib/errors.ts';
import { attempt, type FakeHandle, fakePool } from '../support/driver.ts';
import { settled } from '../support/gate.ts';

test('a connection that nobody waits for is kept and serves the next acquire', async (t) => {
  const { pool, driver } = fakePool(t);
  const first = await pool.acquire();
  await first.release();
  t.like(pool.stats(), { size: 1, idle: 1, leased: 0 });
  const second = await pool.acquire();
  t.is(second.use(), first.connection.id);
  t.is(driver.opens, 1);
  t.not(second, first, 'on a handle of its own');
});

test('a released connection is the next holder’s in the same step', async (t) => {
  const { pool } = fakePool(t, { max: 1 });
  const first = await pool.acquire({ label: 'first' });
  const second = attempt(pool.acquire({ label: 'second' }));
  const third = attempt(pool.acquire({ label: 'third' }));
  void first.release();
  t.like(pool.stats(), { idle: 0, leased: 1, waiting: 1 });
  t.deepEqual(
    pool.leases().map(({ label }) => label),
    ['second'],
  );
  await settled();
  t.is(second.state, 'granted');
  t.is(third.state, 'waiting', 'one release wakes one waiter');
});

test('a newcomer never overtakes, not even in the tick of a release', async (t) => {
  const { pool } = fakePool(t, { max: 1 });
  const holder = await pool.acquire();
  const waiting = attempt(pool.acquire());
  void holder.release();
  t.is(pool.tryAcquire(), undefined);
  const newcomer = attempt(pool.acquire());
  const scoped = pool.withConnection((db) => db.use());
  await settled();
  t.is(waiting.state, 'granted');
  t.is(newcomer.state, 'waiting');
  await waiting.handle?.release();
  await settled();
  t.is(newcomer.state, 'granted');
  await newcomer.handle?.release();
  t.is(await scoped, 1);
});

test('a thousand waiters are served once each, in the order of their arrival', async (t) => {
  const { pool, driver } = fakePool(t, { max: 3, maxWaiting: Infinity });
  const order: number[] = [];
  const use = async (index: number) => {
    const db = await pool.acquire();
    order.push(index);
    db.use();
    await Promise.resolve();
    await db.release();
  };
  await Promise.all(Array.from({ length: 1000 }, (_, index) => use(index)));
  t.deepEqual(
    order,
    Array.from({ length: 1000 }, (_, index) => index),
  );
  t.is(driver.opens, 3);
  t.like(pool.stats(), { idle: 3, leased: 0, waiting: 0 });
});

test('priority comes before arrival', async (t) => {
  const { pool } = fakePool(t, { max: 1 });
  const holder = await pool.acquire();
  const served: (string | undefined)[] = [];
  pool.on('acquire', ({ label }) => served.push(label));
  const waiters = [
    ['low', -1],
    ['first', 0],
    ['high', 5],
    ['second', undefined],
    ['high too', 5],
  ] as const;
  const all = waiters.map(([label, priority]) => pool.acquire({ label, priority }).then((db) => db.release()));
  void holder.release();
  await Promise.all(all);
  t.deepEqual(served, ['high', 'high too', 'first', 'second', 'low']);
});

test('at hand-off a waiter past its deadline is refused and the connection goes to the next', async (t) => {
  const { pool, clock } = fakePool(t, { max: 1 });
  const holder = await pool.acquire();
  const late = attempt(pool.acquire({ timeout: 100 }));
  const patient = attempt(pool.acquire({ timeout: 1000 }));
  clock.skip(100);
  void holder.release();
  await settled();
  t.is((late.error as AcquireTimeoutError).code, 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT');
  t.is(patient.state, 'granted');
  t.is(pool.stats().counters.timeouts, 1);
});

test('where every waiter is past its deadline at hand-off, the connection is kept', async (t) => {
  const { pool, clock } = fakePool(t, { max: 1 });
  const holder = await pool.acquire();
  const late = [attempt(pool.acquire({ timeout: 10 })), attempt(pool.acquire({ timeout: 20 }))];
  clock.skip(1000);
  void holder.release();
  await settled();
  t.deepEqual(
    late.map(({ state }) => state),
    ['refused', 'refused'],
  );
  t.like(pool.stats(), { idle: 1, leased: 0, waiting: 0 });
});

test('a second release is a no-op and counted, whoever has the connection by then', async (t) => {
  const { pool } = fakePool(t, { max: 1 });
  const first = await pool.acquire();
  const second = attempt(pool.acquire());
  const third = attempt(pool.acquire());
  void first.release();
  void first.release();
  await settled();
  await first[Symbol.asyncDispose]();
  first.discard();
  t.is(second.handle?.use(), 1);
  t.is(third.state, 'waiting');
  t.like(pool.stats(), { leased: 1, counters: { doubleReleases: 2, released: 1, acquired: 2 } });
  await second.handle?.release();
  t.is(pool.stats().counters.discarded, 0);
});

test('an old handle never reaches the connection again', async (t) => {
  const { pool } = fakePool(t, { max: 1, name: 'app' });
  const first = await pool.acquire({ label: 'first' });
  await first.release();
  const second = await pool.acquire();
  const error = t.throws(() => first.use(), { instanceOf: ReleasedError, code: 'ERR_LEASEHOLD_RELEASED' });
  t.like(error, { pool: 'app', lease: 1, label: 'first', end: 'released', releaseStack: undefined });
  t.is(second.use(), 1);
});

test('a waiter goes on in its own async context, not in that of who released', async (t) => {
  const { pool } = fakePool(t, { max: 1 });
  const storage = new AsyncLocalStorage<string>();
  const holder = await pool.acquire();
  const use = async () => {
    const db = await pool.acquire();
    const granted = storage.getStore();
    await db.release();
    return [granted, storage.getStore()];
  };
  const waiting = [storage.run('second', use), storage.run('third', use)];
  await storage.run('releaser', () => holder.release());
  t.deepEqual(await Promise.all(waiting), [
    ['second', 'second'],
    ['third', 'third'],
  ]);
});

test('tryAcquire takes an idle connection or opens one, and never waits', async (t) => {
  const { pool, driver } = fakePool(t);
  const first = pool.tryAcquire({ label: 'first' });
  t.is(first?.use(), 1);
  void first?.release();
  const again = pool.tryAcquire();
  t.is(again?.use(), 1);
  t.is(pool.tryAcquire()?.use(), 2);
  t.is(pool.tryAcquire(), undefined);
  t.is(driver.opens, 2);
  t.like(pool.stats(), { leased: 2, waiting: 0, counters: { acquired: 3 } });
});

test('an open transaction shows in leases', async (t) => {
  const { pool, clock } = fakePool(t);
  const db: FakeHandle = await pool.acquire({ label: 'writer' });
  db.begin();
  clock.advance(40);
  t.deepEqual(pool.leases(), [
    {
      id: 1,
      connection: 1,
      label: 'writer',
      age: 40,
      idleFor: 40,
      inTransaction: true,
      mode: 'connection',
      scope: undefined,
    },
  ]);
});
