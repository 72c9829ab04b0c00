import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs, { openSync, renameSync, truncateSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import test from 'ava';
import Database from 'better-sqlite3';
import { readHeader } from '../../../lib/cli/outside/header.ts';
import { locksOn, meaningOf, type RangeLock } from '../../../lib/cli/outside/locks.ts';
import { observeFile } from '../../../lib/cli/outside/observe.ts';
import { type Found, find, peek, peekAlong, peekHead } from '../../../lib/cli/outside/peek.ts';
import { isConfined } from '../../../lib/cli/outside/processes.ts';
import { readJournal, readWal, readWalIndex } from '../../../lib/cli/outside/wal.ts';
import { temporaryFile } from '../../support/files.ts';
import { otherDatabase } from '../../support/processes.ts';
import { build, isLinux, manyRows } from '../doctor/support.ts';

const onLinux = isLinux ? test.serial : test.skip;

function found(path: string): Found {
  const file = find(path);
  if (file === undefined) throw new Error(`There is no ${path}.`);
  return file;
}

/** Looks at a file while `/proc` holds less: what matches `hidden` is not there. */
function lookWithout(hidden: RegExp, path: string, platform: NodeJS.Platform = process.platform) {
  const { readFileSync, readdirSync } = fs;
  const own = Object.getOwnPropertyDescriptor(process, 'platform') as PropertyDescriptor;
  const guarded = <Read extends (...args: never[]) => unknown>(read: Read) =>
    ((...args: Parameters<Read>) => {
      const [at] = args as unknown as [unknown];
      if (typeof at === 'string' && hidden.test(at)) throw Object.assign(new Error('gone'), { code: 'ENOENT' });
      return read(...args);
    }) as unknown as Read;
  try {
    Object.assign(fs, { readFileSync: guarded(readFileSync), readdirSync: guarded(readdirSync) });
    Object.defineProperty(process, 'platform', { ...own, value: platform });
    syncBuiltinESMExports();
    return observeFile(path);
  } finally {
    Object.assign(fs, { readFileSync, readdirSync });
    Object.defineProperty(process, 'platform', own);
    syncBuiltinESMExports();
  }
}

test.serial('on another system than Linux it tells of the file, and why not of processes and locks', (t) => {
  const file = temporaryFile(t);
  build(file, manyRows, { wal: false });
  // As one that a process has left that was killed while it wrote.
  writeFileSync(`${file}-journal`, Buffer.from('d9d505f920a163d7', 'hex'));
  const state = lookWithout(/^\/proc/, file, 'darwin');
  t.is(state.header?.pageSize, 4096);
  t.deepEqual([state.processes, state.hiddenProcesses, state.locks], [undefined, undefined, undefined]);
  // Somebody might be writing: nobody can tell whether it will be rolled back.
  t.deepEqual([state.journal?.hasHead, state.journal?.isHot], [true, undefined]);
  t.deepEqual(state.untold, [
    'Which processes have the file open is told on Linux alone.',
    'Which locks are held is told on Linux alone.',
  ]);
});

onLinux('where processes can not be listed, locks are told by the numbers of their processes', async (t) => {
  const file = temporaryFile(t);
  const other = await otherDatabase(t, file);
  await other.exec('PRAGMA journal_mode = WAL; CREATE TABLE a (b); BEGIN IMMEDIATE');
  const [{ pid } = { pid: 0 }] = observeFile(file).processes ?? [];
  const state = lookWithout(/^\/proc$/, file);
  t.is(state.processes, undefined);
  t.is(state.locks?.writer, pid);
});

onLinux('of a process that ends while it is looked at, only what was read before is told', async (t) => {
  const file = temporaryFile(t);
  const other = await otherDatabase(t, file);
  await other.exec('PRAGMA journal_mode = WAL; CREATE TABLE a (b)');
  const [{ pid } = { pid: 0 }] = observeFile(file).processes ?? [];
  const { processes } = lookWithout(/^\/proc\/\d+\/(?!fd$)/, file);
  t.deepEqual(processes, [{ pid, command: '', started: undefined, descriptors: 1, canWrite: undefined }]);
});

onLinux('a process without arguments is told by its name', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows);
  const child = spawn('cat', [], { argv0: '', stdio: ['pipe', 'pipe', 'ignore', openSync(file, 'r')] });
  t.teardown(() => void child.kill('SIGKILL'));
  // What comes back is of the program itself, and not of what is about to become it.
  child.stdin?.write('x');
  await once(child.stdout as NodeJS.ReadableStream, 'data');
  const { processes } = observeFile(file);
  const told = processes?.find(({ pid }) => pid === child.pid);
  t.deepEqual([told?.command, told?.descriptors, told?.canWrite], ['cat', 1, false]);
});

onLinux('a file that this process has open itself is not read, and keeps its locks', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows, { wal: false });
  const db = new Database(file);
  t.teardown(() => void db.close());
  db.exec('BEGIN IMMEDIATE');
  const { header, locks, untold } = observeFile(file);
  t.is(header, undefined);
  t.is(locks?.writer, process.pid);
  t.is(untold[0], 'The file can not be read by a process that has it open with SQLite itself.');
  t.is(untold.length, isConfined() ? 2 : 1);
});

