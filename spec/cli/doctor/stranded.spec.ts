import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  closeSync,
  existsSync,
  linkSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import Database from 'better-sqlite3';
import { temporaryFile } from '../../support/files.ts';
import { type OtherProcess, otherDatabase, startProcess } from '../../support/processes.ts';
import { build, canBeNobody, type Diagnosis, diagnose, isLinux, manyRows, traceOf } from './support.ts';

const onLinux = isLinux ? test.serial : test.skip;

function adviceOf({ one }: Diagnosis, id: string): string {
  return (one(id).advice ?? []).join('\n');
}

function rowsOf(file: string): unknown {
  const db = new Database(file);
  try {
    return db.prepare('SELECT count(*) FROM a').pluck().get();
  } finally {
    db.close();
  }
}

const oneRow = 'PRAGMA journal_mode = WAL; CREATE TABLE a (b); INSERT INTO a VALUES (1)';

/** Takes the place of a file, as a restore does that was not told of who uses that. */
function replace(t: ExecutionContext, file: string): void {
  const other = temporaryFile(t);
  build(other, 'CREATE TABLE a (b); INSERT INTO a VALUES (7), (8), (9)');
  renameSync(other, file);
}

onLinux('a file that was replaced under its user is a problem, and what is advised loses nothing', async (t) => {
  const file = temporaryFile(t);
  const other = await otherDatabase(t, file);
  await other.exec(oneRow);
  replace(t, file);
  const before = traceOf(file);
  const found = await diagnose(file);
  t.is(found.code, 3);
  t.is(found.one('journal.replaced').state, 'problem');
  t.regex(
    found.one('journal.replaced').found,
    /^The file was replaced while it was open: ".*-wal" is the log of the former one, which process \d+ \(.*\) still uses\.$/,
  );
  t.regex(adviceOf(found, 'journal.replaced'), /^Do not open it\..*backup from within them/);
  t.deepEqual(found.of('journal.wal'), []);
  t.regex(found.one('users.processes').found, /^open in process .* \(what lies beside it alone\)/);
  t.is(found.one('content.examined').state, 'note');
  t.deepEqual(traceOf(file), before);
  await other.exec(`VACUUM INTO '${file}.former'`);
  await other.kill();
  // Nobody can see any more whose log it was: then no advice opens the file without that question.
  const after = await diagnose(file);
  t.regex(adviceOf(after, 'journal.leftover'), /^Do not delete .*copy both files/);
  t.regex(adviceOf(after, 'journal.leftover'), /put there from elsewhere .* move ".*-wal" and ".*-shm" away before/);
  for (const suffix of ['-wal', '-shm']) renameSync(`${file}${suffix}`, `${file}.moved${suffix}`);
  t.is(rowsOf(file), 3);
  t.is(rowsOf(`${file}.former`), 1);
});

onLinux('so is one whose former file got another name', async (t) => {
  const file = temporaryFile(t);
  const other = await otherDatabase(t, file);
  await other.exec(oneRow);
  renameSync(file, `${file}.former`);
  replace(t, file);
  const { code, one } = await diagnose(file);
  t.is(code, 3);
  t.is(one('journal.replaced').state, 'problem');
  t.notRegex((one('journal.replaced').advice ?? []).join('\n'), /Others have/);
  // One that has not waited for advice.
  const second = await otherDatabase(t, file);
  await second.exec('INSERT INTO a VALUES (2)');
  t.regex(
    adviceOf(await diagnose(file), 'journal.replaced'),
    /\nOthers have this file open already, .* backup from one/,
  );
  await other.exec('SELECT 1');
  await second.exec('SELECT 1');
});

