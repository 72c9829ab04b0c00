import test from 'ava';
import { laneName } from '../../../lib/inspector/page/lanes.ts';
import { pictureOf } from '../../../lib/inspector/page/picture.ts';
import type { PoolState, Tick } from '../../../lib/inspector/wire.ts';
import { at, barOf, holderOf, noteOf, poolOf, restOf, tickOf, viewOf } from './reports.ts';

function shown(pool: PoolState, ticks: readonly Tick[] = []) {
  const picture = pictureOf(viewOf({ ticks, pools: [pool] }), pool);
  const of = (name: string) => picture.items[picture.lanes.findIndex((lane) => laneName(lane) === name)] ?? [];
  return { names: picture.lanes.map(laneName), of, picture };
}

test('there is a lane for the queue, for the right to write, and for each connection', (t) => {
  t.deepEqual(shown(poolOf()).names, ['queue', 'write lane', 'connection 1', 'connection 2']);
});

test('a pool without a write lane has none', (t) => {
  t.deepEqual(shown(poolOf({ lane: undefined })).names, ['queue', 'connection 1', 'connection 2']);
});

test('a connection that was closed within the window keeps its lane', (t) => {
  const { names } = shown(poolOf({ connections: [2] }), [tickOf(1, { bars: [barOf({ connection: 1 })] })]);
  t.deepEqual(names, ['queue', 'write lane', 'connection 1, closed', 'connection 2']);
});

test('of thousands of closed connections the newest have lanes, and the others one together', (t) => {
  const bars = Array.from({ length: 3000 }, (_, index) => barOf({ lease: index, connection: index + 10 }));
  const { names, of } = shown(poolOf(), [tickOf(1, { bars })]);
  t.is(names.length, 2 + 64 + 1);
  t.is(names.at(-1), 'other connections');
  t.is(names.at(-2), 'connection 3009, closed');
  t.is(of('other connections').length, 3000 - 62);
});

test('a pool of a thousand open connections has lanes for as many as a picture can have', (t) => {
  const connections = Array.from({ length: 1000 }, (_, index) => index + 1);
  const { names, of } = shown(poolOf({ connections }), [tickOf(1, { bars: [barOf({ connection: 900 })] })]);
  t.is(names.length, 2 + 512 + 1);
  t.is(of('other connections').length, 1);
});

test('what was told of no connection in particular has a lane of its own', (t) => {
  const { names, of } = shown(poolOf(), [tickOf(1, { rest: [restOf({ connection: 0 })] })]);
  t.deepEqual(names, ['queue', 'write lane', 'connection 1', 'connection 2', 'other connections']);
  t.is(of('other connections').length, 1);
});

test('a lease is on its connection, and in the write lane for as long as it could write', (t) => {
  const bar = barOf({
    lease: 7,
    connection: 2,
    writes: [
      [at(0.2), at(0.4)],
      [at(0.6), at(0.7)],
    ],
  });
  const { of } = shown(poolOf(), [tickOf(2, { bars: [bar] })]);
  t.deepEqual(
    of('connection 2').map(({ key }) => key),
    ['l7'],
  );
  t.deepEqual(
    of('write lane').map(({ key, from, to }) => [key, from, to]),
    [
      ['w7:0', at(0.2), at(0.4)],
      ['w7:1', at(0.6), at(0.7)],
    ],
  );
});

test('a lease that is held goes on, and so does the transaction it is in', (t) => {
  const holder = holderOf({
    from: at(0),
    writes: [
      [at(0.2), at(0.3)],
      [at(0.5), at(1)],
    ],
  });
  const { of, picture } = shown(poolOf({ holders: [holder] }), [tickOf(2)]);
  t.deepEqual(
    of('connection 1').map(({ to }) => to),
    [Number.POSITIVE_INFINITY],
  );
  t.deepEqual(
    of('write lane').map(({ to }) => to),
    [at(0.3), Number.POSITIVE_INFINITY],
  );
  t.is(picture.live.flat().length, 3);
});

