import test from 'ava';
import * as fc from 'fast-check';
import { cut, pad, padStart, visible, widthOf } from '../../lib/cli/text.ts';

for (const [what, text, shown] of [
  ['an escape sequence', '\u001b[31mred\u001b[2J', '␛[31mred␛[2J'],
  ['an end of line', 'GET /a\r\nGET /b', 'GET /a␍␊GET /b'],
  ['a control character above ASCII', 'a\u009b31mb\u007f', 'a\ufffd31mb␡'],
  ['what turns the direction of text', 'a\u202eb\u2066c', 'a\ufffdb\ufffdc'],
  ['a line separator', 'a\u2028b', 'a␊b'],
  ['what has no width', 'a\u200bb\ufeffc', 'abc'],
  ['half of a pair', 'a\ud800b', 'a\ufffdb'],
  ['several pictures joined into one', '👩‍👩‍👧 x', '👩 x'],
  ['a colour of skin', '👍🏽', '👍'],
  ['a selected variant', '❤\ufe0f', '❤'],
  ['a heap of accents', 'a\u0301\u0302\u0303\u0304\u0305', 'a\u0301\u0302'],
  ['an accent without a letter', '\u0301', '◌\u0301'],
  ['half of a flag', '🇨', '\ufffd'],
  ['a letter with its accent', 'é', 'é'],
  ['Chinese', '注文 /a', '注文 /a'],
] as const) {
  test(`shows ${what} as what harms no screen`, (t) => {
    t.is(visible(text), shown);
  });
}

test('nothing that controls a terminal is left of any text', (t) => {
  const any = fc.string({
    unit: fc.oneof(
      fc.constantFrom('\u001b', '[', 'm', '\u009b', '\u202e', '👩', '\u200d'),
      fc.string({ unit: 'binary' }),
    ),
  });
  fc.assert(
    fc.property(any, (text) => {
      t.notRegex(visible(text), /[\p{Cc}\p{Cs}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/u);
    }),
  );
  t.pass();
});

for (const [text, width] of [
  ['', 0],
  ['GET /', 5],
  ['注文', 4],
  ['ﾃｽﾄ', 3],
  ['한글', 4],
  ['👩', 2],
  ['🇨🇭', 2],
  ['e\u0301', 1],
  ['▂▅█░▒▓·', 7],
  ['Ａ', 2],
] as const) {
  test(`${JSON.stringify(text)} takes ${width} columns`, (t) => {
    t.is(widthOf(text), width);
  });
}

for (const [text, width, expected] of [
  ['GET /items', 10, 'GET /items'],
  ['GET /items', 9, 'GET /ite…'],
  ['GET /items', 1, '…'],
  ['GET /items', 0, ''],
  ['注文注文', 8, '注文注文'],
  // A wide character that would stick out is left out whole.
  ['注文注文', 7, '注文注…'],
  ['注文注文', 6, '注文…'],
] as const) {
  test(`cut to ${width}, ${JSON.stringify(text)} is ${JSON.stringify(expected)}`, (t) => {
    t.is(cut(text, width), expected);
  });
}

test('what is cut never takes more than its width, and what is padded takes all of it', (t) => {
  const text = fc.string({ unit: 'grapheme', maxLength: 30 }).map(visible);
  fc.assert(
    fc.property(text, fc.nat(20), (label, width) => {
      t.true(widthOf(cut(label, width)) <= width);
      t.is(widthOf(pad(label, width)), width);
      t.is(widthOf(padStart(label, width)), width);
    }),
  );
});
