import { type InspectOptions, inspect } from 'node:util';
import { type Clock, systemClock } from '../clock.ts';
import type { Driver } from '../driver.ts';
import { ClosedError, type LeaseEnd, OptionsError } from '../errors.ts';
import { PoolEmitter, type PoolEventName, type PoolListener, poolEventNames } from '../events.ts';
import { type HolderInfo, joinSignals, type ScopeRef } from '../holder.ts';
import { captureSite, Lease } from '../lease.ts';
import {
  type AcquireOptions,
  bindHooks,
  type CloseOptions,
  checkAcquireOptions,
  checkCloseOptions,
  checkDuration,
  checkFunction,
  checkResize,
  type PoolHooks,
  type PoolSettings,
} from '../options.ts';
import { DurationRecorder, newCounters, type PoolStats, type Times } from '../stats.ts';
import type { WaiterRequest } from '../waiters.ts';
import { Housekeeping } from './housekeeping.ts';
import { handleOf } from './lender.ts';
import { Patience } from './patience.ts';
import type { SlotLease } from './slot.ts';
import { Stock } from './stock.ts';

/** A function of the public API, for stacks to begin at its caller. */
export type Entry = (...args: never[]) => unknown;

/** How a wait ended without what was waited for, as `counters` has it. */
export type Refusal = 'timeouts' | 'refused' | 'aborted';

/** A bounded pool of connections to any database. It knows no SQL and no async context. */
export class Pool<Connection extends object, Handle extends object> {
  readonly #settings: PoolSettings;
  readonly #clock: Clock;
  readonly #events = new PoolEmitter();
  readonly #counters = newCounters();
  /** Up to `max` connections, for everybody. */
  readonly #main: Stock<Connection, Handle>;
  /** One more, where the driver asks for it. */
  readonly #reserve: Stock<Connection, Handle> | undefined;
  readonly #times: Times = { wait: new DurationRecorder(), hold: new DurationRecorder(), open: new DurationRecorder() };
  readonly #patience: Patience;
  readonly #capturesStacks: boolean;
  readonly #housekeeping: Housekeeping<Pool<Connection, Handle>>;
  /** Whether `ready` has opened `min` connections, so that housekeeping keeps them up. */
  #warm = false;
  #closed = false;
  #closing: Promise<void> | undefined;

