import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import test from 'ava';
import Database from 'better-sqlite3';
import type { FileState } from '../../../lib/cli/outside/file-state.ts';
import { commitsBetween, observeFile } from '../../../lib/cli/outside/observe.ts';
import { isConfined } from '../../../lib/cli/outside/processes.ts';
import { temporaryDirectory, temporaryFile } from '../../support/files.ts';
import { otherDatabase, otherPool, startProcess } from '../../support/processes.ts';
import { build, canBeNobody, isLinux, manyRows, traceOf } from '../doctor/support.ts';

/** For another process: the sources here, the compiled file beside compiled specs. */
const observerUrl = new URL(`../../../lib/cli/outside/observe${extname(import.meta.url)}`, import.meta.url).href;

const onLinux = isLinux ? test.serial : test.skip;

const pids = (state: FileState) => state.processes?.map(({ pid }) => pid).toSorted((a, b) => a - b);

const nobody = { pid: 0, descriptors: 0, canWrite: false, started: 0 };

test.serial('what is no file is told of, and nothing is thrown', (t) => {
  const directory = temporaryDirectory(t);
  t.is(observeFile(join(directory, 'none.db')).kind, 'missing');
  t.is(observeFile(directory).kind, 'directory');
  mkdirSync(join(directory, 'a.db-wal'));
  writeFileSync(join(directory, 'a.db'), 'text');
  t.is(observeFile(join(directory, 'a.db')).content, 'other');
  writeFileSync(join(directory, 'b.db'), '');
  t.is(observeFile(join(directory, 'b.db')).content, 'empty');
  symlinkSync('loop', join(directory, 'loop'));
  const loop = observeFile(join(directory, 'loop'));
  t.deepEqual([loop.kind, loop.error], ['unreachable', 'ELOOP']);
  t.is(observeFile('nul\0byte').kind, 'unreachable');
});

onLinux('a pipe keeps nobody waiting', (t) => {
  const pipe = join(temporaryDirectory(t), 'app.db');
  execFileSync('mkfifo', [pipe]);
  t.is(observeFile(pipe).kind, 'other');
  const file = temporaryFile(t);
  build(file, manyRows);
  execFileSync('mkfifo', [`${file}-wal`]);
  t.is(observeFile(file).content, 'database');
});

test.serial('the header says what SQLite says', (t) => {
  const file = temporaryFile(t);
  build(
    file,
    `PRAGMA page_size = 65536; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA encoding = 'UTF-16le';
     PRAGMA user_version = -7; PRAGMA application_id = 1234567; ${manyRows} DELETE FROM item`,
  );
  const { header, wal, index, content, size = 0 } = observeFile(file);
  const db = new Database(file, { readonly: true });
  const told = (name: string) => db.pragma(name, { simple: true });
  t.is(content, 'database');
  t.deepEqual(
    [header?.pageSize, header?.pages, header?.freePages, header?.encoding, header?.userVersion, header?.applicationId],
    [65_536, told('page_count'), told('freelist_count'), told('encoding'), -7, 1_234_567],
  );
  t.is(size, 65_536 * (told('page_count') as number));
  t.is(header?.autoVacuum, 'incremental');
  t.is(header?.journal, 'wal');
  const version = db.prepare('SELECT sqlite_version()').pluck().get() as string;
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number);
  t.is(header?.sqliteVersion, major * 1_000_000 + minor * 1000 + patch);
  db.close();
  t.deepEqual([wal, index], [undefined, undefined]);
});

onLinux('a link is followed to what lies beside the file', async (t) => {
  const file = temporaryFile(t);
  const other = await otherDatabase(t, file);
  await other.exec('PRAGMA journal_mode = WAL; CREATE TABLE a (b)');
  const link = temporaryFile(t, 'link');
  symlinkSync(file, link);
  const state = observeFile(link);
  t.is(state.path, file);
  t.true((state.wal?.frames ?? 0) > 0);
});

