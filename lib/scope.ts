import { AsyncLocalStorage } from 'node:async_hooks';
import { AbortError, NoConnectionError, NoScopeError, ScopeEndedError } from './errors.ts';
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
 * One logical request in one pool.
 *
 * Invariant: once `ended` is true it owns no lease and never gets one. Only `ScopedPool` changes it, and it
 * looks at `ended` again after each `await`.
 */
class Scope<Connection extends object, Handle extends object> implements ScopeRef {
  readonly id: number;
  readonly label: string | undefined;
  readonly signal: AbortSignal | undefined;
  /** The live scope it was opened in. Dropped at the end, so that lineages of detached work do not pile up. */
  parent: Scope<Connection, Handle> | undefined;
  waiting = 0;
  ended = false;
  /** The one lease it owns. May have ended before the scope, by `close()` of the handle or by the pool. */
  lease: SlotLease<Connection, Handle> | undefined;
  handle: Handle | undefined;
  /** The binding under way, so that parallel calls of `connection()` share one lease. */
  binding: Promise<Handle> | undefined;

  constructor(
    id: number,
    label: string | undefined,
    signal: AbortSignal | undefined,
    parent: Scope<Connection, Handle> | undefined,
  ) {
    this.id = id;
    this.label = label;
    this.signal = signal;
    this.parent = parent;
  }

  bind(lease: SlotLease<Connection, Handle>): Handle {
    lease.scope = this;
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
    const shared = checked.fresh ? undefined : outer?.bound;
    if (shared !== undefined) {
      if (checked.signal?.aborted) throw new AbortError(checked.signal);
      return await fn(shared);
    }
    const taken = this.take(checked, this.withConnection, outer);
    const lease = taken instanceof Lease ? taken : await taken;
    const scope = this.#openScope(lease.label, lease.signal, outer);
    const handle = scope.bind(lease);
    try {
      // It may have been aborted between the hand-off and now.
      if (lease.signal?.aborted) throw new AbortError(lease.signal);
      return await frames.run({ pool: this, scope, next: without(around, this) }, fn, handle);
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
   * @throws OptionsError, ClosedError, AbortError
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
    const scope = this.#openScope(label, joinSignals(signal, outer?.signal), outer);
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
    if (scope.ended) throw new ScopeEndedError(this.name, scope.id, scope.label);
    if (scope.bound !== undefined) return scope.bound;
    scope.binding ??= this.#bind(scope, checked);
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
    if (scope.ended) throw new ScopeEndedError(this.name, scope.id, scope.label);
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
    if (scope?.bound !== undefined)
      return await fn(scope.bound, (scope.lease as SlotLease<Connection, Handle>).slot.connection);
    const taken = this.take(options, entry);
    const lease = taken instanceof Lease ? taken : await taken;
    try {
      return await fn(handleOf(lease), lease.slot.connection);
    } finally {
      const returning = lease.release();
      if (returning !== undefined) await returning;
    }
  }

  protected override scope(): ScopeRef | undefined {
    return this.#liveScope();
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
    return new Scope(++this.#lastScopeId, label, signal, outer === undefined || outer.ended ? undefined : outer);
  }

  async #bind(scope: Scope<Connection, Handle>, options: AcquireOptions): Promise<Handle> {
    try {
      // Always awaited, so that `binding` is set by the time it is cleared.
      const lease = await this.take(options, this.connection);
      if (!scope.ended) return scope.bind(lease);
      await lease.release('scope');
      throw new ScopeEndedError(this.name, scope.id, scope.label);
    } finally {
      scope.binding = undefined;
    }
  }

  /** Ends a scope: what waits in it is cancelled, its lease released. Never throws or rejects. */
  #end(scope: Scope<Connection, Handle>): void | Promise<void> {
    scope.ended = true;
    if (scope.waiting > 0) {
      this.cancelWaiters(scope, () => new ScopeEndedError(this.name, scope.id, scope.label));
      // What still waits does so in detached scopes within this one, and no longer holds up those around it.
      for (let around = scope.parent; around !== undefined; around = around.parent) around.waiting -= scope.waiting;
    }
    scope.parent = undefined;
    const { lease } = scope;
    if (lease !== undefined && !lease.ended) return lease.release('scope');
  }
}
