import assert from 'node:assert/strict';
import type { Bar, PoolState, PoolTick, Report, Rest, Span, Tick, Trend } from '../../../lib/inspector/wire.ts';

// Times are told to a hundredth of a millisecond, so that sums and differences of two are off by as much.
const rounding = 0.03;

/**
 * One who applies reports as the contract says, and throws where they do not hold to it: a gap or a tick told twice, a
 * lease told twice or not at all, a span outside its lease.
 */
export class Reader {
  /** Of the last report. */
  report: Report | undefined;
  ticks: Tick[] = [];
  trends: Trend[] = [];
  /** How many reports were complete. */
  complete = 0;
  /** Leases that were told as bars, by pool. */
  readonly #bars = new Map<number, Set<number>>();

  apply(report: Report): this {
    const before = this.report;
    assert.equal(report.protocol, 1);
    if (report.server.id !== before?.server.id) assert.ok(report.complete, 'a new server begins with all');
    if (report.complete) {
      this.complete++;
      this.ticks = [];
      this.trends = [];
      this.#bars.clear();
    }
    for (const tick of report.ticks) this.#add(tick);
    for (const trend of report.trends) this.#addTrend(trend);
    for (const state of report.pools) checkState(state);
    assert.ok(report.server.now >= (before?.server.now ?? 0) || report.server.id !== before?.server.id);
    this.report = report;
    return this;
  }

  /** What is to be said as `after` and `server`. */
  get place(): { readonly after: number | undefined; readonly server: string | undefined } {
    // Who knows a server that has made no tick yet knows all up to the first.
    return { after: this.ticks.at(-1)?.number ?? (this.report && 0), server: this.report?.server.id };
  }

  state(index = 0): PoolState {
    const state = this.report?.pools[index];
    assert.ok(state !== undefined, 'Nothing is told of this pool');
    return state;
  }

  /** All that was told of what happened in a pool, oldest first. */
  of(pool = this.state().id): PoolTick[] {
    return this.ticks.flatMap(({ pools }) => pools.filter((tick) => tick.pool === pool));
  }

  bars(pool?: number): Bar[] {
    return this.of(pool).flatMap(({ bars }) => bars);
  }

  rest(pool?: number): Rest[] {
    return this.of(pool).flatMap(({ rest }) => rest);
  }

  /** Leases that began and ended within the ticks that are known. */
  sums(pool?: number): { readonly acquired: number; readonly released: number } {
    const sum = (count: (tick: PoolTick) => number) => this.of(pool).reduce((all, tick) => all + count(tick), 0);
    return { acquired: sum(({ acquired }) => acquired), released: sum(({ released }) => released) };
  }

  #add(tick: Tick): void {
    const last = this.ticks.at(-1);
    if (last !== undefined) {
      assert.equal(tick.number, last.number + 1, 'no gap, and no tick twice');
      assert.ok(tick.at >= last.at);
    }
    assert.ok(tick.loop.busy >= 0 && tick.loop.busy <= 1 && tick.loop.delay >= 0, JSON.stringify(tick.loop));
    for (const each of tick.pools) this.#check(each, tick.at);
    this.ticks.push(tick);
  }

  #check({ pool, leased, released, bars, rest }: PoolTick, at: number): void {
    const told = bars.length + rest.reduce((sum, { leases }) => sum + leases, 0);
    assert.equal(told, released, 'each lease that ended is in one of bars and rest');
    assert.ok(leased >= 0);
    const known = this.#bars.get(pool) ?? new Set();
    this.#bars.set(pool, known);
    for (const bar of bars) {
      assert.ok(!known.has(bar.lease), `lease ${bar.lease} is told twice`);
      known.add(bar.lease);
      checkBar(bar, at);
    }
    assert.equal(new Set(rest.map(({ connection }) => connection)).size, rest.length, 'one rest for each connection');
  }

  #addTrend(trend: Trend): void {
    const last = this.trends.findLast(({ pool }) => pool === trend.pool);
    assert.ok(last === undefined || trend.at > last.at, 'no trend twice');
    this.trends.push(trend);
  }
}

function checkBar({ from, to, waited, writes, reads, lease }: Bar, at: number): void {
  assert.ok(from <= to + rounding && to <= at + rounding && waited >= 0, `times of lease ${lease}`);
  checkSpans(writes, from, to);
  checkSpans(reads, from, to);
}

/** One after the other, and within the lease. */
function checkSpans(spans: readonly Span[], from: number, to: number): void {
  assert.ok(spans.length <= 20);
  let last = from;
  for (const [begin, end] of spans) {
    assert.ok(begin >= last - rounding && end >= begin - rounding && end <= to + rounding, JSON.stringify(spans));
    last = end;
  }
}

function checkState({ leased, idle, size, waiting, holders, waiters, longest, labels, ...state }: PoolState): void {
  assert.ok(leased >= 0 && idle >= 0 && waiting >= 0 && leased + idle <= size, JSON.stringify({ leased, idle, size }));
  assert.equal(holders.length, Math.min(leased, 100), 'each lease that is held has a holder');
  const forConnection = waiters.filter((waiter) => waiter.for === 'connection').length;
  assert.equal(forConnection, Math.min(waiting, 100));
  assert.equal(waiters.length - forConnection, Math.min(state.lane?.waiting ?? 0, 100));
  assert.ok(longest.length <= 20 && labels.length <= 20);
  for (const { from, age, writes, reads } of holders) {
    checkSpans(writes, from, from + age);
    checkSpans(reads, from, from + age);
  }
}
