import type { Paint } from '../colours.ts';
import { cut, plainText, visible, widthOf } from '../text.ts';
import type { Part, Row } from './glyphs.ts';

/** Rows that are shown together or not at all: a heading comes with the first row under it. */
export interface Block {
  /** The lower, the longer it stays when there is no room for all. */
  readonly rank: number;
  readonly rows: readonly Row[];
}

/** The blocks that fit, in the order in which they were given: those of the lowest ranks, and of one rank the first. */
export function fitting(blocks: readonly Block[], height: number): Row[] {
  const chosen = new Set<Block>();
  let left = height;
  for (const block of blocks.toSorted((a, b) => a.rank - b.rank)) {
    if (block.rows.length > left) continue;
    left -= block.rows.length;
    chosen.add(block);
  }
  return blocks.flatMap((block) => (chosen.has(block) ? block.rows : []));
}

/** A part of a row that is given its place: cut or filled up to its width. */
export interface Cell {
  readonly row: Row;
  readonly width: number;
  readonly right?: boolean;
}

export function inCells(...cells: readonly Cell[]): Row {
  return cells.flatMap(({ row, width, right = false }) => {
    const shown = cutRow(row, width);
    const space = { text: ' '.repeat(Math.max(0, width - rowWidth(shown))) };
    return right ? [space, ...shown] : [...shown, space];
  });
}

/** What is painted comes through here, so that nothing reaches a terminal but as text. */
export function cutRow(parts: Row, width: number): Row {
  const row = parts.map(({ text, style }) => ({ text: visible(text), style }));
  if (rowWidth(row) <= width) return row;
  const shown: Part[] = [];
  let left = width;
  for (const { text, style } of row) {
    const taken = widthOf(text);
    // One column is kept for the ellipsis, as something follows that is left out.
    if (taken >= left) return [...shown, { text: cut(`${text} `, left), style }];
    shown.push({ text, style });
    left -= taken;
  }
  return shown;
}

export function rowWidth(row: Row): number {
  return row.reduce((sum, { text }) => sum + widthOf(text), 0);
}

/** Parts with space between them; those that are `undefined` are left out. */
export function spaced(...parts: readonly (Part | Row | undefined)[]): Row {
  const rows = parts.filter((part) => part !== undefined).map((part) => ('text' in part ? [part] : part));
  return rows.flatMap((row, index) => (index === 0 ? row : [{ text: '  ' }, ...row]));
}

/** A row as text, of a width that it does not exceed. */
export function paintRow(row: Row, width: number, paint: Paint): string {
  const shown = cutRow(row, width);
  // What is at the end is only space.
  return shown
    .map(({ text, style }, index) =>
      paint(style, style === undefined && index === shown.length - 1 ? text.trimEnd() : text),
    )
    .join('');
}

/** As `paintRow` for a screen: after a text whose width a terminal might see otherwise the cursor is sent to its column. */
export function paintScreenRow(row: Row, width: number, paint: Paint): string {
  let column = 0;
  return cutRow(row, width)
    .map(({ text, style }) => {
      column += widthOf(text);
      return paint(style, text) + (plainText.test(text) ? '' : `\u001b[${column + 1}G`);
    })
    .join('');
}
