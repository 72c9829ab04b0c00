import test from 'ava';
import { classify, dataChange, query } from '../../lib/sqlite/sql.ts';

const nothing = { transaction: false, schema: false, settings: [], cacheable: true };

/** What is left behind, without whether it is written. */
function left(sql: string) {
  const { plain: _plain, writes: _writes, exclusive: _exclusive, ...traces } = classify(sql);
  return traces;
}

test('common statements leave nothing behind', (t) => {
  for (const sql of [
    'SELECT 1',
    ' \n\tselect * from item where name = ? -- a comment',
    '/* a comment */ SELECT 1;',
    'SELECT \'; BEGIN; \' AS "; ATTACH" -- ; PRAGMA foreign_keys = 0',
    'INSERT INTO item (name) VALUES (?) RETURNING id',
    'insert or replace into item values (1, 2);',
    'REPLACE INTO item VALUES (1)',
    "UPDATE item SET name = 'PRAGMA x = 1; BEGIN'",
    'DELETE FROM item WHERE id IN (SELECT item FROM tag)',
    'WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT i FROM n',
    'VALUES (1), (2)',
    'EXPLAIN SELECT 1',
    'EXPLAIN QUERY PLAN DELETE FROM item',
    'EXPLAIN CREATE TEMP TABLE item (id)',
    'EXPLAIN QUERY PLAN DROP TABLE item',
    'CREATE TABLE item (id INTEGER PRIMARY KEY, "begin" TEXT)',
    'CREATE TABLE IF NOT EXISTS item (id)',
    'CREATE VIEW view_of AS SELECT 1',
    'CREATE VIRTUAL TABLE words USING fts5 (word)',
    'REINDEX',
    'VACUUM',
    "VACUUM INTO 'copy.db'",
    'INSERT INTO a VALUES (1); INSERT INTO b VALUES (2); SELECT * FROM a',
    '',
    ' ; ; ',
    '-- nothing',
    '/* open',
  ]) {
    t.deepEqual(left(sql), nothing, sql);
  }
});

test('queries and data changes are told from one object, without taking them apart', (t) => {
  for (const sql of ['SELECT 1', '  UPDATE item SET name = ?;\n', ' VALUES (1)']) {
    t.true([query, dataChange].includes(classify(sql)), sql);
  }
});

test('pragmas that ask or that change the file are no settings, but are never kept', (t) => {
  for (const sql of [
    'PRAGMA foreign_keys',
    'PRAGMA main.journal_mode;',
    'PRAGMA table_info(item)',
    'PRAGMA main.index_list = item',
    'PRAGMA user_version = 7',
    'PRAGMA wal_checkpoint(TRUNCATE)',
    'EXPLAIN PRAGMA cache_size',
  ]) {
    t.deepEqual(left(sql), { ...nothing, cacheable: false }, sql);
  }
});

test('pragmas that set something are told by name', (t) => {
  const settings: Record<string, readonly string[]> = {
    'PRAGMA foreign_keys = 0': ['pragma foreign_keys'],
    'pragma Main . Cache_Size ( 7 )': ['pragma cache_size'],
    '/* ; */ PRAGMA "synchronous"=0': ['pragma synchronous'],
    'EXPLAIN PRAGMA foreign_keys = 0': ['pragma foreign_keys'],
    'EXPLAIN QUERY PLAN PRAGMA [foreign_keys](0)': ['pragma foreign_keys'],
    'PRAGMA a = 1; SELECT 1; PRAGMA b(2); PRAGMA c': ['pragma a', 'pragma b'],
  };
  for (const [sql, expected] of Object.entries(settings)) {
    t.deepEqual(left(sql), { ...nothing, settings: expected, cacheable: false }, sql);
  }
});

test('a query that sets a tokenizer is told by the name of the function', (t) => {
  const [first, many] = [{ ...nothing, settings: ['tokenizer'] }, 'SELECT 1;'.repeat(9)];
  for (const sql of [
    "SELECT fts3_tokenizer('stray', ?)",
    "VALUES (1, [FTS3_tokenizer](?, 'stray'))",
    'WITH a AS (SELECT 1) SELECT "fts3_tokenizer" /* ( */ (?, ?)',
    'INSERT INTO item SELECT `fts3_Tokenizer`(?, ?)',
    `${many} SELECT fts3_tokenizer(?, ?)`,
  ]) {
    t.deepEqual(left(sql), first, sql);
  }
  for (const sql of [
    'SELECT my_fts3_tokenizer(?, ?)',
    'SELECT 1 -- fts3_tokenizer',
    'SELECT /* pragma_optimize */ 1',
  ]) {
    t.like(classify(sql), { ...nothing, writes: false }, sql);
  }
});

test('a query that has a pragma write statistics is one that writes', (t) => {
  for (const sql of [
    'SELECT * FROM pragma_optimize(0x10002)',
    'WITH o AS (SELECT * FROM main."Pragma_Optimize"(65538)) SELECT * FROM o',
    "SELECT * FROM 'pragma_optimize'",
  ]) {
    t.like(classify(sql), { ...nothing, writes: true }, sql);
  }
});

test('statements that begin or end a transaction or savepoint have the connection asked', (t) => {
  for (const sql of [
    'BEGIN',
    'begin immediate transaction;',
    'COMMIT',
    'END TRANSACTION',
    'ROLLBACK TO a',
    'SAVEPOINT a',
    'RELEASE a',
    '-- x\nBEGIN',
    'SELECT 1; BEGIN',
    "INSERT INTO a VALUES (';'); SAVEPOINT b; SELECT 1",
  ]) {
    t.deepEqual(left(sql), { ...nothing, transaction: true }, sql);
  }
});

