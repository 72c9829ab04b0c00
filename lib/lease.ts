import type { Clock } from './clock.ts';
import type { LeaseControl, TransactionHistory } from './driver.ts';
import { type LeaseEnd, ReleasedError, ScopeEndedError } from './errors.ts';
import type { HolderInfo, LeaseMode, ScopeRef, Site } from './holder.ts';
import type { LeaseObserver } from './observer.ts';
import { TransactionEndedError } from './transaction-errors.ts';
import { stackOf } from './wording.ts';

/** What a lease needs to know of the slot it is for. */
export interface LeasableSlot {
  /** Number of the connection. */
  readonly id: number;
  /** The lease that holds it now, if it has begun: not one that is there for a hook. */
  readonly lease: unknown;
  /** Has the connection closed at its next return. */
  retire(reason: string): void;
}

/** What a lease needs from the pool that made it. One object a pool, so that a lease carries one reference. */
export interface LeaseOwner<Slot extends LeasableSlot, Handle extends object> {
  readonly name: string;
  readonly id: number;
  /** Whether stacks are captured. */
  readonly capturesStacks: boolean;
  readonly clock: Clock;
  /** Who is told of what becomes of the leases of the pool. */
  readonly observed: { readonly observer: LeaseObserver | undefined };
  takeBack(lease: Lease<Slot, Handle>, dangling: readonly string[] | undefined): void | Promise<void>;
  releasedTwice(): void;
  describe(lease: Lease<Slot, Handle>): HolderInfo;
  report(error: unknown, context: string): void;
}

/**
 * One checkout of one connection, from acquire to release. Made anew for every checkout, so that nothing a
 * holder keeps can reach the next lease of the same connection.
 *
 * Invariant: `ended` turns true once and never back, in the same synchronous step in which the slot
 * forgets the lease. Whoever sees `ended` false may use the connection until the next `await`.
 */
export class Lease<Slot extends LeasableSlot, Handle extends object> implements LeaseControl {
  readonly id: number;
  readonly slot: Slot;
  /** Time of the pool's clock. */
  startedAt: number;
  /** Once it has ended, the time of its end. */
  lastUsedAt: number;
  ended = false;
  #mode: LeaseMode = 'connection';
  lastSql: string | undefined;
  transactions: TransactionHistory = 'none';
  label: string | undefined;
  scope: ScopeRef | undefined;
  signal: AbortSignal | undefined;
  /** Where it was acquired, while stacks are captured. */
  site: Site | undefined;
  /**
   * The handle, held strongly until housekeeping finds the lease old; from then on the handle is watched by
   * a FinalizationRegistry instead. Registering every lease would cost as much as the lease.
   */
  handle: Handle | undefined;
  /** Whether it is the one of its scope, rather than one that code in the scope took for itself. */
  isBound = false;
  /** Whether the label is one that was given for it, which its scope's does not replace. */
  keepsLabel = false;
  /** Whether it was reported as held for too long. */
  overdue = false;
  readonly #owner: LeaseOwner<Slot, Handle>;
  #end: LeaseEnd = 'released';
  #endSite: Site | undefined;

  constructor(owner: LeaseOwner<Slot, Handle>, id: number, slot: Slot, startedAt: number) {
    this.#owner = owner;
    this.id = id;
    this.slot = slot;
    this.startedAt = startedAt;
    this.lastUsedAt = startedAt;
  }

  get mode(): LeaseMode {
    return this.#mode;
  }

  set mode(mode: LeaseMode) {
    const { observer } = this.#owner.observed;
    if (observer !== undefined && mode !== this.#mode) observer.turns(this);
    this.#mode = mode;
  }

  /** It begins later than it was lent: a hook has had it until now. */
  beginAt(now: number): void {
    this.startedAt = now;
    this.lastUsedAt = now;
  }

  get pool(): string {
    return this.#owner.name;
  }

  /** Whether it has ended otherwise than by its holder, or the holder's scope. */
  get wasTakenAway(): boolean {
    return this.ended && isTakenAway(this.#end);
  }

  get poolId(): number {
    return this.#owner.id;
  }

  /** @param dangling what else is left over at the end of its scope, in words, to be reported with what it leaves itself */
  release(end: LeaseEnd = 'released', dangling?: readonly string[]): void | Promise<void> {
    if (this.ended) {
      this.#owner.releasedTwice();
      return;
    }
    // To know where each lease was released would double what it costs to know where it was acquired.
    if (this.#owner.capturesStacks && (this.overdue || isTakenAway(end))) this.#endSite = captureSite(this.release);
    this.#end = end;
    this.ended = true;
    return this.#owner.takeBack(this, dangling);
  }

  discard(reason: string): void {
    if (!this.ended) this.slot.retire(reason);
  }

  /** What it is called by now: a scope that got its connection first may have learnt its name since. */
  get presentLabel(): string | undefined {
    const { scope } = this;
    return this.isBound && !this.keepsLabel && scope?.isNamedLater === true
      ? (scope.label ?? this.label)
      : (this.label ?? scope?.label);
  }

  describe(): HolderInfo {
    return this.#owner.describe(this);
  }

  report(error: unknown, context: string): void {
    this.#owner.report(error, context);
  }

  endedError(): Error {
    const { name, clock } = this.#owner;
    const endedFor = clock.now() - this.lastUsedAt;
    const acquireStack = stackOf(this.site);
    if (this.#end === 'scope' && this.scope !== undefined) {
      return new ScopeEndedError(name, this.scope.id, this.scope.label, endedFor, acquireStack);
    }
    if (this.#end === 'transaction') return new TransactionEndedError(name, this.presentLabel);
    return new ReleasedError(name, {
      lease: this.id,
      label: this.presentLabel,
      end: this.#end === 'scope' ? 'released' : this.#end,
      held: this.lastUsedAt - this.startedAt,
      endedFor,
      acquireStack,
      releaseStack: stackOf(this.#endSite),
    });
  }
}

/** Whether it was not its holder who ended it. */
function isTakenAway(end: LeaseEnd): boolean {
  return end === 'closed' || end === 'overdue' || end === 'dropped';
}

/** Records the stack above the function `below` without formatting it; that is done when somebody reads `stack`. */
export function captureSite(below: (...args: never[]) => unknown): Site {
  // Not an Error, which would record the stack a second time.
  const site: Site = {};
  Error.captureStackTrace(site, below);
  return site;
}
