import test from 'ava';
import { queueSteps, queueTop } from '../../../lib/inspector/page/queue.ts';
import { logScale, nearestPoint, pathOf, shareScale } from '../../../lib/inspector/page/scale.ts';
import { at, tickOf } from './reports.ts';

const top = (waiting: number) => queueTop([{ from: 0, to: 1, waiting, laneWaiting: 0 }]);

test('durations are scaled by powers of ten that hold all of them', (t) => {
  const scale = logScale([0.3, 20, 4000]);
  t.deepEqual(scale.ticks, [0.1, 1, 10, 100, 1000, 10_000]);
  t.is(scale.place(0.1), 0);
  t.is(scale.place(10_000), 1);
  t.true(Math.abs(scale.place(10) - 0.4) < 1e-9);
});

test('what took no time lies at the bottom', (t) => {
  const scale = logScale([0, 5]);
  t.is(scale.place(0), 0);
  t.true(scale.ticks.length >= 3);
});

test('a scale of nothing is one still', (t) => {
  for (const values of [[], [0], [Number.NaN], [Number.POSITIVE_INFINITY]]) {
    const { ticks, place } = logScale(values);
    t.true(ticks.length >= 3 && ticks.every(Number.isFinite));
    t.true(place(1) >= 0 && place(1) <= 1);
  }
});

test('a share is scaled from none to all', (t) => {
  t.deepEqual([-1, 0, 0.5, 1, 2].map(shareScale.place), [0, 0, 0.5, 1, 1]);
});

test('a line is broken where there is no value, and where nothing was told for long', (t) => {
  const points = [
    { at: 0, values: [0] },
    { at: 10, values: [1] },
    { at: 20, values: [undefined] },
    { at: 30, values: [1] },
    { at: 90, values: [0] },
    { at: 100, values: [0] },
  ];
  const path = pathOf(points, 0, shareScale, 0, 100, 20);
  t.is(path, 'M0.00 100.00h.2L10.00 0.00M30.00 0.00h.2M90.00 100.00h.2L100.00 100.00');
});

test('the point that is nearest in time is read', (t) => {
  const points = [
    { at: 0, values: [] },
    { at: 10, values: [] },
  ];
  t.is(nearestPoint(points, 4), points[0]);
  t.is(nearestPoint(points, 6), points[1]);
  t.is(nearestPoint([], 6), undefined);
});

test('the queue is a step for each tick in which somebody waited', (t) => {
  const ticks = [
    tickOf(1),
    tickOf(2, { waiting: 3 }),
    tickOf(3),
    tickOf(4, { laneWaiting: 1 }),
    tickOf(5, { pool: 2, waiting: 9 }),
  ];
  t.deepEqual(queueSteps(ticks, 1, 500), [
    { from: at(0.5), to: at(1), waiting: 3, laneWaiting: 0 },
    { from: at(1.5), to: at(2), waiting: 0, laneWaiting: 1 },
  ]);
});

test('the height of the queue is a round number that holds the highest step', (t) => {
  t.deepEqual([0, 1, 5, 9, 11, 21, 67, 1000, 5984].map(top), [4, 4, 5, 10, 15, 30, 80, 1000, 6000]);
  t.is(queueTop([]), 4);
  t.is(queueTop([{ from: 0, to: 1, waiting: 3, laneWaiting: 4 }]), 8);
});
