import type { Clock } from '../clock.ts';
import type { PoolView, WaiterView } from '../observer.ts';
import type { QueueRequest } from '../waiters.ts';
import type { Ledger } from './ledger.ts';
import type { Stock } from './stock.ts';

/** What a pool shows to who observes it. */
export function viewOf<Connection extends object, Handle extends object>(
  stocks: readonly Stock<Connection, Handle>[],
  clock: Clock,
  ledger: Ledger,
): PoolView {
  return {
    now: () => clock.now(),
    isFull: () => stocks.slice(0, 1).every(({ inventory, lender }) => lender.leased >= inventory.max),
    connections: () => {
      const ids = stocks.flatMap(({ inventory }) => Array.from(inventory.slots, ({ id }) => id));
      return ids.toSorted((a, b) => a - b);
    },
    holders: (now) => {
      const held = stocks.flatMap(({ lender: { watch } }) =>
        watch
          .held()
          .map((lease) => ({ ...watch.describe(lease, now), startedAt: lease.startedAt, lastSql: lease.lastSql })),
      );
      return held.toSorted((a, b) => a.startedAt - b.startedAt || a.id - b.id);
    },
    waiters: (limit) => {
      const now = clock.now();
      const waiters = stocks.flatMap(({ lender }) => lender.waiters(limit));
      return waiters.slice(0, limit).map((request) => describeWaiter('connection', request.label, request, now));
    },
    follow: (observer) => ledger.observe(observer),
  };
}

/** What is told of one who waits. One that waited for something else before has waited since then. */
export function describeWaiter(
  what: WaiterView['for'],
  label: string | undefined,
  request: QueueRequest & { readonly askedAt?: number | undefined },
  now: number,
): WaiterView {
  const { since, askedAt = since, timeout, priority, scope } = request;
  return {
    for: what,
    label: label ?? scope?.label,
    waited: now - askedAt,
    left: Math.max(since + timeout - now, 0),
    priority,
    scope: scope?.id,
  };
}
