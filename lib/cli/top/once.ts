import type { Io } from '../command.ts';
import type { Row } from './glyphs.ts';
import { paintRow } from './layout.ts';
import type { ScreenSize } from './screen.ts';
import type { Settings } from './settings.ts';

const usualSize: ScreenSize = { width: 80, height: 40 };

/** What no terminal is as wide as does not count. */
function widthIn(text = ''): number | undefined {
  return /^\d{1,4}$/.test(text) ? Number(text) : undefined;
}

/** One picture as lines of text, as large as the terminal, or as COLUMNS and `--lines` say. */
export function shownOnce(
  picture: (size: ScreenSize) => Row[],
  { lines, paint }: Settings,
  { stdout, env }: Io,
): string {
  const { columns, rows, isTTY } = stdout;
  const width = columns || widthIn(env['COLUMNS']) || usualSize.width;
  // One row is for the prompt that follows.
  const height = lines ?? (isTTY === true && rows ? rows - 1 : usualSize.height);
  return picture({ width, height })
    .map((row) => `${paintRow(row, width, paint)}\n`)
    .join('');
}
