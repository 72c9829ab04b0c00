import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { ChangedMeanwhile, copyDatabase, mostBytes } from '../../../lib/cli/doctor/copy.ts';
import { temporaryDirectory, temporaryFile } from '../../support/files.ts';
import { otherDatabase } from '../../support/processes.ts';
import { build, diagnose, isLinux, manyRows, traceOf } from './support.ts';

test.serial('a copy is the file as it is', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows);
  const before = traceOf(file);
  const copy = await copyDatabase(file, temporaryDirectory(t), async () => {});
  t.deepEqual(readFileSync(copy), readFileSync(file));
  t.deepEqual(traceOf(file), before);
});

test.serial('a copy during which somebody writes is made again, and given up where that goes on', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows, { wal: false });
  const other = await otherDatabase(t, file);
  let writes = 0;
  const write = async (most: number) => {
    if (writes >= most) return;
    writes++;
    await other.exec(`UPDATE item SET name = 'written ${writes} ' || name`);
  };
  const copy = await copyDatabase(file, temporaryDirectory(t), () => write(1));
  t.is(writes, 1);
  t.deepEqual(readFileSync(copy), readFileSync(file));
  writes = 0;
  await t.throwsAsync(
    copyDatabase(file, temporaryDirectory(t), () => write(Number.POSITIVE_INFINITY)),
    { instanceOf: ChangedMeanwhile },
  );
  t.is(writes, 3);
});

test.serial('a copy for which there is no room is not begun', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows);
  // As long as no disk is, and hardly any of it there.
  truncateSync(file, 4096 * 2 ** 30);
  const { code, one } = await diagnose(file);
  t.is(code, 2);
  t.regex(one('content.failed-copy').found, /^There is no room for a copy/);
});

test('a copy leaves half of the disk that is free to others, and three quarters of the memory', (t) => {
  const gigabyte = 2 ** 30;
  t.is(mostBytes(10 * gigabyte, undefined), 5 * gigabyte);
  t.is(mostBytes(100 * 2 ** 20, undefined), 36 * 2 ** 20);
  t.is(mostBytes(2 ** 20, undefined), 0);
  // The limit of a container may be far below what the file system says.
  t.is(mostBytes(10 * gigabyte, gigabyte), gigabyte / 4);
});

const withMemory = isLinux && readdirSync('/dev').includes('shm') ? test.serial : test.skip;

withMemory('a copy that would fill the memory is not begun', async (t) => {
  const temporary = join('/dev/shm', `leasehold-${process.pid}-copy`);
  mkdirSync(temporary);
  t.teardown(() => rmSync(temporary, { recursive: true }));
  const file = temporaryFile(t);
  build(file, manyRows);
  truncateSync(file, 4096 * Math.ceil(process.availableMemory() / 4096 / 3));
  const { one } = await diagnose(file, [], { env: { TMPDIR: temporary } });
  t.regex(one('content.failed-copy').found, /are taken of memory, which others need too\.$/);
  t.regex(one('content.failed-copy').advice?.[0] ?? '', /TMPDIR=\/var\/tmp/);
  t.deepEqual(readdirSync(temporary), []);
});

test.serial('a journal that is gone when it is to be copied belongs to another attempt', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows, { wal: false });
  const other = await otherDatabase(t, file);
  await other.exec("BEGIN; UPDATE item SET name = 'changed' WHERE id = 5");
  let tells = 0;
  const copy = await copyDatabase(file, temporaryDirectory(t), async () => {
    // The journal was there when the attempt began.
    if (tells++ === 0) await other.exec('COMMIT');
  });
  t.true(tells > 1);
  t.false(existsSync(`${copy}-journal`));
  t.deepEqual(readFileSync(copy), readFileSync(file));
});
