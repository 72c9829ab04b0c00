import { RawTransactions } from './raw-transactions.ts';
import type { Transactor } from './transactor.ts';

/**
 * One better-sqlite3 connection that one transaction at a time has for itself, first come, first served: the least
 * that makes transactions across `await` right. Raw BEGIN IMMEDIATE, or BEGIN for reads, and COMMIT on kept statements.
 *
 * Does: queue. Does not: let a read run beside anything, bound the wait, keep a stale holder from the connection.
 */
export const mutex: Transactor = {
  name: 'mutex',
  open(file) {
    const connection = new RawTransactions(file);
    let waiting = 0;
    let last: Promise<unknown> = Promise.resolve();
    const inTurn = <Result>(work: () => Promise<Result>): Promise<Result> => {
      waiting++;
      const turn = last.then(work).finally(() => waiting--);
      last = turn.catch(() => {});
      return turn;
    };
    return {
      write: (account) => inTurn(() => connection.write(account)),
      read: (account) => inTurn(() => connection.read(account)),
      left: () => ({ waiting, inTransaction: Number(connection.db.inTransaction) }),
      async close() {
        connection.db.close();
      },
    };
  },
};
