import { AsyncLocalStorage } from 'node:async_hooks';
import { AbortError, NoConnectionError, NoScopeError, ScopeEndedError } from './errors.ts';
import { isPromiseLike } from './events.ts';
import { joinSignals, type ScopeRef } from './holder.ts';
import { Lease } from './lease.ts';
import {
  type AcquireOptions,
  checkAcquireOptions,
  checkFunction,
  checkScopeOptions,
  type ScopeOptions,
} from './options.ts';
import { handleOf } from './pool/lender.ts';
import { type Entry, Pool } from './pool/pool.ts';
import type { SlotLease } from './pool/slot.ts';

/**
 * One logical request in one pool, as its code holds it. Only the async context refers to it: what the pool keeps
 * of a scope is its `ref`, so that a request which hangs and is forgotten takes its handle with it, and the pool
 * can recover the lease.
 *
 * Invariant: once `ended` is true it owns no lease and never gets one. Only `ScopedPool` changes it, and it
 * looks at `ended` again after each `await`.
 */
class Scope<Connection extends object, Handle extends object> {
  readonly ref: ScopeRef;
  ended = false;
  /** The one lease it owns. May have ended before the scope, by `close()` of the handle or by the pool. */
  lease: SlotLease<Connection, Handle> | undefined;
  handle: Handle | undefined;
  /** The binding under way, so that parallel calls share one lease. */
  binding: Promise<Handle> | undefined;

  constructor(ref: ScopeRef) {
    this.ref = ref;
  }

  bind(lease: SlotLease<Connection, Handle>): Handle {
    lease.scope = this.ref;
    this.lease = lease;
    this.handle = handleOf(lease);
    return this.handle;
  }

  /** The handle, while the lease is held. */
  get bound(): Handle | undefined {
    return this.lease === undefined || this.lease.ended ? undefined : this.handle;
  }
}

/**
 * What the async context carries: the innermost scope of each pool the code runs in, at most one a pool. One
 * AsyncLocalStorage for all pools costs `run` less than one each.
 */
interface Frame {
  readonly pool: object;
  readonly scope: unknown;
  readonly next: Frame | undefined;
}

const frames = new AsyncLocalStorage<Frame>();

/** The frames without that of `pool`, shared with `frame` as far as possible. */
function without(frame: Frame | undefined, pool: object): Frame | undefined {
  if (frame === undefined) return undefined;
  if (frame.pool === pool) return frame.next;
  const next = without(frame.next, pool);
  return next === frame.next ? frame : { ...frame, next };
}

/** A pool whose leases follow the async context: at most one bound to each logical request. */
export class ScopedPool<Connection extends object, Handle extends object> extends Pool<Connection, Handle> {
  #lastScopeId = 0;

