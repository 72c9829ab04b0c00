import { inspect } from 'node:util';
import test from 'ava';
import { type QueryObject, sql } from '../../lib/index.ts';
import { readQuery } from '../../lib/sqlite/query-object.ts';
import { sample, temporaryPool, wrong } from '../support/sqlite.ts';

const code = 'ERR_LEASEHOLD_QUERY';

/** As other libraries make theirs: everything is a getter of the class. */
class Statement {
  readonly read: string[] = [];

  get sql(): string {
    this.read.push('sql');
    return 'SELECT ? AS x';
  }

  get text(): string {
    this.read.push('text');
    return 'SELECT $1 AS x';
  }

  get values(): unknown[] {
    this.read.push('values');
    return [7];
  }
}

test('get, all and run take a query object, and options after it', async (t) => {
  const pool = temporaryPool(t);
  await pool.withConnection((db) => db.exec(sample));
  t.deepEqual(await pool.get({ sql: 'SELECT name FROM item WHERE id = ?', values: [2] }), { name: 'nut' });
  t.deepEqual(await pool.all({ text: 'SELECT name FROM item WHERE id > $1', values: [1] }, { label: 'names' }), [
    { name: 'nut' },
    { name: 'washer' },
  ]);
  t.like(await pool.run({ sql: 'DELETE FROM tag WHERE item = :item', params: { item: 3 } }), { changes: 1 });
  t.deepEqual(await pool.get({ sql: 'SELECT count(*) AS tags FROM tag' }), { tags: 1 });
  t.true(pool.stats({ by: 'label' }).some(({ label }) => label === 'names'));
});

test('the values are found by whichever of its names they have', async (t) => {
  const pool = temporaryPool(t);
  for (const name of ['values', 'params', 'parameters', 'bindings', 'args']) {
    t.deepEqual(await pool.get(wrong({ sql: 'SELECT ? AS x', [name]: [5] })), { x: 5 }, name);
    t.deepEqual(await pool.get(wrong({ sql: 'SELECT @a AS x', [name]: { a: 5 } })), { x: 5 }, name);
    t.deepEqual(await pool.get(wrong({ text: 'SELECT $1 AS x', [name]: [5] })), { x: 5 }, name);
  }
  t.deepEqual(await pool.get(wrong({ sql: 'SELECT ? AS x', values: () => [], params: [5] })), { x: 5 }, 'no method');
});

test('getters of a class are read, and no more of them than is needed', async (t) => {
  const pool = temporaryPool(t);
  const statement = new Statement();
  t.deepEqual(await pool.get(statement), { x: 7 });
  t.deepEqual(statement.read, ['sql', 'values']);
  const error = new Error('not now');
  const failing = {
    get sql(): string {
      throw error;
    },
  };
  t.is(await t.throwsAsync(pool.get(failing)), error);
});

const numbered: readonly [text: string, values: unknown[], columns: unknown[]][] = [
  ['SELECT $1, $2', ['a', 'b'], ['a', 'b']],
  ['SELECT $2, $1, $2 || $1', ['a', 'b'], ['b', 'a', 'ba']],
  ['SELECT $1, $1', [null], [null, null]],
  ['SELECT $slonik_1, $slonik_2', [1, 2], [1, 2]],
  ['SELECT ?2, ?1', ['a', 'b'], ['b', 'a']],
  ['SELECT :1, @2', ['a', 'b'], ['a', 'b']],
  [
    'SELECT \'$2?\', "c", $1 /* $3 ? */ AS "$4", c$5 -- \'$6 ?\n, `c` FROM (SELECT 8 AS c, 9 AS c$5)',
    [1],
    ['$2?', 8, 1, 9, 8],
  ],
  [
    `SELECT ${Array.from({ length: 12 }, (_, index) => `$${index + 1}`).join()}`,
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
  ],
];