onLinux('a log that was deleted under its user is a problem, and what is advised loses nothing', async (t) => {
  const file = temporaryFile(t);
  const other = await otherDatabase(t, file);
  await other.exec(oneRow);
  unlinkSync(`${file}-wal`);
  const before = traceOf(file);
  const found = await diagnose(file);
  t.is(found.code, 3);
  const lost = found.one('journal.lost-log');
  t.is(lost.state, 'problem');
  t.regex(lost.found, /it was deleted while process \d+ \(.*\) had it open\.$/);
  t.regex(
    lost.why ?? '',
    /gone when they are killed\. The last of them to close the file in the ordinary way copies it into that\.$/,
  );
  t.regex(adviceOf(found, 'journal.lost-log'), /^Do not end these processes yet\. Make a backup from within them/);
  t.regex(
    adviceOf(found, 'journal.lost-log'),
    /\nBefore a backup takes the place of the file, end every process .* "[^"]*-wal", "[^"]*-shm" and "[^"]*-journal" away\.\n/,
  );
  t.regex(found.one('content.examined').found, /^in a copy: the log is not where its users have it/);
  t.deepEqual(traceOf(file), before);
  await other.exec(`VACUUM INTO '${file}.backup'`);
  await other.kill();
  for (const suffix of ['', '-wal', '-shm', '-journal']) {
    if (existsSync(`${file}${suffix}`)) renameSync(`${file}${suffix}`, `${file}.moved${suffix}`);
  }
  renameSync(`${file}.backup`, file);
  t.is(rowsOf(file), 1);
});

const closing = `
  import Database from ${JSON.stringify(import.meta.resolve('better-sqlite3'))};
  const db = new Database(process.argv[1]);
  const commands = { exec: (sql) => void db.exec(sql), close: () => void db.close() };`;

onLinux('who closes a file whose log was deleted has copied that into it, as is said', async (t) => {
  const file = temporaryFile(t);
  const other: OtherProcess = await startProcess(t, closing, file);
  await other.call('exec', oneRow);
  unlinkSync(`${file}-wal`);
  await other.call('close');
  t.is(rowsOf(file), 1);
});

onLinux('where another log has taken the place of one that was deleted, both are to be kept', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows);
  const other = await otherDatabase(t, file);
  await other.exec('UPDATE item SET amount = 1');
  unlinkSync(`${file}-shm`);
  unlinkSync(`${file}-wal`);
  const second = await otherDatabase(t, file);
  await second.exec('UPDATE item SET amount = 2 WHERE id = 1');
  const found = await diagnose(file, ['--quick']);
  t.is(found.code, 3);
  t.regex(found.one('journal.lost-log').found, / had it open, and another one has taken its place\.$/);
  t.notRegex(found.one('journal.lost-log').why ?? '', /copies its log/);
  t.regex(adviceOf(found, 'journal.lost-log'), /\nWhat was committed to the other log is not in that backup: make one/);
  await second.exec('SELECT 1');
});

onLinux('where the index of a log alone was deleted, the log is not said to be lost', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows);
  const other = await otherDatabase(t, file);
  await other.exec('UPDATE item SET amount = 1');
  unlinkSync(`${file}-shm`);
  const found = await diagnose(file, ['--quick']);
  t.is(found.code, 3);
  t.deepEqual(found.of('journal.lost-log'), []);
  t.regex(found.one('journal.lost-index').found, /^The index of the log \(-shm\) was deleted while process .* open\.$/);
  t.regex(found.one('journal.lost-index').why ?? '', /^The log is still there\./);
  t.regex(found.one('content.examined').found, /^in a copy: the index of the log is not where its users have it/);
  // As is said: nothing is lost with the process.
  await other.kill();
  const db = new Database(file);
  t.is(db.prepare('SELECT min(amount) FROM item').pluck().get(), 1);
  db.close();
});

