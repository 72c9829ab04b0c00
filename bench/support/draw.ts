import { type Chart, inWords } from './chart.ts';
import { drawPanel, noteLinesOf } from './draw-panel.ts';
import { size, widthOf, wrapped } from './lettering.ts';
import { element, text } from './svg.ts';
import type { Theme } from './theme.ts';

const width = 840;
const padding = 26;
const gutter = 30;

/** A picture of a chart: text is text, in whatever fonts there are, and nothing in it moves or is fetched. */
export function draw(chart: Chart, theme: Theme): string {
  const inner = width - 2 * padding;
  const parts: string[] = [];
  let y = padding + size.title - 4;
  parts.push(text('text', { x: padding, y, 'font-size': size.title, 'font-weight': 700 }, chart.title));
  y += 8;
  for (const line of wrapped(chart.lead.split(' '), ' ', inner, size.lead)) {
    y += 25;
    parts.push(text('text', { x: padding, y, 'font-size': size.lead, fill: theme.quiet }, line));
  }
  if (chart.legend !== undefined) {
    y += 34;
    parts.push(legend(chart.legend, y, theme));
  }
  y += 20;

  const across = (inner - (chart.across - 1) * gutter) / chart.across;
  for (let first = 0; first < chart.panels.length; first += chart.across) {
    const beside = chart.panels.slice(first, first + chart.across);
    const noteLines = Math.max(...beside.map(({ note }) => noteLinesOf(note, across).length));
    const drawn = beside.map((panel, column) =>
      drawPanel(panel, { x: padding + column * (across + gutter), y, width: across, noteLines }, chart, theme),
    );
    parts.push(...drawn.map(({ content }) => content));
    y += Math.max(...drawn.map(({ height }) => height)) + 16;
  }

  const small = { x: padding, 'font-size': size.small, fill: theme.quiet };
  for (const note of chart.notes ?? []) {
    for (const line of wrapped(note.split(' '), ' ', inner, size.small)) {
      y += 22;
      parts.push(text('text', { ...small, y }, line));
    }
  }
  y += 14;
  parts.push(element('line', { x1: padding, x2: width - padding, y1: y, y2: y, stroke: theme.line }));
  for (const line of wrapped(chart.footer, ' · ', inner, size.small)) {
    y += 23;
    parts.push(text('text', { ...small, y }, line));
  }
  return document(chart, theme, y + padding - 6, parts);
}

function document(chart: Chart, theme: Theme, height: number, parts: readonly string[]): string {
  const ground = element('rect', {
    x: 0.5,
    y: 0.5,
    width: width - 1,
    height: height - 1,
    rx: 8,
    fill: theme.ground,
    stroke: theme.edge,
  });
  const picture = element(
    'svg',
    {
      xmlns: 'http://www.w3.org/2000/svg',
      width,
      height,
      viewBox: `0 0 ${width} ${height}`,
      role: 'img',
      'aria-labelledby': 'title desc',
    },
    [
      text('title', { id: 'title' }, chart.title),
      text('desc', { id: 'desc' }, `${inWords(chart)} ${chart.footer.join(', ')}.`),
      ground,
      element('g', { 'font-family': 'system-ui, sans-serif', fill: theme.text }, parts),
    ],
  );
  return `${picture}\n`;
}

function legend(entries: NonNullable<Chart['legend']>, y: number, theme: Theme): string {
  const parts: string[] = [];
  let x = padding;
  for (const { tone, text: word } of entries) {
    const weight = tone === 'own' ? { 'font-weight': 700 } : {};
    parts.push(
      element('rect', { x, y: y - 15, width: 18, height: 18, fill: theme.marks[tone] }),
      text('text', { x: x + 26, y, 'font-size': size.label, ...weight }, word),
    );
    x += 26 + widthOf(word, size.label, tone === 'own') + gutter;
  }
  return element('g', {}, parts);
}
