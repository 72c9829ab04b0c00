import { genericPoolTransactions } from '../contenders/generic-pool-transactions.ts';
import { knex } from '../contenders/knex.ts';
import { kysely, kyselyOnLeasehold } from '../contenders/kysely.ts';
import { leaseholdTransactions } from '../contenders/leasehold-transactions.ts';
import { mutex } from '../contenders/mutex.ts';
import { type Transactions, type Transactor, warmingUp } from '../contenders/transactor.ts';
import { type Bench, type BenchSettings, choose } from '../support/bench.ts';
import { copyOf, withDatabaseFile } from '../support/database.ts';
import { describeMachine, versionOfSqlite, withDatabaseVersion } from '../support/machine.ts';
import { interleave } from '../support/measure.ts';
import { summarize } from '../support/statistics.ts';
import { audit } from './audit.ts';
import { judge } from './bars.ts';
import { beside } from './beside.ts';
import type { Comparison } from './comparison.ts';
import { runLoops } from './loops.ts';
import { isWrite, loops, type Mix, mixes, type Turn, turnOf, warmUpOf } from './mixes.ts';
import { type ComparisonRow, type ContentionResult, type MixRow, summarizeRuns } from './report.ts';
import { uncontended } from './uncontended.ts';

const contenders: readonly Transactor[] = [
  leaseholdTransactions,
  mutex,
  genericPoolTransactions,
  kysely,
  kyselyOnLeasehold,
  knex,
];
const comparisons: readonly Comparison[] = [beside, uncontended];
const packages = ['better-sqlite3', 'generic-pool', 'kysely', 'knex'];

const defaultRounds = 5;
const warmUp = 1;

/** Transactions that await, many at once, beside other ways to run them. */
export const contention: Bench<ContentionResult> = async (settings) => {
  const chosen = choose<Mix | Comparison>([...mixes, ...comparisons], settings.only, (row) => titleOf(row, settings));
  const machine = withDatabaseVersion(describeMachine(packages), 'SQLite', versionOfSqlite());
  const rows = { mixes: [] as MixRow[], comparisons: [] as ComparisonRow[] };
  await withDatabaseFile(async (template) => {
    for (const row of chosen) {
      if ('open' in row) rows.comparisons.push(await runComparison(row, template, settings));
      else rows.mixes.push(await runMix(row, template, settings));
    }
  });
  return { bench: 'contention', quick: settings.quick, machine, ...rows, bars: judge(rows) };
};

function titleOf(row: Mix | Comparison, { quick }: BenchSettings): string {
  return 'open' in row ? row.title(quick ? row.quick : row.size) : row.title;
}

/** A contender on its file. */
interface Seat {
  readonly name: string;
  readonly file: string;
  readonly transactions: Transactions;
  /** Committed writes so far. */
  written: number;
}

async function runMix(mix: Mix, template: string, settings: BenchSettings): Promise<MixRow> {
  // Each on a file of its own, with the same rows.
  const subjects = contenders.map(({ name, open }): Seat => {
    const file = copyOf(template, `${mix.id}-${name}`);
    return { name, file, transactions: open(file), written: 0 };
  });
  const stalls = (subject: Seat) => Object.hasOwn(mix.stalling, subject.name);
  const runTurn = async (subject: Seat, turn: Turn) => {
    const { name, file, transactions } = subject;
    const run = await runLoops(transactions, (operation) => isWrite(mix, operation), turn);
    subject.written += run.written;
    await audit(name, file, transactions, subject.written);
    return run;
  };
  for (const subject of subjects) {
    if (!stalls(subject)) await warmingUp(() => runTurn(subject, warmUpOf(settings.quick)));
  }
  const samples = await rounds(
    subjects,
    mix.title,
    settings,
    (subject) => runTurn(subject, turnOf(mix, subject.name, settings.quick)),
    { once: stalls },
  );
  // Not in a `finally`: what has something left may never close, and its error ends the process anyway.
  for (const { transactions } of subjects) await transactions.close();
  const cells = subjects.map((subject) => summarizeRuns(subject.name, samples.get(subject) ?? []));
  return { id: mix.id, title: mix.title, loops, cells };
}

async function runComparison(comparison: Comparison, template: string, settings: BenchSettings) {
  const title = titleOf(comparison, settings);
  const { sides, close } = comparison.open(template, settings.quick ? comparison.quick : comparison.size);
  const samples = await rounds(sides, title, settings, ({ sample }) => sample(), { share: comparison.share });
  await close();
  const cells = sides.map((side) => {
    const own = samples.get(side) ?? [];
    return { name: side.name, ...summarize(own), samples: own };
  });
  return { id: comparison.id, title, cells };
}

async function rounds<Subject, Sample>(
  subjects: readonly Subject[],
  title: string,
  { rounds: asked, quick, progress }: BenchSettings,
  sample: (subject: Subject) => Promise<Sample>,
  { once = () => false, share = 1 }: { once?: (subject: Subject) => boolean; share?: number | undefined },
): Promise<Map<Subject, Sample[]>> {
  const counted = (asked ?? (quick ? 2 : defaultRounds)) * share;
  const dropped = warmUp * share;
  const onRound = (round: number) => progress.round(title, round, dropped + counted);
  progress.row(title);
  try {
    return await interleave(subjects, { warmUp: dropped, rounds: counted, once, onRound }, sample);
  } finally {
    progress.done();
  }
}
