import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { readLeftLog } from '../../../lib/cli/doctor/left-log.ts';
import { temporaryFile } from '../../support/files.ts';
import { otherDatabase } from '../../support/processes.ts';

const step = 24 + 4096;
const rows = 5;

/** One with a transaction of one page for each row in a log that nobody has open. */
async function leftBehind(t: ExecutionContext): Promise<{ readonly file: string; readonly log: Buffer }> {
  const file = temporaryFile(t);
  const other = await otherDatabase(t, file);
  await other.exec('PRAGMA journal_mode = WAL; CREATE TABLE a (b); PRAGMA wal_checkpoint(TRUNCATE)');
  for (let row = 0; row < rows; row++) await other.exec(`INSERT INTO a VALUES (${row})`);
  await other.kill();
  return { file, log: readFileSync(`${file}-wal`) };
}

/** As a log is while its last page is written: the head of the frame is there already. */
function halfWritten(log: Buffer): Buffer {
  return Buffer.from(log).fill(0, 32 + (rows - 1) * step + 24 + 100);
}

const whole = { frames: rows, committed: rows, lost: 0, hasBadHead: false, isWhole: true };

test('what is half written is not damaged, and what stays so is', async (t) => {
  const { file, log } = await leftBehind(t);
  writeFileSync(`${file}-wal`, halfWritten(log));
  const reading = readLeftLog(file);
  // Its first look is done when it has been called.
  writeFileSync(`${file}-wal`, log);
  t.deepEqual(await reading, whole);
  writeFileSync(`${file}-wal`, halfWritten(log));
  t.deepEqual(await readLeftLog(file), { ...whole, frames: rows - 1, committed: rows - 1, lost: 1 });
});

test('one that is another at each look, or that goes away, is told apart from one that can not be read', async (t) => {
  const { file, log } = await leftBehind(t);
  let isReading = true;
  const end = () => {
    isReading = false;
  };
  t.teardown(end);
  let round = 0;
  const write = () => writeFileSync(`${file}-wal`, halfWritten(log).fill(++round % 250, 20, 24));
  const turn = () => {
    if (!isReading) return;
    write();
    setImmediate(turn);
  };
  turn();
  t.is(await readLeftLog(file), 'changing');
  end();
  rmSync(`${file}-wal`);
  t.is(await readLeftLog(file), 'changing');
  t.is(await readLeftLog('nul\0byte'), 'unread');
});
