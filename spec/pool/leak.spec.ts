import test from 'ava';
import type { PoolEvents } from '../../lib/events.ts';
import type { PoolOptions } from '../../lib/options.ts';
import { type FakeHandle, fakePool, type TestContext } from '../support/driver.ts';
import { settled } from '../support/gate.ts';
import { collected } from '../support/gc.ts';

function watchedPool(t: TestContext, options: PoolOptions) {
  const made = fakePool(t, options);
  const leaks: PoolEvents['leak'][] = [];
  made.pool.on('leak', (event) => leaks.push(event));
  return { ...made, leaks };
}

test('a lease held for longer than leakThreshold is reported once, and once more when it comes back', async (t) => {
  const { pool, clock, leaks } = watchedPool(t, { leakThreshold: 2000 });
  async function report() {
    return pool.acquire({ label: 'GET /report' });
  }
  const db = await report();
  db.begin();
  await clock.pass(1999);
  t.is(leaks.length, 0);
  await clock.pass(60_000);
  t.is(leaks.length, 1);
  const { kind, holder } = leaks[0] as PoolEvents['leak'];
  t.is(kind, 'overdue');
  t.like(holder, { id: 1, connection: 1, label: 'GET /report', inTransaction: true, mode: 'connection' });
  t.true(holder.age >= 2000 && holder.age <= 2500, 'found by the next housekeeping');
  t.regex(holder.stack ?? '', /^Error\n\s+at report /);
  t.is(pool.stats().counters.leaks, 1);
  await db.release();
  t.is(leaks.length, 2);
  t.like(leaks[1], { kind: 'returned', holder: { id: 1, age: 61_999 } });
  t.is(pool.stats().counters.leaks, 1, 'it is one leak');
});

test('a lease that comes back in time is not reported', async (t) => {
  const { pool, clock, leaks } = watchedPool(t, { leakThreshold: 2000 });
  for (let round = 0; round < 5; round++) {
    const db = await pool.acquire();
    await clock.pass(1500);
    await db.release();
  }
  t.deepEqual(leaks, []);
});

test('a leak is counted though nobody listens', async (t) => {
  const { pool, clock } = fakePool(t, { leakThreshold: 2000 });
  const db = await pool.acquire();
  await clock.pass(3000);
  await db.release();
  t.is(pool.stats().counters.leaks, 1);
});

test('without a finite leakThreshold nothing is reported and no stack captured', async (t) => {
  const { pool, clock, leaks } = watchedPool(t, {});
  const db = await pool.acquire();
  await clock.pass(1e6);
  t.false('stack' in (pool.leases()[0] ?? {}));
  await db.release();
  t.deepEqual(leaks, []);
  t.like(
    t.throws(() => db.use(), { code: 'ERR_LEASEHOLD_RELEASED' }),
    { releaseStack: undefined },
  );
});

test('with stacks, a use after release tells where the lease ended that was held too long', async (t) => {
  const { pool, clock } = fakePool(t, { leakThreshold: 2000 });
  const db = await pool.acquire();
  await clock.pass(3000);
  async function finish() {
    await db.release();
  }
  await finish();
  const error = t.throws(() => db.use(), { code: 'ERR_LEASEHOLD_RELEASED' });
  const place = String.raw`\(?spec/pool/leak\.spec\.[tj]s:\d+:\d+\)?`;
  const release = String.raw`FakeHandle\.release \(spec/support/driver\.[tj]s:\d+:\d+\)`;
  t.regex(
    error?.message ?? '',
    new RegExp(`\n {2}It was acquired at ${place}\\.\n {2}It was ended at ${release} from finish ${place}\\.$`),
  );
});

/** Acquires and forgets the handle. Apart, so that no frame of a test keeps it. */
async function lose(acquire: () => Promise<FakeHandle>): Promise<void> {
  await acquire();
}

test('a handle dropped without release is reported, and its slot recovered', async (t) => {
  const { pool, clock, driver, leaks } = watchedPool(t, { max: 1 });
  await lose(() => pool.acquire({ label: 'lost' }));
  await clock.pass(1000);
  t.true(await collected(() => leaks.length > 0));
  t.like(leaks, { 0: { kind: 'dropped', holder: { id: 1, label: 'lost', age: 1000 } }, length: 1 });
  t.like(pool.stats(), { leased: 0, idle: 1, counters: { leaks: 1, released: 1, doubleReleases: 0 } });
  t.is(driver.connections.size, 1);
  const next = await pool.acquire();
  t.is(next.use(), 1);
});

test('a lost handle serves those who wait', async (t) => {
  const { pool, clock } = fakePool(t, { max: 1 });
  await lose(() => pool.acquire());
  let served = false;
  const waiting = pool.acquire().then((db) => {
    served = true;
    return db;
  });
  await clock.pass(1000);
  t.true(await collected(() => served));
  t.is((await waiting).use(), 1);
});

test('a handle that is kept, or was released, is not taken for lost', async (t) => {
  const { pool, clock, leaks } = watchedPool(t, { max: 2 });
  const kept = await pool.acquire();
  await lose(async () => {
    const released = await pool.acquire();
    await clock.pass(2000);
    await released.release();
    return released;
  });
  await collected(() => leaks.length > 0, 5);
  await settled();
  t.deepEqual(leaks, []);
  t.is(kept.use(), 1);
  t.is(pool.stats().leased, 1);
});

// Its release is then counted as a second one.
test('a listener that is told of a lost lease may take away what is overdue, that one too', async (t) => {
  const { pool, clock, driver } = fakePool(t, { max: 1 });
  const taken: number[] = [];
  pool.on('leak', () => taken.push(pool.closeOverdue(0)));
  await lose(() => pool.acquire());
  await clock.pass(1000);
  t.true(await collected(() => taken.length > 0));
  t.deepEqual(taken, [1]);
  t.like(pool.stats(), { leased: 0, size: 0, counters: { leaks: 1, released: 1, doubleReleases: 0 } });
  t.is(driver.connections.size, 0);
});
