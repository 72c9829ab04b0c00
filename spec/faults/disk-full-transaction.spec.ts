import test, { type ExecutionContext } from 'ava';
import type { LeasedDatabase, SqlitePool } from '../../lib/index.ts';
import { goesOn, watchErrors } from '../support/faults.ts';
import { gate, settled } from '../support/gate.ts';
import { insert, namesIn } from '../support/items.ts';
import { temporaryPool } from '../support/sqlite.ts';
import { type Disk, diskTest } from './disk.ts';

const full = { code: 'SQLITE_FULL' };
const aborted = { code: 'ERR_LEASEHOLD_TRANSACTION_ABORTED' };

// So few that a large statement is written to the disk before its transaction is committed.
const cacheSize = 10;

async function openFull(t: ExecutionContext, disk: Disk, journal_mode: string) {
  const pool = temporaryPool(t, { max: 3, pragmas: { journal_mode, cache_size: cacheSize } }, disk.file);
  await pool.run('CREATE TABLE item (name TEXT)');
  await pool.run('CREATE TABLE heap (data BLOB)');
  await pool.run("INSERT INTO item VALUES ('first')");
  await pool.checkpoint('truncate');
  // A rollback journal is begun by the first statement that writes.
  disk.fill(journal_mode === 'DELETE' ? 4 : 0);
  return { pool, errors: watchErrors(pool) };
}

/** Needs more pages than are cached. Gives the error. */
function overflow(db: LeasedDatabase): unknown {
  try {
    for (let row = 0; row < 20; row++) db.prepare('INSERT INTO heap VALUES (randomblob(100000))').run();
  } catch (error) {
    return error;
  }
  return undefined;
}

async function isWhole(t: ExecutionContext, pool: SqlitePool, disk: Disk, names: readonly string[]): Promise<void> {
  t.deepEqual(await namesIn(pool), names, 'while the disk is full');
  t.deepEqual(await pool.all('SELECT * FROM heap'), []);
  disk.free();
  await goesOn(t, pool);
  t.deepEqual(await namesIn(pool), names);
}

for (const journal_mode of ['WAL', 'DELETE']) {
  for (const bound of [false, true]) {
    const where = `${journal_mode}, ${bound ? 'bound' : 'unbound'}`;

    /**
     * Asserts that a transaction which inserts a row and does `body` is aborted, and that nothing of it is kept. Gives the
     * error it was aborted for.
     */
    const isAborted = async (
      t: ExecutionContext,
      disk: Disk,
      body: (tx: LeasedDatabase, pool: SqlitePool) => Promise<unknown>,
    ): Promise<unknown> => {
      const { pool, errors } = await openFull(t, disk, journal_mode);
      const run = () =>
        pool.transaction((tx) => {
          insert(tx, 'before');
          return body(tx, pool);
        });
      const error = await t.throwsAsync<Error>(bound ? pool.withConnection(run) : run(), aborted);
      await isWhole(t, pool, disk, ['first']);
      t.deepEqual(errors, []);
      return error?.cause;
    };

    diskTest(
      `a transaction that finds the disk full in a statement is over, and nothing of it runs by itself (${where})`,
      async (t, disk) => {
        let cause: unknown;
        const told = await isAborted(t, disk, async (tx, pool) => {
          await settled();
          cause = overflow(tx);
          t.like(cause, full);
          t.false(tx.inTransaction, 'SQLite has ended it');
          t.is(t.throws(() => insert(tx, 'never'), aborted)?.cause, cause);
          await settled();
          disk.free();
          // That there is room again changes nothing.
          t.is(t.throws(() => insert(tx, 'never'), aborted)?.cause, cause);
          t.is((await t.throwsAsync<Error>(pool.run("INSERT INTO item VALUES ('never')"), aborted))?.cause, cause);
          t.is(
            (
              await t.throwsAsync<Error>(
                pool.transaction(() => t.fail()),
                aborted,
              )
            )?.cause,
            cause,
          );
        });
        t.is(told, cause);
      },
    );

    diskTest(
      `a transaction that finds the disk full at its COMMIT is aborted as a whole (${where})`,
      async (t, disk) => {
        const told = await isAborted(t, disk, async (tx) => {
          // Few enough pages to wait in memory until then.
          tx.prepare('INSERT INTO heap VALUES (zeroblob(20000))').run();
          await settled();
          t.true(tx.inTransaction);
          return 'never';
        });
        t.like(told, full);
      },
    );

    diskTest(
      `a nested transaction that finds the disk full ends those around it, those beside it and those that join (${where})`,
      async (t, disk) => {
        let cause: unknown;
        const told = await isAborted(t, disk, async (tx, pool) => {
          const [begun, go] = [gate(), gate()];
          const nested = pool.transaction(async (inner) => {
            insert(inner, 'inner');
            begun.open();
            await go.passed;
            cause = overflow(inner);
            t.like(cause, full);
            await settled();
            // It may hide it. That does not help.
          });
          await begun.passed;
          const sibling = t.throwsAsync<Error>(
            pool.transaction(() => t.fail()),
            aborted,
          );
          go.open();
          t.is((await t.throwsAsync<Error>(nested, aborted))?.cause, cause);
          t.is((await sibling)?.cause, cause);
          for (const nesting of ['join', 'savepoint'] as const) {
            const refused = pool.transaction(() => t.fail(), { nesting });
            t.is((await t.throwsAsync<Error>(refused, aborted))?.cause, cause);
          }
          t.is(t.throws(() => insert(tx, 'never'), aborted)?.cause, cause);
        });
        t.is(told, cause);
      },
    );
  }
}

