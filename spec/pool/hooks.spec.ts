import { AsyncLocalStorage } from 'node:async_hooks';
import test from 'ava';
import type { ConnectionInfo } from '../../lib/driver.ts';
import { attempt, type FakeConnection, type FakeHandle, fakePool } from '../support/driver.ts';
import { settled } from '../support/gate.ts';

/** What a hook may come to, synchronously and not: refusal by `false`, by a throw. */
const refusals: readonly [how: string, hook: () => unknown, error: string | undefined][] = [
  ['returning false', () => false, undefined],
  ['resolving to false', () => Promise.resolve(false), undefined],
  [
    'throwing',
    () => {
      throw new Error('bad');
    },
    'bad',
  ],
  ['rejecting', () => Promise.reject(new Error('bad')), 'bad'],
];

const acceptances: readonly [how: string, hook: () => unknown][] = [
  ['nothing', () => undefined],
  ['true', () => true],
  ['null', () => null],
  ['a promise', () => Promise.resolve()],
];

test('onOpen sees each new connection once, before anybody has it', async (t) => {
  const seen: FakeConnection[] = [];
  const { pool } = fakePool(t, { onOpen: (connection) => seen.push(connection) });
  const [first, second] = [await pool.acquire(), await pool.acquire()];
  await first.release();
  await pool.acquire();
  t.deepEqual(seen, [first.connection, second.connection]);
});

test('an asynchronous onOpen is awaited', async (t) => {
  let done = false;
  const { pool } = fakePool(t, {
    onOpen: async () => {
      await settled();
      done = true;
    },
  });
  await pool.acquire();
  t.true(done);
});

for (const [how, hook] of refusals.slice(2)) {
  test(`an onOpen ${how} closes the connection and fails the open`, async (t) => {
    const { pool, driver, clock } = fakePool(t, { onOpen: hook });
    const error = await t.throwsAsync(pool.acquire(), { code: 'ERR_LEASEHOLD_OPEN' });
    t.like(error?.cause, { message: 'bad' });
    t.is(driver.connections.size, 0);
    t.like(pool.stats(), { size: 0, counters: { opened: 0, closed: 0, openErrors: 1 } });
    const { opens } = driver;
    await clock.pass(10_000);
    t.is(driver.opens, opens);
  });
}

test('an onOpen returning false is no refusal', async (t) => {
  const { pool } = fakePool(t, { onOpen: () => false });
  t.is((await pool.acquire()).use(), 1);
});

for (const [how, hook] of acceptances) {
  test(`onAcquire and onRelease returning ${how} accept the connection`, async (t) => {
    const { pool, driver } = fakePool(t, { onAcquire: hook, onRelease: hook });
    for (let round = 0; round < 3; round++) await (await pool.acquire()).release();
    t.is(driver.opens, 1);
    t.like(pool.stats(), { idle: 1, counters: { discarded: 0 } });
  });
}

test('hooks are told the age, idle time and uses of the connection', async (t) => {
  const acquired: ConnectionInfo[] = [];
  const released: ConnectionInfo[] = [];
  const { pool, clock } = fakePool(t, {
    onAcquire: (_, info) => acquired.push(info),
    onRelease: (_, info) => released.push(info),
  });
  const first = await pool.acquire();
  await clock.pass(100);
  await first.release();
  await clock.pass(50);
  const second = await pool.acquire();
  await clock.pass(10);
  await second.release();
  t.deepEqual(acquired, [
    { age: 0, idleFor: 0, uses: 0 },
    { age: 150, idleFor: 50, uses: 1 },
  ]);
  t.deepEqual(released, [
    { age: 100, idleFor: 0, uses: 1 },
    { age: 160, idleFor: 0, uses: 2 },
  ]);
});

test('the hooks have usable handles: onAcquire that of the lease to come, onRelease one of its own', async (t) => {
  const handles: FakeHandle[] = [];
  const hook = async (db: FakeHandle) => {
    db.use();
    await settled();
    db.use();
    handles.push(db);
  };
  const { pool } = fakePool(t, { onAcquire: hook, onRelease: hook });
  const db = await pool.acquire();
  t.is(handles[0], db);
  await db.release();
  t.not(handles[1], db);
  t.throws(() => handles[1]?.use(), { code: 'ERR_LEASEHOLD_RELEASED' });
  const next = await pool.acquire();
  void handles[1]?.release();
  t.is(next.use(), 1, 'and the one of onRelease is of no use afterwards');
});

