import { type Dialect, Kysely, SqliteDialect } from 'kysely';
import { createPool } from '../../lib/index.ts';
import { LeaseholdDialect } from '../../lib/orm/kysely.ts';
import { openDatabase } from '../support/database.ts';
import { max } from './contender.ts';
import { leftIn } from './leasehold-transactions.ts';
import { oneMillisecond, type Transactions, type Transactor } from './transactor.ts';

interface Schema {
  readonly accounts: { readonly id: number; readonly balance: number };
}

/**
 * Kysely with its own SqliteDialect: one connection and a mutex. Reads are in a transaction as well, there being no
 * other way to a snapshot.
 *
 * Does: queue; build and prepare each query anew. Does not: let a read run beside anything, bound the wait. Its
 * transactions begin deferred, which is harmless with one connection and no other process.
 */
export const kysely: Transactor = {
  name: 'kysely',
  open(file) {
    const connection = openDatabase(file);
    const dialect = new SqliteDialect({ database: connection });
    return transactionsOf(dialect, () => ({ inTransaction: Number(connection.inTransaction) }));
  },
};

/** The same queries of Kysely on Leasehold's dialect, with the defaults of the pool. */
export const kyselyOnLeasehold: Transactor = {
  name: 'kysely on leasehold',
  open(file) {
    const pool = createPool(file, { max });
    return transactionsOf(new LeaseholdDialect({ pool }), () => leftIn(pool));
  },
};

function transactionsOf(dialect: Dialect, left: Transactions['left']): Transactions {
  const db = new Kysely<Schema>({ dialect });
  return {
    write: (account) =>
      db.transaction().execute(async (trx) => {
        const { balance } = await trx
          .selectFrom('accounts')
          .select('balance')
          .where('id', '=', account)
          .executeTakeFirstOrThrow();
        await oneMillisecond();
        await trx
          .updateTable('accounts')
          .set({ balance: balance + 1 })
          .where('id', '=', account)
          .execute();
      }),
    read: (account) =>
      db
        .transaction()
        .setAccessMode('read only')
        .execute(async (trx) => {
          const query = trx.selectFrom('accounts').select('balance').where('id', '=', account);
          const first = await query.executeTakeFirstOrThrow();
          await oneMillisecond();
          const second = await query.executeTakeFirstOrThrow();
          return [first.balance, second.balance] as const;
        }),
    left,
    close: () => db.destroy(),
  };
}
