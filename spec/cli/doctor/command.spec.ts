import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, truncateSync } from 'node:fs';
import test from 'ava';
import { main } from '../../../lib/cli/main.ts';
import { temporaryFile } from '../../support/files.ts';
import { build, diagnose, manyRows, program, runDoctor } from './support.ts';

test.serial('what is wrong on the command line is one line on stderr, and exit code 2', async (t) => {
  for (const [args, message] of [
    [[], /Which file\?/],
    [['a.db', 'b.db'], /One file at a time/],
    [['--quik', 'a.db'], /Did you mean --quick\?/],
    [['--integrity', 'half', 'a.db'], /none, quick or full, not "half"/],
    [['--integrity', 'full', '--quick', 'a.db'], /not together/],
    [['--timeout', 'soon', 'a.db'], /--timeout is an integer from 0/],
  ] as const) {
    const { code, stdout, stderr } = await runDoctor(args);
    t.is(code, 2, stderr);
    t.is(stdout, '');
    t.regex(stderr, /^leasehold doctor: [^\n]+\n$/);
    t.regex(stderr, message);
  }
});

test.serial('--help tells of every option and of the exit codes, in no more than 80 columns', async (t) => {
  const { code, stdout } = await runDoctor(['--help']);
  t.is(code, 0);
  for (const part of [
    '--quick',
    '--integrity',
    '--timeout',
    '--in-place',
    '--json',
    '--strict',
    '--no-color',
    'Exit code',
  ]) {
    t.true(stdout.includes(part), part);
  }
  t.true(stdout.split('\n').every((line) => line.length <= 80));
});

test.serial('each finding has the same keys, a known state, and what to do where something is wrong', async (t) => {
  const file = temporaryFile(t);
  build(
    file,
    `PRAGMA page_size = 512; PRAGMA foreign_keys = OFF; ${manyRows} CREATE TABLE a (b REFERENCES item); INSERT INTO a VALUES (0)`,
    { wal: false },
  );
  const { findings, code } = await diagnose(file);
  t.is(code, 3);
  for (const finding of findings) {
    t.deepEqual(Object.keys(finding), ['id', 'group', 'state', 'title', 'found', 'why', 'advice'], finding.id);
    t.true(['ok', 'note', 'warning', 'problem'].includes(finding.state), finding.id);
    if (finding.state !== 'ok') t.true((finding.why ?? '') !== '' && (finding.advice ?? []).length > 0, finding.id);
  }
  t.true(['note', 'warning', 'problem'].every((state) => findings.some((finding) => finding.state === state)));
});

test.serial('--quick and --integrity none leave out what takes long, and say so', async (t) => {
  const file = temporaryFile(t);
  build(file, `PRAGMA foreign_keys = OFF; ${manyRows} CREATE TABLE a (b REFERENCES item); INSERT INTO a VALUES (0)`);
  const quick = await diagnose(file, ['--quick']);
  t.is(quick.code, 0);
  t.is(quick.one('content.keys').found, 'not looked at, as was asked');
  t.is(quick.one('content.integrity').found, 'not looked at, as was asked');
  t.deepEqual(quick.of('content.pages'), []);
  const none = await diagnose(file, ['--integrity', 'none']);
  t.is(none.code, 3);
  t.is(none.one('content.keys').state, 'problem');
  t.is(none.one('content.integrity').found, 'not looked at, as was asked');
});

test.serial('a large file without a WAL is examined in a copy, and in place only if that is asked for', async (t) => {
  const file = temporaryFile(t);
  build(file, 'CREATE TABLE heap (a); INSERT INTO heap VALUES (zeroblob(17000000))', { wal: false });
  t.regex((await diagnose(file)).one('content.examined').found, /^in a copy: in place commits of others would wait/);
  t.regex((await diagnose(file, ['--in-place'])).one('content.examined').found, /^in place/);
});

test.serial('nothing is written to stderr where that is no terminal', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows);
  const { stderr, stdout, code } = await runDoctor([file]);
  t.is(code, 0);
  t.is(stderr, '');
  // More where the file system is worth a note, or in a container.
  t.regex(stdout, /\n\n[1-4] notes?\n$/);
});

/** The exit code where nobody reads what it says. */
async function codeWithoutReader(args: readonly string[]): Promise<number | null> {
  const child = spawn(process.execPath, [program, 'doctor', ...args], { stdio: ['ignore', 'pipe', 'ignore'] });
  const exited = once(child, 'exit');
  child.stdout.destroy();
  const [code] = (await exited) as [number | null];
  return code;
}

test.serial('what it comes to does not depend on whether somebody reads the report', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows, { wal: false });
  t.is(await codeWithoutReader([file]), 1);
  truncateSync(file, 4096 * 20);
  t.is(await codeWithoutReader([file]), 3);
  t.is(await codeWithoutReader([file, '--json']), 3);
});

const onFull = existsSync('/dev/full') ? test.serial : test.skip;

onFull('a report that can not be written is no verdict', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows);
  for (const size of [undefined, 4096 * 20]) {
    if (size !== undefined) truncateSync(file, size);
    const full = openSync('/dev/full', 'w');
    t.teardown(() => closeSync(full));
    const child = spawn(process.execPath, [program, 'doctor', file], { stdio: ['ignore', full, 'ignore'] });
    t.deepEqual(await once(child, 'exit'), [2, null]);
  }
});

test.serial('an error that nobody has thought of is no warning', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows);
  let told = '';
  const code = await main(['doctor', '--quick', file], {
    stdout: {
      write: () => {
        throw new Error('Nobody thought of this.');
      },
    },
    stderr: {
      write: (text: string) => {
        told += text;
      },
    },
    env: {},
    signal: new AbortController().signal,
  });
  t.is(code, 2);
  t.is(told, 'leasehold doctor: Nobody thought of this.\n');
});

test.serial('a directory for temporary files that is not there is told of', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows);
  const { code, one } = await diagnose(file, [], { env: { TMPDIR: '/nowhere/at/all' } });
  t.is(code, 2);
  t.regex(one('content.failed-copy').found, /ENOENT/);
});
