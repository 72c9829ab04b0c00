import test from 'ava';
import * as fc from 'fast-check';
import { classify } from '../../lib/postgres/sql.ts';
import { postgresUrl } from '../support/postgres.ts';
import { effectsOf, missedOf } from '../support/postgres-effects.ts';
import { clientOn } from '../support/postgres-handle.ts';

const url = await postgresUrl();

const change = `set_config($q$work_mem$q$, $q$1MB$q$, false)`;

// All of them work: in the right column what they do, as the server says.
const hidden: readonly (readonly [text: string, effect: string])[] = [
  ['LISTEN"ch"', 'LISTEN'],
  ['/**/listen\tch', 'LISTEN'],
  [';;\n-- LISTEN?\n;LiStEn ch', 'LISTEN'],
  ['SELECT 1 -- x\r; LISTEN ch', 'LISTEN'],
  ['SELECT 1 /* /* */ LISTEN a */; LISTEN ch', 'LISTEN'],
  [`SELECT '\\'; LISTEN ch; --'`, 'LISTEN'],
  [`SELECT 'it''s'; LISTEN ch`, 'LISTEN'],
  [`SELECT E'\\\\'; LISTEN ch; --'`, 'LISTEN'],
  [`SELECT e'\\''; LISTEN ch; --'`, 'LISTEN'],
  [`SELECT E'a'\n'\\''; LISTEN ch; --'`, 'LISTEN'],
  [`SELECT E'a' -- and on\n\r '\\''; LISTEN ch; --'`, 'LISTEN'],
  [`SELECT U&'\\0027'; LISTEN ch; --'`, 'LISTEN'],
  ['SELECT 1 AS a$$b$; LISTEN ch', 'LISTEN'],
  ['SELECT 1 AS ü$$; LISTEN ch; SELECT 2 AS b$$', 'LISTEN'],
  [`SELECT $ü$ ' $ü$; LISTEN ch; --'`, 'LISTEN'],
  [`SELECT $😀$ ' $😀$; LISTEN ch; --'`, 'LISTEN'],
  [`SELECT $a$ $A$ ' $a$; LISTEN ch; --'`, 'LISTEN'],
  [`SELECT 1 AS "a'b"; LISTEN ch; --'`, 'LISTEN'],
  [`SELECT 1 AS "a""b/*"; LISTEN ch; --*/`, 'LISTEN'],
  [`SELECT 1 AS "begin atomic"; LISTEN ch`, 'LISTEN'],
  [`SELECT 1 AS a, $$;$$ AS b, 'x' AS "$$"; LISTEN ch; SELECT '$$'`, 'LISTEN'],
  ['PREPARE"p"AS SELECT 1', 'prepared statement'],
  [`DO'BEGIN PERFORM set_config(''work_mem'', ''1MB'', false); END'`, 'SET'],
  [`DO $$ BEGIN PERFORM ${change}; END $$`, 'SET'],
  [`SET"work_mem"='1MB'`, 'SET'],
  [`SET SESSION work_mem TO '1MB'`, 'SET'],
  ['SET local/**/.name = 1', 'SET'],
  ['SET local . name = 1', 'SET'],
  ['SET "local".name = 1', 'SET'],
  [`SELECT pg_catalog."set_config" ('work_mem', '1MB', false)`, 'SET'],
  [`SELECT set_config('work_mem', '1MB', (SELECT false)), (SELECT true)`, 'SET'],
  [`SELECT set_config('work_mem', '2MB', true), ${change}`, 'SET'],
  [`WITH x AS MATERIALIZED (SELECT ${change}) SELECT * FROM x`, 'SET'],
  [`EXPLAIN ANALYZE SELECT ${change} FROM (SELECT now()) AS x`, 'SET'],
  [`UPDATE pg_catalog.pg_settings SET setting = '1MB' WHERE name = 'work_mem'`, 'SET'],
  [`COPY (SELECT ${change}) TO STDOUT`, 'SET'],
  [`VALUES (${change})`, 'SET'],
  ['CREATE TEMP TABLE"t"(a int)', 'temporary object'],
  ['CREATE GLOBAL TEMPORARY TABLE t (a int)', 'temporary object'],
  ['CREATE TEMP RECURSIVE VIEW t (n) AS SELECT 1', 'temporary object'],
  ['CREATE TABLE pg_temp . t (a int)', 'temporary object'],
  ['CREATE TABLE "pg_temp"."t" (a int)', 'temporary object'],
  ['SELECT 1 AS a INTO TEMP"t"', 'temporary object'],
  ['SELECT 1 AS a INTO LOCAL TEMP t', 'temporary object'],
  ['SELECT 1 AS a INTO/**/TEMPORARY TABLE t', 'temporary object'],
  ['EXPLAIN ANALYZE CREATE TEMP TABLE t AS SELECT 1', 'temporary object'],
  ['EXPLAIN (ANALYZE) CREATE TEMPORARY TABLE t AS SELECT 1', 'temporary object'],
  ['SELECT pg_advisory_lock /* */ (7)', 'advisory lock'],
  ['(SELECT pg_try_advisory_lock_shared\n(7, 8))', 'advisory lock'],
  ['SELECT U&"pg_advisory\\005flock"(5)', 'advisory lock'],
  ['BEGIN; DECLARE"c"CURSOR/**/WITH  HOLD FOR SELECT 1; COMMIT', 'cursor WITH HOLD'],
  ['START/**/TRANSACTION', 'transaction'],
  ['SELECT 1; begin', 'transaction'],
  ['Begin;SAVEPOINT"a"', 'transaction'],
];

