import test from 'ava';
import * as fc from 'fast-check';
import { DurationRecorder, newCounters } from '../lib/stats.ts';

/** A microsecond is the unit of the histogram, and a rank may fall between two values. */
function near(figure: number, candidates: readonly number[], precision = 0.011): boolean {
  return candidates.some((exact) => Math.abs(figure - exact) <= exact * precision + 0.001);
}

/** What adding up in another order may be off by. */
const rounding = 1e-9;

const nothing = { count: 0, mean: 0, p50: 0, p95: 0, p99: 0, max: 0 };

test('nothing recorded summarises to zeros', (t) => {
  t.deepEqual(new DurationRecorder().summary(), nothing);
});

test('durations of zero are counted and weigh on every figure', (t) => {
  const recorder = new DurationRecorder();
  recorder.record(0);
  recorder.record(0);
  t.deepEqual(recorder.summary(), { ...nothing, count: 2 });
  recorder.record(100);
  recorder.record(100);
  const { count, mean, p50, p95, max } = recorder.summary();
  t.is(count, 4);
  t.is(p50, 0, 'the half of them were zero');
  for (const [figure, expected] of [
    [mean, 50],
    [p95, 100],
    [max, 100],
  ] as const) {
    t.true(Math.abs(figure - expected) <= expected / 100, `${figure} is not ${expected}`);
  }
});

test('what is too short or too long to be told apart is counted at the bounds', (t) => {
  const recorder = new DurationRecorder();
  recorder.record(0);
  recorder.record(-1);
  t.true(recorder.summary().max <= 0.002);
  recorder.record(1e15);
  const { count, max } = recorder.summary();
  t.is(count, 3);
  t.is(max, 1e15);
});

for (const [title, error, newRecorder] of [
  ['within one per cent', 0.011, () => new DurationRecorder()],
  ['within 7 % where a label has one', 0.07, () => new DurationRecorder(3)],
] as const) {
  test(`the figures are those of the exact sample, ${title}`, (t) => {
    // All lengths alike, from a microsecond to the longest that is told apart.
    const duration = fc.double({ min: -3, max: 6.3, noNaN: true }).map((digits) => 10 ** digits);
    fc.assert(
      fc.property(fc.array(duration, { minLength: 1, maxLength: 200 }), fc.nat({ max: 200 }), (durations, zeros) => {
        const recorder = newRecorder();
        for (let index = 0; index < zeros; index++) recorder.record(0);
        for (const each of durations) recorder.record(each);
        const all = [...Array.from({ length: zeros }, () => 0), ...durations].toSorted((a, b) => a - b);
        const summary = recorder.summary();
        const at = (share: number, off: number) => all[Math.ceil((share / 100) * all.length) - 1 + off] ?? 0;
        t.is(summary.count, all.length);
        t.true(near(summary.mean, [all.reduce((sum, each) => sum + each, 0) / all.length], rounding), 'mean');
        t.is(summary.max, all.at(-1) ?? 0);
        for (const share of [50, 95, 99] as const) {
          const figure = summary[`p${share}`];
          const candidates = [at(share, 0), at(share, 1), at(share, -1)];
          t.true(near(figure, candidates, error), `p${share} of ${all.length}: ${figure}`);
        }
      }),
    );
  });

  test(`one duration is told ${title}, however long it is`, (t) => {
    let worst = 0;
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 31 - 1 }), (microseconds) => {
        const recorder = newRecorder();
        recorder.record(microseconds / 1000);
        // One that is longer, so that it does not count as the longest, which is known as it is.
        recorder.record(2 ** 31);
        const { p50 } = recorder.summary();
        const off = Math.abs(p50 * 1000 - microseconds) / microseconds;
        t.true(off <= error, `${microseconds} µs as ${p50} ms`);
        worst = Math.max(worst, off);
      }),
      { numRuns: 2000 },
    );
    t.true(worst > error / 2, 'and no better than it is said to be');
  });
}

test('durations of a few microseconds are told exactly', (t) => {
  for (const precision of [3, 6]) {
    for (let microseconds = 1; microseconds < 2 ** precision; microseconds++) {
      const recorder = new DurationRecorder(precision);
      recorder.record((microseconds + 0.5) / 1000);
      recorder.record(1);
      t.is(recorder.summary().p50, microseconds / 1000);
    }
  }
});

test('counters begin at zero, a set of its own for each pool', (t) => {
  const counters = newCounters();
  t.true(Object.values(counters).every((value) => value === 0));
  t.is(
    Object.keys(counters).join(' '),
    'acquired released timeouts refused aborted opened closed openErrors discarded dirty leaks doubleReleases deadlocks',
  );
  counters.acquired++;
  t.is(newCounters().acquired, 0);
});
