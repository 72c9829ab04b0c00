import test from 'ava';
import * as fc from 'fast-check';
import { postgresUrl } from '../support/postgres.ts';
import { clientOn, poolOn } from '../support/postgres-handle.ts';

const url = await postgresUrl();

test('values of all kinds reach the server as they do by pg', async (t) => {
  const client = await clientOn(t, url);
  const values: (readonly [type: string, value: unknown])[] = [
    ['text', 'plain'],
    ['text', ''],
    ['text', `quotes ' " and \\ and $1`],
    ['text', 'ünïcödé 😀 \u200b'],
    ['text', null],
    ['text', undefined],
    ['int', 42],
    ['int', '42'],
    ['bigint', 9007199254740993n],
    ['float8', 0.1],
    ['float8', Number.NaN],
    ['float8', -Infinity],
    ['bool', true],
    ['bool', 'f'],
    ['timestamptz', new Date(1e12)],
    ['date', new Date(0)],
    ['bytea', Buffer.from([0, 255, 39, 92])],
    ['bytea', new Uint8Array([1, 2, 3])],
    ['bytea', new DataView(new Uint8Array([4, 5, 6]).buffer, 1)],
    ['int[]', [1, null, 3]],
    ['text[]', ['a"b', 'c,d', '', null, 'NULL', '\\']],
    [
      'int[]',
      [
        [1, 2],
        [3, 4],
      ],
    ],
    ['int[]', []],
    ['jsonb', { a: [1, { b: null }] }],
    ['jsonb', JSON.stringify([1, 2])],
    ['text', { toPostgres: () => 'converted' }],
    ['text', { toPostgres: (prepare: (value: unknown) => unknown) => prepare(new Date(0)) }],
    ['text', 'x'.repeat(1_000_000)],
  ];
  await poolOn(t, url).withConnection(async (db) => {
    for (const [type, value] of values) {
      const text = `SELECT $1::${type} AS value, $1 IS NULL AS missing`;
      const expected = await client.query(text, [value]);
      t.deepEqual((await db.query(text, [value])).rows, expected.rows, `${type} ${String(value).slice(0, 20)}`);
    }
  });
});

test('whatever text is bound comes back as it is', async (t) => {
  await poolOn(t, url).withConnection(async (db) => {
    const texts = fc.string({ unit: 'grapheme', maxLength: 40 }).filter((text) => !text.includes('\0'));
    await fc.assert(
      fc.asyncProperty(fc.array(texts, { maxLength: 8 }), async (list) => {
        const { rows } = await db.query('SELECT $1::text[] AS list, $2::jsonb AS json', [list, JSON.stringify(list)]);
        t.deepEqual(rows, [{ list, json: list }]);
      }),
      { numRuns: 100 },
    );
  });
});

/** A value that counts how often it is read. */
function counting(): { readonly seen: () => number; readonly value: unknown } {
  let reads = 0;
  return { seen: () => reads, value: { toPostgres: () => String(++reads) } };
}

test('a value is read no more often than by pg', async (t) => {
  const client = await clientOn(t, url);
  const [theirs, ours] = [counting(), counting()];
  await client.query('SELECT $1::text', [theirs.value]);
  await poolOn(t, url).query('SELECT $1::text', [ours.value]);
  t.is(ours.seen(), theirs.seen());
});

test('a query object of the caller stays as it was', async (t) => {
  const config = { text: 'SELECT $1::int AS n', name: 'mine', values: Object.freeze([1]) as number[] };
  const before = JSON.stringify(config);
  const pool = poolOn(t, url);
  t.deepEqual((await pool.query(config)).rows, [{ n: 1 }]);
  t.deepEqual((await pool.query(config, [2])).rows, [{ n: 2 }]);
  await pool.withConnection(async (db) => {
    t.deepEqual((await db.query(config, [3])).rows, [{ n: 3 }]);
    t.deepEqual((await db.query(Object.freeze(config))).rows, [{ n: 1 }]);
  });
  t.is(JSON.stringify(config), before);
});
