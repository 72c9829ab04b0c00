import test from 'ava';
import { DrizzleQueryError, eq, is, placeholder, sql } from 'drizzle-orm';
import { BaseSQLiteDatabase, integer, sqliteTable, text, withReplicas } from 'drizzle-orm/sqlite-core';
import { createPool, OptionsError } from '../../lib/index.ts';
import { drizzle } from '../../lib/orm/drizzle.ts';
import { temporaryPool, wrong } from '../support/sqlite.ts';
import { codeOf, customers, namesIn, openShop, orders, samples } from './drizzle-shop.ts';

const mary = { id: 3, name: 'Mary' };

test('every kind of query gives what Drizzle gives', async (t) => {
  const { db } = await openShop(t);
  t.deepEqual(await db.insert(customers).values(mary), { changes: 1, lastInsertRowid: 3 });
  t.deepEqual(await db.insert(customers).values({ name: 'Joan' }).returning(), [{ id: 4, name: 'Joan' }]);
  t.deepEqual(await db.insert(customers).values({ name: 'Jean' }).returning({ id: customers.id }).get(), { id: 5 });
  t.deepEqual(
    await db
      .insert(customers)
      .values({ id: 5, name: 'Radia' })
      .onConflictDoUpdate({ target: customers.id, set: { name: sql`excluded.name` } })
      .returning(),
    [{ id: 5, name: 'Radia' }],
  );
  t.like(await db.insert(customers).values(mary).onConflictDoNothing(), { changes: 0 });
  t.like(await db.update(customers).set({ name: 'Barbara' }).where(eq(customers.id, 4)), { changes: 1 });
  t.deepEqual(await db.delete(customers).where(eq(customers.id, 5)).returning({ name: customers.name }), [
    { name: 'Radia' },
  ]);
  t.deepEqual(await db.select().from(customers).where(eq(customers.id, 4)), [{ id: 4, name: 'Barbara' }]);
  t.deepEqual(await db.select().from(customers).where(eq(customers.id, 1)).get(), { id: 1, name: 'Ada' });
  t.is(await db.select().from(customers).where(eq(customers.id, 9)).get(), undefined);
  t.deepEqual(await db.select().from(customers).where(eq(customers.id, 1)).values(), [[1, 'Ada']]);
  t.is(await db.$count(customers), 4);
  t.is(await db.$count(customers, eq(customers.name, 'Ada')), 1);
  const named = db.$with('named').as(db.select().from(customers).where(eq(customers.id, 2)));
  t.deepEqual(await db.with(named).select().from(named), [{ id: 2, name: 'Grace' }]);
});

test('a join leaves out what is not there, and tells columns of one name apart', async (t) => {
  const { db } = await openShop(t);
  await db.insert(customers).values(mary);
  const rows = await db
    .select()
    .from(customers)
    .leftJoin(orders, eq(orders.customerId, customers.id))
    .orderBy(customers.id, orders.id);
  t.deepEqual(rows.at(0), {
    customer: { id: 1, name: 'Ada' },
    purchase: { id: 1, customerId: 1, item: 'lamp' },
  });
  t.deepEqual(rows.at(-1), { customer: mary, purchase: null });
});

test('relational queries work, in a transaction as well', async (t) => {
  const { db } = await openShop(t);
  const ada = { id: 1, name: 'Ada', orders: [{ item: 'lamp' }, { item: 'desk' }] };
  const withOrders = { orders: { columns: { item: true } } } as const;
  t.deepEqual(await db.query.customers.findFirst({ with: withOrders }), ada);
  t.is(await db.query.customers.findFirst({ where: eq(customers.id, 9) }), undefined);
  await db.transaction(async (tx) => {
    t.deepEqual((await tx.query.customers.findMany({ with: withOrders }))[0], ada);
    t.like(await tx.query.orders.findFirst({ with: { customer: true }, where: eq(orders.id, 3) }), {
      item: 'chair',
      customer: { name: 'Grace' },
    });
  });
});

test('SQL of one’s own runs, with rows as objects or as values', async (t) => {
  const { db } = await openShop(t);
  t.deepEqual(await db.run(sql`INSERT INTO customer (name) VALUES (${'Mary'})`), { changes: 1, lastInsertRowid: 3 });
  t.deepEqual(await db.all(sql`SELECT * FROM customer WHERE id < ${3}`), [
    { id: 1, name: 'Ada' },
    { id: 2, name: 'Grace' },
  ]);
  t.deepEqual(await db.get(sql`SELECT name FROM ${customers} WHERE ${customers.id} = 2`), { name: 'Grace' });
  t.is(await db.get(sql`SELECT name FROM customer WHERE id = 9`), undefined);
  t.deepEqual(await db.values(sql`SELECT name, id FROM customer`), [
    ['Ada', 1],
    ['Grace', 2],
    ['Mary', 3],
  ]);
  t.deepEqual(await db.get("INSERT INTO customer (name) VALUES ('Joan') RETURNING id"), { id: 4 });
});

