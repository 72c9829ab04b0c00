import { type Frame, frames, withScopeOf } from './context.ts';
import { AbortError, NoConnectionError, NoScopeError } from './errors.ts';
import { isPromiseLike } from './events.ts';
import { joinSignals, type Label, ScopeRef, type SignalSource, signalWithin, type WaitRequest } from './holder.ts';
import {
  type AcquireOptions,
  checkAcquireOptions,
  checkOpenScopeOptions,
  checkScopeOptions,
  type OpenScopeOptions,
  type ScopeOptions,
} from './options.ts';
import type { Entry } from './pool/request.ts';
import { handleOf, type SlotLease } from './pool/slot.ts';
import { checkFunction } from './rules.ts';
import { OpenScope, Scope, type ScopeKeeper } from './scope.ts';
import { SharingPool } from './sharing-pool.ts';
import { formatCount, printable } from './wording.ts';

/** A pool whose leases follow the async context: at most one bound to each logical request. */
export class ScopedPool<Connection extends object, Handle extends object> extends SharingPool<Connection, Handle> {
  #lastScopeId = 0;
  readonly #keeper: ScopeKeeper<Handle> = {
    end: (scope) => this.#end(scope as Scope<Connection, Handle>),
    handle: () => this.ambient(),
  };

  /**
   * Runs `fn` with a connection bound to its async context. Inside a scope that has one, `fn` gets that, and
   * the outermost call releases it; else a connection is taken for as long as `fn` runs. The connection comes
   * back whatever happens: return, throw, rejection. The outcome of `fn` passes through unchanged.
   *
   * @throws OptionsError, OpenError, AcquireTimeoutError, QueueFullError, DeadlockError, ClosedError, AbortError
   */
  withConnection<Result>(fn: (db: Handle) => Result, options?: ScopeOptions): Promise<Awaited<Result>> {
    // Not an async function, to save its promise.
    try {
      checkFunction(fn, 'fn');
      const checked = checkScopeOptions(options);
      const around = frames.getStore();
      const outer = this.liveScope(around);
      if (!checked.fresh) {
        this.refuseAborted(around);
        this.refuseOrphan(outer);
      }
      if (outer !== undefined && !checked.fresh && (outer.binding !== undefined || outer.bound !== undefined)) {
        return this.#withShared(outer, fn, checked, around, this.sharingIn(outer, checked, this.withConnection));
      }
      // Held by the scope to come, so the one around is not named as holder: it will get the lease back by itself.
      return this.runBound(this.take(checked, this.withConnection, outer?.ref), fn, outer, around);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** `withConnection` where the scope around has a connection, or is about to. */
  async #withShared<Result>(
    outer: Scope<Connection, Handle>,
    fn: (db: Handle) => Result,
    options: ScopeOptions,
    around: Frame | undefined,
    request: WaitRequest | undefined,
  ): Promise<Awaited<Result>> {
    const { binding, bound } = outer;
    const shared = binding === undefined ? bound : await this.sharedBy(outer, binding, request as WaitRequest);
    if (shared === undefined) {
      const taken = this.takeLate(request as WaitRequest, this.withConnection, outer.ref);
      return this.runBound(taken, fn, outer, around);
    }
    if (options.signal?.aborted) throw new AbortError(options.signal);
    return await fn(shared);
  }

  /**
   * Runs `fn` in a scope of its own with a lease, which goes back whatever happens. For a transaction `fn` has to enter
   * the frame itself.
   */
  protected async runBound<Result>(
    taken: SlotLease<Connection, Handle> | Promise<SlotLease<Connection, Handle>>,
    fn: (db: Handle, frame: Frame) => Result,
    outer: Scope<Connection, Handle> | undefined,
    around: Frame | undefined,
    extent: 'connection' | 'transaction' = 'connection',
  ): Promise<Awaited<Result>> {
    // Always awaited, see below.
    const lease = await taken;
    const scope = this.#openScope(lease.label, lease.signal, outer, extent);
    const handle = scope.bind(lease);
    try {
      // It may have been aborted between the hand-off and now.
      if (lease.signal?.aborted) throw new AbortError(lease.signal);
      // After an `await` this changes the context of what is left of this call, and of nothing else: the caller gets
      // its own back with its promise. `run` would build a second context only to restore the first one, a quarter of
      // what an uncontended call takes.
      // What belongs to a transaction enters its context with that.
      const frame = withScopeOf(around, this, scope, scope.ref);
      if (extent === 'connection') frames.enterWith(frame);
      const result = fn(handle, frame);
      return isPromiseLike(result) ? await result : (result as Awaited<Result>);
    } finally {
      const ending = this.#end(scope);
      if (ending !== undefined) await ending;
    }
  }

  /**
   * Runs `fn` in a scope that holds no connection yet. `connection()` binds one until the end of `fn`; the
   * other methods take one only for as long as they need it. Inside a scope, `fn` runs in that one, unless
   * `fresh` is set.
   *
   * @throws OptionsError, AbortError
   */
  async withScope<Result>(
    fn: () => Result,
    options?: Pick<ScopeOptions, 'label' | 'signal' | 'fresh'>,
  ): Promise<Awaited<Result>> {
    checkFunction(fn, 'fn');
    const { label, signal, fresh } = checkScopeOptions(options);
    if (signal?.aborted) throw new AbortError(signal);
    const around = frames.getStore();
    const outer = this.liveScope(around);
    if (outer !== undefined && !fresh) return await fn();
    const scope = this.#openScope(label, joinSignals(signal, outer?.ref.signal), outer, 'connection');
    try {
      return await frames.run(withScopeOf(around, this, scope, scope.ref), fn);
    } finally {
      const ending = this.#end(scope);
      if (ending !== undefined) await ending;
    }
  }

  /**
   * Opens a scope that holds no connection yet and ends when its `end` is called. It is one of its own, also inside
   * another. For what runs within a function, `withScope` ends it by itself.
   *
   * @throws OptionsError
   */
  openScope(options?: OpenScopeOptions): OpenScope<Handle> {
    const { label, signal } = checkOpenScopeOptions(options);
    const around = frames.getStore();
    const outer = this.liveScope(around);
    const scope = this.#openScope(label, signalWithin(signal, outer?.ref), outer, 'connection');
    return new OpenScope(scope, withScopeOf(around, this, scope, scope.ref), this.#keeper);
  }

  /**
   * The connection of the current scope. Binds one if the scope has none; the scope gives it back at its end.
   *
   * @throws NoScopeError outside every scope, ScopeEndedError, and all that `acquire` throws
   */
  async connection(options?: AcquireOptions): Promise<Handle> {
    const checked = checkAcquireOptions(options);
    const request = this.sharingIn(this.liveScope(), checked, this.connection);
    const take = (ref: ScopeRef) =>
      request === undefined
        ? this.take(checked, this.connection, ref, ref)
        : this.takeLate(request, this.connection, ref, ref);
    return this.bindHere(take, checked.label !== undefined, request);
  }

  /** The connection of the current scope; binds what `take` gets if the scope has none. */
  protected async bindHere(
    take: (ref: ScopeRef, isLate: boolean) => SlotLease<Connection, Handle> | Promise<SlotLease<Connection, Handle>>,
    keepsLabel: boolean,
    request: WaitRequest | undefined,
    isLate = false,
  ): Promise<Handle> {
    const scope = this.innermost(frames.getStore());
    if (scope === undefined) throw new NoScopeError(this.name);
    if (scope.ended) throw this.endedError(scope);
    if (scope.bound !== undefined) return scope.bound;
    this.refuseOrphan(scope);
    if (scope.binding !== undefined) {
      const shared = await this.sharedBy(scope, scope.binding, request as WaitRequest);
      if (shared !== undefined) return shared;
      // What failed was another's call, with its own deadline and signal.
      return this.bindHere(take, keepsLabel, request, true);
    }
    const taken = take(scope.ref, isLate);
    scope.binding = this.#bind(scope, taken, keepsLabel);
    if (taken instanceof Promise) this.bindsLater(scope.binding);
    return scope.binding;
  }

  /** The connection bound to the current scope, `undefined` if there is none. Never throws, never takes one. */
  get current(): Handle | undefined {
    return this.liveScope()?.bound;
  }

  /** The connection bound to the current scope, for a handle that stands for it. */
  protected ambient(): Handle {
    const scope = this.innermost(frames.getStore());
    if (scope === undefined) throw new NoConnectionError(this.name, false);
    if (scope.ended) throw this.endedError(scope);
    if (scope.lease === undefined) throw new NoConnectionError(this.name, true);
    if (scope.lease.ended) throw scope.lease.endedError();
    return scope.handle as Handle;
  }

  /** Runs `fn` on the bound connection where there is one, else on one taken for as long as `fn` runs, bound to nothing. */
  protected borrow<Result>(
    fn: (db: Handle, connection: Connection) => Result,
    request: WaitRequest,
    entry: Entry,
    isLate = false,
  ): Promise<Awaited<Result>> {
    // Not an async function, to save its promise.
    try {
      const scope = this.liveScope();
      const sharing = this.shared(scope, request);
      // Not awaited where there is nothing to wait for: the deadline counts from the call.
      if (sharing !== undefined) return this.#borrowShared(fn, sharing, scope, request, entry);
      // It comes back by itself, so the scope is not named as its holder: it can be part of no deadlock.
      if (isLate) return this.lendTo(fn, this.takeLate(request, entry, scope?.ref));
      const call = request.site && { since: undefined, site: request.site };
      return this.lendTo(fn, this.take(request, entry, scope?.ref, undefined, call));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** `borrow` where the scope has a connection, or is about to. */
  async #borrowShared<Result>(
    fn: (db: Handle, connection: Connection) => Result,
    sharing: Handle | Promise<Handle | undefined>,
    scope: Scope<Connection, Handle> | undefined,
    request: WaitRequest,
    entry: Entry,
  ): Promise<Awaited<Result>> {
    const shared = await sharing;
    if (shared !== undefined && scope?.lease !== undefined) return await fn(shared, scope.lease.slot.connection);
    return this.lendTo(fn, this.takeLate(request, entry, scope?.ref));
  }

  /** Runs `fn` on a lease, bound to nothing, which goes back whatever happens. */
  protected async lendTo<Result>(
    fn: (db: Handle, connection: Connection) => Result,
    taken: SlotLease<Connection, Handle> | Promise<SlotLease<Connection, Handle>>,
  ): Promise<Awaited<Result>> {
    // Always awaited, so that calls take effect in the order they are made: others, too, begin a microtask later.
    const lease = await taken;
    try {
      return await fn(handleOf(lease), lease.slot.connection);
    } finally {
      const returning = lease.release();
      if (returning !== undefined) await returning;
    }
  }

  #openScope(
    label: Label | undefined,
    signal: SignalSource | undefined,
    outer: Scope<Connection, Handle> | undefined,
    extent: 'connection' | 'transaction',
  ): Scope<Connection, Handle> {
    const parent = outer === undefined || outer.ended ? undefined : outer.ref;
    if (parent !== undefined) parent.open++;
    return new Scope(new ScopeRef(++this.#lastScopeId, label ?? inherited(parent), signal, parent), extent);
  }

  async #bind(
    scope: Scope<Connection, Handle>,
    taken: SlotLease<Connection, Handle> | Promise<SlotLease<Connection, Handle>>,
    keepsLabel: boolean,
  ): Promise<Handle> {
    try {
      // Always awaited, so that `binding` is set by the time it is cleared.
      const lease = await taken;
      lease.keepsLabel = keepsLabel;
      if (!scope.ended) return scope.bind(lease);
      await lease.release('scope');
      throw this.endedError(scope);
    } finally {
      scope.binding = undefined;
    }
  }

  /** Ends a scope: what waits in it is cancelled, its lease released. Never throws or rejects. */
  #end(scope: Scope<Connection, Handle>): void | Promise<void> {
    const { ref, lease } = scope;
    const own = lease === undefined || lease.ended ? undefined : lease;
    let dangling: readonly string[] | undefined;
    let undone: readonly Promise<void>[] = [];
    scope.ended = true;
    ref.ended = true;
    scope.hadTransactions = lease !== undefined && lease.transactions !== 'none';
    // Work that outlives the scope keeps it, but shall not keep what it held.
    scope.lease = undefined;
    scope.handle = undefined;
    const mayDangle = ref.waiting > 0 || ref.ends !== undefined || scope.transactions !== undefined;
    if (mayDangle || ref.open > (own === undefined ? 0 : 1)) {
      const { traces, ends } = this.#cutLoose(scope, own);
      undone = ends;
      if (traces.length > 0) dangling = traces;
      if (own === undefined && dangling !== undefined) this.ledger.dirty(ref, undefined, dangling);
    }
    if (ref.parent !== undefined) ref.parent.open--;
    ref.parent = undefined;
    const returning = own?.release(scope.extent === 'transaction' ? 'transaction' : 'scope', dangling);
    // Without a fraction, so that each scope does not need a place for one.
    ref.endedAt = Math.trunc(own?.lastUsedAt ?? this.clock.now());
    if (undone.length === 0) return returning;
    return Promise.all([returning, ...undone]).then(() => {});
  }

  /**
   * Cancels what waits in a scope that ends, and undoes what was opened in it. Says in words what it leaves besides its own
   * lease, and when that is undone.
   */
  #cutLoose(
    scope: Scope<Connection, Handle>,
    own: SlotLease<Connection, Handle> | undefined,
  ): { readonly traces: readonly string[]; readonly ends: readonly Promise<void>[] } {
    const { ref } = scope;
    // Before anybody is refused for it.
    ref.endedAt = Math.trunc(this.clock.now());
    const makeError = () => this.endedError(scope);
    const traces: string[] = [];
    const acquires = this.cancelWaiters(ref, makeError);
    // They wait for one of those, which count.
    this.cancelSharing(scope, makeError);
    if (acquires > 0) traces.push(formatCount(acquires, 'queued acquire'));
    // What still waits does so in detached scopes within this one, and no longer holds up those around it.
    for (let around = ref.parent; around !== undefined; around = around.parent) around.waiting -= ref.waiting;
    const writes = ref.ends?.size ?? 0;
    if (writes > 0) traces.push(formatCount(writes, 'queued write'));
    ref.ends?.cancel(makeError);
    const parts = Array.from(scope.transactions ?? []);
    // The scope's own lease tells by itself.
    const open = parts.filter((part) => part.lease()?.ended === false && part.lease() !== own).length;
    if (open > 0) traces.push(formatCount(open, 'open transaction'));
    const ends = parts.map((part) => part.end(makeError));
    for (const child of this.leasesIn(ref)) {
      if (child === own) continue;
      traces.push(`lease #${child.id}${child.label === undefined ? '' : ` "${printable(child.label)}"`}`);
      // What is aborted can commit nothing any more; and its function may hang, while others wait for what it holds.
      if (child.isBound && child.signal?.aborted === true) ends.push(Promise.resolve(child.release('scope')));
    }
    return { traces, ends };
  }
}

/** What a scope is called that has no label of its own. */
function inherited(parent: ScopeRef | undefined): Label | undefined {
  return parent?.isNamedLater === true ? () => parent.label : parent?.label;
}
