/** How long something took, over the life of the pool. Milliseconds; all 0 while `count` is 0. */
export interface Durations {
  readonly count: number;
  readonly mean: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

// Durations are counted in microseconds. Up to 63 each has a bucket of its own; from there on every doubling has 64,
// so that a percentile is off by less than 1 %. 26 doublings reach what an int32 holds.
const exact = 64;
const longest = 2 ** 31 - 1;
const bucketCount = exact * 26;

/**
 * Collects durations in buckets that grow with the duration, from 1 µs to 35 min; longer ones count as that long
 * in percentiles, and as they are in `mean` and `max`. Node's own histogram does the same by a native call of
 * 36 ns; this takes 9, twice on a path of a few hundred. Durations of zero, which are nearly all waits of a healthy pool,
 * are counted apart.
 */
export class DurationRecorder {
  readonly #buckets = new Float64Array(bucketCount);
  #zeros = 0;
  #recorded = 0;
  #sum = 0;
  #max = 0;

  recordZero(): void {
    this.#zeros++;
  }

  /** Takes a duration in milliseconds. */
  record(duration: number): void {
    const index = bucketOf(Math.max(0, Math.min(duration * 1000, longest)) | 0);
    this.#buckets[index] = (this.#buckets[index] as number) + 1;
    this.#recorded++;
    this.#sum += duration;
    if (duration > this.#max) this.#max = duration;
  }

  summary(): Durations {
    const count = this.#zeros + this.#recorded;
    return {
      count,
      mean: count === 0 ? 0 : this.#sum / count,
      p50: this.#percentile(50, count),
      p95: this.#percentile(95, count),
      p99: this.#percentile(99, count),
      max: this.#max,
    };
  }

  #percentile(share: number, count: number): number {
    let left = (share / 100) * count - this.#zeros;
    if (left <= 0) return 0;
    const bucket = this.#buckets.findIndex((durations) => {
      left -= durations;
      return left <= 0;
    });
    return Math.min(middleOf(bucket) / 1000, this.#max);
  }
}

/** The bucket of a whole number of microseconds: its six digits after the first, and how many more it has. */
function bucketOf(microseconds: number): number {
  const shift = Math.max(0, 25 - Math.clz32(microseconds));
  return shift * exact + (microseconds >> shift);
}

function middleOf(bucket: number): number {
  if (bucket < 2 * exact) return bucket;
  const shift = Math.floor(bucket / exact) - 1;
  return (bucket - shift * exact + 0.5) * 2 ** shift;
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

/** What a pool measures. */
export interface Times {
  readonly wait: DurationRecorder;
  readonly hold: DurationRecorder;
  readonly open: DurationRecorder;
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
