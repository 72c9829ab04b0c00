import test from 'ava';
import { sql as drizzleSql, eq, inArray } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/better-sqlite3';
import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import knex, { type Knex } from 'knex';
import {
  type Dialect,
  DummyDriver,
  Kysely,
  sql as kyselySql,
  PostgresAdapter,
  PostgresQueryCompiler,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely';
import tag, { bulk, join, raw } from 'sql-template-tag';
import { sample, temporaryPool, wrong } from '../support/sqlite.ts';

async function stocked(...[t]: Parameters<typeof temporaryPool>) {
  const pool = temporaryPool(t);
  await pool.withConnection((db) => db.exec(sample));
  return pool;
}

interface Shop {
  readonly item: { readonly id?: number; readonly name: string; readonly size: number | null };
}

function kysely(dialect: Pick<Dialect, 'createAdapter' | 'createQueryCompiler'>): Kysely<Shop> {
  return new Kysely<Shop>({
    dialect: {
      ...dialect,
      createDriver: () => new DummyDriver(),
      createIntrospector: (db) => new SqliteIntrospector(db),
    },
  });
}

test('sql-template-tag: its queries run as they are', async (t) => {
  const pool = await stocked(t);
  const rows = [
    ['hook', 2],
    ["eye's", null],
  ];
  await pool.run(tag`INSERT INTO item (name, size) VALUES ${bulk(rows)}`);
  const condition = tag`size IS NOT ${null} AND name IN (${join(['hook', 'bolt', "eye's"])})`;
  t.deepEqual(await pool.all(tag`SELECT name FROM ${raw('item')} WHERE ${condition} ORDER BY ${raw('name')}`), [
    { name: 'bolt' },
    { name: 'hook' },
  ]);
  const query = tag`SELECT ${1} AS a, ${'b'} AS b`;
  t.deepEqual(await pool.get({ text: query.text, values: query.values }), { a: 1, b: 'b' }, 'its $1 for pg');
  t.deepEqual(await pool.get({ text: query.statement, values: query.values }), { a: 1, b: 'b' }, 'its :1 for Oracle');
});

test('Kysely: what compile() returns', async (t) => {
  const pool = await stocked(t);
  const db = kysely({ createAdapter: () => new SqliteAdapter(), createQueryCompiler: () => new SqliteQueryCompiler() });
  const inserted = db.insertInto('item').values([
    { name: 'hook', size: 2 },
    { name: 'eye', size: null },
  ]);
  t.like(await pool.run(inserted.compile()), { changes: 2 });
  const selected = db.selectFrom('item').select('name').where('size', '>', 1.7).where('name', 'in', ['hook', 'bolt']);
  t.deepEqual(await pool.all<{ name: string }>(selected.compile()), [{ name: 'hook' }]);
  t.deepEqual(await pool.get(kyselySql`SELECT ${'a'} AS a`.compile(db)), { a: 'a' });
  const message = 'What is to be run is a query builder. Give what its compile() returns.';
  await t.throwsAsync(pool.all(wrong(selected)), { code: 'ERR_LEASEHOLD_QUERY', message });
  await t.throwsAsync(pool.all(wrong(kyselySql`SELECT 1`)), { code: 'ERR_LEASEHOLD_QUERY', message });
});

test('Kysely: compiled for PostgreSQL, too, where SQLite understands the text', async (t) => {
  const pool = await stocked(t);
  const db = kysely({
    createAdapter: () => new PostgresAdapter(),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  });
  const compiled = db.selectFrom('item').select('id').where('name', '=', 'nut').limit(1).compile();
  t.true(compiled.sql.includes('$1'));
  t.deepEqual(await pool.get(compiled), { id: 2 });
});

test('Drizzle: what toSQL() returns', async (t) => {
  const pool = await stocked(t);
  const item = sqliteTable('item', { id: integer().primaryKey(), name: text().notNull() });
  const db = drizzle.mock();
  t.like(
    await pool.run(
      db
        .insert(item)
        .values([{ name: 'hook' }, { name: "eye's" }])
        .toSQL(),
    ),
    { changes: 2 },
  );
  const selected = db
    .select({ id: item.id })
    .from(item)
    .where(inArray(item.name, ["eye's", 'nut']))
    .orderBy(item.id);
  t.deepEqual(await pool.all<{ id: number }>(selected.toSQL()), [{ id: 2 }, { id: 5 }]);
  t.deepEqual(await pool.get(db.delete(item).where(eq(item.id, 5)).returning().toSQL()), { id: 5, name: "eye's" });
  const message = 'What is to be run is a query builder. Give what its toSQL() returns.';
  await t.throwsAsync(pool.all(wrong(selected)), { code: 'ERR_LEASEHOLD_QUERY', message });
  await t.throwsAsync(pool.all(wrong(drizzleSql`SELECT 1`)), { code: 'ERR_LEASEHOLD_QUERY', message: /is no query\./ });
});

test('Knex: what toSQL() returns, or toNative() of that', async (t) => {
  const pool = await stocked(t);
  const db: Knex = knex({ client: 'better-sqlite3', useNullAsDefault: true });
  t.teardown(() => db.destroy());
  t.like(
    await pool.run(
      db('item')
        .insert([{ name: 'hook' }, { name: 'eye' }])
        .toSQL()
        .toNative(),
    ),
    { changes: 2 },
  );
  const selected = db('item').select('name').where('id', '>', 2).whereIn('name', ['eye', 'nut']);
  t.deepEqual(await pool.all(selected.toSQL().toNative()), [{ name: 'eye' }]);
  t.deepEqual(await pool.all(selected.toSQL()), [{ name: 'eye' }]);
  const rawQuery = db.raw('SELECT ?? AS x, ? AS y FROM item WHERE id = 2', ['name', 1]);
  t.deepEqual(await pool.get(rawQuery.toSQL().toNative()), { x: 'nut', y: 1 });
  const message = 'What is to be run is a query builder. Give what its toSQL() returns.';
  for (const builder of [selected, rawQuery])
    await t.throwsAsync(pool.all(wrong(builder)), { code: 'ERR_LEASEHOLD_QUERY', message });
});

// Not installed, because they bring a PostgreSQL client along: what they make, field for field.
const others = {
  'a token of slonik': {
    sql: 'SELECT $slonik_1 AS x, $slonik_2 AS y',
    values: ['a', 2],
    type: 'SLONIK_TOKEN_FRAGMENT',
  },
  'a token of older slonik': { sql: 'SELECT $1 AS x, $2 AS y', values: ['a', 2], type: 'SLONIK_TOKEN_SQL' },
  'a config of pg': { name: 'named', text: 'SELECT $1 AS x, $2 AS y', values: ['a', 2] },
  'a statement of libSQL': { sql: 'SELECT ? AS x, ? AS y', args: ['a', 2] },
  'a statement of libSQL with names': { sql: 'SELECT :x AS x, $y AS y', args: { x: 'a', y: 2 } },
};

for (const [what, query] of Object.entries(others)) {
  test(`${what} runs as it is`, async (t) => {
    const pool = temporaryPool(t);
    t.deepEqual(await pool.get(query), { x: 'a', y: 2 });
  });
}
