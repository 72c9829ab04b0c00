import test, { type ExecutionContext } from 'ava';
import type { PoolEvents, SqlitePool, SqlitePoolOptions } from '../../lib/index.ts';
import { heldLane } from '../support/dangling.ts';
import { temporaryFile } from '../support/files.ts';
import { type Gate, gate, settled } from '../support/gate.ts';
import { openItems } from '../support/items.ts';
import { rawDatabase, temporaryPool } from '../support/sqlite.ts';

// A ring through the write lane: who is in waits for a connection, and all connections are held by those who wait for the
// lane.

const write = "INSERT INTO item VALUES ('x')";
// Without a deadline, what nobody ends hangs until ava gives up.
const patience = { timeout: Infinity };

/** A pool of two with a table, and what it says of deadlocks. */
async function watched(t: ExecutionContext, options: SqlitePoolOptions = {}) {
  const pool = await openItems(t, { max: 2, acquireTimeout: 50_000, ...options });
  return { pool, deadlocks: watchDeadlocks(pool) };
}

function watchDeadlocks(pool: SqlitePool): PoolEvents['deadlock'][] {
  const deadlocks: PoolEvents['deadlock'][] = [];
  pool.on('deadlock', (event) => void deadlocks.push(event));
  return deadlocks;
}

interface Running {
  readonly outcome: Promise<unknown>;
  readonly goOn: Gate;
}

/** A scope with a connection, which goes on when it is told to. Its outcome is what it came to, or the code of its error. */
function holder(
  pool: SqlitePool,
  label: string,
  goOn: () => unknown,
  scoped: (fn: () => Promise<unknown>) => Promise<unknown> = (fn) => pool.withConnection(fn, { label }),
): Running {
  const told = gate();
  const outcome = scoped(async () => {
    await told.passed;
    return await goOn();
  }).catch((error: { code?: string }) => error.code ?? error);
  return { outcome, goOn: told };
}

/** Somebody in the lane, who asks for a connection beside his own when he is told to. */
function writer(pool: SqlitePool, scoped: (fn: () => Promise<unknown>) => Promise<unknown>): Running {
  const ask = () => pool.withConnection(() => 'asked', { label: 'second', fresh: true, ...patience });
  return holder(pool, 'writer', ask, scoped);
}

const writers: Record<string, (pool: SqlitePool, fn: () => Promise<unknown>) => Promise<unknown>> = {
  'a transaction': (pool, fn) => pool.transaction(fn, { label: 'writer' }),
  'a write scope': (pool, fn) => pool.withConnection(fn, { label: 'writer', write: true }),
};

/** Ways to wait for the lane with the connection of the scope. */
const waits: Record<string, (pool: SqlitePool) => Promise<unknown>> = {
  'pool.run': (pool) => pool.run(write, [], patience).then(() => 'wrote'),
  'pool.transaction': (pool) => pool.transaction(() => 'wrote', patience),
  withConnection: (pool) => pool.withConnection(() => 'wrote', { ...patience, write: true }),
  connection: (pool) => pool.connection({ ...patience, write: true }).then(() => 'wrote'),
};

for (const [who, inLane] of Object.entries(writers)) {
  for (const [how, wait] of Object.entries(waits)) {
    for (const last of ['writer', 'holder'] as const) {
      const closer = last === 'writer' ? 'the one in the lane' : 'the last of those who wait for the lane';

      test(`${who} waits for a connection of those who wait for it by ${how}: ${closer} closes the ring`, async (t) => {
        const { pool, deadlocks } = await watched(t, { onDeadlock: 'reject' });
        const first = writer(pool, (fn) => inLane(pool, fn));
        const others = ['a', 'b'].map((label) => holder(pool, label, () => wait(pool)));
        await settled();
        const order = last === 'writer' ? [...others, first] : [first, ...others];
        for (const { goOn } of order) {
          t.deepEqual(deadlocks, []);
          goOn.open();
          await settled();
        }
        t.is(deadlocks.length, 1);
        t.is(deadlocks[0]?.label, last === 'writer' ? 'second' : 'b');
        t.deepEqual(
          deadlocks[0]?.holders.map(({ label }) => label),
          ['a', 'b'],
        );
        t.is(await first.outcome, 'ERR_LEASEHOLD_DEADLOCK');
        t.deepEqual(await Promise.all(others.map(({ outcome }) => outcome)), ['wrote', 'wrote']);
        t.like(pool.stats(), { leased: 0, waiting: 0, laneHeld: 0, laneWaiting: 0, counters: { deadlocks: 1 } });
      });
    }
  }
}