test('a lease keeps its name when it ends', (t) => {
  const held = shown(poolOf({ holders: [holderOf({ lease: 9 })] })).of('connection 1')[0];
  const ended = shown(poolOf(), [tickOf(1, { bars: [barOf({ lease: 9 })] })]).of('connection 1')[0];
  t.truthy(held);
  t.is(held?.key, ended?.key);
});

test('short leases are summed up over their tick, and what they wrote is in the write lane', (t) => {
  const rest = [
    restOf({ connection: 1, wrote: 40 }),
    restOf({ connection: 2, wrote: 60, leases: 5 }),
    restOf({ connection: 2 }),
  ];
  const { of } = shown(poolOf(), [tickOf(1), tickOf(2, { rest })]);
  t.deepEqual(
    of('connection 1').map(({ from, to }) => [from, to]),
    [[at(0.5), at(1)]],
  );
  const [item, ...others] = of('write lane');
  t.deepEqual(others, []);
  t.like(item, { type: 'rest', rest: { wrote: 100, leases: 15 } });
});

test('a note lies on its connection, or on the queue where it has none or that is not known', (t) => {
  const notes = [
    noteOf({ connection: 2 }),
    noteOf({ connection: undefined, kind: 'timeout' }),
    noteOf({ connection: 77 }),
  ];
  const { of } = shown(poolOf(), [tickOf(1, { notes })]);
  t.is(of('connection 2').length, 1);
  t.is(of('queue').length, 2);
});

test('a lease has one mark of a kind, and can be asked for all it has', (t) => {
  const notes = [noteOf({ at: at(0.1) }), noteOf({ at: at(0.2) }), noteOf({ at: at(0.3), kind: 'dirty' })];
  const loose = [noteOf({ lease: undefined, kind: 'error' }), noteOf({ lease: undefined, kind: 'error' })];
  const { of, picture } = shown(poolOf(), [tickOf(1, { notes: [...notes, ...loose] })]);
  t.is(of('connection 1').length, 5);
  t.deepEqual(
    picture.notes[2]?.map(({ note }) => note.kind),
    ['leak', 'dirty', 'error', 'error'],
  );
});

test('those who wait are on the queue, and an empty one is empty', (t) => {
  const { of } = shown(poolOf(), [tickOf(1), tickOf(2, { waiting: 3, laneWaiting: 1 })]);
  t.deepEqual(
    of('queue').map(({ key, from, to }) => [key, from, to]),
    [['q2', at(0.5), at(1)]],
  );
});

test('who holds the lane from another pool is there for as long as it was seen', (t) => {
  const holder = { pool: 'jobs', label: 'import', kind: 'transaction', age: 10, lease: undefined } as const;
  const pool = poolOf();
  const spans = [
    { from: at(0), to: at(0.5), holder },
    { from: at(0.8), to: at(1), holder },
  ];
  const view = { ...viewOf({ ticks: [tickOf(2)], pools: [pool] }), strangers: new Map([[1, spans]]) };
  const { items } = pictureOf(view, pool);
  t.deepEqual(
    items[1]?.map(({ to }) => to),
    [at(0.5), Number.POSITIVE_INFINITY],
  );
});

test('what other pools did is not shown', (t) => {
  const { of } = shown(poolOf(), [tickOf(1, { pool: 2, bars: [barOf()], waiting: 3 })]);
  t.deepEqual([...of('connection 1'), ...of('queue')], []);
});

test('everything in a lane is in the order of time', (t) => {
  const bars = [barOf({ lease: 1, from: at(3), to: at(4) }), barOf({ lease: 2, from: at(1), to: at(2) })];
  const { of } = shown(poolOf({ holders: [holderOf({ from: at(2.5) })] }), [tickOf(8, { bars, rest: [restOf()] })]);
  const starts = of('connection 1').map(({ from }) => from);
  t.is(starts.length, 4);
  t.deepEqual(
    starts,
    starts.toSorted((a, b) => a - b),
  );
});
