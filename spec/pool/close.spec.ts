import test from 'ava';
import { attempt, FakeDriver, type FakePool, fakePool } from '../support/driver.ts';
import { gate, settled } from '../support/gate.ts';
import { collected } from '../support/gc.ts';

test('close closes idle connections, and leaves nothing behind', async (t) => {
  const { pool, driver, clock } = fakePool(t, { min: 2, name: 'app' });
  await pool.ready();
  const reasons: string[] = [];
  pool.on('close', ({ reason }) => reasons.push(reason));
  t.false(pool.closed);
  await pool.close();
  t.true(pool.closed);
  t.deepEqual(reasons, ['closed', 'closed']);
  t.is(driver.connections.size, 0);
  t.is(clock.pending, 0);
  t.like(pool.stats(), { size: 0, idle: 0, counters: { closed: 2, discarded: 0 } });
});

test('the pool counts as closed from the call of close on, listeners included', async (t) => {
  const { pool } = fakePool(t);
  await (await pool.acquire()).release();
  const seen: boolean[] = [];
  pool.on('close', () => seen.push(pool.closed));
  const closing = pool.close();
  t.true(pool.closed);
  await closing;
  t.deepEqual(seen, [true]);
});

test('a closed pool refuses every acquire', async (t) => {
  const { pool, driver } = fakePool(t, { name: 'app' });
  await pool.close();
  const error = await t.throwsAsync(pool.acquire(), { code: 'ERR_LEASEHOLD_CLOSED' });
  t.like(error, { pool: 'app', message: 'Pool "app" is closed.' });
  t.throws(() => pool.tryAcquire(), { code: 'ERR_LEASEHOLD_CLOSED' });
  await t.throwsAsync(
    pool.withConnection(() => {}),
    { code: 'ERR_LEASEHOLD_CLOSED' },
  );
  t.is(driver.opens, 0);
});

test('those who wait are refused at once, in the order in which they came', async (t) => {
  const { pool } = fakePool(t, { max: 1 });
  const holder = await pool.acquire();
  const refused: string[] = [];
  const wait = (label: string) => pool.acquire({ label }).catch((error: Error) => refused.push(label, error.message));
  const all = [wait('a'), wait('b')];
  const closing = pool.close();
  await Promise.all(all);
  t.deepEqual(refused, ['a', 'Pool "fake" is closed.', 'b', 'Pool "fake" is closed.']);
  t.is(holder.use(), 1, 'while the holder goes on');
  await holder.release();
  await closing;
});

test('close awaits holders, and a connection that comes back is closed', async (t) => {
  const { pool, driver, clock } = fakePool(t);
  const reasons: string[] = [];
  pool.on('discard', ({ reason }) => reasons.push(reason));
  const holder = await pool.acquire();
  let closed = false;
  const closing = pool.close().then(() => {
    closed = true;
  });
  await clock.pass(4000);
  t.false(closed);
  await holder.release();
  t.deepEqual(reasons, ['closed']);
  await closing;
  t.is(driver.connections.size, 0);
});

test('after its timeout close takes the connections away', async (t) => {
  const { pool, driver, clock } = fakePool(t);
  const [first, second] = [await pool.acquire({ label: 'first' }), await pool.acquire()];
  first.begin();
  const dirty: unknown[] = [];
  pool.on('dirty', ({ label, traces }) => dirty.push([label, traces]));
  let closed = false;
  void pool.close({ timeout: 300 }).then(() => {
    closed = true;
  });
  await clock.pass(299);
  t.is(first.use(), 1);
  await clock.pass(1);
  t.true(closed);
  for (const handle of [first, second]) {
    t.like(
      t.throws(() => handle.use(), { code: 'ERR_LEASEHOLD_RELEASED' }),
      { end: 'closed' },
    );
    void handle.release();
  }
  t.deepEqual(dirty, [['first', ['open transaction']]]);
  t.is(driver.connections.size, 0);
  t.is(clock.pending, 0);
});

test('without a timeout close waits for acquireTimeout, with one of Infinity for ever', async (t) => {
  const usual = fakePool(t, { acquireTimeout: 700 });
  await usual.pool.acquire();
  void usual.pool.close();
  await usual.clock.pass(699);
  t.is(usual.pool.stats().size, 1);
  await usual.clock.pass(1);
  t.is(usual.pool.stats().size, 0);

  const patient = fakePool(t);
  const holder = await patient.pool.acquire();
  const closing = patient.pool.close({ timeout: Infinity });
  t.is(patient.clock.holding, 0, 'no timer stands for eternity');
  await patient.clock.pass(1e6);
  t.is(holder.use(), 1);
  await holder.release();
  await closing;
});

test('a close with a timeout of 0 takes the connections away in the same step', async (t) => {
  const { pool, driver } = fakePool(t);
  const holder = await pool.acquire();
  const closing = pool.close({ timeout: 0 });
  t.throws(() => holder.use(), { code: 'ERR_LEASEHOLD_RELEASED' });
  t.is(driver.connections.size, 0);
  await closing;
});

test('a connection taken away in the tick in which it was granted still comes with a handle', async (t) => {
  const { pool } = fakePool(t);
  const granted = attempt(pool.acquire());
  const bound = pool.withConnection((db) => db.use());
  const closing = pool.close({ timeout: 0 });
  await t.throwsAsync(bound, { code: 'ERR_LEASEHOLD_RELEASED' });
  t.is(granted.state, 'granted');
  t.throws(() => granted.handle?.use(), { code: 'ERR_LEASEHOLD_RELEASED' });
  await closing;
});

