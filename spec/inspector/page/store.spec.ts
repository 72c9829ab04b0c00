import test from 'ava';
import { apply, read, type View } from '../../../lib/inspector/page/store.ts';
import { at, barOf, poolOf, reportOf, type Told, tickOf } from './reports.ts';

function applied(...told: readonly Told[]): View | undefined {
  let view: View | undefined;
  for (const each of told) ({ view } = apply(view, reportOf(each)));
  return view;
}

const begun = { complete: true, ticks: [tickOf(1), tickOf(2)] };
const stranger = { pool: 'jobs', label: 'import', kind: 'transaction', lease: undefined } as const;
const laneOf = (age: number) => [poolOf({ lane: { holder: { ...stranger, age }, waiting: 0 } })];
const numbers = (view: View | undefined) => view?.ticks.map(({ number }) => number);

test('a complete report replaces whatever was known', (t) => {
  const view = applied(begun, { complete: true, server: 'b', ticks: [tickOf(7)], pools: [poolOf({ id: 3 })] });
  t.deepEqual(numbers(view), [7]);
  t.is(view?.pools[0]?.id, 3);
});

test('what was drawn of a former view is told from what is drawn of this one', (t) => {
  const first = applied(begun);
  const next = apply(first, reportOf({ ticks: [tickOf(3)] })).view;
  const anew = apply(next, reportOf(begun)).view;
  t.is(next?.epoch, first?.epoch);
  t.not(anew?.epoch, first?.epoch);
});

test('reports that follow on each other add their ticks', (t) => {
  t.deepEqual(
    numbers(applied(begun, { ticks: [tickOf(3)] }, { ticks: [] }, { ticks: [tickOf(4), tickOf(5)] })),
    [1, 2, 3, 4, 5],
  );
});

test('a tick that was told before is not taken twice', (t) => {
  t.deepEqual(numbers(applied(begun, { ticks: [tickOf(2), tickOf(3)] })), [1, 2, 3]);
});

test('a gap asks for a complete report, and changes nothing', (t) => {
  const view = applied(begun);
  const { view: after, incomplete } = apply(view, reportOf({ ticks: [tickOf(4)] }));
  t.true(incomplete);
  t.is(after, view);
});

test('a report of another server asks for a complete one', (t) => {
  const view = applied(begun);
  t.deepEqual(apply(view, reportOf({ server: 'b', ticks: [tickOf(3)] })), { view, incomplete: true });
});

test('a report before the first complete one asks for it', (t) => {
  t.deepEqual(apply(undefined, reportOf({ ticks: [tickOf(3)] })), { view: undefined, incomplete: true });
});

test('an answer that was overtaken does not turn time back', (t) => {
  const view = applied(begun, { ticks: [tickOf(3)], pools: [poolOf({ leased: 5 })] });
  const { view: after, incomplete } = apply(view, reportOf({ ticks: [tickOf(2)], now: at(1), pools: [poolOf()] }));
  t.false(incomplete);
  t.is(after?.pools[0]?.leased, 5);
});

test('a clock of the server that was set back stops nothing', (t) => {
  const view = applied(begun, { ticks: [tickOf(3)], now: at(-100), pools: [poolOf({ leased: 5 })] });
  t.is(view?.pools[0]?.leased, 5);
  t.deepEqual(numbers(view), [1, 2, 3]);
});

test('ticks are forgotten once they are older than the window', (t) => {
  const told = Array.from({ length: 30 }, (_, index) => ({ ticks: [tickOf(index + 3)], window: 5000 }));
  t.deepEqual(
    numbers(applied({ ...begun, window: 5000 }, ...told)),
    Array.from({ length: 11 }, (_, index) => index + 22),
  );
});

test('memory is bounded also where a server tells without measure', (t) => {
  const bars = Array.from({ length: 10_000 }, (_, lease) => barOf({ lease }));
  const ticks = Array.from({ length: 20 }, (_, index) => tickOf(index + 1, { bars }));
  const view = applied({ complete: true, ticks });
  t.deepEqual(numbers(view), [13, 14, 15, 16, 17, 18, 19, 20]);
});

test('thousands of ticks within the window are bounded, too', (t) => {
  const ticks = Array.from({ length: 5000 }, (_, index) => ({ ...tickOf(index), at: at(0) }));
  t.is(applied({ complete: true, ticks })?.ticks.length, 2400);
});

test('trends are told once each, and forgotten after ten minutes', (t) => {
  const quantiles = { count: 1, p50: 1, p95: 1, p99: 1, max: 1 };
  const trend = (seconds: number) => ({ pool: 1, at: at(seconds), wait: quantiles, hold: quantiles });
  const first = { ...reportOf(begun), trends: [trend(-700), trend(-5), trend(0)] };
  const second = { ...reportOf({ ticks: [tickOf(3)] }), trends: [trend(0), trend(1)] };
  const { view } = apply(apply(undefined, first).view, second);
  t.deepEqual(
    view?.trends.map((each) => each.at),
    [at(-5), at(0), at(1)],
  );
});

test('a view that was handed out is never changed', (t) => {
  const view = applied(begun);
  const copy = structuredClone(view);
  apply(view, reportOf({ ticks: [tickOf(3)] }));
  t.deepEqual(view, copy);
});

test('who holds the lane of another pool is remembered for as long as it was seen', (t) => {
  const view = applied(
    { complete: true, ticks: [tickOf(1)], pools: laneOf(100) },
    // Half a second later, and told a little later than it was measured.
    { ticks: [tickOf(2)], pools: laneOf(590) },
    { ticks: [tickOf(3)], pools: [poolOf()] },
    { ticks: [tickOf(4)], pools: laneOf(20) },
  );
  const spans = view?.strangers.get(1)?.map(({ from, to }) => [from - at(0), to - at(0)]);
  t.deepEqual(spans, [
    [400, 1000],
    [1980, 2000],
  ]);
});

test('who holds the lane with a lease of the pool itself is told by the lease alone', (t) => {
  const holder = { pool: 'app', label: 'x', kind: 'transaction', age: 10, lease: 4 } as const;
  const view = applied({ ...begun, pools: [poolOf({ lane: { holder, waiting: 0 } })] });
  t.deepEqual(view?.strangers.get(1), []);
});

test('another protocol is told from what is no report', (t) => {
  const report = reportOf(begun);
  t.is(read(report), report);
  t.is(read({ ...report, protocol: 2 }), 'protocol');
  for (const message of [
    undefined,
    null,
    'hello',
    {},
    [],
    { protocol: 1 },
    { ...report, ticks: {} },
    { ...report, server: {} },
  ]) {
    t.is(read(message), 'unreadable');
  }
});
