import { copyFileSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import Database from 'better-sqlite3';
import { type Found, find } from '../../../lib/cli/outside/peek.ts';
import { type LogContent, readFrames } from '../../../lib/cli/outside/wal.ts';
import { temporaryFile } from '../../support/files.ts';
import { otherDatabase } from '../../support/processes.ts';

const pageSize = 512;
const step = 24 + pageSize;
const rows = 12;

/** One whose log has a transaction of one page for each of its rows, and that nobody has open. */
async function leftBehind(t: ExecutionContext): Promise<string> {
  const file = temporaryFile(t);
  const other = await otherDatabase(t, file);
  await other.exec(
    `PRAGMA page_size = ${pageSize}; PRAGMA journal_mode = WAL; CREATE TABLE a (b); PRAGMA wal_checkpoint(TRUNCATE)`,
  );
  for (let row = 0; row < rows; row++) await other.exec(`INSERT INTO a VALUES (${row})`);
  await other.kill();
  rmSync(`${file}-shm`);
  return file;
}

/** What is read of a log, beside how many rows SQLite finds: of a copy, as it removes what it does not take. */
function read(
  t: ExecutionContext,
  file: string,
  log: Buffer,
): { readonly content: LogContent; readonly rows: unknown } {
  const copy = temporaryFile(t);
  copyFileSync(file, copy);
  writeFileSync(`${copy}-wal`, log);
  const content = readFrames(find(`${copy}-wal`) as Found);
  const db = new Database(copy);
  const found = db.prepare('SELECT count(*) FROM a').pluck().get();
  db.close();
  return { content, rows: found };
}

/** As the format says it, for a log of either order of bytes. */
function signed(log: Buffer, isLittleEndian: boolean): Buffer {
  const copy = Buffer.from(log);
  copy.writeUInt32BE(isLittleEndian ? 0x37_7f_06_82 : 0x37_7f_06_83, 0);
  let [first, second] = [0, 0];
  const add = (bytes: Buffer) => {
    const word = (at: number) => (isLittleEndian ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at));
    for (let at = 0; at < bytes.length; at += 8) {
      first = (first + word(at) + second) >>> 0;
      second = (second + word(at + 4) + first) >>> 0;
    }
  };
  const write = (at: number) => copy.writeUInt32BE(second, copy.writeUInt32BE(first, at));
  add(copy.subarray(0, 24));
  write(24);
  for (let at = 32; at < copy.length; at += step) {
    add(copy.subarray(at, at + 8));
    add(copy.subarray(at + 24, at + step));
    write(at + 16);
  }
  return copy;
}

const whole = { frames: rows, committed: rows, lost: 0, hasBadHead: false, isWhole: true };

test('a log is read as SQLite reads it, in both orders of bytes', async (t) => {
  const file = await leftBehind(t);
  const log = readFileSync(`${file}-wal`);
  t.is(log.length, 32 + rows * step);
  for (const variant of [log, signed(log, true), signed(log, false)]) {
    t.deepEqual(read(t, file, variant), { content: whole, rows });
  }
});

test('wherever a log is damaged, as many pages count as SQLite reads', async (t) => {
  const file = await leftBehind(t);
  const log = readFileSync(`${file}-wal`);
  for (let frame = 0; frame < rows; frame++) {
    // Its number, the size of the database, the checksum, and bytes of the page.
    for (const at of [3, 7, 16, 23, 24, 24 + 300, step - 1]) {
      const damaged = Buffer.from(log);
      const place = 32 + frame * step + at;
      damaged.writeUInt8(damaged.readUInt8(place) ^ 1, place);
      const { content, rows: found } = read(t, file, damaged);
      t.is(content.committed, found as number, `${frame} ${at}`);
      t.deepEqual(content, { ...whole, frames: frame, committed: frame, lost: rows - frame }, `${frame} ${at}`);
    }
  }
});

test('a log whose head is damaged is read by nobody', async (t) => {
  const file = await leftBehind(t);
  const log = readFileSync(`${file}-wal`);
  for (const [at, lost] of [
    [0, 0],
    [8, 0],
    [14, rows],
    [17, rows],
    [30, rows],
  ] as const) {
    const damaged = Buffer.from(log);
    damaged.writeUInt8(damaged.readUInt8(at) ^ 0xff, at);
    t.deepEqual(read(t, file, damaged), {
      content: { frames: 0, committed: 0, lost, hasBadHead: true, isWhole: true },
      rows: 0,
    });
  }
});

test('a frame of the number 0 ends a log even where its checksum is right', async (t) => {
  const file = await leftBehind(t);
  const log = readFileSync(`${file}-wal`);
  log.writeUInt32BE(0, 32 + 5 * step);
  t.deepEqual(read(t, file, signed(log, true)), {
    content: { ...whole, frames: 5, committed: 5, lost: rows - 5 },
    rows: 5,
  });
});

test('a transaction that was cut off, and what is left of a former round, are nothing that was lost', async (t) => {
  const file = await leftBehind(t);
  const log = readFileSync(`${file}-wal`);
  const cutOff = log.subarray(0, log.length - 1);
  t.deepEqual(read(t, file, cutOff), { content: { ...whole, frames: rows - 1, committed: rows - 1 }, rows: rows - 1 });
  // Without the size of the database, as all frames of a transaction are but its last.
  const open = Buffer.from(log);
  for (let frame = 8; frame < rows; frame++) open.writeUInt32BE(0, 32 + frame * step + 4);
  t.deepEqual(read(t, file, signed(open, true)), { content: { ...whole, committed: 8 }, rows: 8 });
  // A page of it that was not written to its end.
  const torn = signed(open, true);
  torn.fill(0, 32 + 9 * step + 200, 32 + 10 * step);
  t.deepEqual(read(t, file, torn), { content: { ...whole, frames: 9, committed: 8 }, rows: 8 });
  const former = Buffer.from(log);
  for (let frame = 6; frame < rows; frame++) former.writeUInt32BE(7, 32 + frame * step + 8);
  t.deepEqual(read(t, file, former), { content: { ...whole, frames: 6, committed: 6 }, rows: 6 });
});

test('one that is empty, or was cleared, has nothing, and is not damaged', async (t) => {
  const path = temporaryFile(t, 'app.db-wal');
  const nothing = { frames: 0, committed: 0, lost: 0, hasBadHead: false, isWhole: true };
  for (const log of [Buffer.alloc(0), Buffer.alloc(20, 1), Buffer.alloc(32, 1), Buffer.alloc(5000)]) {
    writeFileSync(path, log);
    t.deepEqual(readFrames(find(path) as Found), nothing);
  }
  const file = await leftBehind(t);
  truncateSync(`${file}-wal`, 32);
  t.deepEqual(readFrames(find(`${file}-wal`) as Found), nothing);
});

test('of a log that is very long the beginning is read, and that is said', async (t) => {
  const log = find(`${await leftBehind(t)}-wal`) as Found;
  t.deepEqual(readFrames(log, 7 * step), { ...whole, frames: 7, committed: 7, isWhole: false });
  t.deepEqual(readFrames(log, 7 * step + step - 1), { ...whole, frames: 7, committed: 7, isWhole: false });
  t.deepEqual(readFrames(log, rows * step), whole);
});
