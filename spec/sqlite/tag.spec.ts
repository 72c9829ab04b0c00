import { inspect } from 'node:util';
import test from 'ava';
import type Database from 'better-sqlite3';
import { expectTypeOf } from 'expect-type';
import { type SqlitePool, type SqlPart, type SqlQuery, type SqlValue, sql } from '../../lib/index.ts';
import { recordingClass, temporaryPool } from '../support/sqlite.ts';

/** What a query comes to. */
function parts(query: SqlQuery): [sql: string, ...values: unknown[]] {
  return [query.sql, ...query.values];
}

test('a value becomes a parameter, whatever is in it', (t) => {
  const evil = "'; DROP TABLE person; --";
  t.deepEqual(parts(sql`SELECT 1`), ['SELECT 1']);
  t.deepEqual(parts(sql``), ['']);
  t.deepEqual(parts(sql`SELECT ${evil}, ${1.5}, ${2n}, ${null}`), ['SELECT ?, ?, ?, ?', evil, 1.5, 2n, null]);
  t.deepEqual(parts(sql`${1}${2}`), ['??', 1, 2]);
  const bytes = [Buffer.from('a'), new Uint8Array(2), new Float32Array([0.5])] as const;
  t.deepEqual(parts(sql`SELECT ${bytes[0]}, ${bytes[1]}, ${bytes[2]}`), ['SELECT ?, ?, ?', ...bytes]);
});

test('escapes in a template mean what they mean in JavaScript', (t) => {
  t.is(sql`SELECT '\\', '\u0041', '\`'`.sql, "SELECT '\\', 'A', '`'");
});

test('a fragment becomes part of the text, and its values take their place among the others', (t) => {
  const adult = sql`age >= ${18}`;
  const named = sql`(name = ${'Ada'} OR ${adult})`;
  t.deepEqual(parts(sql`SELECT ${1} FROM person WHERE ${named} AND id <> ${7}`), [
    'SELECT ? FROM person WHERE (name = ? OR age >= ?) AND id <> ?',
    1,
    'Ada',
    18,
    7,
  ]);
  t.deepEqual(parts(sql`${adult} AND ${adult}`), ['age >= ? AND age >= ?', 18, 18], 'more than once, too');
  t.deepEqual(parts(sql`${sql`${sql`${1}`}`}`), ['?', 1]);
});

const limited = (limit: number | SqlQuery) => parts(sql`SELECT 1 LIMIT ${limit}`);

test('the same template serves values and fragments in turn', (t) => {
  t.deepEqual(limited(5), ['SELECT 1 LIMIT ?', 5]);
  t.deepEqual(limited(sql`(SELECT ${6})`), ['SELECT 1 LIMIT (SELECT ?)', 6]);
  t.deepEqual(limited(7), ['SELECT 1 LIMIT ?', 7]);
});

test('sql.id quotes names, so that any name is one name', (t) => {
  t.deepEqual(parts(sql.id('order')), ['"order"']);
  t.deepEqual(parts(sql.id('main', 'order', 'group')), ['"main"."order"."group"']);
  t.deepEqual(parts(sql.id('a"; DROP TABLE b; --')), ['"a""; DROP TABLE b; --"']);
  t.deepEqual(parts(sql.id('a.b')), ['"a.b"'], 'one name with a dot in it');
});

test('sql.list puts commas between values and fragments', (t) => {
  t.deepEqual(parts(sql.list([1, 'a', null])), ['?, ?, ?', 1, 'a', null]);
  t.deepEqual(parts(sql.list([sql.id('a'), 1, sql`lower(${'B'})`])), ['"a", ?, lower(?)', 1, 'B']);
  t.deepEqual(parts(sql`a IN (${sql.list([])})`), ['a IN ()']);
});

test('sql.values makes rows', (t) => {
  const rows = [
    [1, 'a'],
    [2, sql`upper(${'b'})`],
  ];
  t.deepEqual(parts(sql`VALUES ${sql.values(rows)}`), ['VALUES (?, ?), (?, upper(?))', 1, 'a', 2, 'b']);
});

test('sql.join puts a text between fragments', (t) => {
  const conditions = [sql`a = ${1}`, sql`b = ${2}`];
  t.deepEqual(parts(sql.join(conditions, ' AND ')), ['a = ? AND b = ?', 1, 2]);
  t.deepEqual(parts(sql.join(conditions)), ['a = ?, b = ?', 1, 2]);
  t.deepEqual(parts(sql.join([], ' AND ')), ['']);
});

test('sql.raw is text as it is, also inside quotes, and sql.empty is none', (t) => {
  t.deepEqual(parts(sql`SELECT '${sql.raw('a" ? --')}'${sql.empty} AS ${sql.raw('b')}`), [`SELECT 'a" ? --' AS b`]);
});

