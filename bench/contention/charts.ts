import { bestAtLeast, type Chart, type Row as ChartRow, type Panel, rangeOf, type Tone } from '../support/chart.ts';
import { named, roundsOf } from '../support/figures.ts';
import { grouped } from '../support/markdown.ts';
import { machineParts } from '../support/result.ts';
import { type ContentionResult, type MixCell, type MixRow, milliseconds, rate } from './report.ts';

const labels: Readonly<Record<string, string>> = {
  leasehold: 'Leasehold',
  mutex: 'one connection + mutex',
  kysely: 'Kysely',
  'kysely on leasehold': 'Kysely on Leasehold',
  knex: 'Knex',
};

const tones: Readonly<Record<string, Tone>> = { leasehold: 'own', 'kysely on leasehold': 'kin' };

/** From here on a reader is to see how long the event loop stood still: a request waits as long, whatever it wants. */
const alarmingStall = 100;

/** The first is for the page of the project. */
export function charts({ mixes, machine }: ContentionResult): Chart[] {
  const mix = (id: string) => named(mixes, id, (candidate) => candidate.id);
  const common = { across: 1, labels: 230, columns: 116, footer: machineParts(machine) } as const;
  const [mixed, write, read] = [mix('mixed'), mix('write'), mix('read')];
  return [
    {
      ...common,
      id: 'contention',
      title: `${mixed.loops} transactions at once, each awaits 1 ms`,
      lead: lead(mixed),
      panels: [throughput(mixed), throughput(write)],
      notes: [...reading(['Each panel has a scale of its own, from 0.']), ...failures([mixed, write])],
    },
    {
      ...common,
      id: 'contention-read',
      title: `${read.loops} snapshots at once, each awaits 1 ms`,
      lead: lead(read),
      panels: [throughput(read)],
      notes: [...reading([]), ...failures([read])],
    },
  ];
}

function lead({ cells }: MixRow): string {
  const rounds = roundsOf(named(cells, 'leasehold', ({ name }) => name).runs.length);
  return `Committed in a second. ${bestAtLeast}. Median of ${rounds}, whiskers: quartiles.`;
}

function reading(more: readonly string[]): string[] {
  return [[...more, '“stall”: the longest the event loop stood still.'].join(' ')];
}

/** What the failures were, and who had one round, so that nobody has to take them for something else. */
function failures(rows: readonly MixRow[]): string[] {
  const cells = rows.flatMap((row) => row.cells);
  const codes = [...new Set(cells.flatMap(({ errors }) => Object.keys(errors)))];
  const single = [...new Set(cells.filter(({ runs }) => runs.length === 1).map(({ name }) => labels[name] ?? name))];
  const parts = [
    ...(codes.length === 0 ? [] : [`What failed did so with ${codes.join(', ')}.`]),
    ...(single.length === 0 ? [] : [`One round: ${single.join(', ')}.`]),
  ];
  return parts.length === 0 ? [] : [parts.join(' ')];
}

function throughput({ title, cells }: MixRow): Panel {
  const rows = cells.map(rowOf);
  return { heading: title, rows, range: rangeOf(rows), columns: ['failed', 'stall'] };
}

function rowOf({ name, throughput: { median, lower, upper }, stall, errors, runs }: MixCell): ChartRow {
  const failed = Object.values(errors).reduce((sum, count) => sum + count, 0);
  const operations = runs.reduce((sum, run) => sum + run.operations, 0);
  return {
    label: labels[name] ?? name,
    marks: [
      {
        tone: tones[name] ?? 'peer',
        value: median,
        text: rate(median),
        ...(runs.length === 1 ? {} : { quartiles: [lower, upper] as const }),
        asides: [
          { text: failed === 0 ? '0' : `${grouped(failed)} of ${grouped(operations)}`, alarming: failed > 0 },
          { text: milliseconds(stall.worst), alarming: stall.worst >= alarmingStall },
        ],
      },
    ],
  };
}
