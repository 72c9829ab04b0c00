import type { Row } from './report.ts';

/** What the project holds itself to. `limit` is a ratio where `against` is given, else in the unit of the row. */
interface Bar {
  readonly claim: string;
  readonly row: string;
  /** Measured against another contender, `best peer` the cheapest pool of the run; of the same row unless said. */
  readonly against?: { readonly contender: string; readonly row?: string };
  readonly limit: number;
}

const bestPeer = 'best peer';

const bars: readonly Bar[] = [
  { claim: 'acquire + release, of generic-pool', row: 'lease', against: { contender: 'generic-pool' }, limit: 0.8 },
  { claim: 'acquire + release, of tarn', row: 'lease', against: { contender: 'tarn' }, limit: 0.3 },
  { claim: "withConnection, of generic-pool's use", row: 'scoped', against: { contender: 'generic-pool' }, limit: 1 },
  {
    claim: 'withConnection + select, of generic-pool preparing per request',
    row: 'select',
    against: { contender: 'generic-pool' },
    limit: 0.25,
  },
  {
    claim: 'withConnection + select, of a kept raw statement',
    row: 'select',
    against: { contender: 'floor' },
    limit: 1.6,
  },
  { claim: 'contended by 64, of the best peer', row: 'contended-64', against: { contender: bestPeer }, limit: 1 },
  { claim: 'contended by 1 000, of the best peer', row: 'contended-1000', against: { contender: bestPeer }, limit: 1 },
  {
    claim: 'an operation with 100 000 waiting, of one with 64',
    row: 'contended-100000',
    against: { contender: 'leasehold', row: 'contended-64' },
    limit: 2.5,
  },
  { claim: 'what leakThreshold adds to a lease', row: 'watched', limit: 5000 },
  { claim: 'heap of a waiter', row: 'waiter', limit: 1000 },
  // One pointer kept for each lease would be 8 MB. What is allowed is what the collector's own bookkeeping moves.
  { claim: 'heap moved by 1 000 000 leases', row: 'drift', limit: 100_000 },
];

export interface Verdict {
  readonly claim: string;
  readonly unit: 'ratio' | 'ns' | 'B';
  readonly limit: number;
  readonly value: number;
  readonly met: boolean;
}

/** The bars whose rows were run. */
export function judge(rows: readonly Row[]): Verdict[] {
  return bars.flatMap(({ claim, row: id, against, limit }): Verdict[] => {
    const row = rows.find((candidate) => candidate.id === id);
    const own = medianOf(row, 'leasehold');
    if (row === undefined || own === undefined) return [];
    if (against === undefined) return [{ claim, unit: row.unit, limit, value: own, met: own <= limit }];
    const other = against.row === undefined ? row : rows.find((candidate) => candidate.id === against.row);
    const base = medianOf(other, against.contender);
    return base === undefined ? [] : [{ claim, unit: 'ratio', limit, value: own / base, met: own / base <= limit }];
  });
}

function medianOf(row: Row | undefined, contender: string): number | undefined {
  if (contender !== bestPeer) return row?.cells.find(({ name }) => name === contender)?.median;
  const peers = row?.cells.filter(({ name }) => name !== 'leasehold' && name !== 'floor') ?? [];
  return peers.length === 0 ? undefined : Math.min(...peers.map(({ median }) => median));
}
