import { createPool } from '../../../lib/index.ts';
import { type LeasedClient, type PostgresPool, postgres } from '../../../lib/postgres.ts';
import {
  type Contender,
  count,
  expectAborts,
  expectCount,
  expectRow,
  max,
  selectCount,
  selectGiven,
  selectOne,
} from './contender.ts';

/**
 * Leasehold with its defaults, but for `max`.
 *
 * Does at each lease: a handle of its own, which throws after release; a deadline for each waiter; order by priority, then
 * arrival; a look at what the holder may have left; hold and wait times. The scope binds it to the async context.
 */
export const leasehold: Contender = {
  name: 'leasehold',
  open(url, counter) {
    const pool = createPool(postgres(url), { max });
    // For the waits that are aborted: its one connection is held for good.
    let full: { readonly pool: PostgresPool; readonly held: LeasedClient } | undefined;
    return {
      async lease(times) {
        for (let i = 0; i < times; i++) {
          const db = await pool.acquire();
          db.release();
        }
      },
      async query(times) {
        for (let i = 0; i < times; i++) {
          const db = await pool.acquire();
          try {
            const { rows } = await db.query<{ n: number }>(selectOne);
            expectRow(rows, 1);
          } finally {
            db.release();
          }
        }
      },
      async oneShot(times) {
        for (let i = 0; i < times; i++) expectRow((await pool.query(selectGiven, [i])).rows, i);
      },
      async named(times) {
        for (let i = 0; i < times; i++) {
          const { rows } = await pool.query({ name: 'given', text: selectGiven, values: [i] });
          expectRow(rows, i);
        }
      },
      async transaction(times) {
        for (let i = 0; i < times; i++) {
          const { rows } = await pool.transaction(async (tx) => {
            await tx.query(count, [counter]);
            return await tx.query(selectCount, [counter]);
          });
          expectCount(rows);
        }
      },
      async scope(times) {
        for (let i = 0; i < times; i++) {
          await pool.withConnection(async () => {
            // On the connection of the scope, which each of them finds by itself.
            expectRow((await pool.query(selectGiven, [i])).rows, i);
            expectRow((await pool.query(selectGiven, [i + 1])).rows, i + 1);
            expectRow((await pool.query(selectGiven, [i + 2])).rows, i + 2);
          });
        }
      },
      async abortedWaits(times) {
        full ??= await exhausted(url, times);
        const abort = new AbortController();
        const waits = Array.from(
          { length: times },
          () => full?.pool.acquire({ signal: abort.signal }) as Promise<unknown>,
        );
        abort.abort();
        await expectAborts(waits);
      },
      left() {
        const { leased, waiting } = pool.stats();
        return { leased, waiting };
      },
      async close() {
        full?.held.release();
        await full?.pool.close();
        await pool.close();
      },
    };
  },
};

async function exhausted(url: string, maxWaiting: number) {
  const pool = createPool(postgres(url), { max: 1, maxWaiting });
  return { pool, held: await pool.acquire() };
}