test('what a text does to its session is seen, however it is written', async (t) => {
  const client = await clientOn(t, url);
  for (const [text, effect] of hidden) {
    const effects = await effectsOf(client, text);
    t.true(effects.has(effect), `It was to do so on the server: ${text}`);
    t.deepEqual(missedOf(text, effects), [], text);
  }
});

for (const text of [
  'BEGIN',
  'COMMIT',
  'END',
  'ROLLBACK',
  'ABORT',
  'SAVEPOINT a',
  'RELEASE a',
  'ROLLBACK TO a',
  'START TRANSACTION',
]) {
  test(`${text} is the business of the transaction, however it is written`, (t) => {
    const [first = '', ...rest] = text.split(' ');
    const forms = [
      text,
      text.toLowerCase(),
      `/* */${text};`,
      `--\n(${text}`,
      `SELECT 1;${text}`,
      [first, ...rest].join('/**/'),
    ];
    for (const form of forms) t.true(classify(form).transaction, form);
    t.false(classify(`SELECT '${text}'`).transaction);
    t.false(classify(`SELECT $$;${text}$$`).transaction);
    t.false(classify(`/* ;${text} */ SELECT 1 AS "${text};"`).transaction);
  });
}

test('PREPARE TRANSACTION ends one, and to end one that was prepared needs none', (t) => {
  for (const text of [`PREPARE TRANSACTION 'x'`, `prepare/**/transaction'x'`]) {
    t.like(classify(text), { transaction: true, traces: [] });
  }
  t.true(classify(`COMMIT PREPARED 'x'`).plain);
  t.true(classify(`ROLLBACK PREPARED'x'`).plain);
});

test('a function whose body is made of statements is one statement', (t) => {
  const head = 'CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql';
  for (const body of ['SELECT 1;', 'SELECT 1; SELECT 2;', '', 'SELECT CASE WHEN true THEN 1 END;']) {
    const text = `${head} BEGIN ATOMIC ${body} END`;
    t.like(classify(text), { transaction: false, traces: [], lasting: false }, text);
    t.true(classify(`${text}; LISTEN a`).listens, text);
    t.true(classify(`${text}; COMMIT`).transaction, text);
  }
  t.true(classify('CREATE TABLE "begin atomic" (); LISTEN a').listens);
});

