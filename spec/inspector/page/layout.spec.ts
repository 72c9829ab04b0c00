import test from 'ava';
import type { Lane } from '../../../lib/inspector/page/lanes.ts';
import { layoutOf, type Row, rowAt, scrollable, scrolledTo } from '../../../lib/inspector/page/layout.ts';

function lanes(connections: number): readonly Lane[] {
  return [
    { key: 'queue', kind: 'queue', connection: undefined, open: true },
    { key: 'write', kind: 'write', connection: undefined, open: true },
    ...Array.from({ length: connections }, (_, index) => {
      return { key: `c${index}`, kind: 'connection' as const, connection: index, open: true };
    }),
  ];
}

test('a few connections have high lanes, and nothing is scrolled', (t) => {
  const layout = layoutOf(lanes(8), 1200, 700);
  t.true(layout.rows.slice(2).every(({ height }) => height === 28));
  t.is(scrollable(layout), 0);
});

test('many connections have thin lanes before anything is scrolled', (t) => {
  const layout = layoutOf(lanes(32), 1200, 700);
  t.true(layout.rows.slice(2).every(({ height }) => height >= 12 && height < 28));
  t.is(scrollable(layout), 0);
});

test('64 connections can be scrolled to the last one', (t) => {
  const layout = layoutOf(lanes(64), 1200, 500);
  t.is(layout.view, 500);
  t.true(scrollable(layout) > 0);
  t.is(rowAt(layout, layout.view - layout.axis - 1, scrollable(layout)), 65);
});

test('queue and write lane stay where they are while the connections are scrolled', (t) => {
  const layout = layoutOf(lanes(64), 1200, 500);
  t.is(rowAt(layout, 5, 200), 0);
  t.is(rowAt(layout, layout.fixed - 1, 200), 1);
  t.is(rowAt(layout, layout.fixed, 0), 2);
  t.true(rowAt(layout, layout.fixed, 200) > 10);
});

test('beside the lanes there is none', (t) => {
  const layout = layoutOf(lanes(2), 1200, 500);
  t.is(rowAt(layout, -1, 0), -1);
  t.is(rowAt(layout, layout.view - 1, 0), -1);
});

test('every row is brought into view by as little as it takes', (t) => {
  const layout = layoutOf(lanes(64), 1200, 500);
  const first = layout.rows[2] as Row;
  const last = layout.rows.at(-1) as Row;
  t.is(scrolledTo(layout, last, 0), scrollable(layout));
  t.is(scrolledTo(layout, first, scrollable(layout)), 0);
  t.is(scrolledTo(layout, first, 0), 0);
});

test('a pool without a connection has room for one', (t) => {
  const layout = layoutOf(lanes(0), 1200, 500);
  t.true(layout.content > layout.fixed);
});
