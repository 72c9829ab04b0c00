import test from 'ava';
import type Database from 'better-sqlite3';
import { expectTypeOf } from 'expect-type';
import type {
  AmbientDatabase,
  CheckpointResult,
  DatabaseClass,
  LabelStats,
  LeasedDatabase,
  SqlitePool,
  SqlitePoolStats,
} from '../../lib/index.ts';
import { compare, temporaryPool } from '../support/sqlite.ts';

interface Note {
  readonly id: number;
  readonly text: string;
  readonly tags: string;
}

/** Code as it is written against better-sqlite3, which knows of nothing else. */
class Notebook {
  readonly #db: Database.Database;
  readonly #insert: Database.Statement<[text: string, tags: string]>;
  readonly #byTag: Database.Statement<{ tag: string }, Note>;
  readonly #insertAll: Database.Transaction<(texts: readonly string[], tags: string) => number>;

  constructor(db: Database.Database) {
    this.#db = db;
    migrate(db);
    this.#insert = db.prepare('INSERT INTO note (text, tags) VALUES (?, ?)');
    this.#byTag = db.prepare<{ tag: string }, Note>('SELECT * FROM note WHERE has_tag(tags, @tag) ORDER BY id');
    this.#insertAll = db.transaction((texts, tags) => {
      for (const text of texts) this.#insert.run(text, tags);
      if (texts.includes('')) throw new Error('An empty note');
      return db.prepare<[], number>('SELECT count(*) FROM note').pluck().get() ?? 0;
    });
  }

  addAll(texts: readonly string[], tags: string): number {
    return this.#insertAll.immediate(texts, tags);
  }

  tagged(tag: string): Note[] {
    return this.#byTag.all({ tag });
  }

  *texts(): Generator<string> {
    for (const row of this.#db.prepare<[], Pick<Note, 'text'>>('SELECT text FROM note').iterate()) yield row.text;
  }

  describe(): string[] {
    return this.#byTag.columns().map(({ name, type }) => `${name} ${type}`);
  }
}

const migrations = [
  'CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL)',
  "ALTER TABLE note ADD COLUMN tags TEXT NOT NULL DEFAULT ''",
];

function migrate(db: Database.Database): void {
  db.function('has_tag', { deterministic: true }, (tags: string, tag: string) => Number(tags.split(' ').includes(tag)));
  const version = db.pragma('user_version', { simple: true }) as number;
  db.transaction(() => {
    for (const sql of migrations.slice(version)) db.exec(sql);
    db.pragma(`user_version = ${migrations.length}`);
  }).exclusive();
}

test('code written for better-sqlite3 runs unchanged', async (t) => {
  const outcomes = await compare(t, ({ db, step }) => {
    const notebook = new Notebook(db);
    step(() => notebook.addAll(['one', 'two'], 'red blue'));
    step(() => notebook.addAll(['three', ''], 'red'));
    step(() => notebook.addAll(['three'], 'green'));
    step(() => notebook.tagged('red'));
    step(() => notebook.tagged('none'));
    step(() => [...notebook.texts()]);
    step(() => notebook.describe());
    step(() => new Notebook(db).tagged('green'));
    step(() => db.pragma('user_version', { simple: true }));
  });
  t.deepEqual(outcomes[2], { returned: 3 });
  t.deepEqual(outcomes[5], { returned: ['one', 'two', 'three'] });
});

test('a module may keep such code on pool.db, and use it in any scope', async (t) => {
  const pool = temporaryPool(t, { max: 2, onOpen: migrate });
  const count = pool.db.prepare<[], number>('SELECT count(*) FROM note').pluck();
  const add = pool.db.transaction((text: string) => pool.db.prepare('INSERT INTO note (text) VALUES (?)').run(text));
  await Promise.all([1, 2, 3, 4].map((number) => pool.withConnection(() => add(`note ${number}`))));
  t.is(await pool.withConnection(() => count.get()), 4);
});

