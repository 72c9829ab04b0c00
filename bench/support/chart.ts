import { escaped } from './svg.ts';

/** Whose a mark is: Leasehold's, something's that runs on Leasehold, another's, or of nothing but the bare minimum. */
export type Tone = 'own' | 'kin' | 'peer' | 'floor';

/** One figure, drawn as a bar or as a dot with its number behind it. */
export interface Mark {
  /** Where a row has several, who is who; else the label of the row says it. */
  readonly name?: string;
  readonly tone: Tone;
  readonly value: number;
  /** Drawn as a whisker. None where there was one round. */
  readonly quartiles?: readonly [lower: number, upper: number];
  /** The number as it is read. */
  readonly text: string;
  /** One for each column of the panel. */
  readonly asides?: readonly Aside[];
}

/** What is written beside a mark. */
interface Aside {
  readonly text: string;
  /** What a reader must not overlook. */
  readonly alarming: boolean;
}

export interface Row {
  readonly label: string;
  readonly marks: readonly Mark[];
}

/** A line across all rows of a panel, with a word above it. */
export interface Line {
  readonly at: number;
  readonly text: string;
  /** What the marks are measured against, rather than a tick. */
  readonly strong: boolean;
}

/** Rows on one scale. */
export interface Panel {
  /** None where there is but one panel, of which the title says all. */
  readonly heading?: string;
  readonly note?: string;
  readonly rows: readonly Row[];
  /** Both ends of the scale. A bar begins at 0, so a scale of bars has it. */
  readonly range: readonly [from: number, to: number];
  /** Marks are dots then: the length of a bar would say nothing. */
  readonly logarithmic?: boolean;
  readonly lines?: readonly Line[];
  /** Heads of what stands beside the marks. */
  readonly columns?: readonly string[];
}

/** A picture as data: what is in it, and not what it looks like. */
export interface Chart {
  /** Name of its files, and of its section in a page. */
  readonly id: string;
  readonly title: string;
  /** What it is about, which way is better, and what the whiskers are. */
  readonly lead: string;
  readonly panels: readonly Panel[];
  /** Panels side by side. */
  readonly across: 1 | 2;
  /** Room for the labels of the rows, in pixels. */
  readonly labels: number;
  /** Room for each column beside the marks. */
  readonly columns?: number;
  /** Who has which colour, where the rows do not say it. */
  readonly legend?: readonly { readonly tone: Tone; readonly text: string }[];
  readonly notes?: readonly string[];
  /** Machine, date and versions. */
  readonly footer: readonly string[];
}

export const bestAtLeast = 'Higher is better';
export const bestAtMost = 'Lower is better';

/** From 0, or from below it, to the end of the longest whisker, and to what else is to be seen. */
export function rangeOf(rows: readonly Row[], lines: readonly Line[] = []): [from: number, to: number] {
  const ends = rows.flatMap(({ marks }) => marks.flatMap(({ value, quartiles }) => [value, ...(quartiles ?? [])]));
  const all = [0, ...ends, ...lines.map(({ at }) => at)];
  return [Math.min(...all), Math.max(...all)];
}

/** All figures of a chart and what is to be known of them, in words, for who does not see it. */
export function inWords({ title, lead, panels, notes = [] }: Chart): string {
  const parts = panels.map(({ heading, note, rows, lines = [], columns = [] }) => {
    const strong = lines.filter((line) => line.strong).map(({ text }) => text);
    const about = [heading, note, ...strong].filter((part) => part !== undefined);
    const figures = rows.map(({ label, marks }) => {
      const read = marks.map(({ name, text, asides = [] }) => {
        const beside = asides.map((aside, index) => `${columns[index] ?? ''} ${aside.text}`.trim());
        return [name === undefined ? text : `${name} ${text}`, ...beside].join(', ');
      });
      return `${label}${marks.length > 1 ? ':' : ''} ${read.join(', ')}`;
    });
    return `${about.join(', ')}${about.length === 0 ? '' : ': '}${figures.join('; ')}.`;
  });
  return [`${title}.`, lead, ...parts, ...notes].join(' ');
}

/** Names of the two files of a chart. */
export function filesOf({ id }: Chart): { readonly light: string; readonly dark: string } {
  return { light: `${id}.light.svg`, dark: `${id}.dark.svg` };
}

/** Both pictures of a chart, for a page of Markdown: the one that suits the reader's, with all of it in words. */
export function picture(chart: Chart, directory: string): string {
  const { light, dark } = filesOf(chart);
  return [
    '<picture>',
    `  <source media="(prefers-color-scheme: dark)" srcset="${directory}/${dark}">`,
    `  <img src="${directory}/${light}" width="840" alt="${escaped(inWords(chart))}">`,
    '</picture>',
  ].join('\n');
}
