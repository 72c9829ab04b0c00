import test from 'ava';
import type { AcquireTimeoutError } from '../../lib/congestion-errors.ts';
import type { PoolEvents } from '../../lib/events.ts';
import type { PoolOptions } from '../../lib/options.ts';
import { attempt, fakePool, type TestContext } from '../support/driver.ts';
import { gate, settled } from '../support/gate.ts';

function watchedPool(t: TestContext, options: PoolOptions = {}) {
  const made = fakePool(t, options);
  const deadlocks: PoolEvents['deadlock'][] = [];
  made.pool.on('deadlock', (event) => deadlocks.push(event));
  return { ...made, deadlocks };
}

test('where every lease is held by a scope that waits for another, the ring is reported when it closes', async (t) => {
  const { pool, clock, deadlocks } = watchedPool(t);
  const both = gate();
  const request = (label: string, timeout: number) =>
    pool.withConnection(
      async () => {
        await both.passed;
        return pool.acquire({ label: `${label} again`, timeout });
      },
      { label },
    );
  const [a, b] = [attempt(request('a', 5000)), attempt(request('b', 6000))];
  await settled();
  t.deepEqual(deadlocks, []);
  both.open();
  await settled();
  t.is(deadlocks.length, 1);
  const { label, holders, message: announcement } = deadlocks[0] as PoolEvents['deadlock'];
  t.is(
    announcement,
    'Suspected deadlock in "fake": every lease is held by a scope that itself waits for a connection of this pool, or for one who does. ' +
      'Use the connection the scope already has, or take both before either is needed.' +
      '\n  #1  a                 0 ms   last used 0 ms ago' +
      '\n  #2  b                 0 ms   last used 0 ms ago',
  );
  t.is(label, 'b again');
  t.deepEqual(
    holders.map((holder) => [holder.label, holder.scope]),
    [
      ['a', 1],
      ['b', 2],
    ],
  );
  t.is(pool.stats().counters.deadlocks, 1);
  await clock.pass(5000);
  const { message, suspectedDeadlock } = a.error as AcquireTimeoutError;
  t.true(suspectedDeadlock);
  t.true(
    message.endsWith(
      '\n  Suspected deadlock: every lease is held by a scope that itself waits for a connection of this pool, or for one who does.' +
        '\n  What to do: use the connection that the scope has already, or take all that it needs before it does anything ' +
        'else. Set "leakThreshold" to see here where each lease was acquired.',
    ),
    message,
  );
  t.is(b.state, 'granted', 'and the connection of who gave up serves the other');
});

test('with reject, the waiter that closes the ring fails at once, and the others go on', async (t) => {
  const { pool, clock, deadlocks } = watchedPool(t, { onDeadlock: 'reject', name: 'app' });
  const both = gate();
  const request = (label: string) =>
    pool.withConnection(
      async () => {
        await both.passed;
        return pool.acquire();
      },
      { label },
    );
  const [a, b] = [attempt(request('a')), attempt(request('b'))];
  await settled();
  both.open();
  await settled();
  t.is(clock.now(), 1000);
  t.is(a.state, 'granted');
  t.like(b.error, { code: 'ERR_LEASEHOLD_DEADLOCK', pool: 'app', max: 2, leased: 2, waiting: 2 });
  t.regex((b.error as Error).message, /^Suspected deadlock in "app": [^\n]+\n {2}#1 {2}a {5}.*\n {2}#2 {2}b {5}/);
  t.is(deadlocks.length, 1);
  t.is(pool.stats().counters.deadlocks, 1);
});

test('a scope that wants a second connection of a pool of one blocks itself', async (t) => {
  const { pool } = fakePool(t, { max: 1, onDeadlock: 'reject' });
  const nested = pool.withConnection(() => pool.withConnection((db) => db.use(), { fresh: true }));
  await t.throwsAsync(nested, { code: 'ERR_LEASEHOLD_DEADLOCK' });
  t.like(pool.stats(), { idle: 1, leased: 0, waiting: 0 });
});

test('a scope blocks those around it', async (t) => {
  const { pool } = fakePool(t, { max: 2, onDeadlock: 'reject' });
  const nested = pool.withConnection(() =>
    pool.withConnection(() => pool.withConnection((db) => db.use(), { fresh: true }), { fresh: true }),
  );
  await t.throwsAsync(nested, { code: 'ERR_LEASEHOLD_DEADLOCK' });
});

test('a scope that gets a connection while it waits for another closes the ring as well', async (t) => {
  const { pool, deadlocks } = watchedPool(t, { max: 1, onDeadlock: 'reject' });
  const outside = await pool.acquire();
  const [a, b] = await pool.withScope(async () => {
    const attempts = [attempt(pool.acquire({ label: 'a' })), attempt(pool.acquire({ label: 'b' }))] as const;
    await settled();
    t.deepEqual(deadlocks, []);
    void outside.release();
    await settled();
    return attempts;
  });
  t.is(a.state, 'granted');
  t.like(b.error, { code: 'ERR_LEASEHOLD_DEADLOCK' });
  t.like(deadlocks, { 0: { holders: { 0: { label: 'a' }, length: 1 } }, length: 1 });
});

test('while one holder waits for nothing, there is no deadlock', async (t) => {
  const { pool, clock, deadlocks } = watchedPool(t);
  const free = await pool.acquire({ label: 'outside every scope' });
  const nested = attempt(pool.withConnection(() => pool.acquire()));
  await settled();
  t.is(nested.state, 'waiting');
  await clock.pass(4000);
  t.deepEqual(deadlocks, []);
  await free.release();
  await settled();
  t.is(nested.state, 'granted');
});

test('while a connection may still be opened, there is no deadlock', async (t) => {
  const { pool, deadlocks } = watchedPool(t);
  const db = await pool.withConnection(() => pool.acquire());
  t.is(db.use(), 2);
  t.deepEqual(deadlocks, []);
});

test('a waiter outside every scope closes no ring', async (t) => {
  const { pool, deadlocks } = watchedPool(t, { max: 1, onDeadlock: 'reject' });
  const holding = gate();
  const holder = pool.withConnection(() => holding.passed);
  await settled();
  const outside = attempt(pool.acquire());
  holding.open();
  await holder;
  await settled();
  t.is(outside.state, 'granted');
  t.deepEqual(deadlocks, []);
});

test('each deadlock is reported once, and the next one again', async (t) => {
  const { pool, clock, deadlocks } = watchedPool(t, { max: 1, acquireTimeout: 100 });
  const ring = async () => {
    const nested = attempt(
      pool.withConnection(async () => {
        void attempt(pool.acquire());
        return pool.acquire();
      }),
    );
    await clock.pass(100);
    t.like(nested.error, { code: 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT', suspectedDeadlock: true });
  };
  await ring();
  t.is(deadlocks.length, 1);
  await ring();
  t.is(deadlocks.length, 2);
});

test('a deadlock is counted though nobody listens', async (t) => {
  const { pool } = fakePool(t, { max: 1, onDeadlock: 'reject' });
  await t.throwsAsync(
    pool.withConnection(() => pool.acquire()),
    { code: 'ERR_LEASEHOLD_DEADLOCK' },
  );
  t.is(pool.stats().counters.deadlocks, 1);
});
