import { isDeepStrictEqual } from 'node:util';
import test from 'ava';
import Database from 'better-sqlite3';
import * as fc from 'fast-check';
import type { RawDatabase } from '../../lib/sqlite/better-sqlite3.ts';
import { classify, type SqlTraits } from '../../lib/sqlite/sql.ts';

/**
 * Statements as their tokens. What stands between two tokens is up to the fuzzer, so a token is anything that
 * must not be torn apart.
 */
const plain = [
  ['SELECT', '1'],
  ['SELECT', "'; BEGIN; '", '||', '"x"', 'FROM', '(', 'SELECT', '1', 'AS', '"x"', ')'],
  ['SELECT', '1', 'AS', '[;--]', ',', '2', 'AS', '`/*`'],
  ['SELECT', "'it''s'", ',', "x'00'", ',', '1.5e3', ',', '?', ',', ':a', ',', '$b'],
  ['INSERT', 'INTO', 't', 'VALUES', '(', "'PRAGMA foreign_keys = 0;'", ')'],
  ['INSERT', 'OR', 'ROLLBACK', 'INTO', 't', 'VALUES', '(', '1', ')', 'RETURNING', 'a'],
  ['WITH', 'n', '(', 'a', ')', 'AS', '(', 'VALUES', '(', '1', ')', ')', 'SELECT', '*', 'FROM', 'n'],
  ['UPDATE', 't', 'SET', 'a', '=', 'CASE', 'WHEN', 'a', 'THEN', '1', 'END'],
  ['DELETE', 'FROM', 't'],
  ['CREATE', 'TABLE', 'IF', 'NOT', 'EXISTS', 'b', '(', '"trigger"', ',', '"temp"', ')'],
  ['CREATE', 'VIEW', 'IF', 'NOT', 'EXISTS', 'w', 'AS', 'SELECT', '1'],
  "CREATE TRIGGER IF NOT EXISTS r AFTER INSERT ON t BEGIN SELECT ';' ; DELETE FROM t ; END".split(' '),
  'CREATE TRIGGER IF NOT EXISTS q AFTER DELETE ON t BEGIN UPDATE t SET a = CASE a WHEN 1 THEN 2 END ; END'.split(' '),
  ['DROP', 'TABLE', 'IF', 'EXISTS', 'b'],
  ['EXPLAIN', 'SELECT', '1'],
  ['EXPLAIN', 'QUERY', 'PLAN', 'DELETE', 'FROM', 't'],
  ['PRAGMA', 'foreign_keys'],
  ['PRAGMA', 'table_info', '(', 't', ')'],
  ['PRAGMA', 'main', '.', 'user_version', '=', '7'],
  ['REINDEX'],
];

const lasting = [
  ['BEGIN'],
  ['BEGIN', 'IMMEDIATE', 'TRANSACTION'],
  ['SAVEPOINT', 's'],
  ['RELEASE', 's'],
  ['ROLLBACK', 'TO', 's'],
  ['ROLLBACK'],
  ['COMMIT'],
  ['END'],
  ['PRAGMA', 'foreign_keys', '=', '0'],
  ['PRAGMA', 'recursive_triggers', '(', '1', ')'],
  ['PRAGMA', 'main', '.', '"cache_size"', '=', '-', '77'],
  ['PRAGMA', '[reverse_unordered_selects]', '=', "'on'"],
  ['PRAGMA', "'legacy_alter_table'", '(', 'yes', ')'],
  ['EXPLAIN', 'PRAGMA', 'trusted_schema', '=', '0'],
  ['EXPLAIN', 'QUERY', 'PLAN', 'PRAGMA', 'query_only', '=', '1'],
  ['CREATE', 'TEMP', 'TABLE', 'x', '(', 'a', ')'],
  ['CREATE', 'TABLE', '"temp"', '.', 'y', '(', 'a', ')'],
  ['CREATE', 'TABLE', 'IF', 'NOT', 'EXISTS', 'temp', '.', 'n', '(', 'a', ')'],
  ['CREATE', 'VIEW', 'IF', 'NOT', 'EXISTS', '[temp]', '.', 'm', 'AS', 'SELECT', '1'],
  ['CREATE', 'TEMPORARY', 'VIEW', 'v', 'AS', 'SELECT', '1'],
  "CREATE TEMP TRIGGER z AFTER DELETE ON t BEGIN SELECT 'END' ; DELETE FROM t ; END".split(' '),
  ['DROP', 'TABLE', 'kept'],
  ['ALTER', 'TABLE', 'kept', 'RENAME', 'TO', 'lost'],
  ['ATTACH', "':memory:'", 'AS', 'more'],
  ['ATTACH', 'DATABASE', "':memory:'", 'AS', '"other"'],
  ['DETACH', 'annex'],
];

