import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import Database from 'better-sqlite3';
import { findingsOf } from '../../../lib/cli/doctor/findings.ts';
import { fileSystemOf, surroundingsOf } from '../../../lib/cli/doctor/surroundings.ts';
import { observeFile } from '../../../lib/cli/outside/observe.ts';
import { isConfined } from '../../../lib/cli/outside/processes.ts';
import { temporaryFile } from '../../support/files.ts';
import { otherDatabase } from '../../support/processes.ts';
import { build, diagnose, isLinux, manyRows, traceOf } from './support.ts';

const onLinux = isLinux ? test.serial : test.skip;

test.serial('a file without a WAL is a warning, one with is none', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows, { wal: false });
  const without = await diagnose(file);
  t.is(without.code, 1);
  t.is(without.one('journal.mode').state, 'warning');
  build(file, '');
  const withOne = await diagnose(file);
  t.is(withOne.code, 0);
  t.is(withOne.one('journal.mode').state, 'ok');
});

for (const type of [0x69_69, 0x65_73_55_46]) {
  const { name } = fileSystemOf(type);

  test.serial(
    `on a file system of others it is the WAL that is a warning, and no advice leads to one (${name})`,
    (t) => {
      const file = temporaryFile(t);
      build(file, manyRows, { wal: false });
      const findings = () => {
        const facts = {
          name: file,
          state: observeFile(file),
          surroundings: { ...surroundingsOf(file), fileSystem: fileSystemOf(type) },
          log: undefined,
          left: undefined,
          guess: undefined,
          patience: { looked: 0, writer: undefined, exclusive: undefined, pins: [], stranded: [], length: undefined },
          examination: undefined,
          plan: { where: 'nowhere', reason: '' },
          integrity: 'none',
          keys: false,
        } as const;
        const found = findingsOf(facts);
        return { found, mode: found.find(({ id }) => id === 'journal.mode') };
      };
      const without = findings();
      t.is(without.mode?.state, 'ok');
      t.is(without.found.find(({ id }) => id === 'file.place')?.state, 'warning');
      t.notRegex(JSON.stringify(without.found), /journal_mode = WAL/);
      build(file, '');
      const withOne = findings();
      t.is(withOne.mode?.state, 'warning');
      t.regex(withOne.mode?.advice?.[0] ?? '', /PRAGMA journal_mode = DELETE/);
    },
  );
}

test.serial('a journal that was emptied or whose head was cleared is none that is hot', async (t) => {
  for (const mode of ['TRUNCATE', 'PERSIST']) {
    const file = temporaryFile(t);
    build(file, `PRAGMA journal_mode = ${mode}; ${manyRows}`, { wal: false });
    const { one } = await diagnose(file);
    t.is(one('journal.rollback').state, 'ok', mode);
    t.regex(one('content.examined').found, /^in place/, mode);
  }
});

onLinux('the journal of a transaction that writes now is none that was cut off', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows, { wal: false });
  const other = await otherDatabase(t, file);
  await other.exec("BEGIN; UPDATE item SET name = 'x' WHERE id < 10");
  const { one, code } = await diagnose(file);
  t.is(one('journal.rollback').found.replace(/^.*of/, 'of'), 'of the transaction that writes now');
  t.is(one('users.writer').state, 'warning');
  t.is(one('content.integrity').state, 'ok');
  t.is(code, 1);
  await other.exec('COMMIT');
});

onLinux('the log of another file beside this one is a warning', async (t) => {
  const former = temporaryFile(t);
  const other = await otherDatabase(t, former);
  await other.exec(`PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; ${manyRows}`);
  await other.kill();
  const file = temporaryFile(t);
  build(file, 'CREATE TABLE a (b)', { wal: false });
  copyFileSync(`${former}-wal`, `${file}-wal`);
  const before = traceOf(file);
  const { one, code } = await diagnose(file);
  t.true(code === 1 || code === 3);
  t.is(one('journal.stray-wal').state, 'warning');
  t.deepEqual(traceOf(file), before);
});

onLinux('a file that was emptied beside its log is a problem, and none in which nothing was written yet', async (t) => {
  const file = temporaryFile(t);
  const other = await otherDatabase(t, file);
  await other.exec('PRAGMA journal_mode = WAL; CREATE TABLE a (b); INSERT INTO a VALUES (1)');
  await other.kill();
  for (const withIndex of [true, false]) {
    truncateSync(file, 0);
    if (!withIndex) rmSync(`${file}-shm`);
    const before = traceOf(file);
    const { code, one } = await diagnose(file);
    t.is(code, 3);
    const { state, found, why, advice } = one('file.content');
    t.is(state, 'problem');
    t.is(found, `It was emptied: it has 0 bytes, and "${file}-wal" holds 3 pages of committed transactions.`);
    t.regex(why ?? '', /removes the log/);
    t.is(advice?.[0], `Do not open it: copy "${file}" and "${file}-wal" first.`);
    t.deepEqual(traceOf(file), before);
  }
  // What it says that SQLite does, SQLite does.
  const db = new Database(file);
  db.prepare('SELECT count(*) FROM sqlite_schema').get();
  db.close();
  t.false(existsSync(`${file}-wal`));
});

