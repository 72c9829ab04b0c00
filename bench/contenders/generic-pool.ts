import type Database from 'better-sqlite3';
import { createPool } from 'generic-pool';
import { keyOf, openDatabase, selectByKey } from '../support/database.ts';
import { type Contender, expectRow, max, nothing, oneTurn } from './contender.ts';

/**
 * generic-pool as its README sets it up: a factory and `max`.
 *
 * Does: a map of loans, which refuses to release what is not lent; `use` destroys the connection where the
 * function fails. Does not: bound the wait (no timeout by default), look at a connection that comes back, keep a stale
 * holder from using it, bind it to the async context.
 */
export const genericPool: Contender = {
  name: 'generic-pool',
  open(file) {
    const pool = createPool<Database.Database>(
      {
        create: async () => openDatabase(file),
        destroy: async (db) => {
          db.close();
        },
      },
      { max },
    );
    return {
      async lease(times) {
        for (let i = 0; i < times; i++) {
          const db = await pool.acquire();
          // Its promise says only that the connection was lent; the README does not wait for it either.
          void pool.release(db);
        }
      },
      async contended(times) {
        for (let i = 0; i < times; i++) {
          const db = await pool.acquire();
          await oneTurn;
          void pool.release(db);
        }
      },
      async scoped(times) {
        for (let i = 0; i < times; i++) await pool.use(nothing);
      },
      async select(times) {
        for (let i = 0; i < times; i++) {
          const key = keyOf(i);
          // `use` calls `then` on the result, so the function has to be async.
          expectRow(await pool.use(async (db) => db.prepare(selectByKey).get(key)));
        }
      },
      async close() {
        await pool.drain();
        await pool.clear();
      },
      queue: {
        acquire: () => pool.acquire(),
        release: (db) => void pool.release(db),
      },
    };
  },
};
