import { bestAtMost, type Chart, type Row as ChartRow, type Line, rangeOf, type Tone } from '../support/chart.ts';
import { named, roundsOf } from '../support/figures.ts';
import { machineParts } from '../support/result.ts';
import { bar, type Kind } from './kinds.ts';
import { type InspectorResult, percent } from './report.ts';

const labels: Readonly<Record<Exclude<Kind, 'none'>, string>> = {
  recording: 'nobody looks',
  watched: 'somebody looks',
  crowd: 'ten look at once',
};

const tones: Readonly<Record<Exclude<Kind, 'none'>, Tone>> = { recording: 'kin', watched: 'own', crowd: 'kin' };

export function charts({ rows, machine, leasesPerSecond }: InspectorResult): Chart[] {
  const bare = named(rows, 'none', ({ id }) => id);
  const lines = rows.flatMap(({ id, added }): ChartRow[] => {
    if (id === 'none' || added === undefined) return [];
    const { median, lower, upper } = added;
    return [
      {
        label: labels[id],
        marks: [{ tone: tones[id], value: median, quartiles: [lower, upper], text: percent(median) }],
      },
    ];
  });
  const limit: Line = { at: bar.limit, text: `our limit while somebody looks, ${percent(bar.limit)}`, strong: true };
  return [
    {
      id: 'inspector',
      title: 'What the inspector costs a process',
      lead:
        `Part of a core, on top of the ${percent(bare.processor.median)} that ${leasesPerSecond} leases a second take ` +
        `without it. ${bestAtMost}. Median of ${roundsOf(bare.samples.length)}, whiskers: quartiles.`,
      panels: [{ rows: lines, range: rangeOf(lines, [limit]), lines: [limit] }],
      across: 1,
      labels: 190,
      notes: [
        'Each round has its own difference to the same process without an inspector. Who looks is sent two reports a second.',
      ],
      footer: machineParts(machine),
    },
  ];
}
