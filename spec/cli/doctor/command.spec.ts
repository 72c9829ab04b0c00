import test from 'ava';
import { temporaryFile } from '../../support/files.ts';
import { build, diagnose, manyRows, runDoctor } from './support.ts';

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
  // One more where the file system is worth a note.
  t.regex(stdout, /\n\n[12] notes?\n$/);
});

test.serial('a directory for temporary files that is not there is told of', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows);
  const { code, one } = await diagnose(file, [], { env: { TMPDIR: '/nowhere/at/all' } });
  t.is(code, 2);
  t.regex(one('content.failed-copy').found, /ENOENT/);
});
