import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type Database from 'better-sqlite3';
import { eq, sql } from 'drizzle-orm';
import type { BetterSQLite3Database } from 'drizzle-orm/better-sqlite3';
import { Cache, type MutationOption } from 'drizzle-orm/cache/core';
import type { BaseSQLiteDatabase } from 'drizzle-orm/sqlite-core';
import { expectTypeOf } from 'expect-type';
import type { SqlitePool } from '../../lib/index.ts';
import { drizzle, type LeaseholdDatabase, migrate } from '../../lib/orm/drizzle.ts';
import { temporaryDirectory } from '../support/files.ts';
import { gate } from '../support/gate.ts';
import { refusal } from '../support/items.ts';
import { temporaryPool } from '../support/sqlite.ts';
import { customers, namesIn, openShop, orders, type schema } from './drizzle-shop.ts';

class FailingCache extends Cache {
  readonly failure = new Error('The cache can not be reached');

  override strategy(): 'all' {
    return 'all';
  }

  override get(): Promise<never> {
    return Promise.reject(this.failure);
  }

  override async put(): Promise<void> {}

  override async onMutate(): Promise<void> {}
}

test('what a cache fails with passes through as it is: nothing was asked of SQLite', async (t) => {
  const cache = new FailingCache();
  const { db, pool } = await openShop(t, {}, { cache });
  const error = await t.throwsAsync(db.select().from(customers).execute());
  t.is(error, cache.failure);
  t.like(pool.stats(), { leased: 0 });
});

test.serial('with `logger: true` each query is printed, as with any driver of Drizzle', async (t) => {
  const lines: unknown[] = [];
  const print = console.log;
  console.log = (line: unknown) => lines.push(line);
  try {
    const { db } = await openShop(t, {}, { logger: true });
    lines.length = 0;
    await db.select({ id: customers.id }).from(customers);
  } finally {
    console.log = print;
  }
  t.deepEqual(lines, ['Query: select "id" from "customer"']);
});

test('a transaction that has ended begins no part of it, though its connection goes on', async (t) => {
  const { db, pool } = await openShop(t);
  await pool.withConnection(async () => {
    const over = await db.transaction(async (tx) => [tx]);
    let ran = false;
    const part = over[0]?.transaction(async () => {
      ran = true;
    });
    await t.throwsAsync(part as Promise<void>, refusal('TRANSACTION_ENDED'));
    t.false(ran);
    t.is((await db.select().from(customers)).length > 0, true);
  });
});

test('where foreign keys are off, migrations are applied without a look at what they refer to', async (t) => {
  const pool = temporaryPool(t, { pragmas: { foreign_keys: false } });
  const migrationsFolder = temporaryDirectory(t);
  mkdirSync(join(migrationsFolder, 'meta'));
  writeFileSync(
    join(migrationsFolder, '0000_step.sql'),
    'CREATE TABLE a (id INTEGER PRIMARY KEY);\n--> statement-breakpoint\n' +
      'CREATE TABLE b (a INTEGER REFERENCES a (id));\n--> statement-breakpoint\nINSERT INTO b VALUES (7);',
  );
  const entries = [{ idx: 0, version: '6', when: 1_700_000_000_000, tag: '0000_step', breakpoints: true }];
  const journal = { version: '7', dialect: 'sqlite', entries };
  writeFileSync(join(migrationsFolder, 'meta', '_journal.json'), JSON.stringify(journal));
  await migrate(drizzle(pool), { migrationsFolder });
  t.deepEqual(await pool.all('SELECT a FROM b'), [{ a: 7 }]);
  t.deepEqual(await pool.get('PRAGMA foreign_keys'), { foreign_keys: 0 });
});

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

/** A cache in memory that forgets all of a table when it is written to. */
class MemoryCache extends Cache {
  readonly entries = new Map<string, { readonly rows: unknown[]; readonly tables: readonly string[] }>();
  readonly invalidated: unknown[] = [];
  hits = 0;
  readonly #strategy: 'explicit' | 'all';

  constructor(strategy: 'explicit' | 'all' = 'all') {
    super();
    this.#strategy = strategy;
  }

  override strategy(): 'explicit' | 'all' {
    return this.#strategy;
  }

  override async get(key: string): Promise<unknown[] | undefined> {
    const entry = this.entries.get(key);
    if (entry !== undefined) this.hits++;
    return entry?.rows;
  }

  override async put(key: string, rows: unknown, tables: string[]): Promise<void> {
    this.entries.set(key, { rows: rows as unknown[], tables });
  }

  override async onMutate({ tables, tags }: MutationOption): Promise<void> {
    const names = [tables ?? []].flat();
    if (names.length > 0) this.invalidated.push(names);
    for (const tag of [tags ?? []].flat()) this.entries.delete(tag);
    for (const [key, entry] of this.entries) {
      if (entry.tables.some((table) => names.includes(table))) this.entries.delete(key);
    }
  }
}

