import test from 'ava';
import { baseOf, dataAddress, leaseAddress } from '../../../lib/inspector/page/address.ts';
import {
  count,
  duration,
  labelOf,
  longDuration,
  oneLine,
  share,
  whole,
  words,
} from '../../../lib/inspector/page/format.ts';

test('a duration is told with two digits that count', (t) => {
  const told = [0, 0.004, 0.04, 0.9951, 4.24, 9.96, 42.4, 999.6, 4240, 99_960, 3_600_000 * 3].map(duration);
  t.deepEqual(told, ['0 ms', '0 ms', '0.04 ms', '1 ms', '4.2 ms', '10 ms', '42 ms', '1 s', '4.2 s', '1.7 min', '3 h']);
  t.is(duration(Number.POSITIVE_INFINITY), '∞');
});

test('a long time is told in its two largest units', (t) => {
  const told = [0, 42_000, 125_000, 11_543_000, 273_600_000].map(longDuration);
  t.deepEqual(told, ['0 s', '42 s', '2 min 5 s', '3 h 12 min', '3 d 4 h']);
});

test('a text from outside stays on its line, in its order, and short', (t) => {
  t.is(oneLine('a\nb\u202ec\u2066d\u0000e'), 'a b c d e');
  t.is(oneLine('a'.repeat(10_000)).length, 120);
  t.is(oneLine('abcdef', 4), 'abc…');
});

test('a missing label is told in words', (t) => {
  t.deepEqual([labelOf(undefined), labelOf(''), labelOf('__proto__')], ['no label', 'no label', '__proto__']);
});

test('counts agree with their noun, and large ones can be read', (t) => {
  t.deepEqual([count(1, 'lease'), count(0, 'lease'), count(2, 'lease')], ['1 lease', '0 leases', '2 leases']);
  t.is(whole(1_234_567), '1\u00a0234\u00a0567');
  t.is(whole(999), '999');
});

test('a share lies between none and all', (t) => {
  t.deepEqual([-1, 0, 0.126, 1, 7].map(share), ['0\u00a0%', '0\u00a0%', '13\u00a0%', '100\u00a0%', '100\u00a0%']);
});

test('the name of a counter is told in words', (t) => {
  t.is(words('doubleReleases'), 'double releases');
});

test('the page finds its data with and without a slash at the end of its address', (t) => {
  const origin = 'http://127.0.0.1:1';
  const paths = ['', '/', '/x', '/x/', '/x//', '//evil.example/x'];
  t.deepEqual(
    paths.map((pathname) => baseOf({ origin, pathname })),
    ['/', '/', '/x/', '/x/', '/x/', '//evil.example/x/'].map((path) => origin + path),
  );
});

test('what came after a tick is asked for of the server that told it', (t) => {
  t.is(dataAddress('/x/', undefined), '/x/data');
  t.is(dataAddress('/x/', { tick: 7, server: 'a&b c' }), '/x/data?after=7&server=a%26b%20c');
  t.is(leaseAddress('/x/', 1, 42), '/x/lease?pool=1&lease=42');
});
