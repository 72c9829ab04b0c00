import type { Chart, Mark, Panel, Row } from './chart.ts';
import { size, widthOf, wrapped } from './lettering.ts';
import { element, text } from './svg.ts';
import type { Theme } from './theme.ts';

const rowHeight = 31;
const barHeight = 19;
/** From one mark of a row to the next. */
const pairHeight = 23;
const gap = 8;

/** Where a panel goes. */
interface Place {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  /** Of the panel beside it that has most, so that the rows of both are in line. */
  readonly noteLines: number;
}

export function drawPanel(
  panel: Panel,
  place: Place,
  { panels, labels, columns: columnWidth = 0 }: Chart,
  theme: Theme,
): { readonly content: string; readonly height: number } {
  const { heading, note, rows, lines = [], columns = [] } = panel;
  const parts: string[] = [];
  const quiet = { 'font-size': size.small, fill: theme.quiet };
  let { y } = place;
  if (heading !== undefined) {
    y += 18;
    parts.push(text('text', { x: place.x, y, 'font-size': size.heading, 'font-weight': 700 }, heading));
    y += 4;
  }
  for (const [index, line] of noteLinesOf(note, place.width).entries()) {
    parts.push(text('text', { x: place.x, y: y + 19 + index * 22, ...quiet }, line));
  }
  y += 6 + place.noteLines * 22;
  const edge = place.x + place.width;
  const columnEnds = columns.map((_, index) => edge - (columns.length - 1 - index) * columnWidth);
  if (lines.length + columns.length > 0) {
    y += 18;
    for (const [index, column] of columns.entries()) {
      parts.push(text('text', { x: columnEnds[index] ?? edge, y, 'text-anchor': 'end', ...quiet }, column));
    }
  }
  // The same for all panels, so that what is on one scale stands in line.
  const numbers = Math.max(...panels.flatMap(({ rows: all }) => all.flatMap(({ marks }) => marks.map(numberWidth))));
  const from = place.x + labels;
  const scale = scaleOf(panel, from, edge - columns.length * columnWidth - numbers - gap);
  const heights = rows.map(({ marks }) => rowHeight + (marks.length - 1) * pairHeight);
  const height = heights.reduce((sum, one) => sum + one, 0);
  for (const { at, text: word, strong } of lines) {
    const stroke = strong ? { stroke: theme.text, 'stroke-dasharray': '4 3' } : { stroke: theme.line };
    parts.push(
      element('line', { x1: scale(at), x2: scale(at), y1: y + 6, y2: y + 8 + height, ...stroke }),
      text(
        'text',
        { ...placeOver(word, scale(at), place.x, edge), y, ...quiet, ...(strong ? { fill: theme.text } : {}) },
        word,
      ),
    );
  }
  y += 6;
  for (const [index, row] of rows.entries()) {
    parts.push(...drawRow(row, panel, { x: place.x, y, scale, columnEnds }, theme));
    y += heights[index] ?? 0;
  }
  return { content: element('g', {}, parts), height: y - place.y };
}

/** In the middle over a line, or as near to it as the panel is wide. */
function placeOver(word: string, x: number, from: number, to: number): { 'text-anchor': string; x: number } {
  const half = widthOf(word, size.small) / 2;
  if (x + half > to) return { 'text-anchor': 'end', x: to };
  return x - half < from ? { 'text-anchor': 'start', x: from } : { 'text-anchor': 'middle', x };
}

/** Pixels of a value. */
type Scale = (value: number) => number;

function scaleOf({ range: [from, to], logarithmic = false }: Panel, start: number, end: number): Scale {
  const position = logarithmic ? Math.log : (value: number) => value;
  const [first, last] = [position(from), position(to)];
  return (value) => start + ((position(value) - first) / (last - first || 1)) * (end - start);
}

interface RowPlace {
  readonly x: number;
  readonly y: number;
  readonly scale: Scale;
  readonly columnEnds: readonly number[];
}

