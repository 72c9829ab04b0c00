import { readInteger, readValues, UsageError } from '../support/tool.ts';

/** What a soak is told. */
export interface SoakOptions {
  readonly seconds: number;
  readonly seed: number;
  readonly processes: number;
  /** Seconds from one kill to the next; 0 for none. */
  readonly killEvery: number;
  /** `max` of each pool. */
  readonly max: number;
  /** The database, `undefined` for one in a temporary folder. */
  readonly file: string | undefined;
  readonly json: string | undefined;
}

export const usage = `Usage: npm run soak -- [options]

Random work by several processes on one database file, one of which is killed every few seconds. What must hold is checked
all the time and at the end: money, what was committed, integrity, one holder for a connection, slots, deadlines, the
event loop, memory and errors. The first thing that does not hold ends it.

Options:
  --minutes N        how long; 1 unless said
  --seconds N        the same in seconds
  --seed N           of all that is random, an integer from 0 to 4294967295; printed at the start. A new one unless said
  --processes N      worker processes, from 1 to 64; 4 unless said
  --kill-every N     seconds from one kill -9 to the next, 0 for none; 3 unless said. The first of several workers is
                     spared, because what grows slowly shows only in one that lives long
  --max N            leases at once in each pool, from 2 to 64; 4 unless said
  --file PATH        the database, which must not exist. Unless said one in a temporary folder, removed if all went well
  --json FILE        also write the summary
  --help             this text

Replay: the operations that a worker begins, in their order and with all they do, are a function of the seed, the number of
the worker and how often it was started. With --processes 1 --kill-every 0 the whole sequence is the same each time, for as
long as the run lasts. What does not replay is time: the interleaving of operations and of processes, when a process is
killed, and who gets a lock first. A violation may so take several runs with its seed to show itself again.

Exit codes: 0 if all held, 1 for a violation, 2 for bad options.`;

/** What was asked for, `undefined` for the help. @throws UsageError */
export function readOptions(args: readonly string[], newSeed: () => number): SoakOptions | undefined {
  const string = { type: 'string' } as const;
  const amounts = {
    minutes: string,
    seconds: string,
    seed: string,
    processes: string,
    'kill-every': string,
    max: string,
  };
  const values = readValues(args, { ...amounts, file: string, json: string, help: { type: 'boolean' } });
  if (values.help === true) return undefined;
  if (values.minutes !== undefined && values.seconds !== undefined)
    throw new UsageError('--minutes or --seconds, not both.');
  const minutes = amount('minutes', values.minutes, 1 / 60, 60 * 24 * 7) ?? 1;
  return {
    seconds: amount('seconds', values.seconds, 1, 60 * 60 * 24 * 7) ?? minutes * 60,
    seed: readInteger('seed', values.seed, 0, 2 ** 32 - 1) ?? newSeed(),
    processes: readInteger('processes', values.processes, 1, 64) ?? 4,
    killEvery: amount('kill-every', values['kill-every'], 0.1, 60 * 60 * 24, true) ?? 3,
    max: readInteger('max', values.max, 2, 64) ?? 4,
    file: text('file', values.file),
    json: text('json', values.json),
  };
}

function text(name: string, given: string | undefined): string | undefined {
  if (given === '') throw new UsageError(`--${name} needs a path.`);
  return given;
}

function amount(
  name: string,
  given: string | undefined,
  least: number,
  most: number,
  mayBeZero = false,
): number | undefined {
  if (given === undefined) return undefined;
  const value = /^\d+(?:\.\d+)?$/.test(given) ? Number(given) : Number.NaN;
  if ((value >= least && value <= most) || (mayBeZero && value === 0)) return value;
  const bound = mayBeZero ? '0, or more' : `more`;
  throw new UsageError(
    `--${name} is a number, ${bound} than ${Number(least.toFixed(2))} and at most ${most}, not "${given}".`,
  );
}

/** The command that runs the same once more. */
export function replayOf(options: SoakOptions): string {
  const { seconds, seed, processes, killEvery, max } = options;
  return `npm run soak -- --seed ${seed} --processes ${processes} --kill-every ${killEvery} --max ${max} --seconds ${seconds}`;
}
