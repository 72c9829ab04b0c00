import { grouped, table } from '../support/markdown.ts';
import type { Result } from '../support/result.ts';
import { type Summary, summarize } from '../support/statistics.ts';
import type { Verdict } from './bars.ts';
import type { Run } from './loops.ts';

/** What one contender came to in one mix. */
export interface MixCell {
  readonly name: string;
  /** Operations committed in a second. */
  readonly throughput: Summary;
  /** Milliseconds, of each round the worst. */
  readonly stall: { readonly worst: number; readonly median: number };
  /** Of all rounds together, by code. */
  readonly errors: Readonly<Record<string, number>>;
  readonly runs: readonly Run[];
}

export interface MixRow {
  readonly id: string;
  readonly title: string;
  readonly loops: number;
  readonly cells: readonly MixCell[];
}

export interface ComparisonRow {
  readonly id: string;
  readonly title: string;
  readonly cells: readonly (Summary & { readonly name: string; readonly samples: readonly number[] })[];
}

/** What is kept of a run. */
export interface ContentionResult extends Result {
  readonly mixes: readonly MixRow[];
  readonly comparisons: readonly ComparisonRow[];
  readonly bars: readonly Verdict[];
}

export function summarizeRuns(name: string, runs: readonly Run[]): MixCell {
  const stalls = runs.map(({ stall }) => stall);
  const errors: Record<string, number> = {};
  for (const [code, count] of runs.flatMap((run) => Object.entries(run.errors))) {
    errors[code] = (errors[code] ?? 0) + count;
  }
  return {
    name,
    throughput: summarize(runs.map(({ committed, seconds }) => committed / seconds)),
    stall: { worst: Math.max(...stalls), median: summarize(stalls).median },
    errors,
    runs,
  };
}

export function tables({ mixes, comparisons }: ContentionResult): string {
  const parts: string[] = [];
  if (mixes.length > 0) parts.push(mixesTable(mixes));
  if (comparisons.length > 0) parts.push(comparisonsTable(comparisons));
  return parts.join('\n\n');
}

export function judgement({ bars: verdicts }: ContentionResult): string {
  return verdicts.length === 0 ? '' : barsTable(verdicts);
}

/** Every mix with every contender; ratios say how many times the contender's throughput Leasehold has. */
function mixesTable(rows: readonly MixRow[]): string {
  const lines = rows.flatMap(({ title, cells }) => {
    const own = cells.find(({ name }) => name === 'leasehold')?.throughput.median;
    return cells.map(({ name, throughput: { median, lower, upper }, stall, errors, runs }, index) => [
      index === 0 ? title : '',
      name,
      rate(median),
      runs.length === 1 ? 'one round' : `${rate(lower)} to ${rate(upper)}`,
      own === undefined || name === 'leasehold' || median === 0 ? '' : (own / median).toFixed(2),
      milliseconds(stall.worst),
      milliseconds(stall.median),
      errorsText(errors),
      grouped(summarize(runs.map(({ operations }) => operations)).median),
      `${summarize(runs.map(({ seconds }) => seconds)).median.toFixed(2)} s`,
    ]);
  });
  const head = ['mix', 'contender', 'committed/s', 'quartiles', 'leasehold / it', 'worst stall', 'of a round'];
  return table([...head, 'errors', 'operations', 'a round took'], lines, [2, 3, 4, 5, 6, 7, 8, 9]);
}

/** Every comparison; the ratio is to its first line. */
function comparisonsTable(rows: readonly ComparisonRow[]): string {
  const lines = rows.flatMap(({ title, cells }) =>
    cells.map(({ name, median, lower, upper }, index) => [
      index === 0 ? title : '',
      name,
      `${grouped(median)} ns`,
      `${grouped(lower)} to ${grouped(upper)}`,
      index === 0 ? '' : (median / (cells[0]?.median ?? Number.NaN)).toFixed(2),
    ]),
  );
  return table(['row', '', 'median', 'quartiles', 'of the first'], lines, [2, 3, 4]);
}

function barsTable(verdicts: readonly Verdict[]): string {
  return table(
    ['bar', 'limit', 'measured', ''],
    verdicts.map(({ claim, unit, bound, limit, value, met }) => [
      claim,
      `${bound} ${figure(limit, unit)}`,
      figure(value, unit),
      met ? 'met' : 'NOT met',
    ]),
    [1, 2],
  );
}

function figure(value: number, unit: Verdict['unit']): string {
  if (unit === 'ratio') return value.toFixed(2);
  return unit === 'ms' ? milliseconds(value) : grouped(value);
}

/** Less than ten in a second are no whole number of them. */
export function rate(perSecond: number): string {
  return perSecond < 10 ? perSecond.toFixed(2) : grouped(perSecond);
}

export function milliseconds(value: number): string {
  return `${value < 10 ? value.toFixed(1) : grouped(value)} ms`;
}

function errorsText(errors: Readonly<Record<string, number>>): string {
  const counts = Object.entries(errors).map(([code, count]) => `${grouped(count)} × ${code}`);
  return counts.length === 0 ? '0' : counts.join(', ');
}
