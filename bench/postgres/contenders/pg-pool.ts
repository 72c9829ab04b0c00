import { Pool } from 'pg';
import {
  type Contender,
  count,
  expectCount,
  expectRow,
  max,
  selectCount,
  selectGiven,
  selectOne,
} from './contender.ts';

/**
 * `Pool` of pg with its defaults, but for `max`.
 *
 * Does: an idle timeout for each client that comes back. Does not: bound the wait (no timeout by default), look at a client that
 * comes back, keep a stale holder from using it, bind it to the async context, take a signal.
 */
export const pgPool: Contender = {
  name: 'pg.Pool',
  open(url, counter) {
    const pool = new Pool({ connectionString: url, max });
    return {
      async lease(times) {
        for (let i = 0; i < times; i++) {
          const client = await pool.connect();
          client.release();
        }
      },
      async query(times) {
        for (let i = 0; i < times; i++) {
          const client = await pool.connect();
          try {
            const { rows } = await client.query(selectOne);
            expectRow(rows, 1);
          } finally {
            client.release();
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
          const client = await pool.connect();
          try {
            await client.query('BEGIN');
            await client.query(count, [counter]);
            const { rows } = await client.query(selectCount, [counter]);
            await client.query('COMMIT');
            expectCount(rows);
          } catch (error) {
            await client.query('ROLLBACK');
            throw error;
          } finally {
            client.release();
          }
        }
      },
      async scope(times) {
        for (let i = 0; i < times; i++) {
          const client = await pool.connect();
          try {
            expectRow((await client.query(selectGiven, [i])).rows, i);
            expectRow((await client.query(selectGiven, [i + 1])).rows, i + 1);
            expectRow((await client.query(selectGiven, [i + 2])).rows, i + 2);
          } finally {
            client.release();
          }
        }
      },
      left: () => ({ leased: pool.totalCount - pool.idleCount, waiting: pool.waitingCount }),
      async close() {
        // It resolves before its connections are closed, and the database they are to goes next.
        pool.on('error', () => {});
        await pool.end();
      },
    };
  },
};
