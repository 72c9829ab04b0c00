import test from 'ava';
import { attempt, fakePool } from '../support/driver.ts';
import { type Gate, gate, settled } from '../support/gate.ts';
import { collected } from '../support/gc.ts';

/** A hook that stands at a gate each time it is called. */
function gatedHook(): { hook: () => Promise<void>; gates: Gate[] } {
  const gates: Gate[] = [];
  const hook = () => {
    const next = gate();
    gates.push(next);
    return next.passed;
  };
  return { hook, gates };
}

test('an onOpen that hangs is given up after acquireTimeout, and its connection closed', async (t) => {
  const { hook, gates } = gatedHook();
  const { pool, driver, clock } = fakePool(t, { max: 1, acquireTimeout: 1000, onOpen: hook });
  const hung = attempt(pool.acquire({ timeout: Infinity }));
  await clock.pass(1000);
  t.like(hung.error, { code: 'ERR_LEASEHOLD_OPEN', cause: { message: 'onOpen did not settle within 1000 ms' } });
  t.is(driver.connections.size, 0);
  gates[0]?.fail(new Error('late'));
  const next = attempt(pool.acquire());
  await clock.pass(50);
  gates[1]?.open();
  await settled();
  t.is(next.handle?.use(), 2);
});

test('an onAcquire that hangs is given up after acquireTimeout, and its connection discarded', async (t) => {
  const { hook, gates } = gatedHook();
  const { pool, driver, clock } = fakePool(t, { max: 1, acquireTimeout: 1000, onAcquire: hook });
  const errors: string[] = [];
  pool.on('error', ({ message }) => errors.push(message));
  const hung = attempt(pool.acquire());
  await clock.pass(10);
  const patient = attempt(pool.acquire({ timeout: Infinity }));
  await clock.pass(990);
  t.like(hung.error, { code: 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT' });
  t.deepEqual(errors, ['onAcquire did not settle within 1000 ms']);
  t.is(driver.connections.size, 0);
  await clock.pass(100);
  gates[1]?.open();
  gates[0]?.open();
  await settled();
  t.is(patient.handle?.use(), 2, 'the other who waits gets another one');
  t.like(pool.stats(), { size: 1, leased: 1, counters: { acquired: 1 } });
});

test('an onRelease that hangs is given up after acquireTimeout, and its connection discarded', async (t) => {
  const { hook, gates } = gatedHook();
  const { pool, driver, clock } = fakePool(t, { max: 1, acquireTimeout: 1000, onRelease: hook });
  const db = await pool.acquire();
  const released = Promise.resolve(db.release()).then(() => clock.now());
  const waiting = attempt(pool.acquire({ timeout: Infinity }));
  await clock.pass(1000);
  t.is(await released, 2000, 'release settles when the connection has been dealt with');
  t.is(waiting.handle?.use(), 2);
  t.is(driver.connections.size, 1);
  gates[0]?.fail(new Error('late'));
  await settled();
  t.is(waiting.handle?.use(), 2);
});

test('while a connection is in onRelease it is neither idle nor lent', async (t) => {
  const { hook, gates } = gatedHook();
  const { pool } = fakePool(t, { max: 1, onRelease: hook });
  const db = await pool.acquire();
  void db.release();
  t.like(pool.stats(), { size: 1, idle: 0, leased: 0 });
  t.deepEqual(pool.leases(), []);
  const waiting = attempt(pool.acquire());
  await settled();
  t.is(waiting.state, 'waiting');
  gates[0]?.open();
  await settled();
  t.is(waiting.handle?.use(), 1);
});

test('what onRelease leaves behind is cleaned up before anybody has the connection', async (t) => {
  const { pool, driver } = fakePool(t, { max: 1, onRelease: (db) => db.begin() });
  const reclaiming = gate();
  const db = await pool.acquire();
  const dirty: unknown[] = [];
  pool.on('dirty', ({ lease, traces }) => dirty.push([lease, traces]));
  driver.beforeReclaim = () => (driver.reclaims === 2 ? reclaiming.passed : Promise.resolve());
  void db.release();
  const waiting = attempt(pool.acquire());
  await settled();
  t.is(driver.reclaims, 2);
  t.is(waiting.state, 'waiting');
  reclaiming.open();
  await settled();
  t.deepEqual(dirty, [[2, ['open transaction']]]);
  t.is(waiting.handle?.use(), 1);
});

test('a hook that is done leaves nothing behind in the pool', async (t) => {
  const outcomes: WeakRef<object>[] = [];
  const hook = () => {
    const outcome = {};
    outcomes.push(new WeakRef(outcome));
    return Promise.resolve(outcome);
  };
  const { pool } = fakePool(t, { onOpen: hook, onAcquire: hook, onRelease: hook });
  await (await pool.acquire()).release();
  t.is(outcomes.length, 3);
  t.true(await collected(() => outcomes.every((outcome) => outcome.deref() === undefined)));
  t.is(pool.stats().idle, 1);
});

test('where acquireTimeout is Infinity a hook may take for ever, and no timer stands for it', async (t) => {
  const { hook, gates } = gatedHook();
  const { pool, clock } = fakePool(t, { acquireTimeout: Infinity, onRelease: hook });
  void (await pool.acquire()).release();
  await settled();
  t.is(gates.length, 1);
  t.is(clock.holding, 0);
  await clock.pass(100_000);
  gates[0]?.open();
  await settled();
  t.is(pool.stats().idle, 1);
});

test('hooks of several connections run side by side, and who came first is served first', async (t) => {
  const { hook, gates } = gatedHook();
  const { pool } = fakePool(t, { max: 2, onAcquire: hook });
  const [first, second] = [attempt(pool.acquire()), attempt(pool.acquire())];
  await settled();
  t.is(gates.length, 2);
  gates[1]?.open();
  await settled();
  t.is(first.handle?.use(), 2, 'by whichever connection is prepared first');
  t.is(second.state, 'waiting');
  gates[0]?.open();
  await settled();
  t.is(second.handle?.use(), 1);
});

for (const hookName of ['onOpen', 'onAcquire'] as const) {
  test(`closing during ${hookName} refuses the acquire at once and waits for the hook no longer than its timeout`, async (t) => {
    const { hook } = gatedHook();
    const { pool, driver, clock } = fakePool(t, { [hookName]: hook });
    const refused = attempt(pool.acquire());
    await settled();
    let closedAt: number | undefined;
    void pool.close({ timeout: 300 }).then(() => {
      closedAt = clock.now();
    });
    await settled();
    t.like(refused.error, { code: 'ERR_LEASEHOLD_CLOSED' });
    await clock.pass(299);
    t.is(closedAt, undefined);
    await clock.pass(1);
    t.is(closedAt, 1300);
    t.is(driver.connections.size, 0);
  });

  test(`closing during ${hookName} closes the connection when the hook is done`, async (t) => {
    const { hook, gates } = gatedHook();
    const { pool, driver, clock } = fakePool(t, { [hookName]: hook });
    void attempt(pool.acquire());
    const closing = pool.close();
    gates[0]?.open();
    await closing;
    t.is(driver.connections.size, 0);
    t.is(clock.now(), 1000);
  });
}

test('closing during onRelease waits for the hook no longer than its timeout', async (t) => {
  const { hook } = gatedHook();
  const { pool, driver, clock } = fakePool(t, { onRelease: hook });
  const db = await pool.acquire();
  const released = Promise.resolve(db.release());
  const closing = pool.close({ timeout: 300 });
  await clock.pass(300);
  await closing;
  await released;
  t.is(driver.connections.size, 0);
});

test('closing from within a hook is as good as from anywhere', async (t) => {
  for (const hookName of ['onOpen', 'onAcquire', 'onRelease'] as const) {
    const closings: Promise<void>[] = [];
    const { pool, driver } = fakePool(t, { [hookName]: () => void closings.push(pool.close()) });
    const acquiring = attempt(pool.acquire());
    await settled();
    if (hookName === 'onRelease') void acquiring.handle?.release();
    else t.like(acquiring.error, { code: 'ERR_LEASEHOLD_CLOSED' });
    await settled();
    await Promise.all(closings);
    t.is(closings.length, 1);
    t.is(driver.connections.size, 0);
  }
});

test('onRelease is not begun once close has run out of patience', async (t) => {
  const { hook, gates } = gatedHook();
  const { pool, driver, clock } = fakePool(t, { onRelease: hook, acquireTimeout: Infinity });
  const reclaiming = gate();
  driver.beforeReclaim = () => reclaiming.passed;
  const db = await pool.acquire();
  void db.release();
  const closing = pool.close({ timeout: 300 });
  await clock.pass(300);
  reclaiming.open();
  await settled();
  t.is(gates.length, 0, 'it might never come back');
  await closing;
});