onLinux(
  'with a WAL it tells who is connected, who writes, and which reader keeps the log from being copied',
  async (t) => {
    const file = temporaryFile(t);
    const writer = await otherDatabase(t, file);
    await writer.exec('PRAGMA journal_mode = WAL; CREATE TABLE a (b); INSERT INTO a VALUES (1)');
    const alone = observeFile(file);
    t.is(alone.processes?.length, 1);
    const [{ pid: writerPid, descriptors, canWrite, started } = nobody] = alone.processes ?? [];
    t.is(descriptors, 1);
    t.is(canWrite, true);
    t.true(started !== undefined && started > Date.now() - 600_000 && started <= Date.now() + 1000);
    t.deepEqual(alone.locks?.users, [writerPid]);
    t.is(alone.locks?.writer, undefined);
    t.deepEqual(alone.locks?.readers, []);
    t.true(alone.index?.valid);
    t.is(alone.index?.salt, alone.wal?.salt);
    t.is(alone.index?.frames, alone.wal?.frames);

    const reader = await otherPool(
      t,
      file,
      { max: 2 },
      `snapshot: () => new Promise((resolve) => {
       void pool.read(async (db) => { resolve([process.pid, db.prepare('SELECT count(*) FROM a').pluck().get()]); await new Promise((end) => { globalThis.end = end; }); });
     })`,
    );
    const [readerPid] = await reader.call<[number, number]>('snapshot');
    const seen = alone.index?.frames ?? 0;
    const level = observeFile(file);
    t.deepEqual(
      pids(level),
      [writerPid, readerPid].toSorted((a, b) => a - b),
    );
    const ofReader = (state: FileState) => state.locks?.readers.find(({ pid }) => pid === readerPid);
    t.is(ofReader(level)?.frame, seen);
    t.is(ofReader(level)?.pins, false);

    // One commit of many pages.
    await writer.exec('INSERT INTO a VALUES (zeroblob(50000)); BEGIN IMMEDIATE; INSERT INTO a VALUES (3)');
    const behind = observeFile(file);
    t.is(behind.locks?.writer, writerPid);
    t.is(ofReader(behind)?.frame, seen);
    t.is(ofReader(behind)?.pins, true);
    t.is(commitsBetween(level, behind), 1);
    await writer.exec('COMMIT');
    t.is(commitsBetween(level, observeFile(file)), 2);
    t.is(observeFile(file).locks?.writer, undefined);
    await reader.kill();
    t.deepEqual(pids(observeFile(file)), [writerPid]);
    await writer.exec('PRAGMA wal_checkpoint(PASSIVE)');
    const copied = observeFile(file);
    t.is(copied.index?.backfilled, copied.index?.frames);
  },
);

onLinux('without a WAL it tells who reads, who writes and who commits', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows, { wal: false });
  const [one, two] = await Promise.all([otherDatabase(t, file), otherDatabase(t, file)]);
  await one.exec('SELECT 1 FROM item');
  const before = observeFile(file);
  t.is(before.processes?.length, 2);
  t.deepEqual([before.locks?.users, before.locks?.readers, before.locks?.writer], [[], [], undefined]);
  await one.exec('BEGIN');
  await one.value('SELECT count(*) FROM item');
  const reading = observeFile(file);
  t.is(reading.locks?.readers.length, 1);
  const readerPid = reading.locks?.readers[0]?.pid;
  await two.exec('BEGIN IMMEDIATE; UPDATE item SET amount = 9 WHERE id = 1');
  const writing = observeFile(file);
  t.not(writing.locks?.writer, undefined);
  t.not(writing.locks?.writer, readerPid);
  t.is(writing.locks?.committing, undefined);
  t.is(writing.journal?.isHot, false);
  // It waits for the reader: nobody else may begin to read meanwhile.
  await t.throwsAsync(two.exec('COMMIT'), { code: 'SQLITE_BUSY' } as never);
  t.is(observeFile(file).locks?.committing, writing.locks?.writer);
  await one.exec('COMMIT');
  await two.exec('COMMIT');
  t.is(commitsBetween(before, observeFile(file)), 1);
});

