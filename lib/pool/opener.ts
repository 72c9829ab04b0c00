import { type Clock, outside, type Timer } from '../clock.ts';
import type { Driver } from '../driver.ts';
import { isPromiseLike } from '../events.ts';
import type { Patience } from './patience.ts';

// First pause after a failed open, doubled for each further one up to the longest, then cut by up to a half at random.
const firstPause = 50;
const longestPause = 1000;

export interface OpenerSettings<Connection> {
  readonly onOpen: ((connection: Connection) => unknown) | undefined;
  readonly patience: Patience;
  /** A pause is over. */
  readonly onResume: () => void;
  /** A connection that was given up could not be closed. */
  readonly onCloseError: (error: unknown) => void;
}

/**
 * Opens connections, and keeps from trying too often: after a failure it pauses, longer each time, until an
 * open succeeds.
 */
export class Opener<Connection extends object, Handle extends object> {
  readonly #driver: Driver<Connection, Handle>;
  readonly #clock: Clock;
  readonly #settings: OpenerSettings<Connection>;
  #failures = 0;
  #pause: Timer | undefined;
  #disposed = false;
  /** Why the last open failed, `undefined` once one succeeded. */
  lastError: unknown;

  constructor(driver: Driver<Connection, Handle>, clock: Clock, settings: OpenerSettings<Connection>) {
    this.#driver = driver;
    this.#clock = clock;
    this.#settings = settings;
  }

  /** Whether to leave the database alone for the moment. */
  get pausing(): boolean {
    return this.#pause !== undefined;
  }

  /**
   * Opens one connection and runs `onOpen` on it; at once where both are synchronous. Whatever fails, the
   * connection is closed again and the error goes to the caller.
   *
   * @param onLost is told of a connection that is lost, at any time from now on
   */
  open(onLost: (reason: string) => void): Connection | Promise<Connection> {
    try {
      // Not in the context of the request that happens to need it: a socket would keep that alive.
      const abandonment = new AbortController();
      const connection = outside(() => this.#driver.open(onLost, abandonment.signal));
      const done = isPromiseLike(connection) ? this.#finishOpen(connection, abandonment) : this.#welcome(connection);
      if (isPromiseLike(done)) return this.#settle(done);
      this.#succeeded();
      return done;
    } catch (error) {
      this.#failed(error);
      throw error;
    }
  }

  /** Ends the pause, if there is one, without a further try. There will be no other. */
  dispose(): void {
    this.#disposed = true;
    if (this.#pause !== undefined) this.#clock.cancel(this.#pause);
    this.#pause = undefined;
  }

  async #finishOpen(opening: PromiseLike<Connection>, abandonment: AbortController): Promise<Connection> {
    let connection: Connection;
    try {
      connection = await this.#settings.patience.bound(opening, 'open');
    } catch (error) {
      // One that arrives after it was given up must not stay open.
      opening.then(
        (late) => this.#close(late),
        () => {},
      );
      abandonment.abort(error);
      throw error;
    }
    return this.#welcome(connection);
  }

  /** Runs `onOpen`. */
  #welcome(connection: Connection): Connection | Promise<Connection> {
    const { onOpen, patience } = this.#settings;
    if (onOpen === undefined) return connection;
    let result: unknown;
    try {
      result = onOpen(connection);
    } catch (error) {
      this.#close(connection);
      throw error;
    }
    if (!isPromiseLike(result)) return connection;
    return patience.bound(result, 'onOpen').then(
      () => connection,
      (error: unknown) => {
        this.#close(connection);
        throw error;
      },
    );
  }

  async #settle(opening: Promise<Connection>): Promise<Connection> {
    try {
      const connection = await opening;
      this.#succeeded();
      return connection;
    } catch (error) {
      this.#failed(error);
      throw error;
    }
  }

  #succeeded(): void {
    this.#failures = 0;
    this.lastError = undefined;
  }

  #failed(error: unknown): void {
    this.backOff(error);
  }

  /** Begins a pause, unless one is under way. */
  backOff(error: unknown): void {
    this.lastError = error;
    if (this.#pause !== undefined || this.#disposed) return;
    const pause = Math.min(firstPause * 2 ** this.#failures, longestPause) * (1 - Math.random() / 2);
    this.#failures++;
    this.#pause = this.#clock.after(pause, () => {
      this.#pause = undefined;
      this.#settings.onResume();
    });
    // Those who wait for the next try keep the process alive by their own deadline.
    this.#pause.unref();
  }

  #close(connection: Connection): void {
    try {
      const closing = this.#driver.close(connection);
      if (isPromiseLike(closing)) closing.then(undefined, this.#settings.onCloseError);
    } catch (error) {
      this.#settings.onCloseError(error);
    }
  }
}
