import { createPool, type SqlitePool } from '../../lib/index.ts';
import { keyOf, selectByKey } from '../support/database.ts';
import { type Contender, expectRow, max, nothing, oneTurn } from './contender.ts';

/**
 * Leasehold with its defaults, but for the two bounds a queue of 100 000 needs: `maxWaiting`, and a deadline as long as tarn's.
 *
 * Does at each lease: a handle of its own, which throws after release; a deadline for each waiter, checked
 * again at hand-off; order by priority, then arrival; a look at what the holder may have left; hold and wait times.
 */
export const leasehold: Contender = {
  name: 'leasehold',
  open(file) {
    const pool = createPool(file, { max, maxWaiting: Infinity, acquireTimeout: 30_000 });
    // Made when it is asked for, so that the other rows run without it.
    let watching: SqlitePool | undefined;
    return {
      async lease(times) {
        for (let i = 0; i < times; i++) {
          const db = await pool.acquire();
          db.close();
        }
      },
      async contended(times) {
        for (let i = 0; i < times; i++) {
          const db = await pool.acquire();
          await oneTurn;
          db.close();
        }
      },
      async scoped(times) {
        for (let i = 0; i < times; i++) await pool.withConnection(nothing);
      },
      async select(times) {
        for (let i = 0; i < times; i++) {
          const key = keyOf(i);
          expectRow(await pool.withConnection((db) => db.prepare(selectByKey).get(key)));
        }
      },
      async watched(times) {
        watching ??= createPool(file, { max, leakThreshold: 30_000 });
        for (let i = 0; i < times; i++) {
          const db = await watching.acquire();
          db.close();
        }
      },
      close: async () => {
        await pool.close();
        await watching?.close();
      },
      queue: {
        acquire: () => pool.acquire(),
        release: (db) => {
          db.close();
        },
      },
    };
  },
};
