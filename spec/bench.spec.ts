import { type ExecFileException, execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import type { Verdict as ContentionVerdict } from '../bench/contention/bars.ts';
import { mixes } from '../bench/contention/mixes.ts';
import type { ComparisonRow, MixRow } from '../bench/contention/report.ts';
import type { Verdict } from '../bench/lease/bars.ts';
import type { Row } from '../bench/lease/report.ts';
import { trials } from '../bench/lease/trials.ts';
import { sectionsOf, withSection } from '../bench/support/markdown.ts';
import { interleave } from '../bench/support/measure.ts';
import { summarize } from '../bench/support/statistics.ts';
import { temporaryDirectory } from './support/files.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

interface Ended {
  readonly code: unknown;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `bench/run.ts` as `npm run bench` does, to its end. */
function bench(
  args: readonly string[],
  { TMPDIR = process.env['TMPDIR'], node = ['--expose-gc'] } = {},
): Promise<Ended> {
  return new Promise((resolve) => {
    const options = { cwd: root, env: { ...process.env, ...(TMPDIR === undefined ? {} : { TMPDIR }) } };
    const done = (error: ExecFileException | null, stdout: string, stderr: string) =>
      resolve({ code: error === null ? 0 : (error.code ?? error.signal), stdout, stderr });
    execFile(process.execPath, [...node, 'bench/run.ts', ...args], options, done);
  });
}

test('a quick run measures every declared row for every contender, ends by itself and leaves nothing behind', async (t) => {
  const json = join(temporaryDirectory(t), 'result.json');
  const TMPDIR = temporaryDirectory(t);
  const { code, stdout, stderr } = await bench(['lease', '--quick', '--json', json], { TMPDIR });
  t.is(code, 0, stderr);
  t.deepEqual(readdirSync(TMPDIR), []);

  const { rows, bars } = JSON.parse(readFileSync(json, 'utf8')) as { rows: Row[]; bars: Verdict[] };
  t.deepEqual(
    rows.map(({ id }) => id),
    trials.map(({ id }) => id),
  );
  const pools = ['leasehold', 'generic-pool', 'tarn', 'lightning-pool'];
  for (const { id, title, cells, ratios } of rows) {
    t.true(stdout.includes(`| ${title} `), title);
    t.deepEqual(
      cells.map(({ name }) => name),
      // Nobody waits for the bare driver, and only Leasehold watches.
      id === 'watched' ? ['leasehold'] : id === 'waiter' ? pools : [...pools, 'floor'],
    );
    for (const { name, median, lower, upper, samples } of cells) {
      for (const figure of [median, lower, upper, ...samples]) {
        // Where ratios make no sense the heap may have shrunk.
        t.true(Number.isFinite(figure) && (figure > 0 || !ratios), `${id} of ${name}: ${figure}`);
      }
      t.true(samples.length > 0 && lower <= median && median <= upper, `${id} of ${name}`);
    }
  }
  t.is(bars.length, 11);
  for (const { claim, limit, value, met } of bars) {
    t.is(met, value <= limit, claim);
    t.regex(
      stdout,
      new RegExp(String.raw`\| ${claim.replaceAll('+', String.raw`\+`)} .*\| ${met ? 'met' : 'NOT met'}`),
    );
  }
});

test('a quick run of transactions that await measures every mix for every contender, and loses nothing', async (t) => {
  const json = join(temporaryDirectory(t), 'result.json');
  const TMPDIR = temporaryDirectory(t);
  const { code, stdout, stderr } = await bench(['contention', '--quick', '--json', json], { TMPDIR });
  t.is(code, 0, stderr);
  t.deepEqual(readdirSync(TMPDIR), []);

  const result = JSON.parse(readFileSync(json, 'utf8')) as {
    mixes: MixRow[];
    comparisons: ComparisonRow[];
    bars: ContentionVerdict[];
  };
  t.deepEqual(
    result.mixes.map(({ id }) => id),
    mixes.map(({ id }) => id),
  );
  for (const { id, title, loops, cells } of result.mixes) {
    t.true(stdout.includes(`| ${title} `), title);
    t.is(loops, 64);
    t.deepEqual(
      cells.map(({ name }) => name),
      ['leasehold', 'mutex', 'generic-pool', 'kysely', 'kysely on leasehold', 'knex'],
    );
    for (const { name, throughput, stall, errors, runs } of cells) {
      const counts = runs.map((run) => run.committed + Object.values(run.errors).reduce((sum, one) => sum + one, 0));
      t.deepEqual(
        runs.map(({ operations }) => operations),
        counts,
        `${id} of ${name}`,
      );
      t.is(runs.length, name === 'generic-pool' && id !== 'read' ? 1 : 2, `${id} of ${name}`);
      t.true(throughput.lower <= throughput.median && throughput.median <= throughput.upper, `${id} of ${name}`);
      t.true(Number.isFinite(stall.worst) && stall.median <= stall.worst, `${id} of ${name}`);
      if (name !== 'generic-pool') {
        // What waits for five seconds is given up, and only a machine that stood still makes it wait so long.
        if (stall.worst < 1500) t.deepEqual(errors, {}, `${id} of ${name}`);
        // Each of the loops has done one, and the mix is what it says.
        for (const { committed, written } of runs) t.true(committed >= 64 && (id === 'read') === (written === 0), name);
      }
    }
  }
  t.deepEqual(
    result.comparisons.map(({ id, cells }) => [id, ...cells.map(({ samples }) => samples.length)]),
    [
      ['beside', 2, 2],
      ['uncontended', 16, 16, 16],
    ],
  );
  for (const { title, cells } of result.comparisons) {
    t.true(stdout.includes(`| ${title} `), title);
    for (const { name, samples } of cells) t.true(Math.min(...samples) > 0, name);
  }
  t.is(result.bars.length, 7);
  for (const { claim, bound, limit, value, met } of result.bars) {
    t.is(met, bound === 'at least' ? value >= limit : value <= limit, claim);
    t.regex(stdout, new RegExp(String.raw`\| ${claim} .*\| ${met ? 'met' : 'NOT met'}`));
  }
});

test('--only runs the rows it names, for as many rounds as are asked for', async (t) => {
  const json = join(temporaryDirectory(t), 'result.json');
  const { code, stderr } = await bench(['lease', '--quick', '--only', 'EMPTY', '--rounds', '4', '--json', json]);
  t.is(code, 0, stderr);
  const { rows, bars } = JSON.parse(readFileSync(json, 'utf8')) as { rows: Row[]; bars: Verdict[] };
  t.deepEqual(
    rows.map(({ id }) => id),
    ['scoped'],
  );
  t.deepEqual(
    rows[0]?.cells.map(({ samples }) => samples.length),
    [4, 4, 4, 4, 4],
  );
  t.deepEqual(
    bars.map(({ claim }) => claim),
    ["withConnection, of generic-pool's use"],
  );
});

test('--help lists the benches and the options', async (t) => {
  const { code, stdout, stderr } = await bench(['--help']);
  t.deepEqual({ code, stderr }, { code: 0, stderr: '' });
  t.regex(stdout, /^ {2}lease /m);
  t.regex(stdout, /^ {2}contention /m);
  t.regex(stdout, /bench -- charts/);
  for (const option of ['rounds', 'quick', 'only', 'json']) t.true(stdout.includes(`  --${option}`), option);
});

const mistakes: readonly (readonly [args: readonly string[], line: RegExp])[] = [
  [[], /which bench\?.*lease/i],
  [['lesae'], /"lesae".*lease/],
  [['toString'], /"toString"/],
  [['lease', 'lease'], /one bench/i],
  [['lease', '--fast'], /--fast.*--help/],
  [['lease', '--only'], /--only.*--help/],
  [['lease', '--only', 'nothing of the kind'], /"nothing of the kind".*contended-64/],
  [['contention', '--only', 'nothing of the kind'], /"nothing of the kind".*mixed.*uncontended/],
  [['lease', '--rounds', '1.5'], /--rounds.*"1\.5"/],
  [['lease', '--rounds', '0'], /--rounds.*"0"/],
  [['lease', '--write'], /--write.*--help/],
  [['charts', '--quick'], /charts.*no options/],
  [['charts', 'lease'], /one bench/i],
];

for (const [args, line] of mistakes) {
  test(`"bench ${args.join(' ')}" is answered with one line and exit code 2`, async (t) => {
    const { code, stdout, stderr } = await bench(args);
    t.deepEqual({ code, stdout }, { code: 2, stdout: '' });
    t.is(stderr.trimEnd().split('\n').length, 1, stderr);
    t.regex(stderr, line);
  });
}

test('without the collector it does not measure', async (t) => {
  const { code, stdout, stderr } = await bench(['lease', '--quick'], { node: [] });
  t.deepEqual({ code, stdout }, { code: 2, stdout: '' });
  t.regex(stderr, /^[^\n]*--expose-gc[^\n]*\n$/);
});

test('rounds are interleaved, each begins with another contender, and the first are dropped', async (t) => {
  const taken: string[] = [];
  const samples = await interleave(
    ['a', 'b', 'c'],
    { warmUp: 1, rounds: 2, once: (contender) => contender === 'c', onRound: (round) => taken.push(String(round)) },
    async (contender) => taken.push(contender),
  );
  t.is(taken.join(' '), '1 a b 2 b c a 3 a b');
  t.deepEqual(
    samples,
    new Map([
      ['a', [7, 9]],
      ['b', [5, 10]],
      ['c', [6]],
    ]),
  );
});

test('a summary is the median and the quartiles, between samples in proportion', (t) => {
  t.deepEqual(summarize([40, 10, 30, 20]), { median: 25, lower: 17.5, upper: 32.5 });
  t.deepEqual(summarize([7]), { median: 7, lower: 7, upper: 7 });
});

test('what is between the markers of a section is replaced, and nothing else is touched', (t) => {
  const page = 'above\n<!-- x: begin -->\nold\n<!-- x: end -->\nbelow <!-- y z: begin --><!-- y z: end -->\n';
  t.deepEqual(sectionsOf(page), ['x', 'y z']);
  t.is(
    withSection(withSection(page, 'x', 'new $& 1'), 'x', 'new $& 2'),
    'above\n<!-- x: begin -->\n\nnew $& 2\n\n<!-- x: end -->\nbelow <!-- y z: begin --><!-- y z: end -->\n',
  );
  t.throws(() => withSection(page, 'z', 'new'), { message: /z: begin/ });
});