test('statements that may change temporary objects or attach a database have the connection asked', (t) => {
  for (const sql of [
    'CREATE INDEX a ON b (x)',
    'CREATE UNIQUE INDEX IF NOT EXISTS a ON b (x)',
    'CREATE TRIGGER a AFTER INSERT ON b BEGIN SELECT 1; END',
    'CREATE TABLE IF NOT EXISTS temp.a (x)',
    'CREATE VIEW IF NOT EXISTS "temp".a AS SELECT 1',
    'CREATE VIRTUAL TABLE IF NOT EXISTS temp.a USING fts5 (x)',
    'ANALYZE',
    'CREATE TEMP TABLE a (x)',
    'CREATE TEMPORARY VIEW a AS SELECT 1',
    'CREATE TABLE temp.a (x)',
    'create table "TEMP" . a (x)',
    'CREATE INDEX temp.a ON b (x)',
    'CREATE VIRTUAL TABLE temp.a USING fts5 (x)',
    'CREATE TEMP TRIGGER a AFTER INSERT ON b BEGIN SELECT 1; END',
    'DROP TABLE a',
    'ALTER TABLE a RENAME TO b',
    "ATTACH 'b.db' AS b",
    'ATTACH DATABASE ? AS ?',
    'SELECT 1; DROP VIEW a',
  ]) {
    t.deepEqual(left(sql), { ...nothing, schema: true }, sql);
  }
  t.deepEqual(left('DETACH b'), { ...nothing, settings: ['detached database'] });
});

test('the body of a trigger is part of its statement, and what follows is not', (t) => {
  const body = "CREATE TRIGGER a AFTER INSERT ON b BEGIN SELECT ';'; DELETE FROM c; /* ; */ END";
  const schema = { ...nothing, schema: true };
  t.deepEqual(left(body), schema);
  t.deepEqual(left(`${body};`), schema);
  t.deepEqual(left(`${body}; BEGIN`), { ...schema, transaction: true });
  t.deepEqual(left(`${body} -- ;\n; PRAGMA a = 1`), { ...schema, settings: ['pragma a'], cacheable: false });
  t.deepEqual(left(`EXPLAIN ${body}; DETACH b`), { ...nothing, settings: ['detached database'] });
  t.true(classify('CREATE TABLE trigger (x); BEGIN').transaction);
  t.true(classify('CREATE TABLE a (trigger TEXT); BEGIN').transaction);
});

test('pragmas that need the file for themselves are told', (t) => {
  for (const sql of [
    'PRAGMA journal_mode = DELETE',
    'PRAGMA wal_checkpoint(TRUNCATE)',
    'PRAGMA main.wal_checkpoint = full',
  ]) {
    t.true(classify(sql).exclusive, sql);
  }
  for (const sql of ['PRAGMA journal_mode', 'PRAGMA wal_checkpoint', 'PRAGMA user_version = 1', 'VACUUM', 'SELECT 1']) {
    t.false(classify(sql).exclusive, sql);
  }
});

test('a long script is taken apart in one pass', (t) => {
  const rows = Array.from({ length: 20_000 }, (_, index) => `INSERT INTO a VALUES (${index}, 'it''s; [so]');`);
  t.deepEqual(left(rows.join('\n')), nothing);
  t.true(classify(`${rows.join('\n')}\nBEGIN`).transaction);
  // Text that never ends what it began, and text that begins again and again.
  for (const text of ["'".repeat(50_001), '/*'.repeat(50_000), '[x'.repeat(50_000), '-'.repeat(100_000)]) {
    t.deepEqual(left(`SELECT 1; ${text}`), nothing);
  }
});

test('what takes the lock to write is told from what does not', (t) => {
  const cases: readonly (readonly [boolean | undefined, ...string[]])[] = [
    [
      false,
      'SELECT 1',
      'VALUES (1);',
      '-- INSERT\nSELECT 1',
      'EXPLAIN DELETE FROM a',
      'EXPLAIN QUERY PLAN INSERT INTO a VALUES (1)',
      'BEGIN',
      'BEGIN DEFERRED TRANSACTION',
      'COMMIT',
      'END',
      'ROLLBACK TO a',
      'SAVEPOINT a',
      'RELEASE a',
      "ATTACH 'b.db' AS b",
      'PRAGMA journal_mode',
      'PRAGMA user_version',
      'PRAGMA wal_checkpoint',
      'PRAGMA wal_checkpoint(PASSIVE)',
      'PRAGMA foreign_keys = 0',
      'SELECT 1; SELECT 2',
      '',
    ],
    [
      true,
      'INSERT INTO a VALUES (1)',
      ' update a set b = 1',
      'DELETE FROM a',
      'REPLACE INTO a VALUES (1)',
      'CREATE TABLE a (b)',
      'DROP TABLE a',
      'ALTER TABLE a RENAME TO b',
      'REINDEX',
      'ANALYZE',
      'VACUUM',
      'BEGIN IMMEDIATE',
      'begin exclusive transaction',
      'PRAGMA user_version = 1',
      'PRAGMA main.journal_mode(DELETE)',
      'PRAGMA wal_checkpoint(TRUNCATE)',
      'PRAGMA main.wal_checkpoint = full',
      'PRAGMA optimize',
      'PRAGMA incremental_vacuum',
      'EXPLAIN PRAGMA user_version = 1',
      'SELECT 1; DELETE FROM a; SELECT 2',
      'WITH a AS (SELECT 1) SELECT * FROM a; DELETE FROM a',
    ],
    [undefined, 'WITH a AS (SELECT 1) SELECT * FROM a', 'WITH a AS (SELECT 1) DELETE FROM b; SELECT 1'],
  ];
  for (const [writes, ...statements] of cases) {
    for (const sql of statements) t.is(classify(sql).writes, writes, sql);
  }
});
