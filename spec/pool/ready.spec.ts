import test from 'ava';
import { attempt, FakeDriver, fakePool, TransientError } from '../support/driver.ts';
import { type Gate, gate, settled } from '../support/gate.ts';

/** What a promise has come to: `undefined` while it is pending. */
function watch(promise: Promise<unknown>): { outcome: unknown } {
  const watched: { outcome: unknown } = { outcome: undefined };
  promise.then(
    () => {
      watched.outcome = 'done';
    },
    (error: unknown) => {
      watched.outcome = error;
    },
  );
  return watched;
}

test('ready opens min connections, and at least one', async (t) => {
  const { pool } = fakePool(t, { max: 5, min: 3 });
  await pool.ready();
  t.like(pool.stats(), { size: 3, idle: 3, leased: 0 });
  await pool.ready();
  t.is(pool.stats().counters.opened, 3);
  const probe = fakePool(t);
  await probe.pool.ready();
  t.is(probe.pool.stats().idle, 1);
});

test('ready called several times at once opens no more', async (t) => {
  const driver = new FakeDriver();
  driver.beforeOpen = () => Promise.resolve();
  const { pool } = fakePool(t, { max: 5, min: 3 }, driver);
  await Promise.all([pool.ready(), pool.ready(), pool.ready()]);
  t.is(driver.opens, 3);
});

test('ready counts what is open already, and does not disturb who holds it', async (t) => {
  const { pool, driver } = fakePool(t, { max: 3, min: 2 });
  const db = await pool.acquire();
  await pool.ready();
  t.is(driver.opens, 2);
  t.is(db.use(), 1);
});

test('a connection that ready opened serves who waits', async (t) => {
  const driver = new FakeDriver();
  const opening = gate();
  driver.beforeOpen = () => opening.passed;
  const { pool } = fakePool(t, { max: 1 }, driver);
  const ready = watch(pool.ready());
  const waiting = attempt(pool.acquire());
  opening.open();
  await settled();
  t.is(waiting.state, 'granted');
  t.is(ready.outcome, 'done');
});

test('ready tells at once that opening fails for good', async (t) => {
  const driver = new FakeDriver();
  const cause = new Error('not a database');
  driver.beforeOpen = () => {
    throw cause;
  };
  const { pool } = fakePool(t, { min: 2 }, driver);
  const error = await t.throwsAsync(pool.ready(), { code: 'ERR_LEASEHOLD_OPEN' });
  t.like(error, { cause, target: '/data/fake.db' });
  t.is(driver.opens, 1);
});

test('ready tells of its own failure, though another open succeeds in the same tick', async (t) => {
  const driver = new FakeDriver();
  const gates: Gate[] = [];
  driver.beforeOpen = () => {
    const opening = gate();
    gates.push(opening);
    return opening.passed;
  };
  const { pool } = fakePool(t, { min: 2 }, driver);
  const acquired = attempt(pool.acquire());
  const ready = watch(pool.ready());
  const cause = new Error('disk gone');
  gates[1]?.fail(cause);
  gates[0]?.open();
  await settled();
  t.is(acquired.state, 'granted');
  t.like(ready.outcome, { code: 'ERR_LEASEHOLD_OPEN', cause });
});

test('ready retries what may pass, until acquireTimeout', async (t) => {
  const driver = new FakeDriver();
  const locked = new TransientError('locked');
  let failing = true;
  driver.beforeOpen = () => {
    if (failing) throw locked;
  };
  const { pool, clock } = fakePool(t, { min: 2, acquireTimeout: 3000 }, driver);
  const vain = watch(pool.ready());
  await clock.pass(2999);
  t.is(vain.outcome, undefined);
  await clock.pass(1);
  t.like(vain.outcome, { code: 'ERR_LEASEHOLD_OPEN', cause: locked });
  t.true(driver.opens < 20, `${driver.opens} tries`);

  const lucky = watch(pool.ready());
  await clock.pass(500);
  failing = false;
  await clock.pass(1000);
  t.is(lucky.outcome, 'done');
  t.is(pool.stats().idle, 2);
});

