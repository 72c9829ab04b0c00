import type { Measured, Share } from './measure.ts';

/** A part of the library, and how much of its lines and of its branches has to run, in per cent. */
interface Part {
  readonly name: string;
  /** Of paths below `lib/`. */
  readonly holds: (file: string) => boolean;
  readonly bound: number;
}

const others = ['sqlite', 'postgres', 'http', 'orm', 'telemetry', 'inspector', 'cli'];
const isIn = (folder: string, file: string): boolean => file === `${folder}.ts` || file.startsWith(`${folder}/`);

/** The core is what any database could use. What is new belongs to it, unless it is in one of the other folders. */
export const parts: readonly Part[] = [
  { name: 'core', holds: (file) => !others.some((folder) => isIn(folder, file)), bound: 100 },
  ...others.map((folder) => ({ name: `lib/${folder}`, holds: (file: string) => isIn(folder, file), bound: 95 })),
];

export interface Row {
  readonly name: string;
  readonly lines: Share;
  readonly branches: Share;
  readonly bound: number;
  readonly isBelow: boolean;
}

export interface FileRow extends Row {
  readonly gaps: Measured['gaps'];
}

/** @param files what was measured, by the path below `lib/` */
export function judge(files: ReadonlyMap<string, Measured>): {
  readonly parts: readonly Row[];
  readonly files: readonly FileRow[];
} {
  const rows: FileRow[] = [];
  const wholes = parts.map(({ name, holds, bound }) => {
    const mine = [...files].filter(([file]) => holds(file));
    for (const [file, { lines, branches, gaps }] of mine) {
      rows.push({ ...row(`lib/${file}`, lines, branches, bound), gaps });
    }
    const all = mine.map(([, measured]) => measured);
    return row(name, sum(all.map(({ lines }) => lines)), sum(all.map(({ branches }) => branches)), bound);
  });
  return { parts: wholes, files: rows };
}

function row(name: string, lines: Share, branches: Share, bound: number): Row {
  return { name, lines, branches, bound, isBelow: isBelow(lines, bound) || isBelow(branches, bound) };
}

/** By the counts: what is rounded up to 100 % is not all. */
function isBelow({ covered, all }: Share, bound: number): boolean {
  return covered * 100 < bound * all;
}

function sum(shares: readonly Share[]): Share {
  const none: Share = { covered: 0, all: 0 };
  return shares.reduce((total, { covered, all }) => ({ covered: total.covered + covered, all: total.all + all }), none);
}

/** `97.2 % (35 of 36)`. Cut, not rounded: 100 % is all. */
export function formatShare({ covered, all }: Share): string {
  const share = all === 0 ? 100 : Math.floor((1000 * covered) / all) / 10;
  return `${share} % (${covered} of ${all})`;
}