function drawRow(row: Row, panel: Panel, { x, y, scale, columnEnds }: RowPlace, theme: Theme): string[] {
  const { label, marks } = row;
  const only = marks.length === 1 ? marks[0] : undefined;
  const middle = (index: number) => y + rowHeight / 2 + index * pairHeight;
  const weight = only?.tone === 'own' ? { 'font-weight': 700 } : {};
  const centre = (middle(0) + middle(marks.length - 1)) / 2;
  const parts = [text('text', { x, y: centre + 6, 'font-size': size.label, ...weight }, label)];
  for (const [index, mark] of marks.entries())
    parts.push(...drawMark(mark, panel, middle(index), scale, columnEnds, theme));
  return parts;
}

function drawMark(
  { tone, value, quartiles, text: number, asides = [] }: Mark,
  { logarithmic = false }: Panel,
  y: number,
  scale: Scale,
  columnEnds: readonly number[],
  theme: Theme,
): string[] {
  const parts: string[] = [];
  const colour = theme.marks[tone];
  // The floor is no contender: an outline.
  const paint = tone === 'floor' ? { fill: theme.ground, stroke: colour, 'stroke-width': 1.5 } : { fill: colour };
  const at = scale(value);
  if (!logarithmic) {
    const [left, right] = [Math.min(at, scale(0)), Math.max(at, scale(0))];
    // What is hardly more than nothing is still to be seen.
    const length = Math.max(1.5, right - left);
    parts.push(element('rect', { x: left, y: y - barHeight / 2, width: length, height: barHeight, ...paint }));
  }
  const [lower, upper] = quartiles ?? [value, value];
  // Behind a dot there is nothing to see of a short one.
  const hidden = logarithmic && Math.max(at - scale(lower), scale(upper) - at) < 9;
  if (quartiles !== undefined && !hidden) parts.push(...whisker(scale(lower), scale(upper), y, theme));
  if (logarithmic) parts.push(element('circle', { cx: at, cy: y, r: tone === 'own' ? 7 : 6, ...paint }));
  const weight = tone === 'own' ? { 'font-weight': 700 } : {};
  const behind = Math.max(at + (logarithmic ? 6 : 0), scale(upper), logarithmic ? 0 : scale(0)) + gap;
  // A line of the panel may run through it.
  const halo = { stroke: theme.ground, 'stroke-width': 5, 'stroke-linejoin': 'round', 'paint-order': 'stroke' };
  parts.push(text('text', { x: behind, y: y + 6, 'font-size': size.label, ...weight, ...halo }, number));
  for (const [index, aside] of asides.entries()) {
    const tint = aside.alarming ? { fill: theme.alarm, 'font-weight': 700 } : {};
    const end = columnEnds[index] ?? 0;
    parts.push(text('text', { x: end, y: y + 6, 'text-anchor': 'end', 'font-size': size.label, ...tint }, aside.text));
  }
  return parts;
}

/** Half of the rounds: a line with ends, over a wider one of the ground, so that it shows on every colour. */
function whisker(from: number, to: number, y: number, theme: Theme): string[] {
  const d = `M${[from, to].map((x) => `${x.toFixed(2)} ${y - 5}v10`).join('M')}M${from.toFixed(2)} ${y}H${to.toFixed(2)}`;
  const line = { d, fill: 'none', 'stroke-linecap': 'square' };
  return [
    element('path', { ...line, stroke: theme.ground, 'stroke-width': 3.5 }),
    element('path', { ...line, stroke: theme.text, 'stroke-width': 1.5 }),
  ];
}

function numberWidth({ text: number }: Mark): number {
  return widthOf(number, size.label, true);
}

/** What is said of a panel below its heading. */
export function noteLinesOf(note: string | undefined, room: number): string[] {
  return note === undefined ? [] : wrapped(note.split(' '), ' ', room, size.small);
}
