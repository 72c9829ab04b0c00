import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';

/** How long something took, over the life of the pool. Milliseconds; all 0 while `count` is 0. */
export interface Durations {
  readonly count: number;
  readonly mean: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

// Microseconds: 1 µs to 50 days, within 1 %. That takes 36 KB; Node's own defaults would take ten times as much.
const histogramOptions = { lowest: 1, highest: 2 ** 42, figures: 2 };

/**
 * Collects durations. Those of zero, which are nearly all waits of a healthy pool, cost an increment; the
 * others go to Node's HDR histogram.
 */
export class DurationRecorder {
  #zeros = 0;
  #histogram: RecordableHistogram | undefined;

  recordZero(): void {
    this.#zeros++;
  }

  record(duration: number): void {
    this.#histogram ??= createHistogram(histogramOptions);
    this.#histogram.record(
      Math.min(Math.max(Math.round(duration * 1000), histogramOptions.lowest), histogramOptions.highest),
    );
  }

  summary(): Durations {
    const recorded = this.#histogram?.count ?? 0;
    const count = this.#zeros + recorded;
    if (this.#histogram === undefined || recorded === 0) return { count, mean: 0, p50: 0, p95: 0, p99: 0, max: 0 };
    const histogram = this.#histogram;
    const percentile = (share: number): number => {
      const rank = (share / 100) * count;
      return rank <= this.#zeros ? 0 : histogram.percentile(((rank - this.#zeros) / recorded) * 100) / 1000;
    };
    return {
      count,
      mean: (histogram.mean * recorded) / count / 1000,
      p50: percentile(50),
      p95: percentile(95),
      p99: percentile(99),
      max: histogram.max / 1000,
    };
  }
}

/** What has happened since the pool was made. */
export interface PoolCounters {
  /** Leases made. */
  acquired: number;
  /** Leases ended, however. */
  released: number;
  /** Acquires that gave up at their deadline. */
  timeouts: number;
  /** Acquires refused because `maxWaiting` were waiting. */
  refused: number;
  /** Acquires ended by their signal or by the end of their scope. */
  aborted: number;
  /** Connections opened. */
  opened: number;
  /** Connections closed. */
  closed: number;
  /** Failed attempts to open one. */
  openErrors: number;
  /** Connections closed on return instead of pooled. */
  discarded: number;
  /** Leases that left something behind. */
  dirty: number;
  /** Leases reported as overdue or dropped. */
  leaks: number;
  /** Releases of a lease that had ended already. */
  doubleReleases: number;
  /** Suspected deadlocks. */
  deadlocks: number;
}

export function newCounters(): PoolCounters {
  return {
    acquired: 0,
    released: 0,
    timeouts: 0,
    refused: 0,
    aborted: 0,
    opened: 0,
    closed: 0,
    openErrors: 0,
    discarded: 0,
    dirty: 0,
    leaks: 0,
    doubleReleases: 0,
    deadlocks: 0,
  };
}

/** What `pool.stats()` returns: gauges of this moment, counters and durations since the pool was made. */
export interface PoolStats {
  /** Connections open or being opened. */
  readonly size: number;
  /** Connections nobody holds. */
  readonly idle: number;
  /** Connections somebody holds. */
  readonly leased: number;
  /** Acquires in the queue. */
  readonly waiting: number;
  readonly max: number;
  readonly min: number;
  readonly counters: Readonly<PoolCounters>;
  /** From the call of an acquire to its lease. */
  readonly waitTime: Durations;
  /** From lease to release. */
  readonly holdTime: Durations;
  /** To open a connection, hooks included. */
  readonly openTime: Durations;
}
