import test from 'ava';
import type Database from 'better-sqlite3';
import { onlyConnection, temporaryPool, watchDirt } from '../support/sqlite.ts';
import { auditedPool, fingerprint } from './fingerprint.ts';

// What the next holder of a connection can see all the same. Each of these is a documented limit: a test that fails
// here says that it has gone, and the documentation is to follow.

const counters = 'SELECT last_insert_rowid(), changes(), total_changes()';
const countersOf = (db: Database.Database) => db.prepare(counters).raw().get();

test('documented limit: last_insert_rowid(), changes() and total_changes() tell of the last holder', async (t) => {
  const { pool } = auditedPool(t);
  const [, , before = 0] = (await pool.withConnection(countersOf)) as number[];
  await pool.withConnection((db) => db.exec("INSERT INTO item VALUES (77, 'a'), (78, 'b')"));
  t.deepEqual(await pool.withConnection(countersOf), [78, 2, before + 2]);
});

test('documented limit: last_insert_rowid() tells of an insert that was rolled back at the end of a lease', async (t) => {
  const { pool } = auditedPool(t);
  await pool.withConnection((db) => db.exec("BEGIN; INSERT INTO item VALUES (79, 'a')"));
  t.is(((await pool.withConnection(countersOf)) as number[])[0], 79);
  t.is(await pool.withConnection((db) => db.prepare('SELECT count(*) FROM item').pluck().get()), 0);
});

test('documented limit: lastInsertRowid of a statement that inserts nothing is that of the last holder', async (t) => {
  const { pool } = auditedPool(t);
  await pool.run("INSERT INTO item VALUES (77, 'a')");
  t.deepEqual(await pool.run("INSERT OR IGNORE INTO item VALUES (77, 'b')"), { changes: 0, lastInsertRowid: 77 });
  t.deepEqual(await pool.run('DELETE FROM item WHERE 0'), { changes: 0, lastInsertRowid: 77 });
});

test('a holder who writes finds his own numbers there', async (t) => {
  const { pool } = auditedPool(t);
  await pool.run("INSERT INTO item VALUES (77, 'a'), (78, 'b')");
  t.deepEqual(await pool.run("INSERT INTO item VALUES (5, 'c')"), { changes: 1, lastInsertRowid: 5 });
  await pool.transaction((tx) => {
    tx.exec("INSERT INTO item VALUES (6, 'd')");
    t.deepEqual((countersOf(tx) as number[]).slice(0, 2), [6, 1]);
  });
});

test('documented limit: rows of a temporary table that onOpen has made are there for every holder of that connection', async (t) => {
  const { pool, dirt } = auditedPool(t, { onOpen: (db) => db.exec('CREATE TEMP TABLE kept (x)') });
  await pool.withConnection((db) => db.exec("INSERT INTO kept VALUES ('of the first')"));
  await pool.withConnection((db) => {
    t.deepEqual(db.prepare('SELECT * FROM kept').pluck().all(), ['of the first']);
  });
  t.deepEqual(dirt, []);
});

test('documented limit: rows of a private database that onOpen has attached are there for every holder of that connection', async (t) => {
  const { pool, dirt } = auditedPool(t, {
    onOpen: (db) => db.exec("ATTACH ':memory:' AS annex; CREATE TABLE annex.note (x)"),
  });
  await pool.withConnection((db) => db.exec("INSERT INTO note VALUES ('of the first'); PRAGMA annex.user_version = 7"));
  await pool.withConnection((db) => {
    t.deepEqual(db.prepare('SELECT * FROM note').pluck().all(), ['of the first']);
    t.is(db.pragma('annex.user_version', { simple: true }), 7);
  });
  t.deepEqual(dirt, []);
});

test('documented limit: what is bound to a statement of pool.db, or how its rows come, is of that statement in every scope', async (t) => {
  const { pool } = auditedPool(t);
  const statement = pool.db.prepare('SELECT ? AS a');
  await pool.withConnection(() => statement.bind('of the first').pluck());
  t.is(await pool.withConnection(() => statement.get()), 'of the first');
  const own = await pool.withConnection(() => pool.db.prepare('SELECT ? AS a').get(7));
  t.deepEqual(own, { a: 7 }, 'Another one of the same SQL is as it was');
});

