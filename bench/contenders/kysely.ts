import { Kysely, SqliteDialect } from 'kysely';
import { openDatabase } from '../support/database.ts';
import { oneMillisecond, type Transactor } from './transactor.ts';

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
    const db = new Kysely<Schema>({ dialect: new SqliteDialect({ database: connection }) });
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
        db.transaction().execute(async (trx) => {
          const query = trx.selectFrom('accounts').select('balance').where('id', '=', account);
          const first = await query.executeTakeFirstOrThrow();
          await oneMillisecond();
          const second = await query.executeTakeFirstOrThrow();
          return [first.balance, second.balance] as const;
        }),
      left: () => ({ inTransaction: Number(connection.inTransaction) }),
      close: () => db.destroy(),
    };
  },
};
