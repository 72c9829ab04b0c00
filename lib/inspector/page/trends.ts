import type { PoolState, Quantiles } from '../wire.ts';
import { Chart } from './chart.ts';
import { byId } from './dom.ts';
import { duration, share } from './format.ts';
import { logScale, type Point, shareScale } from './scale.ts';
import type { View } from './store.ts';

const lines = ['p50', 'p95', 'p99'];
// How much is shown: the least that holds all that was told.
const longest = 600_000;
const ranges = [60_000, 120_000, 300_000, longest];
const times = { lines, scaleOf: logScale, format: duration };

/** How waits, holds and the event loop developed. */
export class Trends {
  readonly #waits = new Chart({ ...times, title: 'Waits of those who got a lease', gap: 16_000 });
  readonly #holds = new Chart({ ...times, title: 'How long leases were held', gap: 16_000 });
  readonly #delay = new Chart({ ...times, lines: ['longest delay'], title: 'Event loop late', gap: 3000 });
  readonly #busy = new Chart({
    lines: ['busy'],
    title: 'Event loop busy',
    scaleOf: () => shareScale,
    format: share,
    gap: 3000,
  });

  constructor() {
    const charts = [this.#waits, this.#holds, this.#delay, this.#busy];
    byId('trends', HTMLElement).append(...charts.map(({ box }) => box));
  }

  update(view: View, pool: PoolState): void {
    const { now, window } = view.server;
    const trends = view.trends.filter((trend) => trend.pool === pool.id);
    // Of a server that runs since a minute there are no ten minutes to show.
    const told = now - (trends[0]?.at ?? now);
    const from = now - (ranges.find((range) => range >= told) ?? longest);
    const wait = trends.map((trend) => pointOf(trend.at, trend.wait));
    const hold = trends.map((trend) => pointOf(trend.at, trend.hold));
    this.#waits.update(wait, from, now);
    this.#holds.update(hold, from, now);
    this.#delay.update(
      view.ticks.map(({ at, loop }) => ({ at, values: [loop.delay] })),
      now - window,
      now,
    );
    this.#busy.update(
      view.ticks.map(({ at, loop }) => ({ at, values: [loop.busy] })),
      now - window,
      now,
    );
  }
}

function pointOf(at: number, { count, p50, p95, p99 }: Quantiles): Point {
  return { at, values: count === 0 ? [undefined, undefined, undefined] : [p50, p95, p99] };
}
