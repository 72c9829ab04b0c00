import type { Cancellations } from './cancellations.ts';
import type { Clock } from './clock.ts';
import { AbortError } from './errors.ts';
import { type QueueRequest, WaiterQueue } from './waiters.ts';

/** One who wants through. */
export interface TurnRequest<Holder> extends QueueRequest {
  readonly holder: Holder;
  /** The error for one whose deadline passed `lateBy` milliseconds ago. `position` is his in the queue, from 1. */
  timeoutError(position: number | undefined, lateBy: number): Error;
}

/**
 * The deadline of a request as a queue wants it. A queue keeps those with the same timeout in the order of their
 * arrival, so one that comes long after it was asked for has a timeout of its own: what is left of it.
 */
export function deadlineOf(since: number, timeout: number, clock: Clock): { since: number; timeout: number } {
  const now = clock.now();
  return now - since < atOnce ? { since, timeout } : { since: now, timeout: Math.max(since + timeout - now, 0) };
}

// Milliseconds within which a request counts as queued when it was made. A timeout may be as much late.
const atOnce = 1;

/**
 * Lets one in at a time. The others wait by priority, then arrival, each until its deadline.
 *
 * Invariant between any two `await`s: while somebody waits, somebody is in. Who leaves lets the next one in within the
 * same synchronous step, so nobody slips in between.
 */
export class Turnstile<Holder> {
  readonly #clock: Clock;
  /** Made when somebody has to wait for the first time. */
  #queue: WaiterQueue<TurnRequest<Holder>, void> | undefined;
  #holder: Holder | undefined;
  /** Whether the next one is being looked for: the error of one who came too late may ask who is in. */
  #isPassing = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Who is in. */
  get holder(): Holder | undefined {
    return this.#holder;
  }

  get waiting(): number {
    return this.#queue?.size ?? 0;
  }

  /** What the first of those who wait have asked for, in the order of their turn. */
  first(limit: number): TurnRequest<Holder>[] {
    return this.#queue?.first(limit) ?? [];
  }

  /** Lets `holder` in if nobody is; says whether it did. */
  tryEnter(holder: Holder): boolean {
    if (this.#holder !== undefined) return false;
    this.#holder = holder;
    return true;
  }

  /**
   * Resolves when `request.holder` is in. Rejects, and takes it out of the queue, at its deadline, at the abort of its
   * signal, and at the end of any of `ends`.
   */
  enter(request: TurnRequest<Holder>, ends: readonly Cancellations[]): Promise<void> {
    // Not an async function, to save its promise: many wait at a time.
    if (request.signal?.aborted) return Promise.reject(new AbortError(request.signal));
    if (this.tryEnter(request.holder)) return Promise.resolve();
    this.#queue ??= new WaiterQueue(this.#clock, {
      timeoutError: (late, position, lateBy) => late.timeoutError(position, lateBy),
      onTimeout: () => {},
      onAborted: () => {},
    });
    const queue = this.#queue;
    const waiter = queue.add(request);
    const promise = waiter.promise as Promise<void>;
    const cancel = (makeError: () => Error): void => void waiter.reject(makeError());
    const withdrawals = ends.map((end) => end.enlist(cancel));
    waiter.onEnd = () => {
      for (const withdraw of withdrawals) withdraw();
      // No timer stays behind where nobody waits.
      if (queue.size === 0) queue.dispose();
    };
    return promise;
  }

  /** Lets the next one in. A no-op for who is not in. */
  leave(holder: Holder): void {
    if (this.#holder !== holder || this.#isPassing) return;
    this.#isPassing = true;
    const next = this.#queue?.next();
    this.#isPassing = false;
    this.#holder = next?.request.holder;
    next?.grant();
  }

  /** Refuses all who wait, each with an error of its own. Who is in stays in. */
  refuseAll(makeError: () => Error): void {
    this.#queue?.rejectAll(makeError);
  }
}
