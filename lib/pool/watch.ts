import type { Clock } from '../clock.ts';
import { type Congestion, DeadlockError } from '../congestion-errors.ts';
import type { Driver } from '../driver.ts';
import type { LeaseEnd } from '../errors.ts';
import type { LeakKind, PoolEmitter } from '../events.ts';
import { type HolderInfo, isWithin, type ScopeRef } from '../holder.ts';
import type { PoolSettings } from '../options.ts';
import type { PoolCounters } from '../stats.ts';
import { formatDuration, formatSite, formatState, nameOf, stackOf } from '../wording.ts';
import type { Inventory } from './inventory.ts';
import type { SlotLease } from './slot.ts';

export interface LeaseWatchContext<Connection extends object, Handle extends object> {
  readonly driver: Driver<Connection, Handle>;
  readonly settings: PoolSettings;
  readonly clock: Clock;
  readonly events: PoolEmitter;
  readonly counters: PoolCounters;
  readonly inventory: Inventory<Connection, Handle>;
  /** How many wait for a lease. */
  readonly waiting: () => number;
}

/** Those who wait for a lease, some of them in a ring. */
interface Ring {
  newestInScope(counts: (scope: ScopeRef) => boolean): { reject(error: unknown): boolean } | undefined;
}

/** Watches the leases that are out: who holds what, who holds it too long, who has lost it, who blocks himself. */
export class LeaseWatch<Connection extends object, Handle extends object> {
  readonly #context: LeaseWatchContext<Connection, Handle>;
  readonly #dropped: FinalizationRegistry<SlotLease<Connection, Handle>>;
  /** Whether the present deadlock was reported. A lease that comes back ends it. */
  #deadlocked = false;

  constructor(context: LeaseWatchContext<Connection, Handle>) {
    this.#context = context;
    this.#dropped = new FinalizationRegistry((lease) => this.#recover(lease));
  }