test('an asynchronous transaction function waits for the lane like any other transaction of its scope', async (t) => {
  const { pool, deadlocks } = await watched(t, { max: 1, onDeadlock: 'reject' });
  const ask = () => pool.acquire({ timeout: 100 });
  const first = holder(pool, 'writer', ask, (fn) => pool.transaction(fn));
  const other = holder(pool, 'a', () => pool.current?.transaction(async () => 'wrote')());
  await settled();
  other.goOn.open();
  await settled();
  t.is(pool.stats().laneWaiting, 1);
  first.goOn.open();
  t.is(await first.outcome, 'ERR_LEASEHOLD_DEADLOCK');
  t.is(await other.outcome, 'wrote');
  t.is(deadlocks.length, 1);
});

test('the same where who is in the lane holds one of the connections', async (t) => {
  const { pool, deadlocks } = await watched(t, { onDeadlock: 'reject' });
  const first = writer(pool, (fn) => pool.withConnection(() => pool.transaction(fn), { label: 'writer' }));
  const other = holder(pool, 'a', () => pool.run(write).then(() => 'wrote'));
  await settled();
  first.goOn.open();
  await settled();
  t.deepEqual(deadlocks, []);
  other.goOn.open();
  t.is(await first.outcome, 'ERR_LEASEHOLD_DEADLOCK');
  t.is(await other.outcome, 'wrote');
  t.is(deadlocks.length, 1);
});