test('both handles are Database.Database to the compiler, and their statements Database.Statement', (t) => {
  expectTypeOf<LeasedDatabase>().toExtend<Database.Database>();
  expectTypeOf<AmbientDatabase>().toExtend<Database.Database>();
  expectTypeOf<LeasedDatabase>().toExtend<Disposable & AsyncDisposable>();
  for (const db of [{} as LeasedDatabase, {} as AmbientDatabase]) {
    expectTypeOf(db.prepare).returns.toExtend<Database.Statement>();
    expectTypeOf(db.prepare<[number], Note>).returns.toEqualTypeOf<Database.Statement<[number], Note>>();
    expectTypeOf(db.prepare<{ id: number }, Note>).returns.toEqualTypeOf<Database.Statement<{ id: number }, Note>>();
    expectTypeOf(db.transaction<(a: number) => string>).returns.toEqualTypeOf<
      Database.Transaction<(a: number) => string>
    >();
    expectTypeOf(db.pragma).returns.toEqualTypeOf<unknown>();
    expectTypeOf(db.explain).returns.toEqualTypeOf<unknown[]>();
    expectTypeOf(db.serialize).returns.toEqualTypeOf<Buffer>();
    expectTypeOf(db.backup).returns.toEqualTypeOf<Promise<Database.BackupMetadata>>();
    expectTypeOf(db.inTransaction).toEqualTypeOf<boolean>();
  }
  t.pass();
});

test('every method has the parameters that better-sqlite3 has', (t) => {
  for (const db of [{} as LeasedDatabase, {} as AmbientDatabase]) {
    expectTypeOf<Parameters<Database.Database['exec']>>().toExtend<Parameters<typeof db.exec>>();
    expectTypeOf<Parameters<Database.Database['pragma']>>().toExtend<Parameters<typeof db.pragma>>();
    expectTypeOf<Parameters<Database.Database['function']>>().toExtend<Parameters<typeof db.function>>();
    expectTypeOf<Parameters<Database.Database['table']>>().toExtend<Parameters<typeof db.table>>();
    expectTypeOf<Parameters<Database.Database['backup']>>().toExtend<Parameters<typeof db.backup>>();
    expectTypeOf<Parameters<Database.Database['serialize']>>().toExtend<Parameters<typeof db.serialize>>();
    expectTypeOf<Parameters<Database.Database['loadExtension']>>().toExtend<Parameters<typeof db.loadExtension>>();
    expectTypeOf<keyof Database.Database>().toExtend<keyof typeof db>();
  }
  t.pass();
});

/** Compiled, never run. */
async function typed(pool: SqlitePool): Promise<void> {
  expectTypeOf(await pool.get<Note>('')).toEqualTypeOf<Note | undefined>();
  expectTypeOf(await pool.all<Note>('')).toEqualTypeOf<Note[]>();
  expectTypeOf(await pool.run('')).toEqualTypeOf<Database.RunResult>();
  expectTypeOf(await pool.checkpoint()).toEqualTypeOf<CheckpointResult>();
  expectTypeOf(await pool.withConnection((db) => db)).toEqualTypeOf<LeasedDatabase>();
  // @ts-expect-error a single value is neither an array nor an object of values
  await pool.get('SELECT ?', 1);
  // @ts-expect-error there is no such mode
  await pool.checkpoint('fast');
}

test('the class of better-sqlite3 is a DatabaseClass, and the calls of a pool are typed', (t) => {
  expectTypeOf<typeof Database>().toExtend<DatabaseClass>();
  expectTypeOf<SqlitePool['db']>().toEqualTypeOf<AmbientDatabase>();
  expectTypeOf<ReturnType<SqlitePool['get']>>().toEqualTypeOf<Promise<unknown>>();
  t.is(typeof typed, 'function');
});

test('stats of the whole and stats by label have types of their own', (t) => {
  const pool = temporaryPool(t);
  expectTypeOf(pool.stats()).toEqualTypeOf<SqlitePoolStats>();
  expectTypeOf(pool.stats({ by: 'label' })).toEqualTypeOf<LabelStats[]>();
  // @ts-expect-error There is nothing else to tell apart.
  t.throws(() => pool.stats({ by: 'route' }), { code: 'ERR_LEASEHOLD_OPTIONS' });
});
