import type { Clock } from '../clock.ts';
import type { Driver, Residue } from '../driver.ts';
import { isPromiseLike, type PoolEmitter } from '../events.ts';
import { Lease, type LeaseOwner } from '../lease.ts';
import type { PoolHooks } from '../options.ts';
import type { Ledger } from './ledger.ts';
import type { Patience } from './patience.ts';
import type { Numbers, Slot, SlotLease } from './slot.ts';

export interface TurnaroundContext<Connection extends object, Handle extends object> {
  readonly driver: Driver<Connection, Handle>;
  readonly hooks: PoolHooks<Connection, Handle>;
  readonly clock: Clock;
  readonly events: PoolEmitter;
  readonly ledger: Ledger;
  readonly patience: Patience;
  readonly numbers: Numbers;
  readonly owner: LeaseOwner<Slot<Connection, Handle>, Handle>;
  /** `onAcquire` would not have a connection. */
  readonly onRefused: (slot: Slot<Connection, Handle>, error: unknown) => void;
  /** A connection of which nothing was heard for `silence` ms was of no use any more. */
  readonly onSilent: (now: number, silence: number) => void;
  /** The one for whom it was has none on its way any more. */
  readonly onUncovered: () => void;
  /** The connection of an ended lease is ready for whatever comes next. */
  readonly onTurned: (slot: Slot<Connection, Handle>, now: number) => void;
}

/**
 * What happens to a connection on either side of a lease: before it `lend` and the `onAcquire` hook, after it
 * the clean-up, the `dirty` report and the `onRelease` hook.
 */
export class Turnaround<Connection extends object, Handle extends object> {
  readonly #context: TurnaroundContext<Connection, Handle>;
  readonly #driver: Driver<Connection, Handle>;
  readonly #owner: LeaseOwner<Slot<Connection, Handle>, Handle>;
  readonly #onRelease: PoolHooks<Connection, Handle>['onRelease'];
  /** In ms; `Infinity` where the driver validates none. */
  readonly #validateAfter: number;
  /** What the last hook threw, `undefined` if it did not. */
  #lastFailure: unknown;
  /** Connections an `onAcquire` hook is working on. */
  preparing = 0;

  constructor(context: TurnaroundContext<Connection, Handle>) {
    this.#context = context;
    this.#driver = context.driver;
    this.#owner = context.owner;
    this.#onRelease = context.hooks.onRelease;
    this.#validateAfter = context.driver.validateAfter ?? Infinity;
  }

