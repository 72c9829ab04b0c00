import { existsSync } from 'node:fs';
import { isAbsolute, join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { UsageError } from '../../bench/support/bench.ts';
import { exclusions, isRunBy } from './exclusions.ts';
import { parts } from './parts.ts';
import { root, specFiles } from './sources.ts';

const packageSummary = 'the packed package, installed and used on 22, 24 and 26, and refused on an older Node.js';

const listing = [...parts, { id: 'package', summary: packageSummary, usual: true }]
  .map(({ id, summary, usual }) => `  ${id.padEnd(12)} ${summary}${usual ? '' : ' (only when asked for)'}`)
  .join('\n');

export const usage = `Usage: npm run test:nodes -- [options] [files]

Runs the specs, or those of the files, on every Node.js that is supported, each the real one, from npm.

Parts:
${listing}

Options:
  --only PART    one of them; may be given more than once
  --refresh      ask npm for the newest of each version, which are kept from run to run otherwise
  --list         the parts, and the files that are not run everywhere
  --help         this text`;

export interface Command {
  /** In the order of the table. */
  readonly parts: readonly string[];
  readonly refresh: boolean;
  /** Relative to the checkout, with slashes. */
  readonly files: readonly string[];
}

/** What was asked for: a text to print, or something to do. */
export function readCommand(args: readonly string[]): Command | string {
  const { values, positionals } = parse(args);
  if (values.help) return usage;
  if (values.list) return formatList();
  const files = positionals.map(readFile);
  return { parts: readParts(values.only ?? [], files), refresh: values.refresh ?? false, files };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        only: { type: 'string', multiple: true },
        refresh: { type: 'boolean' },
        list: { type: 'boolean' },
        help: { type: 'boolean' },
      },
    });
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    // The first sentence says it; the others are about arguments that begin with a dash.
    const [sentence = error.message] = error.message.split(/\.?(?:\n| To )/);
    throw new UsageError(`${sentence}. Options are listed by --help.`);
  }
}

/** Files of the package part: they pack and install, which takes too long for `npm test`. */
export function isCheck(file: string): boolean {
  return file.endsWith('.check.ts');
}

function readFile(given: string): string {
  const file = relative(root, join(isAbsolute(given) ? '' : root, given)).replaceAll('\\', '/');
  if (!/^spec\/.*\.(?:spec|check)\.ts$/.test(file)) throw new UsageError(`"${given}" is no file of specs.`);
  if (!existsSync(join(root, file))) throw new UsageError(`There is no file "${given}".`);
  return file;
}

function readParts(asked: readonly string[], files: readonly string[]): readonly string[] {
  const known = [...parts.map(({ id }) => id), 'package'];
  for (const id of asked) {
    if (!known.includes(id)) throw new UsageError(`There is no part "${id}". There is ${known.join(', ')}.`);
  }
  const usual = [...parts.filter((part) => part.usual).map(({ id }) => id), 'package'];
  const wanted = known.filter((id) => (asked.length === 0 ? usual : asked).includes(id));
  if (files.length === 0) return wanted;
  const chosen = wanted.filter((id) => filesOf(id, files).length > 0);
  if (chosen.length > 0) return chosen;
  throw new UsageError(`Part ${wanted.join(', ')} runs none of these files. Why not is said by --list.`);
}

/** The files that a part runs: of those that were asked for, or of all. */
export function filesOf(id: string, asked: readonly string[]): readonly string[] {
  const part = parts.find((each) => each.id === id);
  if (part === undefined) return asked.filter(isCheck);
  const files = asked.length > 0 ? asked.filter((file) => !isCheck(file)) : specFiles();
  return files.filter((file) => isRunBy(part, file));
}

function formatList(): string {
  const left = exclusions.map(({ file, reason, isFrom }) => {
    const ids = parts.filter(isFrom).map(({ id }) => id);
    return `  ${file}\n    not on ${ids.join(', ')}: ${reason}`;
  });
  return [listing, '', 'Files that are not run everywhere:', ...left].join('\n');
}
