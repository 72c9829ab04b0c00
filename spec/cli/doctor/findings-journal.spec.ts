import test from 'ava';
import type { Facts } from '../../../lib/cli/doctor/finding.ts';
import type { FileProcess, FileState, WalIndex } from '../../../lib/cli/outside/file-state.ts';
import type { LogContent } from '../../../lib/cli/outside/wal.ts';
import { findingsWith, headerWith, locksWith, stateWith, told, walWith } from './facts.ts';

const file = (changes: Partial<FileState>, others: Partial<Facts> = {}) =>
  findingsWith({ state: stateWith(changes), ...others });

const index: WalIndex = {
  bytes: 32_768,
  valid: true,
  changes: 1,
  frames: 10,
  backfilled: 10,
  pages: 1000,
  salt: '00',
  marks: [],
};

const processWith = (changes: Partial<FileProcess>): FileProcess => ({
  pid: 7,
  command: 'node app.js',
  started: undefined,
  descriptors: 1,
  canWrite: true,
  ...changes,
});

test('a version of the format that is not known is a problem, and left to the program that made it', (t) => {
  const finding = file({ header: headerWith({ journal: 'unknown' }) }).one('journal.mode');
  t.is(told(finding), 'problem: The header has a version of the format that this SQLite does not know.');
  t.deepEqual(finding.advice, ['Open it with the program that made it.']);
});

const logContent = (changes: Partial<LogContent>): LogContent => ({
  frames: 10,
  committed: 10,
  lost: 0,
  hasBadHead: false,
  isWhole: true,
  ...changes,
});

const logWith = (content: LogContent | undefined) =>
  file({ wal: walWith(), locks: undefined }, { log: content }).one('journal.wal');

test('of a log without an index, on a system that tells of no locks, what it holds is told', (t) => {
  t.is(
    told(logWith(logContent({ frames: 10, committed: 10, isWhole: true }))),
    'ok: 41.2 kB (1 % of the file), 10 pages of it not yet in the file',
  );
  t.is(told(logWith(undefined)), 'ok: 41.2 kB (1 % of the file), its index can not be read');
  const long = logWith(logContent({ frames: 5000, committed: 5000, isWhole: true }));
  t.is(told(long), 'warning: 41.2 kB (1 % of the file), 5,000 pages of it not yet in the file');
  t.regex(long.advice?.join('\n') ?? '', /pool\.checkpoint\('truncate'\)/);
});

test('a log of which all is in the file, and which stays long, is a note with what shortens it', (t) => {
  const finding = file({ wal: walWith({ bytes: 40_000_000 }), index, locks: locksWith({ users: [7] }) }).one(
    'journal.wal',
  );
  t.is(told(finding), 'note: 40.0 MB (100 % of the file), 0 pages of it not yet in the file');
  t.regex(finding.advice?.join('\n') ?? '', /PRAGMA journal_size_limit/);
});

const leftoverWith = (log: LogContent | undefined) => file({ wal: walWith() }, { log }).one('journal.leftover');

test('a log that was left behind is not to be deleted unless nothing is in it', (t) => {
  const nothing = leftoverWith(logContent({ frames: 0, committed: 0, isWhole: true }));
  t.is(
    told(nothing),
    'note: 41.2 kB, and nothing in it that the file has not; no process that can be seen has the file open.',
  );
  t.regex(nothing.advice?.join('\n') ?? '', /^Nothing:/);
  const some = leftoverWith(logContent({ frames: 1, committed: 1, isWhole: true }));
  t.is(
    told(some),
    'note: 41.2 kB with 1 page of committed transactions; no process that can be seen has the file open.',
  );
  // Only the beginning of it was read.
  const long = leftoverWith(logContent({ frames: 1_000_000, committed: 999_000, isWhole: false }));
  t.regex(
    long.found,
    / with at least 999,000 pages of committed transactions, of which only the beginning was looked at; /,
  );
  t.regex(
    leftoverWith(logContent({ frames: 1_000_000, committed: 0, isWhole: false })).found,
    / with at least 0 pages /,
  );
  // Nor is it said to be empty where nobody could read it.
  const unread = leftoverWith(undefined);
  t.is(told(unread), 'note: 41.2 kB of which nothing could be read; no process that can be seen has the file open.');
  for (const { why, advice } of [some, long, unread]) {
    t.regex(why ?? '', /^Part of the data (?:is|may be) in it alone/);
    t.regex(advice?.join('\n') ?? '', /^Do not delete "app\.db-wal"[.:]/);
  }
});

