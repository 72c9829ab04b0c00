import test from 'ava';
import * as fc from 'fast-check';
import { DurationRecorder, newCounters } from '../lib/stats.ts';

/** A microsecond is the unit of the histogram, one per cent its precision, and a rank may fall between two values. */
function near(figure: number, ...candidates: number[]): boolean {
  return candidates.some((exact) => Math.abs(figure - exact) <= exact * 0.011 + 0.001);
}

const nothing = { count: 0, mean: 0, p50: 0, p95: 0, p99: 0, max: 0 };

test('nothing recorded summarises to zeros', (t) => {
  t.deepEqual(new DurationRecorder().summary(), nothing);
});

test('durations of zero are counted and weigh on every figure', (t) => {
  const recorder = new DurationRecorder();
  recorder.recordZero();
  recorder.recordZero();
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

test('the figures are those of the exact sample, within one per cent', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0.01, max: 100_000, noNaN: true }), { minLength: 1, maxLength: 200 }),
      fc.nat({ max: 200 }),
      (durations, zeros) => {
        const recorder = new DurationRecorder();
        for (let index = 0; index < zeros; index++) recorder.recordZero();
        for (const duration of durations) recorder.record(duration);
        const all = [...Array.from({ length: zeros }, () => 0), ...durations].toSorted((a, b) => a - b);
        const summary = recorder.summary();
        const at = (share: number, off: number) => all[Math.ceil((share / 100) * all.length) - 1 + off] ?? 0;
        t.is(summary.count, all.length);
        t.true(near(summary.mean, all.reduce((sum, each) => sum + each, 0) / all.length), 'mean');
        t.true(near(summary.max, all.at(-1) ?? 0), 'max');
        for (const share of [50, 95, 99] as const) {
          const figure = summary[`p${share}`];
          t.true(near(figure, at(share, 0), at(share, 1), at(share, -1)), `p${share} of ${all.length}: ${figure}`);
        }
      },
    ),
  );
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
