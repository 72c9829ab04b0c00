import test from 'ava';
import { activityOf, columnsUntil, peaksOf } from '../../../lib/cli/top/columns.ts';
import { holder, lease, poolState, poolTick, start } from './support/simulation.ts';

// Ten columns of a second each, and what is known ends in the middle of the last.
const now = start + 500;
const columns = columnsUntil(now, 10_000, 10);
const first = start - 9000;

function ticks(of: Parameters<typeof poolTick>[0][], from = first) {
  return of.map((tick, number) => ({
    number,
    at: from + (number + 1) * 1000,
    loop: { delay: number, busy: 0 },
    pools: tick === undefined ? [] : [poolTick(tick)],
  }));
}

const quiet = Array.from({ length: 10 }, () => ({}));

test('columns keep their places while time goes on', (t) => {
  t.is(columns.from, first);
  t.is(columnsUntil(now + 400, 10_000, 10).from, first);
  t.is(columnsUntil(now + 600, 10_000, 10).from, first + 1000);
});

test('a lease fills the columns in which it was held, by its share of each', (t) => {
  const bars = [lease({ from: first + 1500, to: first + 4250 })];
  const told = activityOf(poolState(), ticks([{}, {}, {}, {}, { bars }, {}, {}, {}, {}, {}]), columns);
  t.deepEqual(
    told.get(1)?.map(({ held }) => held),
    [0, 0.5, 1, 1, 0.25, 0, 0, 0, 0, 0],
  );
  t.deepEqual(
    told.get(2)?.map(({ held }) => held),
    Array.from({ length: 10 }, () => 0),
  );
});

test('a lease that goes on fills its columns until now', (t) => {
  const pool = poolState({ holders: [holder({ connection: 2, from: first + 7500, age: 2000 })] });
  const held = activityOf(pool, ticks(quiet), columns)
    .get(2)
    ?.map((column) => column.held);
  // Of the last column half has been, and it was held for all of that.
  t.deepEqual(held, [0, 0, 0, 0, 0, 0, 0, 0.5, 1, 1]);
});

test('writes are told beside what was held', (t) => {
  const bars = [lease({ from: first, to: first + 2000, writes: [[first + 500, first + 1250]] })];
  const told = activityOf(poolState(), ticks([{}, {}, { bars }, ...quiet.slice(3)]), columns).get(1);
  t.deepEqual(told?.slice(0, 3), [
    { held: 1, wrote: 0.5 },
    { held: 1, wrote: 0.25 },
    { held: 0, wrote: 0 },
  ]);
});

test('leases that were summed up are spread over their tick', (t) => {
  const rest = [{ connection: 1, leases: 40, held: 600, wrote: 200, waited: 0, label: undefined }];
  const told = activityOf(poolState(), ticks([{}, {}, {}, { rest }, ...quiet.slice(4)]), columns).get(1);
  t.deepEqual(told?.slice(2, 5), [
    { held: 0, wrote: 0 },
    { held: 0.6, wrote: 0.2 },
    { held: 0, wrote: 0 },
  ]);
});

test('the time before anything was recorded is not told as idle', (t) => {
  const told = activityOf(poolState(), ticks([{}, {}, {}], first + 6000), columns).get(1);
  t.deepEqual(
    told?.map(({ held }) => held),
    [undefined, undefined, undefined, undefined, undefined, undefined, 0, 0, 0, 0],
  );
});

test('the time before the pool was there is not told as idle either', (t) => {
  const told = activityOf(poolState(), ticks([...Array.from({ length: 7 }, () => undefined), {}, {}, {}]), columns);
  t.deepEqual(
    told.get(1)?.map(({ held }) => held),
    [...Array.from({ length: 7 }, () => undefined), 0, 0, 0],
  );
});

test('leases of connections that are closed are left out', (t) => {
  const bars = [lease({ connection: 9, from: first, to: first + 1000 })];
  t.deepEqual([...activityOf(poolState(), ticks([{ bars }]), columns).keys()], [1, 2]);
});

test('clocks that do not agree break nothing', (t) => {
  const bars = [
    lease({ from: first + 2000, to: first + 1000 }),
    lease({ from: first - 90_000, to: first + 90_000 }),
    lease({ from: Number.NaN, to: Number.NaN }),
  ];
  const pool = poolState({ holders: [holder({ from: now + 5000, age: 100 })] });
  for (const { held, wrote } of activityOf(pool, ticks([{ bars }, ...quiet]), columns).get(1) ?? []) {
    t.true((held ?? 0) >= 0 && (held ?? 0) <= 1 && wrote === 0);
  }
});

test('the most within a column counts, and a tick that is wider than a column fills all that it covers', (t) => {
  const told = ticks(quiet);
  t.deepEqual(
    peaksOf(told, columns, ({ loop }) => loop.delay),
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
  );
  // Of two seconds each; the last tick is alone in its column, and the first ended before the first one begins.
  t.deepEqual(
    peaksOf(told, columnsUntil(now, 10_000, 5), ({ loop }) => loop.delay),
    [2, 4, 6, 8, 9],
  );
  const twenty = columnsUntil(now, 10_000, 20);
  const wide = peaksOf(told, twenty, ({ loop }) => loop.delay).filter((value) => value !== undefined);
  t.true(wide.length >= 18, 'no gaps between ticks');
});
