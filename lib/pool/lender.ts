import type { Clock } from '../clock.ts';
import { AcquireTimeoutError, QueueFullError } from '../congestion-errors.ts';
import type { Driver } from '../driver.ts';
import { AbortError, ClosedError } from '../errors.ts';
import { isPromiseLike, type PoolEmitter } from '../events.ts';
import type { ScopeRef, Site } from '../holder.ts';
import { Lease } from '../lease.ts';
import type { PoolHooks, PoolSettings } from '../options.ts';
import type { DurationRecorder, PoolCounters } from '../stats.ts';
import { type ImmediateRequest, WaiterQueue, type WaiterRequest } from '../waiters.ts';
import type { Inventory } from './inventory.ts';
import type { Ledger } from './ledger.ts';
import type { Patience } from './patience.ts';
import { handleOf, type Numbers, type Slot, type SlotLease } from './slot.ts';
import { Turnaround } from './turnaround.ts';
import { LeaseWatch } from './watch.ts';

export interface LenderContext<Connection extends object, Handle extends object> {
  readonly driver: Driver<Connection, Handle>;
  readonly settings: PoolSettings;
  readonly hooks: PoolHooks<Connection, Handle>;
  readonly clock: Clock;
  readonly events: PoolEmitter;
  readonly ledger: Ledger;
  readonly counters: PoolCounters;
  readonly patience: Patience;
  readonly numbers: Numbers;
  readonly inventory: Inventory<Connection, Handle>;
  /** Whether these are connections in reserve. Who waits for one is no part of a deadlock of the others. */
  readonly isReserve: boolean;
}

/**
 * Leases and who waits for one: brings connections of the inventory to waiters in fair order, and back.
 *
 * Invariants between any two `await`s:
 * - a connection is in exactly one place: idle, leased, or between two leases in a hook or a clean-up;
 * - while somebody waits, no connection is idle, except those an `onAcquire` hook is about to prepare.
 */
export class Lender<Connection extends object, Handle extends object> {
  readonly #driver: Driver<Connection, Handle>;
  readonly #settings: PoolSettings;
  /** Whether a connection must pass `onAcquire` before anybody gets it. */
  readonly #hasAcquireHook: boolean;
  readonly #clock: Clock;
  readonly #events: PoolEmitter;
  readonly #ledger: Ledger;
  // Of the ledger. A number that is passed on to a function of its own must be put into an object first: 5 % of a lease.
  readonly #counters: PoolCounters;
  readonly #waits: DurationRecorder;
  readonly #holds: DurationRecorder;
  readonly #isReserve: boolean;
  readonly #inventory: Inventory<Connection, Handle>;
  readonly #turnaround: Turnaround<Connection, Handle>;
  readonly #waiters: WaiterQueue<WaiterRequest, SlotLease<Connection, Handle> | Handle>;
  readonly #watch: LeaseWatch<Connection, Handle>;
  /** Leases given out and not come back. Equals the number of slots with a `lease`. */
  #leased = 0;
  #closed = false;

