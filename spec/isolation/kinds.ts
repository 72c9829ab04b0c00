import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type Database from 'better-sqlite3';
import { loosely } from '../support/sqlite.ts';
import { refuses } from './fingerprint.ts';

// Every kind of state that a holder can leave beside pragmas, with how it is set and how it shows.

export interface Kind {
  /** What the connection is set up with before any lease. */
  readonly onOpen?: (db: Database.Database, directory: string) => unknown;
  readonly leave: (db: Database.Database, directory: string) => unknown;
  /** What differs while it is there. */
  readonly shows: (db: Database.Database) => unknown;
  /** What is reported of it. */
  readonly traces: readonly string[];
  /** Whether it is undone, so that the connection can stay. */
  readonly undone?: true;
}

const value = (db: Database.Database, sql: string): unknown => db.prepare(sql).pluck().get();
const runs = (sql: string) => (db: Database.Database) => !refuses(() => db.prepare(sql).all());
// With a trigger its program is longer.
const insertion = (db: Database.Database) => db.prepare("EXPLAIN INSERT INTO item (name) VALUES ('a')").all().length;
const temporary = (db: Database.Database) => db.prepare('SELECT type, name, sql FROM temp.sqlite_schema').raw().all();
const total = (name: string) => (db: Database.Database) =>
  value(db, `SELECT ${name}(a) FROM (SELECT 2 AS a UNION SELECT 3)`);
const sum = { start: 0, step: (total_: number, next: number) => total_ + next };
const windowSum = { ...sum, inverse: (total_: number, gone: number) => total_ - gone };
const overWindow = (name: string) => (db: Database.Database) =>
  refuses(() => db.prepare(`SELECT ${name}(a) OVER (ORDER BY a ROWS 1 PRECEDING) FROM (SELECT 1 AS a)`).all());
const open = (db: Database.Database, sql = 'SELECT 1 UNION SELECT 2') => db.prepare(sql).iterate().next();
// Prepared only: without it SQLite refuses the text.
const writesInsides = (db: Database.Database) => !refuses(() => db.prepare('DELETE FROM words_content WHERE 0'));
const isBusy = (db: Database.Database) => refuses(() => db.exec(''));

const transactions: Record<string, Kind> = {
  'an open transaction': {
    leave: (db) => db.exec('BEGIN'),
    shows: (db) => db.inTransaction,
    traces: ['open transaction'],
    undone: true,
  },
  'a transaction that holds the write lock': {
    leave: (db) => db.exec("BEGIN IMMEDIATE; INSERT INTO item (name) VALUES ('stray')"),
    shows: (db) => value(db, 'SELECT count(*) FROM item'),
    traces: ['open transaction'],
    undone: true,
  },
  'a lone savepoint': {
    leave: (db) => db.exec('SAVEPOINT lone'),
    shows: (db) => db.inTransaction,
    traces: ['open transaction'],
    undone: true,
  },
  'a half-read iterator': { leave: (db) => open(db), shows: isBusy, traces: ['open iterator'], undone: true },
  'an iterator that has not begun': {
    leave: (db) => db.prepare('SELECT * FROM item').iterate(),
    shows: isBusy,
    traces: ['open iterator'],
    undone: true,
  },
};

