import { AsyncLocalStorage } from 'node:async_hooks';
import test from 'ava';
import { OptionsError } from '../../lib/errors.ts';
import { attempt, FakeDriver, fakePool, TransientError } from '../support/driver.ts';
import { type Gate, gate, settled } from '../support/gate.ts';

/** A driver whose every `open` stands at a gate of its own. */
function gatedDriver(): { driver: FakeDriver; gates: Gate[] } {
  const driver = new FakeDriver();
  const gates: Gate[] = [];
  driver.beforeOpen = () => {
    const opening = gate();
    gates.push(opening);
    return opening.passed;
  };
  return { driver, gates };
}

test('nothing is opened before somebody needs it', async (t) => {
  const { driver, clock } = fakePool(t, { min: 1 });
  await clock.pass(10_000);
  t.is(driver.opens, 0);
  t.is(clock.pending, 0);
});

test('connections are opened one for each need, up to max', async (t) => {
  const { pool, driver } = fakePool(t, { max: 2 });
  const attempts = [1, 2, 3, 4].map(() => attempt(pool.acquire()));
  await settled();
  t.deepEqual(
    attempts.map(({ state }) => state),
    ['granted', 'granted', 'waiting', 'waiting'],
  );
  t.is(driver.opens, 2);
  t.like(pool.stats(), { size: 2, leased: 2, waiting: 2, counters: { opened: 2 } });
});

test('opens under way count as connections and are not more than the needs', async (t) => {
  const { driver, gates } = gatedDriver();
  const { pool } = fakePool(t, { max: 3 }, driver);
  const attempts = [1, 2].map(() => attempt(pool.acquire()));
  t.like(pool.stats(), { size: 2, idle: 0, leased: 0, waiting: 2 });
  t.is(driver.opens, 2);
  // The second to be opened arrives first, and serves the first who came.
  gates[1]?.open();
  await settled();
  t.deepEqual(
    attempts.map(({ state }) => state),
    ['granted', 'waiting'],
  );
  gates[0]?.open();
  await settled();
  t.is(attempts[1]?.handle?.use(), 1);
});

test('a connection that arrives when its waiter has been served otherwise is kept for the next', async (t) => {
  const { driver, gates } = gatedDriver();
  const { pool } = fakePool(t, {}, driver);
  const first = attempt(pool.acquire());
  gates[0]?.open();
  await settled();
  const second = attempt(pool.acquire());
  void first.handle?.release();
  await settled();
  t.is(second.handle?.use(), 1);
  const third = attempt(pool.acquire());
  t.is(driver.opens, 2, 'the open under way serves the third');
  gates[1]?.open();
  await settled();
  t.is(third.handle?.use(), 2);
  void second.handle?.release();
  void third.handle?.release();
  t.like(pool.stats(), { size: 2, idle: 2 });
});

test('a connection that arrives after the pool was closed is closed', async (t) => {
  const { driver, gates } = gatedDriver();
  const { pool } = fakePool(t, {}, driver);
  const refused = attempt(pool.acquire());
  let closed = false;
  void pool.close().then(() => {
    closed = true;
  });
  await settled();
  t.like(refused.error, { code: 'ERR_LEASEHOLD_CLOSED' });
  t.false(closed, 'close waits for it');
  gates[0]?.open();
  await settled();
  t.true(closed);
  t.is(driver.connections.size, 0);
});

