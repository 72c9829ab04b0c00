import { type InspectOptions, inspect } from 'node:util';
import { acquires } from '../channels.ts';
import { type Clock, systemClock } from '../clock.ts';
import { NotIdleError } from '../congestion-errors.ts';
import type { Driver } from '../driver.ts';
import { ClosedError, type LeaseEnd } from '../errors.ts';
import { type HolderInfo, isWithin, type ScopeRef } from '../holder.ts';
import { Lease } from '../lease.ts';
import { observe, type PoolView } from '../observer.ts';
import {
  type AcquireOptions,
  bindHooks,
  type CloseOptions,
  checkAcquireOptions,
  checkCloseOptions,
  checkResize,
  checkStatsOptions,
  type PoolHooks,
  type PoolSettings,
  type StatsOptions,
} from '../options.ts';
import { checkDuration } from '../rules.ts';
import type { LabelStats, PoolStats } from '../stats.ts';
import type { WaiterRequest } from '../waiters.ts';
import { inOrder } from '../wording.ts';
import { Housekeeping } from './housekeeping.ts';
import { Ledger } from './ledger.ts';
import { ObservablePool } from './observable.ts';
import { Patience } from './patience.ts';
import { type Call, type Entry, fromHere, type Relay, Requests } from './request.ts';
import { handleOf, type SlotLease } from './slot.ts';
import { gaugesOf, Stock } from './stock.ts';
import { TargetWatch } from './target-watch.ts';
import { traceAcquire } from './trace.ts';
import { viewOf } from './view.ts';

