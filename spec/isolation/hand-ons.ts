import type { LeasedDatabase, SqlitePool, SqlitePoolOptions } from '../../lib/index.ts';

/** A way for a connection to come from one holder to the next. */
export interface HandOn {
  readonly options?: SqlitePoolOptions;
  /** Has `leave` leave something on a connection, and lets whoever gets that place afterwards look. */
  readonly run: (
    pool: SqlitePool,
    leave: (db: LeasedDatabase) => void,
    look: (db: LeasedDatabase) => unknown,
  ) => Promise<unknown>;
}

export const handOns: Readonly<Record<string, HandOn>> = {
  'an idle connection': {
    async run(pool, leave, look) {
      await pool.withConnection(leave);
      return pool.withConnection(look);
    },
  },
  'a waiter': {
    async run(pool, leave, look) {
      const db = await pool.acquire();
      const waiting = pool.withConnection(look);
      leave(db);
      db.close();
      return waiting;
    },
  },
  'the connections of a pool that uses them in turn': {
    options: { max: 2, order: 'fifo' },
    async run(pool, leave, look) {
      await pool.withConnection(() => pool.withConnection(leave, { fresh: true }));
      const both = [await pool.acquire(), await pool.acquire()];
      const looks = both.map(look);
      for (const db of both) db.close();
      return looks;
    },
  },
  'a fresh lease inside a scope': {
    options: { max: 2 },
    async run(pool, leave, look) {
      return pool.withConnection(async () => {
        await pool.withConnection(leave, { fresh: true });
        return pool.withConnection(look, { fresh: true });
      });
    },
  },
  'a snapshot': {
    async run(pool, leave, look) {
      await pool.withConnection(leave);
      return pool.read(look);
    },
  },
  "a transaction on the lane's own connection": {
    async run(pool, leave, look) {
      await pool.withConnection(leave, { write: true });
      return pool.transaction(look);
    },
  },
  'a transaction that waits for the lane': {
    async run(pool, leave, look) {
      const db = await pool.acquire({ write: true });
      const waiting = pool.transaction(look);
      leave(db);
      db.close();
      return waiting;
    },
  },
};
