import { createPool, type LeasedDatabase, type SqlitePool } from '../../lib/index.ts';
import { selectBalance, updateBalance } from '../support/database.ts';
import { max } from './contender.ts';
import { oneMillisecond, type Transactor } from './transactor.ts';

/**
 * Leasehold with its defaults.
 *
 * Does: queue writes in the write lane, on a connection of its own; let reads run beside each other and beside the
 * write; bound every wait (5 s); take a connection, a handle and a scope for each transaction. Prepares at each
 * request, from the cache of the connection.
 */
export const leaseholdTransactions: Transactor = {
  name: 'leasehold',
  open(file) {
    const pool = createPool(file, { max });
    return {
      write: (account) =>
        pool.transaction(async (tx) => {
          const balance = balanceOf(tx, account);
          await oneMillisecond();
          tx.prepare(updateBalance).run(balance + 1, account);
        }),
      read: (account) =>
        pool.read(async (db) => {
          const first = balanceOf(db, account);
          await oneMillisecond();
          return [first, balanceOf(db, account)] as const;
        }),
      left: () => leftIn(pool),
      close: () => pool.close(),
    };
  },
};

/** What is held or waited for, of the pool and of the write lane. */
export function leftIn(pool: SqlitePool): Readonly<Record<string, number>> {
  const { laneHeld, laneWaiting, leased, waiting } = pool.stats();
  return { laneHeld, laneWaiting, leased, waiting };
}

function balanceOf(db: LeasedDatabase, account: number): number {
  const row = db.prepare<[number], { readonly balance: number }>(selectBalance).get(account);
  if (row === undefined) throw new Error('An account is missing');
  return row.balance;
}
