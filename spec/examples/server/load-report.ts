import type { PoolCounters, SqlitePoolStats } from '../../../lib/index.ts';
import type { Books } from './audit.ts';
import type { Report } from './load-clients.ts';
import type { Ledger } from './payment-service.ts';
import { table } from './table.ts';

/** What the server itself has seen of the load. */
export interface Observed {
  readonly stats: SqlitePoolStats;
  /** How many waited to write at worst. */
  readonly mostInLane: number;
  /** Longest for which the event loop did not come round, in milliseconds. */
  readonly worstStall: number;
  /** Share of the time in which the event loop had something to do. */
  readonly loopInUse: number;
  /**
   * CPU time of all threads, as a share of the time. Where it is far below `loopInUse`, the machine had too much else to
   * do, and long stalls are the machine's.
   */
  readonly cpuTime: number;
}

export function routeTable({ seconds, routes }: Report): string {
  const rows = routes.map(({ label, requests, refused, errors, p50, p95, p99 }) => [
    label,
    count(requests),
    count(requests / seconds),
    milliseconds(p50),
    milliseconds(p95),
    milliseconds(p99),
    count(refused),
    count(errors),
  ]);
  return table(['route', 'requests', 'per second', 'p50 ms', 'p95 ms', 'p99 ms', 'refused', 'errors'], rows);
}

export function summaryTable({ seconds, routes }: Report, observed: Observed): string {
  const { stats, mostInLane, worstStall, loopInUse, cpuTime } = observed;
  const perSecond = (writes: boolean) =>
    count(routes.reduce((sum, route) => sum + (route.writes === writes ? route.requests : 0), 0) / seconds);
  const counter = (name: keyof PoolCounters) => count(stats.counters[name]);
  return table(
    ['in all', ''],
    [
      ['reads per second', perSecond(false)],
      ['writes per second', perSecond(true)],
      ['waiting to write, at worst', count(mostInLane)],
      ['connections at most', `${count(stats.max)} + 1`],
      ['connections opened', counter('opened')],
      ['leases', counter('acquired')],
      ['wait for a lease, p95 ms', milliseconds(stats.waitTime.p95)],
      ['lease held, p95 ms', milliseconds(stats.holdTime.p95)],
      ['timeouts', counter('timeouts')],
      ['dirty leases', counter('dirty')],
      ['worst stall of the event loop, ms', milliseconds(worstStall)],
      ['event loop in use, %', count(100 * loopInUse)],
      ['CPU time of the process, %', count(100 * cpuTime)],
    ],
  );
}

/** What does not come out even after a load, in words. */
export function disagreements(before: Books, after: Books, { paid }: Ledger): string[] {
  const paidForNothing = [...paid].filter(([reference, { cents }]) => after.paid.get(reference) !== cents);
  // Of those that were there before, another service may know, which has ended with another demo.
  const unpaid = [...after.paid.keys()].filter((reference) => !before.paid.has(reference) && !paid.has(reference));
  return [
    after.wrongProducts > 0 && `Stock and orders disagree for ${count(after.wrongProducts)} products.`,
    after.wrongCustomers > 0 && `Customers and orders disagree for ${count(after.wrongCustomers)} customers.`,
    paidForNothing.length > 0 && `${count(paidForNothing.length)} payments are for no order, or not what it costs.`,
    unpaid.length > 0 && `${count(unpaid.length)} orders have not been paid.`,
  ].filter((line) => line !== false);
}

function count(number: number): string {
  return Math.round(number).toLocaleString('en');
}

function milliseconds(number: number): string {
  return number.toFixed(2);
}
