import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import * as fc from 'fast-check';
import type { LeasedDatabase, SqlitePool } from '../../lib/index.ts';
import { temporaryDirectory } from '../support/files.ts';
import { observe, rawDatabase, temporaryPool } from '../support/sqlite.ts';
import { controlGrammar } from './control-grammar.ts';
import { textsOf } from './grammar.ts';

const scripts = textsOf(controlGrammar, 'script');

/** Every way by which SQL comes to a connection. */
const ways: Readonly<Record<string, (pool: SqlitePool, db: LeasedDatabase, sql: string) => unknown>> = {
  exec: (_, db, sql) => db.exec(sql),
  'pool.db.exec': (pool, _, sql) => pool.db.exec(sql),
  prepare: (_, db, sql) => db.prepare(sql),
  run: (_, db, sql) => db.prepare(sql).run(),
  get: (_, db, sql) => db.prepare(sql).get(),
  all: (_, db, sql) => db.prepare(sql).all(),
  iterate: (_, db, sql) => [...db.prepare(sql).iterate()],
  'an iterator that is left open': (_, db, sql) => db.prepare(sql).iterate().next(),
  'pool.db.prepare': (pool, _, sql) => pool.db.prepare(sql).run(),
  pragma: (_, db, sql) => db.pragma(sql.replace(/^PRAGMA\s/i, '')),
  explain: (_, db, sql) => db.explain(sql),
  'pool.run': (pool, _, sql) => pool.run(sql),
  'pool.all': (pool, _, sql) => pool.all(sql),
  'pool.get': (pool, _, sql) => pool.get(sql),
  withStatement: (pool, _, sql) => pool.withStatement(sql, (statement) => statement.run()),
};

const way = fc.constantFrom(...Object.keys(ways));
const texts = fc.array(fc.tuple(way, scripts), { minLength: 1, maxLength: 3 });

/** Does what it is told, whatever comes of it. Says how much of it was refused by the library. */
async function vandalise(
  pool: SqlitePool,
  db: LeasedDatabase,
  script: readonly (readonly [string, string])[],
): Promise<number> {
  let refused = 0;
  for (const [name, sql] of script) {
    try {
      await ways[name]?.(pool, db, sql);
    } catch (error) {
      if (/^ERR_LEASEHOLD_(?:TRANSACTION_MANAGED|READ_ONLY)$/.test(String((error as { code?: string }).code)))
        refused++;
    }
  }
  return refused;
}

/** A transaction whose function leaves an iterator open is rolled back for that. Anything else passes through. */
function isUnfinished(error: unknown): void {
  if ((error as { code?: string }).code !== 'ERR_LEASEHOLD_TRANSACTION_BUSY') throw error;
}

async function open(t: ExecutionContext) {
  const file = join(temporaryDirectory(t), 'app.db');
  const outside = rawDatabase(t, file, { timeout: 0 });
  outside.pragma('journal_mode = WAL');
  outside.pragma('synchronous = OFF');
  outside.exec(
    "CREATE TABLE t (a); INSERT INTO t VALUES (0); CREATE VIRTUAL TABLE docs USING fts5(body); INSERT INTO docs VALUES ('x')",
  );
  const pool = temporaryPool(t, { max: 1, busyTimeout: 0, pragmas: { synchronous: 'OFF' } }, file);
  const fresh = await pool.withConnection(observe);
  /** What tells a write of anybody else. */
  const version = () => outside.pragma('data_version', { simple: true });
  return { pool, outside, version, fresh };
}

test('no SQL ends a managed transaction, or gets anything out of it', async (t) => {
  const { pool, version, outside, fresh } = await open(t);
  const before = version();
  const undo = new Error('undo');
  let refused = 0;
  const isWhole = fc.asyncProperty(texts, fc.boolean(), async (script, nested) => {
    const inside = async (tx: LeasedDatabase): Promise<void> => {
      refused += await vandalise(pool, tx, script);
      if (!tx.inTransaction && !script.some(([name]) => name.includes('iterator'))) throw new Error('It is over');
    };
    const error: unknown = await pool
      .transaction(async (tx) => {
        tx.exec("INSERT INTO t VALUES ('first')");
        if (nested) await pool.transaction(inside);
        else await inside(tx);
        throw undo;
      })
      .catch((thrown: unknown) => thrown);
    if (error !== undo) isUnfinished(error);
    if (version() !== before) throw new Error('Something was committed');
    const found = await pool.withConnection(observe);
    if (!isDeepStrictEqual(found, fresh)) throw new Error(`It left ${fc.stringify(found)}`);
  });
  const examples = ['CREATE TABLE trigger (a);COMMIT', '\ufeffCOMMIT', '/*/ " */END', "SELECT ';'; ROLLBACK"].map(
    (sql): [[string, string][], boolean] => [[['exec', sql]], true],
  );
  await fc.assert(isWhole, { numRuns: 200, examples });
  t.true(refused > 60, `${refused} were refused`);
  t.deepEqual(outside.prepare('SELECT * FROM t').raw().all(), [[0]]);
});

test('no SQL writes in a read', async (t) => {
  const { pool, version, outside, fresh } = await open(t);
  const before = version();
  let refused = 0;
  const isRead = fc.asyncProperty(texts, async (script) => {
    await pool
      .read(async (db) => {
        refused += await vandalise(pool, db, script);
      })
      .catch(isUnfinished);
    if (version() !== before) throw new Error('Something was written');
    const found = await pool.withConnection(observe);
    if (!isDeepStrictEqual(found, fresh)) throw new Error(`It left ${fc.stringify(found)}`);
  });
  await fc.assert(isRead, { numRuns: 200 });
  t.true(refused > 80, `${refused} were refused`);
  t.deepEqual(outside.prepare('SELECT * FROM t').raw().all(), [[0]]);
});

test('no SQL leaves anything of a scope to the next one, nor a lock to others', async (t) => {
  const { pool, outside, fresh } = await open(t);
  const leavesNothing = fc.asyncProperty(texts, async (script) => {
    await pool.withConnection((db) => vandalise(pool, db, script));
    t.like(pool.stats(), { leased: 0, laneHeld: 0, laneWaiting: 0 });
    const found = await pool.withConnection(observe);
    if (!isDeepStrictEqual(found, fresh)) throw new Error(`It left ${fc.stringify(found)}`);
    // Throws where anybody holds a lock.
    outside.exec('BEGIN IMMEDIATE; DROP TABLE IF EXISTS t; DROP TABLE IF EXISTS u; CREATE TABLE t (a); COMMIT');
  });
  await fc.assert(leavesNothing, { numRuns: 200 });
});
