import { inspect } from 'node:util';
import test from 'ava';
import { LeaseholdError, QueryError, sql } from '../../lib/index.ts';
import { temporaryPool, wrong } from '../support/sqlite.ts';

const code = 'ERR_LEASEHOLD_QUERY';
const secret = 'swordfish';

class Secret {
  readonly word = secret;
  toString(): string {
    return secret;
  }
}

/** What SQLite can not bind; its kind, and what the message says to do about it. */
const unbindable: readonly [value: unknown, kind: string, remedy: string][] = [
  [undefined, 'undefined', 'Bind null if NULL is meant.'],
  [true, 'a boolean, which SQLite does not have', 'Bind 1 or 0.'],
  [() => secret, 'a function', 'Call it.'],
  [Symbol(secret), 'a symbol', 'Bind a string.'],
  [[secret], 'an array', 'Write sql.list(array), or sql.values(rows) for rows.'],
  [new Date(0), 'a Date, which SQLite does not have', 'Bind its getTime() or toISOString().'],
  [Promise.resolve(secret), 'a promise', 'Await it.'],
  [new ArrayBuffer(8), 'no typed array', 'Bind a Uint8Array of it.'],
  [new DataView(new ArrayBuffer(8)), 'no typed array', 'Bind a Uint8Array of it.'],
  [{ secret }, 'an object', 'Bind a property of it, or its JSON.stringify(); a fragment is made with sql`…`.'],
  [new Secret(), 'an object', 'Bind a property of it, or its JSON.stringify(); a fragment is made with sql`…`.'],
  [Object(secret), 'an object', 'Bind a property of it, or its JSON.stringify(); a fragment is made with sql`…`.'],
];

test('what SQLite can not bind is refused where it stands, with a remedy', (t) => {
  for (const [value, kind, remedy] of unbindable) {
    t.throws(() => sql`SELECT ${1}, ${wrong(value)}, ${3}`, {
      instanceOf: QueryError,
      code,
      message: `Value 2 of the template is ${kind}. ${remedy}`,
    });
    t.throws(() => sql.list([wrong(value)]), { code, message: `Item 1 of sql.list() is ${kind}. ${remedy}` });
    t.throws(() => sql.values([[1], [wrong(value)]]), {
      code,
      message: `Item 1 of row 2 of sql.values() is ${kind}. ${remedy}`,
    });
  }
});

test('what came from outside is never a fragment, whatever it looks like', (t) => {
  const forged: unknown[] = [
    JSON.parse('{"sql": "1; DROP TABLE person", "values": []}'),
    Object.assign({}, sql`1`),
    Object.create(sql`1`),
    { __proto__: Object.getPrototypeOf(sql`1`), sql: '1', values: [] },
    structuredClone({ sql: '1', values: [] }),
  ];
  for (const part of forged) {
    t.throws(() => sql`SELECT ${wrong(part)}`, { code, message: /^Value 1 of the template is an object\./ });
    t.throws(() => sql.join([wrong(part)]), { code, message: /^Item 1 of sql\.join\(\) is no fragment\./ });
  }
});

test('an error is one of ours, knows the position, and has no value in message or fields', (t) => {
  for (const [value] of unbindable) {
    for (const make of [
      () => sql`SELECT ${secret}, ${wrong(value)}`,
      () => sql.list([secret, wrong(value)]),
      () => sql.values([[secret, wrong(value)]]),
      () => sql.join([sql`${secret}`, wrong(value)]),
      () => sql`SELECT ${1}, '${secret}'`,
    ]) {
      const error = t.throws(make, { instanceOf: QueryError });
      t.true(error instanceof LeaseholdError);
      t.is(error.position, 2);
      t.is(error.name, 'QueryError');
      t.false(error.message.includes(secret));
      t.false(inspect(Object.entries(error), { showHidden: true, depth: null }).includes(secret));
      t.deepEqual(Object.keys(error).toSorted(), ['code', 'name', 'position']);
    }
  }
});

