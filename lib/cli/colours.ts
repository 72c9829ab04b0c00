import type { Io, Output } from './command.ts';

/** The eight colours that every terminal has, in the shades its user has chosen; no background is painted. */
const styles = {
  bold: [1, 22],
  dim: [2, 22],
  inverse: [7, 27],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  blue: [34, 39],
  cyan: [36, 39],
  // Too little, too late: what a person has to see first.
  alarm: ['1;31', '22;39'],
} as const satisfies Record<string, readonly [number | string, number | string]>;

export type Style = keyof typeof styles;

/** Gives `text` a style, or leaves it as it is where there are no colours. */
export type Paint = (style: Style | undefined, text: string) => string;

/**
 * Whether to colour what is written to `output`: `--no-color` decides, then FORCE_COLOR, then NO_COLOR, then whether it is a
 * terminal that can. In that order Node itself looks at them.
 */
export function wantsColours(io: Pick<Io, 'env'>, output: Output, refused: boolean): boolean {
  const { FORCE_COLOR: force, NO_COLOR: no, TERM: term } = io.env;
  if (refused) return false;
  if (force !== undefined) return force !== '0' && force !== 'false';
  if (no !== undefined && no !== '') return false;
  return output.isTTY === true && term !== 'dumb';
}

export function painter(coloured: boolean): Paint {
  if (!coloured) return (_style, text) => text;
  return (style, text) => {
    if (style === undefined || text === '') return text;
    const [begin, end] = styles[style];
    return `\u001b[${begin}m${text}\u001b[${end}m`;
  };
}
