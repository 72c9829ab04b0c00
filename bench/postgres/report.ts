import { grouped, table } from '../support/markdown.ts';
import type { Result } from '../support/result.ts';
import { type Summary, summarize } from '../support/statistics.ts';
import type { Verdict } from './bars.ts';
import { ratios, type Sample } from './trials.ts';

/** What one contender came to in one trial. */
export interface Cell {
  readonly name: string;
  /** In nanoseconds. */
  readonly time: Summary;
  readonly processor: Summary;
  /** Median of the rounds. */
  readonly p99: number | undefined;
  /** What part of this contender's Leasehold takes, round by round. */
  readonly ratio: { readonly time: Summary; readonly processor: Summary } | undefined;
  readonly samples: readonly Sample[];
}

/** One trial as it was run. */
export interface Row {
  readonly id: string;
  readonly title: string;
  readonly calls: number;
  readonly times: number;
  readonly cells: readonly Cell[];
}

/** What is kept of a run. */
export interface PostgresResult extends Result {
  /** Connections that each pool may have. */
  readonly max: number;
  readonly rows: readonly Row[];
  readonly bars: readonly Verdict[];
}

export function cellsOf(samples: readonly (readonly [name: string, samples: readonly Sample[]])[]): Cell[] {
  const own = samples.find(([name]) => name === 'leasehold')?.[1];
  return samples.map(([name, its]): Cell => {
    const isPeer = own !== undefined && name !== 'leasehold';
    const late = its.flatMap(({ p99 }) => p99 ?? []);
    return {
      name,
      time: summarize(its.map(({ time }) => time)),
      processor: summarize(its.map(({ processor }) => processor)),
      p99: late.length === 0 ? undefined : summarize(late).median,
      ratio: isPeer ? { time: ratios(own, its, 'time'), processor: ratios(own, its, 'processor') } : undefined,
      samples: its,
    };
  });
}

export function tables({ rows: measured }: PostgresResult): string {
  return rowsTable(measured);
}

export function judgement({ bars: verdicts }: PostgresResult): string {
  return verdicts.length === 0 ? '' : barsTable(verdicts);
}

/** Every trial with every contender; ratios say what part of the contender's cost is Leasehold's. */
function rowsTable(rows: readonly Row[]): string {
  const lines = rows.flatMap(({ title, cells }) =>
    cells.map(({ name, time, processor, p99, ratio }, index) => [
      index === 0 ? title : '',
      name,
      microseconds(time.median),
      `${inMicroseconds(time.lower)} to ${inMicroseconds(time.upper)}`,
      ratio === undefined ? '' : ratio.time.median.toFixed(2),
      ratio === undefined ? '' : spread(ratio.time),
      microseconds(processor.median),
      ratio === undefined ? '' : ratio.processor.median.toFixed(2),
      ratio === undefined ? '' : spread(ratio.processor),
      p99 === undefined ? '' : `${grouped(p99 / 1000)} µs`,
    ]),
  );
  const head = ['trial', 'contender', 'time', 'quartiles', 'leasehold / it', 'quartiles'];
  const right = [2, 3, 4, 5, 6, 7, 8, 9];
  return table([...head, 'processor', 'leasehold / it', 'quartiles', 'p99 of a call'], lines, right);
}

function barsTable(verdicts: readonly Verdict[]): string {
  return table(
    ['bar', 'at most', 'measured', 'quartiles', ''],
    verdicts.map(({ claim, limit, value, met }) => [
      claim,
      limit.toFixed(2),
      value.median.toFixed(2),
      spread(value),
      met ? 'met' : 'NOT met',
    ]),
    [1, 2, 3],
  );
}

function spread({ lower, upper }: Summary): string {
  return `${lower.toFixed(2)} to ${upper.toFixed(2)}`;
}

function microseconds(nanoseconds: number): string {
  return `${inMicroseconds(nanoseconds)} µs`;
}

function inMicroseconds(nanoseconds: number): string {
  return (nanoseconds / 1000).toFixed(nanoseconds < 100_000 ? 1 : 0);
}
