import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type Database from 'better-sqlite3';
import type { SqlitePool } from '../../lib/index.ts';
import { temporaryDirectory } from '../support/files.ts';
import { collected } from '../support/gc.ts';
import { loosely, onlyConnection } from '../support/sqlite.ts';
import { compileExtension, entryPoint } from './extension.ts';
import { auditedPool, fingerprint, isIdle } from './fingerprint.ts';
import { databaseMethods, iteratorMethods, type MethodJudgement, statementMethods } from './surface.ts';

// Every method of better-sqlite3 does to its connection what it was judged to do.

type DatabaseUse = (db: Database.Database, path: string) => unknown;

const databaseUses: Readonly<Record<string, DatabaseUse>> = {
  aggregate: (db) => db.aggregate('stray', { start: 0, step: (total: number) => total }),
  backup: (db, directory) => void db.backup(join(directory, 'copy.db'), { progress: () => 0 }).catch(() => {}),
  close: (db) => db.close(),
  defaultSafeIntegers: (db) => db.defaultSafeIntegers(),
  exec: (db) => db.exec("INSERT INTO item (name) VALUES ('a')"),
  explain: (db) => (db as Database.Database & { explain(sql: string): unknown }).explain('SELECT * FROM item'),
  function: (db) => db.function('stray', () => 7),
  // With what it loads as its second argument: see below.
  loadExtension: (db, extension) => loosely(db, 'loadExtension', [extension, entryPoint]),
  pragma: (db) => db.pragma('cache_size'),
  prepare: (db) => db.prepare('SELECT * FROM item'),
  serialize: (db) => db.serialize(),
  table: (db) => db.table('stray', { columns: ['a'], *rows() {} }),
  transaction: (db) => db.transaction(() => db.exec("INSERT INTO item (name) VALUES ('a')"))(),
  unsafeMode: (db) => db.unsafeMode(),
};

type StatementUse = (statement: Database.Statement) => unknown;

const statementUses: Readonly<Record<string, StatementUse>> = {
  all: (statement) => statement.all(),
  bind: (statement) => statement.bind(),
  columns: (statement) => statement.columns(),
  expand: (statement) => statement.expand(),
  get: (statement) => statement.get(),
  iterate: (statement) => [...statement.iterate()],
  pluck: (statement) => statement.pluck(),
  raw: (statement) => statement.raw(),
  run: (statement) => statement.run(),
  safeIntegers: (statement) => statement.safeIntegers(),
  // Also a property of every object, so its type must be said.
  toString: (statement: Database.Statement) => loosely(statement, 'toString', []),
};

test('there is a use of every method that is judged', (t) => {
  t.deepEqual(Object.keys(databaseUses).toSorted(), Object.keys(databaseMethods).toSorted());
  t.deepEqual(Object.keys(statementUses).toSorted(), Object.keys(statementMethods).toSorted());
});

/** The next holder has a connection as it was, and another one where the last had to be discarded. */
async function doesAsJudged(
  t: ExecutionContext,
  judgement: MethodJudgement | undefined,
  use: (pool: SqlitePool, db: Database.Database) => unknown,
): Promise<void> {
  const { pool, dirt } = auditedPool(t);
  const before = await pool.withConnection(fingerprint);
  const first = await pool.withConnection(() => onlyConnection(pool));
  await pool.withConnection((db) => {
    use(pool, db);
  });
  await pool.withConnection((db) => {
    t.deepEqual(fingerprint(db), before);
    t.is(onlyConnection(pool) !== first, judgement === 'discarded');
  });
  t.is(dirt.length, judgement === 'discarded' ? 1 : 0);
  isIdle(t, pool);
}

for (const [name, use] of Object.entries(databaseUses)) {
  if (name === 'loadExtension') continue;
  test(`${name}() of a handle leaves what it was judged to leave`, async (t) => {
    const directory = temporaryDirectory(t);
    await doesAsJudged(t, databaseMethods[name], (_, db) => use(db, directory));
    await doesAsJudged(t, databaseMethods[name], (pool) => use(pool.db, directory));
  });
}

test('loadExtension() of a handle leaves what it was judged to leave', async (t) => {
  const extension = compileExtension(t, 'SQLITE_OK');
  if (extension === undefined) {
    t.pass();
    return;
  }
  const load = databaseUses['loadExtension'];
  await doesAsJudged(t, databaseMethods['loadExtension'], (_, db) => {
    load?.(db, extension);
    t.is(db.prepare('SELECT stray()').pluck().get(), 7);
  });
  await doesAsJudged(t, databaseMethods['loadExtension'], (pool) => load?.(pool.db, extension));
});

for (const [name, use] of Object.entries(statementUses)) {
  test(`${name}() of a statement leaves what it was judged to leave`, async (t) => {
    await doesAsJudged(t, statementMethods[name], (_, db) => use(db.prepare('SELECT * FROM item')));
    await doesAsJudged(t, statementMethods[name], (pool) => use(pool.db.prepare('SELECT * FROM item')));
  });
}

test('the methods of an iterator leave nothing', async (t) => {
  for (const name of iteratorMethods) {
    await doesAsJudged(t, 'nothing', (_, db) => {
      const rows = db.prepare('SELECT * FROM item').iterate();
      for (const call of [name, 'return']) (Reflect.get(rows, call) as () => unknown).call(rows);
    });
  }
});

test('a backup under way when its lease ends is stopped before the next holder has a connection', async (t) => {
  const { pool } = auditedPool(t);
  const directory = temporaryDirectory(t);
  const db = await pool.acquire();
  const first = onlyConnection(pool);
  const waiting = pool.withConnection((next) => [onlyConnection(pool), next.prepare('SELECT 1 AS a').get()]);
  // Not a single page is copied, so it goes on until it is stopped.
  const backup = t.throwsAsync(db.backup(join(directory, 'copy.db'), { progress: () => 0 }));
  db.close();
  const [second, row] = await waiting;
  t.not(second, first);
  t.deepEqual(row, { a: 1 });
  await backup;
});

test('what was left by a lease that nobody holds any more does not reach the next holder', async (t) => {
  // So short a threshold that a handle is soon watched for being dropped.
  const { pool, dirt } = auditedPool(t, { leakThreshold: 1 });
  const before = await pool.withConnection(fingerprint);
  const lose = async () => {
    const db = await pool.acquire();
    db.exec('PRAGMA cache_size = 321; CREATE TEMP TABLE stray (x); BEGIN');
    db.function('stray', () => 7);
  };
  await lose();
  t.true(await collected(() => pool.stats().leased === 0));
  t.deepEqual(await pool.withConnection(fingerprint), before);
  t.deepEqual(
    dirt.map(({ traces }) => traces),
    [['open transaction', 'temporary table stray', 'pragma cache_size', 'user function']],
  );
});