  /**
   * Runs `fn` with a connection bound to its async context. Inside a scope that has one, `fn` gets that, and
   * the outermost call releases it; else a connection is taken for as long as `fn` runs. The connection comes
   * back whatever happens: return, throw, rejection. The outcome of `fn` passes through unchanged.
   *
   * @throws OptionsError, OpenError, AcquireTimeoutError, QueueFullError, DeadlockError, ClosedError, AbortError
   */
  async withConnection<Result>(fn: (db: Handle) => Result, options?: ScopeOptions): Promise<Awaited<Result>> {
    checkFunction(fn, 'fn');
    const checked = checkScopeOptions(options);
    const around = frames.getStore();
    const outer = this.#liveScope(around);
    if (outer !== undefined && !checked.fresh) {
      const shared = outer.binding === undefined ? outer.bound : await this.#sharedBy(outer);
      if (shared !== undefined) {
        if (checked.signal?.aborted) throw new AbortError(checked.signal);
        return await fn(shared);
      }
    }
    // Held by the scope to come, so the one around is not named as holder: it will get the lease back by itself.
    // Always awaited, see below.
    const lease = await this.take(checked, this.withConnection, outer?.ref);
    const scope = this.#openScope(lease.label, lease.signal, outer);
    const handle = scope.bind(lease);
    try {
      // It may have been aborted between the hand-off and now.
      if (lease.signal?.aborted) throw new AbortError(lease.signal);
      // After an `await` this changes the context of what is left of this call, and of nothing else: the caller gets
      // its own back with its promise. `run` would build a second context only to restore the first one, a quarter of
      // what an uncontended call takes.
      frames.enterWith({ pool: this, scope, next: without(around, this) });
      const result = fn(handle);
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
    const outer = this.#liveScope(around);
    if (outer !== undefined && !fresh) return await fn();
    const scope = this.#openScope(label, joinSignals(signal, outer?.ref.signal), outer);
    try {
      return await frames.run({ pool: this, scope, next: without(around, this) }, fn);
    } finally {
      const ending = this.#end(scope);
      if (ending !== undefined) await ending;
    }
  }

  /**
   * The connection of the current scope. Binds one if the scope has none; the scope gives it back at its end.
   *
   * @throws NoScopeError outside every scope, ScopeEndedError, and all that `acquire` throws
   */
  async connection(options?: AcquireOptions): Promise<Handle> {
    const checked = checkAcquireOptions(options);
    const scope = this.#innermost(frames.getStore());
    if (scope === undefined) throw new NoScopeError(this.name);
    if (scope.ended) throw this.#endedError(scope);
    if (scope.bound !== undefined) return scope.bound;
    if (scope.binding !== undefined) {
      const shared = await this.#sharedBy(scope);
      if (shared !== undefined) return shared;
      // What failed was another's call, with its own deadline and signal.
      return this.connection(options);
    }
    const taken = this.take(checked, this.connection, scope.ref, scope.ref);
    scope.binding = this.#bind(scope, taken);
    return scope.binding;
  }

  /** The connection bound to the current scope, `undefined` if there is none. Never throws, never takes one. */
  get current(): Handle | undefined {
    return this.#liveScope()?.bound;
  }

  /** The connection bound to the current scope, for a handle that stands for it. */
  protected ambient(): Handle {
    const scope = this.#innermost(frames.getStore());
    if (scope === undefined) throw new NoConnectionError(this.name, false);
    if (scope.ended) throw this.#endedError(scope);
    if (scope.lease === undefined) throw new NoConnectionError(this.name, true);
    if (scope.lease.ended) throw scope.lease.endedError();
    return scope.handle as Handle;
  }

  /** Runs `fn` on the bound connection where there is one, else on one taken for as long as `fn` runs, bound to nothing. */
  protected async borrow<Result>(
    fn: (db: Handle, connection: Connection) => Result,
    options: AcquireOptions,
    entry: Entry,
  ): Promise<Awaited<Result>> {
    const scope = this.#liveScope();
    if (scope !== undefined) {
      const shared = scope.binding === undefined ? scope.bound : await this.#sharedBy(scope);
      if (shared !== undefined && scope.lease !== undefined) {
        if (options.signal?.aborted) throw new AbortError(options.signal);
        return await fn(shared, scope.lease.slot.connection);
      }
    }
    // It comes back by itself, so the scope is not named as its holder: it can be part of no deadlock.
    const taken = this.take(options, entry, scope?.ref);
    const lease = taken instanceof Lease ? taken : await taken;
    try {
      return await fn(handleOf(lease), lease.slot.connection);
    } finally {
      const returning = lease.release();
      if (returning !== undefined) await returning;
    }
  }

  protected override scope(): ScopeRef | undefined {
    return this.#liveScope()?.ref;
  }

  /** The innermost scope of this pool around the caller, ended or not. */
  #innermost(around: Frame | undefined): Scope<Connection, Handle> | undefined {
    for (let frame = around; frame !== undefined; frame = frame.next) {
      if (frame.pool === this) return frame.scope as Scope<Connection, Handle>;
    }
    return undefined;
  }

  #liveScope(around = frames.getStore()): Scope<Connection, Handle> | undefined {
    const scope = this.#innermost(around);
    return scope === undefined || scope.ended ? undefined : scope;
  }

  #openScope(
    label: string | undefined,
    signal: AbortSignal | undefined,
    outer: Scope<Connection, Handle> | undefined,
  ): Scope<Connection, Handle> {
    const parent = outer === undefined || outer.ended ? undefined : outer.ref;
    return new Scope({ id: ++this.#lastScopeId, label, signal, parent, waiting: 0 });
  }

  /** The connection that another call is about to bind, `undefined` where that fails. */
  async #sharedBy(scope: Scope<Connection, Handle>): Promise<Handle | undefined> {
    try {
      await scope.binding;
    } catch {
      // Told to the one who called.
    }
    return scope.ended ? undefined : scope.bound;
  }

  async #bind(
    scope: Scope<Connection, Handle>,
    taken: SlotLease<Connection, Handle> | Promise<SlotLease<Connection, Handle>>,
  ): Promise<Handle> {
    try {
      // Always awaited, so that `binding` is set by the time it is cleared.
      const lease = await taken;
      if (!scope.ended) return scope.bind(lease);
      await lease.release('scope');
      throw this.#endedError(scope);
    } finally {
      scope.binding = undefined;
    }
  }

  #endedError({ ref }: Scope<Connection, Handle>): ScopeEndedError {
    return new ScopeEndedError(this.name, ref.id, ref.label);
  }

  /** Ends a scope: what waits in it is cancelled, its lease released. Never throws or rejects. */
  #end(scope: Scope<Connection, Handle>): void | Promise<void> {
    const { ref, lease } = scope;
    scope.ended = true;
    // Work that outlives the scope keeps it, but shall not keep what it held.
    scope.lease = undefined;
    scope.handle = undefined;
    if (ref.waiting > 0) {
      this.cancelWaiters(ref, () => this.#endedError(scope));
      // What still waits does so in detached scopes within this one, and no longer holds up those around it.
      for (let around = ref.parent; around !== undefined; around = around.parent) around.waiting -= ref.waiting;
    }
    ref.parent = undefined;
    if (lease !== undefined && !lease.ended) return lease.release('scope');
  }
}
