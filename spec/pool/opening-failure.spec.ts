import test from 'ava';
import type { AcquireTimeoutError } from '../../lib/congestion-errors.ts';
import { OpenError, OptionsError } from '../../lib/errors.ts';
import { attempt, FakeDriver, fakePool, TransientError } from '../support/driver.ts';
import { type Gate, gate, settled } from '../support/gate.ts';

const gone = Object.assign(new Error('disk gone'), { code: 'EIO' });

/** A driver that fails as long as `failure` is set, synchronously or not. */
function failingDriver(asynchronous = false): { driver: FakeDriver; fail: (failure: Error | undefined) => void } {
  const driver = new FakeDriver();
  let failure: Error | undefined;
  driver.beforeOpen = asynchronous
    ? async () => {
        await Promise.resolve();
        if (failure !== undefined) throw failure;
      }
    : () => {
        if (failure !== undefined) throw failure;
      };
  return {
    driver,
    fail: (error) => {
      failure = error;
    },
  };
}

for (const asynchronous of [false, true]) {
  const how = asynchronous ? 'asynchronously' : 'synchronously';

  test(`where opening fails for good (${how}) and nothing is open, all who wait are told at once`, async (t) => {
    const { driver, fail } = failingDriver(asynchronous);
    const { pool, clock } = fakePool(t, { name: 'app' }, driver);
    fail(gone);
    // A synchronous failure has told the first before a second can come.
    const attempts = (asynchronous ? [1, 2, 3] : [1]).map(() => attempt(pool.acquire()));
    await settled();
    for (const { error } of attempts) {
      t.true(error instanceof OpenError);
      t.like(error, { code: 'ERR_LEASEHOLD_OPEN', pool: 'app', target: '/data/fake.db', cause: gone });
      t.is((error as OpenError).message, 'Pool "app" cannot open "/data/fake.db": disk gone (EIO)');
    }
    t.is(clock.now(), 1000);
    t.like(pool.stats(), { size: 0, waiting: 0, counters: { opened: 0, timeouts: 0 } });
    const { opens } = driver;
    t.is(clock.holding, 0);
    await clock.pass(60_000);
    t.is(driver.opens, opens, 'nobody wants it, so it is not tried again');
    t.is(pool.stats().counters.openErrors, opens);
  });

  test(`an acquire within the pause after a failure (${how}) waits for the pause, and then gets the answer`, async (t) => {
    const { driver, fail } = failingDriver(asynchronous);
    const { pool, clock } = fakePool(t, { max: 1 }, driver);
    fail(gone);
    void attempt(pool.acquire());
    await settled();
    const next = attempt(pool.acquire());
    await clock.pass(24);
    t.is(driver.opens, 1);
    t.is(next.state, 'waiting');
    await clock.pass(26);
    t.is(driver.opens, 2);
    t.like(next.error, { code: 'ERR_LEASEHOLD_OPEN' });
  });

  test(`while others hold connections, failures to open (${how}) are retried with growing pauses`, async (t) => {
    const { driver, fail } = failingDriver(asynchronous);
    const { pool, clock } = fakePool(t, {}, driver);
    const holder = await pool.acquire();
    fail(gone);
    const waiting = attempt(pool.acquire({ timeout: Infinity }));
    await clock.pass(10_000);
    // Pauses of 50, 100 … 1000 ms, each shortened by up to a half.
    const tries = driver.opens - 1;
    t.true(tries >= 13 && tries <= 26, `${tries} tries in 10 s`);
    t.is(waiting.state, 'waiting');
    void holder.release();
    await settled();
    t.is(waiting.handle?.use(), 1, 'a connection that comes back serves as well');
    t.is(pool.stats().counters.openErrors, tries);
  });

  test(`a failure that may pass (${how}) is retried until it has passed`, async (t) => {
    const { driver, fail } = failingDriver(asynchronous);
    const { pool, clock } = fakePool(t, {}, driver);
    fail(new TransientError('locked'));
    const waiting = attempt(pool.acquire());
    await clock.pass(2000);
    t.is(waiting.state, 'waiting');
    fail(undefined);
    await clock.pass(1000);
    t.is(waiting.state, 'granted');
  });

  test(`a failure that may pass (${how}) is the cause of the timeout where it does not`, async (t) => {
    const { driver, fail } = failingDriver(asynchronous);
    const { pool, clock } = fakePool(t, { name: 'app', acquireTimeout: 3000 }, driver);
    const locked = new TransientError('locked');
    fail(locked);
    const waiting = attempt(pool.acquire());
    await clock.pass(3000);
    t.like(waiting.error, { code: 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT', cause: locked });
    t.is(
      (waiting.error as AcquireTimeoutError).message,
      'Timed out after 3000 ms waiting for a connection of "app" (0 of 2 in use, 1 waiting, this one as number 1).' +
        '\n  The last attempt to get a connection ready failed: locked' +
        '\n  What to do: not all connections are in use, so find out what keeps the others from being opened or handed ' +
        'on: the database, or a hook.',
    );
  });
}

test('the slot of a failed open can be used again', async (t) => {
  const { driver, fail } = failingDriver();
  const { pool, clock } = fakePool(t, { max: 1 }, driver);
  for (let round = 0; round < 5; round++) {
    fail(gone);
    await t.throwsAsync(pool.acquire(), { code: 'ERR_LEASEHOLD_OPEN' });
    await clock.pass(1000);
  }
  fail(undefined);
  const db = await pool.acquire();
  t.is(db.use(), 6);
  await db.release();
});

test('a timeout beside a failing open carries the cause, and none once an open has succeeded', async (t) => {
  const { driver, fail } = failingDriver();
  const { pool, clock } = fakePool(t, {}, driver);
  await pool.acquire();
  fail(gone);
  const first = attempt(pool.acquire({ timeout: 500 }));
  await clock.pass(500);
  t.is((first.error as Error).cause, gone);
  fail(undefined);
  await clock.pass(1000);
  await pool.acquire();
  const second = attempt(pool.acquire({ timeout: 500 }));
  await clock.pass(500);
  t.false('cause' in (second.error as Error));
});

test('a success makes the next pause a short one again', async (t) => {
  const { driver, fail } = failingDriver();
  const { pool, clock } = fakePool(t, {}, driver);
  const failOnce = async () => {
    fail(gone);
    await t.throwsAsync(pool.acquire(), { code: 'ERR_LEASEHOLD_OPEN' });
  };
  for (let round = 0; round < 6; round++) {
    await failOnce();
    await clock.pass(1000);
  }
  fail(undefined);
  void (await pool.acquire()).release();
  pool.closeIdle();
  await failOnce();
  const waiting = attempt(pool.acquire());
  fail(undefined);
  await clock.pass(50);
  t.is(waiting.state, 'granted');
});

test('of several opens under way, the last to fail tells those who wait', async (t) => {
  const driver = new FakeDriver();
  const gates: Gate[] = [];
  driver.beforeOpen = () => {
    const opening = gate();
    gates.push(opening);
    return opening.passed;
  };
  const { pool } = fakePool(t, {}, driver);
  const attempts = [1, 2].map(() => attempt(pool.acquire()));
  gates[0]?.fail(gone);
  await settled();
  t.true(attempts.every(({ state }) => state === 'waiting'));
  gates[1]?.fail(gone);
  await settled();
  t.true(attempts.every(({ error }) => error instanceof OpenError));
});

test('who waits is told at the next try when the last connection is lost', async (t) => {
  const { driver, fail } = failingDriver();
  const { pool, clock } = fakePool(t, { max: 1 }, driver);
  const holder = await pool.acquire();
  const waiting = attempt(pool.acquire({ timeout: Infinity }));
  fail(gone);
  holder.discard();
  void holder.release();
  await clock.pass(50);
  t.like(waiting.error, { code: 'ERR_LEASEHOLD_OPEN', cause: gone });
});

test('what is thrown need not be an error', async (t) => {
  const { driver, fail } = failingDriver();
  const { pool } = fakePool(t, {}, driver);
  fail('no' as never);
  const error = await t.throwsAsync(pool.acquire(), { code: 'ERR_LEASEHOLD_OPEN' });
  t.is(error?.cause, 'no');
});

test('an option that proves bad when a connection is opened is reported as what it is', async (t) => {
  const { driver, fail } = failingDriver();
  const { pool, clock } = fakePool(t, {}, driver);
  const bad = new OptionsError('pragmas', 'x', 'something else');
  fail(bad);
  t.is(await t.throwsAsync(pool.acquire()), bad);
  await clock.pass(100);
  t.is(await t.throwsAsync(pool.ready()), bad);
  await clock.pass(100);
  t.is(
    t.throws(() => pool.tryAcquire()),
    bad,
  );
});

test('tryAcquire throws where opening fails for good, and has nothing where it may pass or is paused', async (t) => {
  const { driver, fail } = failingDriver();
  const { pool, clock } = fakePool(t, {}, driver);
  fail(gone);
  t.like(
    t.throws(() => pool.tryAcquire(), { instanceOf: OpenError }),
    { cause: gone, target: '/data/fake.db' },
  );
  t.is(pool.tryAcquire(), undefined, 'in the pause');
  t.is(driver.opens, 1);
  await clock.pass(100);
  fail(new TransientError('locked'));
  t.is(pool.tryAcquire(), undefined);
  t.is(driver.opens, 2);
  t.is(pool.stats().counters.openErrors, 2);
});

test('an open that tryAcquire began and that fails concerns nobody', async (t) => {
  const { driver, fail } = failingDriver(true);
  const { pool } = fakePool(t, {}, driver);
  fail(gone);
  t.is(pool.tryAcquire(), undefined);
  await settled();
  t.like(pool.stats(), { size: 0, counters: { openErrors: 1 } });
});

test('no pause outlives the pool, even if an open fails while it closes', async (t) => {
  const driver = new FakeDriver();
  const opening = gate();
  driver.beforeOpen = () => opening.passed;
  const { pool, clock } = fakePool(t, {}, driver);
  const refused = attempt(pool.acquire());
  const closing = pool.close();
  opening.fail(gone);
  await closing;
  t.like(refused.error, { code: 'ERR_LEASEHOLD_CLOSED' });
  t.is(clock.pending, 0);
});
