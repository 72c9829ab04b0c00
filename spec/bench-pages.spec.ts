import { execFile } from 'node:child_process';
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { benches } from '../bench/benches.ts';
import { generate, keep, leftOver, tablesOf, writePages } from '../bench/pages.ts';
import { sectionsOf } from '../bench/support/markdown.ts';
import { type Result, resultText } from '../bench/support/result.ts';
import { summarize } from '../bench/support/statistics.ts';
import { temporaryDirectory } from './support/files.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('..', import.meta.url));
const results = join('bench', 'results');

const read = (path: string, directory = root) => readFileSync(join(directory, path), 'utf8');
const resultOf = (name: string, directory = root) =>
  JSON.parse(read(join(results, `${name}.json`), directory)) as Result;

/** What the benches need of the repository, in a place where it may be changed. */
function copy(t: ExecutionContext): string {
  const directory = temporaryDirectory(t);
  for (const path of ['bench', 'README.md', 'package.json'])
    cpSync(join(root, path), join(directory, path), { recursive: true });
  for (const path of ['lib', 'spec', 'node_modules']) symlinkSync(join(root, path), join(directory, path));
  return directory;
}

/** The text of every file of a directory by its name. */
function filesIn(directory: string): Record<string, string> {
  return Object.fromEntries(readdirSync(directory).map((name) => [name, readFileSync(join(directory, name), 'utf8')]));
}

test('the charts, tables and words of the pages are to the byte what the results that are kept give', (t) => {
  const made = generate();
  for (const [path, text] of made)
    t.true(existsSync(join(root, path)) && read(path) === text, `${path}: npm run bench -- charts`);
  t.deepEqual(leftOver(), []);
});

test('results of a whole run are kept of every bench, and its page shows all of its charts and tables', (t) => {
  const shown = sectionsOf(read('bench/README.md'));
  for (const [name, { presentation }] of Object.entries(benches)) {
    const result = resultOf(name);
    t.is(result.bench, name);
    t.false(result.quick);
    t.is(read(join(results, `${name}.json`)), resultText(result), 'as it is written');
    for (const section of [name, ...presentation.charts(result).map(({ id }) => `chart ${id}`)]) {
      t.true(shown.includes(section), section);
    }
  }
});

test('every picture that a page shows is there', (t) => {
  for (const page of ['README.md', 'bench/README.md']) {
    const paths = [...read(page).matchAll(/(?:src|srcset)="([^"]+\.svg)"/g)].map(([, path = '']) => path);
    for (const path of paths) t.true(existsSync(join(root, page, '..', path)), `${page}: ${path}`);
  }
});

test('figures that change in what is kept change in tables, charts and words, and in nothing else', (t) => {
  const directory = copy(t);
  t.deepEqual(writePages(directory), []);
  const file = join(results, 'express.json');
  const express = resultOf('express') as Result & { rows: { id: string; ratio: object }[] };
  for (const row of express.rows) if (row.id === 'scope') row.ratio = { median: 7.89, lower: 7, upper: 9 };
  writeFileSync(join(directory, file), resultText(express));

  const before = read('bench/README.md', directory);
  const changed = writePages(directory).toSorted();
  const shownByTheProject = sectionsOf(read('README.md')).includes('chart express');
  const expected = ['bench/README.md', join(results, 'express.dark.svg'), join(results, 'express.light.svg')];
  t.deepEqual(changed, shownByTheProject ? ['README.md', ...expected] : expected);
  t.regex(read('bench/README.md', directory), /\| express\(pool\) .*\| +7\.890 \|/);
  t.regex(read('bench/README.md', directory), /alt="[^"]*express\(pool\) \+689\.0 %/);
  t.regex(read(join(results, 'express.dark.svg'), directory), />\+689\.0 %</);
  const unlike = read('bench/README.md', directory)
    .split('\n')
    .filter((line, index) => line !== before.split('\n')[index]);
  t.is(unlike.length, 2, 'the line of the table and that of the picture');
  t.deepEqual(writePages(directory), []);
});

test('a picture that no result gives any more is removed', (t) => {
  const directory = copy(t);
  const former = join(results, 'former.light.svg');
  writeFileSync(join(directory, former), '');
  t.deepEqual(writePages(directory), [former]);
  t.false(existsSync(join(directory, former)));
});