test('without reject it is reported, and the timeout of who is in the lane says so', async (t) => {
  const { pool, deadlocks } = await watched(t);
  const first = holder(
    pool,
    'writer',
    () => t.throwsAsync(pool.acquire({ timeout: 20 }), { message: /\n {2}Suspected deadlock: / }),
    (fn) => pool.transaction(fn),
  );
  const others = ['a', 'b'].map((label) => holder(pool, label, () => pool.run(write).then(() => 'wrote')));
  await settled();
  for (const { goOn } of [...others, first]) goOn.open();
  t.like(await first.outcome, { code: 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT', suspectedDeadlock: true });
  t.deepEqual(await Promise.all(others.map(({ outcome }) => outcome)), ['wrote', 'wrote']);
  t.is(deadlocks.length, 1);
});

test('whoever holds nothing is not refused for the ring of others, even if he came last', async (t) => {
  const { pool, deadlocks } = await watched(t, { onDeadlock: 'reject' });
  const first = writer(pool, (fn) => pool.transaction(fn));
  const others = ['a', 'b'].map((label) => holder(pool, label, () => pool.run(write).then(() => 'wrote')));
  await settled();
  first.goOn.open();
  await settled();
  const innocent = [
    pool.withScope(() => pool.get('SELECT 1 AS one')),
    pool.withScope(() => pool.withConnection((db) => db.prepare('SELECT 1 AS one').get())),
  ];
  await settled();
  t.is(pool.stats().waiting, 3);
  for (const { goOn } of others) goOn.open();
  t.is(await first.outcome, 'ERR_LEASEHOLD_DEADLOCK');
  t.deepEqual(await Promise.all(innocent), [{ one: 1 }, { one: 1 }]);
  t.deepEqual(await Promise.all(others.map(({ outcome }) => outcome)), ['wrote', 'wrote']);
  t.is(deadlocks.length, 1);
});

test('who waits in a scope of its own within that of a holder is part of the ring', async (t) => {
  const { pool } = await watched(t, { onDeadlock: 'reject', max: 1 });
  const nested = pool.withConnection(() => pool.withScope(() => pool.acquire(patience), { fresh: true }));
  await t.throwsAsync(nested, { code: 'ERR_LEASEHOLD_DEADLOCK' });
});

test('a lease that code in a scope took for itself may come back by another branch of it: that is no ring', async (t) => {
  const { pool, deadlocks } = await watched(t, { onDeadlock: 'reject' });
  const first = writer(pool, (fn) => pool.transaction(fn));
  const enough = gate();
  const branches = pool.withScope(async () => {
    const leases = [await pool.acquire(), await pool.acquire()];
    const writing = pool.run(write).then(() => 'wrote');
    await enough.passed;
    for (const db of leases) db.close();
    return writing;
  });
  await settled();
  t.is(pool.stats().laneWaiting, 1);
  first.goOn.open();
  await settled();
  t.is(pool.stats().waiting, 1);
  enough.open();
  t.is(await first.outcome, 'asked');
  t.is(await branches, 'wrote');
  t.deepEqual(deadlocks, []);
});

test('of two pools on one file, who is in the lane waits for his own: those of the other are in no ring', async (t) => {
  const file = temporaryFile(t);
  // By one name, so that it does not tell them apart.
  const options = { name: 'app', max: 1, onDeadlock: 'reject', acquireTimeout: 50_000 } as const;
  const [one, other] = [temporaryPool(t, options, file), temporaryPool(t, options, file)];
  await one.run('CREATE TABLE item (name TEXT)');
  await other.get('SELECT 1');
  const deadlocks = [one, other].map(watchDeadlocks);
  const free = await one.acquire();
  const first = writer(one, (fn) => one.transaction(fn));
  await settled();
  first.goOn.open();
  await settled();
  t.is(one.stats().waiting, 1);
  const waiting = holder(other, 'a', () => other.run(write).then(() => 'wrote'));
  waiting.goOn.open();
  await settled();
  t.is(other.stats().laneWaiting, 1);
  const next = other.withScope(() => other.get('SELECT 1 AS one'));
  await settled();
  free.close();
  t.is(await first.outcome, 'asked');
  t.is(await waiting.outcome, 'wrote');
  t.deepEqual(await next, { one: 1 });
  t.deepEqual(deadlocks, [[], []]);
});

test('who is in the lane by one pool and waits for a connection of another is left to his timeout', async (t) => {
  const file = temporaryFile(t);
  const options = { name: 'app', max: 1, onDeadlock: 'reject' } as const;
  const [one, other] = [temporaryPool(t, options, file), temporaryPool(t, options, file)];
  await one.run('CREATE TABLE item (name TEXT)');
  await other.get('SELECT 1');
  const deadlocks = [one, other].map(watchDeadlocks);
  const waiting = holder(other, 'a', () => other.run(write).then(() => 'wrote'));
  const first = holder(
    one,
    'writer',
    () => t.throwsAsync(other.acquire({ timeout: 20 })),
    (fn) => one.transaction(fn),
  );
  await settled();
  waiting.goOn.open();
  await settled();
  first.goOn.open();
  t.like(await first.outcome, { code: 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT', suspectedDeadlock: false });
  t.is(await waiting.outcome, 'wrote');
  t.deepEqual(deadlocks, [[], []]);
});

test('while who is in the lane waits for a lock outside of the pool, there is no ring', async (t) => {
  const file = temporaryFile(t);
  const pool = temporaryPool(t, { max: 2, onDeadlock: 'reject', acquireTimeout: 50_000 }, file);
  await pool.run('CREATE TABLE item (name TEXT)');
  const deadlocks = watchDeadlocks(pool);
  const outside = rawDatabase(t, file);
  outside.exec('BEGIN IMMEDIATE');
  const others = ['a', 'b'].map((label) => holder(pool, label, () => pool.run(write).then(() => 'wrote')));
  await settled();
  for (const { goOn } of others) goOn.open();
  await settled();
  t.like(pool.stats(), { laneHeld: 1, laneWaiting: 1 });
  const reader = pool.withScope(() => pool.get('SELECT 1 AS one'));
  await settled();
  t.is(pool.stats().waiting, 1);
  outside.exec('COMMIT');
  t.deepEqual(await Promise.all(others.map(({ outcome }) => outcome)), ['wrote', 'wrote']);
  t.deepEqual(await reader, { one: 1 });
  t.deepEqual(deadlocks, []);
});

test('one who waits for a lock outside of the pool does not wait for the lane', async (t) => {
  const file = temporaryFile(t);
  const options = {
    max: 1,
    onDeadlock: 'reject',
    acquireTimeout: 50_000,
    pragmas: { journal_mode: 'DELETE' },
  } as const;
  const pool = temporaryPool(t, options, file);
  await pool.run('CREATE TABLE item (name TEXT)');
  const deadlocks = watchDeadlocks(pool);
  const first = writer(pool, (fn) => pool.withConnection(fn, { write: true }));
  const reader = holder(pool, 'a', () => pool.all('SELECT name FROM item'));
  await settled();
  const outside = rawDatabase(t, file);
  outside.exec('BEGIN EXCLUSIVE');
  reader.goOn.open();
  await settled();
  first.goOn.open();
  await settled();
  outside.exec('COMMIT');
  t.is(await first.outcome, 'asked');
  t.deepEqual(await reader.outcome, []);
  t.deepEqual(deadlocks, []);
});

test('a scope that holds the lane for one statement and waits for a connection beside it is in no ring', async (t) => {
  const file = temporaryFile(t);
  const pool = temporaryPool(t, { max: 2, onDeadlock: 'reject', acquireTimeout: 50_000 }, file);
  await pool.run('CREATE TABLE item (name TEXT)');
  const deadlocks = watchDeadlocks(pool);
  const outside = rawDatabase(t, file);
  outside.exec('BEGIN IMMEDIATE');
  const a = holder(pool, 'a', () =>
    Promise.all([
      pool.run(write).then(() => 'wrote'),
      pool.withConnection(() => 'asked', { fresh: true, ...patience }),
    ]),
  );
  const b = holder(pool, 'b', () => pool.run(write).then(() => 'wrote'));
  await settled();
  a.goOn.open();
  await settled();
  b.goOn.open();
  await settled();
  t.like(pool.stats(), { laneHeld: 1, laneWaiting: 1, waiting: 1 });
  outside.exec('COMMIT');
  t.deepEqual(await Promise.all([a.outcome, b.outcome]), [['wrote', 'asked'], 'wrote']);
  t.deepEqual(deadlocks, []);
});

test('who waits for the lane of somebody who waits for nothing is in no ring', async (t) => {
  const { pool, deadlocks } = await watched(t, { onDeadlock: 'reject' });
  const release = await heldLane(t, pool);
  const others = ['a', 'b'].map((label) => holder(pool, label, () => pool.run(write).then(() => 'wrote')));
  await settled();
  for (const { goOn } of others) goOn.open();
  const reader = pool.withScope(() => pool.get('SELECT 1 AS one'));
  await settled();
  t.like(pool.stats(), { laneWaiting: 2, waiting: 1 });
  await release();
  t.deepEqual(await Promise.all(others.map(({ outcome }) => outcome)), ['wrote', 'wrote']);
  t.deepEqual(await reader, { one: 1 });
  t.deepEqual(deadlocks, []);
});

test('a ring of connections alone refuses one of its own, not a writer who came later', async (t) => {
  const { pool } = await watched(t, { onDeadlock: 'reject', max: 1 });
  const done = gate();
  // Its scope has asked twice, and gets one: the ring closes when it does.
  const held = await pool.acquire();
  const ring = pool.withScope(() =>
    Promise.allSettled([pool.acquire(patience), pool.acquire(patience)]).then(async (outcomes) => {
      await done.passed;
      for (const outcome of outcomes) if (outcome.status === 'fulfilled') outcome.value.close();
      return outcomes.map((outcome) =>
        outcome.status === 'fulfilled' ? 'served' : (outcome.reason as { code: string }).code,
      );
    }),
  );
  await settled();
  const innocent = pool.transaction(() => pool.withConnection(() => 'served', { fresh: true, ...patience }));
  await settled();
  held.close();
  await settled();
  done.open();
  t.deepEqual((await ring).toSorted(), ['ERR_LEASEHOLD_DEADLOCK', 'served']);
  t.is(await innocent, 'served');
});