onLinux('where a process has a file open that was emptied, what it has is to be saved from within it', async (t) => {
  const file = temporaryFile(t);
  const other = await otherDatabase(t, file);
  await other.exec('PRAGMA journal_mode = WAL; CREATE TABLE a (b); INSERT INTO a VALUES (1)');
  truncateSync(file, 0);
  const { code, one } = await diagnose(file);
  t.is(code, 3);
  t.regex(one('file.content').advice?.[0] ?? '', /^Do not end a process that has it open\. First make a backup from/);
  // As is said.
  await other.exec(`VACUUM INTO '${file}.backup'`);
  t.is(rowsOf(`${file}.backup`), 1);
});

onLinux('a file that somebody makes just now is not said to be lost', async (t) => {
  const file = temporaryFile(t);
  const other = await otherDatabase(t, file);
  await other.exec('PRAGMA cache_size = 5; BEGIN; CREATE TABLE a (b); INSERT INTO a VALUES (zeroblob(1000000))');
  t.true(
    readFileSync(file)
      .subarray(0, 4096)
      .every((byte) => byte === 0),
  );
  const { code, one } = await diagnose(file);
  t.is(code, 2);
  t.is(one('file.content').state, 'note');
  t.regex(
    one('file.content').found,
    /^process \d+ \(.*\) makes it, as a backup does: its first page is written last\.$/,
  );
  t.notRegex((one('file.content').advice ?? []).join('\n'), /backup/);
  await other.exec('COMMIT');
  t.is((await diagnose(file)).one('file.content').state, 'ok');
});

onLinux('a log with pages of another size is a warning', async (t) => {
  const former = temporaryFile(t);
  const other = await otherDatabase(t, former);
  await other.exec('PRAGMA page_size = 1024; PRAGMA journal_mode = WAL; CREATE TABLE a (b)');
  await other.kill();
  const file = temporaryFile(t);
  build(file, manyRows);
  copyFileSync(`${former}-wal`, `${file}-wal`);
  t.is((await diagnose(file)).one('journal.stray-wal').found, 'The log has pages of 1024 bytes, the file of 4096.');
});

for (const wal of [true, false]) {
  for (const suffix of ['-wal', '-shm', '-journal']) {
    onLinux(
      `a pipe that is called ${suffix} is told of, and waited for by nobody, ${wal ? 'with' : 'without'} a WAL`,
      async (t) => {
        const file = temporaryFile(t);
        build(file, manyRows, { wal });
        execFileSync('mkfifo', [`${file}${suffix}`]);
        const { one, code } = await diagnose(file);
        t.is(code, 3);
        t.is(one('journal.stranger').state, 'problem');
        t.is(one('journal.stranger').found, `"${file}${suffix}" is no file.`);
        t.is(one('content.examined').state, 'note');
      },
    );
  }
}

test.serial('a directory that is called -journal is told of', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows, { wal: false });
  mkdirSync(`${file}-journal`);
  const { one, code } = await diagnose(file);
  t.is(code, 3);
  t.is(one('journal.stranger').state, 'problem');
});

/** Ten rows in the log alone, and one page of the table in the file. */
async function buildLeftover(t: ExecutionContext, file: string): Promise<void> {
  const other = await otherDatabase(t, file);
  await other.exec('PRAGMA journal_mode = WAL; CREATE TABLE a (b); PRAGMA wal_checkpoint(TRUNCATE)');
  for (let row = 0; row < 10; row++) await other.exec(`INSERT INTO a VALUES (${row})`);
  await other.kill();
}

function damage(file: string, at: number): void {
  const bytes = readFileSync(file);
  bytes.writeUInt8(bytes.readUInt8(at) ^ 0xff, at);
  writeFileSync(file, bytes);
}

function rowsOf(file: string): unknown {
  const db = new Database(file);
  try {
    return db.prepare('SELECT count(*) FROM a').pluck().get();
  } finally {
    db.close();
  }
}

for (const [what, at, rows, found] of [
  ['a damaged first page', 32 + 24 + 3000, 0, /with a damaged page: .* will read 0 pages, and not the 10 pages after/],
  ['a damaged page in its middle', 32 + 4 * 4120 + 3000, 4, /SQLite will read 4 pages, and not the 6 pages after/],
  ['a damaged head', 24, 0, /whose head is damaged, with 10 pages of committed transactions: SQLite will read none/],
  ['a head that is none', 0, 0, /whose head is damaged: SQLite will read none of it/],
] as const) {
  onLinux(`a log that was left behind with ${what} is a problem, and is not to be opened`, async (t) => {
    const file = temporaryFile(t);
    await buildLeftover(t, file);
    damage(`${file}-wal`, at);
    const before = traceOf(file);
    const { code, one } = await diagnose(file);
    // In a container somebody outside of it may be writing to it.
    t.is(code, isConfined() ? 1 : 3);
    const { state, found: told, advice } = one('journal.leftover');
    t.is(state, isConfined() ? 'warning' : 'problem');
    t.regex(told, found);
    t.is(advice?.at(-2), `Do not open it: copy "${file}" and "${file}-wal" first.`);
    t.deepEqual(traceOf(file), before);
    t.is(rowsOf(file), rows);
  });
}

