import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import Database from 'better-sqlite3';
import * as fc from 'fast-check';
import type { LeasedDatabase, SqlitePool } from '../../lib/index.ts';
import { temporaryDirectory } from '../support/files.ts';
import { loosely, observe, rawDatabase, sample, temporaryPool } from '../support/sqlite.ts';
import { controlGrammar } from './control-grammar.ts';
import { sqlGrammar, textsOf } from './grammar.ts';
import { binds, programs } from './programs.ts';
import { differenceOf, prepareSample, type Step, twinsOf } from './twins.ts';

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

test('whatever is done through a handle comes to the same as with better-sqlite3, and leaves the same file', async (t) => {
  const counts = { returned: 0, threw: 0 };
  const sequences = programs(textsOf(sqlGrammar, 'statement'), textsOf(sqlGrammar, 'script'));
  await fc.assert(
    fc.asyncProperty(sequences, async (steps: readonly Step[]) => {
      const [raw, leased] = await twinsOf(t, steps);
      for (const outcome of raw) counts['returned' in (outcome as object) ? 'returned' : 'threw']++;
      const difference = differenceOf(steps, raw, leased);
      if (difference !== undefined) throw new Error(difference);
    }),
    { numRuns: 100 },
  );
  t.true(counts.returned > 200 && counts.threw > 100, JSON.stringify(counts));
});

/** What a call came to: its result, or class, code and message of its error. */
async function outcomeOf(call: () => unknown): Promise<unknown> {
  try {
    return { returned: await call() };
  } catch (error) {
    const { name, code, message } = error as Error & { code?: string };
    return { name, isOwn: error instanceof Database.SqliteError, code, message };
  }
}

test('the methods of a pool that take SQL make the same of it as a statement of better-sqlite3', async (t) => {
  const directory = temporaryDirectory(t);
  const raw = rawDatabase(t, join(directory, 'raw.db'));
  raw.exec(sample);
  const pool = temporaryPool(
    t,
    { max: 1, pragmas: { synchronous: 'OFF' }, onOpen: prepareSample },
    join(directory, 'pool.db'),
  );
  const statement = [
    'SELECT 1',
    '<select>',
    '<write>',
    '<with> <select>',
    '<with> <write>',
    '<odd>',
    '<gap><write><gap>',
  ];
  const statements = textsOf({ ...sqlGrammar, statement }, 'statement');
  const counts = { returned: 0, threw: 0 };
  const agree = fc.asyncProperty(
    statements,
    fc.constantFrom('get', 'all', 'run'),
    binds,
    async (sql, method, { make }) => {
      // More than one argument is no list of values.
      const values = make().length === 1 ? make()[0] : make();
      fc.pre(typeof values === 'object' && values !== null && !('buffer' in values));
      const spread = () => (Array.isArray(values) ? values : [values]);
      const expected = await outcomeOf(() => loosely(raw.prepare(sql), method, spread()));
      const found = await outcomeOf(() => loosely(pool, method, [sql, values]));
      counts['returned' in (expected as object) ? 'returned' : 'threw']++;
      if (isDeepStrictEqual(found, expected)) return;
      throw new Error(`${fc.stringify(expected)} became ${fc.stringify(found)}`);
    },
  );
  // In one scope, because what a statement has changed is told by its connection.
  await pool.withConnection(() => fc.assert(agree, { numRuns: 300 }));
  t.true(counts.returned > 30 && counts.threw > 30, JSON.stringify(counts));
  pool.assertIdle();
  const content = 'SELECT * FROM item ORDER BY id';
  t.deepEqual(await pool.all(content), raw.prepare(content).all());
});

test('documented limit: a kept statement that the schema does not allow any more is refused when it runs, not when it is prepared', async (t) => {
  const pool = temporaryPool(t);
  await pool.withConnection((db) => {
    const sql = 'SELECT name FROM item';
    db.exec('CREATE TABLE item (name)');
    db.prepare(sql).all();
    db.exec('ALTER TABLE item RENAME COLUMN name TO title');
    const refused = { code: 'SQLITE_ERROR', message: 'no such column: name' };
    const statement = db.prepare(sql);
    t.throws(() => statement.all(), refused);
    t.throws(() => db.prepare(`${sql} -- not kept`), refused);
  });
});

test('a statement that has run and can not run again says so when it runs, not when it is bound', async (t) => {
  const pool = temporaryPool(t);
  await pool.withConnection((db) => {
    const create = db.prepare('CREATE TABLE item (name)');
    create.run();
    t.notThrows(() => create.bind());
    t.throws(() => create.run(), { code: 'SQLITE_ERROR', message: 'table item already exists' });
  });
});

test('a statement keeps what is bound to it to itself, though others of the same SQL were prepared before and after', async (t) => {
  const pool = temporaryPool(t);
  await pool.withConnection((db) => {
    const prepare = () => db.prepare('SELECT ? AS a').pluck();
    const [before, bound] = [prepare(), prepare()];
    t.is(before.get(1), 1);
    t.throws(() => bound.bind({ not: 'a value' }), { instanceOf: RangeError });
    t.is(before.get(2), 2, 'What could not be bound has taken nothing away');
    bound.bind(7);
    const after = prepare();
    t.deepEqual([bound.get(), before.get(3), after.get(4), bound.get()], [7, 3, 4, 7]);
    t.throws(() => after.get(), { message: /Too few parameter/ });
  });
});

// Not by its first word, nor by what SQLite says of the statement, does such a query show that it writes.
const queries: Readonly<Record<string, string>> = {
  'a pragma that is read as a table': 'SELECT * FROM pragma_optimize(0x10002)',
  'the same behind a name of the schema and in quotes':
    'WITH o AS (SELECT * FROM main."pragma_optimize"(65538)) SELECT * FROM o',
  'a function of full-text search': 'SELECT optimize(docs) FROM docs LIMIT 1',
};

async function openIndexed(t: ExecutionContext) {
  const pool = temporaryPool(t, { busyTimeout: 0 });
  await pool.transaction((tx) => {
    tx.exec(
      'CREATE TABLE item (name); CREATE INDEX item_name ON item (name); CREATE VIRTUAL TABLE docs USING fts4(body)',
    );
    for (let number = 0; number < 100; number++) tx.prepare('INSERT INTO item VALUES (?)').run(`name ${number % 7}`);
  });
  for (const body of ['a b', 'a c']) await pool.run('INSERT INTO docs VALUES (?)', [body]);
  const outside = rawDatabase(t, pool.db.name);
  return { pool, version: () => outside.pragma('data_version', { simple: true }) };
}

for (const [what, sql] of Object.entries(queries)) {
  test(`${what} does not write in a read`, async (t) => {
    const { pool, version } = await openIndexed(t);
    const before = version();
    const reading = pool.read((db) => db.prepare(sql).all());
    await reading.catch((error: Error & { code?: string }) => t.is(error.code, 'ERR_LEASEHOLD_READ_ONLY'));
    t.is(version(), before);
  });

  test(`${what} is undone with the transaction it is called in`, async (t) => {
    const { pool, version } = await openIndexed(t);
    const before = version();
    const undo = new Error('undo');
    const undone = pool.transaction((tx) => {
      tx.prepare(sql).all();
      throw undo;
    });
    t.is(await t.throwsAsync(undone), undo);
    t.is(version(), before);
  });
}