  /** Leases held now, oldest first. */
  held(): SlotLease<Connection, Handle>[] {
    const leases = [...this.#context.inventory.slots].flatMap((slot) => slot.lease ?? []);
    return leases.toSorted((a, b) => a.startedAt - b.startedAt || a.id - b.id);
  }

  holders(): HolderInfo[] {
    const now = this.#context.clock.now();
    return this.held().map((lease) => this.describe(lease, now));
  }

  /** The state of the pool for the error of somebody it refuses. */
  congestion(): Congestion {
    const { settings, inventory, waiting } = this.#context;
    const holders = this.holders();
    return { pool: settings.name, max: inventory.max, leased: holders.length, waiting: waiting(), holders };
  }

  /** Whether every connection is held by a scope that itself waits for one, or for who does, so that none can come back. */
  isDeadlocked(): boolean {
    const { driver, inventory } = this.#context;
    let blocked = 0;
    for (const { lease } of inventory.slots) {
      if (lease === undefined) continue;
      const { scope } = lease;
      if (scope === undefined || (scope.waiting === 0 && driver.isBlocked?.(lease) !== true)) return false;
      blocked++;
    }
    return blocked >= inventory.max;
  }

  /** Whether a lease is held by a scope, or by one around it. */
  isAround(scope: ScopeRef): boolean {
    return this.held().some((lease) => lease.scope !== undefined && isWithin(scope, lease.scope));
  }

  /** Whether there is a deadlock now that one more waits. Each is reported once. */
  findsDeadlock(label: string | undefined): boolean {
    if (!this.isDeadlocked()) return false;
    if (!this.#deadlocked) {
      const { counters, events } = this.#context;
      this.#deadlocked = true;
      counters.deadlocks++;
      if (events.has('deadlock')) {
        const { message, holders } = new DeadlockError(this.congestion());
        events.emit('deadlock', { label, holders, message });
      }
    }
    return true;
  }

  /** With `onDeadlock: 'reject'` has the newest waiter of the ring give up. */
  breakRing(waiters: Ring): void {
    if (this.#context.settings.onDeadlock !== 'reject') return;
    // Whoever holds nothing is no part of the ring: without him it would stay.
    const newest =
      waiters.newestInScope((waiting) => this.isAround(waiting)) ??
      // A ring through something beside the pool has one who holds a connection elsewhere.
      waiters.newestInScope((waiting) => waiting.open > 0);
    newest?.reject(new DeadlockError(this.congestion()));
  }

  /** Reports leases held for too long, and has the handles of old ones watched for being dropped. */
  inspect(oldAfter: number): void {
    const { clock, settings } = this.#context;
    const now = clock.now();
    for (const lease of this.held()) {
      const age = now - lease.startedAt;
      if (lease.handle !== undefined && age >= oldAfter) {
        this.#dropped.register(lease.handle, lease, lease);
        lease.handle = undefined;
      }
      if (age >= settings.leakThreshold && !lease.overdue) {
        lease.overdue = true;
        this.#leaked('overdue', lease, now);
      }
    }
  }

  /** Takes connections away from their holders, and has them closed. Returns from how many. */
  takeAway(end: LeaseEnd, from: (lease: SlotLease<Connection, Handle>) => boolean): number {
    const leases = this.held().filter(from);
    let taken = 0;
    for (const lease of leases) {
      // A listener of an earlier one may have ended it.
      if (lease.ended) continue;
      lease.slot.retire(end);
      void lease.release(end);
      taken++;
    }
    return taken;
  }

  /** A lease has ended. */
  returned(lease: SlotLease<Connection, Handle>, now: number): void {
    this.#deadlocked = false;
    if (lease.handle === undefined) this.#dropped.unregister(lease);
    if (lease.overdue) this.#report('returned', lease, now);
  }

  /** Its handle is gone, so nobody can release it any more. */
  #recover(lease: SlotLease<Connection, Handle>): void {
    this.#leaked('dropped', lease, this.#context.clock.now());
    // A listener may have taken it away.
    if (!lease.ended) void lease.release('dropped');
  }

  #leaked(kind: 'overdue' | 'dropped', lease: SlotLease<Connection, Handle>, now: number): void {
    this.#context.counters.leaks++;
    this.#report(kind, lease, now);
  }

  #report(kind: LeakKind, lease: SlotLease<Connection, Handle>, now: number): void {
    const { driver, events, settings } = this.#context;
    if (!events.has('leak')) return;
    const pinnedBytes = driver.pinnedBytes?.(lease.slot.connection);
    const holder = { ...this.describe(lease, now), ...(pinnedBytes !== undefined && { pinnedBytes }) };
    events.emit('leak', { kind, holder, message: describeLeak(kind, settings.name, holder) });
  }

  describe(lease: SlotLease<Connection, Handle>, now = this.#context.clock.now()): HolderInfo {
    const { driver } = this.#context;
    const { connection } = lease.slot;
    const stack = stackOf(lease.site);
    return {
      id: lease.id,
      connection: lease.slot.id,
      label: lease.presentLabel,
      age: now - lease.startedAt,
      idleFor: driver.isWorking?.(connection) === true ? 0 : now - lease.lastUsedAt,
      inTransaction: driver.isInTransaction(connection),
      mode: lease.mode,
      scope: lease.scope?.id,
      ...(stack === undefined ? {} : { stack }),
    };
  }
}

function describeLeak(kind: LeakKind, pool: string, holder: HolderInfo): string {
  const who = nameOf(`Lease #${holder.id}`, holder.label, pool);
  const age = formatDuration(holder.age);
  const sentence = {
    overdue: `${who} has been held for ${age}: ${formatState(holder)}.`,
    returned: `${who} returned after ${age}.`,
    dropped: `${who} was dropped without release after ${age}, and its connection recovered: ${formatState(holder)}.`,
  }[kind];
  const site = formatSite(holder.stack);
  return site === '' ? sentence : `${sentence} It was acquired ${site}.`;
}
