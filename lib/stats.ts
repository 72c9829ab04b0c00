/** How long something took, over the life of the pool. Milliseconds; all 0 while `count` is 0. */
export interface Durations {
  readonly count: number;
  readonly mean: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

// Durations are counted in microseconds, as many as an int32 holds.
const longest = 2 ** 31 - 1;

/**
 * Collects durations in buckets that grow with the duration, from 1 µs to 35 min; longer ones count as that long
 * in percentiles, and as they are in `mean` and `max`. Node's own histogram does the same by a native call of
 * 36 ns; this takes 9, twice on a path of a few hundred. Durations of zero, which are nearly all waits of a healthy pool,
 * are counted apart.
 *
 * The first 2 ** `precision` microseconds each have a bucket of their own; from there on every doubling has as many. So
 * with 6, the default, a percentile is off by less than 1 % and the buckets take 13 KB; with 3 by less than 7 %, and 2 KB.
 */
export class DurationRecorder {
  readonly #precision: number;
  readonly #buckets: Float64Array;
  #zeros = 0;
  #recorded = 0;
  #sum = 0;
  #max = 0;

  constructor(precision = 6) {
    this.#precision = precision;
    this.#buckets = new Float64Array(2 ** precision * (32 - precision));
  }

  /** Milliseconds in all. */
  get sum(): number {
    return this.#sum;
  }

  /** Takes a duration in milliseconds. */
  record(duration: number): void {
    if (duration === 0) {
      this.#zeros++;
      return;
    }
    const index = bucketOf(Math.max(0, Math.min(duration * 1000, longest)) | 0, this.#precision);
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
    return Math.min(middleOf(bucket, this.#precision) / 1000, this.#max);
  }
}

/** The bucket of a whole number of microseconds: its `precision` binary digits after the first, and how many more it has. */
function bucketOf(microseconds: number, precision: number): number {
  const shift = Math.max(0, 31 - precision - Math.clz32(microseconds));
  return (shift << precision) + (microseconds >> shift);
}

function middleOf(bucket: number, precision: number): number {
  const exact = 2 ** precision;
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
  /** Calls that gave up at their deadline: for a connection, for the write lane, or for a lock. */
  timeouts: number;
  /** Calls refused because `maxWaiting` were waiting for a connection, or for the write lane. */
  refused: number;
  /** Waits ended by their signal or by the end of their scope. */
  aborted: number;
  /** Connections opened. */
  opened: number;
  /** Connections closed. */
  closed: number;
  /** Failed attempts to open one. */
  openErrors: number;
  /** Connections closed on return instead of pooled. */
  discarded: number;
  /** Leases, and scopes without one, that left something behind. */
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
  /** From the call to its lease: of a transaction that takes the write lane's connection, its wait for the lane too. */
  readonly waitTime: Durations;
  /** From lease to release. */
  readonly holdTime: Durations;
  /** To open a connection, hooks included. */
  readonly openTime: Durations;
}

/** What `pool.stats({ by: 'label' })` tells of the leases with one label. */
export interface LabelStats {
  /** `undefined` for all labels together that came when 1 000 others were known. */
  readonly label: string | undefined;
  /** Leases held now. */
  readonly leased: number;
  /** Leases made. */
  readonly acquired: number;
  /** Calls that gave up at their deadline: for a connection, for the write lane, or for a lock. */
  readonly timeouts: number;
  /** From the call to its lease, by the label at that time. Percentiles are off by up to 7 %. */
  readonly waitTime: Durations;
  /** From lease to release, by the label at its end. Percentiles are off by up to 7 %. */
  readonly holdTime: Durations;
}

// Percentiles of a label need not be as exact as those of the pool, and there may be a thousand labels.
const labelPrecision = 3;

/** What is counted of the leases with one label. */
export class LabelAccount {
  readonly wait = new DurationRecorder(labelPrecision);
  readonly hold = new DurationRecorder(labelPrecision);
  leased = 0;
  acquired = 0;
  timeouts = 0;

  began(waited: number): void {
    this.leased++;
    this.acquired++;
    this.wait.record(waited);
  }

  ended(held: number): void {
    this.leased--;
    this.hold.record(held);
  }

  moved(by: 1 | -1): void {
    this.leased += by;
    this.acquired += by;
  }

  stats(label: string | undefined): LabelStats {
    const { leased, acquired, timeouts, wait, hold } = this;
    return { label, leased, acquired, timeouts, waitTime: wait.summary(), holdTime: hold.summary() };
  }
}

// A pool whose labels have ids in them, of users or of requests, must not grow with each.
const mostLabels = 1000;

/** Accounts of the first 1 000 labels, and one of all others. */
export class LabelAccounts {
  readonly #accounts = new Map<string, LabelAccount>();
  #others: LabelAccount | undefined;

  of(label: string): LabelAccount {
    const known = this.#accounts.get(label);
    if (known !== undefined) return known;
    if (this.#accounts.size >= mostLabels) {
      this.#others ??= new LabelAccount();
      return this.#others;
    }
    const account = new LabelAccount();
    this.#accounts.set(label, account);
    return account;
  }

  /** A lease that is held has another label by now. What it waited for stays with the one it had then. */
  move(from: string | undefined, to: string | undefined): void {
    if (from !== undefined) this.of(from).moved(-1);
    if (to !== undefined) this.of(to).moved(1);
  }

  /** Those whose leases were held for longest in all come first. */
  stats(): LabelStats[] {
    const entries: [string | undefined, LabelAccount][] = [...this.#accounts];
    if (this.#others !== undefined) entries.push([undefined, this.#others]);
    return entries.toSorted(([, a], [, b]) => b.hold.sum - a.hold.sum).map(([label, account]) => account.stats(label));
  }
}
