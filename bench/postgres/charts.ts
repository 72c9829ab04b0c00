import { bestAtMost, type Chart, type Row as ChartRow, type Line, type Mark, rangeOf } from '../support/chart.ts';
import { named, roundsOf } from '../support/figures.ts';
import { machineParts } from '../support/result.ts';
import type { Summary } from '../support/statistics.ts';
import type { PostgresResult, Row } from './report.ts';
import { ratios } from './trials.ts';

/** What all are measured against. */
const peer: Line = { at: 1, text: 'pg.Pool = 1', strong: true };

/** Trials that `pg.Pool` has a part in, in the order of the picture. */
const labels: Readonly<Record<string, string>> = {
  lease: 'lease alone',
  query: 'lease + SELECT 1',
  'crowd-64': '64 × lease + SELECT 1',
  'crowd-1000': '1 000 × lease + SELECT 1',
  'one-shot': 'one query',
  'one-shots-1000': '1 000 × one query',
  named: 'one query, prepared by name',
  scope: 'scope with three queries',
  transaction: 'transaction, two statements',
};

export function charts({ rows, machine, max }: PostgresResult): Chart[] {
  const lines = Object.entries(labels).map(([id, label]): ChartRow => {
    const row = named(rows, id, (candidate) => candidate.id);
    return { label, marks: [mark(row, 'leasehold'), mark(row, 'postgres')] };
  });
  const query = named(rows, 'query', ({ id }) => id);
  const rounds = named(query.cells, 'leasehold', ({ name }) => name).samples.length;
  return [
    {
      id: 'postgres',
      title: 'Leasehold and postgres beside pg.Pool',
      lead:
        `Time of an operation, in parts of what it takes with pg.Pool. ${bestAtMost}. ` +
        `Median of ${roundsOf(rounds)}, whiskers: quartiles.`,
      panels: [{ rows: lines, range: rangeOf(lines, [peer]), lines: [peer] }],
      across: 1,
      labels: 290,
      legend: [
        { tone: 'own', text: 'Leasehold' },
        { tone: 'peer', text: 'postgres (Postgres.js)' },
      ],
      notes: [
        `Up to ${max} connections each, to one server on the same machine. “×”: so many at once. Each round has its own ratio to pg.Pool.`,
      ],
      footer: machineParts(machine),
    },
  ];
}

function mark({ cells }: Row, contender: string): Mark {
  const samples = (name: string) => named(cells, name, (cell) => cell.name).samples;
  const { median, lower, upper }: Summary = ratios(samples(contender), samples('pg.Pool'), 'time');
  const isOwn = contender === 'leasehold';
  return {
    name: isOwn ? 'Leasehold' : contender,
    tone: isOwn ? 'own' : 'peer',
    value: median,
    quartiles: [lower, upper],
    text: median.toFixed(2),
  };
}
