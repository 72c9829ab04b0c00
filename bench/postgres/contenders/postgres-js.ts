import postgres from 'postgres';
import { type Contender, expectCount, expectRow, max } from './contender.ts';

/**
 * The package `postgres` with its defaults, but for `max` and `prepare`: by default it prepares everything it is given, which
 * here it does in the row of named statements alone.
 *
 * Does: its own protocol, without pg. Sends several queries to one connection before the first has been answered. Does not:
 * bound the wait, bind a connection to the async context, take a signal.
 */
export const postgresJs: Contender = {
  name: 'postgres',
  open(url, counter) {
    const sql = postgres(url, { max, prepare: false });
    const preparing = postgres(url, { max });
    return {
      async lease(times) {
        for (let i = 0; i < times; i++) {
          const reserved = await sql.reserve();
          reserved.release();
        }
      },
      async query(times) {
        for (let i = 0; i < times; i++) {
          const reserved = await sql.reserve();
          try {
            expectRow(await reserved`SELECT 1 AS n`.simple(), 1);
          } finally {
            reserved.release();
          }
        }
      },
      async oneShot(times) {
        for (let i = 0; i < times; i++) expectRow(await sql`SELECT ${i}::int AS n`, i);
      },
      async named(times) {
        for (let i = 0; i < times; i++) expectRow(await preparing`SELECT ${i}::int AS n`, i);
      },
      async transaction(times) {
        for (let i = 0; i < times; i++) {
          const rows = await sql.begin(async (tx) => {
            await tx`UPDATE counters SET count = count + 1 WHERE id = ${counter}`;
            return await tx`SELECT count FROM counters WHERE id = ${counter}`;
          });
          expectCount(rows);
        }
      },
      async scope(times) {
        for (let i = 0; i < times; i++) {
          const reserved = await sql.reserve();
          try {
            expectRow(await reserved`SELECT ${i}::int AS n`, i);
            expectRow(await reserved`SELECT ${i + 1}::int AS n`, i + 1);
            expectRow(await reserved`SELECT ${i + 2}::int AS n`, i + 2);
          } finally {
            reserved.release();
          }
        }
      },
      async close() {
        await Promise.all([sql.end(), preparing.end()]);
      },
    };
  },
};
