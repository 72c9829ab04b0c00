import type { RawStatement } from './better-sqlite3.ts';

/** The methods of a statement that change how its rows come back. */
export type RowToggle = 'pluck' | 'expand' | 'raw' | 'safeIntegers';

/**
 * How rows come back, as one number: flat objects, one of three other shapes, and with it or not safe integers.
 * A number, because it is compared before every use of a shared statement.
 */
export const flatRows = 0;
const shapes: Record<Exclude<RowToggle, 'safeIntegers'>, number> = { pluck: 1, expand: 2, raw: 3 };
const shapeMask = 3;
export const safeIntegerRows = 4;

/** The mode after `toggle(on)`. As in better-sqlite3, switching a shape off changes nothing while another is on. */
export function toggled(mode: number, toggle: RowToggle, on: boolean): number {
  if (toggle === 'safeIntegers') return on ? mode | safeIntegerRows : mode & ~safeIntegerRows;
  if (on) return (mode & ~shapeMask) | shapes[toggle];
  return (mode & shapeMask) === shapes[toggle] ? mode & ~shapeMask : mode;
}

/** Brings a prepared statement from one mode to another. */
export function switchRows(statement: RawStatement, from: number, to: number): void {
  for (const [toggle, shape] of Object.entries(shapes) as [keyof typeof shapes, number][]) {
    const wanted = (to & shapeMask) === shape;
    if (wanted !== ((from & shapeMask) === shape)) statement[toggle](wanted);
  }
  if ((from ^ to) & safeIntegerRows) statement.safeIntegers((to & safeIntegerRows) !== 0);
}
