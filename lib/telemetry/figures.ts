import type { PoolEventName, PoolEvents } from '../events.ts';
import type { ObservablePool, whenClosed } from '../pool/observable.ts';
import type { PoolStats } from '../stats.ts';

/** What is needed of a pool to watch it from outside. Any pool of Leasehold will do. */
export type ObservedPool = Pick<ObservablePool, 'id' | 'name' | 'on' | 'off' | typeof whenClosed> & {
  readonly closed: boolean;
  stats(): ObservedStats;
};

type ObservedStats = Omit<PoolStats, 'waitTime' | 'holdTime' | 'openTime'> & { readonly laneWaiting?: number };

export interface Figure {
  readonly name: string;
  readonly unit: string;
  readonly description: string;
}

/** A figure that is asked for. */
export interface Gauge extends Figure {
  /** A counter only grows. */
  readonly kind: 'gauge' | 'counter';
  /** Empty where the pool has no such figure. */
  readonly values: (stats: ObservedStats) => readonly GaugeValue[];
}

export interface GaugeValue {
  readonly value: number;
  readonly state?: 'idle' | 'used';
}

/** A figure that is told with each event. */
export interface Timing extends Figure {
  /** Has `record` called with each duration, in seconds. What is returned ends that; it does not hold the pool. */
  readonly follow: (pool: ObservedPool, record: (seconds: number) => void) => (pool: ObservedPool) => void;
}

/** Name of the meter and of the tracer. */
export const library = 'leasehold';

/** Attribute of every figure and span. */
export const poolName = 'db.client.connection.pool.name';
export const connectionState = 'db.client.connection.state';

/**
 * The figures of a pool that are asked for: `db.client.connection.*` as OpenTelemetry's semantic conventions for
 * database clients name them (https://opentelemetry.io/docs/specs/semconv/database/database-metrics/), and the queue
 * of the write lane, for which they have no name.
 */
export const gauges: readonly Gauge[] = [
  {
    name: 'db.client.connection.count',
    kind: 'gauge',
    unit: '{connection}',
    description: 'Connections that are open, by state. That of the write lane counts too',
    values: ({ idle, leased }) => [
      { value: idle, state: 'idle' },
      { value: leased, state: 'used' },
    ],
  },
  {
    name: 'db.client.connection.idle.max',
    kind: 'gauge',
    unit: '{connection}',
    description: 'The most connections that may be idle: "max"',
    values: ({ max }) => [{ value: max }],
  },
  {
    name: 'db.client.connection.idle.min',
    kind: 'gauge',
    unit: '{connection}',
    description: 'Connections that are kept open when idle: "min"',
    values: ({ min }) => [{ value: min }],
  },
  {
    name: 'db.client.connection.max',
    kind: 'gauge',
    unit: '{connection}',
    description: 'The most connections that may be leased at once: "max"; the write lane may have one more',
    values: ({ max }) => [{ value: max }],
  },
  {
    name: 'db.client.connection.pending_requests',
    kind: 'gauge',
    unit: '{request}',
    description: 'Acquires that wait for a connection',
    values: ({ waiting }) => [{ value: waiting }],
  },
  {
    name: 'db.client.connection.timeouts',
    kind: 'counter',
    unit: '{timeout}',
    description: 'Calls that gave up waiting for a connection, for the write lane or for a lock',
    values: ({ counters }) => [{ value: counters.timeouts }],
  },
  {
    name: 'leasehold.write_lane.pending_requests',
    kind: 'gauge',
    unit: '{request}',
    description: 'Calls of this process that wait for their turn to write to the file of the pool',
    values: ({ laneWaiting }) => (laneWaiting === undefined ? [] : [{ value: laneWaiting }]),
  },
];

/** The figures of a pool that are told: histograms. */
export const timings: readonly Timing[] = [
  {
    name: 'db.client.connection.create_time',
    unit: 's',
    description: 'Time to open a connection, hooks included',
    follow: following('open', ({ took }) => took),
  },
  {
    name: 'db.client.connection.wait_time',
    unit: 's',
    description: 'Time from a call to its connection; of a write transaction, the wait for its turn too',
    follow: following('acquire', ({ waited }) => waited),
  },
  {
    name: 'db.client.connection.use_time',
    unit: 's',
    description: 'Time from getting a connection to giving it back',
    follow: following('release', ({ held }) => held),
  },
];

function following<Name extends PoolEventName>(
  name: Name,
  durationOf: (event: PoolEvents[Name]) => number,
): Timing['follow'] {
  return (pool, record) => {
    const listener = (event: PoolEvents[Name]): void => record(durationOf(event) / 1000);
    pool.on(name, listener);
    return (watched) => void watched.off(name, listener);
  };
}

/** Upper bounds of the buckets of a timing, in seconds. SQLite opens a file in a tenth of a millisecond. */
export const buckets: readonly number[] = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60];

/** What watches a pool until it is stopped, or the pool is closed. */
export interface Watch {
  /** Stops watching. A second call changes nothing. */
  stop(): void;
  /** As `stop`. */
  [Symbol.dispose](): void;
}

export function watchOf(end: () => void): Watch {
  let isOver = false;
  const stop = (): void => {
    if (!isOver) end();
    isOver = true;
  };
  return { stop, [Symbol.dispose]: stop };
}
