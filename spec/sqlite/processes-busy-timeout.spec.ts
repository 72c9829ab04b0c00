import test from 'ava';
import type { LeasedDatabase, SqlitePool } from '../../lib/index.ts';
import { journalNeighbours, neighbours, turnsUntil, watch } from '../support/processes.ts';

// Synchronous waits are the subject, and block the whole process. So one test at a time.

const insert = 'INSERT INTO n VALUES (2)';
const busyTimeout = 150;

/** How long a call that throws SQLITE_BUSY has blocked. */
function blocked(call: () => unknown): number {
  const before = performance.now();
  try {
    call();
  } catch (error) {
    if ((error as { code?: unknown }).code === 'SQLITE_BUSY') return performance.now() - before;
    throw error;
  }
  throw new Error('It was not refused');
}

const writes: Record<string, (db: LeasedDatabase) => unknown> = {
  'a statement': (db) => db.prepare(insert).run(),
  'INSERT … RETURNING': (db) => db.prepare(`${insert} RETURNING x`).all(),
  'exec()': (db) => db.exec(insert),
  'BEGIN IMMEDIATE': (db) => db.exec('BEGIN IMMEDIATE'),
  'a synchronous transaction': (db) => db.transaction(() => db.prepare(insert).run())(),
  'a synchronous transaction that begins IMMEDIATE': (db) => db.transaction(() => db.prepare(insert).run()).immediate(),
};

for (const [name, write] of Object.entries(writes)) {
  test.serial(`${name} waits for another process's lock for busyTimeout, and throws what SQLite says`, async (t) => {
    const { pool, other } = await neighbours(t, { busyTimeout });
    await other.exec('BEGIN IMMEDIATE');
    await pool.withConnection(async (db) => {
      t.true(blocked(() => write(db)) >= busyTimeout);
      t.false(db.inTransaction);
      await other.exec('ROLLBACK');
      write(db);
      if (db.inTransaction) db.exec('COMMIT');
    });
    t.like(pool.stats(), { laneHeld: 0, leased: 0 });
  });

  test.serial(`${name} goes through when another process gives its lock back within busyTimeout`, async (t) => {
    const { pool, other } = await neighbours(t, { busyTimeout: 20_000 });
    await other.exec('BEGIN IMMEDIATE');
    await pool.withConnection(async (db) => {
      await other.call('soon', 'COMMIT', 60);
      write(db);
      if (db.inTransaction) db.exec('COMMIT');
    });
    // It had to wait until the other's timer, or the write could not have been done.
    await t.throwsAsync(other.exec('COMMIT'), { message: /no transaction is active/ });
  });
}

test.serial('the first write of a deferred transaction waits like any other synchronous statement', async (t) => {
  const { pool, other } = await neighbours(t, { busyTimeout });
  await other.exec('BEGIN IMMEDIATE');
  const writing = pool.transaction(
    (tx) => {
      t.true(blocked(() => tx.prepare(insert).run()) >= busyTimeout);
      throw new Error('given up');
    },
    { mode: 'deferred' },
  );
  await t.throwsAsync(writing, { message: 'given up' });
  await other.exec('ROLLBACK');
});

// Each of these waits for locks from timers, for which SQLite must not wait by itself.
const interludes: Record<string, (pool: SqlitePool, db: LeasedDatabase) => Promise<unknown>> = {
  'a transaction': (pool) => pool.transaction((tx) => tx.prepare(insert).run()),
  'a transaction that was rolled back': (pool) =>
    pool
      .transaction(() => {
        throw new Error('given up');
      })
      .catch(() => {}),
  'an async db.transaction()': (_, db) =>
    db.transaction(async () => {
      db.prepare(insert).run();
    })(),
  'a snapshot': (pool) => pool.read((tx) => tx.prepare('SELECT x FROM n').all()),
  'run()': (pool) => pool.run(insert),
  'get()': (pool) => pool.get('SELECT x FROM n'),
  'a run() that failed': (pool) => pool.run('INSERT INTO n VALUES (2, 3)').catch(() => {}),
};

for (const [name, pass] of Object.entries(interludes)) {
  test.serial(`the busy timeout is back after ${name} on the same connection`, async (t) => {
    const { pool, other } = await neighbours(t, { busyTimeout });
    await pool.withConnection(async (db) => {
      const kept = db.prepare(insert);
      await pass(pool, db);
      t.is(db.pragma('busy_timeout', { simple: true }), busyTimeout);
      await pass(pool, db);
      await other.exec('BEGIN IMMEDIATE');
      t.true(blocked(() => kept.run()) >= busyTimeout);
      await other.exec('ROLLBACK');
    });
    await pool.withConnection((db) => pass(pool, db));
    await using db = await pool.acquire();
    t.is(db.pragma('busy_timeout', { simple: true }), busyTimeout);
  });

  test.serial(`a busy timeout that a holder has set survives ${name}, but not his lease`, async (t) => {
    const { pool, other } = await neighbours(t, { busyTimeout: 20_000, max: 1 });
    await pool.withConnection(async (db) => {
      db.pragma('busy_timeout = 7');
      await pass(pool, db);
      t.is(db.pragma('busy_timeout', { simple: true }), 7);
      await other.exec('BEGIN IMMEDIATE');
      const took = blocked(() => db.prepare(insert).run());
      t.true(took >= 7 && took < 10_000);
      await other.exec('ROLLBACK');
    });
    await pool.withConnection((db) => t.is(db.pragma('busy_timeout', { simple: true }), 20_000));
  });
}

test.serial('the busy timeout is back after a transaction that timed out at a lock', async (t) => {
  const { pool, other } = await neighbours(t, { busyTimeout });
  await other.exec('BEGIN IMMEDIATE');
  await pool.withConnection(async (db) => {
    await t.throwsAsync(
      pool.transaction(() => t.fail(), { timeout: 30 }),
      { code: 'ERR_LEASEHOLD_WRITE_TIMEOUT' },
    );
    t.is(db.pragma('busy_timeout', { simple: true }), busyTimeout);
    t.true(blocked(() => db.prepare(insert).run()) >= busyTimeout);
  });
  await other.exec('ROLLBACK');
});

test.serial('a busy timeout that is set inside a transaction is kept until the end of the lease', async (t) => {
  const { pool } = await neighbours(t, { busyTimeout });
  await pool.withConnection(async (db) => {
    await pool.transaction((tx) => tx.pragma('busy_timeout = 7'));
    t.is(db.pragma('busy_timeout', { simple: true }), 7);
  });
});

test.serial(
  'a busy timeout that is set inside a transaction does not make its COMMIT block the event loop',
  async (t) => {
    const { pool, other, refusals } = await journalNeighbours(t, { busyTimeout });
    await other.exec('BEGIN');
    await other.value('SELECT x FROM n');
    const writing = watch(
      pool.transaction(
        (tx) => {
          // Were it waited for inside SQLite, the first attempt would take until the deadline.
          tx.pragma('busy_timeout = 20000');
          tx.prepare(insert).run();
        },
        { timeout: 20_000 },
      ),
    );
    await turnsUntil(() => writing.settled || refusals() >= 3);
    await other.exec('COMMIT');
    await t.notThrowsAsync(writing.done);
    t.true(refusals() >= 3);
  },
);