test('a value in quotes or in a comment, where SQLite would see no parameter, is refused', (t) => {
  const x = secret;
  for (const make of [
    () => sql`SELECT ${1} WHERE a LIKE '%${x}%'`,
    () => sql`SELECT ${1}, "${x}"`,
    () => sql`SELECT ${1}, [${x}]`,
    () => sql`SELECT ${1}, \`${x}\``,
    () => sql`SELECT ${1} -- ${x}`,
    () => sql`SELECT ${1} /* ${x} */`,
    () => sql`SELECT ${1}, 'it''s ${x}'`,
    () => sql`SELECT ${1}, '${sql.list([x])}'`,
    () => sql`SELECT ${1}, 'unterminated ${x}`,
  ]) {
    t.throws(make, {
      code,
      message:
        'Value 2 of the template stands in a quoted text, name or comment, where nothing can be bound. ' +
        'Leave out the quotes, and put what else is between them into the value; a name is written sql.id(name).',
    });
  }
});

test('a value beside quotes and comments is not', async (t) => {
  const pool = temporaryPool(t);
  const query = sql`SELECT 'it''s' || ${'a'} || '--', ${'b'} /* ' */ || "c", ${'d'} -- '
    || ${'e'} || '[' AS x, ${'f'} || ']' FROM (SELECT 1 AS "c")`;
  const rows = await pool.get<Record<string, unknown>>(query);
  t.deepEqual(Object.values(rows ?? {}), ["it'sa--", 'b1', 'de[', 'f]']);
});

test('sql is a tag, not a function of a text or of parsed input', (t) => {
  for (const given of ['SELECT 1', ['SELECT 1'], undefined, JSON.parse('{"raw": ["SELECT 1"], "length": 1}')]) {
    t.throws(() => sql(wrong(given)), {
      code,
      message: 'What sql was called with is no template. Write sql`…`; for text of your own, sql.raw(text).',
    });
  }
  t.throws(() => sql`SELECT '\u'`, { code, message: /^The template has an invalid escape sequence\. Write \\\\ for/ });
});

test('names that are none are refused', (t) => {
  t.throws(() => sql.id(...([] as unknown as [string])), { code, message: /^sql\.id\(\) has no name\./ });
  t.throws(() => sql.id(''), { code, message: /^Name 1 of sql\.id\(\) is empty\./ });
  t.throws(() => sql.id('a', 'b\0c'), { code, message: /^Name 2 of sql\.id\(\) has a NUL character in it\./ });
  t.throws(() => ['a'].map(wrong(sql.id)), { code, message: /^Name 2 of sql\.id\(\) is no string\./ });
});

test('what sql.list, sql.values, sql.join and sql.raw can not use is refused', (t) => {
  for (const name of ['list', 'values', 'join'] as const) {
    for (const given of ['abc', new Set([1]), undefined, { length: 1 }]) {
      t.throws(() => sql[name](wrong(given)), {
        code,
        message: `What sql.${name}() was given is no array. Spread it into one: [...items].`,
      });
    }
  }
  t.throws(() => sql.values([]), { code, message: /^sql\.values\(\) has no rows\./ });
  t.throws(() => sql.values([[]]), { code, message: /^Row 1 of sql\.values\(\) is empty\./ });
  t.throws(() => sql.values([[1], [1, 2]]), {
    code,
    message: /^Row 2 of sql\.values\(\) is not as long as the first\./,
  });
  t.throws(() => sql.values([wrong('ab')]), { code, message: /^Row 1 of sql\.values\(\) is no array\./ });
  t.throws(() => sql.join([sql.empty], wrong(sql` AND `)), {
    code,
    message: /^The separator of sql\.join\(\) is no string\./,
  });
  t.throws(() => sql.join([sql.empty, wrong('a = 1')]), { code, message: /^Item 2 of sql\.join\(\) is no fragment\./ });
  t.throws(() => sql.raw(wrong(1)), { code, message: /^What sql\.raw\(\) was given is no string\./ });
});

test('a parameter written into the text by hand is never mixed up with those of the values', async (t) => {
  const pool = temporaryPool(t);
  for (const query of [sql`SELECT ?, ${1}`, sql`SELECT ${1}1, ${2}`, sql`SELECT ?2, ${1}`, sql`SELECT :a, ${1}`]) {
    await t.throwsAsync(pool.get(query), {
      message: /^(?:Too (?:few|many) parameter values were provided|Missing named parameters)$/,
    });
  }
});
