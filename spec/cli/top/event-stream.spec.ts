import test from 'ava';
import * as fc from 'fast-check';
import { EventStreamParser } from '../../../lib/cli/top/event-stream.ts';

for (const [what, text, expected] of [
  ['a named event', 'event: report\ndata: {"a":1}\n\n', [['report', '{"a":1}']]],
  ['one without a name', 'data: x\n\n', [['message', 'x']]],
  ['several lines of data', 'data: a\ndata:b\ndata\n\n', [['message', 'a\nb\n']]],
  [
    'comments and fields that mean nothing here',
    ': hello\nid: 7\nretry: 10\nfoo: bar\ndata: x\n\n',
    [['message', 'x']],
  ],
  [
    'ends of lines of each kind',
    'data: a\r\n\r\ndata: b\r\rdata: c\n\n',
    [
      ['message', 'a'],
      ['message', 'b'],
      ['message', 'c'],
    ],
  ],
  ['a mark of byte order at the start', '\ufeffdata: x\n\n', [['message', 'x']]],
  ['one without data, which is none, and takes its name with it', 'event: report\n\ndata: x\n\n', [['message', 'x']]],
  ['a space at the start of the value, but one', 'data:  x \n\n', [['message', ' x ']]],
  ['one that is not over', 'data: a\n\ndata: b\n', [['message', 'a']]],
] as const) {
  test(`reads ${what}`, (t) => {
    t.deepEqual(
      read([text]),
      expected.map(([name, data]) => ({ name, data })),
    );
  });
}

test('it does not matter where the text is cut', (t) => {
  const line = fc.constantFrom('data: a', 'data: 日本👩', 'event: report', ': x', 'data', '', '');
  const stream = fc.array(fc.tuple(line, fc.constantFrom('\n', '\r\n', '\r'))).map((lines) => lines.flat().join(''));
  fc.assert(
    fc.property(stream, fc.array(fc.nat(6), { minLength: 1 }), (text, sizes) => {
      const pieces: string[] = [];
      let rest = text;
      for (let index = 0; rest !== ''; index++) {
        const size = Math.max(sizes[index % sizes.length] ?? 1, index % 2);
        pieces.push(rest.slice(0, size));
        rest = rest.slice(size);
      }
      t.deepEqual(read(pieces), read([text]));
    }),
  );
});

test('an event that has no end is not kept for ever', (t) => {
  const parser = new EventStreamParser();
  const megabyte = 'x'.repeat(1024 * 1024);
  t.throws(() => {
    for (let count = 0; count < 70; count++) parser.push(megabyte);
  });
  const lines = new EventStreamParser();
  t.throws(() => {
    for (let count = 0; count < 70; count++) lines.push(`data: ${megabyte}\n`);
  });
  const empty = new EventStreamParser();
  const many = 'data:\n'.repeat(100_000);
  t.throws(() => {
    for (let count = 0; count < 10; count++) empty.push(many);
  });
});

function read(pieces: readonly string[]) {
  const parser = new EventStreamParser();
  return pieces.flatMap((piece) => parser.push(piece));
}