  /** A lease that has not begun: nobody has its handle but a hook. */
  lend(slot: Slot<Connection, Handle>, now: number): SlotLease<Connection, Handle> {
    const lease: SlotLease<Connection, Handle> = new Lease(this.#owner, ++this.#context.numbers.lease, slot, now);
    lease.handle = this.#driver.lend(slot.connection, lease);
    return lease;
  }

  /**
   * Lends a connection and runs `onAcquire` on it. `undefined` where the hook would not have it: then the
   * connection is on its way out.
   */
  prepare(
    slot: Slot<Connection, Handle>,
  ): SlotLease<Connection, Handle> | Promise<SlotLease<Connection, Handle> | undefined> | undefined {
    const now = this.#context.clock.now();
    const lease = this.lend(slot, now);
    const { onAcquire } = this.#context.hooks;
    const validates = this.mustValidate(slot, now);
    if (onAcquire === undefined && !validates) return lease;
    this.preparing++;
    const visit = () =>
      onAcquire === undefined || this.#run('onAcquire', () => onAcquire(lease.handle as Handle, slot.info(now)));
    const verdict = validates ? this.#validate(slot).then((isThere) => isThere && visit()) : visit();
    const conclude = (accepted: boolean): SlotLease<Connection, Handle> | undefined => {
      this.preparing--;
      // The hook may have closed the handle or discarded it, which is no less of a refusal; or begun what is not its to end.
      if (accepted && !lease.ended && slot.retired === undefined && !this.#isUnderWay(slot)) return lease;
      slot.retire('onAcquire');
      this.#context.onRefused(slot, this.#lastFailure ?? new Error('onAcquire refused the connection'));
      this.cancel(lease);
      this.#context.onUncovered();
      return undefined;
    };
    return isPromiseLike(verdict) ? verdict.then(conclude) : conclude(verdict);
  }

  #isUnderWay({ connection }: Slot<Connection, Handle>): boolean {
    if (!this.#driver.isInTransaction(connection) && this.#driver.isWorking?.(connection) !== true) return false;
    this.#lastFailure ??= new Error('onAcquire left something under way');
    return true;
  }

  /** Whether the connection has been idle for so long that nobody knows whether it is still there. */
  mustValidate(slot: Slot<Connection, Handle>, now: number): boolean {
    return slot.silentFor(now) >= this.#validateAfter;
  }

  /** That a connection is gone is no more than what was to be found out, and told by its discard. */
  async #validate(slot: Slot<Connection, Handle>): Promise<boolean> {
    try {
      await this.#context.patience.bound(this.#driver.validate?.(slot.connection), 'validate');
      slot.validatedAt = this.#context.clock.now();
      return true;
    } catch (error) {
      this.#lastFailure = error;
      slot.retire('validate');
      const now = this.#context.clock.now();
      this.#context.onSilent(now, this.#validateAfter);
      return false;
    }
  }

  /** Ends a lease that nobody got. */
  cancel(lease: SlotLease<Connection, Handle>): void {
    lease.ended = true;
    void this.cleanUp(lease);
  }

  /** Makes the connection of an ended lease fit for the next. Never throws or rejects. */
  cleanUp(lease: SlotLease<Connection, Handle>, dangling?: readonly string[]): void | Promise<void> {
    const residue = this.#driver.reclaim(lease.slot.connection);
    // Nothing left behind and no hook is the common case, and stays free of promises.
    if (residue === undefined && this.#onRelease === undefined && dangling === undefined)
      this.#context.onTurned(lease.slot, lease.slot.idleSince);
    else return this.#finish(lease, residue, dangling);
  }

  async #finish(
    lease: SlotLease<Connection, Handle>,
    reclaimed: Residue | undefined | PromiseLike<Residue | undefined>,
    dangling: readonly string[] | undefined,
  ): Promise<void> {
    const { slot } = lease;
    // Also where there is nothing to wait for: a connection released from within its own statement or transaction
    // function can be closed only after that has returned.
    await this.#settle(lease, reclaimed, dangling);
    const onRelease = this.#onRelease;
    if (onRelease !== undefined && slot.retired === undefined && !this.#context.patience.exhausted) {
      const visit = this.lend(slot, slot.idleSince);
      const info = slot.info(this.#context.clock.now());
      const verdict = this.#run('onRelease', () => onRelease(visit.handle as Handle, info));
      if (!(isPromiseLike(verdict) ? await verdict : verdict)) slot.retire('onRelease');
      visit.ended = true;
      await this.#settle(visit, this.#driver.reclaim(slot.connection));
    }
    this.#context.onTurned(slot, this.#context.clock.now());
  }

  /** Awaits and reports what a holder left. A clean-up that does not end gives the connection up. */
  async #settle(
    lease: SlotLease<Connection, Handle>,
    reclaimed: Residue | undefined | PromiseLike<Residue | undefined>,
    dangling?: readonly string[],
  ): Promise<void> {
    try {
      const residue = isPromiseLike(reclaimed) ? await this.#context.patience.bound(reclaimed, 'clean-up') : reclaimed;
      if (residue !== undefined || dangling !== undefined) this.#report(lease, residue ?? nothing, dangling);
    } catch (error) {
      this.#report(lease, { traces: [], reusable: false, errors: [error] }, dangling);
    }
  }

  /** Whether the hook accepts the connection. What it throws is reported. */
  #run(name: 'onAcquire' | 'onRelease', run: () => unknown): boolean | Promise<boolean> {
    const { events, patience } = this.#context;
    const failed = (error: unknown): false => {
      this.#lastFailure = error;
      events.error(error, `${name} failed`);
      return false;
    };
    const judged = (verdict: unknown): boolean => {
      this.#lastFailure = verdict === false ? new Error(`${name} returned false`) : undefined;
      return verdict !== false;
    };
    try {
      const result = run();
      return isPromiseLike(result) ? patience.bound(result, name).then(judged, failed) : judged(result);
    } catch (error) {
      return failed(error);
    }
  }

  #report(lease: SlotLease<Connection, Handle>, residue: Residue, dangling: readonly string[] = []): void {
    const { events, ledger } = this.#context;
    for (const error of residue.errors) events.error(error, 'Cleaning a connection failed');
    const traces = [...residue.traces, ...dangling];
    if (traces.length > 0) ledger.dirty(lease.scope, lease, traces);
    if (!residue.reusable) lease.slot.retire(residue.traces.join(', ') || (residue.reason ?? 'failed clean-up'));
  }
}

const nothing: Residue = { traces: [], reusable: true, errors: [] };