test('further calls join the first, and can only shorten it', async (t) => {
  const { pool, clock } = fakePool(t);
  await pool.acquire();
  const done: string[] = [];
  const close = (name: string, timeout: number) => pool.close({ timeout }).then(() => done.push(name));
  const all = [close('long', 1000), close('short', 300), close('longer', 5000)];
  await clock.pass(299);
  t.deepEqual(done, []);
  await clock.pass(1);
  await Promise.all(all);
  t.is(done.length, 3);
  await pool.close();
  await pool[Symbol.asyncDispose]();
  t.is(clock.pending, 0);
});

test('await using closes the pool', async (t) => {
  const made = fakePool(t);
  {
    await using pool = made.pool;
    await (await pool.acquire()).release();
  }
  t.true(made.pool.closed);
  t.is(made.driver.connections.size, 0);
});

test('bad close options are refused, and the pool stays open', async (t) => {
  const { pool } = fakePool(t);
  for (const bad of [{ timeout: -1 }, { timeout: '5' }, { time: 5 }, null, 5]) {
    await t.throwsAsync(pool.close(bad as never), { code: 'ERR_LEASEHOLD_OPTIONS' });
  }
  t.false(pool.closed);
  t.is((await pool.acquire()).use(), 1);
});

test('close awaits opens under way, no longer than its timeout, and closes what arrives later', async (t) => {
  const driver = new FakeDriver();
  const opening = gate();
  driver.beforeOpen = () => opening.passed;
  const { pool, clock } = fakePool(t, {}, driver);
  void attempt(pool.acquire());
  let closed = false;
  void pool.close({ timeout: 300 }).then(() => {
    closed = true;
  });
  await clock.pass(299);
  t.false(closed);
  await clock.pass(1);
  t.true(closed);
  opening.open();
  await settled();
  t.is(driver.connections.size, 0);
});

test('close awaits closes under way', async (t) => {
  const driver = new FakeDriver();
  const { pool } = fakePool(t, {}, driver);
  await (await pool.acquire()).release();
  const slow = gate();
  driver.beforeClose = () => slow.passed;
  let closed = false;
  void pool.close().then(() => {
    closed = true;
  });
  await settled();
  t.false(closed);
  slow.open();
  await settled();
  t.true(closed);
});

for (const [how, close] of [
  [
    'throws',
    () => {
      throw new Error('close');
    },
  ],
  ['rejects', () => Promise.reject(new Error('close'))],
] as const) {
  test(`close does not fail for a connection whose close ${how}`, async (t) => {
    const driver = new FakeDriver();
    const { pool } = fakePool(t, { min: 2 }, driver);
    await pool.ready();
    driver.beforeClose = close;
    const errors: string[] = [];
    pool.on('error', ({ message }) => errors.push(message));
    await t.notThrowsAsync(pool.close());
    t.deepEqual(errors, ['close', 'close']);
    t.is(pool.stats().size, 0);
  });
}

test('close does not wait for ever for a connection whose close never ends', async (t) => {
  const driver = new FakeDriver();
  const { pool, clock } = fakePool(t, {}, driver);
  await (await pool.acquire()).release();
  driver.beforeClose = () => gate().passed;
  let closed = false;
  void pool.close({ timeout: 300 }).then(() => {
    closed = true;
  });
  await clock.pass(10_000);
  t.true(closed);
});

test('close does not wait for ever for a clean-up that never ends', async (t) => {
  const driver = new FakeDriver();
  const { pool, clock } = fakePool(t, {}, driver);
  driver.beforeReclaim = () => gate().passed;
  void (await pool.acquire()).release();
  let closed = false;
  void pool.close({ timeout: 300 }).then(() => {
    closed = true;
  });
  await clock.pass(10_000);
  t.true(closed);
});

test('what close takes away has time to be cleaned up, but not for ever', async (t) => {
  const { pool, driver, clock } = fakePool(t, { acquireTimeout: Infinity });
  const log: string[] = [];
  pool.on('error', ({ message }) => log.push(message));
  const slow = gate();
  driver.beforeReclaim = ({ id }) => (id === 1 ? slow.passed : gate().passed);
  driver.beforeClose = ({ id }) => void log.push(`closed ${id}`);
  await pool.acquire();
  await pool.acquire();
  const closing = pool.close({ timeout: 300 });
  await clock.pass(310);
  t.deepEqual(log, []);
  slow.open();
  await settled();
  t.deepEqual(log, ['closed 1']);
  await clock.pass(5000);
  t.deepEqual(log, ['closed 1', 'clean-up did not settle within 1000 ms', 'closed 2']);
  await closing;
});

test('a listener that closes the pool while it closes does no harm', async (t) => {
  const { pool, driver } = fakePool(t, { min: 2 });
  await pool.ready();
  const closings: Promise<void>[] = [];
  pool.on('close', () => closings.push(pool.close()));
  await pool.close();
  t.is(closings.length, 2);
  await Promise.all(closings);
  t.is(driver.connections.size, 0);
});

test('while a pool closes, its housekeeping does not complain of a min that is not kept', async (t) => {
  const { pool, clock } = fakePool(t, { min: 2 });
  await pool.ready();
  await pool.acquire();
  const errors: Error[] = [];
  pool.on('error', (error) => errors.push(error));
  void pool.close({ timeout: 5000 });
  await clock.pass(5000);
  t.deepEqual(errors, []);
});

/** Adds a listener that nothing else refers to. */
function listen(pool: FakePool['pool'], calls: unknown[]): WeakRef<() => void> {
  const listener = () => void calls.push('release');
  pool.on('release', listener);
  return new WeakRef(listener);
}

test('a closed pool keeps no listener', async (t) => {
  const { pool } = fakePool(t);
  const listener = listen(pool, []);
  await pool.close();
  t.true(await collected(() => listener.deref() === undefined));
  t.true(pool.closed);
});