  constructor(context: LenderContext<Connection, Handle>) {
    const { driver, settings, hooks, clock, events, ledger, counters, inventory } = context;
    this.#driver = driver;
    this.#settings = settings;
    this.#hasAcquireHook = hooks.onAcquire !== undefined;
    this.#clock = clock;
    this.#events = events;
    this.#ledger = ledger;
    this.#counters = ledger.counters;
    this.#waits = ledger.times.wait;
    this.#holds = ledger.times.hold;
    this.#inventory = inventory;
    this.#isReserve = context.isReserve;
    this.#watch = new LeaseWatch({ ...context, waiting: () => this.#waiters.size });
    this.#turnaround = new Turnaround({
      ...context,
      owner: {
        name: settings.name,
        id: events.pool.poolId,
        capturesStacks: settings.leakThreshold !== Infinity,
        clock,
        observed: ledger,
        takeBack: (lease, dangling) => this.#takeBack(lease, dangling),
        releasedTwice: () => {
          counters.doubleReleases++;
        },
        describe: (lease) => this.#watch.describe(lease),
        report: (error, reason) => events.error(error, reason),
      },
      onRefused: (slot, error) => {
        // Where a hook refuses every new connection, the pool must not open one after the other without a pause.
        if (slot.uses === 0) inventory.backOff(error);
      },
      onSilent: (now, silence) => inventory.closeSilent(now, silence),
      onUncovered: () => this.pump(),
      onTurned: (slot, now) => this.offer(slot, now),
    });
    const hooksOfQueue = {
      timeoutError: (request: WaiterRequest, position: number | undefined, lateBy: number) =>
        this.#timeoutError(request, position, lateBy),
      onTimeout: (request: WaiterRequest, error: Error) =>
        ledger.refused('timeouts', request.label, clock.now() - (request.askedAt ?? request.since), error),
      onAborted: () => {
        counters.aborted++;
      },
    };
    this.#waiters = new WaiterQueue(clock, hooksOfQueue, !this.#isReserve);
  }

  /** What can be seen of the leases. */
  get watch(): LeaseWatch<Connection, Handle> {
    return this.#watch;
  }

  get leased(): number {
    return this.#leased;
  }

  get waiting(): number {
    return this.#waiters.size;
  }

  /** The first of those who wait, in the order of their turn. */
  waiters(limit: number): readonly WaiterRequest[] {
    return this.#waiters.first(limit);
  }

  /**
   * Makes a lease of an idle connection. This is the usual way, so nothing is made for it but the lease: a request costs
   * 4 % of it. `undefined` where somebody or a hook has to be waited for; then `wait` is next. Throws where nobody may wait.
   */
  takeIdle(
    label: string | undefined,
    signal: AbortSignal | undefined,
    holder: ScopeRef | undefined,
    site: Site | undefined,
    askedAt: number | undefined,
    now: number,
  ): SlotLease<Connection, Handle> | undefined {
    this.#admit(signal);
    if (this.#waiters.size > 0 || this.#hasAcquireHook) return undefined;
    const slot = this.#inventory.takeIdle(now, this.#driver.validateAfter);
    if (slot === undefined) return undefined;
    const lease = this.#turnaround.lend(slot, now);
    this.#begin(lease, label, signal, holder, site);
    this.#noteWait(lease, askedAt === undefined ? 0 : now - askedAt);
    return lease;
  }

  /** Makes a lease if nobody has to be waited for: not a holder, not a waiter, not a hook. */
  tryTake(request: ImmediateRequest): SlotLease<Connection, Handle> | undefined {
    this.#admit(request.signal);
    while (this.#waiters.size === 0) {
      const slot = this.#inventory.takeIdle(request.since) ?? this.#openNow();
      if (slot === undefined) return undefined;
      if (this.#closed) {
        this.offer(slot);
        throw new ClosedError(this.#settings.name);
      }
      const lease = this.#turnaround.prepare(slot);
      if (lease instanceof Lease) {
        lease.beginAt(request.since);
        this.#beginFor(request, lease);
        return lease;
      }
      if (lease !== undefined) {
        // The hook is asynchronous: whoever waits when it is done may have the connection.
        void lease.then((late) => late && this.#servePrepared(late));
        return undefined;
      }
      // The hook refused the connection, which is closed by now.
    }
    return undefined;
  }

  /** Refuses all who wait and all who come. Connections that come back are closed. */
  close(): void {
    this.#closed = true;
    this.#waiters.rejectAll(() => new ClosedError(this.#settings.name));
    this.#waiters.dispose();
  }

  /** Rejects what waits in a scope that has ended. Returns how many. */
  cancelWaiters(scope: ScopeRef, makeError: () => Error): number {
    return this.#waiters.rejectScope(scope, makeError);
  }

  #admit(signal: AbortSignal | undefined): void {
    if (this.#closed) throw new ClosedError(this.#settings.name);
    if (signal?.aborted) {
      this.#counters.aborted++;
      throw new AbortError(signal);
    }
  }

  /** Makes a lease in its turn. The promise is of what `request.wants`. Throws where it is refused at once. */
  wait(request: WaiterRequest): Promise<SlotLease<Connection, Handle> | Handle> {
    // A listener may have closed the pool since it was asked.
    if (this.#closed) throw new ClosedError(this.#settings.name);
    // Connections that are not leased are on their way to a waiter or can still be opened; who is covered by
    // one of them does not wait for a holder.
    const covered = Math.max(0, this.#inventory.max - this.#leased);
    if (this.#waiters.size >= this.#settings.maxWaiting + covered) {
      this.#counters.refused++;
      throw new QueueFullError(this.#watch.congestion());
    }
    const waiter = this.#waiters.add(request);
    const promise = waiter.promise as Promise<SlotLease<Connection, Handle> | Handle>;
    this.checkDeadlock(request);
    this.pump();
    if (this.#ledger.tellsWaits && !waiter.settled) this.#tellWait(request.label);
    return promise;
  }

  /** Who has a connection on its way, from a hook or the file, does not wait for anybody. */
  #tellWait(label: string | undefined): void {
    const onTheirWay = this.#turnaround.preparing + this.#inventory.opening;
    if (this.#waiters.size > onTheirWay) this.#ledger.waits('connection', label, this.#waiters.size);
  }

  /** Brings supply to those who wait: idle connections through their hook, then new ones while there is room. */
  pump(): void {
    while (this.#inventory.idleCount > 0 && this.#waiters.size > this.#turnaround.preparing) {
      const slot = this.#inventory.takeIdle(this.#clock.now());
      if (slot !== undefined) this.offer(slot);
    }
    while (this.#waiters.size > this.#turnaround.preparing + this.#inventory.opening && this.#inventory.canOpen)
      this.#open();
  }

  /** Opens what is missing to `min`, without waiting for it. A failure is reported, and tried again later. */
  keepMin(): void {
    const inventory = this.#inventory;
    while (inventory.canOpen && inventory.staying < inventory.min) {
      this.#open((error) => {
        if (!this.#driver.isTransient(error)) this.#events.error(this.#inventory.openError(error), 'open');
      });
    }
  }

  #open(onFailure?: (error: unknown) => void): void {
    const failed = (error: unknown): void => {
      onFailure?.(error);
      this.#openFailed(error);
    };
    try {
      const slot = this.#inventory.open();
      if (isPromiseLike(slot)) this.#await(slot, failed);
      else this.offer(slot);
    } catch (error) {
      failed(error);
    }
  }

  /** Opens for somebody who does not wait. */
  #openNow(): Slot<Connection, Handle> | undefined {
    if (!this.#inventory.canOpen) return undefined;
    try {
      const slot = this.#inventory.open();
      if (!isPromiseLike(slot)) return slot;
      this.#await(slot, (error) => this.#openFailed(error));
      return undefined;
    } catch (error) {
      if (this.#driver.isTransient(error)) return undefined;
      throw this.#inventory.openError(error);
    }
  }

  #await(opening: Promise<Slot<Connection, Handle>>, failed: (error: unknown) => void): void {
    // What has failed before may succeed for the others, too.
    opening.then((slot) => this.offer(slot)).then(() => this.pump(), failed);
  }

  #openFailed(error: unknown): void {
    // While connections are out, one of them may still serve those who wait; and a lock elsewhere may go away.
    // Their timeout would tell them of this error. Otherwise waiting is in vain.
    if (this.#inventory.size === 0 && !this.#driver.isTransient(error)) {
      // An open that hangs is given up in the millisecond in which those who have waited for it are late.
      this.#waiters.rejectAll(() => this.#inventory.openError(error), this.#clock.now() + 1);
    }
    this.pump();
  }

  /** Gives a connection nobody holds to the first waiter, to the idle ones, or up. */
  offer(slot: Slot<Connection, Handle>, now = this.#clock.now()): void {
    const reason = this.#inventory.unfit(slot, now);
    if (reason !== undefined) this.#inventory.discard(slot, reason);
    else if (this.#waiters.size === 0) this.#inventory.putIdle(slot);
    else if (!this.#hasAcquireHook && !this.#turnaround.mustValidate(slot, now))
      this.#serve(this.#turnaround.lend(slot, now), now);
    else {
      const prepared = this.#turnaround.prepare(slot);
      if (prepared instanceof Lease) this.#servePrepared(prepared);
      else void prepared?.then((lease) => lease && this.#servePrepared(lease));
    }
  }

  /** Serves a connection that has been through its hook, unless the hook or the pool has given it up meanwhile. */
  #servePrepared(lease: SlotLease<Connection, Handle>): void {
    const now = this.#clock.now();
    if (this.#inventory.unfit(lease.slot, now) === undefined) {
      lease.beginAt(now);
      this.#serve(lease, now);
    } else this.#turnaround.cancel(lease);
  }

  #serve(lease: SlotLease<Connection, Handle>, now: number): void {
    const waiter = this.#waiters.next(now);
    if (waiter === undefined) {
      this.#turnaround.cancel(lease);
      return;
    }
    const { request } = waiter;
    // Granted first, so that no listener of `acquire` can abort a waiter that has its connection.
    waiter.grant(request.wants === 'lease' ? lease : handleOf(lease));
    this.#beginFor(request, lease);
    this.checkDeadlock(request);
  }

  /**
   * A ring is closed by a scope that begins to wait while it holds, here or for something beside the pool, or that gets
   * a lease while it waits for another.
   */
  checkDeadlock({ scope, label }: Pick<WaiterRequest, 'scope' | 'label'>): void {
    if (scope !== undefined && this.#watch.findsDeadlock(label)) this.#watch.breakRing(this.#waiters);
  }

  #beginFor(
    { label, signal, holder, site, since, askedAt }: ImmediateRequest,
    lease: SlotLease<Connection, Handle>,
  ): void {
    this.#begin(lease, label, signal, holder, site);
    this.#noteWait(lease, lease.startedAt - (askedAt ?? since));
  }

  /** It has begun when it was lent. */
  #begin(
    lease: SlotLease<Connection, Handle>,
    label: string | undefined,
    signal: AbortSignal | undefined,
    holder: ScopeRef | undefined,
    site: Site | undefined,
  ): void {
    lease.label = label;
    lease.signal = signal;
    lease.scope = holder;
    if (holder !== undefined) holder.open++;
    lease.site = site;
    lease.slot.lease = lease;
    lease.slot.uses++;
    this.#leased++;
    this.#counters.acquired++;
  }

  #noteWait(lease: SlotLease<Connection, Handle>, waited: number): void {
    this.#waits.record(waited);
    if (this.#ledger.concerns(lease, 'acquire')) this.#ledger.began(lease, waited);
  }

  #takeBack(lease: SlotLease<Connection, Handle>, dangling: readonly string[] | undefined): void | Promise<void> {
    const { slot } = lease;
    // A hook closed the handle it was given. The hook's end sees to the connection.
    if (slot.lease !== lease) return;
    const now = this.#clock.now();
    slot.lease = undefined;
    slot.idleSince = now;
    this.#leased--;
    if (lease.scope !== undefined) lease.scope.open--;
    this.#counters.released++;
    const held = now - lease.startedAt;
    this.#holds.record(held);
    if (this.#ledger.concerns(lease, 'release')) this.#ledger.ended(lease, held);
    this.#watch.returned(lease, now);
    lease.lastUsedAt = now;
    return this.#turnaround.cleanUp(lease, dangling);
  }

  #timeoutError(
    { timeout, since, askedAt = since, label }: WaiterRequest,
    position: number | undefined,
    lateBy: number,
  ): AcquireTimeoutError {
    const cause = this.#inventory.lastOpenError;
    const options = cause === undefined ? undefined : { cause };
    // What was left of the caller's own timeout when he came here.
    const waiter = { timeout: since + timeout - askedAt, label, position, lateBy };
    const suspicion = { suspectedDeadlock: this.#watch.isDeadlocked(), isReserve: this.#isReserve };
    return new AcquireTimeoutError(waiter, this.#watch.congestion(), suspicion, options);
  }
}