test('most texts do nothing beside their own business', (t) => {
  for (const text of [
    '',
    ';',
    'SELECT 1',
    'SELECT set, listen, begin FROM temp, temporary WHERE reset = 1',
    `INSERT INTO t VALUES ('BEGIN; LISTEN a', $$SET x$$, E'\\'; COMMIT; ')`,
    'UPDATE t SET a = 1',
    'INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET b = 2',
    'CREATE TABLE temp (temporary int)',
    'CREATE TABLE t (a int REFERENCES u ON UPDATE SET NULL ON DELETE SET DEFAULT)',
    'SET LOCAL work_mem = 1',
    'SET TRANSACTION READ ONLY',
    'SET CONSTRAINTS ALL DEFERRED',
    `SELECT set_config('a', $1, true), set_config('b', upper('c'), TRUE )`,
    'SELECT pg_advisory_xact_lock(1), pg_try_advisory_xact_lock_shared(2)',
    'NOTIFY a; UNLISTEN a',
    'DECLARE c CURSOR FOR SELECT 1',
    'DECLARE c CURSOR WITHOUT HOLD FOR SELECT 1',
    'LOCK TABLE t IN SHARE MODE',
    'COPY t FROM STDIN',
    `COMMENT ON TABLE t IS 'a -- b /* c'`,
    'CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $f$ BEGIN SET x = 1; LISTEN a; END $f$',
  ]) {
    t.true(classify(text).plain, text);
  }
});

test('what DISCARD ALL does not take back is told apart', (t) => {
  t.like(classify(`LOAD'auto_explain'`), { lasting: true, traces: ['LOAD'] });
  t.like(classify('SELECT setseed(0.5)'), { lasting: true });
  t.like(classify('DEALLOCATE ALL'), { deallocates: true, lasting: false });
});

test('a text that is cut off anywhere is read without harm', (t) => {
  const all = hidden.map(([text]) => text).join(';');
  for (let end = 0; end <= all.length; end++) t.notThrows(() => classify(all.slice(0, end)));
});

for (const [what, piece] of Object.entries({
  words: 'update set create temp into ',
  strings: `'a''b' E'\\'' `,
  names: '"a""b" $a$$b ',
  'dollar quotes': '$a$ $b$ $a$ ',
  'ends of comments': '/* */ -- a\n',
  'nested comments': '/*',
  functions: 'set_config((a), (b), ',
  brackets: '((((',
  statements: 'end;begin;create begin atomic;',
  lines: `E'' \n\n`,
  dollars: '$a',
})) {
  test(`a megabyte of ${what} is read in a moment`, (t) => {
    const text = piece.repeat(1_000_000 / piece.length);
    const start = performance.now();
    classify(text);
    t.true(performance.now() - start < 5000);
  });
}

// A token and whether it stands for itself, so that nothing needs to come between it and the next.
interface Token {
  readonly text: fc.Arbitrary<string>;
  readonly glues: boolean;
}

const word = (text: string): Token => ({
  text: fc.constantFrom(
    text,
    text.toLowerCase(),
    text.replaceAll(/[a-z]/gi, (c, at) => (at % 2 ? c.toLowerCase() : c.toUpperCase())),
  ),
  glues: false,
});
const name = (text: string): Token => ({ text: fc.constantFrom(text, text.toUpperCase()), glues: false });
const quoted = (text: string): Token => ({ text: fc.constant(`"${text}"`), glues: true });
const mark = (text: string): Token => ({ text: fc.constant(text), glues: true });
const string = (text: string): Token => ({ text: fc.constantFrom(`'${text}'`), glues: true });
const anyString = (text: string): Token => ({
  text: fc.constantFrom(
    ` '${text}'`,
    ` E'${text}'`,
    ` e'\\\\''${text}'`,
    ` $$${text}$$`,
    ` $a$${text}$$$a$`,
    ` U&'${text}'`,
  ),
  glues: true,
});
const separator = fc.constantFrom(' ', '\n', '\t\r\n', '/* ; */', '/*/* \' */"*/', '-- \'; BEGIN "\n', '--\r', '\f ');
const noise = fc.constantFrom('a', ';', '; LISTEN x; ', 'BEGIN', '--', '/*', '*/', '"', '$b$', 'é', '');

