import test, { type ExecutionContext } from 'ava';
import Database from 'better-sqlite3';
import { expectTypeOf } from 'expect-type';
import {
  CamelCasePlugin,
  type Dialect,
  type DialectAdapter,
  type Driver,
  type InsertResult,
  Kysely,
  type LogEvent,
  ParseJSONResultsPlugin,
  SqliteDialect,
  sql,
  type Transaction,
  type UpdateResult,
} from 'kysely';
import { createPool, OptionsError } from '../../lib/index.ts';
import { LeaseholdDialect, type LeaseholdDialectConfig } from '../../lib/orm/kysely.ts';
import { settled } from '../support/gate.ts';
import { add, isIdle, namesOf, openKysely, type Tables } from '../support/kysely.ts';
import { temporaryPool, wrong } from '../support/sqlite.ts';

interface Shelf {
  shelf: { id: number; name: string | null; size: number | null; data: Uint8Array | null };
  tall: { id: number };
}

type Script = (db: Kysely<Shelf>) => Promise<unknown>;

/** What a query came to, in values that can be compared. */
async function outcomeOf(db: Kysely<Shelf>, script: Script): Promise<unknown> {
  try {
    return { returned: await script(db) };
  } catch (error) {
    const { name, message, code } = error as Error & { code?: unknown };
    return { name, message, code };
  }
}

/** Runs the same queries through Kysely's own SqliteDialect and through a pool, each on an empty database of its own. */
async function compare(t: ExecutionContext, scripts: readonly Script[]): Promise<unknown[]> {
  const raw = new Database(':memory:');
  const pool = temporaryPool(t);
  const [own, ours] = [new SqliteDialect({ database: raw }), new LeaseholdDialect({ pool })].map(
    (dialect) => new Kysely<Shelf>({ dialect }),
  ) as [Kysely<Shelf>, Kysely<Shelf>];
  const outcomes: unknown[] = [];
  for (const script of scripts) {
    const expected = await outcomeOf(own, script);
    t.deepEqual(await outcomeOf(ours, script), expected, script.toString());
    outcomes.push(expected);
  }
  await own.destroy();
  isIdle(t, pool);
  return outcomes;
}

