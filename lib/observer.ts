import type { HolderInfo, LeaseMode, ScopeRef, Site, WriteHolder } from './holder.ts';

/** Method of a pool for what shows its leases: gives a `PoolView`. Known by its name, whatever copy of the package. */
export const observe: unique symbol = Symbol.for('leasehold.observe') as never;

/** A lease as one sees it who watches all of them. */
export interface ObservedLease {
  readonly id: number;
  /** Its connection, and the lease that has begun on it. */
  readonly slot: { readonly id: number; readonly lease: unknown };
  /** Time of the pool's clock. */
  readonly startedAt: number;
  readonly mode: LeaseMode;
  readonly scope: ScopeRef | undefined;
  readonly site: Site | undefined;
  readonly lastSql: string | undefined;
}

/**
 * Told of every lease of a pool, in the step in which it begins and ends: unlike a listener of events it runs in nobody's
 * context, and nothing is made for it. So it has to be quick, and must not throw.
 */
export interface LeaseObserver {
  began(lease: ObservedLease, waited: number): void;
  /**
   * It will be for something else from now on; `lease.mode` still says what it was for. Also one that is there for a hook, or
   * for the clean-up after its end: `lease.slot.lease` is another then.
   */
  turns(lease: ObservedLease): void;
  /** `label` is the one it has at its end. */
  ended(lease: ObservedLease, label: string | undefined, held: number): void;
  /** Somebody has to queue. `waiting` counts all in the queue. */
  waits(what: WaiterView['for'], waiting: number): void;
}

/** One who waits. Durations are milliseconds. */
export interface WaiterView {
  readonly for: 'connection' | 'write lane';
  readonly label: string | undefined;
  readonly waited: number;
  /** Time until it gives up, `Infinity` where it never does. */
  readonly left: number;
  readonly priority: number;
  readonly scope: number | undefined;
}

/** What a pool shows to who observes it, besides what it shows to everybody. Ask at leisure: nothing of it is kept. */
export interface PoolView {
  /** Time of the pool's clock. */
  now(): number;
  /** Whether as many connections are leased as may be. That of the write lane is beside them. */
  isFull(): boolean;
  /** Numbers of the connections that are open, in the order in which they were opened. */
  connections(): number[];
  /** Leases held now, oldest first. */
  holders(now: number): HolderView[];
  /** The first of those who wait for a connection, in the order of their turn. */
  waiters(limit: number): WaiterView[];
  /** The write lane of the database, where it has one. */
  lane?(limit: number): LaneView;
  /** Has `observer` told of every lease from now on. What is returned ends that. */
  follow(observer: LeaseObserver): () => void;
}

/** A lease that is held, with the time of the pool's clock at which it began. */
export interface HolderView extends HolderInfo {
  readonly startedAt: number;
  readonly lastSql: string | undefined;
}

export interface LaneView {
  readonly holder: WriteHolder | undefined;
  readonly waiting: number;
  readonly waiters: WaiterView[];
}

/** An observer that harms no lease: what it throws is told to `onThrow`, as often as it does. */
export function guarded(observer: LeaseObserver, onThrow: (error: unknown) => void): LeaseObserver {
  const call = (tell: () => void): void => {
    try {
      tell();
    } catch (error) {
      onThrow(error);
    }
  };
  return {
    began: (lease, waited) => call(() => observer.began(lease, waited)),
    turns: (lease) => call(() => observer.turns(lease)),
    ended: (lease, label, held) => call(() => observer.ended(lease, label, held)),
    waits: (what, waiting) => call(() => observer.waits(what, waiting)),
  };
}

/** Tells several who observe the same pool. */
export class Observers implements LeaseObserver {
  readonly #all: readonly LeaseObserver[];

  constructor(all: readonly LeaseObserver[]) {
    this.#all = all;
  }

  began(lease: ObservedLease, waited: number): void {
    for (const observer of this.#all) observer.began(lease, waited);
  }

  turns(lease: ObservedLease): void {
    for (const observer of this.#all) observer.turns(lease);
  }

  ended(lease: ObservedLease, label: string | undefined, held: number): void {
    for (const observer of this.#all) observer.ended(lease, label, held);
  }

  waits(what: WaiterView['for'], waiting: number): void {
    for (const observer of this.#all) observer.waits(what, waiting);
  }
}
