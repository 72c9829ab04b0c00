// The global of that name is a getter.
import { performance } from 'node:perf_hooks';
import { outside } from '../clock.ts';
import type { Tick } from './wire.ts';

// Milliseconds between two looks: they cost a tenth of a percent of a core. What keeps the loop for less may be missed in part.
const every = 50;

/**
 * Watches how long the event loop is kept from its timers. Keeps no process alive. Node's own `monitorEventLoopDelay` would miss what
 * comes right after its figures were reset.
 */
export class LoopWatch {
  readonly #timer: NodeJS.Timeout;
  #lookedAt = performance.now();
  #longest = 0;
  #utilization = performance.eventLoopUtilization();

  constructor() {
    this.#timer = outside(() => setInterval(() => this.#look(), every));
    this.#timer.unref();
  }

  /** Since the last call. */
  take(): Tick['loop'] {
    // It may be late itself, and before the timer.
    this.#look();
    const delay = this.#longest;
    this.#longest = 0;
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, this.#utilization);
    this.#utilization = now;
    return { delay, busy: utilization };
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const now = performance.now();
    this.#longest = Math.max(this.#longest, now - this.#lookedAt - every);
    this.#lookedAt = now;
  }
}
