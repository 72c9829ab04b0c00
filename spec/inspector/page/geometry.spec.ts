import test from 'ava';
import { extentOf, fitted, gridStep, hit, timeAt, within, xOf } from '../../../lib/inspector/page/geometry.ts';
import type { Item } from '../../../lib/inspector/page/items.ts';
import { at, noteOf, restOf } from './reports.ts';

/** Ten pixels for each character. */
const measure = (text: string): number => text.length * 10;

const scale = { origin: at(0), perMillisecond: 0.02 };

function lease(key: string, from: number, to: number): Item {
  const bar = { lease: 1, connection: 1, label: 'GET /', waited: 0, writes: [], reads: [] };
  return { type: 'lease', key, from: at(from), to: at(to), tick: 1, ...bar };
}

function rest(key: string, from: number, to: number): Item {
  return { type: 'rest', key, from: at(from), to: at(to), tick: 1, rest: restOf() };
}

function note(key: string, time: number): Item {
  return { type: 'note', key, from: at(time), to: at(time), tick: 1, note: noteOf() };
}

test('a time and its place are found from each other', (t) => {
  t.is(xOf(scale, at(10)), 200);
  t.is(timeAt(scale, 200), at(10));
});

test('a stretch lies on whole pixels, and those that touch in time touch on the screen', (t) => {
  const first = extentOf(scale, at(0.51), at(2.33));
  const second = extentOf(scale, at(2.33), at(3));
  t.deepEqual(first, { x: 10, width: 37, cover: (1820 * 0.02) / 37 });
  t.is(first.x + first.width, second.x);
});

test('what is shorter than a pixel is seen still, and known to fill only a part of it', (t) => {
  const { width, cover } = extentOf(scale, at(1), at(1.005));
  t.is(width, 1);
  t.true(Math.abs(cover - 0.1) < 1e-9);
});

test('what lies beyond the edges is cut there', (t) => {
  const extent = { x: 10, width: 100, cover: 1 };
  t.deepEqual(within(extent, 50, 80), { x: 50, width: 30, cover: 1 });
  t.deepEqual(within(extent, 0, 500), extent);
  t.is(within(extent, 110, 500), undefined);
  t.is(within(extent, 0, 10), undefined);
});

test('the lease under the pointer is found', (t) => {
  const items = [lease('a', 0, 2), lease('b', 2.5, 4)];
  t.is(hit(items, at(1), 100, at(10))?.key, 'a');
  t.is(hit(items, at(3), 100, at(10))?.key, 'b');
});

test('one that is missed by a little is found, one that is far is not', (t) => {
  const items = [lease('a', 0, 2)];
  t.is(hit(items, at(2.09), 100, at(10))?.key, 'a');
  t.is(hit(items, at(2.11), 100, at(10)), undefined);
});

test('of two the nearer one is found, and of two that cover a place the shorter one', (t) => {
  t.is(hit([lease('a', 0, 1), lease('b', 1.1, 2)], at(1.08), 100, at(10))?.key, 'b');
  t.is(hit([lease('long', 0, 9), lease('short', 4, 4.1)], at(4.05), 100, at(10))?.key, 'short');
});

test('a mark goes before a lease, and a lease before what was summed up', (t) => {
  const items = [rest('rest', 0, 5), lease('lease', 1, 2), note('note', 1.5)];
  t.is(hit(items, at(1.45), 100, at(10))?.key, 'note');
  t.is(hit(items, at(1.1), 100, at(10))?.key, 'lease');
  t.is(hit(items, at(4), 100, at(10))?.key, 'rest');
});

test('a lease that is held ends now, and one that has yet to begin on the screen is not found', (t) => {
  const items = [lease('held', 1, Number.POSITIVE_INFINITY), lease('later', 8, 9)];
  t.is(hit(items, at(4.9), 100, at(5))?.key, 'held');
  t.is(hit(items, at(8.5), 100, at(5)), undefined);
  t.is(hit([lease('soon', 5.05, 9)], at(5), 100, at(5)), undefined);
});

test('a label is cut to what fits, or left out', (t) => {
  t.is(fitted('GET /orders', 110, measure), 'GET /orders');
  t.is(fitted('GET /orders', 80, measure), 'GET /or…');
  t.is(fitted('GET /orders', 50, measure), 'GET…');
  t.is(fitted('GET /orders', 20, measure), '');
});

test('lines of the grid never stand so near that their times touch', (t) => {
  for (const width of [200, 320, 600, 1200, 2500]) {
    for (const span of [5000, 20_000, 60_000]) t.true((gridStep(span, width) / span) * width >= 72 || width < 72);
  }
  t.is(gridStep(60_000, 1200), 5000);
  t.is(gridStep(60_000, 300), 15_000);
});
