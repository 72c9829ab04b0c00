import { bestAtMost, type Chart, type Row as ChartRow, type Panel, rangeOf, type Tone } from '../support/chart.ts';
import { duration, named, roundsOf } from '../support/figures.ts';
import { machineParts } from '../support/result.ts';
import type { Cell, LeaseResult, Row } from './report.ts';

/** The first is for the page of the project. */
export function charts({ rows, machine }: LeaseResult): Chart[] {
  const row = (id: string) => named(rows, id, (candidate) => candidate.id);
  const footer = machineParts(machine);
  const median = `Median of ${rounds(row('lease'))}, whiskers: quartiles.`;
  return [
    {
      id: 'lease',
      title: 'What a lease costs, beside other pools',
      lead: `${bestAtMost}. ${median}`,
      panels: [
        costs(row('lease'), 'acquire + release', 'nobody else wants one'),
        costs(row('select'), 'withConnection + select by key', 'the others prepare it each time'),
        costs(row('contended-64'), '64 loops share 8 connections', 'acquire, await, release'),
        costs(row('contended-1000'), '1 000 loops share 8', 'acquire, await, release'),
      ],
      across: 2,
      labels: 136,
      notes: [
        'Each panel has a scale of its own, from 0. “no pool”: the bare loop, and for the select one kept statement.',
      ],
      footer,
    },
    {
      id: 'lease-contended',
      title: 'A lease, by how many want one of 8 connections',
      lead: `${bestAtMost}. Logarithmic scale: each line is ten times the one before. ${median}`,
      panels: crowds(['contended-64', 'contended-1000', 'contended-100000'].map(row)),
      across: 1,
      labels: 150,
      notes: ['Each loop acquires, awaits once and releases. “no pool”: the awaits alone.', ...exceptions(rows)],
      footer,
    },
  ];
}

function rounds({ cells }: Row): string {
  return roundsOf(named(cells, 'leasehold', ({ name }) => name).samples.length);
}

/** Rows and contenders with fewer rounds than the first row has. */
function exceptions(rows: readonly Row[]): string[] {
  const shown = rows.filter(({ id }) => id.startsWith('contended-'));
  const fewer = shown
    .filter((row) => rounds(row) !== rounds(rows[0] ?? row))
    .map((row) => `${row.title}: ${rounds(row)}`);
  const single = shown.flatMap(({ title, cells }) =>
    cells.filter(({ samples }) => samples.length === 1).map(({ name }) => `${name} ${title}: one round`),
  );
  const all = [...fewer, ...single];
  return all.length === 0 ? [] : [`Fewer rounds: ${all.join(', ')}.`];
}

function costs({ cells }: Row, heading: string, note: string): Panel {
  const rows = rowsOf(cells, Math.max(...cells.map(({ median }) => median)));
  return { heading, note, rows, range: rangeOf(rows) };
}

function rowsOf(cells: readonly Cell[], longest: number): ChartRow[] {
  return cells.map(({ name, median, lower, upper, samples }) => {
    const mark = { tone: toneOf(name), value: median, text: duration(median, longest) };
    return { label: labelOf(name), marks: [samples.length === 1 ? mark : { ...mark, quartiles: [lower, upper] }] };
  });
}

/** All on one scale, so that they can be set against each other too. */
function crowds(rows: readonly Row[]): Panel[] {
  const cells = rows.flatMap((row) => row.cells);
  const ends = cells.flatMap(({ median, lower, upper }) => [median, lower, upper]);
  const longest = Math.max(...ends);
  const range = [Math.min(100, ...ends), longest] as const;
  const lines = [100, 1000, 10_000, 100_000]
    .filter((at) => at >= range[0] && at <= longest)
    .map((at) => ({ at, text: `${at / 1000} µs`, strong: false }));
  return rows.map((row) => ({ heading: row.title, rows: rowsOf(row.cells, longest), range, logarithmic: true, lines }));
}

function labelOf(contender: string): string {
  if (contender === 'leasehold') return 'Leasehold';
  return contender === 'floor' ? 'no pool' : contender;
}

function toneOf(contender: string): Tone {
  if (contender === 'leasehold') return 'own';
  return contender === 'floor' ? 'floor' : 'peer';
}
