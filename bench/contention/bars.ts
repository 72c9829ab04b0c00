import type { ComparisonRow, MixCell, MixRow } from './report.ts';

/** What was run. */
interface Rows {
  readonly mixes: readonly MixRow[];
  readonly comparisons: readonly ComparisonRow[];
}

/** What the project holds itself to. */
interface Bar {
  readonly claim: string;
  readonly unit: 'ratio' | 'ms' | 'count';
  readonly bound: 'at least' | 'at most';
  readonly limit: number;
  /** `undefined` where what it needs was not run. */
  readonly value: (rows: Rows) => number | undefined;
}

const bars: readonly Bar[] = [
  {
    claim: '90 % read, 10 % write: committed, of the mutex',
    unit: 'ratio',
    bound: 'at least',
    limit: 4,
    value: (rows) => ofAnother(rows, 'mixed', 'leasehold', 'mutex'),
  },
  {
    claim: '90 % read, 10 % write: worst stall of the event loop',
    unit: 'ms',
    bound: 'at most',
    limit: 100,
    value: (rows) => cellOf(rows, 'mixed', 'leasehold')?.stall.worst,
  },
  {
    claim: '100 % write: committed, of the mutex',
    unit: 'ratio',
    bound: 'at least',
    limit: 0.95,
    value: (rows) => ofAnother(rows, 'write', 'leasehold', 'mutex'),
  },
  {
    claim: '90 % read, 10 % write: committed by Kysely on Leasehold, of Kysely with its own dialect',
    unit: 'ratio',
    bound: 'at least',
    limit: 4,
    value: (rows) => ofAnother(rows, 'mixed', 'kysely on leasehold', 'kysely'),
  },
  { claim: 'errors of all mixes', unit: 'count', bound: 'at most', limit: 0, value: errorsOfAll },
  {
    claim: 'a read beside queued writers, of one in an idle pool',
    unit: 'ratio',
    bound: 'at most',
    limit: 3,
    value: (rows) => ofTheFirst(rows, 'beside'),
  },
  {
    claim: 'an uncontended transaction, of its raw statements',
    unit: 'ratio',
    bound: 'at most',
    limit: 1.5,
    value: (rows) => ofTheFirst(rows, 'uncontended'),
  },
];

export interface Verdict extends Omit<Bar, 'value'> {
  readonly value: number;
  readonly met: boolean;
}

/** The bars whose rows were run. */
export function judge(rows: Rows): Verdict[] {
  return bars.flatMap(({ value: measure, ...bar }): Verdict[] => {
    const value = measure(rows);
    if (value === undefined) return [];
    return [{ ...bar, value, met: bar.bound === 'at least' ? value >= bar.limit : value <= bar.limit }];
  });
}

function cellOf({ mixes }: Rows, id: string, contender: string): MixCell | undefined {
  return mixes.find((row) => row.id === id)?.cells.find(({ name }) => name === contender);
}

/** Throughput of one contender in parts of that of another. */
function ofAnother(rows: Rows, id: string, contender: string, another: string): number | undefined {
  const own = cellOf(rows, id, contender);
  const other = cellOf(rows, id, another);
  return own && other && own.throughput.median / other.throughput.median;
}

function errorsOfAll({ mixes }: Rows): number | undefined {
  const own = mixes.flatMap(({ cells }) => cells.filter(({ name }) => name.endsWith('leasehold')));
  if (own.length === 0) return undefined;
  return own.flatMap(({ errors }) => Object.values(errors)).reduce((sum, count) => sum + count, 0);
}

/** The second line of a comparison in parts of its first. */
function ofTheFirst({ comparisons }: Rows, id: string): number | undefined {
  const [first, second] = comparisons.find((row) => row.id === id)?.cells ?? [];
  return first && second && second.median / first.median;
}
