import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { extname, join } from 'node:path';
import type { ExecutionContext } from 'ava';
import Database from 'better-sqlite3';
import { createPool, type PoolEvents, type SqlitePool, type SqlitePoolOptions } from '../../lib/index.ts';
import type { RawDatabase } from '../../lib/sqlite/better-sqlite3.ts';
import { temporaryDirectory, temporaryFile } from './files.ts';

/** Address of the library for a child process: the sources here, the compiled files beside compiled specs. */
export const libraryUrl = new URL(`../../lib/index${extname(import.meta.url)}`, import.meta.url).href;

/** Of an acquire that a test does not expect to fail: longer than any machine stands still. */
const patiently = { acquireTimeout: 60_000 } as const;

/** A pool on a file of its own, closed after the test. */
export function temporaryPool(t: ExecutionContext, options?: SqlitePoolOptions, file = temporaryFile(t)): SqlitePool {
  const pool = createPool(file, { ...patiently, ...options });
  t.teardown(() => pool.close({ timeout: 0 }));
  return pool;
}

/** better-sqlite3's own handle, closed after the test. */
export function rawDatabase(t: ExecutionContext, file = ':memory:', options?: Database.Options): RawDatabase {
  const db = new Database(file, options) as RawDatabase;
  t.teardown(() => void db.close());
  return db;
}

/** The tables every subject of `compare` begins with. */
export const sample = `
  CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT NOT NULL, size REAL, data BLOB);
  CREATE TABLE tag (item INTEGER REFERENCES item (id), name TEXT UNIQUE);
  INSERT INTO item (name, size, data) VALUES ('bolt', 1.5, x'00ff'), ('nut', NULL, NULL), ('washer', 3, x'');
  INSERT INTO tag VALUES (1, 'steel'), (3, 'rubber');`;

/** What a call came to, in values that can be compared across handles. */
export type Outcome = { readonly returned: unknown } | { readonly threw: unknown };

/** One handle under comparison, and the record of what was done to it. */
export interface Subject {
  /** Typed with the methods that the published types lack. */
  readonly db: RawDatabase;
  /** An empty directory of its own. */
  readonly directory: string;
  /** Makes a call, records what it came to, and gives its result; `undefined` where it threw. */
  readonly step: <Result>(call: () => Result) => Result;
  /** Makes a call that returns a promise, and records what that came to. */
  readonly settle: (call: () => unknown) => Promise<void>;
}

export type Script = (subject: Subject) => unknown;

/** A subject, and the record its steps write. */
function recording(db: Database.Database, directory: string): Subject & { readonly outcomes: Outcome[] } {
  const outcomes: Outcome[] = [];
  // Handles and paths differ from subject to subject; everything else has to be the same.
  const plain = (value: unknown): unknown => {
    if (typeof value === 'string') return value.replaceAll(directory, '<directory>');
    if (typeof value === 'function') return '<function>';
    if (typeof value !== 'object' || value === null) return value;
    // A whole database as a digest, or a difference would fill the screen.
    if (Buffer.isBuffer(value)) return value.length < 100 ? value : createHash('sha256').update(value).digest('hex');
    if (value === db) return '<database>';
    if (Array.isArray(value)) return value.map(plain);
    if (value instanceof Error) return plainError(value);
    if ('source' in value && 'reader' in value) return '<statement>';
    if ('next' in value) return '<iterator>';
    return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, plain(entry)]));
  };
  const plainError = (error: unknown): unknown => {
    if (!(error instanceof Error)) return { thrown: plain(error) };
    const code = 'code' in error ? error.code : undefined;
    return { class: error.constructor, name: error.name, code, message: plain(error.message) };
  };
  return {
    db: db as RawDatabase,
    directory,
    outcomes,
    step: <Result>(call: () => Result): Result => {
      try {
        const result = call();
        outcomes.push({ returned: plain(result) });
        return result;
      } catch (error) {
        outcomes.push({ threw: plainError(error) });
        return undefined as Result;
      }
    },
    settle: async (call) => {
      try {
        const promise = call();
        outcomes.push({ returned: promise instanceof Promise ? '<promise>' : '<no promise>' });
        outcomes.push({ returned: plain(await promise) });
      } catch (error) {
        outcomes.push({ threw: plainError(error) });
      }
    },
  };
}

