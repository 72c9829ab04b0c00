import { table } from '../support/markdown.ts';
import type { Result } from '../support/result.ts';
import type { Summary } from '../support/statistics.ts';
import type { Row } from './kinds.ts';

export interface ResultRow extends Row {
  /** Parts of a core. */
  readonly processor: Summary;
  /** What that is above the first row, in the same round. */
  readonly added: Summary | undefined;
  readonly samples: readonly number[];
}

export interface Verdict {
  readonly claim: string;
  readonly limit: number;
  readonly value: number;
  readonly met: boolean;
}

/** What is kept of a run. */
export interface InspectorResult extends Result {
  readonly leasesPerSecond: number;
  readonly rows: readonly ResultRow[];
  readonly bars: readonly Verdict[];
}

export function tables({ rows: measured }: InspectorResult): string {
  const lines = measured.map(({ title, processor, added }) => [
    title,
    percent(processor.median),
    `${percent(processor.lower)} to ${percent(processor.upper)}`,
    added === undefined ? '' : percent(added.median),
    added === undefined ? '' : `${percent(added.lower)} to ${percent(added.upper)}`,
  ]);
  return table(['process', 'of a core', 'quartiles', 'added', 'quartiles'], lines, [1, 2, 3, 4]);
}

export function judgement({ bars: verdicts }: InspectorResult): string {
  if (verdicts.length === 0) return '';
  return table(
    ['bar', 'at most', 'measured', ''],
    verdicts.map(({ claim, limit, value, met }) => [claim, percent(limit), percent(value), met ? 'met' : 'NOT met']),
    [1, 2],
  );
}

/** A part of a core, as it is read. */
export function percent(part: number): string {
  return `${(part * 100).toFixed(2).replace('-', '−')} %`;
}
