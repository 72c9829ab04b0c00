import { type ExecFileException, execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { Client } from 'pg';
import type { Verdict } from '../bench/postgres/bars.ts';
import { judge } from '../bench/postgres/bars.ts';
import { expectAborts, expectRow, type Workloads } from '../bench/postgres/contenders/contender.ts';
import { sample } from '../bench/postgres/index.ts';
import { cellsOf, type Row } from '../bench/postgres/report.ts';
import { type Trial, trials } from '../bench/postgres/trials.ts';
import { temporaryDirectory } from './support/files.ts';
import { postgresUrl } from './support/postgres.ts';
import { freePort } from './support/postgres-port.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

interface Ended {
  readonly pid: number | undefined;
  readonly code: unknown;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `bench/run.ts postgres` as `npm run bench` does, to its end. */
function bench(args: readonly string[], DATABASE_URL: string): Promise<Ended> {
  return new Promise((resolve) => {
    const options = { cwd: root, env: { ...process.env, DATABASE_URL } };
    const done = (error: ExecFileException | null, stdout: string, stderr: string) =>
      resolve({ pid: child.pid, code: error === null ? 0 : (error.code ?? error.signal), stdout, stderr });
    const child = execFile(process.execPath, ['--expose-gc', 'bench/run.ts', 'postgres', ...args], options, done);
  });
}

/** Databases of the server that were made by a process. */
async function databasesOf(url: string, pid: number | undefined): Promise<number> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<{ n: number }>(
      'SELECT count(*)::int AS n FROM pg_database WHERE starts_with(datname, $1)',
      [`leasehold_bench_${pid}_`],
    );
    return rows[0]?.n ?? Number.NaN;
  } finally {
    await client.end();
  }
}

test('a quick run measures every declared row for every contender that can, and leaves no database behind', async (t) => {
  const url = await postgresUrl(t);
  const json = join(temporaryDirectory(t), 'result.json');
  const { pid, code, stdout, stderr } = await bench(['--quick', '--json', json], url);
  t.is(code, 0, stderr);
  t.is(await databasesOf(url, pid), 0);

  const { rows, bars } = JSON.parse(readFileSync(json, 'utf8')) as { rows: Row[]; bars: Verdict[] };
  t.deepEqual(
    rows.map(({ id }) => id),
    trials.map(({ id }) => id),
  );
  const pools = ['leasehold', 'pg.Pool', 'postgres'];
  for (const { id, title, calls, cells } of rows) {
    t.true(stdout.includes(`| ${title} `), title);
    const expected =
      id === 'aborted' ? ['leasehold', 'floor'] : id === 'lease' || calls > 1 ? pools : [...pools, 'floor'];
    t.deepEqual(
      cells.map(({ name }) => name),
      expected,
      id,
    );
    for (const { name, ratio, p99, samples } of cells) {
      t.is(samples.length, 2, `${id} of ${name}`);
      t.true(
        samples.every(({ time, processor }) => time > 0 && processor > 0),
        `${id} of ${name}`,
      );
      t.is(ratio === undefined, name === 'leasehold', `${id} of ${name}`);
      t.is(p99 === undefined, calls === 1, `${id} of ${name}`);
    }
  }
  t.is(bars.length, 2);
  for (const { claim, met } of bars) t.regex(stdout, new RegExp(String.raw`${met ? 'met' : 'NOT met'} +\|`), claim);
});

test('where no server is given it starts one, and --only runs the rows it names', async (t) => {
  const json = join(temporaryDirectory(t), 'result.json');
  const { code, stderr } = await bench(['--quick', '--only', 'LEASE ALONE', '--rounds', '3', '--json', json], '');
  t.is(code, 0, stderr);
  const { rows, bars } = JSON.parse(readFileSync(json, 'utf8')) as { rows: Row[]; bars: Verdict[] };
  t.deepEqual(
    rows.map(({ id, cells }) => [id, ...cells.map(({ samples }) => samples.length)]),
    [['lease', 3, 3, 3]],
  );
  t.deepEqual(bars, []);
});

test('a server that can not be had is named in one line, without its password', async (t) => {
  const port = await freePort();
  for (const [url, line] of [
    [
      `postgres://somebody:hidden@127.0.0.1:${port}/app`,
      new RegExp(`^bench: No connection to 127\\.0\\.0\\.1:${port}: `),
    ],
    ['hidden', /^bench: DATABASE_URL is not a URL/],
  ] as const) {
    const { code, stdout, stderr } = await bench(['--quick'], url);
    t.deepEqual({ code, stdout }, { code: 2, stdout: '' }, stderr);
    t.is(stderr.trimEnd().split('\n').length, 1, stderr);
    t.regex(stderr, line);
    t.notRegex(stderr, /hidden/);
  }
});

const size = { calls: 1, times: 10 };
const counting = trials.find(({ id }) => id === 'transaction') as Trial;

const nothing = async (): Promise<void> => {};

/** A contender that counts as said, and leaves what is said. */
function counter(counted: number, left: Readonly<Record<string, number>> = {}) {
  let count = 0;
  const loads: Workloads = {
    query: nothing,
    oneShot: nothing,
    named: nothing,
    scope: nothing,
    async transaction() {
      count += counted;
    },
    left: () => left,
    close: nothing,
  };
  return { seat: { name: 'it', counter: 1, loads }, database: { countOf: async () => count } };
}

test('a transaction that is lost, or done twice, ends the run', async (t) => {
  const whole = counter(10);
  await t.notThrowsAsync(sample(counting, size, whole.seat, whole.database));
  for (const counted of [9, 11]) {
    const { seat, database } = counter(counted);
    await t.throwsAsync(sample(counting, size, seat, database), {
      message: `it committed ${counted} times, and not 10`,
    });
  }
});

test('what is still lent after a round ends the run', async (t) => {
  const { seat, database } = counter(10, { waiting: 0, leased: 1 });
  await t.throwsAsync(sample(counting, size, seat, database), { message: 'it ended with leased 1' });
});

test('a query that brings another row, or none, and a wait that is served end the run', async (t) => {
  t.notThrows(() => expectRow([{ n: 1 }], 1));
  t.throws(() => expectRow([{ n: 1 }], 2), { message: /with 2/ });
  t.throws(() => expectRow([], 1), { message: /one row/ });
  const aborted = Promise.reject(AbortSignal.abort().reason);
  await t.notThrowsAsync(expectAborts([aborted]));
  await t.throwsAsync(expectAborts([aborted, Promise.resolve()]), { message: /not aborted/ });
});

const samples = (...times: number[]) => times.map((time) => ({ time, processor: 2 * time, p99: undefined }));

test('a ratio is the median of those of the rounds, and a bar is judged by it', (t) => {
  // One round in which the machine was busy changes the medians of both, and no ratio.
  const cells = cellsOf([
    ['leasehold', samples(2, 20, 3)],
    ['pg.Pool', samples(1, 10, 3)],
  ]);
  t.deepEqual(
    cells.map(({ ratio }) => ratio?.time),
    [undefined, { median: 2, lower: 1.5, upper: 2 }],
  );
  const row = (its: typeof cells): Row => ({ id: 'query', title: 'query', ...size, cells: its });
  t.like(judge([row(cells)]), { length: 1, 0: { met: false, value: { median: 2 } } });
  const met = cellsOf([
    ['leasehold', samples(3)],
    ['pg.Pool', samples(3)],
  ]);
  t.like(judge([row(met)]), { length: 1, 0: { met: true, value: { median: 1 } } });
});