test('queries come to the same as with the SqliteDialect of Kysely', async (t) => {
  const outcomes = await compare(t, [
    (db) =>
      db.schema
        .createTable('shelf')
        .addColumn('id', 'integer', (column) => column.primaryKey().autoIncrement())
        .addColumn('name', 'text', (column) => column.unique())
        .addColumn('size', 'real')
        .addColumn('data', 'blob')
        .execute(),
    (db) => db.schema.createTable('shelf').addColumn('id', 'integer').ifNotExists().execute(),
    (db) => db.schema.createIndex('shelf_size').on('shelf').column('size').execute(),
    (db) =>
      db.schema
        .createView('tall')
        .as(db.selectFrom('shelf').select('id').where('size', '>', 2))
        .execute(),
    (db) =>
      db
        .insertInto('shelf')
        .values({ id: 1, name: 'a', size: 1.5, data: Buffer.from([0, 255]) })
        .execute(),
    (db) =>
      db
        .insertInto('shelf')
        .values([
          { id: 2, name: 'b', size: 3 },
          { id: 3, name: 'c' },
        ])
        .executeTakeFirst(),
    (db) => db.insertInto('shelf').values({ id: 9, name: 'd' }).returningAll().execute(),
    (db) => db.insertInto('shelf').values({ id: 9, name: 'e' }).execute(),
    (db) =>
      db
        .insertInto('shelf')
        .values({ id: 9, name: 'f' })
        .onConflict((conflict) => conflict.column('id').doUpdateSet({ name: 'g' }))
        .returning(['id', 'name'])
        .executeTakeFirst(),
    (db) => db.insertInto('shelf').orIgnore().values({ id: 9 }).executeTakeFirst(),
    (db) => db.selectFrom('shelf').selectAll().orderBy('id').execute(),
    (db) => db.selectFrom('tall').selectAll().execute(),
    (db) => db.selectFrom('shelf').select(db.fn.countAll().as('count')).executeTakeFirstOrThrow(),
    (db) => db.selectFrom('shelf').select('id').where('id', '=', 77).executeTakeFirst(),
    (db) => db.selectFrom('shelf').select('id').where('id', '=', 77).executeTakeFirstOrThrow(),
    (db) => db.updateTable('shelf').set({ size: 4 }).where('size', 'is', null).executeTakeFirst(),
    (db) => db.deleteFrom('shelf').where('id', '=', 1).executeTakeFirst(),
    (db) => db.deleteFrom('shelf').where('id', '=', 2).returning('name').execute(),
    (db) => db.replaceInto('shelf').values({ id: 9, name: 'h' }).executeTakeFirst(),
    (db) =>
      db
        .with('few', (qb) => qb.selectFrom('shelf').select('id'))
        .selectFrom('few')
        .selectAll()
        .execute(),
    (db) => db.withSchema('main').selectFrom('shelf').select('name').execute(),
    (db) => db.executeQuery(db.selectFrom('shelf').select('id').compile()),
    (db) => sql`select ${1} as one, ${'x'} as two, ${null} as three, ${10n} as four`.execute(db),
    (db) => sql`update shelf set size = size + 1`.execute(db),
    (db) => sql`pragma table_info(shelf)`.execute(db),
    (db) => sql`pragma user_version = 7`.execute(db),
    (db) => sql`pragma user_version`.execute(db),
    (db) => db.selectFrom('shelf').select('id').where('id', '=', 9).explain(),
    (db) => db.introspection.getTables(),
    (db) => db.introspection.getSchemas(),
    (db) => sql`select nothing from nowhere`.execute(db),
    (db) => sql``.execute(db),
    (db) => sql`select 1; select 2`.execute(db),
    (db) => sql`select ${true} as no`.execute(db),
    (db) => sql`select ?`.execute(db),
    (db) => db.schema.alterTable('shelf').addColumn('depth', 'integer').execute(),
    (db) => db.schema.dropTable('nowhere').execute(),
    (db) => db.transaction().execute((trx) => trx.insertInto('shelf').values({ id: 20 }).executeTakeFirst()),
    (db) => db.transaction().execute((trx) => (trx as Kysely<Shelf>).transaction().execute(async () => {})),
    async (db) => {
      const rows: unknown[] = [];
      for await (const row of db.selectFrom('shelf').select('id').orderBy('id').stream()) rows.push(row);
      return rows;
    },
    (db) => db.schema.dropView('tall').execute(),
    (db) => db.selectFrom('tall').selectAll().execute(),
  ]);
  t.is(outcomes.filter((outcome) => 'code' in (outcome as object)).length, 10, 'Those that fail do so in both');
});

test('plugins see and change what they do elsewhere', async (t) => {
  interface Camels {
    bigTable: { rowName: string; details: { deep: number[] } | string };
  }
  const pool = temporaryPool(t);
  const plugins = [new CamelCasePlugin(), new ParseJSONResultsPlugin()];
  const db = new Kysely<Camels>({ dialect: new LeaseholdDialect({ pool }), plugins });
  await db.schema.createTable('bigTable').addColumn('rowName', 'text').addColumn('details', 'json').execute();
  await db.insertInto('bigTable').values({ rowName: 'a', details: '{"deep":[1]}' }).execute();
  t.deepEqual(await db.selectFrom('bigTable').selectAll().execute(), [{ rowName: 'a', details: { deep: [1] } }]);
  t.deepEqual(await pool.all('SELECT row_name FROM big_table'), [{ row_name: 'a' }]);
});

test('each statement is logged once, with its failure, also in transactions and streams', async (t) => {
  const events: LogEvent[] = [];
  const { db } = await openKysely(t, {}, { log: (event) => void events.push(event) });
  await add(db, 'a');
  await db.transaction().execute(async (trx) => {
    await add(trx, 'b');
    for await (const _ of trx.insertInto('item').values({ name: 'c' }).returning('name').stream());
  });
  for await (const _ of db.selectFrom('item').selectAll().stream());
  await t.throwsAsync(sql`select nothing from nowhere`.execute(db));
  t.deepEqual(
    events.map(({ level, query }) => `${level}: ${query.sql.split(' ').slice(0, 2).join(' ')}`),
    ['query: insert into', 'query: insert into', 'query: insert into', 'query: select *', 'error: select nothing'],
  );
});

test('two instances on one pool take part in the same transactions', async (t) => {
  const { pool, db } = await openKysely(t);
  const other = new Kysely<{ item: { name: string } }>({ dialect: new LeaseholdDialect({ pool }) });
  const failing = db.transaction().execute(async (trx) => {
    await add(trx, 'a');
    await other.insertInto('item').values({ name: 'b' }).execute();
    await other.transaction().execute((nested) => nested.insertInto('item').values({ name: 'c' }).execute());
    t.is(await namesOf(trx), 'a b c');
    throw new Error('enough');
  });
  await t.throwsAsync(failing, { message: 'enough' });
  t.is(await namesOf(db), '');
});