test('a query never changes, nor does what is made of it', (t) => {
  const items = [1, 2];
  const query = sql`SELECT ${sql.list(items)}, ${3}`;
  items[0] = 9;
  t.deepEqual(parts(query), ['SELECT ?, ?, ?', 1, 2, 3]);
  const loose = query as unknown as { sql: string; values: unknown[] };
  t.throws(() => (loose.sql = 'DROP TABLE person'), { instanceOf: TypeError });
  t.throws(() => (loose.values = []), { instanceOf: TypeError });
  for (const { values } of [query, sql`${1}`, sql.empty, sql.raw('')]) {
    t.throws(() => (values as unknown[]).push('more'), { instanceOf: TypeError });
  }
  t.throws(() => Object.assign(sql, { raw: sql.id }), { instanceOf: TypeError });
});

test('nothing that prints a query shows a value', (t) => {
  const query = sql`SELECT ${'swordfish'}, ${sql.list(['swordfish'])}`;
  t.is(inspect(query), "SqlQuery { sql: 'SELECT ?, ?', bound: 2 }");
  t.false(inspect([query], { showHidden: true, depth: null, getters: true }).includes('swordfish'));
  t.is(JSON.stringify(query), '{}');
});

test('get, all and run take a query, and options after it', async (t) => {
  const pool = temporaryPool(t);
  await pool.run(sql`CREATE TABLE ${sql.id('my "people"')} (id INTEGER PRIMARY KEY, name, data)`);
  const people = sql.id('my "people"');
  const rows = [
    [1, 'Ada', Buffer.from([0, 255])],
    [2, "O'Hara", null],
  ];
  t.like(await pool.run(sql`INSERT INTO ${people} VALUES ${sql.values(rows)}`, { label: 'fill' }), { changes: 2 });
  t.deepEqual(await pool.get(sql`SELECT * FROM ${people} WHERE name = ${"O'Hara"}`), {
    id: 2,
    name: "O'Hara",
    data: null,
  });
  t.deepEqual(await pool.all(sql`SELECT data FROM ${people} ORDER BY ${sql.id('id')}`, { label: 'read' }), [
    { data: Buffer.from([0, 255]) },
    { data: null },
  ]);
  t.deepEqual(await pool.all(sql`SELECT id FROM ${people} WHERE id IN (${sql.list([2, 3])})`), [{ id: 2 }]);
  t.deepEqual(await pool.all(sql`SELECT id FROM ${people} WHERE id IN (${sql.list([])})`), []);
  const labels = pool.stats({ by: 'label' }).map(({ label }) => label);
  t.true(labels.includes('fill') && labels.includes('read'), labels.join());
  await t.throwsAsync(pool.get(sql`SELECT ${1}`, { timeout: -1 }), { code: 'ERR_LEASEHOLD_OPTIONS' });
});

test('a query that writes is told from one that reads, and takes part in the transaction around it', async (t) => {
  const pool = temporaryPool(t);
  await pool.run(sql`CREATE TABLE item (name)`);
  await t.throwsAsync(
    pool.transaction(async () => {
      await pool.run(sql`INSERT INTO item VALUES (${'lamp'})`);
      t.deepEqual(await pool.get(sql`SELECT name FROM item`), { name: 'lamp' });
      throw new Error('changed my mind');
    }),
    { message: 'changed my mind' },
  );
  t.deepEqual(await pool.all(sql`SELECT * FROM item`), []);
  await t.throwsAsync(
    pool.read(() => pool.run(sql`INSERT INTO item VALUES (${'lamp'})`)),
    { code: 'ERR_LEASEHOLD_READ_ONLY' },
  );
});

test('a template is prepared once for all its values, and one with a fragment once for each text it comes to', async (t) => {
  const { Database, prepared } = recordingClass();
  const pool = temporaryPool(t, { max: 1, Database });
  for (const id of [1, 2, 3]) t.deepEqual(await pool.get(sql`SELECT ${id} AS id`), { id });
  for (const more of [sql.empty, sql`WHERE ${1} > 0`, sql.empty, sql`WHERE ${2} > 0`]) {
    t.deepEqual(await pool.get(sql`SELECT ${4} AS id ${more}`), { id: 4 });
  }
  t.deepEqual(
    prepared.filter((text) => text.startsWith('SELECT ? AS id')),
    ['SELECT ? AS id', 'SELECT ? AS id ', 'SELECT ? AS id WHERE ? > 0'],
  );
});

test('as many values as SQLite takes are bound; of more, SQLite says so', async (t) => {
  const pool = temporaryPool(t);
  const numbers = Array.from({ length: 32_766 }, (_, index) => index);
  const sum = (values: number[]) =>
    pool.get(sql`SELECT count(*) AS n FROM (VALUES ${sql.values(values.map((n) => [n]))})`);
  t.deepEqual(await sum(numbers), { n: 32_766 });
  await t.throwsAsync(sum([...numbers, 1]), { code: 'SQLITE_ERROR', message: 'too many SQL variables' });
});

