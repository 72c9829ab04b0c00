import test from 'ava';
import type Database from 'better-sqlite3';
import { expectTypeOf } from 'expect-type';
import { type SqlitePool, type SqlPart, type SqlQuery, type SqlValue, sql } from '../../lib/index.ts';

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
function parts(note: SqlQuery<Note>): void {
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
  t.is(typeof parts, 'function');
});
