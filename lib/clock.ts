import { AsyncLocalStorage } from 'node:async_hooks';
// The global of that name is a getter.
import { performance } from 'node:perf_hooks';

/** A timer that is set. */
export interface Timer {
  ref(): unknown;
  unref(): unknown;
}

/** Where the pool takes time from. Milliseconds, monotonic, from an arbitrary origin. */
export interface Clock {
  now(): number;
  /** Calls `callback` once, no earlier than `delay` ms from now. Keeps the process alive until `unref()`. */
  after(delay: number, callback: () => void): Timer;
  cancel(timer: Timer): void;
}

// Node fires longer delays at once.
const longestDelay = 2 ** 31 - 1;

/**
 * Runs a function in the async context this module was loaded in. A timer or a socket keeps the context of its
 * creator alive; those of the pool serve everybody, and must not be made in that of some request.
 */
export const outside = AsyncLocalStorage.snapshot();

export const systemClock: Clock = {
  now: () => performance.now(),
  after: (delay, callback) =>
    outside(() => setTimeout(callback, Math.min(Math.max(Math.ceil(delay), 1), longestDelay))),
  cancel: (timer) => clearTimeout(timer as NodeJS.Timeout),
};
