import test from 'ava';
import { sql as drizzleSql } from 'drizzle-orm';
import { Kysely, sql as kyselySql } from 'kysely';
import type { SqlitePool } from '../../lib/index.ts';
import { drizzle } from '../../lib/orm/drizzle.ts';
import { LeaseholdDialect } from '../../lib/orm/kysely.ts';
import { knexOver } from '../support/knex.ts';
import { leavesNothing, statements } from './leavings.ts';

const kyselyOn = (pool: SqlitePool) => new Kysely<object>({ dialect: new LeaseholdDialect({ pool }) });

/** The same through libraries, each of which has a way to pass on SQL as it is. */
const libraries: Readonly<Record<string, (pool: SqlitePool, sql: string) => unknown>> = {
  Kysely: (pool, sql) => kyselySql.raw(sql).execute(kyselyOn(pool)),
  'a transaction of Kysely': (pool, sql) =>
    kyselyOn(pool)
      .transaction()
      .execute((tx) => kyselySql.raw(sql).execute(tx)),
  'a connection of Kysely': (pool, sql) =>
    kyselyOn(pool)
      .connection()
      .execute((db) => kyselySql.raw(sql).execute(db)),
  Knex: (pool, sql) => knexOver(pool).db.raw(sql),
  'a transaction of Knex': (pool, sql) => knexOver(pool).db.transaction(async (tx) => void (await tx.raw(sql))),
  Drizzle: (pool, sql) => drizzle(pool).run(drizzleSql.raw(sql)),
  'a transaction of Drizzle': (pool, sql) => drizzle(pool).transaction((tx) => tx.run(drizzleSql.raw(sql))),
};

for (const [name, way] of Object.entries(libraries)) {
  test(`what is left through ${name} does not reach the next holder`, async (t) => {
    for (const [sql, trace] of Object.entries(statements)) await leavesNothing(t, (pool) => way(pool, sql), [trace]);
  });
}
