import test, { type ExecutionContext } from 'ava';
import { AcquireTimeoutError, NotIdleError, QueueFullError, type SqlitePoolOptions } from '../../lib/index.ts';
import { SqlitePool } from '../../lib/sqlite/pool.ts';
import { WriteLockedError, WriteTimeoutError } from '../../lib/transaction-errors.ts';
import { FakeClock } from '../support/clock.ts';
import { temporaryFile } from '../support/files.ts';
import { gate, settled } from '../support/gate.ts';
import { type Place, placesOf } from '../support/places.ts';

const insert = 'INSERT INTO item VALUES (?)';

/** A pool of one connection, beside that of the lane, which captures stacks and whose time stands still. */
async function watched(t: ExecutionContext, options?: SqlitePoolOptions) {
  const clock = new FakeClock();
  const file = temporaryFile(t);
  const pool = new SqlitePool(file, { name: 'app', max: 1, leakThreshold: 60_000, ...options }, clock);
  t.teardown(() => pool.close({ timeout: 0 }));
  await pool.withConnection((db) => db.exec('CREATE TABLE item (name)'));
  return { clock, pool, file };
}

const placesIn = placesOf(import.meta.filename);

/** The error of a call that waits for 10 ms and no longer. */
async function inVain<Failure extends Error>(clock: FakeClock, waiting: Promise<unknown>): Promise<Failure> {
  const outcome = waiting.then(
    () => new Error('It was granted'),
    (error: unknown) => error,
  );
  await clock.pass(10);
  return (await outcome) as Failure;
}

// A stack begins at the caller, so that no frame of the pool comes before.
function beginsIn({ by }: Place): RegExp {
  return new RegExp(`^Error\\n\\s+at ${by} \\(.*diagnosis-messages\\.spec\\.[tj]s:`);
}

type Hold = (pool: SqlitePool, until: Promise<void>) => Promise<unknown>;

async function byWithConnection(pool: SqlitePool, until: Promise<void>) {
  await pool.withConnection(() => until);
}
async function byFreshConnection(pool: SqlitePool, until: Promise<void>) {
  await pool.withScope(async function request() {
    await pool.withConnection(() => until, { fresh: true });
  });
}
async function byConnection(pool: SqlitePool, until: Promise<void>) {
  await pool.withScope(async function request() {
    await pool.connection();
    await until;
  });
}
async function byRead(pool: SqlitePool, until: Promise<void>) {
  await pool.read(() => until);
}
async function byAcquire(pool: SqlitePool, until: Promise<void>) {
  const db = await pool.acquire();
  await until;
  db.close();
}
async function byAcquireWithoutWriting(pool: SqlitePool, until: Promise<void>) {
  const db = await pool.acquire({ write: false });
  await until;
  db.close();
}

const readers: readonly [Hold, Place][] = [
  [byWithConnection, { by: 'byWithConnection', call: 'withConnection' }],
  [byFreshConnection, { by: 'request', call: 'withConnection' }],
  [byConnection, { by: 'request', call: 'connection' }],
  [byRead, { by: 'byRead', call: 'read' }],
  [byAcquire, { by: 'byAcquire', call: 'acquire' }],
  [byAcquireWithoutWriting, { by: 'byAcquireWithoutWriting', call: 'acquire' }],
];

for (const [hold, place] of readers) {
  for (const contended of [false, true]) {
    const wait = contended ? ', after a wait of its own' : '';

    test(`who is refused a connection is told of the line that took it: ${hold.name}${wait}`, async (t) => {
      const { clock, pool } = await watched(t, { maxWaiting: 1 });
      const done = gate();
      const before = contended ? await pool.acquire({ label: 'before' }) : undefined;
      const holding = hold(pool, done.passed);
      await settled();
      before?.close();
      await settled();
      const late = pool.acquire({ timeout: 10 });
      const full = await t.throwsAsync<QueueFullError>(pool.acquire(), { instanceOf: QueueFullError });
      const busy = t.throws<NotIdleError>(() => pool.assertIdle(), { instanceOf: NotIdleError });
      const timeout = await inVain<AcquireTimeoutError>(clock, late);
      t.true(timeout instanceof AcquireTimeoutError);
      for (const { message, holders } of [timeout, full, busy]) {
        t.deepEqual(placesIn(message)[0], place, message);
        t.is(message.split('\n').filter((line) => line.startsWith('  #')).length, 1, 'one line a holder');
        t.is(holders.length, 1);
        t.regex(holders[0]?.stack ?? '', beginsIn(place));
      }
      done.open();
      await holding;
      pool.assertIdle();
    });
  }
}

