import { createPool } from 'generic-pool';
import { max } from './contender.ts';
import { RawTransactions } from './raw-transactions.ts';
import type { Transactor } from './transactor.ts';

/**
 * Connections pooled, and nothing said about writing: generic-pool with 8 connections of a busy timeout of 1 s, each
 * with its statements kept, and raw BEGIN IMMEDIATE … COMMIT.
 *
 * Does: let reads run beside each other and beside a write. Does not: keep two writes apart. The second BEGIN
 * IMMEDIATE stops the event loop for the busy timeout, in which the first can not commit, and fails with SQLITE_BUSY.
 */
export const genericPoolTransactions: Transactor = {
  name: 'generic-pool',
  open(file) {
    const opened = new Set<RawTransactions>();
    const pool = createPool<RawTransactions>(
      {
        create: async () => {
          const connection = new RawTransactions(file);
          opened.add(connection);
          return connection;
        },
        destroy: async (connection) => {
          opened.delete(connection);
          connection.db.close();
        },
      },
      { max },
    );
    // Not `pool.use`, which closes the connection of whoever met SQLITE_BUSY.
    const leased = async <Result>(work: (connection: RawTransactions) => Promise<Result>): Promise<Result> => {
      const connection = await pool.acquire();
      try {
        return await work(connection);
      } finally {
        void pool.release(connection);
      }
    };
    return {
      write: (account) => leased((connection) => connection.write(account)),
      read: (account) => leased((connection) => connection.read(account)),
      left: () => ({
        borrowed: pool.borrowed,
        pending: pool.pending,
        inTransaction: [...opened].filter(({ db }) => db.inTransaction).length,
      }),
      async close() {
        await pool.drain();
        await pool.clear();
      },
    };
  },
};
