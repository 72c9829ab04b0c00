import type { Clock, Timer } from '../clock.ts';

// It is done this often, in milliseconds, or four times within the shortest limit it watches.
const usualInterval = 1000;
const shortestInterval = 5;

/** What a pool does from time to time. Keeps neither the process alive nor a pool that everybody else has forgotten. */
export class Housekeeping<Owner extends object> {
  readonly interval: number;
  readonly #clock: Clock;
  readonly #owner: WeakRef<Owner>;
  readonly #tidy: (owner: Owner) => boolean;
  /** Set while there is something to look after. */
  #timer: Timer | undefined;

  /**
   * @param limits durations, in milliseconds, after which something is due
   * @param tidy says whether there will be more to do; must not hold the owner
   */
  constructor(clock: Clock, limits: readonly number[], owner: Owner, tidy: (owner: Owner) => boolean) {
    this.#clock = clock;
    this.interval = Math.max(shortestInterval, Math.min(usualInterval, Math.min(...limits) / 4));
    this.#owner = new WeakRef(owner);
    this.#tidy = tidy;
  }

  /** From now on there is something to look after. */
  start(): void {
    if (this.#timer !== undefined) return;
    this.#timer = this.#clock.after(this.interval, this.#tick);
    this.#timer.unref();
  }

  stop(): void {
    if (this.#timer !== undefined) this.#clock.cancel(this.#timer);
    this.#timer = undefined;
  }

  readonly #tick = (): void => {
    this.#timer = undefined;
    const owner = this.#owner.deref();
    if (owner !== undefined && this.#tidy(owner)) this.start();
  };
}
