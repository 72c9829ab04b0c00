import type { Contender } from '../contenders/contender.ts';
import { driver } from '../contenders/driver.ts';
import { genericPool } from '../contenders/generic-pool.ts';
import { leasehold } from '../contenders/leasehold.ts';
import { lightningPool } from '../contenders/lightning-pool.ts';
import { tarn } from '../contenders/tarn.ts';
import { type Bench, type BenchSettings, choose } from '../support/bench.ts';
import { withDatabaseFile } from '../support/database.ts';
import { describeMachine, versionOfSqlite, withDatabaseVersion } from '../support/machine.ts';
import { interleave } from '../support/measure.ts';
import { summarize } from '../support/statistics.ts';
import { judge } from './bars.ts';
import type { LeaseResult, Row } from './report.ts';
import { type Size, type Trial, trials } from './trials.ts';

const contenders: readonly Contender[] = [leasehold, genericPool, tarn, lightningPool, driver];
const packages = ['better-sqlite3', 'generic-pool', 'tarn', 'lightning-pool'];

const defaultRounds = 15;

/** What a lease costs, beside other pools and the bare driver. */
export const lease: Bench<LeaseResult> = async (settings) => {
  const chosen = choose(trials, settings.only, (trial) => trial.title(sizeOf(trial, settings)));
  const machine = withDatabaseVersion(describeMachine(packages), 'SQLite', versionOfSqlite());
  const rows = await withDatabaseFile(async (file) => {
    const done: Row[] = [];
    for (const trial of chosen) done.push(await runTrial(trial, file, settings));
    return done;
  });
  return { bench: 'lease', quick: settings.quick, machine, rows, bars: judge(rows) };
};

function sizeOf(trial: Trial, { quick }: BenchSettings): Size {
  return quick ? trial.quick : trial.size;
}

async function runTrial(trial: Trial, file: string, settings: BenchSettings): Promise<Row> {
  const size = sizeOf(trial, settings);
  const title = trial.title(size);
  const warmUp = settings.quick ? Math.min(1, trial.warmUp) : trial.warmUp;
  const rounds = Math.max(
    1,
    Math.round((settings.rounds ?? (settings.quick ? 2 : defaultRounds)) * (trial.share ?? 1)),
  );
  settings.progress.row(title);
  // Each trial has pools of its own: no row inherits what another has opened.
  const opened = contenders.map((contender) => ({ name: contender.name, loads: contender.open(file) }));
  try {
    const taking = opened.filter(({ loads }) => trial.needs === undefined || loads[trial.needs] !== undefined);
    const samples = await interleave(
      taking,
      {
        warmUp,
        rounds,
        once: ({ name }) => trial.once?.includes(name) ?? false,
        onRound: (round) => settings.progress.round(title, round, warmUp + rounds),
      },
      ({ loads }) => trial.sample(loads, size),
    );
    const cells = taking.map((contender) => {
      const own = samples.get(contender) ?? [];
      return { name: contender.name, ...summarize(own), samples: own };
    });
    return { id: trial.id, title, unit: trial.unit, ...size, ratios: trial.ratios ?? true, cells };
  } finally {
    settings.progress.done();
    await Promise.all(opened.map(({ loads }) => loads.close()));
  }
}
