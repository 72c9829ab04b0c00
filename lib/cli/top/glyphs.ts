import type { Style } from '../colours.ts';
import type { Activity } from './columns.ts';

/** A part of a row in one style. */
export interface Part {
  readonly text: string;
  readonly style?: Style | undefined;
}

export type Row = readonly Part[];

const levels = '▁▂▃▄▅▆▇█';
// Writes are told apart by more than their colour.
const writeLevels = '░▒▓';

export const legend: Row = [
  { text: '▂▅█', style: 'green' },
  { text: ' held ' },
  { text: '░▒▓', style: 'yellow' },
  { text: ' writes' },
];

/** One character a column: how much of it a connection was held, and whether mostly by who could write. */
export function activityRow(activity: readonly Activity[]): Row {
  return merged(
    activity.map(({ held, wrote }) => {
      if (held === undefined) return { text: ' ' };
      if (wrote > 0 && wrote * 2 >= held) return { text: levelOf(writeLevels, wrote), style: 'yellow' as const };
      return held === 0
        ? { text: '·', style: 'dim' as const }
        : { text: levelOf(levels, held), style: 'green' as const };
    }),
  );
}

/** One character a column, measured against `most`, or else against the most of them. */
export function valueRow(values: readonly (number | undefined)[], style: Style, most?: number): Row {
  const top = Math.max(most ?? 0, ...values.map((value) => value ?? 0));
  return merged(
    values.map((value) => {
      if (value === undefined) return { text: ' ' };
      return value <= 0 ? { text: '·', style: 'dim' as const } : { text: levelOf(levels, value / top), style };
    }),
  );
}

/** A bar that is filled as far as `share` says: not at all only at 0, and whole only at 1. */
export function bar(share: number, width: number, style: Style): Row {
  const exact = Math.min(1, Math.max(0, share)) * width;
  let filled = Math.round(exact);
  if (share > 0) filled = Math.max(1, filled);
  if (share < 1) filled = Math.min(width - 1, filled);
  filled = Math.max(0, Math.min(width, filled));
  return merged([
    { text: '█'.repeat(filled), style },
    { text: '░'.repeat(width - filled), style: 'dim' },
  ]);
}

function levelOf(glyphs: string, share: number): string {
  const index = Math.ceil(Math.min(1, share) * glyphs.length) - 1;
  return glyphs[Math.max(0, index)] ?? ' ';
}

function merged(parts: readonly Part[]): Row {
  const row: { text: string; style?: Style | undefined }[] = [];
  for (const { text, style } of parts) {
    const last = row.at(-1);
    if (last !== undefined && last.style === style) last.text += text;
    else row.push({ text, style });
  }
  return row;
}
