import { type InspectOptions, inspect } from 'node:util';
import { type Clock, systemClock, type Timer } from '../clock.ts';
import type { Driver } from '../driver.ts';
import { ClosedError, OptionsError } from '../errors.ts';
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
import { newCounters, type PoolStats } from '../stats.ts';
import type { WaiterRequest } from '../waiters.ts';
import { Inventory } from './inventory.ts';
import { handleOf, Lender } from './lender.ts';
import { Patience, PatienceError } from './patience.ts';
import type { SlotLease } from './slot.ts';

/** A function of the public API, for stacks to begin at its caller. */
export type Entry = (...args: never[]) => unknown;

// Housekeeping runs this often, in milliseconds, or four times within the shortest limit it watches.
const housekeepingInterval = 1000;
const shortestInterval = 5;

/** A bounded pool of connections to any database. It knows no SQL and no async context. */
export class Pool<Connection extends object, Handle extends object> {
  readonly #driver: Driver<Connection, Handle>;
  readonly #settings: PoolSettings;
  readonly #clock: Clock;
  readonly #events = new PoolEmitter();
  readonly #counters = newCounters();
  readonly #inventory: Inventory<Connection, Handle>;
  readonly #lender: Lender<Connection, Handle>;
  readonly #patience: Patience;
  readonly #capturesStacks: boolean;
  readonly #housekeepingInterval: number;
  /** Set while a connection is open. Unref'd, and holds the pool weakly. */
  #housekeeping: Timer | undefined;
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
    this.#driver = driver;
    this.#settings = settings;
    this.#clock = clock;
    this.#capturesStacks = settings.leakThreshold !== Infinity;
    const shortest = Math.min(settings.idleTimeout, settings.maxLifetime, settings.leakThreshold);
    this.#housekeepingInterval = Math.max(shortestInterval, Math.min(housekeepingInterval, shortest / 4));
    this.#patience = new Patience(clock, settings.acquireTimeout);
    const shared = {
      driver,
      settings,
      clock,
      events: this.#events,
      counters: this.#counters,
      patience: this.#patience,
    };
    this.#inventory = new Inventory<Connection, Handle>({
      ...shared,
      onOpen: hooks.onOpen,
      onOpened: () => this.#keepHouse(),
      onRoom: () => this.#lender.pump(),
    });
    this.#lender = new Lender({ ...shared, hooks, inventory: this.#inventory });
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
      const taken = this.#lender.take(request);
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
    const lease = this.#lender.tryTake(
      this.#request(checkAcquireOptions(options), this.tryAcquire, scope, scope, 'lease'),
    );
    return lease && handleOf(lease);
  }

  /** Makes a lease: at once where a connection is idle, else in its turn. Throws where it is refused at once. */
  protected take(
    options: AcquireOptions,
    entry: Entry,
    scope = this.scope(),
    holder?: ScopeRef,
  ): SlotLease<Connection, Handle> | Promise<SlotLease<Connection, Handle>> {
    const taken = this.#lender.take(this.#request(options, entry, scope, holder, 'lease'));
    return taken instanceof Lease ? taken : (taken as Promise<SlotLease<Connection, Handle>>);
  }

  /** The scope of this pool that the caller runs in. The bare pool has none. */
  protected scope(): ScopeRef | undefined {
    return undefined;
  }

  /** Rejects what waits in a scope that has ended. */
  protected cancelWaiters(scope: ScopeRef, makeError: () => Error): void {
    this.#lender.cancelWaiters(scope, makeError);
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
    const inventory = this.#inventory;
    const deadline = this.#clock.now() + this.#settings.acquireTimeout;
    const target = () => Math.max(1, inventory.min);
    const mayOpen = () => inventory.canOpen && inventory.staying < target();
    while (inventory.stayingOpen < target()) {
      if (this.closed) throw new ClosedError(this.name);
      try {
        if (mayOpen()) this.#lender.offer(await inventory.open());
        else {
          // Others are opening, or the last attempt failed a moment ago.
          const settled = inventory.until(() => this.closed || mayOpen() || inventory.stayingOpen >= target());
          await this.#patience.bound(settled, 'ready()', deadline - this.#clock.now());
        }
      } catch (error) {
        if (this.closed) throw new ClosedError(this.name);
        if (error instanceof PatienceError || !this.#driver.isTransient(error)) {
          throw this.#lender.openError(inventory.lastOpenError ?? error);
        }
      }
    }
  }

  /** Gauges of this moment, counters and durations since the pool was made. */
  stats(): PoolStats {
    return {
      size: this.#inventory.size,
      idle: this.#inventory.idleCount,
      leased: this.#lender.leased,
      waiting: this.#lender.waiting,
      max: this.#inventory.max,
      min: this.#inventory.min,
      counters: { ...this.#counters },
      waitTime: this.#lender.waitTime.summary(),
      holdTime: this.#lender.holdTime.summary(),
      openTime: this.#inventory.openTime.summary(),
    };
  }

  /** Who holds connections now, oldest first. */
  leases(): HolderInfo[] {
    return this.#lender.watch.holders();
  }

  /**
   * Changes `max` and `min`. Room serves those who wait at once. Connections above a smaller `max` are closed
   * when idle or when they come back; no holder loses one.
   *
   * @throws OptionsError, ClosedError
   */
  resize(change: { readonly max?: number | undefined; readonly min?: number | undefined }): void {
    const { max, min } = checkResize(change, this.#inventory);
    if (this.closed) throw new ClosedError(this.name);
    this.#inventory.resize(max, min);
    this.#lender.pump();
  }

  /**
   * Replaces every present connection: idle ones are closed now, leased ones when they come back. Resolves
   * when the last of them is closed. New acquires are served by new connections meanwhile.
   */
  async drain(): Promise<void> {
    const present = this.#inventory.retireAll('drain');
    await this.#inventory.until(() => present.every((slot) => !this.#inventory.slots.has(slot)));
  }

  /** Closes all idle connections, also below `min`, and returns how many. */
  closeIdle(): number {
    return this.#inventory.closeIdle('closeIdle');
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
    return this.#lender.takeAway('overdue', (lease) => now - lease.startedAt >= age);
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
    this.#lender.close();
    this.#inventory.dispose();
    await this.#inventory.until(() => this.#inventory.size === 0);
    if (this.#housekeeping !== undefined) this.#clock.cancel(this.#housekeeping);
    this.#housekeeping = undefined;
    this.#events.clear();
  }

  #takeAwayAll(): void {
    // Those that nobody holds are being opened or between two leases, in a hook that has had its time.
    this.#patience.giveUp();
    this.#lender.takeAway('closed', () => true);
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

  #keepHouse(): void {
    this.#housekeeping ??= Pool.#scheduleHousekeeping(new WeakRef(this), this.#clock, this.#housekeepingInterval);
  }

  /** Through a weak reference, so that the timer does not keep a forgotten pool and its connections alive. */
  static #scheduleHousekeeping<Connection extends object, Handle extends object>(
    pool: WeakRef<Pool<Connection, Handle>>,
    clock: Clock,
    interval: number,
  ): Timer {
    const timer = clock.after(interval, () => {
      const alive = pool.deref();
      if (alive !== undefined) alive.#tidy();
    });
    timer.unref();
    return timer;
  }

  #tidy(): void {
    this.#housekeeping = undefined;
    this.#inventory.closeStale(this.#clock.now());
    this.#lender.watch.inspect(this.#housekeepingInterval);
    if (this.closed) return;
    if (this.#warm) this.#lender.keepMin();
    if (this.#inventory.size > 0 || this.#warm) this.#keepHouse();
  }
}

function checkListener(name: unknown, listener: unknown): void {
  if (!poolEventNames.includes(name as PoolEventName)) {
    throw new OptionsError('event', name, `one of ${poolEventNames.join(', ')}`);
  }
  checkFunction(listener, 'listener');
}
