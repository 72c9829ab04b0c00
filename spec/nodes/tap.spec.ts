import test from 'ava';
import { TapReader } from './tap.ts';

function readAll(text: string): TapReader {
  const told: unknown[] = [];
  const reader = new TapReader(({ title, details }) => told.push({ title, details: [...details] }));
  for (const line of text.split('\n')) reader.read(line);
  reader.end();
  // Each was told once, and whole.
  if (JSON.stringify(told) !== JSON.stringify(reader.failures)) throw new Error(JSON.stringify(told));
  return reader;
}

test('what passed, failed and was skipped is counted, and a failure keeps its details', (t) => {
  const reader = readAll(`TAP version 13
ok 1 - pool › a lease is given back
not ok 2 - pool › nobody waits for ever
  ---
    name: AssertionError
    message: ok 7 - of no account
  ...
ok 3 - pool › not here # SKIP
not ok 4 - pool › not yet # TODO
ok 5 - errors › a message with # in it

1..5
# tests 4
# pass 2`);
  t.deepEqual([reader.passed, reader.skipped, reader.total, reader.announced], [2, 2, 5, 5]);
  t.deepEqual(reader.failures, [
    {
      title: 'pool › nobody waits for ever',
      details: ['    name: AssertionError', '    message: ok 7 - of no account'],
    },
  ]);
});

test('a run that ended before its time has announced nothing', (t) => {
  t.is(readAll('TAP version 13\nok 1 - a').announced, undefined);
});

test('a failure without details has none of the one before', (t) => {
  const { failures } = readAll(
    'not ok 1 - a\n  ---\n    name: Error\n  ...\nnot ok 2 - b exited due to SIGSEGV\nok 3 - c',
  );
  t.deepEqual(
    failures.map(({ title, details }) => [title, details.length]),
    [
      ['a', 1],
      ['b exited due to SIGSEGV', 0],
    ],
  );
});