interface Note {
  readonly id: number;
  readonly text: string;
}

/** Compiled, never run. */
async function typed(pool: SqlitePool, note: SqlQuery<Note>, some: SqlQuery): Promise<void> {
  // The type of a row comes with the query,
  expectTypeOf(sql<Note>`SELECT 1`).toEqualTypeOf<SqlQuery<Note>>();
  expectTypeOf(await pool.get(sql<Note>`SELECT 1`)).toEqualTypeOf<Note | undefined>();
  expectTypeOf(await pool.all(sql<Note>`SELECT 1`)).toEqualTypeOf<Note[]>();
  expectTypeOf(await pool.all(note, { label: 'notes' })).toEqualTypeOf<Note[]>();
  expectTypeOf(await pool.run(note)).toEqualTypeOf<Database.RunResult>();
  // or is given with the call,
  expectTypeOf(await pool.get<Note>(sql`SELECT ${1}`)).toEqualTypeOf<Note | undefined>();
  expectTypeOf(await pool.all<Note>(some)).toEqualTypeOf<Note[]>();
  expectTypeOf(await pool.get<Note>({ sql: '', values: [] })).toEqualTypeOf<Note | undefined>();
  expectTypeOf(await pool.all<Note>({ text: '', params: { a: 1 } })).toEqualTypeOf<Note[]>();
  // or is not known.
  expectTypeOf(await pool.get(sql`SELECT 1`)).toEqualTypeOf<unknown>();
  expectTypeOf(await pool.all(some)).toEqualTypeOf<unknown[]>();
  expectTypeOf(await pool.all({ sql: '' })).toEqualTypeOf<unknown[]>();
  // As before.
  expectTypeOf(await pool.get<Note>('', [1], { label: 'one' })).toEqualTypeOf<Note | undefined>();
  expectTypeOf(await pool.all<Note>('', { a: 1 })).toEqualTypeOf<Note[]>();
  expectTypeOf(await pool.run('', [], {})).toEqualTypeOf<Database.RunResult>();

  // @ts-expect-error values are in the query, not beside it
  await pool.get(sql`SELECT 1`, [1]);
  // @ts-expect-error there is no such option
  await pool.get(sql`SELECT 1`, { lable: 'x' });
  // @ts-expect-error an object without text
  await pool.get({ values: [1] });
  // @ts-expect-error a single value is neither an array nor an object of values
  await pool.get({ sql: '', values: 1 });
}

/** Compiled, never run. */
function partsOf(note: SqlQuery<Note>): void {
  expectTypeOf(
    sql`${1} ${'a'} ${2n} ${null} ${Buffer.alloc(1)} ${new Float32Array(1)} ${note}`,
  ).toEqualTypeOf<SqlQuery>();
  expectTypeOf<SqlQuery<Note>>().toExtend<SqlPart>();
  expectTypeOf<Buffer>().toExtend<SqlValue>();
  expectTypeOf(note.values).toEqualTypeOf<readonly SqlValue[]>();
  expectTypeOf(note.sql).toEqualTypeOf<string>();
  for (const make of [sql.list, sql.values, sql.join, sql.id, sql.raw])
    expectTypeOf(make).returns.toEqualTypeOf<SqlQuery>();
  expectTypeOf(sql.list([1, 'a', note])).toEqualTypeOf<SqlQuery>();
  // @ts-expect-error undefined is no value
  void sql`${undefined}`;
  // @ts-expect-error nor is a boolean
  void sql`${true}`;
  // @ts-expect-error nor a Date
  void sql`${new Date()}`;
  // @ts-expect-error nor an array
  void sql`${[1, 2]}`;
  // @ts-expect-error nor a query of somebody else
  void sql`${{ sql: 'SELECT 1', values: [] }}`;
  // @ts-expect-error a text is no template
  sql('SELECT 1');
  // @ts-expect-error a name is needed
  sql.id();
  // @ts-expect-error texts are no fragments
  sql.join(['a = 1', 'b = 2'], ' AND ');
  // @ts-expect-error a row is an array
  sql.values([1, 2]);
  // @ts-expect-error it never changes
  note.values.push(1);
}

test('queries carry the type of their rows, and take only what can be bound', (t) => {
  expectTypeOf<SqlQuery<Note>>().not.toEqualTypeOf<SqlQuery>();
  expectTypeOf<SqlQuery<Note>>().not.toExtend<SqlQuery<{ other: string }>>();
  t.is(typeof typed, 'function');
  t.is(typeof partsOf, 'function');
});
