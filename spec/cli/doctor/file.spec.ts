import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { fileSystemOf } from '../../../lib/cli/doctor/surroundings.ts';
import { temporaryDirectory, temporaryFile } from '../../support/files.ts';
import { build, canBeNobody, diagnose, isLinux, manyRows, runDoctor, traceOf } from './support.ts';

test.serial('a file that is not there is told of, not made, and ends with 2', async (t) => {
  const file = temporaryFile(t);
  const { code, one } = await diagnose(file);
  t.is(code, 2);
  t.is(one('file.exists').state, 'problem');
  t.deepEqual(traceOf(file), []);
});

test.serial('names that mean something to SQLite are names of files', async (t) => {
  const cwd = temporaryDirectory(t);
  for (const name of [':memory:', 'file:app.db?mode=memory']) {
    const { code, one } = await diagnose(name, [], { cwd });
    t.is(code, 2, name);
    t.is(one('file.exists').found, 'There is no file of that name.', name);
    build(join(cwd, name), 'CREATE TABLE a (b); INSERT INTO a VALUES (1)');
    const found = await diagnose(name, [], { cwd });
    t.is(found.code, 0, name);
    t.regex(found.one('schema.tables').found, /^1 table and 0 indexes/, name);
  }
  t.deepEqual(readdirSync(cwd).toSorted(), [':memory:', 'file:app.db?mode=memory']);
});

test.serial('a directory, a text file and an empty file are what they are', async (t) => {
  const directory = temporaryDirectory(t);
  t.is((await diagnose(directory)).one('file.exists').found, 'It is a directory.');
  const text = join(directory, 'notes.txt');
  writeFileSync(text, 'no database, though long enough to be one. '.repeat(100));
  const ofText = await diagnose(text);
  t.is(ofText.code, 2);
  t.is(ofText.one('file.content').state, 'problem');
  t.is(ofText.one('file.content').why, 'It is a text.');
  const empty = join(directory, 'empty.db');
  writeFileSync(empty, '');
  const ofEmpty = await diagnose(empty);
  t.is(ofEmpty.code, 0);
  t.is(ofEmpty.one('file.content').state, 'note');
  t.is((await diagnose(empty, ['--strict'])).code, 1);
  t.deepEqual(readdirSync(directory).toSorted(), ['empty.db', 'notes.txt']);
});

test.serial('one that looks encrypted, and one whose first bytes were overwritten, are told apart', async (t) => {
  const file = temporaryFile(t);
  writeFileSync(file, randomBytes(20_480));
  const encrypted = await diagnose(file);
  t.is(encrypted.code, 2);
  t.regex(encrypted.one('file.content').why ?? '', /encrypted/);
  const damaged = temporaryFile(t);
  build(damaged, manyRows);
  const bytes = readFileSync(damaged);
  writeFileSync(damaged, bytes.fill(0xa5, 0, 16));
  const found = await diagnose(damaged);
  t.is(found.code, 3);
  t.regex(found.one('file.content').why ?? '', /its first bytes were overwritten/);
  // What it advises does help.
  bytes.write('SQLite format 3\0', 'latin1');
  writeFileSync(damaged, bytes);
  t.is((await diagnose(damaged)).one('content.integrity').state, 'ok');
});

test.serial('a link is followed to the file, and to what lies beside that', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows);
  const link = temporaryFile(t, 'link.db');
  symlinkSync(file, link);
  const { code, one } = await diagnose(link);
  t.is(code, 0);
  t.is(one('content.integrity').state, 'ok');
});

