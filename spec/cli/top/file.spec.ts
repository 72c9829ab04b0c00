import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import test from 'ava';
import { painter } from '../../../lib/cli/colours.ts';
import type { FileState } from '../../../lib/cli/outside/file-state.ts';
import { widthOf } from '../../../lib/cli/text.ts';
import { FileHistory } from '../../../lib/cli/top/file-history.ts';
import { filePicture } from '../../../lib/cli/top/file-picture.ts';
import { paintRow } from '../../../lib/cli/top/layout.ts';
import { temporaryDirectory, temporaryFile } from '../../support/files.ts';
import { otherDatabase } from '../../support/processes.ts';
import { build, canBeNobody, canContain, inContainer, program } from '../doctor/support.ts';
import { run } from './support/run.ts';
import { start } from './support/simulation.ts';
import { noTerminal, terminal } from './support/terminal.ts';

const atTerminal = noTerminal === undefined ? test : test.skip;
// Who has a file open and locked is told there alone.
const asNobody = canBeNobody() ? test : test.skip;
const onLinux = process.platform === 'linux' ? test : test.skip;

function state(part: Partial<FileState> = {}): FileState {
  return {
    path: '/data/app.db',
    at: start,
    kind: 'file',
    error: undefined,
    strangers: [],
    size: 40_960,
    modified: start - 5000,
    content: 'database',
    header: {
      pageSize: 4096,
      reserved: 0,
      journal: 'wal',
      changeCounter: 7,
      pages: 10,
      freePages: 2,
      schemaCookie: 1,
      autoVacuum: 'none',
      encoding: 'UTF-8',
      userVersion: 0,
      applicationId: 0,
      sqliteVersion: 3_054_001,
    },
    wal: { bytes: 412_032, modified: start - 1000, frames: 100, pageSize: 4096, round: 0, salt: 'ab' },
    index: {
      bytes: 32_768,
      valid: true,
      changes: 10,
      frames: 50,
      backfilled: 20,
      pages: 12,
      salt: 'ab',
      marks: [0, 20, undefined, undefined, undefined],
    },
    journal: undefined,
    processes: [
      { pid: 4711, command: 'node server.js', started: start - 60_000, descriptors: 3, canWrite: true },
      { pid: 4712, command: 'sqlite3 \u001b[31mapp.db', started: undefined, descriptors: 1, canWrite: false },
    ],
    hiddenProcesses: 0,
    locks: {
      writer: 4711,
      exclusive: undefined,
      committing: undefined,
      checkpointer: undefined,
      recoverer: undefined,
      readers: [{ pid: 4712, mark: 1, frame: 20, pins: true }],
      users: [4711, 4712],
      connected: [],
      blocked: [],
    },
    isConfined: false,
    stranded: [],
    untold: [],
    ...part,
  };
}

const nobody: NonNullable<FileState['locks']> = {
  writer: undefined,
  exclusive: undefined,
  committing: undefined,
  checkpointer: undefined,
  recoverer: undefined,
  readers: [],
  users: [],
  connected: [],
  blocked: [],
};

function drawn(looks: readonly FileState[], width = 100, height = 24): string[] {
  const history = new FileHistory();
  for (const look of looks) history.add(look);
  return filePicture(history, { width, height }).map((row) => paintRow(row, width, painter(false)));
}

