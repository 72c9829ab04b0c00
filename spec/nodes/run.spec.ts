import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { temporaryDirectory } from '../support/files.ts';
import { filesOf } from './command.ts';
import { exclusions } from './exclusions.ts';
import { parts } from './parts.ts';
import { root, specFiles } from './sources.ts';
import { runSuite } from './suite.ts';
import { formatTable } from './table.ts';

const program = fileURLToPath(new URL('run.ts', import.meta.url));

interface Ended {
  readonly code: unknown;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `npm run test:nodes`, with a cache of its own: nothing in here is to install a Node.js. */
function testNodes(t: ExecutionContext, ...args: string[]): Promise<Ended> {
  const env = { ...process.env, XDG_CACHE_HOME: temporaryDirectory(t), PATH: dirname(process.execPath) };
  return new Promise((resolve) => {
    execFile(process.execPath, [program, ...args], { env }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : (error.signal ?? error.code), stdout, stderr }),
    );
  });
}

test('--help and --list say what there is', async (t) => {
  const help = await testNodes(t, '--help');
  t.deepEqual([help.code, help.stderr], [0, '']);
  const list = await testNodes(t, '--list');
  t.deepEqual([list.code, list.stderr], [0, '']);
  for (const { id } of [...parts, { id: 'package' }]) {
    for (const { stdout } of [help, list]) t.regex(stdout, new RegExp(`^ {2}${id} `, 'm'));
  }
  for (const { file, reason } of exclusions) {
    t.true(list.stdout.includes(`  ${file}\n`), file);
    t.true(list.stdout.includes(reason), file);
  }
});

const mistakes: readonly (readonly [args: readonly string[], line: RegExp])[] = [
  [['--only', '23'], /"23".*22, 24, 24-no-frame, 26.*package/],
  [['--only'], /--only.*--help/],
  [['--fast'], /--fast.*--help/],
  [['README.md'], /"README.md" is no file of specs/],
  [['spec/nothing.spec.ts'], /no file "spec\/nothing.spec.ts"/],
  [['--only', '22', 'spec/architecture.spec.ts'], /22 runs none.*--list/],
  [['--only', 'package', 'spec/errors.spec.ts'], /package runs none/],
];

for (const [args, line] of mistakes) {
  test(`"test:nodes ${args.join(' ')}" is answered with one line and exit code 2`, async (t) => {
    const { code, stdout, stderr } = await testNodes(t, ...args);
    t.deepEqual({ code, stdout }, { code: 2, stdout: '' });
    t.is(stderr.trimEnd().split('\n').length, 1, stderr);
    t.regex(stderr, line);
  });
}

test('a file that a part leaves out exists, and all others are run by every part', (t) => {
  const files = specFiles();
  t.true(files.length > 200);
  for (const { file } of exclusions) t.true(existsSync(join(root, file)), file);
  const left = new Set(exclusions.map(({ file }) => file));
  for (const { id } of parts) {
    const run = new Set(filesOf(id, []));
    for (const file of files) t.true(run.has(file) || left.has(file), `${id}: ${file}`);
  }
});

test('a run tells what failed, also where a file ended with the whole process', async (t) => {
  const directory = temporaryDirectory(t);
  symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'), 'junction');
  writeFileSync(join(directory, 'package.json'), '{ "type": "module" }');
  writeFileSync(join(directory, 'ava.config.js'), "export default { files: ['spec/*.spec.js'] };");
  mkdirSync(join(directory, 'spec'));
  const write = (name: string, text: string) =>
    writeFileSync(join(directory, 'spec', `${name}.spec.js`), `import test from 'ava';\n${text}\n`);
  write(
    'some',
    "test('right', (t) => t.pass());\ntest('wrong', (t) => t.fail('so it is'));\ntest.skip('left', () => {});",
  );
  const suite = { node: process.execPath, root: directory, environment: process.env, config: 'ava.config.js' };
  const counted: number[] = [];
  const told: string[] = [];
  const observer = {
    onTest: ({ total }: { readonly total: number }) => void counted.push(total),
    onFailure: ({ title }: { readonly title: string }) => void told.push(title),
  };
  const some = await runSuite({ ...suite, files: ['spec/some.spec.js'] }, observer);
  t.deepEqual([some.passed, some.skipped, some.failures.length], [1, 1, 1]);
  t.deepEqual(told, ['wrong']);
  t.true(some.failures[0]?.details.join('\n').includes('so it is'));
  t.deepEqual(counted, [1, 2, 3]);

  write('gone', "test('killed', () => process.kill(process.pid, 'SIGKILL'));");
  const gone = await runSuite({ ...suite, files: ['spec/gone.spec.js'] }, observer);
  t.is(gone.passed, 0);
  t.true(gone.failures.some(({ title }) => /ended before its time, after 0 tests: SIGKILL/.test(title)));

  // The first that ends has ava wait for the other no longer than was said.
  write(
    'late',
    "test('in time', (t) => t.pass());\ntest('never', () => new Promise((resolve) => setTimeout(resolve, 60_000)));",
  );
  const late = await runSuite({ ...suite, files: ['spec/late.spec.js'], timeout: '3s' }, observer);
  t.deepEqual([late.passed, late.failures.length], [1, 1]);
  t.is(late.failures[0]?.title, 'never');
  t.regex(late.failures[0]?.details.join('\n') ?? '', /no new tests completed within the last 3000ms/);

  const none = await runSuite({ ...suite, files: ['spec/nothing.spec.js'] }, observer);
  t.is(none.failures.length, 1);
  t.true(none.failures[0]?.details.join('\n').length !== 0, 'what ava said of it');
  t.deepEqual(
    told,
    ['wrong', ...gone.failures, ...late.failures, ...none.failures].map((each) =>
      typeof each === 'string' ? each : each.title,
    ),
  );
  t.deepEqual(readdirSync(directory).toSorted(), ['ava.config.js', 'node_modules', 'package.json', 'spec']);
});

test('the summary is a table', (t) => {
  const rows = [
    { part: '22', version: 'v22.20.0', passed: 3456, failed: 0, skipped: 3, duration: 185_400 },
    { part: '24-no-frame', version: 'v24.21.0', passed: 9, failed: 12, skipped: 0, duration: 4600 },
  ];
  t.deepEqual(formatTable(rows).split('\n'), [
    'part         Node.js   passed  failed  skipped        time',
    '22           v22.20.0    3456       0        3  3 min 05 s',
    '24-no-frame  v24.21.0       9      12        0         5 s',
  ]);
});
