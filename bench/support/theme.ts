import type { Tone } from './chart.ts';

/** Colours of a picture. Text has a contrast of 4.5 to its ground and more, marks of 3. */
export interface Theme {
  readonly ground: string;
  readonly edge: string;
  readonly text: string;
  readonly quiet: string;
  readonly alarm: string;
  readonly line: string;
  readonly marks: Readonly<Record<Tone, string>>;
}

/** The ground is drawn too: a page may show a picture that does not suit its own. */
export const themes: Readonly<Record<'light' | 'dark', Theme>> = {
  light: {
    ground: '#ffffff',
    edge: '#d1d9e0',
    text: '#1f2328',
    quiet: '#59636e',
    alarm: '#b3261e',
    line: '#d1d9e0',
    marks: { own: '#0969da', kin: '#4a96e8', peer: '#8a939d', floor: '#8a939d' },
  },
  dark: {
    ground: '#0d1117',
    edge: '#3d444d',
    text: '#f0f6fc',
    quiet: '#9ea7b3',
    alarm: '#ff8e85',
    line: '#3d444d',
    marks: { own: '#4493f8', kin: '#2f6fc4', peer: '#656e79', floor: '#656e79' },
  },
};
