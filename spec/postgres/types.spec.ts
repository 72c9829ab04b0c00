import type { Writable } from 'node:stream';
import test from 'ava';
import { expectTypeOf } from 'expect-type';
import type pg from 'pg';
import type { CopyToStreamQuery } from 'pg-copy-streams';
import type Cursor from 'pg-cursor';
import { createPool, type SqlitePool } from '../../lib/index.ts';
import {
  type AmbientClient,
  type Inbox,
  type LeasedClient,
  type PostgresPool,
  type PostgresPoolOptions,
  postgres,
} from '../../lib/postgres.ts';
import { postgresUrl } from '../support/postgres.ts';
import { clientOn, poolOn } from '../support/postgres-handle.ts';

interface Note {
  readonly id: number;
  readonly text: string;
}

/** Code as it is written against pg, which knows of nothing else. */
class Notebook {
  readonly #db: Pick<pg.Client, 'query' | 'escapeIdentifier' | 'escapeLiteral'>;

  constructor(db: Pick<pg.Client, 'query' | 'escapeIdentifier' | 'escapeLiteral'>) {
    this.#db = db;
  }

  async add(text: string): Promise<number | undefined> {
    const { rows } = await this.#db.query<Note>('INSERT INTO note (text) VALUES ($1) RETURNING id', [text]);
    return rows[0]?.id;
  }

  async texts(column: string): Promise<unknown[]> {
    const result = await this.#db.query<[string]>({
      text: `SELECT ${this.#db.escapeIdentifier(column)} FROM note WHERE text <> ${this.#db.escapeLiteral("it's")} ORDER BY id`,
      rowMode: 'array',
    });
    return result.rows.map(([text]) => text);
  }
}

async function run(db: ConstructorParameters<typeof Notebook>[0]): Promise<unknown> {
  await db.query('DROP TABLE IF EXISTS note; CREATE TABLE note (id serial, text text)');
  const notebook = new Notebook(db);
  const ids = [await notebook.add('one'), await notebook.add("it's"), await notebook.add('two')];
  return [ids, await notebook.texts('text')];
}

test('code written for pg runs unchanged', async (t) => {
  const url = await postgresUrl(t);
  const pool = poolOn(t, url);
  const expected = await run(await clientOn(t, url));
  t.deepEqual(expected, [
    [1, 2, 3],
    ['one', 'two'],
  ]);
  t.deepEqual(await pool.withConnection((db) => run(db)), expected);
  t.deepEqual(await pool.withConnection(() => run(pool.db)), expected);
});

/** Compiled, never run. */
async function typed(pool: PostgresPool, db: LeasedClient | AmbientClient): Promise<void> {
  expectTypeOf(await db.query<Note>('')).toEqualTypeOf<pg.QueryResult<Note>>();
  expectTypeOf(await db.query<Note>('', [1])).toEqualTypeOf<pg.QueryResult<Note>>();
  expectTypeOf(await db.query<Note>({ text: '', values: [1], name: '' })).toEqualTypeOf<pg.QueryResult<Note>>();
  expectTypeOf(await db.query<[number]>({ text: '', rowMode: 'array' })).toEqualTypeOf<pg.QueryArrayResult<[number]>>();
  expectTypeOf(await db.query({ text: '', signal: AbortSignal.abort() })).toEqualTypeOf<
    pg.QueryResult<pg.QueryResultRow>
  >();
  expectTypeOf(db.query<Note>('', (_, { rows }) => expectTypeOf(rows).toEqualTypeOf<Note[]>())).toEqualTypeOf<void>();
  expectTypeOf(db.query('', [1], () => {})).toEqualTypeOf<void>();
  expectTypeOf(db.query({} as Cursor<Note>)).toEqualTypeOf<Cursor<Note>>();
  expectTypeOf(db.query({} as CopyToStreamQuery)).toEqualTypeOf<CopyToStreamQuery>();
  expectTypeOf(db.iterate<Note>('')).toEqualTypeOf<AsyncGenerator<Note, void, undefined>>();
  expectTypeOf(db.iterate('', [], { batch: 1, rowMode: 'array', signal: AbortSignal.abort() })).toBeObject();
  expectTypeOf(db.listen('')).toEqualTypeOf<Promise<Inbox>>();
  for await (const notification of await db.listen('')) expectTypeOf(notification).toEqualTypeOf<pg.Notification>();
  db.on('notification', (message) => expectTypeOf(message).toEqualTypeOf<pg.Notification>());
  db.on('notice', (notice) => expectTypeOf(notice).toExtend<Error>());
  // @ts-expect-error There is no such event.
  db.on('drain', () => {});
  // @ts-expect-error A single value is no list.
  await db.query('', 1);
  // @ts-expect-error There is no such mode.
  db.iterate('', [], { rowMode: 'object' });
  expectTypeOf(await pool.query<Note>('', [], { signal: AbortSignal.abort(), label: '' })).toEqualTypeOf<
    pg.QueryResult<Note>
  >();
  expectTypeOf(await pool.query<[number]>({ text: '', rowMode: 'array' })).toEqualTypeOf<
    pg.QueryArrayResult<[number]>
  >();
  // @ts-expect-error What has a life of its own needs a connection that stays.
  await pool.query({} as Cursor);
}

