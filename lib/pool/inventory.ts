import type { Clock } from '../clock.ts';
import type { Driver } from '../driver.ts';
import { isError, OpenError, OptionsError } from '../errors.ts';
import { isPromiseLike, type PoolEmitter } from '../events.ts';
import type { PoolSettings } from '../options.ts';
import type { PoolCounters, Times } from '../stats.ts';
import { Opener } from './opener.ts';
import type { Patience } from './patience.ts';
import { type Numbers, Slot } from './slot.ts';
import type { Judge, TargetWatch } from './target-watch.ts';

export interface InventoryContext<Connection extends object, Handle extends object> {
  readonly driver: Driver<Connection, Handle>;
  readonly settings: PoolSettings;
  readonly onOpen: ((connection: Connection) => unknown) | undefined;
  readonly clock: Clock;
  readonly events: PoolEmitter;
  readonly counters: PoolCounters;
  readonly patience: Patience;
  readonly numbers: Numbers;
  readonly times: Times;
  readonly target: TargetWatch<Connection>;
  /** A connection was opened. */
  readonly onOpened: () => void;
  /** There may be room to open a connection again: one was closed, an open ended, a pause is over. */
  readonly onRoom: () => void;
}

/** What has become of a connection: it may be lost before it has a slot. */
interface Fate<Connection extends object, Handle extends object> {
  slot: Slot<Connection, Handle> | undefined;
  /** Why it was lost. */
  lost: string | undefined;
}

/**
 * The connections of a pool: which are open, which are idle, and when another may be opened or one must go.
 *
 * Invariant between any two `await`s: open and opening connections together never exceed `max`, except
 * right after `resize` made it smaller.
 */
export class Inventory<Connection extends object, Handle extends object> {
  readonly #context: InventoryContext<Connection, Handle>;
  readonly #opener: Opener<Connection, Handle>;
  /** Every open connection, held or not. */
  readonly #slots = new Set<Slot<Connection, Handle>>();
  /** Those nobody holds, the one that came back last at the end. */
  readonly #idle: Slot<Connection, Handle>[] = [];
  /** Closes under way. A slot stays in `#slots` until its close has settled. */
  readonly #closing = new Set<Slot<Connection, Handle>>();
  /** Asked again after every change in what is open or may be opened. */
  readonly #watchers = new Set<() => void>();
  /** Opens under way. Each holds its place until it is a slot, or has failed. */
  #opening = 0;
  /** Raised by `retireAll`: a connection whose opening began before is retired on arrival. */
  #generation = 0;
  #disposed = false;
  max: number;
  min: number;