// SQLite takes more for white space and for names than one would think.
const odd = [
  ['CREATE', 'TABLE', 'trigger', '(', 'a', ')'],
  ['CREATE', 'VIEW', 'trigger', 'AS', 'SELECT', '1'],
  ['CREATE', 'INDEX', 'stray', 'ON', 'kept', '(', 'a', ')'],
  ['CREATE', 'TRIGGER', 'stray', 'AFTER', 'INSERT', 'ON', 'kept', 'BEGIN', 'SELECT', '1', ';', 'END'],
  ['ANALYZE', 'temp'],
  ['QUERY', 'PLAN', 'PRAGMA', 'foreign_keys', '=', '0'],
];

type Statements = readonly (readonly string[])[];

const gaps = [' ', '\n', '\t', '\f ', '\r\n', '  ', '/**/', '/* ; */', "/* it's */", '/*/ " */', '-- ; "\n', "--'\n"];
const oddGaps = [...gaps, ' \v', '\t\v\v '];

const bareWord = /^[A-Za-z_]+$/;

/** One statement, spelled in one of the many ways that mean the same to SQLite. */
const statement = (statements: Statements, between: readonly string[] = gaps): fc.Arbitrary<string> => {
  const around = fc.constantFrom('', '', '', ...between, '\ufeff');
  const spelling = fc.constantFrom('as is', 'lower', 'capital');
  return fc
    .tuple(fc.constantFrom(...statements), fc.infiniteStream(fc.constantFrom(...between)), fc.infiniteStream(spelling))
    .map(([tokens, gap, spellings]) => {
      const spelled = tokens.map((token) => {
        const { value } = spellings.next();
        if (!bareWord.test(token) || value === 'as is') return token;
        return value === 'lower' ? token.toLowerCase() : `${token[0]}${token.slice(1).toLowerCase()}`;
      });
      return spelled.reduce((text, token) => `${text}${gap.next().value}${token}`);
    })
    .chain((text) => fc.tuple(around, around).map(([before, after]) => `${before}${text}${after}`));
};

const script = (often: Statements, seldom: Statements, between?: readonly string[]): fc.Arbitrary<string> =>
  fc
    .array(
      fc.oneof(
        { arbitrary: statement(often, between), weight: 2 },
        { arbitrary: statement(seldom, between), weight: 1 },
      ),
      { minLength: 1, maxLength: 6 },
    )
    .chain((parts) => fc.constantFrom(';', ';;', '; ;').map((separator) => parts.join(separator)))
    .chain((text) => fc.constantFrom(text, `${text};`, `;${text}`));

interface State {
  readonly inTransaction: boolean;
  readonly schema: unknown;
  readonly pragmas: unknown;
}

const pragmas =
  'foreign_keys recursive_triggers cache_size reverse_unordered_selects legacy_alter_table trusted_schema query_only'.split(
    ' ',
  );

function newDatabase(): RawDatabase {
  const db = new Database(':memory:') as RawDatabase;
  db.exec("CREATE TABLE t (a); INSERT INTO t VALUES (1); CREATE TEMP TABLE kept (a); ATTACH ':memory:' AS annex");
  return db;
}

function stateOf(db: RawDatabase): State {
  return {
    inTransaction: db.inTransaction,
    schema: db
      .prepare('SELECT name FROM pragma_database_list UNION ALL SELECT type || name || sql FROM temp.sqlite_schema')
      .raw()
      .all(),
    pragmas: pragmas.map((name) => db.pragma(name, { simple: true })),
  };
}