test('who writes, who pins the log, and who has the file open are in the picture', (t) => {
  const rows = drawn([state()], 120);
  const text = rows.join('\n');
  t.regex(rows[0] ?? '', /^app\.db {2}\/data\/app\.db +WAL \d\d:\d\d:\d\d$/);
  t.regex(text, /^size +41\.0 kB {2}12 pages of 4096 {2}2 free {2}changed 1\.0 s ago$/m);
  t.regex(text, /^log .* 206\.0 kB {2}file 412\.0 kB {2}30 frames to copy$/m);
  t.regex(text, /^pinned by +sqlite3 ␛\[31mapp\.db \(4712\) reads at frame 20$/m);
  t.regex(text, /^writer .* node server\.js \(4711\)$/m);
  t.regex(text, /^readers .* 1$/m);
  t.regex(text, /^OPEN IN 2 PROCESSES$/m);
  t.regex(text, /^ +4711 {2}writes +60\.0 s +node server\.js {2}3 descriptors$/m);
  t.regex(text, /^ +4712 {2}reads +sqlite3 ␛\[31mapp\.db {2}read only$/m);
});

test('commits are counted from one look to the next', (t) => {
  const index = state().index;
  const looks = [0, 1, 2, 3].map((second) =>
    state({
      at: start + second * 500,
      index: index === undefined ? undefined : { ...index, changes: 10 + second * second * 3 },
    }),
  );
  t.regex(drawn(looks.slice(0, 1)).join('\n'), /^commits .* counted from now on$/m);
  // 3, then 9, then 15 in the last half second.
  t.regex(drawn(looks).join('\n'), /^commits .*█ 30\/s {2}most 30\/s$/m);
});

test('what the system does not tell is not claimed', (t) => {
  const untold = ['Which locks are held is told on Linux alone.'];
  const text = drawn([state({ processes: undefined, locks: undefined, hiddenProcesses: undefined, untold })]).join(
    '\n',
  );
  t.notRegex(text, /writer|readers|nobody|OPEN IN/);
  t.regex(text, /^Which locks are held is told on Linux alone\.$/m);
});

test('a file that goes is told as missing', (t) => {
  const gone = {
    kind: 'missing',
    size: undefined,
    header: undefined,
    wal: undefined,
    index: undefined,
    locks: undefined,
  } as const;
  const rows = drawn([state(), state({ ...gone, processes: undefined, at: start + 1000 })]);
  t.regex(rows[0] ?? '', /MISSING \d\d:\d\d:\d\d$/);
});

test('a journal that will be rolled back is an alarm', (t) => {
  const journal = { bytes: 8720, modified: start, hasHead: true, isHot: true };
  t.regex(drawn([state({ wal: undefined, index: undefined, journal })]).join('\n'), /^journal +8\.7 kB, HOT: /m);
});

test('a log whose index can not be read counts whole, and one that begins anew counts as nothing', (t) => {
  const { index, wal } = state();
  const unread = drawn([state({ index: index && { ...index, valid: false } })]).join('\n');
  t.regex(unread, /^log .* 412\.0 kB$/m);
  t.regex(unread, /^size .* 10 pages of 4096/m);
  t.regex(
    drawn([state({ index: index && { ...index, frames: 0, backfilled: 0 } })]).join('\n'),
    /^log .* 0 bytes {2}file/m,
  );
  // Its own header is still to come.
  const begun = state({ wal: wal && { ...wal, pageSize: undefined } });
  t.regex(drawn([begun]).join('\n'), /^log .* 206\.0 kB {2}file 412\.0 kB/m);
  const readers = [{ pid: 4712, mark: 1, frame: undefined, pins: true }];
  const pinned = state({ locks: { ...nobody, readers } });
  t.regex(drawn([pinned]).join('\n'), /^pinned by .*\(4712\) reads$/m);
});

test('commits that can not be counted are not told as none', (t) => {
  const { index, header } = state();
  const second = { at: start + 1000 };
  const anew = [state(), state({ ...second, index: index && { ...index, changes: 2 } })];
  t.regex(drawn(anew).join('\n'), /^commits .* can not be told$/m);
  const unread = [state({ index: index && { ...index, valid: false } }), state(second)];
  t.regex(drawn(unread).join('\n'), /^commits .* can not be told$/m);
  // Without a WAL the header of the file counts.
  const rollback = { wal: undefined, index: undefined };
  const counted = [
    state(rollback),
    state({ ...rollback, ...second, header: header && { ...header, changeCounter: 9 } }),
  ];
  t.regex(drawn(counted).join('\n'), /^commits .* 2\/s {2}most 2\/s$/m);
  t.notRegex(drawn(counted).join('\n'), /^(?:log|journal) /m);
});

test('everyone who has a lock is told, of whatever kind, and also who can not be seen', (t) => {
  const locks = { ...nobody, writer: 99, checkpointer: 4712, recoverer: 4713, blocked: [4714, 4715] };
  // Of the look before, nothing of the locks is known.
  const text = drawn([state({ locks: undefined }), state({ at: start + 1000, locks })], 200).join('\n');
  t.regex(text, /^writer .* pid 99 {2}4712 checkpoints {2}4713 recovers {2}2 blocked$/m);
  t.regex(text, /^ +4711 {2}idle /m);
  t.regex(text, /^ +4712 {2}checkpoints /m);
  t.regex(drawn([state({ locks: nobody })]).join('\n'), /^writer .* nobody$/m);
  const alone = drawn([state({ locks: { ...nobody, exclusive: 4711 } })], 200).join('\n');
  t.regex(alone, /^writer .*node server\.js \(4711\) holds it exclusively$/m);
  t.regex(drawn([state({ locks: undefined })]).join('\n'), /^ +4711 {2}idle /m);
});

test('a file that nobody has open says so', (t) => {
  const rows = drawn([state({ processes: [], modified: undefined, wal: undefined, index: undefined, locks: nobody })]);
  t.true(rows.includes('OPEN IN NO PROCESS that can be seen'));
  // When it was changed is not known: nothing is said of it.
  t.notRegex(rows.join('\n'), /changed/);
});

test('pages are counted by the size of the file where its header does not count them', (t) => {
  const { header } = state();
  const rows = drawn([state({ index: undefined, header: header && { ...header, pages: 0, journal: 'unknown' } })]);
  t.regex(rows.join('\n'), /^size .* 10 pages of 4096/m);
  t.regex(rows[0] ?? '', /unknown journal \d\d:/);
});

for (const [content, shown] of [
  ['empty', 'empty'],
  ['database', 'DAMAGED'],
  ['other', 'NO DATABASE'],
  [undefined, 'UNREAD'],
] as const) {
  test(`a file without a header whose content is ${content ?? 'not known'} is called ${shown}`, (t) => {
    const rows = drawn([
      state(),
      state({ at: start + 1000, content, header: undefined, wal: undefined, index: undefined }),
    ]);
    t.regex(rows[0] ?? '', new RegExp(` ${shown} \\d\\d:`));
    t.notRegex(rows.join('\n'), /pages/);
  });
}

test('a journal that nobody has to roll back is no alarm', (t) => {
  const journal = { bytes: 8720, modified: start, hasHead: true, isHot: undefined };
  t.regex(drawn([state({ wal: undefined, index: undefined, journal })]).join('\n'), /^journal +8\.7 kB$/m);
});

test('at every size the picture fits', (t) => {
  for (let width = 20; width <= 130; width += 7) {
    for (let height = 1; height <= 20; height += 3) {
      const rows = drawn([state(), state({ at: start + 1000 })], width, height);
      t.true(rows.length <= height);
      for (const row of rows) t.true(widthOf(row) <= width);
    }
  }
});

const withContainers = canContain() ? test : test.skip;

withContainers('in a container it is said that others can not be seen', async (t) => {
  const file = temporaryFile(t);
  const other = await otherDatabase(t, file);
  await other.exec('PRAGMA journal_mode = WAL; CREATE TABLE n (x); BEGIN IMMEDIATE; INSERT INTO n VALUES (1)');
  const [unshare, ...container] = inContainer;
  const args = [...container, process.execPath, program, 'top', '--no-color', '--file', file];
  const { status, stdout } = spawnSync(unshare, [...args, '--once'], {
    encoding: 'utf8',
    env: { ...process.env, COLUMNS: '200' },
  });
  t.is(status, 0);
  t.regex(stdout, /^writer .* nobody that can be seen$/m);
  t.regex(stdout, /^OPEN IN NO PROCESS that can be seen$/m);
  t.regex(stdout, /^Processes outside of this container \(PID namespace\), and their locks, can not be seen\.$/m);
  const child = spawn(unshare, [...args, '--interval', '500'], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => void child.kill('SIGKILL'));
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  t.regex(String(line), /, nobody that can be seen writes, 0 read, open in 0 that can be seen\n/);
  // Its end is that of whoever reads it: what is in the container is not seen to end with `unshare`.
  child.stdout.destroy();
  await once(child, 'exit');
  await other.exec('COMMIT');
});

onLinux('a real file is told as other processes use it', async (t) => {
  const file = temporaryFile(t);
  const other = await otherDatabase(t, file);
  await other.exec('PRAGMA journal_mode = WAL; CREATE TABLE n (x); BEGIN IMMEDIATE; INSERT INTO n VALUES (1)');
  const running = run(t, ['top', '--file', file, '--once'], { COLUMNS: '200' });
  t.is(await running.ended, 0, running.stderr());
  t.regex(running.stdout(), /^app\.db .* WAL /);
  t.regex(running.stdout(), /^writer +\S+ .*node/m);
  t.regex(running.stdout(), /^OPEN IN 1 PROCESS$/m);
  t.regex(running.stdout(), /writes/);
  await other.exec('COMMIT');
  const json = run(t, ['top', '--file', file, '--once', '--json']);
  t.is(await json.ended, 0);
  const told = JSON.parse(json.stdout()) as FileState;
  t.is(told.locks?.writer, undefined);
  t.is(told.header?.pageSize, 4096);
});

onLinux('lines of a real file count the commits of others', async (t) => {
  const file = temporaryFile(t);
  const other = await otherDatabase(t, file);
  await other.exec('PRAGMA journal_mode = WAL; CREATE TABLE n (x)');
  const running = run(t, ['top', '--file', file, '--interval', '500']);
  await running.until((stdout) => stdout.split('\n').length > 1);
  await other.exec('INSERT INTO n VALUES (1); INSERT INTO n VALUES (2)');
  await running.until((stdout) => /, (?!0\.0)\d+\.\d commits\/s, /.test(stdout));
  await running.until((stdout) => /, 0\.0 commits\/s, nobody[^\n]* writes, 0 read, open in 1\b[^\n]*\n/.test(stdout));
  await other.exec('BEGIN IMMEDIATE');
  await running.until((stdout) => /, [^\n]*node[^\n]* \(\d+\) writes, 1 read, open in 1\b/.test(stdout));
  await other.exec('COMMIT; PRAGMA locking_mode = EXCLUSIVE; INSERT INTO n VALUES (3)');
  await running.until((stdout) => /, [^\n]*node[^\n]* \(\d+\) holds it exclusively, 0 read, open in 1\b/.test(stdout));
  renameSync(file, `${file}.gone`);
  await running.until((stdout) => /^\S+ app\.db missing\n/m.test(stdout));
  running.child.kill('SIGTERM');
  t.is(await running.ended, 143);
});

atTerminal('the picture of a file is on the terminal until q', async (t) => {
  const file = temporaryFile(t);
  const other = await otherDatabase(t, file);
  await other.exec('PRAGMA journal_mode = WAL; CREATE TABLE n (x)');
  const shown = await terminal(t, ['top', '--file', file, '--interval', '500'], { columns: 120 });
  await shown.until(({ text }) => text.includes('OPEN IN 1 PROCESS'));
  await other.exec('BEGIN IMMEDIATE');
  await shown.until(({ text }) => /^ +\d+ {2}writes/m.test(text));
  shown.type('q');
  t.is(await shown.ended, 0);
  t.false(shown.emulator.isAlternate);
});

test('what is no database is an error of one line', async (t) => {
  const directory = temporaryDirectory(t);
  const text = join(directory, 'a\u001b[31m.txt');
  writeFileSync(text, 'Hello, this is not a database at all. '.repeat(10));
  mkdirSync(join(directory, 'folder'));
  for (const [path, message] of [
    [join(directory, 'none.db'), /none\.db": there is no such file\.$/],
    [join(directory, 'folder'), /folder": it is a directory\.$/],
    [text, /a\\u001b\[31m\.txt": it is not a database of SQLite, or it is encrypted\.$/],
    [join(dirname(text), 'x'.repeat(300)), /": it can not be looked at \(ENAMETOOLONG\)\.$/],
  ] as const) {
    const running = run(t, ['top', '--file', path]);
    t.is(await running.ended, 1);
    t.is(running.stdout(), '');
    t.regex(running.stderr().trimEnd(), message);
    t.is(running.stderr().split('\n').length, 2);
  }
});

asNobody('a file that may not be read is an error of one line', async (t) => {
  const file = temporaryFile(t);
  build(file, 'CREATE TABLE a (b)');
  chmodSync(dirname(file), 0o755);
  chmodSync(file, 0);
  const asOther = `
    const { main } = await import(process.argv[1]);
    process.seteuid(65534);
    const { stdout, stderr } = process;
    const signal = new AbortController().signal;
    process.exitCode = await main(['top', '--file', process.argv[2]], { stdout, stderr, env: {}, signal });
    process.seteuid(0);`;
  const mainUrl = new URL(`../../../lib/cli/main${extname(import.meta.url)}`, import.meta.url).href;
  const ran = spawnSync(process.execPath, ['--input-type=module', '-e', asOther, mainUrl, file], { encoding: 'utf8' });
  t.is(ran.status, 1);
  t.regex(ran.stderr, /^leasehold top: "[^"]*app\.db": it can not be read \(EACCES\)\.$/m);
});

test('options of an inspector are refused for a file', async (t) => {
  for (const option of ['--pool=app', '--header=a: b']) {
    const running = run(t, ['top', '--file', temporaryFile(t), option]);
    t.is(await running.ended, 2);
    t.regex(running.stderr(), /^leasehold top: --(?:pool|header) is for /);
  }
});
