import { spawn } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { runTool } from '../support/tool.ts';
import { type FileRow, formatShare, judge, parts, type Row } from './bounds.ts';
import { type FileReport, type Measured, measure } from './measure.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const lib = join(root, 'lib');

// What V8 runs in a browser, and what is made of it, is not counted here.
const browser = ['lib/inspector/page/**', 'lib/inspector/page.generated.ts'].flatMap((files) => ['--exclude', files]);

const usage = `Usage: npm run coverage -- [options]

Runs all specs under c8, and ends with 1 where less of the library ran than has to, of its lines or of its branches:
${parts.map(({ name, bound }) => `  ${name.padEnd(14)} ${bound} %`).join('\n')}
A branch is what V8 takes for one: also what stands behind "??", "?." and "?", and default values.

Options:
  --report FILE   judge what an earlier run has left (coverage/coverage-final.json), and run nothing
  --all           list what did not run in every file, not only in those below the bound
  --help          this text

Not counted is the page of the inspector, which runs in a browser.

The report for a browser is coverage/index.html.`;

function parse(args: string[]) {
  const options = { report: { type: 'string' }, all: { type: 'boolean' }, help: { type: 'boolean' } } as const;
  return parseArgs({ args, options }).values;
}

/** Runs the specs, and gives the path of the report. Throws where a test fails: what ran then says nothing. */
async function collect(): Promise<string> {
  const directory = join(root, 'coverage');
  const raw = join(directory, 'tmp');
  const modules = join(root, 'node_modules');
  const c8 = [
    '--all',
    '--include',
    'lib/**',
    ...browser,
    '--reporter',
    'json',
    '--reporter',
    'html',
    '--temp-directory',
    raw,
  ];
  const ava = join(modules, 'ava', 'entrypoints', 'cli.js');
  const suite = [process.execPath, ava, '--config', join('spec', 'ava.config.js')];
  const args = [join(modules, 'c8', 'bin', 'c8.js'), ...c8, '--reports-dir', directory, ...suite];
  // Of a function that comes from the compile cache V8 counts less exactly, or nothing.
  const env = { ...process.env, NODE_DISABLE_COMPILE_CACHE: '1' };
  const code = await new Promise<number | null>((resolve, reject) => {
    spawn(process.execPath, args, { cwd: root, env, stdio: 'inherit' }).once('error', reject).once('close', resolve);
  });
  // Some hundred megabytes.
  rmSync(raw, { recursive: true, force: true });
  if (code !== 0) throw new Error(`The specs ended with ${code}, so what ran of the library says nothing.`);
  return join(directory, 'coverage-final.json');
}

function read(report: string): Map<string, Measured> {
  const files = new Map<string, Measured>();
  for (const file of Object.values(JSON.parse(readFileSync(report, 'utf8')) as Record<string, FileReport>)) {
    const measured = measure(file);
    if (measured !== undefined) files.set(relative(lib, file.path).replaceAll('\\', '/'), measured);
  }
  if (files.size === 0) throw new Error(`${report} tells of no file of the library.`);
  return files;
}

function table(title: string, rows: readonly Row[]): void {
  console.log(`\n| ${title} | lines | branches | bound | |\n|---|---|---|---|---|`);
  for (const { name, lines, branches, bound, isBelow } of rows) {
    console.log(
      `| ${name} | ${formatShare(lines)} | ${formatShare(branches)} | ${bound} % | ${isBelow ? 'below' : ''} |`,
    );
  }
}

const longestShown = 160;

function listGaps(files: readonly FileRow[]): void {
  console.log('\nNever ran:');
  for (const { name, gaps } of files) {
    for (const { line, text } of gaps) {
      const [first = '', ...more] = text.split('\n');
      const shown = first.slice(0, longestShown) + (more.length > 0 ? ` … (${more.length + 1} lines)` : '');
      console.log(`  ${name}:${line}  ${shown}`);
    }
  }
}

async function main(args: string[]): Promise<number> {
  const { report, all = false, help } = parse(args);
  if (help) {
    console.log(usage);
    return 0;
  }
  const judged = judge(read(report ?? (await collect())));
  const below = judged.files.filter(({ isBelow }) => isBelow);
  const shown = all ? judged.files.filter(({ gaps }) => gaps.length > 0) : below;
  table('part', judged.parts);
  if (below.length > 0) table('file below the bound of its part', below);
  if (shown.length > 0) listGaps(shown);
  return judged.parts.some(({ isBelow }) => isBelow) ? 1 : 0;
}

await runTool(main);
