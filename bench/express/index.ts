import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import autocannon from 'autocannon';
import { type Bench, choose } from '../support/bench.ts';
import { withDatabaseFile } from '../support/database.ts';
import { describeMachine, versionOfSqlite, withDatabaseVersion } from '../support/machine.ts';
import { interleave } from '../support/measure.ts';
import { summarize } from '../support/statistics.ts';
import { bar, type Report, type Row, rows } from './kinds.ts';
import type { ExpressResult, ResultRow, Sample, Verdict } from './report.ts';

const packages = ['better-sqlite3', 'express', 'autocannon'];
const program = fileURLToPath(new URL('server.ts', import.meta.url));

const defaultRounds = 100;
const warmUp = 12;
const connections = 10;
/** Requests of one round: a tenth of a second, so that what else the machine does meets all rows alike. */
const amount = 2500;

/** One server, and what is known of it. */
interface Server extends Row {
  readonly child: ChildProcess;
  readonly port: number;
}

/** What a scope adds to a request that does next to nothing. */
export const express: Bench<ExpressResult> = async ({ rounds: asked, quick, only, progress }) => {
  const chosen = choose(rows, only, ({ title }) => title);
  const machine = withDatabaseVersion(describeMachine(packages), 'SQLite', versionOfSqlite());
  const rounds = asked ?? (quick ? 2 : defaultRounds);
  const dropped = quick ? 1 : warmUp;
  const results = await withDatabaseFile(async (file) => {
    const children: ChildProcess[] = [];
    try {
      const servers: Server[] = [];
      for (const row of chosen) {
        const child = fork(program, [row.id, file], { execArgv: [] });
        children.push(child);
        servers.push({ ...row, child, port: (await nextReport(child)).port });
      }
      progress.row('a trivial route');
      const samples = await interleave(
        servers,
        {
          warmUp: dropped,
          rounds,
          once: () => false,
          onRound: (round) => progress.round('a trivial route', round, dropped + rounds),
        },
        (server) => sample(server, quick ? 200 : amount),
      );
      return summarizeAll(samples);
    } finally {
      progress.done();
      await Promise.all(children.map(stop));
    }
  });
  return { bench: 'express', quick, machine, connections, rows: results, bars: judge(results) };
};

function nextReport(child: ChildProcess): Promise<Report> {
  return new Promise((resolve, reject) => {
    const ended = (code: unknown): void => reject(new Error(`A server ended with ${String(code)}`));
    child.once('exit', ended);
    child.once('message', (report: Report) => {
      child.off('exit', ended);
      resolve(report);
    });
  });
}

async function processorTimeOf(child: ChildProcess): Promise<number> {
  const report = nextReport(child);
  child.send('report');
  return (await report).processor;
}

async function sample({ child, port }: Server, requests: number): Promise<Sample> {
  const before = await processorTimeOf(child);
  const start = performance.now();
  const { errors, non2xx } = await autocannon({
    url: `http://127.0.0.1:${port}/`,
    connections,
    amount: requests,
    sampleInt: 10,
  });
  const elapsed = (performance.now() - start) * 1000;
  if (errors + non2xx > 0) throw new Error(`${errors + non2xx} requests failed`);
  const processor = (await processorTimeOf(child)) - before;
  return { processor: processor / requests, elapsed: elapsed / requests };
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.disconnect();
  await exited;
}

function summarizeAll(samples: ReadonlyMap<Server, readonly Sample[]>): ResultRow[] {
  const all = [...samples];
  const base = all.find(([{ id }]) => id === rows[0]?.id)?.[1];
  return all.map(([{ id, title }, own]) => ({
    id,
    title,
    processor: summarize(own.map(({ processor }) => processor)),
    elapsed: summarize(own.map(({ elapsed }) => elapsed)),
    ratio: base && summarize(own.map(({ processor }, round) => processor / (base[round]?.processor ?? Number.NaN))),
    samples: own,
  }));
}

function judge(results: readonly ResultRow[]): Verdict[] {
  const value = results.find(({ id }) => id === bar.row)?.ratio?.median;
  return value === undefined ? [] : [{ claim: bar.claim, limit: bar.limit, value, met: value <= bar.limit }];
}
