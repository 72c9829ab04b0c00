import type Database from 'better-sqlite3';
import { Pool } from 'tarn';
import { keyOf, openDatabase, selectByKey } from '../support/database.ts';
import { type Contender, expectRow, max, nothing, oneTurn } from './contender.ts';

/**
 * tarn as its README sets it up. It insists on `min`: 0, as with the others. Its timeouts are its defaults.
 *
 * Does: bound the wait, by a timer for each acquire (30 s); pass every connection through an asynchronous
 * validation, here the default that accepts all. Does not: look at a connection that comes back, keep a stale
 * holder from using it. It has no `use`: the loops below have the `try … finally` a caller would write.
 */
export const tarn: Contender = {
  name: 'tarn',
  open(file) {
    const pool = new Pool<Database.Database>({
      create: async () => openDatabase(file),
      destroy: (db) => db.close(),
      min: 0,
      max,
    });
    return {
      async lease(times) {
        for (let i = 0; i < times; i++) {
          const db = await pool.acquire().promise;
          pool.release(db);
        }
      },
      async contended(times) {
        for (let i = 0; i < times; i++) {
          const db = await pool.acquire().promise;
          await oneTurn;
          pool.release(db);
        }
      },
      async scoped(times) {
        for (let i = 0; i < times; i++) {
          const db = await pool.acquire().promise;
          try {
            await nothing(db);
          } finally {
            pool.release(db);
          }
        }
      },
      async select(times) {
        for (let i = 0; i < times; i++) {
          const db = await pool.acquire().promise;
          try {
            expectRow(db.prepare(selectByKey).get(keyOf(i)));
          } finally {
            pool.release(db);
          }
        }
      },
      async close() {
        await pool.destroy();
      },
      queue: {
        acquire: () => pool.acquire().promise,
        release: (db) => void pool.release(db),
      },
    };
  },
};
