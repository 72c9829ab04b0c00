import test from 'ava';
import type Database from 'better-sqlite3';
import { eq, sql } from 'drizzle-orm';
import type { BetterSQLite3Database } from 'drizzle-orm/better-sqlite3';
import type { BaseSQLiteDatabase } from 'drizzle-orm/sqlite-core';
import { expectTypeOf } from 'expect-type';
import type { SqlitePool } from '../../lib/index.ts';
import { drizzle, type LeaseholdDatabase } from '../../lib/orm/drizzle.ts';
import { customers, openShop, orders, type schema } from './drizzle-shop.ts';

type Own = LeaseholdDatabase<typeof schema>;
type Native = BetterSQLite3Database<typeof schema>;

// Never run. Written twice, because a type that stands for both would be compared with itself.

const ownQueries = (db: Own) => ({
  all: db.select().from(customers),
  joined: db.select().from(customers).leftJoin(orders, eq(orders.customerId, customers.id)),
  some: db.select({ name: customers.name, twice: sql<number>`2 * id` }).from(customers),
  returned: db.insert(customers).values({ name: '' }).returning(),
  related: db.query.customers.findMany({ columns: { name: true }, with: { orders: true } }),
  firstRelated: db.query.orders.findFirst({ with: { customer: true } }),
});

const nativeQueries = (db: Native) => ({
  all: db.select().from(customers),
  joined: db.select().from(customers).leftJoin(orders, eq(orders.customerId, customers.id)),
  some: db.select({ name: customers.name, twice: sql<number>`2 * id` }).from(customers),
  returned: db.insert(customers).values({ name: '' }).returning(),
  related: db.query.customers.findMany({ columns: { name: true }, with: { orders: true } }),
  firstRelated: db.query.orders.findFirst({ with: { customer: true } }),
});

type Rows<Queries extends (db: never) => unknown> = {
  [Key in keyof ReturnType<Queries>]: Awaited<ReturnType<Queries>[Key]>;
};

test('rows have the types they have with Drizzle’s own driver', async (t) => {
  const { db } = await openShop(t);
  type OwnRows = Rows<typeof ownQueries>;
  expectTypeOf<OwnRows>().toEqualTypeOf<Rows<typeof nativeQueries>>();
  expectTypeOf<OwnRows['all']>().toEqualTypeOf<{ id: number; name: string }[]>();
  t.deepEqual(Object.keys(ownQueries(db)), ['all', 'joined', 'some', 'returned', 'related', 'firstRelated']);
  const row = await db.select().from(customers).get();
  expectTypeOf(row).toEqualTypeOf<{ id: number; name: string } | undefined>();
  t.is(row?.name, 'Ada');
});

test('what is not a query is typed, too', async (t) => {
  const { db, pool } = await openShop(t);
  expectTypeOf(db).toEqualTypeOf<Own>();
  expectTypeOf(db).toExtend<BaseSQLiteDatabase<'async', Database.RunResult, typeof schema>>();
  expectTypeOf(db.$client).toEqualTypeOf<SqlitePool>();
  expectTypeOf(drizzle(pool)).toEqualTypeOf<LeaseholdDatabase>();
  expectTypeOf(drizzle({ client: pool, casing: 'snake_case' })).toEqualTypeOf<LeaseholdDatabase>();
  const result = await db.insert(customers).values({ name: 'Mary' });
  expectTypeOf(result).toEqualTypeOf<Database.RunResult>();
  t.is(result.changes, 1);
  const number = await db.transaction(async (tx) => {
    expectTypeOf(tx).toExtend<BaseSQLiteDatabase<'async', Database.RunResult, typeof schema>>();
    return tx.transaction((part) => part.$count(customers), { label: 'part', nesting: 'join' });
  });
  expectTypeOf(number).toEqualTypeOf<number>();
  const [rows, changed] = await db.batch([db.select().from(customers), db.delete(orders)]);
  expectTypeOf(rows).toEqualTypeOf<{ id: number; name: string }[]>();
  expectTypeOf(changed).toEqualTypeOf<Database.RunResult>();
  // @ts-expect-error a column that is not there
  await t.throwsAsync(async () => db.insert(customers).values({ nam: '' }));
  // @ts-expect-error an option that is not there
  await t.throwsAsync(db.transaction(async () => {}, { mode: 'deferred' }));
});
