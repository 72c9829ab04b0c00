import { PoolEmitter, type PoolEventName, type PoolListener } from '../events.ts';
import { logEvents } from '../log.ts';

// Under this name every copy of the package in the process counts on.
const lastIdKey = Symbol.for('leasehold.lastPoolId');
const shared = globalThis as { [lastIdKey]?: number };

function nextId(): number {
  const id = (shared[lastIdKey] ?? 0) + 1;
  shared[lastIdKey] = id;
  return id;
}

/** Method of a pool for what watches it, of whatever copy of the package. */
export const whenClosed: unique symbol = Symbol.for('leasehold.whenClosed') as never;

/** A pool as seen from outside: its name, its number and its events. */
export class ObservablePool {
  /** Number in logs and on diagnostics channels, unique in the process. */
  readonly id = nextId();
  /** Name in messages, events and `util.inspect`. */
  readonly name: string;
  readonly #events: PoolEmitter;
  readonly #onClosed = new Set<() => void>();

  constructor(name: string) {
    this.name = name;
    this.#events = new PoolEmitter({ pool: name, poolId: this.id });
    logEvents(this.#events, name, this.id);
  }

  /** Calls `listener` once the pool has been closed, unless what is returned is called before. That does not hold the pool. */
  [whenClosed](listener: () => void): () => void {
    const listeners = this.#onClosed;
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
    };
  }

  /** It has been closed: nobody hears of it any more. */
  protected endEvents(): void {
    this.#events.clear();
    for (const listener of this.#onClosed) {
      try {
        listener();
      } catch {
        // What fails while it stops watching has nobody left to tell, and must not keep the others.
      }
    }
    this.#onClosed.clear();
  }

  protected get events(): PoolEmitter {
    return this.#events;
  }

  /**
   * Calls `listener` on each event, in the async context of this call. What it throws becomes an `error` event.
   * @throws OptionsError for a name that is no event
   */
  on<Name extends PoolEventName>(name: Name, listener: PoolListener<Name>): this {
    this.#events.on(name, listener);
    return this;
  }

  /** As `on`, for the next event only. */
  once<Name extends PoolEventName>(name: Name, listener: PoolListener<Name>): this {
    this.#events.on(name, listener, true);
    return this;
  }

  /** Removes a listener that was added by `on` or `once`. */
  off<Name extends PoolEventName>(name: Name, listener: PoolListener<Name>): this {
    this.#events.off(name, listener);
    return this;
  }
}
