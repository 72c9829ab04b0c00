import type Database from 'better-sqlite3';
import { Pool } from 'lightning-pool';
import { keyOf, openDatabase, selectByKey } from '../support/database.ts';
import { type Contender, expectRow, max, nothing, oneTurn } from './contender.ts';

/**
 * lightning-pool as its README sets it up, without `reset` and `validate`, which would be SQL at every lease,
 * and with a queue that has room for all. `min` is 0, as with the others.
 *
 * Does: events, retries of `create`. Does not: bound the wait (no timeout by default), look at a connection
 * that comes back, keep a stale holder from using it. It has no `use`: the loops below have the `try … finally`
 * a caller would write. `release` is its synchronous form, which is the quicker one.
 */
export const lightningPool: Contender = {
  name: 'lightning-pool',
  open(file) {
    const pool = new Pool<Database.Database>(
      {
        create: async () => openDatabase(file),
        destroy: (db) => {
          db.close();
        },
      },
      { max, maxQueue: Infinity },
    );
    pool.start();
    return {
      async lease(times) {
        for (let i = 0; i < times; i++) {
          const db = await pool.acquire();
          pool.release(db);
        }
      },
      async contended(times) {
        for (let i = 0; i < times; i++) {
          const db = await pool.acquire();
          await oneTurn;
          pool.release(db);
        }
      },
      async scoped(times) {
        for (let i = 0; i < times; i++) {
          const db = await pool.acquire();
          try {
            await nothing(db);
          } finally {
            pool.release(db);
          }
        }
      },
      async select(times) {
        for (let i = 0; i < times; i++) {
          const db = await pool.acquire();
          try {
            expectRow(db.prepare(selectByKey).get(keyOf(i)));
          } finally {
            pool.release(db);
          }
        }
      },
      close: () => pool.closeAsync(),
      queue: {
        acquire: () => pool.acquire(),
        release: (db) => pool.release(db),
      },
    };
  },
};