onLinux('a process that has the file open itself keeps its locks', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows, { wal: false });
  // In a process of its own: whatever else is read here must not matter.
  const observer = await startProcess(
    t,
    `import Database from ${JSON.stringify(import.meta.resolve('better-sqlite3'))};
     const { observeFile } = await import(${JSON.stringify(observerUrl)});
     const db = new Database(process.argv[1]);
     const commands = {
       hold: () => void db.exec('BEGIN IMMEDIATE'),
       look: () => observeFile(process.argv[1]),
       close: () => void db.close(),
     };`,
    file,
  );
  await observer.call('hold');
  const look = () => observer.call<FileState>('look');
  const state = await look();
  t.is(state.header, undefined);
  t.is(state.size, observeFile(file).size);
  t.regex(state.untold.join('\n'), /can not be read by a process that has it open with SQLite itself/);
  const other = await otherDatabase(t, file);
  await t.throwsAsync(other.exec('BEGIN IMMEDIATE'), { code: 'SQLITE_BUSY' } as never);
  await observer.call('close');
  t.is((await look()).header?.pageSize, 4096);
});

onLinux('looks change nothing, and are whole whatever is written meanwhile', async (t) => {
  const file = temporaryFile(t);
  const other = await otherPool(
    t,
    file,
    {},
    `begin: async () => {
       await pool.withConnection((db) => db.exec('CREATE TABLE a (b)'), { write: true });
       (async () => { for (;;) { await pool.run('INSERT INTO a VALUES (randomblob(500))'); await nextTurn(); } })();
     },`,
  );
  await other.call('begin');
  let before = observeFile(file);
  let commits = 0;
  const { untold } = before;
  t.is(untold.length, isConfined() ? 1 : 0);
  for (let count = 0; count < 50; count++) {
    const state = observeFile(file);
    t.deepEqual([state.content, state.kind, state.untold], ['database', 'file', untold]);
    const { index, locks } = state;
    if (index?.valid === true) {
      t.true(index.backfilled <= index.frames || index.changes !== before.index?.changes);
      commits += commitsBetween(before, state) ?? 0;
      before = state;
    }
    t.is(locks?.users.length, 1);
  }
  t.true(commits > 0);
  await other.kill();
  utimesSync(file, 1000, 1000);
  const trace = traceOf(file);
  observeFile(file);
  t.deepEqual(traceOf(file), trace);
});

const asNobody = canBeNobody() ? test.serial : test.skip;

asNobody('processes of others whose files may not be looked at are counted', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows);
  execFileSync('chmod', ['755', join(file, '..')]);
  execFileSync('chmod', ['644', file]);
  const program = `
    const { observeFile } = await import(process.argv[1]);
    const { chmodSync } = await import('node:fs');
    const look = () => {
      process.seteuid(65534);
      const state = observeFile(process.argv[2]);
      process.seteuid(0);
      return state;
    };
    const before = look();
    chmodSync(process.argv[2], 0);
    console.log(JSON.stringify([before, look()]));`;
  const text = execFileSync(process.execPath, ['--input-type=module', '-e', program, observerUrl, file], {
    encoding: 'utf8',
  });
  const [state, unread] = JSON.parse(text) as [FileState, FileState];
  t.is(state.header?.pageSize, 4096);
  t.true((state.hiddenProcesses ?? 0) > 0);
  t.regex(state.untold.join('\n'), /The open files of \d+ other process(?:es)? may not be looked at/);
  // What may not be read is told of as far as its directory tells.
  t.is(unread.error, 'EACCES');
  t.is(unread.size, state.size);
  t.deepEqual([unread.header, unread.content], [undefined, undefined]);
  t.true(unread.untold.includes('The file can not be read: EACCES.'));
});