test('documented limit: what is done to the handle that onOpen was given goes unnoticed', async (t) => {
  let raw: Database.Database | undefined;
  const { pool, dirt } = auditedPool(t, {
    onOpen: (db) => {
      raw = db;
    },
  });
  const connection = await pool.withConnection(() => onlyConnection(pool));
  raw?.pragma('cache_size = 321');
  raw?.function('stray', () => 7);
  await pool.withConnection((db) => {
    t.is(db.pragma('cache_size', { simple: true }), 321);
    t.is(db.prepare('SELECT stray()').pluck().get(), 7);
    t.is(onlyConnection(pool), connection);
  });
  t.deepEqual(dirt, []);
});

const databasesOf = (db: Database.Database) => db.prepare('SELECT name FROM pragma_database_list').pluck().all();
const hasUsed = (db: Database.Database) =>
  (db.pragma('module_list') as { name: string }[]).some(({ name }) => name === 'pragma_user_version');

test('documented limit: that the temporary database was looked at shows in database_list', async (t) => {
  const { pool, dirt } = auditedPool(t);
  t.deepEqual(await pool.withConnection(databasesOf), ['main']);
  await pool.withConnection((db) => db.prepare('SELECT * FROM temp.sqlite_schema').all());
  t.deepEqual(await pool.withConnection(databasesOf), ['main', 'temp']);
  t.deepEqual(dirt, []);
});

test('documented limit: which pragma functions were used shows in module_list', async (t) => {
  const { pool } = auditedPool(t);
  t.false(await pool.withConnection(hasUsed));
  await pool.withConnection((db) => db.prepare('SELECT * FROM pragma_user_version').all());
  t.true(await pool.withConnection(hasUsed));
});

test('documented limit: a private database keeps its connection, and so all that its holders leave but transactions and iterators', async (t) => {
  const pool = temporaryPool(t, {}, ':memory:');
  const dirt = watchDirt(pool);
  await pool.withConnection((db) => db.exec('CREATE VIRTUAL TABLE words USING fts5 (word)'));
  const before = await pool.withConnection(fingerprint);
  await pool.withConnection((db) => {
    db.unsafeMode().defaultSafeIntegers();
    db.function('stray', () => 7);
    db.exec("PRAGMA cache_size = 321; CREATE TEMP TABLE stray (x); ATTACH ':memory:' AS stray; SAVEPOINT lone");
    db.prepare('SELECT 1').iterate();
  });
  await pool.withConnection((db) => {
    t.like(fingerprint(db), { inTransaction: false, idle: true, integers: 'bigint', defensive: false });
    t.is(db.pragma('cache_size', { simple: true }), 321n);
    t.deepEqual(db.prepare('SELECT stray()').pluck().get(), 7);
    t.notDeepEqual(fingerprint(db)['temporary'], before['temporary']);
    t.notDeepEqual(fingerprint(db)['attached'], before['attached']);
  });
  t.deepEqual(dirt.flatMap(({ traces }) => traces).toSorted(), [
    'attached database stray',
    'defaultSafeIntegers',
    'open iterator',
    'open transaction',
    'pragma cache_size',
    'temporary table stray',
    'unsafeMode',
    'user function',
  ]);
  t.is(pool.stats().counters.opened, 1);
});

test('documented limit: who takes a connection within the user function that gave it back finds it busy', async (t) => {
  let within: (() => void) | undefined;
  const { pool } = auditedPool(t, { onOpen: (db) => db.function('within', () => within?.()) });
  const db = await pool.acquire();
  within = () => {
    db.close();
    const next = pool.tryAcquire();
    t.throws(() => next?.exec('BEGIN'), { message: /busy executing a query/ });
    next?.close();
  };
  db.prepare('SELECT within()').all();
  await pool.withConnection((next) => t.false(next.inTransaction));
  t.plan(2);
});