test('a pragma can be asked, and one that is set goes no further than its scope', async (t) => {
  const { db, pool } = await openShop(t, { max: 1 });
  t.deepEqual(await db.get(sql`PRAGMA foreign_keys`), { foreign_keys: 1 });
  t.deepEqual(await db.values(sql`PRAGMA table_info(customer)`).then((rows) => rows.map((row) => row[1])), [
    'id',
    'name',
  ]);
  await pool.withConnection(async () => {
    await db.run(sql`PRAGMA cache_size = 77`);
    t.deepEqual(await db.get(sql`PRAGMA cache_size`), { cache_size: 77 });
  });
  t.notDeepEqual(await db.get(sql`PRAGMA cache_size`), { cache_size: 77 });
});

test('values come back as what they were, in every mode of a column', async (t) => {
  const { db } = await openShop(t);
  const sample = {
    id: 1,
    ratio: 0.5,
    done: true,
    at: new Date('2024-05-06T07:08:09Z'),
    atMs: new Date('2024-05-06T07:08:09.123Z'),
    data: { tags: ['a', 'ü'] },
    bytes: Buffer.from([0, 255, 7]),
    large: 12_345_678_901_234_567_890n,
    json: [1, { two: null }],
    exact: '12.5',
  };
  t.deepEqual(await db.insert(samples).values(sample).returning(), [sample]);
  t.deepEqual(await db.select().from(samples).get(), sample);
  t.deepEqual(await db.query.samples.findFirst(), sample);
  t.deepEqual(await db.select({ id: samples.id }).from(samples).where(eq(samples.at, sample.at)).all(), [{ id: 1 }]);
  const nothing = Object.fromEntries(Object.keys(sample).map((column) => [column, null]));
  t.deepEqual(await db.insert(samples).values({ id: 2 }).returning().get(), { ...nothing, id: 2 } as never);
});

test('a prepared query belongs to no connection: it runs in one scope after the other', async (t) => {
  const { db, pool } = await openShop(t, { max: 2 });
  const byId = db
    .select({ name: customers.name })
    .from(customers)
    .where(eq(customers.id, placeholder('id')))
    .prepare();
  const add = db
    .insert(customers)
    .values({ name: placeholder('name') })
    .returning()
    .prepare();
  t.deepEqual(await byId.get({ id: 1 }), { name: 'Ada' });
  const outer = await pool.acquire();
  await pool.withConnection(async () => {
    t.deepEqual(await byId.all({ id: 2 }), [{ name: 'Grace' }]);
  });
  outer.close();
  await t.throwsAsync(
    db.transaction(async () => {
      t.deepEqual(await add.execute({ name: 'Mary' }), [mary]);
      t.deepEqual(await byId.execute({ id: 3 }), [{ name: 'Mary' }]);
      throw new Error('undo');
    }),
    { message: 'undo' },
  );
  t.deepEqual(await byId.values({ id: 3 }), []);
  t.is(pool.stats().leased, 0);
});

test('a query runs on the connection of its scope, and without a scope on one just for it', async (t) => {
  const { db, pool } = await openShop(t, { max: 1 });
  await pool.withConnection(async (connection) => {
    connection.exec('CREATE TEMP TABLE own (x); INSERT INTO own VALUES (7)');
    t.deepEqual(await db.get(sql`SELECT x FROM own`), { x: 7 });
  });
  await pool.withScope(async () => {
    t.is(await db.$count(customers), 2);
    t.is(pool.current, undefined);
  });
  t.is(pool.stats().leased, 0);
  await t.throwsAsync(async () => db.get(sql`SELECT x FROM own`), { message: /Failed query/ });
});

test('the label of a scope is that of its queries', async (t) => {
  const { db, pool } = await openShop(t);
  const labels: unknown[] = [];
  pool.on('acquire', ({ label }) => void labels.push(label));
  await pool.withScope(() => Promise.all([db.$count(customers), db.insert(customers).values(mary)]), {
    label: 'GET /home',
  });
  t.deepEqual(labels, ['GET /home', 'GET /home']);
});

test('an error of SQLite is the cause of Drizzle’s, and its code is on both', async (t) => {
  const { db } = await openShop(t);
  const error = await t.throwsAsync<DrizzleQueryError & { code?: string }>(
    async () => db.insert(customers).values({ name: 'Ada' }),
    { instanceOf: DrizzleQueryError },
  );
  t.like(error?.cause, { name: 'SqliteError', code: 'SQLITE_CONSTRAINT_UNIQUE' });
  t.is(error?.code, 'SQLITE_CONSTRAINT_UNIQUE');
  t.deepEqual(error?.params, ['Ada']);
  const misspelt = await t.throwsAsync(async () => db.run(sql`SELEC 1`), { instanceOf: DrizzleQueryError });
  t.like(misspelt?.cause, { code: 'SQLITE_ERROR' });
  const unbound = await t.throwsAsync(async () => db.get(sql`SELECT ${{}}`), { instanceOf: DrizzleQueryError });
  t.true(unbound?.cause instanceof Error);
  t.false('code' in (unbound ?? {}));
});

