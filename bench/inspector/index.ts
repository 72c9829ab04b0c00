import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { type Bench, choose } from '../support/bench.ts';
import { withDatabaseFile } from '../support/database.ts';
import { describeMachine, versionOfSqlite, withDatabaseVersion } from '../support/machine.ts';
import { interleave } from '../support/measure.ts';
import { summarize } from '../support/statistics.ts';
import { bar, leasesPerSecond, type Row, rows, type Said, type Task } from './kinds.ts';
import type { InspectorResult, ResultRow, Verdict } from './report.ts';

const program = fileURLToPath(new URL('program.ts', import.meta.url));

const defaultRounds = 30;
const warmUp = 2;
/** Milliseconds of a round: four ticks of the inspector, and a thousand leases. */
const duration = 2000;

/** One process, and who reads its events. */
interface Subject extends Row {
  readonly child: ChildProcess;
  readonly viewing: AbortController;
  /** Parts of streams that its viewers have read so far. */
  read: number;
}

/** What the inspector costs the process whose pool it shows. */
export const inspector: Bench<InspectorResult> = async ({ rounds: asked, quick, only, progress }) => {
  const chosen = choose(rows, only, ({ title }) => title);
  const machine = withDatabaseVersion(describeMachine(['better-sqlite3']), 'SQLite', versionOfSqlite());
  const rounds = asked ?? (quick ? 2 : defaultRounds);
  const dropped = quick ? 1 : warmUp;
  const results = await withDatabaseFile(async (file) => {
    prepare(file);
    const subjects: Subject[] = [];
    try {
      for (const row of chosen) subjects.push(await start(row, file));
      const title = `${leasesPerSecond} leases a second`;
      progress.row(title);
      const samples = await interleave(
        subjects,
        {
          warmUp: dropped,
          rounds,
          once: () => false,
          onRound: (round) => progress.round(title, round, dropped + rounds),
        },
        (subject) => sample(subject, quick ? 100 : duration),
      );
      return summarizeAll(samples);
    } finally {
      progress.done();
      await Promise.all(subjects.map(stop));
    }
  });
  return { bench: 'inspector', quick, machine, leasesPerSecond, rows: results, bars: judge(results) };
};

function prepare(file: string): void {
  const db = new Database(file);
  db.exec('CREATE TABLE IF NOT EXISTS item (id INTEGER PRIMARY KEY, name TEXT)');
  const insert = db.prepare('INSERT OR IGNORE INTO item VALUES (?, ?)');
  for (let id = 0; id < 100; id++) insert.run(id, `item ${id}`);
  db.close();
}

async function start(row: Row, file: string): Promise<Subject> {
  const child = fork(program, [row.id, file], { execArgv: [] });
  const viewing = new AbortController();
  const said = await next(child);
  if (!('port' in said)) throw new Error('A process said something else than its port');
  const subject: Subject = { ...row, child, viewing, read: 0 };
  for (let viewer = 0; viewer < row.viewers; viewer++) await view(subject, said.port);
  return subject;
}

/** Reads the events of a process, as fast as they come, until it is to end. */
async function view(subject: Subject, port: number): Promise<void> {
  const { signal } = subject.viewing;
  const { body, status } = await fetch(`http://127.0.0.1:${port}/events`, { signal });
  if (status !== 200 || body === null) throw new Error(`The inspector answered ${status}`);
  const read = async (): Promise<void> => {
    for await (const _ of body) subject.read++;
  };
  read().catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}

function next(child: ChildProcess): Promise<Said> {
  return new Promise((resolve, reject) => {
    const ended = (code: unknown): void => reject(new Error(`A process ended with ${String(code)}`));
    child.once('exit', ended);
    child.once('message', (said: Said) => {
      child.off('exit', ended);
      resolve(said);
    });
  });
}

/** Parts of a core. */
async function sample(subject: Subject, milliseconds: number): Promise<number> {
  const { child, viewers, title } = subject;
  const [said, before] = [next(child), subject.read];
  child.send({ duration: milliseconds } satisfies Task);
  const done = await said;
  if (!('processor' in done)) throw new Error('A process said something else than what it took');
  // Two reports a second for each. A short round may be over before the first.
  const due = viewers * Math.floor(milliseconds / 1000);
  if (subject.read - before < due)
    throw new Error(`${title}: ${subject.read - before} reports came, of ${due} and more`);
  return done.processor / done.elapsed;
}

async function stop({ child, viewing }: Subject): Promise<void> {
  viewing.abort();
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.disconnect();
  await exited;
}

function summarizeAll(samples: ReadonlyMap<Subject, readonly number[]>): ResultRow[] {
  const all = [...samples];
  const base = all.find(([{ id }]) => id === rows[0]?.id)?.[1];
  return all.map(([{ id, title, viewers }, own]) => ({
    id,
    title,
    viewers,
    processor: summarize(own),
    added:
      id === rows[0]?.id ? undefined : base && summarize(own.map((part, round) => part - (base[round] ?? Number.NaN))),
    samples: own,
  }));
}

function judge(results: readonly ResultRow[]): Verdict[] {
  const value = results.find(({ id }) => id === bar.row)?.added?.median;
  return value === undefined ? [] : [{ claim: bar.claim, limit: bar.limit, value, met: value <= bar.limit }];
}
