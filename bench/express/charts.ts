import { bestAtMost, type Chart, type Row as ChartRow, type Line, rangeOf, type Tone } from '../support/chart.ts';
import { named, roundsOf } from '../support/figures.ts';
import { machineParts } from '../support/result.ts';
import { bar, type Kind } from './kinds.ts';
import type { ExpressResult } from './report.ts';

const labels: Readonly<Record<Exclude<Kind, 'plain'>, string>> = {
  layer: 'a middleware that only calls next()',
  als: 'AsyncLocalStorage.run(store, next)',
  scope: 'express(pool)',
  eager: 'express(pool, { eager: true })',
};

const tones: Readonly<Record<Exclude<Kind, 'plain'>, Tone>> = {
  layer: 'floor',
  als: 'floor',
  scope: 'own',
  eager: 'kin',
};

export function charts({ rows, machine }: ExpressResult): Chart[] {
  const plain = named(rows, 'plain', ({ id }) => id);
  const lines = rows.flatMap(({ id, ratio }): ChartRow[] => {
    if (id === 'plain' || ratio === undefined) return [];
    const mark = {
      tone: tones[id],
      value: added(ratio.median),
      quartiles: [added(ratio.lower), added(ratio.upper)] as const,
      text: percent(ratio.median),
    };
    return [{ label: labels[id], marks: [mark] }];
  });
  const limit: Line = {
    at: added(bar.limit),
    text: `our limit for express(pool), ${percent(bar.limit)}`,
    strong: true,
  };
  return [
    {
      id: 'express',
      title: 'What a scope adds to a request of Express',
      lead:
        `Processor time on top of the ${plain.processor.median.toFixed(1)} µs of Express alone, for a route that does ` +
        `nothing. ${bestAtMost}. Median of ${roundsOf(plain.samples.length)}, whiskers: quartiles.`,
      panels: [{ rows: lines, range: rangeOf(lines, [limit]), lines: [limit] }],
      across: 1,
      labels: 350,
      notes: [
        'Each round has its own ratio to Express alone. Where a whisker reaches below 0, the machine differs more from ' +
          'round to round than what is measured.',
      ],
      footer: machineParts(machine),
    },
  ];
}

/** In parts of a request without. */
function added(ratio: number): number {
  return ratio - 1;
}

function percent(ratio: number): string {
  const share = (added(ratio) * 100).toFixed(1).replace('-', '−');
  return `${share.startsWith('−') ? '' : '+'}${share} %`;
}