/** Compiled, never run. */
async function typedTransactions(pool: PostgresPool): Promise<void> {
  expectTypeOf(await pool.transaction((tx) => tx)).toEqualTypeOf<LeasedClient>();
  expectTypeOf(
    await pool.transaction(async () => 1, { isolation: 'serializable', retries: 3 }),
  ).toEqualTypeOf<number>();
  expectTypeOf(await pool.read(() => 'a', { deferrable: true, isolation: 'serializable' })).toEqualTypeOf<string>();
  expectTypeOf(await pool.acquire()).toEqualTypeOf<LeasedClient>();
  expectTypeOf(pool.db).toEqualTypeOf<AmbientClient>();
  expectTypeOf(pool.current).toEqualTypeOf<LeasedClient | undefined>();
  // @ts-expect-error There is no such level.
  await pool.transaction(() => {}, { isolation: 'snapshot' });
  // @ts-expect-error What reads one snapshot is nothing less than repeatable.
  await pool.read(() => {}, { isolation: 'read committed' });
}

test('the calls of a handle and of a pool are typed as those of pg', (t) => {
  expectTypeOf<LeasedClient>().toExtend<Disposable & AsyncDisposable>();
  expectTypeOf<AmbientClient['inTransaction']>().toEqualTypeOf<boolean>();
  expectTypeOf<Inbox>().toExtend<AsyncIterable<pg.Notification> & AsyncDisposable>();
  expectTypeOf<Writable>().not.toExtend<pg.Submittable>();
  t.is(typeof typed, 'function');
  t.is(typeof typedTransactions, 'function');
});

test('what createPool makes depends on what it is given', async (t) => {
  const pool = createPool(postgres('postgres://user@127.0.0.1:1/app'), { max: 1 });
  expectTypeOf(pool).toEqualTypeOf<PostgresPool>();
  await pool.close();
  const target = postgres('postgres://user@127.0.0.1:1/app') as string | ReturnType<typeof postgres>;
  // As of a configuration that was parsed.
  const file = JSON.parse('":memory:"');
  expectTypeOf(() => createPool(file)).returns.toEqualTypeOf<SqlitePool>();
  expectTypeOf(() => createPool(target)).returns.toEqualTypeOf<SqlitePool | PostgresPool>();
  expectTypeOf<ReturnType<typeof createPool>>().toEqualTypeOf<SqlitePool>();
  const sqlite = createPool(':memory:');
  expectTypeOf(sqlite).toEqualTypeOf<SqlitePool>();
  await sqlite.close();
  const { Client } = await import('pg');
  expectTypeOf<{ Client: typeof Client }>().toExtend<PostgresPoolOptions>();
  // @ts-expect-error SQLite alone has these.
  t.throws(() => createPool(postgres(''), { pragmas: {} }), { code: 'ERR_LEASEHOLD_OPTIONS' });
  // @ts-expect-error PostgreSQL alone has these.
  t.throws(() => createPool(':memory:', { settings: {} }), { code: 'ERR_LEASEHOLD_OPTIONS' });
});