test('a section with a wrong name is refused, one of a bench that has not been run yet stays as it is', (t) => {
  const directory = copy(t);
  rmSync(join(directory, results, 'express.json'));
  const page = read('bench/README.md', directory);
  t.notThrows(() => writePages(directory));
  t.is(read('bench/README.md', directory), page);

  const own = '<!-- something else: begin -->\nkept\n<!-- something else: end -->\n';
  for (const name of ['chart leese', 'chart lease-of-none', 'bars leese']) {
    writeFileSync(join(directory, 'README.md'), `${own}<!-- ${name}: begin --><!-- ${name}: end -->\n`);
    t.throws(() => writePages(directory), { message: `README.md has a section "${name}", and no results have one` });
  }
  writeFileSync(join(directory, 'README.md'), `${own}<!-- bars lease: begin --><!-- bars lease: end -->\n`);
  writePages(directory);
  const written = read('README.md', directory);
  t.true(written.startsWith(`${own}<!-- bars lease: begin -->\n\n| bar `));
  t.regex(written, /\| acquire \+ release, of generic-pool +\|/);
});

test('results without a row that a picture is about are refused by its name', (t) => {
  const lease = resultOf('lease') as Result & { rows: { id: string }[] };
  const rows = lease.rows.filter(({ id }) => id !== 'select');
  t.throws(() => benches['lease']?.presentation.charts({ ...lease, rows } as Result), { message: /no "select"/ });
});

test('charts are made anew by a command that runs nothing, and a run with options keeps nothing', async (t) => {
  const directory = copy(t);
  const bench = (...args: string[]) =>
    run(process.execPath, ['--expose-gc', join(directory, 'bench', 'run.ts'), ...args], { cwd: directory });
  const kept = filesIn(join(directory, results));
  const page = read('bench/README.md', directory);

  t.regex((await bench('charts')).stderr, /^All charts and tables are as they should be\.\n$/);
  rmSync(join(directory, results, 'lease.dark.svg'));
  t.is((await bench('charts')).stderr, `Written: ${join(results, 'lease.dark.svg')}\n`);
  t.deepEqual(filesIn(join(directory, results)), kept);

  const json = join(temporaryDirectory(t), 'result.json');
  for (const options of [['--quick'], ['--quick', '--json', json]]) {
    const { stderr } = await bench('lease', '--only', 'empty', ...options);
    t.is(stderr.includes('Nothing is kept'), !options.includes('--json'), stderr);
  }
  t.deepEqual(filesIn(join(directory, results)), kept);
  t.is(read('bench/README.md', directory), page);
  const result = JSON.parse(readFileSync(json, 'utf8')) as Result;
  t.true(result.quick);
  t.regex(tablesOf(result), /\| withConnection, empty function \| leasehold/);
});

test('what is kept of a run is in place of what was, with as many digits as a figure has', (t) => {
  const directory = copy(t);
  const express = resultOf('express');
  const [third, eighth] = [100 / 3, 1 / 8e7];
  keep({ ...express, machine: { ...express.machine, load: third, cores: eighth } }, directory);
  const { load, cores } = resultOf('express', directory).machine;
  t.deepEqual({ load, cores }, { load: 33.3333, cores: eighth });
});

test('the file of a result has short lines, and is read as what was written', (t) => {
  const result = {
    ...resultOf('lease'),
    bars: [],
    rows: [
      {
        id: 'a "b"',
        samples: Array.from({ length: 100 }, (_, index) => index * 1001),
        none: [],
        nothing: {},
        not: null,
      },
    ],
  };
  const text = resultText(result);
  t.deepEqual(JSON.parse(text), result);
  t.true(Math.max(...text.split('\n').map((line) => line.length)) <= 120);
  t.true(text.split('\n').length < 40);
});

test('the medians and quartiles that are kept are those of the samples beside them', (t) => {
  const { rows } = resultOf('lease') as Result & {
    rows: { id: string; cells: { name: string; median: number; lower: number; upper: number; samples: number[] }[] }[];
  };
  for (const { id, cells } of rows) {
    for (const { name, samples, ...kept } of cells) {
      for (const [figure, value] of Object.entries(summarize(samples))) {
        const error = Math.abs(value - kept[figure as keyof typeof kept]);
        t.true(error <= Math.abs(value) * 1e-4 + 1, `${figure} of ${name} in ${id}`);
      }
    }
  }
});
