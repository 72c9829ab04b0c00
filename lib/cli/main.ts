import { readFileSync } from 'node:fs';
import { inspect } from 'node:util';
import { nearestOf } from '../nearest.ts';
import { type Command, CommandError, type Io, UsageError } from './command.ts';
import { visible } from './text.ts';

// Each is loaded when it is run, or when all are told of.
const loaders: Readonly<Record<string, () => Promise<Command>>> = {
  top: async () => (await import('./top.ts')).top,
  doctor: async () => (await import('./doctor.ts')).doctor,
};

const names = Object.keys(loaders);

/** Runs the command that a command line names. Comes to the exit code, and never throws. */
export async function main(args: readonly string[], io: Io): Promise<number> {
  const [first, ...rest] = args;
  try {
    return await dispatch(first, rest, io);
  } catch (error) {
    const name = first !== undefined && names.includes(first) ? `leasehold ${first}` : 'leasehold';
    return tell(error, name, io);
  }
}

async function dispatch(first: string | undefined, rest: string[], io: Io): Promise<number> {
  if (first === undefined) {
    io.stderr.write(await overview());
    return 2;
  }
  if (first === '--version' || first === '-v') {
    io.stdout.write(`${version()}\n`);
    return 0;
  }
  if (first === 'help' || first === '--help' || first === '-h') {
    const [about] = rest;
    io.stdout.write(about === undefined ? await overview() : (await load(about)).usage);
    return 0;
  }
  if (first.startsWith('-')) throw unknown('option', first, ['--help', '--version']);
  const command = await load(first);
  if (asksForHelp(rest)) {
    io.stdout.write(command.usage);
    return 0;
  }
  return await command.run(rest, io);
}

/** Wherever it stands, but not after `--`, where a file may have that name. */
function asksForHelp(args: readonly string[]): boolean {
  const help = args.findIndex((arg) => arg === '--help' || arg === '-h');
  const end = args.indexOf('--');
  return help !== -1 && (end === -1 || help < end);
}

function load(name: string): Promise<Command> {
  const loader = Object.hasOwn(loaders, name) ? loaders[name] : undefined;
  if (loader === undefined) throw unknown('command', name, names);
  return loader();
}

function unknown(what: string, given: string, known: readonly string[]): UsageError {
  const near = nearestOf(given, known);
  const meant = near === undefined ? '' : ` Did you mean ${near}?`;
  return new UsageError(`There is no ${what} ${JSON.stringify(given)}; there is ${known.join(', ')}.${meant}`);
}

async function overview(): Promise<string> {
  const commands = await Promise.all(names.map(load));
  const width = Math.max(...names.map((name) => name.length));
  const lines = commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}\n`);
  return `Usage: leasehold <command> [options]

${lines.join('')}
  leasehold help <command>   how a command is used
  leasehold --version        the version of this package
`;
}

function version(): string {
  const { version: found } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    readonly version: string;
  };
  return found;
}

/** Says what went wrong, and comes to the exit code. */
export function tell(error: unknown, name: string, { stderr, env }: Pick<Io, 'stderr' | 'env'>): number {
  if (wantsStack(env)) stderr.write(`${inspect(error)}\n`);
  else stderr.write(`${name}: ${oneLine(error)}\n`);
  if (error instanceof UsageError) return 2;
  return error instanceof CommandError ? error.exitCode : 1;
}

/** Whether the user asked for more than the sentence: `LEASEHOLD_DEBUG=1` or `NODE_DEBUG=leasehold`. */
function wantsStack({ LEASEHOLD_DEBUG: own = '', NODE_DEBUG: node = '' }: Io['env']): boolean {
  return (own !== '' && own !== '0') || /(?:^|,)\s*leasehold\s*(?:,|$)/i.test(node);
}

// The message of somebody else's error may have several lines, and in it what somebody else sent.
function oneLine(error: unknown): string {
  const message = error instanceof Error && error.message !== '' ? error.message : String(error);
  return visible(message.split(/[\r\n]/, 1)[0] ?? '');
}
