import { parseArgs } from 'node:util';
import { nearestOf } from '../nearest.ts';

/** What a command may touch of the process, so that a test can give it something else. */
export interface Io {
  readonly stdout: Output;
  readonly stderr: Output;
  /** For keys. Absent where there is nobody at a keyboard. */
  readonly stdin?: NodeJS.ReadStream | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborted when the process is asked to end: a command then returns soon, and what it returns does not count. */
  readonly signal: AbortSignal;
}

/** The part of a stream that is written to, and what a terminal knows of itself. */
export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
  on?(event: 'resize', listener: () => void): unknown;
  off?(event: 'resize', listener: () => void): unknown;
}

export interface Command {
  readonly name: string;
  /** One line, for the list of commands. */
  readonly summary: string;
  /** What `leasehold help <name>` writes: several lines, the first of them how it is called. */
  readonly usage: string;
  /** `args` are those after the name. Comes to the exit code: 0 where all went well. */
  run(args: string[], io: Io): Promise<number>;
}

/** The command line is wrong: one line on stderr, exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** What was asked for can not be had, for a reason that one sentence says: one line on stderr. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly exitCode: number;

  constructor(message: string, { exitCode = 1, cause }: { exitCode?: number; cause?: unknown } = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.exitCode = exitCode;
  }
}

/** An option of a command: whether a value follows it, whether it may come again. */
export interface OptionKind {
  readonly type: 'boolean' | 'string';
  readonly short?: string;
  readonly multiple?: boolean;
}

type Value<Kind extends OptionKind> = Kind extends { type: 'boolean' }
  ? boolean
  : Kind extends { multiple: true }
    ? string[]
    : string;

export interface Arguments<Options extends Readonly<Record<string, OptionKind>>> {
  /** Those that were given. `--no-color` is `options['no-color']`. */
  readonly options: { readonly [Name in keyof Options]?: Value<Options[Name]> };
  readonly positionals: readonly string[];
}

/**
 * Reads a command line. `parseArgs` alone would tell of a misspelt option in three sentences, none of which names the right one.
 *
 * @throws UsageError for an option that there is not, or that lacks its value or has one too many
 */
export function readArguments<const Options extends Readonly<Record<string, OptionKind>>>(
  args: readonly string[],
  known: Options,
): Arguments<Options> {
  const { values, positionals, tokens } = parseArgs({
    args: [...args],
    options: known,
    allowPositionals: true,
    strict: false,
    tokens: true,
  });
  const seen = new Set<string>();
  for (const token of tokens) {
    if (token.kind !== 'option') continue;
    const kind = Object.hasOwn(known, token.name) ? known[token.name] : undefined;
    if (kind === undefined) throw unknownOption(token.rawName, Object.keys(known));
    if (kind.type === 'boolean' && token.value !== undefined) throw new UsageError(`${token.rawName} takes no value.`);
    if (kind.type === 'string') requireValue(token.rawName, token.value, token.inlineValue);
    if (kind.multiple !== true && kind.type === 'string' && seen.has(token.name)) {
      throw new UsageError(`${token.rawName} is there twice.`);
    }
    seen.add(token.name);
  }
  return { options: values, positionals };
}

function requireValue(name: string, value: string | undefined, inline: boolean | undefined): void {
  // `--pool --once` is a value that was forgotten; one that does begin so is written `--pool=--once`.
  const forgotten = value === undefined || value === '' || (value.startsWith('--') && inline !== true);
  if (forgotten) throw new UsageError(`${name} lacks its value.`);
}

function unknownOption(name: string, known: readonly string[]): UsageError {
  const options = known.map((option) => `--${option}`);
  const near = nearestOf(name, options);
  return new UsageError(
    near === undefined
      ? `There is no option ${JSON.stringify(name)}; there are ${options.join(', ')}.`
      : `There is no option ${JSON.stringify(name)}. Did you mean ${near}?`,
  );
}

/** The number that an option has for its value. @throws UsageError where it is none, or too small or too large */
export function readNumber(name: string, value: string, { least, most }: { least: number; most: number }): number {
  const number = /^\d+$/.test(value) ? Number(value) : Number.NaN;
  if (number >= least && number <= most) return number;
  throw new UsageError(`--${name} is an integer from ${least} to ${most}, not ${JSON.stringify(value)}.`);
}
