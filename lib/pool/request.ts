import type { Clock } from '../clock.ts';
import { joinSignals, type ScopeRef, type Site } from '../holder.ts';
import { captureSite } from '../lease.ts';
import type { AcquireOptions, PoolSettings } from '../options.ts';
import type { WaiterRequest } from '../waiters.ts';
import type { Lender } from './lender.ts';
import type { SlotLease } from './slot.ts';

/** A function of the public API, for stacks to begin at its caller. */
export type Entry = (...args: never[]) => unknown;

/** A call of the public API that did something else before it takes a connection. */
export interface Call {
  /** When it began to wait for that, if it had to. Time of the pool's clock. */
  readonly since: number | undefined;
  /** Where, if stacks are captured. */
  readonly site: Site | undefined;
}

/** Method of a pool for libraries that call it only after the call of the application, of whatever copy of the package. */
export const fromHere: unique symbol = Symbol.for('leasehold.fromHere') as never;

/**
 * Method of a pool for libraries that open a scope of their own where no connection is bound. Rejects in what is left over of
 * a transaction: what is meant for a part of that would commit by itself. Resolves when a connection that is being bound is.
 */
export const notLeftOver: unique symbol = Symbol.for('leasehold.notLeftOver') as never;

/** Method of a pool for middleware, which has the options of its transactions long before it opens one: refuses the wrong ones. */
export const checkTransaction: unique symbol = Symbol.for('leasehold.checkTransaction') as never;

/** Runs what calls the pool later, as if from where it was made. That counts up to the first `await` of `fn`. */
export type Relay = <Result>(fn: () => Result) => Result;

const direct: Relay = (fn) => fn();

/** Brings what the callers of one pool ask for to those who lend. */
export class Requests {
  readonly #settings: PoolSettings;
  readonly #clock: Clock;
  readonly #capturesStacks: boolean;
  /**
   * Stands for the place of the caller. Set only within one synchronous step, by `relay`: no `await` comes between, so that no
   * other call is taken for this one.
   */
  #relayed: Site | undefined;

  constructor(settings: PoolSettings, clock: Clock) {
    this.#settings = settings;
    this.#clock = clock;
    this.#capturesStacks = settings.leakThreshold !== Infinity;
  }

  /** Where the caller of `entry` is, while stacks are captured. Only while it is on the stack, so before any `await`. */
  siteOf(entry: Entry): Site | undefined {
    return this.#capturesStacks ? (this.#relayed ?? captureSite(entry)) : undefined;
  }

  /** A way to call the pool later and be recorded where the caller of `entry` is now. */
  relay(entry: Entry): Relay {
    const site = this.siteOf(entry);
    if (site === undefined) return direct;
    return (fn) => {
      const around = this.#relayed;
      this.#relayed = site;
      try {
        return fn();
      } finally {
        this.#relayed = around;
      }
    };
  }

  /** Makes a lease of an idle connection, else in its turn; then the promise is of what is wanted. Throws where it is refused at once. */
  take<Connection extends object, Handle extends object>(
    lender: Lender<Connection, Handle>,
    options: AcquireOptions,
    entry: Entry,
    scope: ScopeRef | undefined,
    holder: ScopeRef | undefined,
    wants: WaiterRequest['wants'],
    call: Call | undefined,
  ): SlotLease<Connection, Handle> | Promise<SlotLease<Connection, Handle> | Handle> {
    const label = options.label ?? scope?.label;
    const signal = joinSignals(options.signal, scope?.signal);
    const site = call === undefined ? this.siteOf(entry) : call.site;
    const since = this.#clock.now();
    const askedAt = call?.since;
    return (
      lender.takeIdle(label, signal, holder, site, askedAt, since) ??
      lender.wait({
        label,
        signal,
        priority: options.priority ?? 0,
        timeout: options.timeout ?? this.#settings.acquireTimeout,
        since,
        scope,
        holder,
        askedAt,
        site,
        wants,
      })
    );
  }

  /** Makes a lease if nobody has to be waited for. */
  tryTake<Connection extends object, Handle extends object>(
    lender: Lender<Connection, Handle>,
    options: AcquireOptions,
    entry: Entry,
    scope: ScopeRef | undefined,
  ): SlotLease<Connection, Handle> | undefined {
    return lender.tryTake({
      label: options.label ?? scope?.label,
      signal: joinSignals(options.signal, scope?.signal),
      since: this.#clock.now(),
      holder: scope,
      askedAt: undefined,
      site: this.siteOf(entry),
    });
  }
}