test('an open that hangs is given up after acquireTimeout, without the loss of its slot', async (t) => {
  const { driver, gates } = gatedDriver();
  const { pool, clock } = fakePool(t, { max: 1, acquireTimeout: 1000 }, driver);
  const hung = attempt(pool.acquire());
  await clock.pass(1000);
  t.like(hung.error, { code: 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT' });
  t.like(pool.stats(), { size: 0, counters: { openErrors: 1 } });
  const next = attempt(pool.acquire());
  await clock.pass(100);
  t.is(driver.opens, 2, 'it is tried again after the pause');
  gates[1]?.open();
  await settled();
  t.is(next.state, 'granted');
  gates[0]?.open();
  await settled();
  t.is(driver.connections.size, 1, 'the late one is closed');
  t.like(pool.stats(), { size: 1, leased: 1 });
});

test('an open that was given up may fail as late as it likes', async (t) => {
  const { driver, gates } = gatedDriver();
  const { pool, clock } = fakePool(t, { acquireTimeout: 100 }, driver);
  void attempt(pool.acquire());
  await clock.pass(100);
  gates[0]?.fail(new Error('late'));
  await settled();
  t.like(pool.stats(), { size: 0, counters: { openErrors: 1 } });
});

test('who waits beyond acquireTimeout is told at once that the open was given up', async (t) => {
  const { driver } = gatedDriver();
  const { pool, clock } = fakePool(t, { acquireTimeout: 100 }, driver);
  const patient = attempt(pool.acquire({ timeout: Infinity }));
  await clock.pass(100);
  t.like(patient.error, { code: 'ERR_LEASEHOLD_OPEN', cause: { message: 'open did not settle within 100 ms' } });
});

test('a late connection that can not be closed is reported', async (t) => {
  const { driver, gates } = gatedDriver();
  const { pool, clock } = fakePool(t, { acquireTimeout: 100 }, driver);
  const errors: string[] = [];
  pool.on('error', ({ message }) => errors.push(message));
  driver.beforeClose = () => {
    throw new Error('sync');
  };
  void attempt(pool.acquire());
  await clock.pass(100);
  gates[0]?.open();
  await settled();
  driver.beforeClose = () => Promise.reject(new Error('async'));
  void attempt(pool.acquire());
  await clock.pass(200);
  gates[1]?.open();
  await settled();
  t.deepEqual(errors, ['sync', 'async']);
});

test('a connection whose open began before a drain is replaced when it arrives', async (t) => {
  const { driver, gates } = gatedDriver();
  const { pool } = fakePool(t, { max: 1 }, driver);
  const waiting = attempt(pool.acquire());
  await pool.drain();
  gates[0]?.open();
  await settled();
  t.is(waiting.state, 'waiting');
  t.is(driver.opens, 2);
  gates[1]?.open();
  await settled();
  t.is(waiting.handle?.use(), 2);
});

test('tryAcquire begins an open it can not wait for, and the next one has the connection', async (t) => {
  const { driver, gates } = gatedDriver();
  const { pool } = fakePool(t, {}, driver);
  t.is(pool.tryAcquire(), undefined);
  gates[0]?.open();
  await settled();
  t.like(pool.stats(), { idle: 1 });
  t.is(pool.tryAcquire()?.use(), 1);
});

test('a connection is opened outside the async context of whoever needs it', async (t) => {
  const storage = new AsyncLocalStorage<string>();
  const driver = new FakeDriver();
  const seen: (string | undefined)[] = [];
  driver.beforeOpen = () => void seen.push(storage.getStore());
  const { pool } = fakePool(t, {}, driver);
  await storage.run('request', async () => {
    await pool.acquire();
    pool.tryAcquire();
  });
  t.deepEqual(seen, [undefined, undefined]);
});

test('a pool can not be larger than its database allows', (t) => {
  const driver = new FakeDriver();
  driver.limit = 2;
  const { pool } = fakePool(t, {}, driver);
  for (const attempted of [() => fakePool(t, { max: 3 }, driver), () => pool.resize({ max: 3 })]) {
    const error = t.throws(attempted, { instanceOf: OptionsError });
    t.like(error, { option: 'max', value: 3, allowed: 'at most 2 for "/data/fake.db"' });
  }
  t.is(pool.stats().max, 2);
});

test('who is late when an open that hangs is given up is told that he is, whichever comes first', async (t) => {
  const { pool, clock, driver } = fakePool(t, { max: 1, acquireTimeout: 100 });
  driver.beforeOpen = () => new Promise(() => {});
  const patient = attempt(pool.acquire({ timeout: 1000 }));
  // His timer is set after that of the open.
  const late = attempt(pool.acquire({ timeout: 100 }));
  await clock.pass(100);
  t.is((late.error as { code?: string } | undefined)?.code, 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT');
  t.is((patient.error as { code?: string } | undefined)?.code, 'ERR_LEASEHOLD_OPEN');
  t.like(pool.stats(), { waiting: 0, counters: { timeouts: 1 } });
});

test('after a failure one tries for all who wait, and its success is that of the others', async (t) => {
  const { pool, driver, clock } = fakePool(t, { max: 4 });
  let isDown = true;
  let answer = gate();
  driver.beforeOpen = async () => {
    await answer.passed;
    if (isDown) throw new TransientError('starting up');
  };
  const waiting = Array.from({ length: 4 }, () => attempt(pool.acquire()));
  t.is(driver.opens, 4, 'as long as nothing has failed, each has its own');
  answer.open();
  await settled();
  answer = gate();
  await clock.pass(50);
  t.is(driver.opens, 5);
  isDown = false;
  answer.open();
  await settled();
  t.is(driver.opens, 8);
  t.deepEqual(
    waiting.map(({ handle }) => handle?.use()),
    [5, 6, 7, 8],
  );
});

test('however long it lasts, there is one attempt after each pause', async (t) => {
  const { pool, driver, clock } = fakePool(t, { max: 8, acquireTimeout: Infinity });
  driver.beforeOpen = () => Promise.reject(new TransientError('down'));
  const waiting = Array.from({ length: 20 }, () => attempt(pool.acquire()));
  await settled();
  const first = driver.opens;
  for (let second = 0; second < 10; second++) await clock.pass(1000);
  t.true(driver.opens - first <= 30, `${driver.opens - first} attempts in 10 s`);
  driver.beforeOpen = () => {};
  await clock.pass(1000);
  t.is(waiting.filter(({ handle }) => handle !== undefined).length, 8);
  void pool.close({ timeout: 0 });
  await settled();
});
