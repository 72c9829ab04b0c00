import { AsyncLocalStorage } from 'node:async_hooks';
import type { HolderInfo } from './holder.ts';

/** Events of a pool and what each carries. Durations are milliseconds, `connection` and `lease` numbers of this pool. */
export interface PoolEvents {
  /** A connection was opened. */
  open: { readonly connection: number; readonly took: number };
  /** A connection was closed, for whatever reason. */
  close: { readonly connection: number; readonly reason: string };
  /** A lease was made. `waited` is 0 when a connection was idle. */
  acquire: {
    readonly lease: number;
    readonly connection: number;
    readonly label: string | undefined;
    readonly waited: number;
  };
  /** A lease ended. */
  release: {
    readonly lease: number;
    readonly connection: number;
    readonly label: string | undefined;
    readonly held: number;
  };
  /** A connection came back and was closed instead of pooled. */
  discard: { readonly connection: number; readonly reason: string };
  /** A holder left something behind. `traces` says what in words. */
  dirty: {
    readonly lease: number;
    readonly connection: number;
    readonly label: string | undefined;
    readonly scope: number | undefined;
    readonly traces: readonly string[];
  };
  /**
   * A lease is held for longer than `leakThreshold` (`overdue`), such a lease came back (`returned`), or a
   * handle was dropped without release and its slot recovered (`dropped`).
   */
  leak: { readonly kind: 'overdue' | 'returned' | 'dropped'; readonly holder: HolderInfo };
  /** An acquire gave up. */
  timeout: { readonly label: string | undefined; readonly waited: number; readonly error: Error };
  /** Every lease is held by a scope that itself waits. `label` is that of the waiter which completed the ring. */
  deadlock: { readonly label: string | undefined; readonly holders: readonly HolderInfo[] };
  /** Something failed that no caller can be told of: a clean-up, a hook on return, a listener. */
  error: Error;
}

export type PoolEventName = keyof PoolEvents;

/** Every event a pool can emit. */
export const poolEventNames: readonly PoolEventName[] = [
  'open',
  'close',
  'acquire',
  'release',
  'discard',
  'dirty',
  'leak',
  'timeout',
  'deadlock',
  'error',
];

export type PoolListener<Name extends PoolEventName> = (event: PoolEvents[Name]) => void;

interface Registration {
  readonly listener: unknown;
  readonly call: (event: never) => unknown;
}

/**
 * Typed listeners that can not harm the pool: each runs in the async context it was registered in, what
 * it throws or rejects with becomes an `error` event, and `error` without a listener is silent.
 */
export class PoolEmitter {
  // `undefined` means that nobody listens, so that the hot path asks with one property read and builds no payload.
  // All names are there from the start, and none is ever deleted, because that keeps the read fast.
  readonly #listeners: Record<PoolEventName, readonly Registration[] | undefined> = {
    open: undefined,
    close: undefined,
    acquire: undefined,
    release: undefined,
    discard: undefined,
    dirty: undefined,
    leak: undefined,
    timeout: undefined,
    deadlock: undefined,
    error: undefined,
  };

  /** Whether anybody listens; ask before building a payload. */
  has(name: PoolEventName): boolean {
    return this.#listeners[name] !== undefined;
  }

  on<Name extends PoolEventName>(name: Name, listener: PoolListener<Name>, once = false): void {
    const inContext = AsyncLocalStorage.bind(listener);
    let spent = false;
    const call = (event: PoolEvents[Name]): unknown => {
      // An event emitted by another listener of the same event comes before this one is told of the first.
      if (spent) return undefined;
      spent = once;
      if (once) this.#remove(name, registration);
      return inContext(event);
    };
    const registration: Registration = { listener, call };
    this.#listeners[name] = [...(this.#listeners[name] ?? []), registration];
  }

  off<Name extends PoolEventName>(name: Name, listener: PoolListener<Name>): void {
    const registration = this.#listeners[name]?.findLast((candidate) => candidate.listener === listener);
    if (registration !== undefined) this.#remove(name, registration);
  }

  #remove(name: PoolEventName, registration: Registration): void {
    const rest = this.#listeners[name]?.filter((candidate) => candidate !== registration) ?? [];
    this.#listeners[name] = rest.length === 0 ? undefined : rest;
  }

  emit<Name extends PoolEventName>(name: Name, event: PoolEvents[Name]): void {
    const registrations = this.#listeners[name];
    if (registrations === undefined) return;
    for (const { call } of registrations) {
      try {
        const result = call(event as never);
        if (isPromiseLike(result)) result.then(undefined, (error: unknown) => this.#listenerFailed(name, error));
      } catch (error) {
        this.#listenerFailed(name, error);
      }
    }
  }

  /** Reports a failure that nobody awaits. */
  error(error: unknown, context: string): void {
    if (this.has('error')) this.emit('error', error instanceof Error ? error : new Error(context, { cause: error }));
  }

  #listenerFailed(name: PoolEventName, error: unknown): void {
    // A failing `error` listener has nobody left to tell.
    if (name !== 'error') this.error(error, `A listener of "${name}" failed`);
  }

  clear(): void {
    for (const name of poolEventNames) this.#listeners[name] = undefined;
  }
}

export function isPromiseLike(value: unknown): value is PromiseLike<unknown> {
  return (
    value !== null &&
    (typeof value === 'object' || typeof value === 'function') &&
    typeof (value as { then?: unknown }).then === 'function'
  );
}
