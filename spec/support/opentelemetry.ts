import { context, type TracerProvider } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import {
  AggregationTemporality,
  DataPointType,
  type Histogram,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import {
  InMemorySpanExporter,
  type ReadableSpan,
  TracerProvider as SdkTracerProvider,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace';
import type { ExecutionContext } from 'ava';

/** One point of a metric. Of a histogram `value` is how often it was recorded, and `sum` what that comes to. */
export interface Point {
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly value: number;
  readonly sum?: number | undefined;
  /** Of a histogram: the upper bounds of its buckets, and how many there are in each and above the last. */
  readonly buckets?: { readonly boundaries: readonly number[]; readonly counts: readonly number[] };
}

export interface Metric {
  readonly unit: string;
  readonly type: DataPointType;
  readonly isMonotonic: boolean | undefined;
  readonly points: readonly Point[];
}

/** What one collection has brought, by name. */
export type Collected = ReadonlyMap<string, Metric>;

/** The SDK's own meter provider, and what it exports. */
export function metricsSdk(t: ExecutionContext): {
  readonly meterProvider: MeterProvider;
  readonly collect: () => Promise<Collected>;
} {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  // It exports when a test flushes it.
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
  const meterProvider = new MeterProvider({ readers: [reader] });
  t.teardown(() => meterProvider.shutdown());
  const collect = async (): Promise<Collected> => {
    exporter.reset();
    await reader.forceFlush();
    const metrics = exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics));
    return new Map(
      metrics.map((metric): [string, Metric] => {
        const { name, unit } = metric.descriptor;
        const type = metric.dataPointType;
        const isMonotonic = metric.dataPointType === DataPointType.SUM ? metric.isMonotonic : undefined;
        const points = metric.dataPoints.map(({ attributes, value }): Point => {
          if (typeof value === 'number') return { attributes, value };
          const { count, sum, buckets } = value as Histogram;
          return { attributes, value: count, sum, buckets };
        });
        return [name, { unit, type, isMonotonic, points }];
      }),
    );
  };
  return { meterProvider, collect };
}

/** The figures of a pool, without those that it has not: by name, and by name and state where there are several. */
export function figuresOf(collected: Collected, pool: string): Readonly<Record<string, number>> {
  const figures: [string, number][] = [];
  for (const [name, { points }] of collected) {
    for (const { attributes, value } of points) {
      if (attributes['db.client.connection.pool.name'] !== pool) continue;
      const state = attributes['db.client.connection.state'];
      figures.push([state === undefined ? name : `${name} ${state as string}`, value]);
    }
  }
  return Object.fromEntries(figures);
}

/** The SDK's own tracer provider, with a context manager for the process, and the spans that have ended. */
export function tracingSdk(t: ExecutionContext): {
  readonly tracerProvider: TracerProvider;
  readonly spans: () => readonly ReadableSpan[];
  /** Runs `fn` in a span of the application. */
  readonly inSpan: <Result>(name: string, fn: () => Result) => Promise<Awaited<Result>>;
  /** The name of each span that has ended after those of all around it, in the order in which they ended. */
  readonly paths: () => readonly string[];
} {
  useContextManager();
  const exporter = new InMemorySpanExporter();
  const tracerProvider = new SdkTracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });
  t.teardown(() => tracerProvider.shutdown());
  const tracer = tracerProvider.getTracer('application');
  const spans = () => exporter.getFinishedSpans();
  const pathOf = (span: ReadableSpan): string => {
    const id = span.parentSpanContext?.spanId;
    const parent = id === undefined ? undefined : spans().find((other) => other.spanContext().spanId === id);
    // A parent that has not ended is not known by its name.
    const around = parent === undefined ? (id === undefined ? '' : '… > ') : `${pathOf(parent)} > `;
    return around + span.name;
  };
  return {
    tracerProvider,
    spans,
    paths: () => spans().map(pathOf),
    inSpan: (name, fn) =>
      tracer.startActiveSpan(name, async (span): Promise<Awaited<ReturnType<typeof fn>>> => {
        try {
          return await fn();
        } finally {
          span.end();
        }
      }),
  };
}

let hasContextManager = false;

/** There is one for the whole process. */
function useContextManager(): void {
  if (!hasContextManager) context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  hasContextManager = true;
}

/** Milliseconds of a time as OpenTelemetry has it. */
export function milliseconds([seconds, nanoseconds]: readonly [number, number]): number {
  return seconds * 1000 + nanoseconds / 1e6;
}