// Without a WAL the reader would be in the way first.
diskTest(
  'while a transaction finds the disk full, snapshots that were taken before go on, and writers that queue behind it come to their turn',
  async (t, disk) => {
    const { pool } = await openFull(t, disk, 'WAL');
    const [begun, go] = [gate(), gate()];
    const failing = pool.transaction(async (tx) => {
      insert(tx, 'before');
      begun.open();
      await go.passed;
      t.like(overflow(tx), full);
      disk.free();
    });
    await begun.passed;
    const writers = ['a', 'b'].map((name) => pool.transaction((tx) => insert(tx, name)));
    await pool.read(async (db) => {
      t.is(db.prepare('SELECT count(*) FROM item').pluck().get(), 1);
      go.open();
      await t.throwsAsync(failing, aborted);
      t.is(db.prepare('SELECT count(*) FROM item').pluck().get(), 1);
    });
    await Promise.all(writers);
    await isWhole(t, pool, disk, ['first', 'a', 'b']);
  },
);

/** A pool whose file may not grow beyond what it has. */
async function openLimited(t: ExecutionContext): Promise<SqlitePool> {
  const pool = temporaryPool(t, { max: 1, acquireTimeout: 2000 });
  await pool.run('CREATE TABLE item (name TEXT)');
  await pool.run('CREATE TABLE heap (data BLOB)');
  return pool;
}

test('where SQLite undoes only the statement that found the file full, its transaction goes on and is kept', async (t) => {
  const pool = await openLimited(t);
  await pool.transaction(async (tx) => {
    insert(tx, 'before');
    await settled();
    tx.pragma(`max_page_count = ${String(tx.pragma('page_count', { simple: true }))}`);
    const rows = 'WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 100)';
    // Of many rows, so SQLite has kept what it takes to undo it by itself.
    t.throws(() => tx.prepare(`${rows} INSERT INTO heap SELECT zeroblob(1000) FROM n`).run(), full);
    t.true(tx.inTransaction);
    t.is(tx.prepare('SELECT count(*) FROM heap').pluck().get(), 0);
    await settled();
    const inner = pool.transaction(async (nested) => {
      insert(nested, 'undone');
      await settled();
      nested.prepare(`${rows} INSERT INTO heap SELECT zeroblob(1000) FROM n`).run();
    });
    await t.throwsAsync(inner, full);
    insert(tx, 'after');
  });
  t.deepEqual(await namesIn(pool), ['before', 'after']);
  // The limit was a setting of that one connection.
  await pool.run('INSERT INTO heap VALUES (zeroblob(100000))');
  await goesOn(t, pool);
});
