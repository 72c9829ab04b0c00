import { Counter, Gauge, Histogram, type Metric, type Registry, register } from 'prom-client';
import { checkCallOptions, type Rule } from '../rules.ts';
import {
  buckets,
  connectionState,
  type Figure,
  type Gauge as GaugeFigure,
  gauges,
  type ObservedPool,
  poolName,
  type Timing,
  timings,
  type Watch,
  watchOf,
} from './figures.ts';

export type { ObservedPool, Watch } from './figures.ts';

import { PoolGroup } from './pool-group.ts';

/** Options of `collect`. */
export interface CollectOptions {
  /** Where the metrics are registered. The default registry of prom-client unless given. */
  readonly registry?: Registry | undefined;
}

const rules = {
  registry: {
    allowed: 'a Registry of prom-client',
    accepts: (value) => typeof value === 'object' && value !== null && 'registerMetric' in value,
  },
} as const satisfies Record<keyof CollectOptions, Rule>;

/**
 * Shows a pool to Prometheus, until it is closed or the watch is stopped: the figures of `leasehold/opentelemetry` under the
 * names that OpenTelemetry's rules give them in Prometheus, such as `db_client_connection_wait_time_seconds`. Any number of
 * pools may share a registry; `db_client_connection_pool_name` tells them apart.
 *
 * @throws OptionsError
 */
export function collect(pool: ObservedPool, options?: CollectOptions): Watch {
  const { registry = register } = checkCallOptions(options, rules);
  return watchOf(pool.closed ? () => {} : metricsOf(registry).pools.add(pool));
}

/** The metrics of one registry, for all the pools in it. */
interface Metrics {
  readonly pools: PoolGroup;
  readonly registered: readonly Metric[];
}

// Under this name every copy of the package in the process finds the metrics of a registry.
const knownKey = Symbol.for('leasehold.prometheus.v1');
const shared = globalThis as { [knownKey]?: WeakMap<Registry, Metrics> };
shared[knownKey] ??= new WeakMap();
const known = shared[knownKey];

function metricsOf(registry: Registry): Metrics {
  const present = known.get(registry);
  if (present !== undefined) {
    // Somebody may have taken them out, or cleared the registry. The pools stay.
    for (const metric of present.registered) {
      if (registry.getSingleMetric(nameIn(metric)) === undefined) registry.registerMetric(metric);
    }
    return present;
  }
  const histograms = new Map<Timing, Histogram>();
  const pools = new PoolGroup({
    record: (timing, pool, seconds) => histograms.get(timing)?.observe({ [labelOf(poolName)]: pool }, seconds),
    // So that pools without end need no memory without end.
    left: (pool) => {
      for (const histogram of histograms.values()) histogram.remove({ [labelOf(poolName)]: pool });
    },
  });
  const asked = gauges.map((gauge) => metricOf(registry, gauge, pools));
  for (const timing of timings) histograms.set(timing, histogramOf(registry, timing));
  const made: Metrics = { pools, registered: [...asked, ...histograms.values()] };
  known.set(registry, made);
  return made;
}

function metricOf(registry: Registry, gauge: GaugeFigure, pools: PoolGroup): Metric {
  const { kind, description: help } = gauge;
  const labelNames = [labelOf(poolName), labelOf(connectionState)];
  const fill = (metric: Pick<Gauge, 'reset' | 'inc'>): void => {
    metric.reset();
    for (const { pool, state, value } of pools.read().filter((reading) => reading.gauge === gauge)) {
      metric.inc({ [labelOf(poolName)]: pool, ...(state && { [labelOf(connectionState)]: state }) }, value);
    }
  };
  const settings = { name: nameOf(gauge), help, labelNames, registers: [registry] };
  if (kind === 'counter') {
    const counter: Counter = new Counter({ ...settings, collect: () => fill(counter) });
    return counter;
  }
  const metric: Gauge = new Gauge({ ...settings, collect: () => fill(metric) });
  return metric;
}

function histogramOf(registry: Registry, timing: Timing): Histogram {
  const settings = { name: nameOf(timing), help: timing.description, labelNames: [labelOf(poolName)] };
  return new Histogram({ ...settings, buckets: [...buckets], registers: [registry] });
}

/** prom-client's own types do not tell that a metric knows its name. */
function nameIn(metric: Metric): string {
  return (metric as unknown as { readonly name: string }).name;
}

/** As OpenTelemetry's names become those of Prometheus: https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/ */
function nameOf({ name, unit, ...figure }: Figure & { readonly kind?: string }): string {
  return `${labelOf(name)}${unit === 's' ? '_seconds' : ''}${figure.kind === 'counter' ? '_total' : ''}`;
}

function labelOf(attribute: string): string {
  return attribute.replaceAll('.', '_');
}