onLinux('a child that has only inherited what was open has no log that could be lost', async (t) => {
  const file = temporaryFile(t);
  build(file, oneRow);
  const other = await startProcess(t, closing, file);
  await other.call('exec', 'INSERT INTO a VALUES (2)');
  const descriptors = ['', '-wal', '-shm'].map((suffix) => openSync(`${file}${suffix}`, 'r'));
  const child = spawn('cat', [], { stdio: ['pipe', 'pipe', 'ignore', ...descriptors] });
  t.teardown(() => void child.kill('SIGKILL'));
  for (const descriptor of descriptors) closeSync(descriptor);
  child.stdin?.write('x');
  await once(child.stdout as NodeJS.ReadableStream, 'data');
  await other.call('close');
  t.false(existsSync(`${file}-wal`));
  const second = await otherDatabase(t, file);
  await second.exec('INSERT INTO a VALUES (3)');
  const { code, of, one } = await diagnose(file);
  t.is(code, 0);
  t.deepEqual(of('journal.lost-log'), []);
  t.regex(one('users.processes').found, new RegExp(`process ${child.pid} \\(cat\\)`));
  await second.exec('SELECT 1');
});

for (const [what, rename] of [
  ['has two names', linkSync],
  ['was renamed under its user', renameSync],
] as const) {
  onLinux(`a file that ${what} is a warning that tells where its log is`, async (t) => {
    const file = temporaryFile(t);
    const other = await otherDatabase(t, file);
    await other.exec(oneRow);
    const name = temporaryFile(t, 'other.db');
    rename(file, name);
    const { code, of, one } = await diagnose(name);
    t.is(code, 1);
    t.deepEqual(of('journal.lost-log'), []);
    const found = one('journal.other-name');
    t.is(found.state, 'warning');
    t.regex(found.found, /^The log of process \d+ \(.*\) is ".*": the file has two names, or was renamed/);
    t.true(found.found.includes(`"${file}-wal"`), found.found);
    t.false(existsSync(`${name}-wal`));
    t.is(await other.value('SELECT count(*) FROM a'), 1);
  });
}

/** As the commit does that changes a file to WAL mode, or ends a backup of one that is in it: before its journal is gone. */
function sayWal(file: string): void {
  const descriptor = openSync(file, 'r+');
  writeSync(descriptor, Buffer.of(2, 2), 0, 2, 18);
  closeSync(descriptor);
}

onLinux('one that writes to a file that says WAL already, by way of a journal, is its writer', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows, { wal: false });
  const other = await otherDatabase(t, file);
  await other.exec("PRAGMA cache_size = 5; BEGIN; UPDATE item SET name = 'changed ' || name");
  t.true(readFileSync(`${file}-journal`).some((byte) => byte !== 0));
  sayWal(file);
  const { of, one } = await diagnose(file, ['--quick']);
  t.deepEqual(of('journal.lost-log'), []);
  t.is(one('journal.rollback').found.replace(/^.*of/, 'of'), 'of the transaction that writes now');
  t.regex(one('users.writer').found, /^A write transaction is open in process \d+ /);
  await other.exec('ROLLBACK');
});

onLinux('a lock on a file in WAL mode of one who has no log is no log that was lost', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows, { wal: false });
  const other = await otherDatabase(t, file);
  await other.exec('BEGIN');
  await other.value('SELECT count(*) FROM item');
  sayWal(file);
  const { code, of, one } = await diagnose(file);
  t.is(code, 0);
  t.deepEqual(of('journal.lost-log'), []);
  t.regex(one('content.examined').found, /^in a copy: there is no log at present/);
  await other.exec('COMMIT');
});

const asNobody = canBeNobody() ? test.serial : test.skip;

asNobody(
  'of a process that may not be looked at it is not said that its log was lost, but that it may be',
  async (t) => {
    const file = temporaryFile(t);
    const other = await otherDatabase(t, file);
    await other.exec(oneRow);
    rmSync(`${file}-wal`);
    chmodSync(dirname(file), 0o755);
    chmodSync(file, 0o644);
    const { one } = await diagnose(file, ['--quick'], { uid: 65_534 });
    t.is(one('journal.lost-log').state, 'warning');
    t.regex(one('journal.lost-log').found, /process \d+ may have one: what it has open may not be looked at\.$/);
    await other.exec('SELECT 1');
  },
);
