import test from 'ava';
import { formatDuration, formatHolders, type HolderInfo, joinSignals, printable } from '../lib/holder.ts';

function holder(change: Partial<HolderInfo> = {}): HolderInfo {
  return {
    id: 1,
    connection: 1,
    label: 'GET /report',
    age: 4200,
    idleFor: 4100,
    inTransaction: true,
    mode: 'connection',
    scope: undefined,
    ...change,
  };
}

test('printable escapes whatever could break out of a line or reorder it, and nothing else', (t) => {
  t.is(printable('a\nb\r\tc'), 'a\\u000ab\\u000d\\u0009c');
  t.is(printable('\u0000\u001b[31m\u007f\u009b'), '\\u0000\\u001b[31m\\u007f\\u009b');
  t.is(printable('\u2028\u2029'), '\\u2028\\u2029');
  t.is(
    printable('\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069'),
    '\\u202a\\u202b\\u202c\\u202d\\u202e\\u2066\\u2067\\u2068\\u2069',
  );
  t.is(printable('Größe "x" \\ 日本 🎉 \u2027\u202f'), 'Größe "x" \\ 日本 🎉 \u2027\u202f');
});

test('a duration is shown in the unit a person would use', (t) => {
  t.is(formatDuration(0), '0 ms');
  t.is(formatDuration(839.6), '840 ms');
  t.is(formatDuration(1000), '1.0 s');
  t.is(formatDuration(4230), '4.2 s');
  t.is(formatDuration(119_900), '119.9 s');
  t.is(formatDuration(120_000), '2.0 min');
  t.is(formatDuration(210_000), '3.5 min');
});

test('a holder is one line: who, how long, in what state, from where', (t) => {
  t.is(formatHolders([holder()]), '\n  #1  GET /report       4.2 s   transaction open, last used 4.1 s ago');
  t.is(
    formatHolders([holder({ id: 12, label: undefined, inTransaction: false, age: 3, idleFor: 0 })]),
    '\n  #12  no label          3 ms   last used 0 ms ago',
  );
  const stack = 'Error\n    at report (server.ts:41:9)\n    at main (server.ts:50:1)';
  t.is(
    formatHolders([holder({ stack })]),
    '\n  #1  GET /report       4.2 s   transaction open, last used 4.1 s ago   at report (server.ts:41:9)',
  );
  t.is(formatHolders([holder({ stack: 'Error' })]), formatHolders([holder()]), 'a stack without a frame adds nothing');
});

test('a label can not forge lines', (t) => {
  const text = formatHolders([holder({ label: 'x\n  #2  admin' })]);
  t.is(text.split('\n').length, 2);
  t.true(text.includes('x\\u000a  #2  admin'));
});

test('a long list of holders is cut and counted', (t) => {
  const many = Array.from({ length: 25 }, (_, index) => holder({ id: index + 1 }));
  const lines = formatHolders(many).split('\n').slice(1);
  t.is(lines.length, 21);
  t.is(lines.at(-1), '  … and 5 more');
  t.is(formatHolders(many.slice(0, 20)).split('\n').length, 21, 'and not where it just fits');
  t.is(formatHolders(many, 24).split('\n').at(-1), '  … and 1 more');
  t.is(formatHolders([]), '');
});

test('joined signals are aborted when either is, with its reason', (t) => {
  const [own, outer] = [new AbortController(), new AbortController()];
  t.is(joinSignals(undefined, undefined), undefined);
  t.is(joinSignals(own.signal, undefined), own.signal);
  t.is(joinSignals(undefined, outer.signal), outer.signal);
  t.is(joinSignals(own.signal, own.signal), own.signal);
  const joined = joinSignals(own.signal, outer.signal);
  t.false(joined?.aborted);
  outer.abort('outer');
  t.is(joined?.reason, 'outer');
  const other = joinSignals(own.signal, new AbortController().signal);
  own.abort('own');
  t.is(other?.reason, 'own');
});
