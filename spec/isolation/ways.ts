import { once } from 'node:events';
import type Database from 'better-sqlite3';
import type { SqlitePool } from '../../lib/index.ts';
import { Enough } from '../support/items.ts';

/** What is left: by a handle, whichever. */
export type Leave = (db: Database.Database) => unknown;

/** A way to come by a handle, and to an end of its lease. Settles when that has ended, and never rejects. */
export type Way = (pool: SqlitePool, leave: Leave) => Promise<unknown>;

const failing = async (work: Promise<unknown>): Promise<void> => {
  try {
    await work;
  } catch (error) {
    if (!(error instanceof Enough)) throw error;
  }
};
const thenFail =
  (leave: Leave) =>
  (db: Database.Database): never => {
    leave(db);
    throw new Enough();
  };

/** Ways through leases and scopes. */
const leases: Record<string, Way> = {
  'the handle of a scope': (pool, leave) => pool.withConnection(leave),
  'pool.db': (pool, leave) => pool.withConnection(() => leave(pool.db)),
  'a lease that is closed': async (pool, leave) => {
    const db = await pool.acquire();
    leave(db);
    db.close();
  },
  'a lease that ends with its block': async (pool, leave) => {
    await using db = await pool.acquire();
    leave(db);
  },
  'a lease that was to be had at once': async (pool, leave) => {
    const db = pool.tryAcquire() ?? (await pool.acquire());
    leave(db);
    db.close();
  },
  'a scope that takes its connection late': (pool, leave) =>
    pool.withScope(async () => {
      await pool.connection();
      leave(pool.db);
    }),
  'a scope that is opened by hand': async (pool, leave) => {
    const scope = pool.openScope();
    await scope.run(async () => leave(await pool.connection()));
    await scope.end();
  },
  'a fresh lease': (pool, leave) => pool.withConnection(leave, { fresh: true }),
  'a scope that may write': (pool, leave) => pool.withConnection(leave, { write: true }),
  'a lease that may write': async (pool, leave) => {
    await using db = await pool.acquire({ write: true });
    leave(db);
  },
  'a scope in which something is thrown': (pool, leave) => failing(pool.withConnection(thenFail(leave))),
  'a scope that is aborted': async (pool, leave) => {
    const controller = new AbortController();
    await pool.withConnection(
      async (db) => {
        leave(db);
        const aborted = once(controller.signal, 'abort');
        controller.abort();
        await aborted;
      },
      { signal: controller.signal },
    );
  },
  'a lease that is taken away': async (pool, leave) => {
    const db = await pool.acquire();
    leave(db);
    pool.closeOverdue(0);
  },
  'a connection that its holder has discarded': (pool, leave) =>
    pool.withConnection((db) => {
      leave(db);
      db.discard();
    }),
};

/** Ways through transactions. */
const transactions: Record<string, Way> = {
  'a transaction': (pool, leave) => pool.transaction(leave),
  'a deferred transaction': (pool, leave) => pool.transaction(leave, { mode: 'deferred' }),
  'a transaction that is rolled back': (pool, leave) => failing(pool.transaction(thenFail(leave))),
  'a nested transaction': (pool, leave) => pool.transaction(() => pool.transaction(leave)),
  'a nested transaction that is rolled back': (pool, leave) =>
    pool.transaction(() => failing(pool.transaction(thenFail(leave)))),
  'a transaction in a scope': (pool, leave) => pool.withConnection(() => pool.transaction(() => leave(pool.db))),
  'a transaction in a scope, rolled back': (pool, leave) =>
    pool.withConnection(() => failing(pool.transaction(thenFail(leave)))),
  'an open transaction that is committed': async (pool, leave) => {
    const transaction = await pool.openTransaction().begun;
    await transaction.run(leave);
    await transaction.commit();
  },
  'an open transaction that is rolled back': async (pool, leave) => {
    const transaction = await pool.openTransaction().begun;
    await transaction.run(leave);
    await transaction.rollback();
  },
  'an asynchronous transaction function': (pool, leave) =>
    pool.withConnection((db) => db.transaction(async () => leave(db))()),
  'a synchronous transaction function': (pool, leave) =>
    pool.withConnection((db) => {
      db.transaction(() => {
        leave(db);
      })();
    }),
  'a synchronous transaction function that fails': (pool, leave) =>
    failing(pool.withConnection((db) => db.transaction(() => thenFail(leave)(db))())),
  'a transaction that SQL began and ended': (pool, leave) =>
    pool.withConnection((db) => {
      db.exec('BEGIN');
      leave(db);
      db.exec('COMMIT');
    }),
  'a transaction that SQL began, and nobody ended': (pool, leave) =>
    pool.withConnection((db) => {
      db.exec('BEGIN');
      leave(db);
    }),
  'a savepoint that is rolled back': (pool, leave) =>
    pool.withConnection((db) => {
      db.exec('SAVEPOINT probe');
      leave(db);
      db.exec('ROLLBACK TO probe; RELEASE probe');
    }),
  'a snapshot': (pool, leave) => pool.read(leave),
};

export const ways: Readonly<Record<string, Way>> = { ...leases, ...transactions };

/** Ways for one statement, by its text. */
export const statementWays: Readonly<Record<string, (pool: SqlitePool, sql: string) => unknown>> = {
  'pool.run()': (pool, sql) => pool.run(sql),
  'pool.withStatement()': (pool, sql) => pool.withStatement(sql, (statement) => void statement.run()),
  'pool.run() in a scope': (pool, sql) => pool.withConnection(() => pool.run(sql)),
  'pool.run() in a transaction': (pool, sql) => pool.transaction(() => pool.run(sql)),
  'a statement': (pool, sql) => pool.withConnection((db) => db.prepare(sql).run()),
  'a statement of pool.db': (pool, sql) => pool.withConnection(() => pool.db.prepare(sql).run()),
  'a statement that was prepared on pool.db before': (pool, sql) => {
    const statement = pool.db.prepare(sql);
    return pool.withConnection(() => statement.run());
  },
  'the end of a script': (pool, sql) => pool.withConnection((db) => db.exec(`SELECT 1; ${sql}`)),
  'a script that fails': (pool, sql) =>
    pool.withConnection((db) => {
      try {
        db.exec(`${sql}; SELECT * FROM missing`);
      } catch {
        // What went before has been done.
      }
    }),
};