const temporaryObjects: Record<string, Kind> = Object.fromEntries(
  (
    [
      ['table', 'CREATE TEMP TABLE stray (x)', ['temporary table stray']],
      ['view', 'CREATE TEMP VIEW stray AS SELECT 1', ['temporary view stray']],
      ['table that hides one of the file', 'CREATE TEMP TABLE item (id, name)', ['temporary table item']],
      [
        'view that hides a table of the file',
        "CREATE TEMP VIEW item AS SELECT 1 AS id, 'stray' AS name",
        ['temporary view item'],
      ],
      [
        'trigger named into the temporary schema',
        'CREATE TRIGGER temp.stray AFTER INSERT ON main.item BEGIN SELECT 1; END',
        ['temporary trigger stray'],
      ],
      [
        'index',
        'CREATE TEMP TABLE stray (x); CREATE INDEX temp.stray_x ON stray (x)',
        ['temporary table stray', 'temporary index stray_x'],
      ],
      [
        'table with a sequence',
        'CREATE TEMP TABLE stray (id INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO stray DEFAULT VALUES; DROP TABLE stray',
        ['temporary table sqlite_sequence'],
      ],
      [
        'table with statistics',
        'CREATE TEMP TABLE stray (x UNIQUE); INSERT INTO stray VALUES (1); ANALYZE temp; DROP TABLE stray',
        ['temporary table sqlite_stat1', 'temporary table sqlite_stat4'],
      ],
      [
        'virtual table',
        'CREATE VIRTUAL TABLE temp.stray USING rtree (id, low, high)',
        [
          'temporary table stray',
          'temporary table stray_rowid',
          'temporary table stray_node',
          'temporary table stray_parent',
        ],
      ],
    ] as const
  ).map(([name, sql, traces]) => [
    `a temporary ${name}`,
    { leave: (db) => db.exec(sql), shows: temporary, traces } satisfies Kind,
  ]),
);

/** What becomes of temporary objects that were there before, by statements that do not say that they are temporary. */
const changed: Record<string, Kind> = Object.fromEntries(
  (
    [
      ['dropped', 'DROP TABLE kept', ['temporary table kept']],
      ['renamed', 'ALTER TABLE kept RENAME TO gone', ['temporary table kept', 'temporary table gone']],
      ['given another column', 'ALTER TABLE kept ADD COLUMN y', ['temporary table kept']],
      ['given an index', 'CREATE INDEX stray ON kept (x)', ['temporary index stray']],
      ['given statistics', 'ANALYZE kept', ['temporary table sqlite_stat1', 'temporary table sqlite_stat4']],
    ] as const
  ).map(([name, sql, traces]) => [
    `that a temporary table of onOpen was ${name}`,
    {
      onOpen: (db) => db.exec('CREATE TEMP TABLE kept (x); INSERT INTO kept VALUES (1)'),
      leave: (db) => db.exec(sql),
      shows: temporary,
      traces,
    } satisfies Kind,
  ]),
);

const schemas: Record<string, Kind> = {
  ...temporaryObjects,
  ...changed,
  'a temporary trigger on a table of the file': {
    leave: (db) =>
      db.exec("CREATE TEMP TRIGGER stray AFTER INSERT ON item BEGIN INSERT INTO item (name) VALUES ('stray'); END"),
    shows: insertion,
    traces: ['temporary trigger stray'],
  },
  'an attached file': {
    // A read-only connection would not make it.
    onOpen: (_, directory) => writeFileSync(join(directory, 'stray.db'), ''),
    leave: (db, directory) => db.exec(`ATTACH '${join(directory, 'stray.db')}' AS stray`),
    shows: runs('SELECT * FROM stray.sqlite_schema'),
    traces: ['attached database stray'],
  },
  'an attached private database': {
    leave: (db) => db.exec("ATTACH ':memory:' AS stray"),
    shows: runs('SELECT * FROM stray.sqlite_schema'),
    traces: ['attached database stray'],
  },
  'a detached database': {
    onOpen: (db) => db.exec("ATTACH ':memory:' AS annex"),
    leave: (db) => db.exec('DETACH annex'),
    shows: runs('SELECT * FROM annex.sqlite_schema'),
    traces: ['detached database'],
  },
  'another database in the place of an attached one': {
    onOpen: (db, directory) =>
      db.exec(`ATTACH '${join(directory, 'annex.db')}' AS annex; CREATE TABLE IF NOT EXISTS annex.note (x)`),
    leave: (db) => db.exec("DETACH annex; ATTACH ':memory:' AS annex"),
    shows: runs('SELECT * FROM annex.note'),
    traces: ['detached database'],
  },
  'a setting of an attached database': {
    onOpen: (db, directory) => db.exec(`ATTACH '${join(directory, 'annex.db')}' AS annex`),
    leave: (db) => db.pragma('annex.cache_size = 321'),
    shows: (db) => db.pragma('annex.cache_size'),
    traces: ['pragma cache_size'],
  },
  'a version of the temporary database': {
    leave: (db) => db.pragma('temp.user_version = 7'),
    shows: (db) => db.pragma('temp.user_version'),
    traces: ['pragma user_version'],
  },
};

