import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import test from 'ava';
import Database from 'better-sqlite3';
import * as fc from 'fast-check';
import { temporaryDirectory } from '../support/files.ts';
import { loosely, rawDatabase, sample, temporaryPool } from '../support/sqlite.ts';
import { sqlGrammar, textsOf } from './grammar.ts';
import { binds, programs } from './programs.ts';
import { differenceOf, prepareSample, type Step, twinsOf } from './twins.ts';

test('whatever is done through a handle comes to the same as with better-sqlite3, and leaves the same file', async (t) => {
  const counts = { returned: 0, threw: 0 };
  const scripts = programs(textsOf(sqlGrammar, 'statement'), textsOf(sqlGrammar, 'script'));
  await fc.assert(
    fc.asyncProperty(scripts, async (steps: readonly Step[]) => {
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
  const texts = textsOf({ ...sqlGrammar, statement }, 'statement');
  const counts = { returned: 0, threw: 0 };
  const agree = fc.asyncProperty(texts, fc.constantFrom('get', 'all', 'run'), binds, async (sql, method, { make }) => {
    // More than one argument is no list of values.
    const values = make().length === 1 ? make()[0] : make();
    fc.pre(typeof values === 'object' && values !== null && !('buffer' in values));
    const spread = () => (Array.isArray(values) ? values : [values]);
    const expected = await outcomeOf(() => loosely(raw.prepare(sql), method, spread()));
    const found = await outcomeOf(() => loosely(pool, method, [sql, values]));
    counts['returned' in (expected as object) ? 'returned' : 'threw']++;
    if (isDeepStrictEqual(found, expected)) return;
    throw new Error(`${fc.stringify(expected)} became ${fc.stringify(found)}`);
  });
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
