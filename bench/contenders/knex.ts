import type Database from 'better-sqlite3';
import createKnex from 'knex';
import { applyPragmas } from '../support/database.ts';
import { oneMillisecond, type Transactor } from './transactor.ts';

interface Account {
  readonly id: number;
  readonly balance: number;
}

/**
 * Knex with its better-sqlite3 client and its pool as it is by default: tarn, with one connection. Its busy timeout
 * is the driver's, 5 s, which nothing here waits for.
 *
 * Does: queue, bound the wait (60 s); build and prepare each query anew. Does not: let a read run beside anything. Its
 * transactions begin deferred, which is harmless with one connection and no other process.
 */
export const knex: Transactor = {
  name: 'knex',
  open(filename) {
    const opened: Database.Database[] = [];
    const db = createKnex({
      client: 'better-sqlite3',
      connection: { filename },
      useNullAsDefault: true,
      pool: {
        afterCreate(connection: Database.Database, done: (error: Error | null, connection: unknown) => void) {
          applyPragmas(connection);
          opened.push(connection);
          done(null, connection);
        },
      },
    });
    const pool = (db.client as { readonly pool: { numUsed(): number; numPendingAcquires(): number } }).pool;
    return {
      write: (account) =>
        db.transaction(async (trx) => {
          const balance = balanceOf(await trx<Account>('accounts').where({ id: account }).first('balance'));
          await oneMillisecond();
          await trx<Account>('accounts')
            .where({ id: account })
            .update({ balance: balance + 1 });
        }),
      read: (account) =>
        db.transaction(async (trx) => {
          const first = balanceOf(await trx<Account>('accounts').where({ id: account }).first('balance'));
          await oneMillisecond();
          const second = balanceOf(await trx<Account>('accounts').where({ id: account }).first('balance'));
          return [first, second] as const;
        }),
      left: () => ({
        used: pool.numUsed(),
        pending: pool.numPendingAcquires(),
        inTransaction: opened.filter(({ inTransaction }) => inTransaction).length,
      }),
      close: () => db.destroy(),
    };
  },
};

function balanceOf(row: Pick<Account, 'balance'> | undefined): number {
  if (row === undefined) throw new Error('An account is missing');
  return row.balance;
}
