import { Cancellations } from './cancellations.ts';
import { AcquireTimeoutError, type Congestion } from './congestion-errors.ts';
import { type Frame, frames, scopeIn } from './context.ts';
import { AbortError, ScopeEndedError } from './errors.ts';
import { joinSignals, type ScopeRef, type WaitRequest } from './holder.ts';
import type { AcquireOptions } from './options.ts';
import { within } from './pause.ts';
import { Pool } from './pool/pool.ts';
import type { Entry } from './pool/request.ts';
import type { SlotLease } from './pool/slot.ts';
import type { Scope } from './scope.ts';
import { TransactionEndedError } from './transaction-errors.ts';
import { stackOf } from './wording.ts';

/**
 * A pool whose calls share the connection of their scope. Where another call is about to bind that, they wait for it, each
 * with a deadline and a signal of its own.
 */
export class SharingPool<Connection extends object, Handle extends object> extends Pool<Connection, Handle> {
  readonly #hasReserve: boolean;
  /** What ends the waits for a binding. One that has its connection already is not in it: nobody waits for that. */
  readonly #ends = new WeakMap<Promise<Handle>, Cancellations>();

  constructor(...params: ConstructorParameters<typeof Pool<Connection, Handle>>) {
    super(...params);
    this.#hasReserve = params[0].hasReserve === true;
  }

  protected override scope(): ScopeRef | undefined {
    return this.liveScope()?.ref;
  }

  /** The innermost scope of this pool in a frame, ended or not. */
  protected innermost(around: Frame | undefined): Scope<Connection, Handle> | undefined {
    return scopeIn(around, this) as Scope<Connection, Handle> | undefined;
  }

  /** The same, unless it has ended. */
  protected liveScope(around = frames.getStore()): Scope<Connection, Handle> | undefined {
    const scope = this.innermost(around);
    return scope === undefined || scope.ended ? undefined : scope;
  }

  /** What work gets that outlived its scope. */
  protected endedError({ ref, extent }: Scope<Connection, Handle>): Error {
    return extent === 'transaction' ? new TransactionEndedError(this.name, ref.label) : this.scopeEnded(ref);
  }

  protected scopeEnded({ id, label, endedAt, site }: ScopeRef): ScopeEndedError {
    return new ScopeEndedError(this.name, id, label, Math.max(0, this.clock.now() - endedAt), stackOf(site));
  }

  /** @param entry whose caller is to be recorded */
  protected waitRequest(options: AcquireOptions, entry: Entry | undefined, scope = this.scope()): WaitRequest {
    return {
      label: options.label ?? scope?.label,
      signal: joinSignals(options.signal, scope?.signal),
      priority: options.priority ?? 0,
      timeout: options.timeout ?? this.acquireTimeout,
      since: this.clock.now(),
      scope,
      site: entry && this.requests.siteOf(entry),
    };
  }

  /** The same where another call is about to bind the connection of the scope, `undefined` elsewhere. */
  protected sharingIn(
    scope: Scope<Connection, Handle> | undefined,
    options: AcquireOptions,
    entry: Entry,
  ): WaitRequest | undefined {
    return scope?.binding === undefined ? undefined : this.waitRequest(options, entry, scope.ref);
  }