test('what is cached is not asked for again until its table is written to', async (t) => {
  const cache = new MemoryCache();
  const { db, pool } = await openShop(t, {}, { cache });
  const first = await db.select().from(customers);
  t.is(cache.hits, 0);
  // Behind Drizzle's back, to tell what comes from the cache.
  await pool.run("UPDATE customer SET name = 'Augusta' WHERE id = 1");
  t.deepEqual(await db.select().from(customers), first);
  t.is(cache.hits, 1);
  await db.insert(customers).values({ name: 'Mary' });
  t.is((await db.select().from(customers))[0]?.name, 'Augusta');
  t.deepEqual(cache.invalidated, [['customer']]);
});

test('one row and all rows of the same query share their place in the cache', async (t) => {
  const { db } = await openShop(t, {}, { cache: new MemoryCache() });
  t.deepEqual(await db.select().from(orders).get(), { id: 1, customerId: 1, item: 'lamp' });
  t.deepEqual(
    (await db.select().from(orders).all()).map(({ item }) => item),
    ['lamp', 'desk', 'chair'],
  );
  t.deepEqual(await db.select().from(orders).get(), { id: 1, customerId: 1, item: 'lamp' });
});

test('a query can ask for the cache by itself, and $cache.invalidate() empties it by tag', async (t) => {
  const cache = new MemoryCache('explicit');
  const { db, pool } = await openShop(t, {}, { cache });
  const names = () => db.select({ name: customers.name }).from(customers).$withCache({ tag: 'names' });
  await names();
  await db.select().from(orders);
  t.is(cache.entries.size, 1);
  await pool.run("UPDATE customer SET name = 'Augusta' WHERE id = 1");
  t.is((await names())[0]?.name, 'Ada');
  await db.$cache.invalidate({ tags: 'names' });
  t.is((await names())[0]?.name, 'Augusta');
});

test('what a transaction reads is not cached, by tx or by db, and it reads nothing that is', async (t) => {
  const cache = new MemoryCache();
  const { db, pool } = await openShop(t, {}, { cache });
  await db.select().from(customers);
  await t.throwsAsync(
    db.transaction(async (tx) => {
      await pool.run("UPDATE customer SET name = 'never' WHERE id = 1");
      for (const database of [tx, db]) t.is((await database.select().from(customers))[0]?.name, 'never');
      t.is((await tx.select().from(orders)).length, 3);
      tx.rollback();
    }),
    { message: 'Rollback' },
  );
  t.is(cache.entries.size, 1);
  t.deepEqual((await db.select().from(customers))[0], { id: 1, name: 'Ada' });
  t.is(cache.hits, 1);
});

test('what others cache while a transaction is open does not outlive its commit', async (t) => {
  const cache = new MemoryCache();
  const { db, pool } = await openShop(t, {}, { cache });
  const written = gate();
  const mayEnd = gate();
  const transaction = pool.withScope(() =>
    db.transaction(async (tx) => {
      await tx.transaction((part) => part.update(customers).set({ name: 'Augusta' }).where(eq(customers.id, 1)));
      await db.delete(orders);
      written.open();
      await mayEnd.passed;
    }),
  );
  await written.passed;
  t.is((await db.select().from(customers))[0]?.name, 'Ada');
  t.is((await db.select().from(orders)).length, 3);
  mayEnd.open();
  await transaction;
  t.is((await db.select().from(customers))[0]?.name, 'Augusta');
  t.is((await db.select().from(orders)).length, 0);
  t.deepEqual(cache.invalidated, [['customer'], ['purchase'], ['customer', 'purchase']]);
});

test('of two transactions on one connection each invalidates what it has written itself', async (t) => {
  const cache = new MemoryCache();
  const { db, pool } = await openShop(t, {}, { cache });
  await pool.withConnection(() =>
    Promise.all([
      db.transaction((tx) => tx.insert(customers).values({ name: 'Mary' })),
      db.transaction((tx) => tx.delete(orders)),
    ]),
  );
  const times = (table: string) => cache.invalidated.filter((tables) => (tables as string[]).includes(table)).length;
  t.deepEqual([times('customer'), times('purchase')], [2, 2]);
});

test('a transaction that is rolled back invalidates nothing at its end', async (t) => {
  const cache = new MemoryCache();
  const { db, pool } = await openShop(t, {}, { cache });
  await t.throwsAsync(
    db.transaction(async (tx) => {
      await tx.insert(customers).values({ name: 'never' });
      tx.rollback();
    }),
  );
  t.deepEqual(cache.invalidated, [['customer']]);
  t.deepEqual(await namesIn(pool), ['Ada', 'Grace']);
});