test('destroy waits for who is at work, refuses who comes later, and closes the pool', async (t) => {
  const { pool, db } = await openKysely(t);
  const trx = await db.startTransaction().execute();
  await add(trx, 'a');
  const destroying = db.destroy();
  await settled();
  await t.throwsAsync(db.selectFrom('item').selectAll().execute(), { message: 'driver has already been destroyed' });
  await t.throwsAsync(pool.get('SELECT 1'), { code: 'ERR_LEASEHOLD_CLOSED' });
  await trx.commit().execute();
  await destroying;
  isIdle(t, pool);
  t.is(pool.stats().size, 0);
});

test('a pool that is closed is told as by the pool, for statements, transactions and streams', async (t) => {
  const { pool, db } = await openKysely(t);
  await pool.close();
  const closed = { code: 'ERR_LEASEHOLD_CLOSED' };
  await t.throwsAsync(add(db, 'a'), closed);
  await t.throwsAsync(
    db.transaction().execute(async () => t.fail()),
    closed,
  );
  await t.throwsAsync(db.startTransaction().execute(), closed);
  await t.throwsAsync(db.selectFrom('item').selectAll().stream().next(), closed);
  await t.throwsAsync(
    db.connection().execute((kept) => namesOf(kept)),
    closed,
  );
});

test('a dialect without a pool, or with an option it does not know, is refused', (t) => {
  const pool = temporaryPool(t);
  const refused: [config: unknown, option: string][] = [
    [undefined, 'options'],
    [{}, 'pool'],
    [{ pool: undefined }, 'pool'],
    [{ pool: new Database(':memory:') }, 'pool'],
    [{ pool, migrationTimeout: 0 }, 'migrationTimeout'],
    [{ pool, database: pool }, 'database'],
  ];
  for (const [config, option] of refused) {
    const error = t.throws(() => new LeaseholdDialect(wrong(config)), { instanceOf: OptionsError });
    t.is(error?.option, option);
  }
});

test('rows and results have the types that Kysely gives them', async (t) => {
  const { db } = await openKysely(t);
  await add(db, 'a');
  const items = await db.selectFrom('item').selectAll().execute();
  expectTypeOf(items).toEqualTypeOf<{ id: number; name: string }[]>();
  t.deepEqual(items, [{ id: 1, name: 'a' }]);

  const inserted = await db.insertInto('item').values({ name: 'b' }).executeTakeFirst();
  expectTypeOf(inserted).toEqualTypeOf<InsertResult>();
  t.is(inserted.insertId, 2n);
  t.is(inserted.numInsertedOrUpdatedRows, 1n);

  const updated = await db.updateTable('item').set({ name: 'c' }).executeTakeFirst();
  expectTypeOf(updated).toEqualTypeOf<UpdateResult>();
  t.is(updated.numUpdatedRows, 2n);

  const count = await db.transaction().execute(async (trx) => {
    expectTypeOf(trx).toEqualTypeOf<Transaction<Tables>>();
    const row = await trx.selectFrom('item').select(trx.fn.countAll<number>().as('count')).executeTakeFirstOrThrow();
    return row.count;
  });
  expectTypeOf(count).toEqualTypeOf<number>();
  t.is(count, 2);

  for await (const row of db.selectFrom('item').select('name').stream()) {
    expectTypeOf(row).toEqualTypeOf<{ name: string }>();
    t.deepEqual(row, { name: 'c' });
  }
});

test('the dialect is one of Kysely, and takes a pool', async (t) => {
  const pool = createPool(':memory:');
  const dialect = new LeaseholdDialect({ pool });
  expectTypeOf(dialect).toExtend<Dialect>();
  expectTypeOf(dialect.createDriver()).toEqualTypeOf<Driver>();
  expectTypeOf(dialect.createAdapter()).toEqualTypeOf<DialectAdapter>();
  expectTypeOf<ConstructorParameters<typeof LeaseholdDialect>>().toEqualTypeOf<[config: LeaseholdDialectConfig]>();
  // @ts-expect-error -- a file is not a pool
  t.throws(() => new LeaseholdDialect({ pool: 'app.db' }), { code: 'ERR_LEASEHOLD_OPTIONS' });
  t.true(dialect.createAdapter().supportsMultipleConnections);
  await pool.close();
});
