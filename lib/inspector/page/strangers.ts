import type { LaneHolder, Report } from '../wire.ts';

/** When the write lane was with somebody of whom no lease is told. */
export interface LaneSpan {
  readonly from: number;
  readonly to: number;
  readonly holder: LaneHolder;
}

// Ages are rounded, and told a little later than they are taken.
const slack = 50;
const most = 1_000;

/** Those known before, and who holds the lane now where that is nobody of the pool it is told with. Only what is told can be seen. */
export function strangersSeen(
  known: ReadonlyMap<number, readonly LaneSpan[]>,
  report: Report,
): ReadonlyMap<number, readonly LaneSpan[]> {
  const { now, window } = report.server;
  return new Map(
    report.pools.map((pool) => {
      const spans = (known.get(pool.id) ?? []).filter((span) => span.to >= now - window).slice(-most);
      const holder = pool.lane?.holder;
      return [pool.id, holder === undefined || holder.lease !== undefined ? spans : withHolder(spans, holder, now)];
    }),
  );
}

function withHolder(spans: readonly LaneSpan[], holder: LaneHolder, now: number): readonly LaneSpan[] {
  const from = now - holder.age;
  const last = spans.at(-1);
  const same = last !== undefined && Math.abs(last.from - from) <= slack && last.holder.pool === holder.pool;
  return same ? [...spans.slice(0, -1), { from: last.from, to: now, holder }] : [...spans, { from, to: now, holder }];
}
