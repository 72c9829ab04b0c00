import test from 'ava';
import { eq } from 'drizzle-orm';
import { Cache, type MutationOption } from 'drizzle-orm/cache/core';
import { gate } from '../support/gate.ts';
import { customers, namesIn, openShop, orders } from './drizzle-shop.ts';

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
