import { closeSync, openSync, readSync } from 'node:fs';

const interval = 5;
// A gap from here on counts as one in which the loop was blocked; timers are a few milliseconds late as a rule.
const shortestBlock = 2 * interval;
const remembered = 30_000;

/** Milliseconds that a thread has spent running, and waiting for a processor. */
export interface ThreadTimes {
  readonly running: number;
  readonly queued: number;
  /** How often it was put on a processor. */
  readonly turns: number;
}

/**
 * Where a thread's time goes, as Linux accounts for it. What is neither was slept, for a lock, the disk or a timer;
 * or it was taken by the host of a virtual machine. Elsewhere only the time of running is known, and a busy machine can not be told from sleep.
 */
export class ThreadClock {
  readonly #file: number | undefined;
  readonly #buffer = Buffer.alloc(64);

  constructor() {
    try {
      // Opened by the thread itself, so that it stays that of this thread.
      this.#file = openSync('/proc/thread-self/schedstat', 'r');
      if (this.read().running === 0) this.#file = undefined;
    } catch {
      this.#file = undefined;
    }
  }

  /** Whether it can tell sleep from a busy machine. */
  get tellsSleep(): boolean {
    return this.#file !== undefined;
  }

  read(): ThreadTimes {
    if (this.#file === undefined) {
      const { user, system } = process.threadCpuUsage();
      return { running: (user + system) / 1000, queued: 0, turns: 0 };
    }
    const length = readSync(this.#file, this.#buffer, 0, this.#buffer.length, 0);
    const [running = 0, queued = 0, turns = 0] = this.#buffer.toString('latin1', 0, length).split(' ').map(Number);
    return { running: running / 1e6, queued: queued / 1e6, turns };
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
  }
}

/** For how long a thread slept between two looks. */
export function sleepOf(took: number, before: ThreadTimes, after: ThreadTimes): number {
  return Math.max(0, took - (after.running - before.running) - (after.queued - before.queued));
}

/** Watches when the event loop does not come round, for whatever reason. */
export class LoopWatch {
  worstStall = 0;
  /** How much of a stall the thread has slept at most. */
  worstSleep = 0;
  readonly #clock: ThreadClock;
  readonly #gaps: { readonly from: number; readonly to: number }[] = [];
  #last = performance.now();
  #times: ThreadTimes;
  readonly #timer: NodeJS.Timeout;

  constructor(clock: ThreadClock) {
    this.#clock = clock;
    this.#times = clock.read();
    this.#timer = setInterval(() => this.#look(), interval);
  }

  /** For how long the loop did not come round between two times, the later of which may be now. */
  blocked(from: number, to: number): number {
    const current = { from: this.#last, to: performance.now() };
    let sum = 0;
    for (const gap of [...this.#gaps, current]) sum += Math.max(0, Math.min(gap.to, to) - Math.max(gap.from, from));
    return sum;
  }

  /** For how long from a time on the loop did not come round. */
  blockedAt(time: number): number {
    const gap = this.#gaps.findLast(({ from, to }) => from <= time && time < to);
    return gap === undefined ? 0 : gap.to - time;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const now = performance.now();
    const times = this.#clock.read();
    const stall = now - this.#last - interval;
    if (stall > this.worstStall) this.worstStall = stall;
    // The loop sleeps until its next timer, too.
    const slept = sleepOf(now - this.#last, this.#times, times) - interval;
    if (stall > interval && slept > this.worstSleep) this.worstSleep = slept;
    if (now - this.#last > shortestBlock) this.#gaps.push({ from: this.#last, to: now });
    while (this.#gaps[0] !== undefined && this.#gaps[0].to < now - remembered) this.#gaps.shift();
    this.#last = now;
    this.#times = times;
  }
}
