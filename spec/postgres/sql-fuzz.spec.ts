import test from 'ava';
import * as fc from 'fast-check';
import { classify } from '../../lib/postgres/sql.ts';
import { postgresUrl } from '../support/postgres.ts';
import { effectsOf, missedOf } from '../support/postgres-effects.ts';
import { clientOn } from '../support/postgres-handle.ts';

const url = await postgresUrl();

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