const leftoverOf = (content: Partial<LogContent>, known?: WalIndex) =>
  file({ wal: walWith(), index: known }, { log: logContent(content) }).one('journal.leftover');

test('a log that is in the file as well is no part of the data, and one whose index does not tell may be', (t) => {
  const copied = leftoverOf({}, { ...index, backfilled: 10 });
  t.regex(told(copied), /^note: .* with 10 pages of committed transactions, all of which are in the file as well/);
  t.regex(copied.advice?.join('\n') ?? '', /^If the file was put there from elsewhere .* If not, nothing:/);
  t.regex(leftoverOf({}, { ...index, backfilled: 9 }).why ?? '', /^Part of the data is in it alone/);
  for (const other of [undefined, { ...index, salt: 'ff' }, { ...index, valid: false }]) {
    t.regex(leftoverOf({}, other).why ?? '', /^Part of the data may be in it alone/);
  }
});

test('a damaged log is a problem, and is not to be opened before it was copied', (t) => {
  const page = leftoverOf({ committed: 1, lost: 9 });
  t.is(
    told(page),
    'problem: 41.2 kB with a damaged page: of its committed transactions SQLite will read 1 page, and not the 9 pages after that; no process that can be seen has the file open.',
  );
  t.regex(
    told(leftoverOf({ committed: 0, lost: 1, hasBadHead: true })),
    /^problem: 41\.2 kB whose head is damaged, with 1 page of committed transactions: SQLite will read none of it; /,
  );
  t.regex(told(leftoverOf({ hasBadHead: true })), /^problem: 41\.2 kB whose head is damaged: SQLite will read none/);
  t.regex(page.advice?.[0] ?? '', /^Do not open it: copy "app\.db" and "app\.db-wal" first\.$/);
  // Lost once before: the index is of those who wrote since.
  t.is(leftoverOf({ committed: 10, lost: 4 }, index).state, 'note');
  t.is(leftoverOf({ committed: 9, lost: 4 }, index).state, 'problem');
});

test('in a container a damaged log is a warning, as somebody outside may be writing to it', (t) => {
  const found = file({ wal: walWith(), isConfined: true }, { log: logContent({ committed: 1, lost: 9 }) });
  const { state, advice } = found.one('journal.leftover');
  t.is(state, 'warning');
  t.regex(advice?.[0] ?? '', /^Unless somebody outside of this container writes to it now\./);
});

test('a log that somebody wrote to while it was looked at is not one that could not be read', (t) => {
  const changing = file({ wal: walWith() }, { log: 'changing' }).one('journal.leftover');
  t.is(told(changing), 'note: 41.2 kB that changed while it was looked at: somebody uses it who was not seen.');
  t.regex(file({ wal: walWith() }, { log: 'unread' }).one('journal.leftover').found, /nothing could be read/);
  t.deepEqual(findingsWith({ left: 'changing' }).of('journal.left'), []);
});

const leftWith = (isWhole: boolean) =>
  findingsWith({ left: logContent({ frames: 10, committed: 10, isWhole }) }).one('journal.left');

test('a log that the last program left while it was read is told of, in part where it was read in part', (t) => {
  t.regex(told(leftWith(true)), /^note: .* "app\.db-wal" is still there, with 10 pages of committed transactions\.$/);
  t.regex(
    told(leftWith(false)),
    /^note: .* "app\.db-wal" is still there, with at least 10 pages of committed transactions\.$/,
  );
  t.truthy(leftWith(true).why);
  t.regex(leftWith(true).advice?.join('\n') ?? '', /^Nothing, unless the file is copied now/);
});

test('what belongs to another mode or to another file is told of', (t) => {
  const rollback = headerWith({ journal: 'rollback' });
  const foreign = file({ header: rollback, wal: walWith({ frames: 1 }) }).one('journal.stray-wal');
  t.is(told(foreign), 'warning: There is a write-ahead log beside a file that is in no WAL mode, with 1 page.');
  t.regex(foreign.advice?.join('\n') ?? '', /move "app\.db-wal" away/);
  const stranger = file({ strangers: ['-journal'] }).one('journal.stranger');
  t.is(told(stranger), 'problem: "app.db-journal" is no file.');
  t.truthy(stranger.why);
  t.truthy(stranger.advice);
  t.is(told(file({ index }).one('journal.stray-shm')), 'note: There is an index of a log (-shm), and no log.');
  // Where nobody tells who is connected it may be in use.
  t.deepEqual(file({ index, locks: undefined }).of('journal.stray-shm'), []);
  t.deepEqual(file({ index, locks: locksWith({ users: [7] }) }).of('journal.stray-shm'), []);
});

