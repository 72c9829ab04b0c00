import test from 'ava';
import { compareBoth, tell } from '../support/drop-in.ts';
import { loosely } from '../support/sqlite.ts';

/** Text at the edges of what is one statement. Runs of them in this order leave nothing open. */
const texts = [
  '',
  ' ',
  ';',
  '; ;',
  '-- comment',
  '/* comment */',
  '/* open',
  'SELECT 1;',
  'SELECT 1; ;',
  'SELECT 1; -- comment',
  'SELECT 1; /* comment */ ;',
  'SELECT 1; /* open',
  'SELECT 1; SELECT 2',
  'SELECT 1; SELEC 2',
  ';SELECT 1',
  '-- comment\nSELECT 1',
  '/* comment */ SELECT 1',
  '\ufeffSELECT 1',
  '\u00a0SELECT 1',
  'SELECT 1\0',
  'SELECT 1\0nothing that is read',
  '\0SELECT 1',
  "SELECT 'a\ud800b' AS v",
  "SELECT 'é😀' AS v",
  'SELECT',
  'SELEC 1',
  "SELECT 'open",
  'SELECT "no column"',
  'SELECT * FROM missing',
  'SELECT missing FROM item',
  'SELECT missing(1)',
  'SELECT ?99999',
  `SELECT ${'('.repeat(2000)}`,
  `SELECT ${'1, '.repeat(2500)}1`,
  'INSERT INTO item VALUES (1)',
  "INSERT INTO tag VALUES (1, 'steel')",
  'INSERT INTO tag VALUES (99, NULL)',
  'INSERT INTO item (name) VALUES (NULL)',
  "INSERT INTO item (name) VALUES ('a'); INSERT INTO item (name) VALUES (NULL); INSERT INTO item (name) VALUES ('b')",
  'CREATE TABLE item (x)',
  'CREATE TABLE made (x); CREATE TABLE made (x)',
  'DROP TABLE IF EXISTS made',
  'DROP TABLE missing',
  'CREATE TRIGGER tr AFTER INSERT ON item BEGIN DELETE FROM tag; SELECT 1; END',
  'DROP TRIGGER IF EXISTS tr',
  'ANALYZE',
  'REINDEX',
  'VACUUM',
  'BEGIN; COMMIT',
  'COMMIT',
  'ROLLBACK',
  'SAVEPOINT a',
  'RELEASE a',
  'RELEASE a',
  "ATTACH ':memory:' AS other",
  'DETACH other',
  'DETACH other',
  'PRAGMA',
  'PRAGMA no_such_pragma',
  'PRAGMA user_version = 7',
  'PRAGMA user_version',
  'PRAGMA table_info(item)',
  'PRAGMA foreign_keys = OFF',
  'PRAGMA foreign_keys',
  'EXPLAIN SELECT 1',
  'SELECT count(*) AS n FROM item',
];

const pragmas = [
  'user_version',
  'user_version = 4',
  'user_version(5)',
  'main.user_version',
  ' user_version ',
  'user_version;',
  'user_version; SELECT 1',
  'user_version -- comment',
  'table_info(item)',
  "table_info('item')",
  'cache_size = -4000',
  'cache_size',
  'journal_mode',
  'journal_mode = wal',
  'foreign_keys = 1',
  'no_such_pragma',
  'no_such_pragma = 1',
  'database_list',
  'integrity_check',
  'optimize',
  'wal_checkpoint(passive)',
  'compile_options',
  '= =',
  '',
  '/* comment */',
];

for (const use of ['all', 'run', 'get', 'iterate'] as const) {
  test(`text at the edges of SQL is prepared and run by ${use} as by better-sqlite3`, async (t) => {
    await compareBoth(t, (subject) => {
      for (const text of texts) {
        tell(subject, text.slice(0, 60), () => {
          const result = loosely(subject.db.prepare(text), use, []);
          return use === 'iterate' ? [...(result as Iterable<unknown>)] : result;
        });
      }
    });
  });
}

test('a statement tells of itself what that of better-sqlite3 tells', async (t) => {
  await compareBoth(t, (subject) => {
    for (const text of texts) {
      tell(subject, text.slice(0, 60), () => {
        const statement = subject.db.prepare(text);
        const { source, reader, readonly, busy, database } = statement;
        return [source, reader, readonly, busy, database, loosely(statement, 'toString', [])];
      });
      tell(subject, 'columns', () => subject.db.prepare(text).columns());
    }
  });
});

for (const use of ['exec', 'explain'] as const) {
  test(`${use} takes text at the edges of SQL as better-sqlite3 does`, async (t) => {
    await compareBoth(t, (subject) => {
      const { db } = subject;
      for (const text of texts) {
        tell(subject, text.slice(0, 60), () => db[use](text));
        tell(subject, 'in transaction', () => [
          db.inTransaction,
          db.prepare('SELECT count(*) FROM item').pluck().get(),
        ]);
      }
    });
  });
}

test('pragma takes text as better-sqlite3 does, simple or not', async (t) => {
  await compareBoth(t, (subject) => {
    const { db } = subject;
    for (const text of pragmas) {
      tell(subject, text, () => db.pragma(text));
      tell(subject, `${text}, simple`, () => db.pragma(text, { simple: true }));
      tell(subject, `${text}, prepared`, () => db.prepare(`PRAGMA ${text}`).all());
    }
  });
});

test('a statement that is refused while it runs can be run again, as in better-sqlite3', async (t) => {
  await compareBoth(t, (subject) => {
    const insert = subject.db.prepare('INSERT INTO tag (item, name) VALUES (?, ?)');
    const rows: [unknown, unknown][] = [
      [1, 'steel'],
      [99, 'new'],
      [1, 'new'],
      [1, 'new'],
      [2, 'newer'],
      [{}, 'never'],
      [3, 'newest'],
    ];
    for (const row of rows) tell(subject, JSON.stringify(row), () => insert.run(...row));
    tell(subject, 'tags', () => subject.db.prepare('SELECT * FROM tag').all());
  });
});
