import type { ExecutionContext } from 'ava';
import type Database from 'better-sqlite3';
import type { PoolEvents, SqlitePool, SqlitePoolOptions } from '../../lib/index.ts';
import { observe, temporaryPool, watchDirt } from '../support/sqlite.ts';
import { judged } from './pragmas.ts';

// All of a connection's state that can be read without changing it, listed from what the build lists itself.

/** What every file of this audit has: a parent and a child, and a virtual table with tables of its own. */
const schema = `
  CREATE TABLE IF NOT EXISTS item (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS tag (item INTEGER REFERENCES item (id), name TEXT);
  CREATE UNIQUE INDEX IF NOT EXISTS tag_name ON tag (name);
  CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (word)`;

const readable = judged('connection').flatMap(([name, { unreadable }]) => (unreadable === true ? [] : [name]));

// Stored in each database, and so in that of the temporary objects, which goes with its connection.
const stored = judged('file').map(([name]) => `temp.${name}`);

export type Fingerprint = Readonly<Record<string, unknown>>;

export function fingerprint(db: Database.Database): Fingerprint {
  const rows = (sql: string) => db.prepare(sql).safeIntegers(false).raw().all();
  const settings = [...readable, ...stored].map((name) => [name, db.pragma(name)] as const);
  return {
    ...observe(db),
    ...Object.fromEntries(settings),
    // As one text: to compare hundreds of rows one by one takes longer than all the rest.
    functions: rows('SELECT * FROM pragma_function_list ORDER BY 1, 2, 3, 4, 5, 6').join('\n'),
    // Those of pragma functions come with their first use, and stay.
    modules: rows("SELECT * FROM pragma_module_list WHERE name NOT GLOB 'pragma_*' ORDER BY 1"),
    collations: rows('SELECT * FROM pragma_collation_list ORDER BY 1'),
    databases: rows("SELECT name, file FROM pragma_database_list WHERE name <> 'temp'"),
    // Only `unsafeMode` lets anybody write to the insides of a virtual table.
    defensive: refuses(() => db.prepare('DELETE FROM words_content WHERE 0')),
  };
}

/** Whether something throws. */
export function refuses(attempt: () => unknown): boolean {
  try {
    attempt();
    return false;
  } catch {
    return true;
  }
}

export interface Audited {
  readonly pool: SqlitePool;
  readonly dirt: PoolEvents['dirty'][];
}

/** A pool on a file with a few tables, and what it reports as left behind. */
export function auditedPool(
  t: ExecutionContext,
  { onOpen, ...options }: SqlitePoolOptions = {},
  file?: string,
): Audited {
  const setUp = (db: Database.Database) => {
    if (db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'words'").get() === undefined) db.exec(schema);
    return onOpen?.(db);
  };
  const pool = temporaryPool(t, { max: 1, ...options, onOpen: setUp }, file);
  return { pool, dirt: watchDirt(pool) };
}

/** Nothing is held, nobody waits, and no right to write was kept. */
export function isIdle(t: ExecutionContext, pool: SqlitePool, message?: string): void {
  t.like(pool.stats(), { leased: 0, waiting: 0, laneHeld: 0, laneWaiting: 0 }, message);
}
