import { type Frame, frames } from './context.ts';
import type { LeaseControl } from './driver.ts';
import type { ScopeRef } from './holder.ts';
import { handleOf, type SlotLease } from './pool/slot.ts';

/** A transaction that was opened in a scope to be ended by a call. */
export interface OpenPart {
  /** What it is open on, `undefined` while it is not. */
  lease(): LeaseControl | undefined;
  /** Has it undone, with an error made for it, and tells when it is. */
  end(makeError: () => Error): Promise<void>;
}

/**
 * One logical request in one pool, as its code holds it. Only the async context refers to it: what the pool keeps
 * of a scope is its `ref`, so that a request which hangs and is forgotten takes its handle with it, and the pool
 * can recover the lease.
 *
 * Invariant: once `ended` is true it owns no lease and never gets one. Only `ScopedPool` changes it, and it
 * looks at `ended` again after each `await`.
 */
export class Scope<Connection extends object, Handle extends object> {
  readonly ref: ScopeRef;
  /** What the scope is the extent of. */
  readonly extent: 'connection' | 'transaction';
  ended = false;
  /** Once it has ended: whether there were transactions on its lease, so that what is left over may be of one. */
  hadTransactions = false;
  /** The one lease it owns. May have ended before the scope, by `close()` of the handle or by the pool. */
  lease: SlotLease<Connection, Handle> | undefined;
  handle: Handle | undefined;
  /** The binding under way, so that parallel calls share one lease. */
  binding: Promise<Handle> | undefined;
  /** Those that do not outlive it. Not kept by `ref`, so that what is dropped with the scope can be recovered. */
  transactions: Set<OpenPart> | undefined;

  constructor(ref: ScopeRef, extent: 'connection' | 'transaction') {
    this.ref = ref;
    this.extent = extent;
  }

  bind(lease: SlotLease<Connection, Handle>): Handle {
    // It has been counted where it was asked for in this scope.
    if (lease.scope !== this.ref && !lease.ended) this.ref.open++;
    lease.scope = this.ref;
    lease.isBound = true;
    if (lease.site !== undefined) this.ref.site = lease.site;
    this.lease = lease;
    this.handle = handleOf(lease);
    return this.handle;
  }

  /** The handle, while the lease is held. */
  get bound(): Handle | undefined {
    return this.lease === undefined || this.lease.ended ? undefined : this.handle;
  }
}

// One for all: most scopes have nothing to wait for when they end.
const done = Promise.resolve();

/** What an open scope asks of its pool. */
export interface ScopeKeeper<Handle extends object> {
  /** Ends a scope. Never throws or rejects. */
  end(scope: Scope<object, Handle>): void | Promise<void>;
  /** The connection bound to the scope of the present context. Throws where there is none. */
  handle(): Handle;
}

/**
 * A scope that ends by a call, not with a function: for servers, whose requests begin in one callback and end with an
 * event. Made by `openScope`. Whoever opens it has to end it.
 */
export class OpenScope<Handle extends object> implements AsyncDisposable {
  readonly #scope: Scope<object, Handle>;
  readonly #frame: Frame;
  readonly #keeper: ScopeKeeper<Handle>;
  #isEnding = false;
  #ending: Promise<void> | undefined;
  #told: PromiseWithResolvers<void> | undefined;

  constructor(scope: Scope<object, Handle>, frame: Frame, keeper: ScopeKeeper<Handle>) {
    this.#scope = scope;
    this.#frame = frame;
    this.#keeper = keeper;
  }

  /**
   * Runs `fn` in the scope: what it calls finds the scope's connection. May be called any number of times. After the
   * end, `fn` runs as what is left over of the scope.
   */
  run<Result>(fn: () => Result): Result {
    return frames.run(this.#frame, fn);
  }

  get ended(): boolean {
    return this.#scope.ended;
  }

  /** The connection bound to the scope, `undefined` if there is none. Never throws, never takes one. */
  get current(): Handle | undefined {
    return this.#scope.bound;
  }

  /**
   * The connection bound to the scope.
   * @throws NoConnectionError, ScopeEndedError, ReleasedError
   */
  get db(): Handle {
    return this.run(this.#keeper.handle);
  }

  /**
   * Ends the scope: what waits in it is cancelled, an open transaction rolled back and reported, its connection given
   * back. Never rejects. Further calls wait for the same.
   */
  end(): Promise<void> {
    if (this.#ending !== undefined) return this.#ending;
    if (this.#isEnding) {
      // Called by somebody who is told of what is left over.
      this.#told ??= Promise.withResolvers<void>();
      return this.#told.promise;
    }
    this.#isEnding = true;
    const ending = this.#keeper.end(this.#scope) ?? done;
    this.#told?.resolve(ending);
    this.#ending = this.#told?.promise ?? ending;
    return this.#ending;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.end();
  }
}