function statement(...tokens: readonly Token[]): fc.Arbitrary<string> {
  const parts = tokens.map(({ text, glues }, at) => {
    const mayGlue = at === 0 || glues || tokens[at - 1]?.glues === true;
    return fc.tuple(mayGlue ? fc.option(separator, { nil: '' }) : separator, text).map((pair) => pair.join(''));
  });
  return fc.tuple(...parts).map((all) => all.join(''));
}

const named = (text: string): Token[] => [name(text), quoted(text)];
const harmless: fc.Arbitrary<string>[] = [
  noise.chain((text) => statement(word('SELECT'), anyString(text))),
  noise.chain((text) => statement(word('SELECT'), anyString(text), word('AS'), quoted('a;LISTEN b'))),
  statement(word('SELECT'), mark('1'), word('AS'), name('b$a$')),
  statement(word('SELECT'), mark('1'), word('AS'), name('e$$')),
  statement(word('SET'), word('LOCAL'), name('work_mem'), mark('='), string('2MB')),
  fc.constantFrom('', ' ', '--\n', '/* BEGIN; */'),
];
const harmful: fc.Arbitrary<string>[] = [
  ...named('ch').map((channel) => statement(word('LISTEN'), channel)),
  ...named('work_mem').map((setting) => statement(word('SET'), setting, mark('='), string('1MB'))),
  ...named('set_config').map((call) =>
    statement(
      word('SELECT'),
      call,
      mark('('),
      string('work_mem'),
      mark(','),
      anyString('1MB'),
      mark(','),
      word('FALSE'),
      mark(')'),
    ),
  ),
  ...named('t').map((table) => statement(word('CREATE'), word('TEMP'), word('TABLE'), table, mark('('), mark(')'))),
  ...named('u').map((table) =>
    statement(word('SELECT'), mark('1'), word('AS'), quoted('a'), word('INTO'), word('TEMPORARY'), table),
  ),
  ...named('pg_advisory_lock').map((call) => statement(word('SELECT'), call, mark('('), mark('1'), mark(')'))),
  ...named('p').map((prepared) => statement(word('PREPARE'), prepared, word('AS'), word('SELECT'), mark('1'))),
  statement(word('BEGIN')),
  statement(word('START'), word('TRANSACTION')),
  statement(word('DO'), string(`BEGIN PERFORM set_config(''work_mem'', ''1MB'', false); END`)),
];

const texts = fc
  .array(fc.oneof(...harmless, ...harmful), { minLength: 1, maxLength: 4 })
  .map((statements) => statements.join(';'));

test('whatever a text is built of, the server has done nothing that was not seen', async (t) => {
  const client = await clientOn(t, url);
  const found = new Set<string>();
  await fc.assert(
    fc.asyncProperty(texts, async (text) => {
      const seen = await effectsOf(client, text);
      for (const effect of seen) found.add(effect);
      t.deepEqual(missedOf(text, seen), [], text);
    }),
    { numRuns: 400 },
  );
  // That they have an effect at all.
  t.true(found.size >= 6, [...found].join());
});

test('what is built of harmless statements alone is plain', (t) => {
  const plain = fc.array(fc.oneof(...harmless), { maxLength: 6 }).map((statements) => statements.join(';'));
  fc.assert(
    fc.property(plain, (text) => {
      // Names in Unicode escapes are never read.
      fc.pre(!/u&"/i.test(text));
      t.true(classify(text).plain, text);
    }),
    { numRuns: 2000 },
  );
});
