/*
 * The process that asks SQLite, started by `examine`. A process, and not a thread: a statement can not be interrupted, and while one
 * runs in a thread the process it belongs to can not end. Nothing but `examine` has messages for it.
 */
import { existsSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { setImmediate as turn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { checkIntegrity, checkKeys, checkWhole, weightsOf } from './checks.ts';
import { ChangedMeanwhile, copyDatabase } from './copy.ts';
import type { Examination, Failure, Job, Message, Pages, Step } from './examination.ts';
import { failureOf, Reading } from './reading.ts';
import { pagesOf, settingsOf, statisticsOf, storedTables, tablesOf, unindexedKeys } from './survey.ts';

const failures: Failure[] = [];

function send(message: Message): void {
  process.send?.(message);
}

function sendPart(part: Partial<Examination>): void {
  send({ part });
}

/** Also lets it be seen that nobody listens any more. */
async function tell(step: Step): Promise<void> {
  send({ step });
  await turn();
}

async function attempt<Result>(
  during: Failure['during'],
  work: () => Result | Promise<Result>,
): Promise<Result | undefined> {
  try {
    return await work();
  } catch (error) {
    failures.push(failureOf(during, error));
    sendPart({ failures });
    return undefined;
  }
}

async function examine(job: Job): Promise<void> {
  const db = await open(job);
  if (db === undefined) return;
  // The first that is read of the file: a lock, or what is no database, shows here.
  const settings = await attempt('open', () => {
    db.number('SELECT count(*) FROM sqlite_schema');
    return db.snapshot(() => settingsOf(db));
  });
  // SQLite has the copy open and needs its name no more: so nothing of it can be left.
  if (job.where === 'copy' && process.platform !== 'win32') rmSync(job.workspace, { recursive: true, force: true });
  if (settings === undefined) return;
  sendPart({ settings });
  const tables = await attempt('tables', () => tablesOf(db));
  if (tables !== undefined) sendPart({ tables });
  const pages = job.pages ? await attempt('pages', () => readPages(db)) : undefined;
  if (pages !== undefined) sendPart({ pages });
  const rows = new Map(pages?.trees.map(({ name, entries }) => [name, entries]));
  await attempt('tables', () => sendPart({ unindexed: unindexedKeys(db, storedTables(db), rows) }));
  await attempt('statistics', () => sendPart({ statistics: statisticsOf(db, rows) }));
  const weights = (await attempt('tables', () => weightsOf(db, pages))) ?? new Map<string, number>();
  const { integrity: level } = job;
  if (job.keys) {
    const keys = await attempt('keys', () => checkKeys(db, weights, tell));
    if (keys !== undefined) sendPart({ keys });
  }
  if (level !== 'none') {
    const integrity = await attempt('integrity', async () => {
      const found = await checkIntegrity(db, level, weights, tell);
      // Whose each page is was counted already. Only where that does not come out even does SQLite look at all of them at once.
      if (pages !== undefined && pages.lost === 0 && pages.sharedCount === 0) return found;
      await tell({ phase: 'whole', name: undefined, from: 0, to: 1 });
      const known = new Set(found.problems.map(({ message }) => message));
      const whole = ((await attempt('integrity', () => checkWhole(db))) ?? []).filter((message) => !known.has(message));
      const problems = [...found.problems, ...whole.map((message) => ({ table: undefined, message }))];
      return { ...found, problems: problems.slice(0, 100), isCut: found.isCut || problems.length > 100 };
    });
    if (integrity !== undefined) sendPart({ integrity });
  }
  db.close();
}

function readPages(db: Reading): Pages {
  return db.snapshot(() => pagesOf(db, settingsOf(db), (step) => send({ step })));
}

function open(job: Job): Promise<Reading | undefined> {
  const { path, workspace, timeout } = job;
  if (job.where === 'copy') {
    return attempt('copy', async () => {
      const copy = await copyDatabase(path, workspace, (done) =>
        tell({ phase: 'copy', name: undefined, from: done, to: done }),
      );
      // It may have to take back the transaction that was cut off, in the copy.
      return new Reading(copy, { readonly: false, timeout });
    });
  }
  return attempt('open', () => {
    if (job.needsLog && !['-wal', '-shm'].every((suffix) => existsSync(path + suffix))) {
      throw new ChangedMeanwhile('The last process that had it open has closed it meanwhile.');
    }
    return new Reading(nameToOpen(path, workspace), { readonly: true, timeout });
  });
}

/** Better-sqlite3 takes white space off a name; SQLite follows a link before it looks for what lies beside the file. */
function nameToOpen(path: string, workspace: string): string {
  if (path === path.trim()) return path;
  const link = join(workspace, 'link.db');
  symlinkSync(path, link);
  return link;
}

/**
 * Whoever started this may be killed while a statement runs, which can take minutes and does not let this process see that nobody
 * listens any more: its lock would stay for as long.
 */
function endWith(parent: number): void {
  const program = `
    const { workerData: parent } = require('node:worker_threads');
    setInterval(() => process.ppid === parent || process.kill(process.pid, 'SIGKILL'), 200);`;
  new Worker(program, { eval: true, workerData: parent }).unref();
}

process.once('disconnect', () => process.exit());
process.once('message', (job: Job) => {
  endWith(job.parent);
  void (async () => {
    await examine(job);
    // What was sent before has been taken when this has.
    process.send?.({ done: true } satisfies Message, () => process.disconnect());
  })();
});
