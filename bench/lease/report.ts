import { grouped, table } from '../support/markdown.ts';
import type { Result } from '../support/result.ts';
import type { Summary } from '../support/statistics.ts';
import type { Verdict } from './bars.ts';

/** What one contender came to in one trial. */
export interface Cell extends Summary {
  readonly name: string;
  readonly samples: readonly number[];
}

/** One trial as it was run. */
export interface Row {
  readonly id: string;
  readonly title: string;
  readonly unit: 'ns' | 'B';
  readonly loops: number;
  readonly times: number;
  readonly ratios: boolean;
  readonly cells: readonly Cell[];
}

/** What is kept of a run. */
export interface LeaseResult extends Result {
  readonly rows: readonly Row[];
  readonly bars: readonly Verdict[];
}

export function tables({ rows: measured }: LeaseResult): string {
  return rowsTable(measured);
}

export function judgement({ bars: verdicts }: LeaseResult): string {
  return verdicts.length === 0 ? '' : barsTable(verdicts);
}

/** Every trial with every contender; ratios say what part of the contender's cost is Leasehold's. */
function rowsTable(rows: readonly Row[]): string {
  const lines = rows.flatMap(({ title, unit, ratios, cells }) => {
    const own = cells.find(({ name }) => name === 'leasehold')?.median;
    return cells.map(({ name, median, lower, upper, samples }, index) => [
      index === 0 ? title : '',
      name,
      `${grouped(median)} ${unit}`,
      samples.length === 1 ? 'one round' : `${grouped(lower)} to ${grouped(upper)}`,
      own === undefined || name === 'leasehold' || !ratios ? '' : (own / median).toFixed(2),
    ]);
  });
  return table(['trial', 'contender', 'median', 'quartiles', 'leasehold / it'], lines, [2, 3, 4]);
}

function barsTable(verdicts: readonly Verdict[]): string {
  return table(
    ['bar', 'at most', 'measured', ''],
    verdicts.map(({ claim, unit, limit, value, met }) => [
      claim,
      figure(limit, unit),
      figure(value, unit),
      met ? 'met' : 'NOT met',
    ]),
    [1, 2],
  );
}

function figure(value: number, unit: Verdict['unit']): string {
  return unit === 'ratio' ? value.toFixed(2) : `${grouped(value)} ${unit}`;
}
