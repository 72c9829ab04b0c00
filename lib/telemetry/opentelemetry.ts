import {
  type Attributes,
  type BatchObservableCallback,
  type Histogram,
  type Meter,
  type MeterProvider,
  metrics,
  type Observable,
  type TracerProvider,
  trace,
} from '@opentelemetry/api';
import { checkCallOptions, type Rule } from '../rules.ts';
import {
  buckets,
  connectionState,
  type Gauge,
  gauges,
  library,
  type ObservedPool,
  poolName,
  type Timing,
  timings,
  type Watch,
  watchOf,
} from './figures.ts';

export type { ObservedPool, Watch } from './figures.ts';

import { PoolGroup, type Reading } from './pool-group.ts';
import { traceSpans } from './spans.ts';

/** Options of `instrument`. */
export interface InstrumentOptions {
  /** Where the metrics go. The global one unless given. */
  readonly meterProvider?: MeterProvider | undefined;
  /** Where the spans go. The global one unless given. */
  readonly tracerProvider?: TracerProvider | undefined;
}

const rules = {
  meterProvider: { allowed: 'a MeterProvider', accepts: (value) => hasMethod(value, 'getMeter') },
  tracerProvider: { allowed: 'a TracerProvider', accepts: (value) => hasMethod(value, 'getTracer') },
} as const satisfies Record<keyof InstrumentOptions, Rule>;

/**
 * Reports a pool to OpenTelemetry, until it is closed or the watch is stopped: metrics `db.client.connection.*`, a span
 * `leasehold.transaction` for each transaction and savepoint, in which the spans of what it calls are, and a span
 * `leasehold.acquire` for each acquire that had to wait or failed. Call it after the SDK has been set up. Pools of one
 * name are added up.
 *
 * @throws OptionsError
 */
export function instrument(pool: ObservedPool, options?: InstrumentOptions): Watch {
  const { meterProvider = metrics, tracerProvider = trace } = checkCallOptions(options, rules);
  const meter = meterProvider.getMeter(library);
  const tracer = tracerProvider.getTracer(library);
  if (pool.closed) return watchOf(() => {});
  const ends = [metricsOf(meter).add(pool), traceSpans(pool, tracer)];
  return watchOf(() => {
    for (const end of ends) end();
  });
}

// One for each meter: of two functions that observe the same attributes, OpenTelemetry believes the last.
const known = new WeakMap<Meter, PoolMetrics>();

function metricsOf(meter: Meter): PoolMetrics {
  const present = known.get(meter) ?? new PoolMetrics(meter);
  known.set(meter, present);
  return present;
}

class PoolMetrics {
  readonly #meter: Meter;
  readonly #observables: ReadonlyMap<Gauge, Observable>;
  readonly #histograms: ReadonlyMap<Timing, Histogram>;
  readonly #pools: PoolGroup;
  /** What was observed last, by name and state: what is there no more must be told to be 0. */
  #last: readonly Reading[] = [];
  #isObserving = false;

  constructor(meter: Meter) {
    this.#meter = meter;
    this.#observables = new Map(gauges.map((gauge) => [gauge, observableOf(meter, gauge)]));
    this.#histograms = new Map(timings.map((timing) => [timing, histogramOf(meter, timing)]));
    this.#pools = new PoolGroup({
      record: (timing, pool, seconds) => this.#histograms.get(timing)?.record(seconds, { [poolName]: pool }),
      left: () => {},
    });
  }

  add(pool: ObservedPool): () => void {
    if (!this.#isObserving) this.#meter.addBatchObservableCallback(this.#observe, [...this.#observables.values()]);
    this.#isObserving = true;
    return this.#pools.add(pool);
  }

  readonly #observe: BatchObservableCallback = (result) => {
    const readings = this.#pools.read();
    const isOld = ({ gauge, pool, state }: Reading): boolean =>
      gauge.kind === 'gauge' &&
      !readings.some((now) => now.gauge === gauge && now.pool === pool && now.state === state);
    const gone = this.#last.filter(isOld).map((reading) => ({ ...reading, value: 0 }));
    for (const { gauge, pool, state, value } of [...readings, ...gone]) {
      const observable = this.#observables.get(gauge);
      const attributes: Attributes = { [poolName]: pool, ...(state !== undefined && { [connectionState]: state }) };
      if (observable !== undefined) result.observe(observable, value, attributes);
    }
    this.#last = readings;
    if (!this.#pools.isEmpty) return;
    this.#meter.removeBatchObservableCallback(this.#observe, [...this.#observables.values()]);
    this.#isObserving = false;
  };
}

function observableOf(meter: Meter, { name, unit, description, kind }: Gauge): Observable {
  const about = { unit, description };
  return kind === 'counter'
    ? meter.createObservableCounter(name, about)
    : meter.createObservableUpDownCounter(name, about);
}

function histogramOf(meter: Meter, { name, unit, description }: Timing): Histogram {
  return meter.createHistogram(name, { unit, description, advice: { explicitBucketBoundaries: [...buckets] } });
}

function hasMethod(value: unknown, method: string): boolean {
  return (
    typeof value === 'object' && value !== null && typeof (value as Record<string, unknown>)[method] === 'function'
  );
}