/**
 * Runs the same script against better-sqlite3's own handle, the handle of a lease, and `pool.db` in a scope,
 * each on a fresh copy of `sample`, and asserts that every step came to the same: value, or class, code and
 * message of the error. Returns the record of better-sqlite3, for assertions that the script did what it is for.
 */
export async function compare(t: ExecutionContext, script: Script, { ambient = true } = {}): Promise<Outcome[]> {
  const expected = await onRaw(t, script);
  t.true(expected.length > 0, 'The script records something');
  t.deepEqual(await onLease(t, script), expected, 'A leased handle does as better-sqlite3 does');
  if (ambient) t.deepEqual(await onAmbient(t, script), expected, 'pool.db does as better-sqlite3 does');
  return expected;
}

async function onRaw(t: ExecutionContext, script: Script): Promise<Outcome[]> {
  const directory = temporaryDirectory(t);
  const db = new Database(join(directory, 'app.db'), { timeout: 1000 });
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = NORMAL');
  db.exec(sample);
  const subject = recording(db, directory);
  await script(subject);
  // Left open where the script left it busy; then it goes with the process.
  if (!isBusy(db)) db.close();
  return subject.outcomes;
}

async function onLease(t: ExecutionContext, script: Script): Promise<Outcome[]> {
  const directory = temporaryDirectory(t);
  const pool = createPool(join(directory, 'app.db'), { ...patiently, max: 1, onOpen: prepareSample });
  const db = await pool.acquire();
  const subject = recording(db, directory);
  await script(subject);
  if (db.open) db.close();
  await pool.close();
  return subject.outcomes;
}

async function onAmbient(t: ExecutionContext, script: Script): Promise<Outcome[]> {
  const directory = temporaryDirectory(t);
  const pool = createPool(join(directory, 'app.db'), { ...patiently, max: 1, onOpen: prepareSample });
  const subject = recording(pool.db, directory);
  await pool.withConnection(() => script(subject));
  await pool.close();
  return subject.outcomes;
}

/** Through `onOpen`, so that the connection a script gets has run nothing else: `changes()` and such are as in a new one. */
function prepareSample(db: Database.Database): void {
  if (db.prepare('SELECT 1 FROM sqlite_schema').get() === undefined) db.exec(sample);
}

function isBusy(db: Database.Database): boolean {
  try {
    db.exec('');
    return false;
  } catch {
    return true;
  }
}

/** A `Database` class that keeps a record of what the connections of a pool are asked to do. */
export function recordingClass(): {
  readonly Database: typeof Database;
  /** The connections themselves, and the statements prepared and pragmas run on any of them, in order. */
  readonly connections: Database.Database[];
  readonly prepared: string[];
  readonly pragmas: string[];
} {
  const connections: Database.Database[] = [];
  const prepared: string[] = [];
  const pragmas: string[] = [];
  class RecordingDatabase extends Database {
    constructor(file: string, options?: Database.Options) {
      super(file, options);
      connections.push(this);
    }

    override prepare(sql: string): never {
      prepared.push(sql);
      return super.prepare(sql) as never;
    }

    override pragma(source: string, options?: Database.PragmaOptions): unknown {
      pragmas.push(source);
      return super.pragma(source, options);
    }
  }
  return { Database: RecordingDatabase as unknown as typeof Database, connections, prepared, pragmas };
}

/** A value that no type allows. better-sqlite3 checks its arguments, so what it says of these is part of its surface. */
export function wrong(value: unknown): never {
  return value as never;
}