for (const [how, hook, error] of refusals) {
  test(`an onAcquire ${how} discards the connection, and the acquire tries the others`, async (t) => {
    const refused = new Set([1, 2]);
    const { pool, driver } = fakePool(t, {
      max: 3,
      onAcquire: (db) => (db.connection.id < 3 && !refused.delete(db.connection.id) ? hook() : undefined),
    });
    const [first, second] = [await pool.acquire(), await pool.acquire()];
    await first.release();
    await second.release();
    const log: unknown[] = [];
    pool.on('discard', ({ connection, reason }) => log.push([connection, reason]));
    pool.on('error', ({ message }) => log.push(message));
    const db = await pool.acquire();
    t.is(db.use(), 3, 'in the end a new one');
    const expected = error === undefined ? [] : [error];
    t.deepEqual(log, [...expected, [2, 'onAcquire'], ...expected, [1, 'onAcquire']]);
    t.is(driver.connections.size, 1);
    t.is(pool.stats().counters.acquired, 3);
  });

  test(`an onAcquire ${how} for every connection ends in a timeout that says so, without spinning`, async (t) => {
    const { pool, driver, clock } = fakePool(t, { onAcquire: hook });
    const waiting = attempt(pool.acquire());
    await clock.pass(4999);
    t.is(waiting.state, 'waiting');
    await clock.pass(1);
    t.like(waiting.error, { code: 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT' });
    const cause = error ?? 'onAcquire returned false';
    t.is(((waiting.error as Error).cause as Error).message, cause);
    t.true(driver.opens > 1 && driver.opens <= 200, `${driver.opens} opens in 5 s`);
    t.is(driver.connections.size, 0);
    const { opens } = driver;
    await clock.pass(10_000);
    t.is(driver.opens, opens);
  });

  test(`an onRelease ${how} discards the connection and does not bother who released`, async (t) => {
    const { pool, driver } = fakePool(t, { max: 1, onRelease: hook });
    const log: unknown[] = [];
    pool.on('discard', ({ connection, reason }) => log.push([connection, reason]));
    pool.on('error', ({ message }) => log.push(message));
    const db = await pool.acquire();
    const waiting = attempt(pool.acquire());
    await t.notThrowsAsync(async () => db.release());
    await settled();
    t.is(waiting.handle?.use(), 2);
    t.deepEqual(log, [...(error === undefined ? [] : [error]), [1, 'onRelease']]);
    t.is(driver.connections.size, 1);
  });
}

for (const asynchronous of [false, true]) {
  const how = asynchronous ? 'an asynchronous' : 'a synchronous';

  test(`${how} onAcquire that has every connection discarded does not make the pool spin`, async (t) => {
    let calls = 0;
    const { pool, driver, clock } = fakePool(t, {
      onAcquire: (db) => {
        // Bounded, because a spinning pool would never let the test come back.
        if (++calls <= 1000) db.discard('unfit');
        return asynchronous ? Promise.resolve() : undefined;
      },
    });
    const waiting = attempt(pool.acquire());
    await clock.pass(5000);
    t.true(driver.opens <= 200, `${driver.opens} opens in 5 s`);
    t.not(waiting.state, 'waiting');
  });
}

test('onRelease is spared where the connection is discarded anyway', async (t) => {
  const { pool } = fakePool(t, { onRelease: () => t.fail() });
  const db = await pool.acquire();
  db.discard();
  await db.release();
  t.is(pool.stats().counters.discarded, 1);
});

test('what onRelease leaves behind is found', async (t) => {
  const { pool } = fakePool(t, { onRelease: (db) => db.soil('pragma') });
  const dirty: unknown[] = [];
  pool.on('dirty', ({ traces, connection }) => dirty.push([connection, traces]));
  await (await pool.acquire()).release();
  t.deepEqual(dirty, [[1, ['pragma']]]);
  t.like(pool.stats(), { size: 0, counters: { dirty: 1, discarded: 1 } });
});

test('a hook that gives its handle back disturbs no account', async (t) => {
  const { pool, clock } = fakePool(t, {
    max: 1,
    onAcquire: (db, { uses }) => (uses === 1 ? db.release() : undefined),
    onRelease: (db) => db.release(),
  });
  const first = await pool.acquire();
  await first.release();
  t.like(pool.stats(), { idle: 1, leased: 0 });
  // For onAcquire it is a refusal: there is nothing left to lend.
  const second = attempt(pool.acquire());
  await clock.pass(100);
  t.is(second.handle?.use(), 2);
  t.like(pool.stats(), { size: 1, leased: 1, counters: { acquired: 2, released: 1, discarded: 1 } });
});

test('tryAcquire has nothing behind an asynchronous onAcquire, which then serves who waits', async (t) => {
  const { pool } = fakePool(t, { max: 1, onAcquire: () => settled() });
  t.is(pool.tryAcquire(), undefined);
  t.is(pool.tryAcquire(), undefined);
  const waiting = attempt(pool.acquire());
  await settled();
  await settled();
  t.is(waiting.handle?.use(), 1);
  await waiting.handle?.release();
  t.is(pool.tryAcquire(), undefined);
  await settled();
  await settled();
  t.like(pool.stats(), { idle: 1, size: 1, leased: 0 });
});

test('tryAcquire tries another connection where onAcquire refuses one', async (t) => {
  const { pool } = fakePool(t, { onAcquire: (db, { uses }) => db.connection.id === 1 || uses === 0 });
  const [first, second] = [await pool.acquire(), await pool.acquire()];
  await first.release();
  await second.release();
  t.is(pool.tryAcquire()?.use(), 1);
});

test('hooks run in the async context in which the pool was made', async (t) => {
  const storage = new AsyncLocalStorage<string>();
  const seen: (string | undefined)[] = [];
  const note = () => void seen.push(storage.getStore());
  const { pool } = storage.run('maker', () => fakePool(t, { onOpen: note, onAcquire: note, onRelease: note }));
  await storage.run('user', async () => (await pool.acquire()).release());
  t.deepEqual(seen, ['maker', 'maker', 'maker']);
});