/** A bounded pool of connections to any database. It knows no SQL and no async context. */
export class Pool<Connection extends object, Handle extends object> extends ObservablePool {
  readonly #settings: PoolSettings;
  readonly #clock: Clock;
  readonly #ledger: Ledger;
  /** Up to `max` connections, for everybody. */
  readonly #main: Stock<Connection, Handle>;
  /** One more, where the driver asks for it. */
  readonly #reserve: Stock<Connection, Handle> | undefined;
  readonly #patience: Patience;
  readonly #requests: Requests;
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
    super(settings.name);
    const hooks = bindHooks(unboundHooks);
    this.#settings = settings;
    this.#clock = clock;
    this.#ledger = new Ledger(settings.name, this.events);
    this.#requests = new Requests(settings, clock);
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
      events: this.events,
      ledger: this.#ledger,
      counters: this.#ledger.counters,
      times: this.#ledger.times,
      patience: this.#patience,
      numbers: { connection: 0, lease: 0 },
      target: new TargetWatch<Connection>(settings.name, driver, this.events),
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
      const checked = checkAcquireOptions(options);
      if (acquires.isActive) return this.#acquireTraced(checked, scope);
      const taken = this.#requests.take(this.#main.lender, checked, this.acquire, scope, scope, 'handle', undefined);
      return taken instanceof Lease ? Promise.resolve(handleOf(taken)) : (taken as Promise<Handle>);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async #acquireTraced(options: AcquireOptions, scope: ScopeRef | undefined): Promise<Handle> {
    return handleOf(await this.take(options, this.acquire, scope, scope));
  }

  /**
   * Takes a connection if one can be had without waiting for anybody: an idle one, or a new one where there
   * is room. Otherwise returns `undefined`, also where an asynchronous hook would have to be waited for.
   *
   * @throws OptionsError, OpenError, ClosedError, AbortError
   */
  tryAcquire(options?: Pick<AcquireOptions, 'label' | 'signal'>): Handle | undefined {
    const scope = this.scope();
    const lease = this.#requests.tryTake(this.#main.lender, checkAcquireOptions(options), this.tryAcquire, scope);
    return lease && handleOf(lease);
  }

  /** As `tryAcquire`, of the connection in reserve. */
  protected tryReserve(options: AcquireOptions): Handle | undefined {
    const lease = this.#requests.tryTake(this.reserve.lender, options, this.tryAcquire, this.scope());
    return lease && handleOf(lease);
  }

  /** Makes a lease: at once where a connection is idle, else in its turn. Throws where it is refused at once. */
  protected take(
    options: AcquireOptions,
    entry: Entry,
    scope = this.scope(),
    holder?: ScopeRef,
    call?: Call,
  ): SlotLease<Connection, Handle> | Promise<SlotLease<Connection, Handle>> {
    if (acquires.isActive) return this.#takeTraced(options, entry, scope, holder, call);
    const taken = this.#requests.take(this.#main.lender, options, entry, scope, holder, 'lease', call);
    return taken instanceof Lease ? taken : (taken as Promise<SlotLease<Connection, Handle>>);
  }

  #takeTraced(
    options: AcquireOptions,
    entry: Entry,
    scope: ScopeRef | undefined,
    holder: ScopeRef | undefined,
    call: Call = { since: undefined, site: this.#requests.siteOf(entry) },
  ): Promise<SlotLease<Connection, Handle>> {
    const message = { label: options.label ?? scope?.label, scope, since: this.#clock.now() };
    return traceAcquire(this.events.pool, message, () =>
      this.#requests.take(this.#main.lender, options, entry, scope, holder, 'lease', call),
    );
  }

  /**
   * As `take`, of the connection in reserve, and not traced. Whoever calls this sees to that, and that only one wants it
   * at a time.
   */
  protected takeReserve(
    options: AcquireOptions,
    entry: Entry,
    scope: ScopeRef | undefined,
    holder: ScopeRef | undefined,
    call: Call,
  ): SlotLease<Connection, Handle> | Promise<SlotLease<Connection, Handle>> {
    const taken = this.#requests.take(this.reserve.lender, options, entry, scope, holder, 'lease', call);
    return taken instanceof Lease ? taken : (taken as Promise<SlotLease<Connection, Handle>>);
  }

  /** What is counted and told of leases and waits, also of those outside the pool's own queue. */
  protected get ledger(): Ledger {
    return this.#ledger;
  }

  /** Calls that wait for something else before they queue for a connection. */
  protected get waitingBeside(): number {
    return 0;
  }

  /** Code in a scope has begun to wait for something beside the pool. */
  protected waitsBeside(waiter: Pick<WaiterRequest, 'scope' | 'label'>): void {
    this.#main.lender.checkDeadlock(waiter);
  }

  /** What calls the pool by way of what is returned is recorded where the caller of `entry` is now. */
  [fromHere](entry: Entry): Relay {
    return this.#requests.relay(entry);
  }

  protected get requests(): Requests {
    return this.#requests;
  }

  /** The scope of this pool that the caller runs in. The bare pool has none. */
  protected scope(): ScopeRef | undefined {
    return undefined;
  }

  /** Rejects what waits in a scope that has ended. Returns how many. */
  protected cancelWaiters(scope: ScopeRef, makeError: () => Error): number {
    return this.#stocks.reduce((count, { lender }) => count + lender.cancelWaiters(scope, makeError), 0);
  }

  /** Leases held by code in a scope, or in one that was opened within it. */
  protected leasesIn(scope: ScopeRef): SlotLease<Connection, Handle>[] {
    return this.#stocks.flatMap(({ lender }) => lender.watch.held().filter((lease) => isWithin(lease.scope, scope)));
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

  /** Where the connection in reserve is, if there is one. */
  protected get reserve(): Stock<Connection, Handle> {
    return this.#reserve ?? this.#main;
  }

  /**
   * Gauges of this moment, counters and durations since the pool was made; with `by: 'label'` those of each label, whose
   * leases were held for longest in all first. At most 1 000 labels are told apart. Leases without one are only in the whole.
   *
   * @throws OptionsError
   */
  stats(): PoolStats;
  stats(options: StatsOptions): LabelStats[];
  stats(options?: StatsOptions): PoolStats | LabelStats[] {
    if (checkStatsOptions(options)?.by === 'label') return this.#ledger.labels.stats();
    const { counters, times } = this.#ledger;
    return {
      ...gaugesOf(this.#stocks),
      max: this.#main.inventory.max,
      min: this.#main.inventory.min,
      counters: { ...counters },
      waitTime: times.wait.summary(),
      holdTime: times.hold.summary(),
      openTime: times.open.summary(),
    };
  }

  /** Who holds connections now, oldest first. */
  leases(): HolderInfo[] {
    const holders = this.#stocks.flatMap(({ lender }) => lender.watch.holders());
    return holders.toSorted((a, b) => b.age - a.age || a.id - b.id);
  }

  [observe](): PoolView {
    return viewOf(this.#stocks, this.#clock, this.#ledger);
  }

  /**
   * Throws if anybody holds a connection or waits for one, naming every lease. For the end of a test: nothing that it
   * began may be left over. Set `leakThreshold` to be told where each was acquired.
   *
   * @throws NotIdleError
   */
  assertIdle(): void {
    const { max, leased, waiting: here } = this.stats();
    const waiting = here + this.waitingBeside;
    if (leased === 0 && waiting === 0) return;
    throw new NotIdleError({ pool: this.name, max, leased, waiting, holders: this.leases() });
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
    this.endEvents();
  }

  #takeAwayAll(): void {
    // Those that nobody holds are being opened or between two leases, in a hook that has had its time.
    this.#patience.giveUp();
    this.#takeAway('closed', () => true);
  }

  #takeAway(end: LeaseEnd, from: (lease: SlotLease<Connection, Handle>) => boolean): number {
    return this.#stocks.reduce((taken, { lender }) => taken + lender.watch.takeAway(end, from), 0);
  }

  get #stocks(): readonly Stock<Connection, Handle>[] {
    return this.#reserve === undefined ? [this.#main] : [this.#main, this.#reserve];
  }

  [inspect.custom](_depth: number, options: InspectOptions): string {
    const { name } = this;
    const { size, idle, leased, waiting, max } = this.stats();
    const facts = { name, state: this.closed ? 'closed' : 'open', size, idle, leased, waiting, max };
    return `${this.constructor.name} ${inOrder(inspect(facts, options))}`;
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
