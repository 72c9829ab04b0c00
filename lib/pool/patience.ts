import type { Clock } from '../clock.ts';

/** Something the pool waited for did not settle in time. It cannot be stopped, so its connection is given up. */
export class PatienceError extends Error {
  constructor(what: string, timeout: number) {
    super(`${what} did not settle within ${timeout} ms`);
    this.name = 'PatienceError';
  }
}

// What a connection that was taken away has to close in, in milliseconds.
const lastGrace = 1000;

/** Bounds what the pool awaits from user code and drivers, so that a promise that never settles costs no slot for good. */
export class Patience {
  readonly #clock: Clock;
  readonly #timeout: number;
  /** Rejects each wait under way. */
  readonly #waits = new Set<() => void>();
  /** Whether `giveUp` was called: from then on nothing is waited for longer than the last grace. */
  exhausted = false;

  constructor(clock: Clock, timeout: number) {
    this.#clock = clock;
    this.#timeout = timeout;
  }

  /** Waits for `promise`, at most `timeout` ms. Keeps the process alive meanwhile: somebody awaits the outcome. */
  async bound<T>(promise: T, what: string, patience = this.#timeout): Promise<Awaited<T>> {
    const timeout = this.exhausted ? Math.min(patience, lastGrace) : patience;
    const { promise: late, reject } = Promise.withResolvers<never>();
    const giveUp = () => reject(new PatienceError(what, timeout));
    const timer = timeout === Infinity ? undefined : this.#clock.after(timeout, giveUp);
    this.#waits.add(giveUp);
    try {
      return await Promise.race([promise, late]);
    } finally {
      this.#waits.delete(giveUp);
      if (timer !== undefined) this.#clock.cancel(timer);
    }
  }

  /** Ends every wait under way as if its time were over. */
  giveUp(): void {
    this.exhausted = true;
    for (const giveUp of this.#waits) giveUp();
  }
}