test('numbered parameters are bound by their numbers, however often and in whatever order they are used', async (t) => {
  const pool = temporaryPool(t);
  await pool.withConnection((db) => {
    for (const [text, values, columns] of numbered) {
      const read = readQuery({ text, values });
      t.deepEqual(db.prepare(read.sql).raw().get(read.values), columns, text);
    }
  });
  t.deepEqual(await pool.get({ text: 'SELECT $2 AS x, $1 AS y, $2 AS z', values: ['a', 'b'] }), {
    x: 'b',
    y: 'a',
    z: 'b',
  });
});

test('what only looks like a numbered parameter is left alone', (t) => {
  for (const text of [
    "SELECT '$1', ?",
    'SELECT "$1", ?',
    'SELECT a$1, ?',
    'SELECT ? -- $1',
    "SELECT data ->> '$.a[1]', ?",
  ]) {
    const values = [1];
    t.is(readQuery({ sql: text, values }).values, values, text);
  }
});

test('numbers that do not fit the values are refused, where better-sqlite3 would bind NULL or ignore some', async (t) => {
  const pool = temporaryPool(t);
  const failing: readonly [QueryObject, RegExp][] = [
    [
      { text: 'SELECT $1, $2', values: ['swordfish'] },
      /^The query has 2 numbered parameters and 1 value\. Give one value for each number\.$/,
    ],
    [{ text: 'SELECT $1', values: ['swordfish', 2] }, /^The query has 1 numbered parameter and 2 values\./],
    [
      { text: 'SELECT $1, ?', values: ['swordfish', 2] },
      /^The text of the query has both \? and numbered parameters\./,
    ],
  ];
  for (const [query, message] of failing) await t.throwsAsync(pool.get(query), { code, message });
  await t.throwsAsync(pool.get({ text: 'SELECT $0, $1', values: [1] }), { message: 'Missing named parameter "0"' });
  await t.throwsAsync(pool.get({ text: 'SELECT $a', values: [1] }), {
    message: 'Too many parameter values were provided',
  });
});

test('an object that is no query is refused, and told what is one', async (t) => {
  const pool = temporaryPool(t);
  for (const given of [
    {},
    [],
    ['SELECT 1'],
    { query: 'SELECT 1' },
    { sql: 1, text: undefined },
    new Date(),
    structuredClone(sql`SELECT 1`),
  ]) {
    for (const call of ['get', 'all', 'run'] as const) {
      await t.throwsAsync(Reflect.apply(pool[call], pool, [given]) as Promise<unknown>, {
        code,
        message:
          'What is to be run is no query. A query is a string, sql`…`, or an object with its text as sql or text, ' +
          'and its values as values, params, parameters, bindings or args.',
      });
    }
  }
  t.like(pool.stats(), { leased: 0, counters: { acquired: 0 } });
});

test('a query object brings its values, so that none are given beside it', async (t) => {
  const pool = temporaryPool(t);
  const message = 'A query object brings its own values. Call with (query, options).';
  await t.throwsAsync(pool.get(sql`SELECT 1`, wrong([])), { code, message });
  await t.throwsAsync(Reflect.apply(pool.all, pool, [sql`SELECT 1`, undefined, {}]) as Promise<unknown>, {
    code,
    message,
  });
  await t.throwsAsync(pool.run(sql`SELECT 1`, wrong({ a: 1 })), { code: 'ERR_LEASEHOLD_OPTIONS' });
});

test('values given in the wrong place are in no message and no field', async (t) => {
  const pool = temporaryPool(t);
  const secret = 'hunter2';
  const query = { text: 'SELECT :password' };
  // In plain JavaScript, where no compiler says that the second argument of a query object is its options.
  const calls: readonly (() => Promise<unknown>)[] = [
    () => pool.get(query, { password: secret } as never),
    () => pool.all(query, { label: { password: secret } } as never),
    () => pool.run(query, secret as never),
    () => pool.get(sql`SELECT ${1}`, secret as never),
    () => pool.run('SELECT ?', [], secret as never),
    () => pool.run('SELECT ?', undefined, [secret] as never),
  ];
  for (const call of calls) {
    const error = await t.throwsAsync(call);
    t.false(`${error?.message} ${inspect(error, { depth: 9 })}`.includes(secret), error?.message);
  }
});