test.serial('a file of any name is examined', async (t) => {
  const directory = temporaryDirectory(t);
  const names = ['with space.db', `quote'"s.db`, 'after.db ', 'after.db\n', 'before.db ', '100%?#.db'];
  await Promise.all(
    names.map(async (name, index) => {
      // The driver takes white space off a name.
      const wal = index % 2 === 1;
      build(join(directory, `${index}`), 'CREATE TABLE own (a); INSERT INTO own VALUES (1)', { wal });
      renameSync(join(directory, `${index}`), join(directory, name));
      const { code, one } = await diagnose(join(directory, name));
      t.is(code, wal ? 0 : 1, JSON.stringify(name));
      t.regex(one('schema.tables').found, /^1 table and/, JSON.stringify(name));
    }),
  );
  t.deepEqual(readdirSync(directory).toSorted(), names.toSorted());
});

test.serial('the name of a file is harmless on a terminal', async (t) => {
  const file = join(temporaryDirectory(t), '\u001b[31mred\nline\r\u202e.db');
  build(file, manyRows, { wal: false });
  const { code, stdout } = await runDoctor([file, '--quick']);
  t.is(code, 1);
  t.false(
    ['\u001b', '\r', '\u202e', 'red\nline'].some((text) => stdout.includes(text)),
    JSON.stringify(stdout),
  );
});

test.serial('a file that begins with a dash comes after two of them', async (t) => {
  const cwd = temporaryDirectory(t);
  build(join(cwd, '-dash.db'), 'CREATE TABLE own (a)');
  const { code, stdout } = await runDoctor(['--json', '--', '-dash.db'], { cwd });
  t.is(code, 0, stdout);
});

test.serial('one whose end was cut off is a problem', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows);
  truncateSync(file, 4096 * 20);
  const { code, one } = await diagnose(file);
  t.is(code, 3);
  t.regex(one('file.length').found, /^The header tells of \d+ pages, and 20 are there\.$/);
  t.regex(one('file.length').advice?.[1] ?? '', /^Go back to the last backup/);
});

test.serial('bytes at the end that are no page are a warning', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows);
  writeFileSync(file, 'more', { flag: 'a' });
  const { code, one } = await diagnose(file);
  t.is(code, 1);
  t.is(one('file.length').found, 'It ends with 4 bytes that are no whole page.');
});

const asNobody = canBeNobody() ? test.serial : test.skip;

asNobody('a file that may not be read is told of, and ends with 2', async (t) => {
  const file = temporaryFile(t);
  chmodSync(join(file, '..'), 0o755);
  build(file, manyRows);
  chmodSync(file, 0o600);
  const { code, one } = await diagnose(file, [], { uid: 65_534 });
  t.is(code, 2);
  t.is(one('file.content').found, 'It can not be read: EACCES.');
});

asNobody('a file in a directory that may not be looked into is told of, and ends with 2', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows);
  const { code, one } = await diagnose(file, [], { uid: 65_534 });
  t.is(code, 2);
  t.is(one('file.exists').found, 'It can not be looked at: EACCES.');
});

asNobody('one that may only be read, in a directory that may only be read, is examined whole', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows);
  chmodSync(join(file, '..'), 0o755);
  chmodSync(file, 0o644);
  const before = traceOf(file);
  const { code, one } = await diagnose(file, [], { uid: 65_534 });
  t.is(code, 0);
  t.is(one('file.access').state, 'note');
  t.is(one('content.integrity').state, 'ok');
  t.deepEqual(traceOf(file), before);
});

test.serial('file systems that are no place for a database are known by their numbers', (t) => {
  t.is(fileSystemOf(0x69_69).kind, 'network');
  // As a machine with numbers of 32 bits gives it.
  t.is(fileSystemOf(0xff_53_4d_42 | 0).name, 'CIFS');
  t.is(fileSystemOf(0xef_53).kind, 'local');
});

const withMemory = isLinux && readdirSync('/dev').includes('shm') ? test.serial : test.skip;

withMemory('a file in memory is told of', async (t) => {
  const directory = mkdtempSync('/dev/shm/leasehold-');
  t.teardown(() => rmSync(directory, { recursive: true }));
  const file = join(directory, 'app.db');
  build(file, manyRows);
  const { one } = await diagnose(file);
  t.is(one('file.place').found, 'It is in memory (tmpfs).');
});