async function byTransaction(pool: SqlitePool, until: Promise<void>) {
  await pool.transaction(() => until);
}
async function byTransactionWithRetries(pool: SqlitePool, until: Promise<void>) {
  await pool.transaction(() => until, { retries: 3 });
}
async function byDeferredTransaction(pool: SqlitePool, until: Promise<void>) {
  await pool.transaction(() => until, { mode: 'deferred' });
}
async function byBoundTransaction(pool: SqlitePool, until: Promise<void>) {
  await pool.withConnection(async function request() {
    await pool.transaction(() => until);
  });
}
async function byWriteConnection(pool: SqlitePool, until: Promise<void>) {
  await pool.withConnection(() => until, { write: true });
}
async function byBoundWriteConnection(pool: SqlitePool, until: Promise<void>) {
  await pool.withConnection(async function request() {
    await pool.withConnection(() => until, { write: true });
  });
}
async function byConnectionToWrite(pool: SqlitePool, until: Promise<void>) {
  await pool.withScope(async function request() {
    await pool.connection({ write: true });
    await until;
  });
}
async function byAcquireToWrite(pool: SqlitePool, until: Promise<void>) {
  const db = await pool.acquire({ write: true });
  await until;
  db.close();
}
async function byTransactionFunction(pool: SqlitePool, until: Promise<void>) {
  await pool.withConnection(async function request(db) {
    const work = db.transaction(async () => until);
    await work.immediate();
  });
}
async function byAmbientTransactionFunction(pool: SqlitePool, until: Promise<void>) {
  const work = pool.db.transaction(async () => until);
  await pool.withConnection(async function request() {
    await work.immediate();
  });
}

const writers: readonly [Hold, Place][] = [
  [byTransaction, { by: 'byTransaction', call: 'transaction' }],
  [byTransactionWithRetries, { by: 'byTransactionWithRetries', call: 'transaction' }],
  [byDeferredTransaction, { by: 'byDeferredTransaction', call: 'transaction' }],
  [byBoundTransaction, { by: 'request', call: 'transaction' }],
  [byWriteConnection, { by: 'byWriteConnection', call: 'withConnection' }],
  [byBoundWriteConnection, { by: 'request', call: 'withConnection' }],
  [byConnectionToWrite, { by: 'request', call: 'connection' }],
  [byAcquireToWrite, { by: 'byAcquireToWrite', call: 'acquire' }],
  [byTransactionFunction, { by: 'request', call: 'immediate' }],
  [byAmbientTransactionFunction, { by: 'request', call: 'immediate' }],
];

for (const [hold, place] of writers) {
  for (const contended of [false, true]) {
    const wait = contended ? ', after a wait of its own' : '';

    test(`who may not write is told of the line that asked for it: ${hold.name}${wait}`, async (t) => {
      const { clock, pool } = await watched(t, { max: 2, maxWaiting: 1 });
      const done = gate();
      const before = contended ? await pool.acquire({ write: true, label: 'before' }) : undefined;
      const holding = hold(pool, done.passed);
      await settled();
      before?.close();
      await settled();
      const late = pool.run(insert, ['x'], { timeout: 10 });
      const full = await t.throwsAsync<QueueFullError>(
        pool.transaction(() => {}),
        { instanceOf: QueueFullError },
      );
      const db = await pool.acquire();
      const locked = t.throws<WriteLockedError>(() => db.prepare(insert).run('x'), { instanceOf: WriteLockedError });
      const timeout = await inVain<WriteTimeoutError>(clock, late);
      t.true(timeout instanceof WriteTimeoutError);
      for (const { message, holder } of [timeout, full, locked]) {
        t.deepEqual(placesIn(message)[0], place, message);
        t.regex(holder?.stack ?? '', beginsIn(place));
        t.is(message.split('\n').filter((line) => line.startsWith('  no label  ')).length, 1);
      }
      db.close();
      for (const line of t
        .throws(() => pool.assertIdle())
        .message.split('\n')
        .slice(1)) {
        t.true(placesIn(line).length > 0, `its lease is known by a line as well: ${line}`);
      }
      done.open();
      await holding;
    });
  }
}