onLinux('of a pipe that has taken the name of a file nothing is read', (t) => {
  const path = temporaryFile(t);
  writeFileSync(path, 'SQLite');
  const file = found(path);
  renameSync(path, `${path}.old`);
  execFileSync('mkfifo', [path]);
  t.deepEqual(
    peek(file, [
      { at: 0, length: 3 },
      { at: 3, length: 3 },
    ]),
    [Buffer.alloc(0), Buffer.alloc(0)],
  );
  t.deepEqual(peekHead(file, 6), { head: Buffer.alloc(0), size: 0 });
  peekAlong(file, { first: 0, step: 3, length: 3 }, () => t.fail());
});

test.serial('a header that is cut short or damaged is none, and one of other modes is told with what it has', (t) => {
  const path = temporaryFile(t);
  build(path, manyRows, { wal: false });
  const [head = Buffer.alloc(0)] = peek(found(path), [{ at: 0, length: 100 }]);
  t.true((readHeader(head)?.pages ?? 0) > 1);
  t.is(readHeader(head.subarray(0, 99)), undefined);
  const changed = (at: number, ...bytes: readonly number[]) => {
    const copy = Buffer.from(head);
    copy.set(bytes, at);
    return readHeader(copy);
  };
  t.is(changed(16, 3, 3), undefined);
  t.is(changed(18, 3, 3)?.journal, 'unknown');
  t.is(changed(56, 0, 0, 0, 9)?.encoding, 'unknown');
  // Written last by a SQLite that did not count pages.
  t.is(changed(92, 9, 9, 9, 9)?.pages, 0);
});

test.serial('an index of a log that is cut short, or that is just being written, is not believed', (t) => {
  const path = temporaryFile(t, 'app.db-shm');
  const whole = Buffer.alloc(200);
  for (const copy of [0, 48]) {
    whole.writeUInt8(1, copy + 12);
    whole.writeUInt32LE(7, copy + 16);
  }
  writeFileSync(path, whole);
  const read = () => {
    const { valid, frames } = readWalIndex(found(path));
    return { valid, frames };
  };
  t.deepEqual(read(), { valid: true, frames: 7 });
  whole.writeUInt32LE(8, 16);
  writeFileSync(path, whole);
  t.deepEqual(read(), { valid: false, frames: 0 });
  truncateSync(path, 119);
  t.deepEqual(read(), { valid: false, frames: 0 });
});

test.serial('a log without a header has no frames, and a journal without a head is not rolled back', (t) => {
  const path = temporaryFile(t, 'app.db-wal');
  writeFileSync(path, Buffer.alloc(5000));
  const wal = readWal(found(path));
  t.deepEqual([wal.bytes, wal.frames, wal.pageSize], [5000, 0, undefined]);
  t.false(readJournal(found(path)).hasHead);
  writeFileSync(path, 'head');
  t.true(readJournal(found(path)).hasHead);
});

const file: Found = { path: '/a', device: 0x0801n, inode: 7n, size: 1, modified: 0, kind: 'file' };

test('locks on another device count only of a process that is known to have the file open', (t) => {
  const listing = [
    '1: POSIX  ADVISORY  WRITE 11 08:01:7 120 120',
    '1: -> POSIX  ADVISORY  WRITE 12 08:01:7 120 120',
    '2: OFDLCK ADVISORY  READ -1 08:01:7 128 EOF',
    '3: POSIX  ADVISORY  READ 13 00:21:7 123 123',
    '4: POSIX  ADVISORY  READ 14 00:21:7 124 124',
    '5: POSIX  ADVISORY  READ 15 08:01:8 124 124',
    '6: FLOCK  ADVISORY  WRITE 16 08:01:7 0 EOF',
    '',
  ].join('\n');
  t.deepEqual(
    locksOn(listing, file, [13]).map(({ pid, kind, isBlocked, from, to }) => [pid, kind, isBlocked, from, to]),
    [
      [11, 'WRITE', false, 120, 120],
      [12, 'WRITE', true, 120, 120],
      [-1, 'READ', false, 128, Number.POSITIVE_INFINITY],
      [13, 'READ', false, 123, 123],
    ],
  );
});

function lock(pid: number, byte: number, kind: RangeLock['kind'] = 'READ'): RangeLock {
  return { pid, kind, isBlocked: false, from: byte, to: byte };
}

test('a reader whose mark can not be read is told without what it sees, and pins nothing for certain', (t) => {
  const { readers, users } = meaningOf(
    [],
    [lock(1, 128), lock(1, 124), lock(2, 123), lock(3, 125, 'WRITE')],
    undefined,
    true,
  );
  t.deepEqual(readers, [
    { pid: 2, mark: 0, frame: 0, pins: false },
    { pid: 1, mark: 1, frame: undefined, pins: false },
  ]);
  t.deepEqual(users, [1]);
});