  constructor(context: InventoryContext<Connection, Handle>) {
    this.#context = context;
    const { driver, settings, clock, events, patience, target } = context;
    target.onLook((judge) => this.#retireThose(judge));
    this.checkLimit(settings.max);
    this.max = settings.max;
    this.min = settings.min;
    this.#opener = new Opener(driver, clock, {
      onOpen: context.onOpen,
      patience,
      onResume: () => this.#changed(),
      onCloseError: (error) => events.error(error, 'Closing a connection failed'),
    });
  }

  /** Connections open or being opened. */
  get size(): number {
    return this.#slots.size + this.#opening;
  }

  get idleCount(): number {
    return this.#idle.length;
  }

  get slots(): ReadonlySet<Slot<Connection, Handle>> {
    return this.#slots;
  }

  /** Opens under way. */
  get opening(): number {
    return this.#opening;
  }

  /** Connections open and not about to close. */
  get stayingOpen(): number {
    return this.#slots.size - this.#closing.size;
  }

  /** The same, with those being opened. */
  get staying(): number {
    return this.stayingOpen + this.#opening;
  }

  /** Why the last open failed, `undefined` once one succeeded. */
  get lastOpenError(): unknown {
    return this.#opener.lastError;
  }

  /** Whether another connection may be opened now. */
  get canOpen(): boolean {
    if (this.size >= this.max || this.#opener.pausing || this.#disposed) return false;
    // After a failure one tries for all: a server that is coming up is not to be met by everybody at once.
    return this.#opening === 0 || this.lastOpenError === undefined;
  }

  /** A connection was of no use before anybody had it: treated as one that could not be opened. */
  backOff(error: unknown): void {
    this.#opener.backOff(error);
  }

  /** @throws OptionsError where the database cannot have `max` connections. */
  checkLimit(max: number): void {
    const { limit, target } = this.#context.driver;
    if (max > limit)
      throw new OptionsError(
        'max',
        max,
        `at most ${limit} for "${target}"`,
        'Each connection to it would see a database of its own.',
      );
  }

  /**
   * Takes the connection whose turn it is, closing those that are past their time.
   * @param longestSilence none of which nothing was heard for as long: that one stays where it is
   */
  takeIdle(now: number, longestSilence = Infinity): Slot<Connection, Handle> | undefined {
    const isLifo = this.#context.settings.order === 'lifo';
    for (;;) {
      const slot = isLifo ? this.#idle.pop() : this.#idle.shift();
      if (slot === undefined) return undefined;
      const reason = this.#stale(slot, now);
      if (reason !== undefined) this.close(slot, reason);
      else if (slot.silentFor(now) < longestSilence) return slot;
      else {
        if (isLifo) this.#idle.push(slot);
        else this.#idle.unshift(slot);
        return undefined;
      }
    }
  }

  /** Why an idle connection must not be lent, `undefined` if it may. */
  #stale(slot: Slot<Connection, Handle>, now: number): string | undefined {
    const { target } = this.#context;
    if (now >= target.lookAt) target.look(now);
    return slot.retired ?? (slot.expiresAt <= now ? 'maxLifetime' : undefined);
  }

  /** Why a connection that came back must not be pooled, `undefined` if it may. */
  unfit(slot: Slot<Connection, Handle>, now: number): string | undefined {
    const { target } = this.#context;
    if (now >= target.lookAt) target.look(now);
    if (slot.retired !== undefined) return slot.retired;
    if (this.#disposed) return 'closed';
    // A new one serves at least once, however short its life.
    if (slot.expiresAt <= now && slot.uses > 0) return 'maxLifetime';
    if (slot.uses >= this.#context.settings.maxUses) return 'maxUses';
    if (this.staying > this.max) return 'resize';
    return undefined;
  }

  putIdle(slot: Slot<Connection, Handle>): void {
    this.#idle.push(slot);
  }

  /** Opens a connection that belongs to the caller until `putIdle` or `close`. The caller has asked `canOpen`. */
  open(): Slot<Connection, Handle> | Promise<Slot<Connection, Handle>> {
    const startedAt = this.#context.clock.now();
    const generation = this.#generation;
    const failed = (error: unknown): never => {
      this.#opening--;
      this.#context.counters.openErrors++;
      throw error;
    };
    const fate: Fate<Connection, Handle> = { slot: undefined, lost: undefined };
    let opening: Connection | Promise<Connection>;
    this.#opening++;
    try {
      opening = this.#opener.open((reason) => this.#lose(fate, reason));
    } catch (error) {
      return failed(error);
    }
    const add = (connection: Connection) => this.#add(connection, startedAt, generation, fate);
    if (!isPromiseLike(opening)) return add(opening);
    return opening.then(add, (error: unknown) => {
      try {
        return failed(error);
      } finally {
        this.#changed();
      }
    });
  }

  /** It will be closed at once if it is idle, else when it comes back. */
  #lose(fate: Fate<Connection, Handle>, reason: string): void {
    fate.lost ??= reason;
    fate.slot?.retire(reason);
    this.#closeThose((slot) => (slot === fate.slot ? slot.retired : undefined));
  }

  #add(
    connection: Connection,
    startedAt: number,
    generation: number,
    fate: Fate<Connection, Handle>,
  ): Slot<Connection, Handle> {
    const { clock, counters, events, settings } = this.#context;
    const now = clock.now();
    const slot = new Slot<Connection, Handle>(
      ++this.#context.numbers.connection,
      connection,
      now,
      settings.maxLifetime,
    );
    fate.slot = slot;
    if (fate.lost !== undefined) slot.retire(fate.lost);
    if (generation !== this.#generation) slot.retire('drain');
    this.#opening--;
    this.#slots.add(slot);
    counters.opened++;
    this.#context.times.open.record(now - startedAt);
    this.#context.onOpened();
    if (events.has('open')) events.emit('open', { connection: slot.id, took: now - startedAt });
    this.#notify();
    return slot;
  }

  /** Closes a connection that is not idle. Its place is free once the close has settled. */
  close(slot: Slot<Connection, Handle>, reason: string): void {
    const closing = this.#tryClose(slot);
    if (!isPromiseLike(closing)) {
      this.#left(slot, reason);
      return;
    }
    this.#closing.add(slot);
    const left = () => {
      this.#closing.delete(slot);
      this.#left(slot, reason);
    };
    this.#context.patience.bound(closing, 'close').then(left, (error: unknown) => {
      this.#context.events.error(error, 'Closing a connection failed');
      left();
    });
  }

  /** Closes a connection that came back, instead of pooling it. */
  discard(slot: Slot<Connection, Handle>, reason: string): void {
    const { counters, events } = this.#context;
    counters.discarded++;
    if (events.has('discard')) events.emit('discard', { connection: slot.id, reason });
    this.close(slot, reason);
  }

  /** What a caller is told of a failed open. A bad option shows only then, and is no fault of the target. */
  openError(error: unknown): Error {
    const { settings, driver } = this.#context;
    return isError(error) && error instanceof OptionsError ? error : new OpenError(settings.name, driver.target, error);
  }

  #tryClose(slot: Slot<Connection, Handle>): unknown {
    try {
      return this.#context.driver.close(slot.connection);
    } catch (error) {
      this.#context.events.error(error, 'Closing a connection failed');
      return undefined;
    }
  }

  #left(slot: Slot<Connection, Handle>, reason: string): void {
    const { counters, events } = this.#context;
    this.#slots.delete(slot);
    counters.closed++;
    if (events.has('close')) events.emit('close', { connection: slot.id, reason });
    this.#changed();
  }

  /** There may be room for another connection. */
  #changed(): void {
    this.#context.onRoom();
    this.#notify();
  }

  #notify(): void {
    for (const check of this.#watchers) check();
  }

  /** Resolves as soon as `condition` holds. */
  until(condition: () => boolean): Promise<void> {
    if (condition()) return Promise.resolve();
    return new Promise((resolve) => {
      const check = () => {
        if (!condition()) return;
        this.#watchers.delete(check);
        resolve();
      };
      this.#watchers.add(check);
    });
  }

  /** Closes idle connections from the one unused for longest, as long as `goes` says so; returns how many. */
  closeIdle(reason: string, goes: (slot: Slot<Connection, Handle>) => boolean = () => true): number {
    let closed = 0;
    // The one that came back last is at the end, whatever the order of use.
    for (let slot = this.#idle[0]; slot !== undefined && goes(slot); slot = this.#idle[0]) {
      this.#idle.shift();
      this.close(slot, reason);
      closed++;
    }
    return closed;
  }

  /** Closes what has been idle or alive for too long. */
  closeStale(now: number): void {
    const { idleTimeout } = this.#context.settings;
    this.closeIdle('idleTimeout', (slot) => now - slot.idleSince >= idleTimeout && this.staying > this.min);
    this.#closeThose((slot) => (slot.expiresAt <= now ? 'maxLifetime' : undefined));
  }

  /** One that was idle for as long was of no use any more: the others are likely to have met the same. */
  closeSilent(now: number, silence: number): void {
    this.#closeThose((slot) => (slot.silentFor(now) >= silence ? 'validate' : undefined));
  }

  /** Has those connections closed for which there is a reason: idle ones now, the others when they come back. Returns how many. */
  #retireThose(judge: Judge<Connection>): number {
    let retired = 0;
    for (const slot of this.#slots) {
      const reason = slot.retired === undefined ? judge(slot.connection) : undefined;
      if (reason === undefined) continue;
      slot.retire(reason);
      retired++;
    }
    if (retired > 0) this.#closeThose((slot) => slot.retired);
    return retired;
  }

  /** Closes idle connections for which there is a reason. */
  #closeThose(reasonOf: (slot: Slot<Connection, Handle>) => string | undefined): void {
    for (const slot of this.#idle.slice()) {
      const reason = reasonOf(slot);
      const index = reason === undefined ? -1 : this.#idle.indexOf(slot);
      // A listener of an earlier close may have taken it.
      if (reason === undefined || index === -1) continue;
      this.#idle.splice(index, 1);
      this.close(slot, reason);
    }
  }

  /** Has every present connection closed: idle ones now, the others when they come back. */
  retireAll(reason: string): Slot<Connection, Handle>[] {
    this.#generation++;
    const present = [...this.#slots];
    for (const slot of present) slot.retire(reason);
    this.closeIdle(reason);
    return present;
  }

  /** The next `max` and `min`. What is idle above `max` is closed. */
  resize(max: number, min: number): void {
    this.checkLimit(max);
    this.max = max;
    this.min = min;
    this.closeIdle('resize', () => this.staying > max);
  }

  /** No connection is opened or pooled from now on. */
  dispose(): void {
    this.#disposed = true;
    this.#opener.dispose();
    this.closeIdle('closed');
    this.#notify();
  }
}