test('a rollback journal is of one who writes, of one who has ended, or of one who was cut off', (t) => {
  const header = headerWith({ journal: 'rollback' });
  const journal = { bytes: 8720, modified: 0, hasHead: true, isHot: true };
  const found = (changes: Partial<FileState>) => file({ header, journal, ...changes }).one('journal.rollback');
  t.is(told(found({ locks: locksWith({ writer: 7 }) })), 'ok: 8.7 kB, of the transaction that writes now');
  t.is(
    told(found({ journal: { ...journal, hasHead: false, isHot: false } })),
    'ok: 8.7 kB, of a transaction that has ended',
  );
  const cutOff = found({});
  t.is(told(cutOff), 'warning: 8.7 kB of a transaction that was cut off.');
  t.regex(cutOff.advice?.join('\n') ?? '', /^Do not delete "app\.db-journal"/);
  t.is(
    told(found({ locks: undefined })),
    'warning: 8.7 kB of a transaction that was cut off, unless somebody writes now.',
  );
});

test('on a system that does not tell who has a file open, it is said who does', (t) => {
  const { one, of } = file({ processes: undefined, hiddenProcesses: undefined, locks: undefined });
  const finding = one('users.processes');
  t.is(told(finding), 'note: Which processes have it open can not be told on this system.');
  t.regex(finding.advice?.join('\n') ?? '', /^`lsof app\.db` names them/);
  t.deepEqual([...of('users.writer'), ...of('users.readers')], []);
});

const processesHiding = (hiddenProcesses: number) => file({ hiddenProcesses }).one('users.processes');

test('processes whose open files may not be looked at are counted, and it is said who may', (t) => {
  t.is(
    told(processesHiding(1)),
    'note: no process that can be seen has it open; the open files of 1 process may not be looked at',
  );
  t.regex(processesHiding(12).found, /; the open files of 12 processes may not be looked at$/);
  t.regex(
    processesHiding(12).advice?.join('\n') ?? '',
    /^Run this as root, or as the user whose process uses the file,/,
  );
  t.is(told(processesHiding(0)), 'ok: no process that can be seen has it open');
});

test('processes are told by number and command, and one that is only seen by its locks by number', (t) => {
  const processes = [processWith({ pid: 7, descriptors: 3 }), processWith({ pid: 8, command: `${'x'.repeat(79)}\ny` })];
  const { found } = file({ processes, locks: locksWith({ users: [7, 9] }) }).one('users.processes');
  t.is(found, `open in process 7 (node app.js) 3 times, process 8 (${'x'.repeat(79)}…) 1 time and process 9`);
});

test('a writer who goes away is no warning, one who stays is, with the process', (t) => {
  const changes = { processes: [processWith({})], locks: locksWith({ writer: 7, users: [7] }) };
  t.is(told(file(changes).one('users.writer')), 'ok: process 7 (node app.js) wrote for a moment');
  const patience = { looked: 1000, writer: 7, exclusive: undefined, pins: [], stranded: [], length: undefined };
  const finding = file(changes, { patience }).one('users.writer');
  t.is(told(finding), 'warning: A write transaction is open in process 7 (node app.js), for at least 1.0 s.');
  t.regex(finding.why ?? '', /SQLITE_BUSY/);
  t.is(finding.advice?.length, 2);
});

test('one reader of an older state reads, and two read it', (t) => {
  const readers = [
    { pid: 7, mark: 1, frame: 4, pins: true },
    { pid: 8, mark: 0, frame: undefined, pins: true },
    { pid: 9, mark: 2, frame: 10, pins: false },
  ];
  const changes = { wal: walWith(), index: { ...index, frames: 10 }, locks: locksWith({ readers, users: [7, 8, 9] }) };
  const finding = (pins: readonly number[]) =>
    file(changes, {
      patience: { looked: 1000, writer: undefined, exclusive: undefined, pins, stranded: [], length: undefined },
    }).one('users.readers');
  t.is(told(finding([7])), 'warning: process 7 reads an older state, 6 pages behind, for at least 1.0 s.');
  // At mark 0 nothing of the log is seen.
  t.is(
    told(finding([7, 8])),
    'warning: process 7 and process 8 read an older state, 10 pages behind, for at least 1.0 s.',
  );
  t.regex(finding([7]).advice?.join('\n') ?? '', /iterate\(\).*\n.*leakThreshold/s);
  // Gone at the last look.
  t.regex(finding([99]).found, /^process 99 reads an older state, for at least/);
  t.is(told(finding([])), 'ok: nobody keeps the log from being copied into the file');
});