test('ready does not wait for an open that hangs longer than acquireTimeout', async (t) => {
  const driver = new FakeDriver();
  driver.beforeOpen = () => gate().passed;
  const { pool, clock } = fakePool(t, { acquireTimeout: 500 }, driver);
  const ready = watch(pool.ready());
  await clock.pass(500);
  t.like(ready.outcome, { code: 'ERR_LEASEHOLD_OPEN', cause: { message: 'open did not settle within 500 ms' } });
});

test('ready of a closed pool is refused', async (t) => {
  const { pool, driver } = fakePool(t);
  await pool.close();
  await t.throwsAsync(pool.ready(), { code: 'ERR_LEASEHOLD_CLOSED' });
  t.is(driver.opens, 0);
});

test('ready that waits out a pause is refused at once when the pool closes', async (t) => {
  const driver = new FakeDriver();
  driver.beforeOpen = () => {
    throw new TransientError('locked');
  };
  const { pool, clock } = fakePool(t, {}, driver);
  const ready = watch(pool.ready());
  await settled();
  await pool.close();
  await settled();
  t.like(ready.outcome, { code: 'ERR_LEASEHOLD_CLOSED' });
  t.is(clock.pending, 0);
});

test('ready that waits for an open is refused when the pool closes', async (t) => {
  const driver = new FakeDriver();
  driver.beforeOpen = () => gate().passed;
  const { pool } = fakePool(t, {}, driver);
  const ready = watch(pool.ready());
  await settled();
  await pool.close({ timeout: 0 });
  await settled();
  t.like(ready.outcome, { code: 'ERR_LEASEHOLD_CLOSED' });
});

test('a connection that arrives for ready while the pool closes is closed', async (t) => {
  const driver = new FakeDriver();
  const opening = gate();
  driver.beforeOpen = () => opening.passed;
  const { pool } = fakePool(t, { min: 2 }, driver);
  const ready = watch(pool.ready());
  const closing = pool.close();
  opening.open();
  await closing;
  await settled();
  t.like(ready.outcome, { code: 'ERR_LEASEHOLD_CLOSED' });
  t.is(driver.connections.size, 0);
});

test('once ready, min connections are kept open', async (t) => {
  const { pool, clock, driver } = fakePool(t, { max: 4, min: 2, idleTimeout: 10_000 });
  await pool.ready();
  t.is(pool.closeIdle(), 2);
  t.is(pool.stats().size, 0);
  await clock.pass(1000);
  t.is(pool.stats().idle, 2, 'the housekeeping opens them again');
  await clock.pass(60_000);
  t.is(driver.opens, 4, 'and no idle timeout closes them');
});

test('a min that can not be kept is reported', async (t) => {
  const driver = new FakeDriver();
  const { pool, clock } = fakePool(t, { min: 1 }, driver);
  await pool.ready();
  const errors: Error[] = [];
  pool.on('error', (error) => errors.push(error));
  driver.beforeOpen = () => {
    throw new Error('disk gone');
  };
  pool.closeIdle();
  await clock.pass(1000);
  t.like(errors, { 0: { code: 'ERR_LEASEHOLD_OPEN' }, length: 1 });
});

test('a min that can not be kept for the moment is no error', async (t) => {
  const driver = new FakeDriver();
  const { pool, clock } = fakePool(t, { max: 3, min: 2 }, driver);
  await pool.ready();
  const errors: Error[] = [];
  pool.on('error', (error) => errors.push(error));
  driver.beforeOpen = () => {
    throw new TransientError('locked');
  };
  pool.closeIdle();
  await clock.pass(5000);
  t.true(driver.opens <= 10, `${driver.opens - 2} tries in 5 s`);
  driver.beforeOpen = () => {};
  await clock.pass(1000);
  t.is(pool.stats().idle, 2);
  t.deepEqual(errors, []);
});

test('a min that could not be kept is tried again', async (t) => {
  const driver = new FakeDriver();
  const { pool, clock } = fakePool(t, { min: 1 }, driver);
  await pool.ready();
  driver.beforeOpen = () => {
    throw new Error('disk gone');
  };
  pool.closeIdle();
  await clock.pass(1000);
  driver.beforeOpen = () => {};
  await clock.pass(10_000);
  t.is(pool.stats().idle, 1);
});
