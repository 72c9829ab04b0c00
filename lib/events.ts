import { AsyncLocalStorage } from 'node:async_hooks';
import type { Channel } from 'node:diagnostics_channel';
import { eventChannels, type PoolMessage } from './channels.ts';
import { isError, OptionsError } from './errors.ts';
import type { HolderInfo } from './holder.ts';

/** Events of a pool and what each carries. Durations are milliseconds, `connection` and `lease` numbers of this pool. */
export interface PoolEvents {
  /** A connection was opened. */
  open: { readonly connection: number; readonly took: number };
  /** A connection was closed, for whatever reason. */
  close: { readonly connection: number; readonly reason: string };
  /** An acquire, or a call that writes, has to queue. `waiting` counts those in the queue, this one included. */
  wait: { readonly for: 'connection' | 'write lane'; readonly label: string | undefined; readonly waiting: number };
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
  /**
   * A holder or a scope left something behind: an open transaction or iterator, a changed setting; of a scope also its
   * queued acquires, which were cancelled, and leases taken in it that are held still. `traces` says what in words.
   * `lease` and `connection` are `undefined` for a scope that held none at its end.
   */
  dirty: {
    readonly lease: number | undefined;
    readonly connection: number | undefined;
    readonly label: string | undefined;
    readonly scope: number | undefined;
    readonly traces: readonly string[];
    readonly message: string;
  };
  /**
   * A lease is held for longer than `leakThreshold` (`overdue`), such a lease came back (`returned`), or a
   * handle was dropped without release and its slot recovered (`dropped`).
   */
  leak: { readonly kind: LeakKind; readonly holder: HolderInfo; readonly message: string };
  /**
   * What the pool opens is no longer what its connections lead to: of SQLite, the file was replaced or deleted. Each is closed
   * when it comes back, the idle ones at once. `retired` counts them, `reason` says what was found.
   */
  replace: { readonly target: string; readonly reason: string; readonly retired: number; readonly message: string };
  /** A call gave up waiting for a connection, for the write lane, or for a lock. */
  timeout: { readonly label: string | undefined; readonly waited: number; readonly error: Error };
  /** Every lease is held by a scope that itself waits for a connection, or for one who does. `label` is that of the waiter which completed the ring. */
  deadlock: { readonly label: string | undefined; readonly holders: readonly HolderInfo[]; readonly message: string };
  /** Something failed that no caller can be told of: a clean-up, a hook on return, a listener. */
  error: Error;
}

export type LeakKind = 'overdue' | 'returned' | 'dropped';

export type PoolEventName = keyof PoolEvents;

/** Every event a pool can emit. */
export const poolEventNames: readonly PoolEventName[] = [
  'open',
  'close',
  'wait',
  'acquire',
  'release',
  'discard',
  'dirty',
  'leak',
  'replace',
  'timeout',
  'deadlock',
  'error',
];

const channels: Readonly<Partial<Record<PoolEventName, Channel>>> = eventChannels;

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
  /** Whose events they are. */
  readonly pool: PoolMessage;
  // `undefined` means that nobody listens, so that the hot path asks with one property read and builds no payload.
  // All names are there from the start, and none is ever deleted, because that keeps the read fast.
  readonly #listeners: Record<PoolEventName, readonly Registration[] | undefined> = {
    open: undefined,
    close: undefined,
    wait: undefined,
    acquire: undefined,
    release: undefined,
    discard: undefined,
    dirty: undefined,
    leak: undefined,
    replace: undefined,
    timeout: undefined,
    deadlock: undefined,
    error: undefined,
  };

  constructor(pool: PoolMessage) {
    this.pool = pool;
  }

  /** Whether anybody listens or subscribes; ask before building a payload. */
  has(name: PoolEventName): boolean {
    return this.hasListener(name) || channels[name]?.hasSubscribers === true;
  }

  /** The same, of an event that has no channel. */
  hasListener(name: PoolEventName): boolean {
    return this.#listeners[name] !== undefined;
  }

  /** @throws OptionsError */
  on<Name extends PoolEventName>(name: Name, listener: PoolListener<Name>, once = false): void {
    checkListener(name, listener);
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

  /** @throws OptionsError */
  off<Name extends PoolEventName>(name: Name, listener: PoolListener<Name>): void {
    checkListener(name, listener);
    const registration = this.#listeners[name]?.findLast((candidate) => candidate.listener === listener);
    if (registration !== undefined) this.#remove(name, registration);
  }

  #remove(name: PoolEventName, registration: Registration): void {
    const rest = this.#listeners[name]?.filter((candidate) => candidate !== registration) ?? [];
    this.#listeners[name] = rest.length === 0 ? undefined : rest;
  }

  emit<Name extends PoolEventName>(name: Name, event: PoolEvents[Name]): void {
    const channel = channels[name];
    // Subscribers run here and now, as is the way of diagnostics channels; Node reports what they throw.
    if (channel?.hasSubscribers) channel.publish(Object.assign({}, this.pool, event));
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
    if (this.has('error')) this.emit('error', isError(error) ? error : new Error(context, { cause: error }));
  }

  #listenerFailed(name: PoolEventName, error: unknown): void {
    // A failing `error` listener has nobody left to tell.
    if (name !== 'error') this.error(error, `A listener of "${name}" failed`);
  }

  clear(): void {
    for (const name of poolEventNames) this.#listeners[name] = undefined;
  }
}

function checkListener(name: unknown, listener: unknown): void {
  if (!poolEventNames.includes(name as PoolEventName)) {
    throw new OptionsError('event', name, `one of ${poolEventNames.join(', ')}`);
  }
  if (typeof listener !== 'function') throw new OptionsError('listener', listener, 'a function');
}

export function isPromiseLike(value: unknown): value is PromiseLike<unknown> {
  return (
    value !== null &&
    (typeof value === 'object' || typeof value === 'function') &&
    typeof (value as { then?: unknown }).then === 'function'
  );
}
