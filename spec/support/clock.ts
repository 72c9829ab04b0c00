import type { Clock, Timer } from '../../lib/clock.ts';
import { settled } from './gate.ts';

class FakeTimer implements Timer {
  readonly due: number;
  readonly callback: () => void;
  /** Whether it would keep a process alive. */
  holds = true;

  constructor(due: number, callback: () => void) {
    this.due = due;
    this.callback = callback;
  }

  ref(): void {
    this.holds = true;
  }

  unref(): void {
    this.holds = false;
  }
}

/** A clock that stands still until it is told to move. */
export class FakeClock implements Clock {
  #now = 1000;
  readonly #timers = new Set<FakeTimer>();

  now(): number {
    return this.#now;
  }

  after(delay: number, callback: () => void): Timer {
    const timer = new FakeTimer(this.#now + Math.max(delay, 0), callback);
    this.#timers.add(timer);
    return timer;
  }

  cancel(timer: Timer): void {
    this.#timers.delete(timer as FakeTimer);
  }

  /** Timers that are set. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Those of them that would keep a process alive. */
  get holding(): number {
    return [...this.#timers].filter((timer) => timer.holds).length;
  }

  /** Time until the next timer, `Infinity` without one. */
  get next(): number {
    return Math.min(...[...this.#timers].map((timer) => timer.due)) - this.#now;
  }

  /** Moves time and fires what falls due, in its order, without letting a promise settle in between. */
  advance(duration: number): void {
    const end = this.#now + duration;
    while (this.#fireNext(end));
    this.#now = end;
  }

  /** As `advance`, and lets all promises settle after each timer. */
  async pass(duration: number): Promise<void> {
    const end = this.#now + duration;
    await settled();
    while (this.#fireNext(end)) await settled();
    this.#now = end;
  }

  /** Moves time and fires nothing, as when the event loop is blocked: every timer is late from now on. */
  skip(duration: number): void {
    this.#now += duration;
  }

  #fireNext(end: number): boolean {
    let first: FakeTimer | undefined;
    for (const timer of this.#timers) {
      if (timer.due <= end && (first === undefined || timer.due < first.due)) first = timer;
    }
    if (first === undefined) return false;
    this.#timers.delete(first);
    this.#now = Math.max(this.#now, first.due);
    first.callback();
    return true;
  }
}