onLinux('a damaged log is not believed to be harmless by an index that may be older than it', async (t) => {
  const file = temporaryFile(t);
  const other = await otherDatabase(t, file);
  await other.exec('PRAGMA journal_mode = WAL; CREATE TABLE a (b); PRAGMA wal_checkpoint(TRUNCATE)');
  for (let row = 0; row < 5; row++) await other.exec(`INSERT INTO a VALUES (${row})`);
  copyFileSync(`${file}-shm`, `${file}.index`);
  for (let row = 5; row < 10; row++) await other.exec(`INSERT INTO a VALUES (${row})`);
  await other.kill();
  copyFileSync(`${file}.index`, `${file}-shm`);
  damage(`${file}-wal`, 32 + 5 * 4120 + 3000);
  // As after the machine was started again: what was memory may be what was on the disk before.
  utimesSync(`${file}-wal`, 1000, 1000);
  const { one } = await diagnose(file);
  t.is(one('journal.leftover').state, isConfined() ? 'warning' : 'problem');
  t.regex(one('journal.leftover').found, /will read 5 pages, and not the 5 pages after that/);
  t.notRegex(one('journal.leftover').advice?.join('\n') ?? '', /open and close|open the database/);
  // Whoever wrote since then has made the index anew; what to do with both is told all the same.
  utimesSync(`${file}-wal`, new Date(), new Date());
  const since = await diagnose(file);
  t.is(since.one('journal.leftover').state, 'note');
  t.regex(since.one('journal.leftover').found, /with 5 pages .* 5 pages after those that its index does not count/);
  t.notRegex(since.one('journal.leftover').advice?.join('\n') ?? '', /open and close|open the database/);
});

onLinux('a log of which all was copied before its last user was killed is no part of the data', async (t) => {
  const file = temporaryFile(t);
  const other = await otherDatabase(t, file);
  await other.exec('PRAGMA journal_mode = WAL; CREATE TABLE a (b); INSERT INTO a VALUES (1)');
  await other.value('PRAGMA wal_checkpoint(FULL)');
  await other.kill();
  const { code, one } = await diagnose(file);
  t.is(code, 0);
  t.regex(
    one('journal.leftover').found,
    /with 3 pages of committed transactions, all of which are in the file as well/,
  );
  const alone = temporaryFile(t);
  copyFileSync(file, alone);
  t.is(rowsOf(alone), 1);
});

// In a container somebody outside of it may have it open.
const whereAllAreSeen = isLinux && !isConfined() ? test.serial : test.skip;

whereAllAreSeen('an index of a log without a log is a note', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows);
  writeFileSync(`${file}-shm`, Buffer.alloc(32_768));
  const before = traceOf(file);
  t.is((await diagnose(file)).one('journal.stray-shm').state, 'note');
  t.deepEqual(traceOf(file), before);
});

test.serial('pages smaller than usual are a note', async (t) => {
  const file = temporaryFile(t);
  build(file, `PRAGMA page_size = 512; ${manyRows}`);
  const { one, code } = await diagnose(file);
  t.is(one('space.page-size').state, 'note');
  t.is(one('content.pages').state, 'ok');
  t.is(code, 0);
  t.is((await diagnose(file, ['--strict'])).code, 1);
});

for (const autoVacuum of ['NONE', 'FULL', 'INCREMENTAL'] as const) {
  test.serial(`free pages are counted, and no page is nobody’s, with auto_vacuum ${autoVacuum}`, async (t) => {
    const file = temporaryFile(t);
    build(
      file,
      `PRAGMA page_size = 1024; PRAGMA auto_vacuum = ${autoVacuum}; ${manyRows}
       CREATE TABLE heap (a); INSERT INTO heap SELECT randomblob(900) FROM item;
       DELETE FROM heap WHERE rowid % 50 <> 0`,
    );
    const { one } = await diagnose(file);
    t.is(one('content.pages').state, 'ok');
    t.is(one('content.integrity').state, 'ok');
    t.regex(one('space.free-pages').found, new RegExp(`auto_vacuum is ${autoVacuum.toLowerCase()}$`));
    t.is(one('space.free-pages').state, autoVacuum === 'FULL' ? 'ok' : 'note');
    const [advice = ''] = one('space.free-pages').advice ?? [];
    if (autoVacuum === 'NONE') t.regex(advice, /VACUUM.* gives [\d.]+ MB back\. It needs up to/);
    if (autoVacuum === 'INCREMENTAL') t.regex(advice, /incremental_vacuum/);
  });
}