const initial = (() => {
  const db = newDatabase();
  const state = stateOf(db);
  db.close();
  return state;
})();

/** What of the state of a connection the classification of a text does not account for. */
function missed(traits: SqlTraits, run: (db: RawDatabase) => unknown): string[] {
  const db = newDatabase();
  try {
    run(db);
  } catch {
    // What went before the error stays.
  }
  const state = stateOf(db);
  db.close();
  const differs = (key: keyof State) => JSON.stringify(state[key]) !== JSON.stringify(initial[key]);
  const found: string[] = [];
  if (differs('inTransaction') && !traits.transaction) found.push('transaction');
  if (differs('schema') && !traits.schema && traits.settings.length === 0) found.push('schema');
  if (differs('pragmas') && !traits.settings.some((setting) => setting.startsWith('pragma'))) found.push('pragmas');
  return found;
}

/** What may be done with a text, and what better-sqlite3 puts before it. */
const ways: { readonly verb: string; run(db: RawDatabase, sql: string): unknown }[] = [
  { verb: '', run: (db, sql) => db.exec(sql) },
  { verb: '', run: (db, sql) => db.prepare(sql) },
  { verb: '', run: (db, sql) => db.prepare(sql).run() },
  { verb: 'EXPLAIN ', run: (db, sql) => db.explain(sql) },
  { verb: 'PRAGMA ', run: (db, sql) => db.pragma(sql) },
];

function assertNothingIsMissed(scripts: fc.Arbitrary<string>, numRuns: number): number {
  let left = 0;
  fc.assert(
    fc.property(scripts, fc.constantFrom(...ways), (sql, { verb, run }) => {
      const traits = classify(`${verb}${sql}`);
      if (traits.transaction || traits.schema || traits.settings.length > 0) left++;
      return missed(traits, (db) => run(db, sql)).length === 0;
    }),
    { numRuns },
  );
  return left;
}

test('no script leaves anything that its classification does not tell', (t) => {
  t.true(assertNothingIsMissed(script(plain, lasting), 800) > 100, 'Many of them did leave something');
});

test('nor does one in an odd spelling', (t) => {
  t.true(assertNothingIsMissed(script([...plain, ...odd], [...lasting, ...odd], oddGaps), 800) > 100);
});

test('the text after PRAGMA is classified as it is run by pragma()', (t) => {
  const sources = lasting.filter(([verb]) => verb === 'PRAGMA').map((tokens) => tokens.slice(1));
  const text = fc
    .tuple(statement(sources), fc.constantFrom('', '; SELECT 1', ' -- end'))
    .map((parts) => parts.join(''));
  t.notThrows(() =>
    fc.assert(
      fc.property(text, (source) => missed(classify(`PRAGMA ${source}`), (db) => db.pragma(source)).length === 0),
      { numRuns: 300 },
    ),
  );
});

test('scripts that leave nothing are told so', (t) => {
  const harmless = plain.filter((tokens) => !['CREATE', 'DROP', 'PRAGMA'].some((token) => tokens.includes(token)));
  t.notThrows(() =>
    fc.assert(
      fc.property(script(harmless, harmless), (sql) => {
        const { plain: _plain, writes: _writes, exclusive: _exclusive, ...traces } = classify(sql);
        return isDeepStrictEqual(traces, { transaction: false, schema: false, settings: [], cacheable: true });
      }),
      { numRuns: 500 },
    ),
  );
});

test('no soup of tokens leaves anything that its classification does not tell', (t) => {
  const words = [...new Set([...plain, ...lasting].flat()), ';', ';', "'", '"', '[', '`', '/*', '*/', '--', '\n', '\0'];
  const soup = fc.array(fc.constantFrom(...words), { maxLength: 12 }).map((tokens) => tokens.join(' '));
  const last = fc.constantFrom(...lasting).map((tokens) => tokens.join(' '));
  const texts = fc.oneof(
    soup,
    fc.tuple(soup, last).map(([before, end]) => `${before};${end}`),
    fc.tuple(last, soup).map(([begin, after]) => `${begin} ${after}`),
  );
  t.notThrows(() => assertNothingIsMissed(texts, 600));
});