  constructor(
    driver: Driver<Connection, Handle>,
    settings: PoolSettings,
    unboundHooks: PoolHooks<Connection, Handle> = {},
    clock: Clock = systemClock,
  ) {
    const hooks = bindHooks(unboundHooks);
    this.#settings = settings;
    this.#clock = clock;
    this.#capturesStacks = settings.leakThreshold !== Infinity;
    const { idleTimeout, maxLifetime, leakThreshold } = settings;
    this.#housekeeping = new Housekeeping<Pool<Connection, Handle>>(
      clock,
      [idleTimeout, maxLifetime, leakThreshold],
      this,
      Pool.#tidyUp,
    );
    this.#patience = new Patience(clock, settings.acquireTimeout);
    const shared = {
      driver,
      settings,
      hooks,
      clock,
      events: this.#events,
      counters: this.#counters,
      patience: this.#patience,
      numbers: { connection: 0, lease: 0 },
      times: this.#times,
      onOpened: () => this.#housekeeping.start(),
    };
    this.#main = new Stock({ ...shared, isReserve: false });
    if (driver.hasReserve) {
      this.#reserve = new Stock({
        ...shared,
        isReserve: true,
        settings: { ...settings, max: 1, min: 0, maxWaiting: Infinity },
      });
    }
  }

  protected get clock(): Clock {
    return this.#clock;
  }

  protected get acquireTimeout(): number {
    return this.#settings.acquireTimeout;
  }

  /** Name in messages, events and `util.inspect`. */
  get name(): string {
    return this.#settings.name;
  }

  /** Whether `close` has been called. */
  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Takes a connection, waiting for one if need be. It is not bound to the scope: the caller gives it back,
   * best by `await using`.
   *
   * @throws OptionsError, OpenError, AcquireTimeoutError, QueueFullError, DeadlockError, ClosedError, AbortError
   */
  acquire(options?: AcquireOptions): Promise<Handle> {
    // Not an async function: its promise and its frame would be half of what a waiter costs.
    try {
      const scope = this.scope();
      const request = this.#request(checkAcquireOptions(options), this.acquire, scope, scope, 'handle');
      const taken = this.#main.lender.take(request);
      return taken instanceof Lease ? Promise.resolve(handleOf(taken)) : (taken as Promise<Handle>);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Takes a connection if one can be had without waiting for anybody: an idle one, or a new one where there
   * is room. Otherwise returns `undefined`, also where an asynchronous hook would have to be waited for.
   *
   * @throws OptionsError, OpenError, ClosedError, AbortError
   */
  tryAcquire(options?: Pick<AcquireOptions, 'label' | 'signal'>): Handle | undefined {
    const scope = this.scope();
    const lease = this.#main.lender.tryTake(
      this.#request(checkAcquireOptions(options), this.tryAcquire, scope, scope, 'lease'),
    );
    return lease && handleOf(lease);
  }

  /** As `tryAcquire`, of the connection in reserve. */
  protected tryReserve(options: AcquireOptions): Handle | undefined {
    const scope = this.scope();
    const request = this.#request(options, this.tryAcquire, scope, scope, 'lease');
    const lease = this.#reserve?.lender.tryTake(request);
    return lease && handleOf(lease);
  }

  /** Makes a lease: at once where a connection is idle, else in its turn. Throws where it is refused at once. */
  protected take(
    options: AcquireOptions,
    entry: Entry,
    scope = this.scope(),
    holder?: ScopeRef,
    { lender } = this.#main,
  ): SlotLease<Connection, Handle> | Promise<SlotLease<Connection, Handle>> {
    const taken = lender.take(this.#request(options, entry, scope, holder, 'lease'));
    return taken instanceof Lease ? taken : (taken as Promise<SlotLease<Connection, Handle>>);
  }

  /** As `take`, of the connection in reserve. Whoever calls this sees to it that only one wants it at a time. */
  protected takeReserve(
    options: AcquireOptions,
    entry: Entry,
    scope: ScopeRef | undefined,
    holder: ScopeRef | undefined,
  ): SlotLease<Connection, Handle> | Promise<SlotLease<Connection, Handle>> {
    return this.take(options, entry, scope, holder, this.#reserve);
  }

  /** Counts a wait outside the pool's own queue that ended in vain, and reports a timeout. */
  protected noteRefusal(kind: Refusal | undefined, label: string | undefined, waited: number, error: unknown): void {
    if (kind !== undefined) this.#counters[kind]++;
    if (kind === 'timeouts') this.#events.emit('timeout', { label, waited, error: error as Error });
  }

  /** The scope of this pool that the caller runs in. The bare pool has none. */
  protected scope(): ScopeRef | undefined {
    return undefined;
  }

  /** Rejects what waits in a scope that has ended. */
  protected cancelWaiters(scope: ScopeRef, makeError: () => Error): void {
    for (const { lender } of this.#stocks) lender.cancelWaiters(scope, makeError);
  }

  #request(
    options: AcquireOptions,
    entry: Entry,
    scope: ScopeRef | undefined,
    holder: ScopeRef | undefined,
    wants: WaiterRequest['wants'],
  ): WaiterRequest {
    return {
      label: options.label ?? scope?.label,
      signal: joinSignals(options.signal, scope?.signal),
      priority: options.priority ?? 0,
      timeout: options.timeout ?? this.#settings.acquireTimeout,
      since: this.#clock.now(),
      scope,
      holder,
      site: this.#capturesStacks ? captureSite(entry) : undefined,
      wants,
    };
  }

  /**
   * Opens `min` connections, at least one, and resolves when they are open. So it tells early whether the
   * database can be opened at all. A lock held elsewhere is waited for until `acquireTimeout`.
   *
   * @throws OpenError, ClosedError
   */
  async ready(): Promise<void> {
    this.#warm = true;
    await this.#main.fill();
  }

  /** As `ready`, for the connection in reserve. */
  protected async reserveReady(): Promise<void> {
    await (this.#reserve ?? this.#main).fill();
  }

  /** Gauges of this moment, counters and durations since the pool was made. */
  stats(): PoolStats {
    const sum = (gauge: (stock: Stock<Connection, Handle>) => number) =>
      gauge(this.#main) + (this.#reserve === undefined ? 0 : gauge(this.#reserve));
    return {
      size: sum(({ inventory }) => inventory.size),
      idle: sum(({ inventory }) => inventory.idleCount),
      leased: sum(({ lender }) => lender.leased),
      waiting: sum(({ lender }) => lender.waiting),
      max: this.#main.inventory.max,
      min: this.#main.inventory.min,
      counters: { ...this.#counters },
      waitTime: this.#times.wait.summary(),
      holdTime: this.#times.hold.summary(),
      openTime: this.#times.open.summary(),
    };
  }

  /** Who holds connections now, oldest first. */
  leases(): HolderInfo[] {
    const holders = this.#stocks.flatMap(({ lender }) => lender.watch.holders());
    return holders.toSorted((a, b) => b.age - a.age || a.id - b.id);
  }

  /**
   * Changes `max` and `min`. Room serves those who wait at once. Connections above a smaller `max` are closed
   * when idle or when they come back; no holder loses one.
   *
   * @throws OptionsError, ClosedError
   */
  resize(change: { readonly max?: number | undefined; readonly min?: number | undefined }): void {
    const { max, min } = checkResize(change, this.#main.inventory);
    if (this.closed) throw new ClosedError(this.name);
    this.#main.inventory.resize(max, min);
    this.#main.lender.pump();
  }

  /**
   * Replaces every present connection: idle ones are closed now, leased ones when they come back. Resolves
   * when the last of them is closed. New acquires are served by new connections meanwhile.
   */
  async drain(): Promise<void> {
    await Promise.all(
      this.#stocks.map(({ inventory }) => {
        const present = inventory.retireAll('drain');
        return inventory.until(() => present.every((slot) => !inventory.slots.has(slot)));
      }),
    );
  }

  /** Closes all idle connections, also below `min`, and returns how many. */
  closeIdle(): number {
    return this.#stocks.reduce((closed, { inventory }) => closed + inventory.closeIdle('closeIdle'), 0);
  }

  /**
   * Takes away and closes connections that have been held for `age` ms or longer, and returns how many.
   * Whoever used them gets `ERR_LEASEHOLD_RELEASED`.
   *
   * @throws OptionsError
   */
  closeOverdue(age: number): number {
    checkDuration('age', age);
    const now = this.#clock.now();
    return this.#takeAway('overdue', (lease) => now - lease.startedAt >= age);
  }

  /**
   * Closes the pool. Those who wait are refused at once, idle connections closed, holders awaited until
   * `timeout`; then their connections are taken away. Further calls join the first, and can only shorten it.
   * Never rejects for a connection that fails to close; that is an `error` event.
   *
   * @throws OptionsError
   */
  async close(options?: CloseOptions): Promise<void> {
    const { timeout = this.#settings.acquireTimeout } = checkCloseOptions(options);
    this.#closed = true;
    this.#closing ??= this.#shutDown();
    const force = timeout === Infinity ? undefined : this.#clock.after(timeout, () => this.#takeAwayAll());
    if (timeout === 0) this.#takeAwayAll();
    try {
      await this.#closing;
    } finally {
      if (force !== undefined) this.#clock.cancel(force);
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #shutDown(): Promise<void> {
    await Promise.all(this.#stocks.map((stock) => stock.close()));
    this.#housekeeping.stop();
    this.#events.clear();
  }

  #takeAwayAll(): void {
    // Those that nobody holds are being opened or between two leases, in a hook that has had its time.
    this.#patience.giveUp();
    this.#takeAway('closed', () => true);
  }

  #takeAway(end: LeaseEnd, from: (lease: SlotLease<Connection, Handle>) => boolean): number {
    return this.#stocks.reduce((taken, { lender }) => taken + lender.takeAway(end, from), 0);
  }

  get #stocks(): readonly Stock<Connection, Handle>[] {
    return this.#reserve === undefined ? [this.#main] : [this.#main, this.#reserve];
  }

  /**
   * Calls `listener` on each event, in the async context of this call. What it throws becomes an `error` event.
   * @throws OptionsError for a name that is no event
   */
  on<Name extends PoolEventName>(name: Name, listener: PoolListener<Name>): this {
    checkListener(name, listener);
    this.#events.on(name, listener);
    return this;
  }

  /** As `on`, for the next event only. */
  once<Name extends PoolEventName>(name: Name, listener: PoolListener<Name>): this {
    checkListener(name, listener);
    this.#events.on(name, listener, true);
    return this;
  }

  /** Removes a listener that was added by `on` or `once`. */
  off<Name extends PoolEventName>(name: Name, listener: PoolListener<Name>): this {
    checkListener(name, listener);
    this.#events.off(name, listener);
    return this;
  }

  [inspect.custom](_depth: number, options: InspectOptions): string {
    const { name } = this;
    const { size, idle, leased, waiting, max } = this.stats();
    const facts = { name, state: this.closed ? 'closed' : 'open', size, idle, leased, waiting, max };
    return `${this.constructor.name} ${inspect(facts, options)}`;
  }

  /** Static, because a function made in the constructor would hold the pool. */
  static readonly #tidyUp = <C extends object, H extends object>(pool: Pool<C, H>): boolean => pool.#tidy();

  /** Says whether there will be more to do. */
  #tidy(): boolean {
    for (const { inventory, lender } of this.#stocks) {
      inventory.closeStale(this.#clock.now());
      lender.watch.inspect(this.#housekeeping.interval);
    }
    if (this.closed) return false;
    if (this.#warm) this.#main.lender.keepMin();
    return this.#warm || this.#stocks.some(({ inventory }) => inventory.size > 0);
  }
}

function checkListener(name: unknown, listener: unknown): void {
  if (!poolEventNames.includes(name as PoolEventName)) {
    throw new OptionsError('event', name, `one of ${poolEventNames.join(', ')}`);
  }
  checkFunction(listener, 'listener');
}
