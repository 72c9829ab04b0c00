import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import autocannon from 'autocannon';
import { type Bench, choose } from '../support/bench.ts';
import { withDatabaseFile } from '../support/database.ts';
import { describeMachine, machineLine } from '../support/machine.ts';
import { grouped, table } from '../support/markdown.ts';
import { interleave } from '../support/measure.ts';
import { type Summary, summarize } from '../support/statistics.ts';
import { bar, type Report, type Row, rows } from './kinds.ts';

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

/** What one round came to, in microseconds for each request. */
interface Sample {
  /** Processor time of the server, which what else uses the machine hardly changes. */
  readonly processor: number;
  /** Time that passed, for all connections together. */
  readonly elapsed: number;
}

interface Result extends Row {
  readonly processor: Summary;
  readonly elapsed: Summary;
  /** Of the first row, in the same round. */
  readonly ratio: Summary | undefined;
  readonly samples: readonly Sample[];
}

/** What a scope adds to a request that does next to nothing. */
export const express: Bench = async ({ rounds: asked, quick, only, progress }) => {
  const chosen = choose(rows, only, ({ title }) => title);
  const machine = describeMachine(packages);
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
  const verdict = judge(results);
  const parts = [machineLine(machine), resultsTable(results)];
  if (verdict !== undefined) parts.push(barTable(verdict));
  if (quick) parts.push('A quick run: everything is too small for the figures to mean anything.');
  return {
    markdown: parts.join('\n\n'),
    data: {
      bench: 'express',
      quick,
      machine,
      connections,
      rows: results,
      bars: verdict === undefined ? [] : [verdict],
    },
  };
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

function summarizeAll(samples: ReadonlyMap<Server, readonly Sample[]>): Result[] {
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

interface Verdict {
  readonly claim: string;
  readonly limit: number;
  readonly value: number;
  readonly met: boolean;
}

function judge(results: readonly Result[]): Verdict | undefined {
  const value = results.find(({ id }) => id === bar.row)?.ratio?.median;
  return value === undefined ? undefined : { claim: bar.claim, limit: bar.limit, value, met: value <= bar.limit };
}

function resultsTable(results: readonly Result[]): string {
  const lines = results.map(({ title, processor, elapsed, ratio }) => [
    title,
    `${processor.median.toFixed(1)} µs`,
    `${processor.lower.toFixed(1)} to ${processor.upper.toFixed(1)}`,
    ratio === undefined ? '' : ratio.median.toFixed(3),
    ratio === undefined ? '' : `${ratio.lower.toFixed(3)} to ${ratio.upper.toFixed(3)}`,
    grouped(1e6 / elapsed.median),
  ]);
  const head = ['server', 'processor', 'quartiles', 'of Express alone', 'quartiles', 'requests/s'];
  return table(head, lines, [1, 2, 3, 4, 5]);
}

function barTable({ claim, limit, value, met }: Verdict): string {
  return table(
    ['bar', 'at most', 'measured', ''],
    [[claim, limit.toFixed(2), value.toFixed(3), met ? 'met' : 'NOT met']],
    [1, 2],
  );
}