  /** As `take`, with what is left of the time of a call that has waited for something else. */
  protected takeLate(
    request: WaitRequest,
    entry: Entry,
    scope: ScopeRef | undefined,
    holder?: ScopeRef,
  ): SlotLease<Connection, Handle> | Promise<SlotLease<Connection, Handle>> {
    return this.take({ ...request, timeout: this.#timeLeft(request) }, entry, scope, holder, request);
  }

  /** The connection of a scope for a call, `undefined` where it has none. Only a promise has to be waited for. */
  protected shared(
    scope: Scope<Connection, Handle> | undefined,
    request: WaitRequest,
  ): Handle | undefined | Promise<Handle | undefined> {
    if (scope?.binding !== undefined) return this.sharedBy(scope, scope.binding, request);
    const handle = scope?.bound;
    if (handle === undefined) this.refuseOrphan(scope);
    else if (request.signal?.aborted) throw new AbortError(request.signal);
    return handle;
  }

  /** The connection that another call is about to bind, `undefined` where that fails. */
  protected async sharedBy(
    scope: Scope<Connection, Handle>,
    binding: Promise<Handle>,
    request: WaitRequest,
  ): Promise<Handle | undefined> {
    // A failure is told to the one who called.
    const over = binding.then(nothing, nothing);
    const end = this.#ends.get(binding);
    // Where the connection is at hand, to set a timer would be for nothing.
    await (end === undefined ? over : this.#inTime(over, end, request));
    if (scope.ended) throw this.endedError(scope);
    if (request.signal?.aborted) throw new AbortError(request.signal);
    return scope.bound;
  }

  /** A binding has begun that has to wait for its connection. */
  protected bindsLater(binding: Promise<Handle>): void {
    this.#ends.set(binding, new Cancellations());
  }

  /** Breaks off the waits for what was to be bound to a scope. */
  protected cancelSharing({ binding }: Scope<Connection, Handle>, makeError: () => Error): void {
    if (binding !== undefined) this.#ends.get(binding)?.cancel(makeError);
  }

  async #inTime(over: Promise<void>, end: Cancellations, request: WaitRequest): Promise<void> {
    const { label, signal, since } = request;
    try {
      const timeoutError = () => this.#timeoutError(request);
      await within(over, this.clock, this.#timeLeft(request), timeoutError, { signal, ends: [end] });
      // The event loop may have come to the other call first, and only later to a deadline that had passed by then.
      if (this.#timeLeft(request) === 0) throw timeoutError();
    } catch (error) {
      const kind = error instanceof AcquireTimeoutError ? 'timeouts' : 'aborted';
      this.ledger.refused(kind, label, this.clock.now() - since, error);
      throw error;
    }
  }

  #timeLeft({ since, timeout }: WaitRequest): number {
    return Math.max(since + timeout - this.clock.now(), 0);
  }

  #timeoutError({ label, timeout, since }: WaitRequest): AcquireTimeoutError {
    const lateBy = Math.max(0, this.clock.now() - since - timeout);
    const waiter = { timeout, label, position: undefined, lateBy };
    // Who is about to bind is in the queue: a deadlock is looked for, and told of, with him.
    return new AcquireTimeoutError(waiter, this.#congestion(), { suspectedDeadlock: false, isReserve: false });
  }

  /** The state of the pool without the connection in reserve, which is for others. */
  #congestion(): Congestion {
    const { max, waiting } = this.stats();
    const reserve = this.#hasReserve ? this.reserve.lender : undefined;
    const reserved = new Set(reserve?.watch.held().map(({ id }) => id));
    const holders = this.leases().filter(({ id }) => !reserved.has(id));
    return { pool: this.name, max, leased: holders.length, waiting: waiting - (reserve?.waiting ?? 0), holders };
  }

  /**
   * Refuses code of a transaction that was rolled back for its signal: what it meant for a part of that would commit by itself.
   * @throws AbortError
   */
  protected refuseAborted(around: Frame | undefined): void {
    for (let level = around?.level; level !== undefined; level = level.around) {
      const { lease, signal } = level;
      if (level.ended && signal?.aborted === true && lease.poolId === this.id) throw new AbortError(signal);
    }
  }

  /** Refuses code of a transaction whose lease was taken away: on another connection it would commit by itself. */
  protected refuseOrphan(scope: Scope<Connection, Handle> | undefined): void {
    const lease = scope?.lease;
    if (lease?.ended !== true) return;
    const isLost = lease.transactions === 'lost' && lease.wasTakenAway;
    if (scope?.extent === 'transaction' || isLost) throw lease.endedError();
    for (let level = frames.getStore()?.level; level !== undefined; level = level.around) {
      if (level.lease === lease) throw lease.endedError();
    }
  }
}

function nothing(): void {}
