import { grouped, table } from '../support/markdown.ts';
import type { Result } from '../support/result.ts';
import type { Summary } from '../support/statistics.ts';
import type { Row } from './kinds.ts';

/** What one round came to, in microseconds for each request. */
export interface Sample {
  /** Processor time of the server, which what else uses the machine hardly changes. */
  readonly processor: number;
  /** Time that passed, for all connections together. */
  readonly elapsed: number;
}

export interface ResultRow extends Row {
  readonly processor: Summary;
  readonly elapsed: Summary;
  /** Of the first row, in the same round. */
  readonly ratio: Summary | undefined;
  readonly samples: readonly Sample[];
}

export interface Verdict {
  readonly claim: string;
  readonly limit: number;
  readonly value: number;
  readonly met: boolean;
}

/** What is kept of a run. */
export interface ExpressResult extends Result {
  readonly connections: number;
  readonly rows: readonly ResultRow[];
  readonly bars: readonly Verdict[];
}

export function tables({ rows: measured }: ExpressResult): string {
  return rowsTable(measured);
}

export function judgement({ bars: verdicts }: ExpressResult): string {
  return verdicts.length === 0 ? '' : barsTable(verdicts);
}

function rowsTable(rows: readonly ResultRow[]): string {
  const lines = rows.map(({ title, processor, elapsed, ratio }) => [
    title,
    `${processor.median.toFixed(1)} µs`,
    `${processor.lower.toFixed(1)} to ${processor.upper.toFixed(1)}`,
    ratio === undefined ? '' : ratio.median.toFixed(3),
    ratio === undefined ? '' : `${ratio.lower.toFixed(3)} to ${ratio.upper.toFixed(3)}`,
    grouped(1e6 / elapsed.median),
  ]);
  const head = ['server', 'processor', 'quartiles', 'of Express alone', 'quartiles', 'requests/s'];
  return table(head, lines, [1, 2, 3, 4, 5]);
}

function barsTable(bars: readonly Verdict[]): string {
  return table(
    ['bar', 'at most', 'measured', ''],
    bars.map(({ claim, limit, value, met }) => [claim, limit.toFixed(2), value.toFixed(3), met ? 'met' : 'NOT met']),
    [1, 2],
  );
}
