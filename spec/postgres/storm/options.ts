import { readInteger, readValues } from '../../support/tool.ts';

/** What a storm is told. */
export interface StormOptions {
  readonly seconds: number;
  /** How many sessions are terminated in that time. */
  readonly kills: number;
  /** How often the server is stopped and started in that time. */
  readonly restarts: number;
  readonly seed: number;
  /** Who works at once. */
  readonly workers: number;
  /** `max` of the pool. */
  readonly max: number;
}

export const usage = `Usage: node spec/postgres/storm/run.ts [options]

Random work through one pool on a PostgreSQL server of its own, whose sessions are terminated one after the other, and
which is stopped and started in the middle of it. What must hold is checked all the time and at the end: money, what was
committed, codes of errors, deadlines, leases, and how soon work goes on once the server is back.

Options:
  --seconds N        how long; 30 unless said
  --kills N          sessions terminated in that time, evenly spread; 100 unless said
  --restarts N       stops of the server in that time, evenly spread; 1 unless said
  --seed N           of all that is random, an integer from 0 to 4294967295; printed at the start. A new one unless said
  --workers N        who works at once, from 1 to 200; 24 unless said
  --max N            connections of the pool, from 2 to 64; 8 unless said
  --help             this text

The seed fixes what each worker begins, in its order. What does not replay is time: which session is hit in the middle of
what.

Exit codes: 0 if all held, 1 if something did not, 2 for bad options.`;

/** What was asked for, `undefined` for the help. @throws UsageError */
export function readOptions(args: readonly string[], newSeed: () => number): StormOptions | undefined {
  const text = { type: 'string' } as const;
  const options = { seconds: text, kills: text, restarts: text, seed: text, workers: text, max: text };
  const values = readValues(args, { ...options, help: { type: 'boolean' } });
  if (values.help === true) return undefined;
  return {
    seconds: readInteger('seconds', values.seconds, 1, 86_400) ?? 30,
    kills: readInteger('kills', values.kills, 0, 100_000) ?? 100,
    restarts: readInteger('restarts', values.restarts, 0, 1000) ?? 1,
    seed: readInteger('seed', values.seed, 0, 2 ** 32 - 1) ?? newSeed(),
    workers: readInteger('workers', values.workers, 1, 200) ?? 24,
    max: readInteger('max', values.max, 2, 64) ?? 8,
  };
}