test('a row is not returned for a write whose commit has failed', async (t) => {
  const { db } = await openShop(t);
  await db.run('CREATE TABLE child (parent INTEGER REFERENCES customer (id) DEFERRABLE INITIALLY DEFERRED)');
  const children = sqliteTable('child', { parent: integer() });
  const writes = [
    () => db.insert(children).values({ parent: 9 }).returning().get(),
    () => db.get(sql`INSERT INTO child VALUES (9) RETURNING parent`),
  ];
  for (const write of writes) t.is(await codeOf(write()), 'SQLITE_CONSTRAINT_FOREIGNKEY');
  t.is(await db.$count(children), 0);
});

test('an error of Leasehold is not wrapped: its code is there, and no value in its message', async (t) => {
  const { db, pool } = await openShop(t, { max: 1, acquireTimeout: 500 });
  const holder = await pool.acquire();
  t.is(await codeOf(db.select().from(customers)), 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT');
  t.is(await codeOf(db.query.customers.findMany()), 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT');
  holder.close();
  const writer = await pool.acquire({ write: true });
  t.is(await codeOf(db.insert(customers).values(mary)), 'ERR_LEASEHOLD_WRITE_TIMEOUT');
  t.is(await codeOf(db.transaction(async () => {})), 'ERR_LEASEHOLD_WRITE_TIMEOUT');
  writer.close();
  await pool.close();
  const closed = await t.throwsAsync(async () => db.insert(customers).values({ name: 'secret' }), {
    code: 'ERR_LEASEHOLD_CLOSED',
  });
  t.notRegex(closed?.message ?? '', /secret/);
  t.is(await codeOf(db.transaction(async () => {})), 'ERR_LEASEHOLD_CLOSED');
});

test('a batch is one transaction, and gives the result of each of its queries', async (t) => {
  const { db, pool } = await openShop(t);
  const [inserted, all, count] = await db.batch([
    db.insert(customers).values(mary).returning(),
    db.query.customers.findMany({ columns: { name: true } }),
    db.run(sql`DELETE FROM purchase`),
  ]);
  t.deepEqual([inserted, all.length, count.changes], [[mary], 3, 3]);
  const failing = db.batch([
    db.insert(customers).values({ name: 'Joan' }),
    db.insert(customers).values({ name: 'Ada' }),
  ]);
  t.is(await codeOf(failing), 'SQLITE_CONSTRAINT_UNIQUE');
  t.deepEqual(await namesIn(pool), ['Ada', 'Grace', 'Mary']);
});

test('the options of Drizzle hold: logger, casing, schema', async (t) => {
  const logged: [string, unknown[]][] = [];
  const pool = temporaryPool(t);
  const notes = sqliteTable('note', { id: integer().primaryKey(), firstWord: text() });
  const db = drizzle(pool, {
    casing: 'snake_case',
    logger: { logQuery: (query, params) => logged.push([query, params]) },
  });
  await pool.run('CREATE TABLE note (id INTEGER PRIMARY KEY, first_word TEXT)');
  await db.transaction((tx) => tx.insert(notes).values({ firstWord: 'so' }));
  t.deepEqual(await db.select().from(notes), [{ id: 1, firstWord: 'so' }]);
  t.deepEqual(logged, [
    ['insert into "note" ("id", "first_word") values (null, ?)', ['so']],
    ['select "id", "first_word" from "note"', []],
  ]);
});

test('it is given a pool as Drizzle’s drivers are given a client, and shows it as $client', (t) => {
  const pool = temporaryPool(t);
  for (const db of [drizzle(pool), drizzle({ client: pool }), drizzle({ client: pool, casing: 'camelCase' })]) {
    t.is(db.$client, pool);
    t.true(is(db, BaseSQLiteDatabase));
  }
  for (const other of ['app.db', undefined, {}, { client: 'app.db' }, { client: pool.db }]) {
    t.throws(() => drizzle(wrong(other)), { instanceOf: OptionsError });
  }
});

test('a read-only pool is a replica', async (t) => {
  const { db, pool } = await openShop(t);
  const reading = createPool(pool.db.name, { readonly: true });
  t.teardown(() => reading.close());
  const replica = drizzle(reading, { schema: { customers } });
  t.is(await codeOf(replica.insert(customers).values(mary)), 'SQLITE_READONLY');
  const both = withReplicas(drizzle(pool, { schema: { customers } }), [replica]);
  await both.insert(customers).values(mary);
  t.is((await both.select().from(customers)).length, 3);
  t.is(await db.$count(customers), 3);
  t.true(reading.stats().counters.acquired > 0);
});
