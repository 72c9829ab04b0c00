import { type Bench, type BenchSettings, choose } from '../support/bench.ts';
import { describeMachine, withDatabaseVersion } from '../support/machine.ts';
import { interleave } from '../support/measure.ts';
import { judge } from './bars.ts';
import { client } from './contenders/client.ts';
import { type Contender, max, type Workloads } from './contenders/contender.ts';
import { leasehold } from './contenders/leasehold.ts';
import { pgPool } from './contenders/pg-pool.ts';
import { postgresJs } from './contenders/postgres-js.ts';
import { type BenchDatabase, withDatabase } from './database.ts';
import { cellsOf, type PostgresResult, type Row } from './report.ts';
import { loopOf, type Sample, type Size, type Trial, trials } from './trials.ts';

const contenders: readonly Contender[] = [leasehold, pgPool, postgresJs, client];
const packages = ['pg', 'pg-pool', 'postgres'];

const defaultRounds = 100;
const warmUp = 5;

/** A contender with its pool open. */
interface Seat {
  readonly name: string;
  readonly counter: number;
  readonly loads: Workloads;
}

/** What a connection to PostgreSQL costs, beside the pools of pg and postgres and one kept client. */
export const postgres: Bench<PostgresResult> = async (settings) => {
  const chosen = choose(trials, settings.only, (trial) => trial.title(sizeOf(trial, settings)));
  const machine = describeMachine(packages);
  const { rows, version } = await withDatabase(async (database) => {
    const done: Row[] = [];
    for (const trial of chosen) done.push(await runTrial(trial, database, settings));
    return { rows: done, version: database.version };
  });
  return {
    bench: 'postgres',
    quick: settings.quick,
    machine: withDatabaseVersion(machine, 'PostgreSQL', version),
    max,
    rows,
    bars: judge(rows),
  };
};

function sizeOf(trial: Trial, { quick }: BenchSettings): Size {
  return quick ? trial.quick : trial.size;
}

async function runTrial(trial: Trial, database: BenchDatabase, settings: BenchSettings): Promise<Row> {
  const size = sizeOf(trial, settings);
  const title = trial.title(size);
  const dropped = settings.quick ? 1 : warmUp;
  const asked = settings.rounds ?? (settings.quick ? 2 : defaultRounds);
  const rounds = Math.max(1, Math.round(asked * (trial.share ?? 1)));
  settings.progress.row(title);
  // Each trial has pools of its own: no row inherits what another has opened.
  const seats: Seat[] = [];
  try {
    for (const [index, { name, open }] of contenders.entries()) {
      seats.push({ name, counter: index + 1, loads: await open(database.url, index + 1) });
    }
    const taking = seats.filter(({ name, loads }) => loopOf(trial, name, loads) !== undefined);
    const samples = await interleave(
      taking,
      {
        warmUp: dropped,
        rounds,
        once: () => false,
        onRound: (round) => settings.progress.round(title, round, dropped + rounds),
      },
      (seat) => sample(trial, size, seat, database),
    );
    const cells = cellsOf(taking.map((seat) => [seat.name, samples.get(seat) ?? []] as const));
    return { id: trial.id, title, ...size, cells };
  } finally {
    settings.progress.done();
    await Promise.all(seats.map(({ loads }) => loads.close()));
  }
}

/** One round of one contender, and a look at whether it has done what it was to do, and left nothing. */
export async function sample(
  trial: Trial,
  size: Size,
  { name, counter, loads }: Seat,
  { countOf }: Pick<BenchDatabase, 'countOf'>,
): Promise<Sample> {
  const run = loopOf(trial, name, loads);
  if (run === undefined) throw new Error(`${name} has no part in ${trial.id}`);
  const before = await countOf(counter);
  const taken = await trial.sample(run, size);
  const counted = (await countOf(counter)) - before;
  const expected = (trial.counts ?? 0) * size.calls * size.times;
  if (counted !== expected) throw new Error(`${name} committed ${counted} times, and not ${expected}`);
  for (const [what, left] of Object.entries(loads.left?.() ?? {})) {
    if (left !== 0) throw new Error(`${name} ended with ${what} ${left}`);
  }
  return taken;
}