/** Calls a method with whatever arguments. */
export function loosely(target: object, method: string, args: readonly unknown[]): unknown {
  const methods = target as Record<string, ((...values: unknown[]) => unknown) | undefined>;
  return methods[method]?.(...args);
}

/** How many of the outcomes are errors. */
export function errorsOf(outcomes: readonly Outcome[]): number {
  return outcomes.filter((outcome) => 'threw' in outcome).length;
}

/** Pragmas of a connection whose settings a test can read back. */
const observedPragmas = `
  analysis_limit automatic_index busy_timeout cache_size cache_spill cell_size_check checkpoint_fullfsync count_changes
  defer_foreign_keys empty_result_callbacks foreign_keys full_column_names fullfsync ignore_check_constraints
  journal_mode journal_size_limit legacy_alter_table locking_mode max_page_count mmap_size query_only read_uncommitted
  recursive_triggers reverse_unordered_selects secure_delete short_column_names synchronous temp.user_version
  temp_store threads trusted_schema wal_autocheckpoint writable_schema`
  .trim()
  .split(/\s+/);

function valueOrMessage(call: () => unknown): unknown {
  try {
    return call();
  } catch (error) {
    return (error as Error).message;
  }
}

/** All of a connection's state that SQL or a handle can leave behind, read so that nothing is left behind. */
export function observe(db: Database.Database): Record<string, unknown> {
  const all = (sql: string) => valueOrMessage(() => db.prepare(sql).raw().all());
  const unsafe = () => {
    const rows = db.prepare('SELECT 1 UNION SELECT 2').iterate();
    try {
      rows.next();
      return db.prepare('SELECT 1').run().changes;
    } finally {
      rows.return?.();
    }
  };
  return {
    idle: valueOrMessage(() => db.exec('') === db),
    inTransaction: db.inTransaction,
    temporary: all('SELECT type, name, sql FROM temp.sqlite_schema'),
    attached: all("SELECT name FROM pragma_database_list WHERE name <> 'temp'"),
    functions: all("SELECT name, narg FROM pragma_function_list WHERE name LIKE '%stray%'"),
    modules: all("SELECT name FROM pragma_module_list WHERE name LIKE '%stray%'"),
    like: all("SELECT 'a' LIKE 'A'"),
    unsafe: valueOrMessage(unsafe),
    integers: valueOrMessage(() => typeof db.prepare('SELECT 1').pluck().get()),
    ...Object.fromEntries(
      observedPragmas.map((name) => [name, valueOrMessage(() => db.pragma(name, { simple: true }))]),
    ),
  };
}

/** What the pool has reported as left behind. */
export function watchDirt(pool: SqlitePool): PoolEvents['dirty'][] {
  const dirt: PoolEvents['dirty'][] = [];
  pool.on('dirty', (event) => void dirt.push(event));
  return dirt;
}

/** Number of the connection that the only lease has. */
export function onlyConnection(pool: SqlitePool): number {
  const [lease, ...others] = pool.leases();
  if (lease === undefined || others.length > 0) throw new Error('There is not exactly one lease');
  return lease.connection;
}

/** A process of its own that holds a file in rollback-journal mode locked against all others. */
export async function lockingProcess(
  t: ExecutionContext,
  file: string,
): Promise<{ release(): Promise<void>; kill(): Promise<void> }> {
  const program = `
    import Database from ${JSON.stringify(import.meta.resolve('better-sqlite3'))};
    const db = new Database(process.argv[1]);
    db.exec('CREATE TABLE IF NOT EXISTS locked (x); BEGIN EXCLUSIVE; INSERT INTO locked VALUES (1)');
    process.once('message', () => {
      db.exec('COMMIT');
      process.send('released');
    });
    process.once('disconnect', () => process.exit());
    process.send('locked');`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program, file], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  t.teardown(() => void child.kill());
  await once(child, 'message');
  return {
    async release() {
      const released = once(child, 'message');
      child.send('release');
      await released;
    },
    async kill() {
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    },
  };
}