const half = (db: Database.Database) => void db.function('half', (a: number) => a / 2);

const registrations: Record<string, Kind> = {
  'a user function': {
    leave: (db) => db.function('stray', () => 7),
    shows: runs('SELECT stray()'),
    traces: ['user function'],
  },
  'a user function of another arity': {
    onOpen: half,
    leave: (db) => db.function('half', (a: number, b: number) => (a + b) / 2),
    shows: runs('SELECT half(1, 2)'),
    traces: ['user function'],
  },
  'a user function of any arity': {
    onOpen: half,
    leave: (db) => db.function('half', { varargs: true }, () => 7),
    shows: runs('SELECT half(1, 2, 3)'),
    traces: ['user function'],
  },
  'a user function in the place of one that onOpen has set': {
    onOpen: half,
    leave: (db) => db.function('half', (a: number) => a / 3),
    shows: (db) => value(db, 'SELECT half(6)'),
    traces: ['user function'],
  },
  "a user function in the place of one of SQLite's": {
    leave: (db) => db.function('upper', (text: string) => `stray ${text}`),
    shows: (db) => value(db, "SELECT upper('a')"),
    traces: ['user function'],
  },
  'a user function in the place of what LIKE calls': {
    leave: (db) => db.function('like', (pattern: string, text: string) => (pattern === text ? 0 : 1)),
    shows: (db) => value(db, "SELECT 'a' LIKE 'b'"),
    traces: ['user function'],
  },
  'an aggregate': {
    leave: (db) => db.aggregate('stray', sum),
    shows: (db) => !refuses(() => total('stray')(db)),
    traces: ['user aggregate'],
  },
  "an aggregate in the place of one of SQLite's": {
    leave: (db) => db.aggregate('sum', { start: 0, step: (_: number, next: number) => next * 7 }),
    shows: total('sum'),
    traces: ['user aggregate'],
  },
  'a window function in the place of an aggregate that onOpen has set': {
    onOpen: (db) => db.aggregate('total_of', sum),
    leave: (db) => db.aggregate('total_of', windowSum),
    shows: overWindow('total_of'),
    traces: ['user aggregate'],
  },
  'a virtual table': {
    leave: (db) => db.table('stray', { columns: ['a'], *rows() {} }),
    shows: runs('SELECT * FROM stray'),
    traces: ['virtual table'],
  },
  'a module of virtual tables': {
    leave: (db) => loosely(db, 'table', ['stray', () => ({ columns: ['a'], *rows() {} })]),
    shows: (db) => db.prepare("SELECT * FROM pragma_module_list WHERE name = 'stray'").all(),
    traces: ['virtual table'],
  },
  'a virtual table in the place of one that onOpen has set': {
    onOpen: (db) =>
      db.table('series', {
        columns: ['a'],
        *rows() {
          yield [1];
        },
      }),
    leave: (db) => db.table('series', { columns: ['b'], *rows() {} }),
    shows: (db) => db.prepare('SELECT * FROM series').all(),
    traces: ['virtual table'],
  },
  unsafeMode: { leave: (db) => db.unsafeMode(), shows: writesInsides, traces: ['unsafeMode'] },
  'unsafeMode switched off': {
    onOpen: (db) => db.unsafeMode(),
    leave: (db) => db.unsafeMode(false),
    shows: writesInsides,
    traces: ['unsafeMode'],
  },
  defaultSafeIntegers: {
    leave: (db) => db.defaultSafeIntegers(),
    shows: (db) => typeof value(db, 'SELECT 1'),
    traces: ['defaultSafeIntegers'],
  },
  'defaultSafeIntegers switched off': {
    onOpen: (db) => db.defaultSafeIntegers(),
    leave: (db) => db.defaultSafeIntegers(false),
    shows: (db) => typeof value(db, 'SELECT 1'),
    traces: ['defaultSafeIntegers'],
  },
};

export const kinds: Readonly<Record<string, Kind>> = { ...transactions, ...schemas, ...registrations };
