import { randomInt } from 'node:crypto';
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';

/** What was asked for can not be done. */
export class UsageError extends Error {}

/** The values of a command line. @throws UsageError for what is not among the options */
export function readValues<const Options extends ParseArgsOptionsConfig>(args: readonly string[], options: Options) {
  try {
    return parseArgs({ args: [...args], options }).values;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    // The first sentence says it; the others are about arguments that begin with a dash.
    const [sentence = error.message] = error.message.split(/\.?(?:\n| To | This command)/);
    throw new UsageError(`${sentence}. Options are listed by --help.`);
  }
}

export function readInteger(name: string, given: string | undefined, least: number, most: number): number | undefined {
  if (given === undefined) return undefined;
  const value = /^\d+$/.test(given) ? Number(given) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw new UsageError(`--${name} is an integer from ${least} to ${most}, not "${given}".`);
}

/** Runs a program whose work is random, by what `read` makes of its arguments: nothing, where the help is asked for. */
export async function runSeeded<Options>(
  read: (args: readonly string[], newSeed: () => number) => Options | undefined,
  usage: string,
  run: (options: Options) => Promise<number>,
): Promise<void> {
  try {
    const options = read(process.argv.slice(2), () => randomInt(2 ** 32));
    if (options === undefined) console.log(usage);
    else process.exitCode = await run(options);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(error.message);
    process.exitCode = 2;
  }
}

/**
 * Runs a program with the arguments it was called with. It ends with the code that `main` gives, and with 2 where `main`
 * throws, after the message of the error alone: what is wrong is the command or what it was run on.
 */
export async function runTool(main: (args: string[]) => Promise<number>): Promise<void> {
  // To strip types Node is asked for something it calls experimental, which is nothing to tell whoever runs a program.
  process.removeAllListeners('warning');
  try {
    process.exitCode = await main(process.argv.slice(2));
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 2;
  }
}
