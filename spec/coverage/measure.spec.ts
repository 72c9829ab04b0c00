import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { temporaryDirectory } from '../support/files.ts';
import { formatShare, judge } from './bounds.ts';
import { type FileReport, type Measured, measure } from './measure.ts';

// Node calls it experimental to strip types, which is nothing to be told of with the tests.
process.removeAllListeners('warning');

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));
// Beside compiled specs there is no c8, and nothing to measure.
const ifSource = existsSync(join(root, 'tsconfig.build.json')) ? test : test.skip;

/** What c8 tells of the files of a small program that runs `main.ts`, by their names. */
async function coverageOf(t: ExecutionContext, files: Record<string, string>): Promise<Map<string, FileReport>> {
  const directory = realpathSync(temporaryDirectory(t));
  mkdirSync(join(directory, 'lib'));
  writeFileSync(join(directory, 'package.json'), '{ "type": "module" }');
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, 'lib', name), text);
  const c8 = join(root, 'node_modules', 'c8', 'bin', 'c8.js');
  const options = [
    '--all',
    '--include',
    'lib/**',
    '--reporter',
    'json',
    '--reports-dir',
    'out',
    '--temp-directory',
    'raw',
  ];
  // Left out, it would be that of the run which this may be part of, by Node's own doing; and c8 begins by emptying it.
  const env = { ...process.env, NODE_V8_COVERAGE: '' };
  await run(process.execPath, [c8, ...options, process.execPath, 'lib/main.ts'], { cwd: directory, env });
  const report = readFileSync(join(directory, 'out', 'coverage-final.json'), 'utf8');
  const each = Object.values(JSON.parse(report) as Record<string, FileReport>);
  return new Map(each.map((file) => [basename(file.path), file]));
}

ifSource(
  'what never ran is told by line and text; a file of types counts for nothing, one that nobody loads in full',
  async (t) => {
    const reports = await coverageOf(t, {
      'main.ts': [
        "import type { Size } from './types.ts';",
        '',
        '// A comment is no line.',
        'function grow(size: Size | undefined, by = 1): number {',
        '  try {',
        '    return (size?.width ?? 7) + by;',
        '  } finally {',
        '    done();',
        '  }',
        '}',
        '',
        'function done(): void {}',
        '',
        'function never(): string {',
        "  return 'never';",
        '}',
        '',
        'grow({ width: 1 }, 2);',
        'export { never };',
        '',
      ].join('\n'),
      'types.ts': 'export interface Size {\n  readonly width: number;\n}\n',
      'alone.ts': 'export const alone = 1;\n',
    });
    const main = measure(reports.get('main.ts') as FileReport) as Measured;
    t.true(main.lines.covered < main.lines.all);
    t.true(main.branches.covered < main.branches.all);
    const texts = main.gaps.map(({ line, text }) => `${line} ${text}`);
    t.deepEqual(
      texts.filter((text) => text.includes('?? 7') || text.includes("'never'")).map((text) => text.split(' ')[0]),
      ['6', main.gaps.find(({ text }) => text.includes("'never'"))?.line.toString()],
    );
    t.false(
      main.gaps.some(({ text }) => !/\w/.test(text)),
      'braces are no code',
    );
    t.is(measure(reports.get('types.ts') as FileReport), undefined);
    t.like(measure(reports.get('alone.ts') as FileReport), { lines: { covered: 0, all: 1 } });
  },
);

const whole: Measured = { lines: { covered: 10, all: 10 }, branches: { covered: 5, all: 5 }, gaps: [] };
const part = (covered: number, all: number): Measured => ({ ...whole, branches: { covered, all }, gaps: [] });
const below = (files: Record<string, Measured>) =>
  judge(new Map(Object.entries(files)))
    .parts.filter(({ isBelow }) => isBelow)
    .map(({ name }) => name);

test('the core has to run whole, to the last branch; new folders belong to it', (t) => {
  t.deepEqual(below({ 'lease.ts': whole, 'pool/lender.ts': whole, 'new/file.ts': whole }), []);
  t.deepEqual(below({ 'lease.ts': part(99_999, 100_000), 'pool/lender.ts': whole }), ['core']);
  t.deepEqual(below({ 'pool/lender.ts': part(4, 5) }), ['core']);
  t.deepEqual(below({ 'new/file.ts': part(4, 5) }), ['core']);
});

test('the driver and the adapters have to run by 95 %, each folder for itself', (t) => {
  t.deepEqual(below({ 'sqlite/sql.ts': part(95, 100), 'http/koa.ts': part(94, 100) }), ['lib/http']);
  t.deepEqual(below({ 'sqlite/sql.ts': part(90, 100), 'sqlite/lane.ts': part(100, 100) }), [], 'a folder is one');
});

test('a share is cut and not rounded, so that 100 % is all', (t) => {
  t.is(formatShare({ covered: 99_999, all: 100_000 }), '99.9 % (99999 of 100000)');
  t.is(formatShare({ covered: 3, all: 3 }), '100 % (3 of 3)');
  t.is(formatShare({ covered: 0, all: 0 }), '100 % (0 of 0)');
});
