import { readFileSync } from 'node:fs';
import { relative } from 'node:path';

/** A place in a file: the function that it is in, and the method that is called at its line and column. */
export interface Place {
  readonly by: string;
  readonly call: string;
}

/** Finds the places of a file that a message names, in its order, with paths relative to the working directory. */
export function placesOf(file: string): (message: string) => Place[] {
  const path = relative(process.cwd(), file).replaceAll('.', String.raw`\.`);
  const pattern = new RegExp(`(?:at|from) (?:([\\w.]+) \\()?${path}:(\\d+):(\\d+)`, 'g');
  const lines = readFileSync(file, 'utf8').split('\n');
  return (message) =>
    [...message.matchAll(pattern)].map(([, by = '', line, column]) => {
      const rest = lines[Number(line) - 1]?.slice(Number(column) - 1) ?? '';
      return { by, call: /^\w*/.exec(rest)?.[0] ?? '' };
    });
}
