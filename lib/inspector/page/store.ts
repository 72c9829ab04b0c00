import type { PoolState, Report, Server, Tick, Trend } from '../wire.ts';
import { type LaneSpan, strangersSeen } from './strangers.ts';

/** What is known, as it was told. Never changed: a view that is paused keeps the one it shows. */
export interface View {
  /** Counts what was told anew. What was drawn of a former one is not worth anything any more. */
  readonly epoch: number;
  readonly server: Server;
  readonly ticks: readonly Tick[];
  readonly trends: readonly Trend[];
  readonly pools: readonly PoolState[];
  /** When the write lane of a pool was seen to be with somebody of another pool, by pool. */
  readonly strangers: ReadonlyMap<number, readonly LaneSpan[]>;
}

export interface Applied {
  readonly view: View | undefined;
  /** Whether a complete report is needed: something is missing in between. */
  readonly incomplete: boolean;
}

// For how long trends are told.
const trendWindow = 600_000;
// Bounds whatever a server tells: what it keeps itself is far less.
const mostTicks = 2_400;
const mostParts = 80_000;
const mostTrends = 20_000;

/** What is known once `report` is, too. */
export function apply(view: View | undefined, report: Report): Applied {
  if (report.complete) return { view: pruned(begun(view, report)), incomplete: false };
  if (view === undefined || view.server.id !== report.server.id) return { view, incomplete: true };
  const last = view.ticks.at(-1)?.number;
  const fresh = last === undefined ? report.ticks : report.ticks.filter((tick) => tick.number > last);
  // A report that is older than what is known: an answer that was overtaken by an event.
  if (fresh.length === 0 && report.server.now < view.server.now) return { view, incomplete: false };
  if (last !== undefined && fresh[0] !== undefined && fresh[0].number !== last + 1) return { view, incomplete: true };
  const { epoch } = view;
  const trends = [...view.trends, ...report.trends.filter((trend) => !known(view.trends, trend))];
  const strangers = strangersSeen(view.strangers, report);
  const { server, pools } = report;
  return {
    view: pruned({ epoch, server, pools, ticks: [...view.ticks, ...fresh], trends, strangers }),
    incomplete: false,
  };
}

function begun(former: View | undefined, report: Report): View {
  const same = former?.server.id === report.server.id;
  const { server, ticks, trends, pools } = report;
  const strangers = strangersSeen(same ? former.strangers : new Map(), report);
  return { epoch: (former?.epoch ?? 0) + 1, server, ticks, trends, pools, strangers };
}

/** Whether `trend` was told before. They come in the order of time, so that only the last of its pool matters. */
function known(trends: readonly Trend[], trend: Trend): boolean {
  const last = trends.findLast(({ pool }) => pool === trend.pool);
  return last !== undefined && last.at >= trend.at;
}

function pruned(view: View): View {
  const { now, window } = view.server;
  let first = view.ticks.findIndex((tick) => tick.at >= now - window);
  if (first === -1) first = view.ticks.length;
  first = Math.max(first, view.ticks.length - mostTicks);
  let size = 0;
  for (let index = view.ticks.length - 1; index >= first; index--) {
    size += sizeOf(view.ticks[index]);
    if (size > mostParts) first = index + 1;
  }
  const trends = view.trends.filter((trend) => trend.at >= now - trendWindow).slice(-mostTrends);
  return { ...view, ticks: view.ticks.slice(first), trends };
}

function sizeOf(tick: Tick | undefined): number {
  const sizes = tick?.pools.map(({ bars, rest, notes }) => bars.length + rest.length + notes.length) ?? [];
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** A message as it came, or what is wrong with it. */
export function read(message: unknown): Report | 'protocol' | 'unreadable' {
  if (typeof message !== 'object' || message === null || !('protocol' in message)) return 'unreadable';
  if (message.protocol !== 1) return 'protocol';
  const { server, ticks, trends, pools } = message as Partial<Report>;
  const whole =
    Array.isArray(ticks) && Array.isArray(trends) && Array.isArray(pools) && typeof server?.now === 'number';
  return whole ? (message as Report) : 'unreadable';
}
