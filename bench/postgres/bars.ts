import type { Summary } from '../support/statistics.ts';
import type { Row } from './report.ts';

/** What the project holds itself to: what part of a peer's time Leasehold may take. */
interface Bar {
  readonly claim: string;
  readonly row: string;
  readonly contender: string;
  readonly limit: number;
}

const bars: readonly Bar[] = [
  { claim: 'lease + SELECT 1, of pg.Pool', row: 'query', contender: 'pg.Pool', limit: 1 },
  { claim: 'lease + SELECT 1, 1 000 at once, of pg.Pool', row: 'crowd-1000', contender: 'pg.Pool', limit: 1 },
];

export interface Verdict extends Bar {
  /** Of the rounds, each with its own ratio. */
  readonly value: Summary;
  readonly met: boolean;
}

/** The bars whose rows were run. */
export function judge(rows: readonly Row[]): Verdict[] {
  return bars.flatMap((bar): Verdict[] => {
    const row = rows.find(({ id }) => id === bar.row);
    const value = row?.cells.find(({ name }) => name === bar.contender)?.ratio?.time;
    return value === undefined ? [] : [{ ...bar, value, met: value.median <= bar.limit }];
  });
}
