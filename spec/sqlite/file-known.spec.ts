import { existsSync, linkSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import Database from 'better-sqlite3';
import type { Clock } from '../../lib/clock.ts';
import type { SqlitePoolOptions } from '../../lib/index.ts';
import { SqlitePool } from '../../lib/sqlite/pool.ts';
import { FakeClock } from '../support/clock.ts';
import { temporaryFile } from '../support/files.ts';
import { collected } from '../support/gc.ts';

const isRefused = { code: 'ERR_LEASEHOLD_OPEN', message: /belongs to a file that was open by this name before/ };

/** Another pool of the process on it: opens it anew. */
async function secondOn(file: string): Promise<unknown> {
  await using pool = new SqlitePool(file, { name: 'second' });
  return await pool.get('SELECT count(*) AS rows FROM item');
}

async function withItems(t: ExecutionContext, options: SqlitePoolOptions = {}, clock?: Clock) {
  const file = temporaryFile(t);
  const pool = new SqlitePool(file, { name: 'app', ...options }, clock);
  t.teardown(() => pool.close({ timeout: 0 }));
  await pool.run('CREATE TABLE item (name TEXT)');
  return { file, pool };
}

/** A file whose write-ahead log has content and nobody who has it open: it was taken away from under its pool. */
async function leftLog(t: ExecutionContext) {
  const { file, pool } = await withItems(t);
  const kept = join(dirname(file), 'kept.db');
  await pool.checkpoint('truncate');
  await pool.run("INSERT INTO item VALUES ('in the log')");
  return { file, kept, pool };
}

const leaveWal = (db: Database.Database): unknown => db.pragma('journal_mode = DELETE');

test('onOpen may turn every connection to a rollback journal', async (t) => {
  const { pool } = await withItems(t, { onOpen: leaveWal });
  for (let round = 0; round < 3; round++) {
    const all = await Promise.all([pool.acquire(), pool.acquire(), pool.acquire()]);
    for (const db of all) db.close();
    pool.closeIdle();
  }
  await pool.run("INSERT INTO item VALUES ('one')");
  t.deepEqual(await pool.get('SELECT count(*) AS rows FROM item'), { rows: 1 });
});

test('a write-ahead log that others make and remove, where the pool needs none, is no reason to refuse', async (t) => {
  const clock = new FakeClock();
  const { file, pool } = await withItems(t, { pragmas: { journal_mode: 'delete' } }, clock);
  // So that there is a connection at hand, and none is opened while others hold the file.
  await pool.get('SELECT count(*) FROM item');
  for (const mode of ['wal', 'delete', 'wal', 'delete']) {
    const db = new Database(file);
    db.pragma(`journal_mode = ${mode}`);
    db.prepare('SELECT * FROM item').all();
    t.is(existsSync(`${file}-wal`), mode === 'wal');
    await clock.pass(1000);
    // Looks at the file, and reads nothing: it would have its connection take part in the log.
    (await pool.acquire()).close();
    db.close();
  }
  t.deepEqual(await secondOn(file), { rows: 0 });
});

test('a file that has got another name is not judged by the log it left at the former', async (t) => {
  const { file, kept, pool } = await leftLog(t);
  linkSync(file, kept);
  rmSync(file);
  await pool.close();
  t.true(statSync(`${file}-wal`).size > 0);
  await using again = new SqlitePool(kept);
  const [first, second] = await Promise.all([again.acquire(), again.acquire()]);
  t.is(second.prepare('SELECT count(*) FROM item').pluck().get(), 0, 'its last transaction was left with its log');
  first.close();
  second.close();
});

test('a new file that was given the inode of the former is not opened beside its log', async (t) => {
  const { file, kept, pool } = await leftLog(t);
  const { ino } = statSync(file);
  rmSync(file);
  await pool.close();
  // Most file systems give the inode that was freed last; some, as tmpfs, none again.
  const others: string[] = [];
  for (let attempt = 0; attempt < 50; attempt++) {
    const other = `${kept}-${attempt}`;
    writeFileSync(other, '');
    others.push(other);
    if (statSync(other).ino === ino) break;
  }
  renameSync(others.at(-1) as string, file);
  await t.throwsAsync(secondOn(file), isRefused);
});

test('a pool that was dropped without close stands in the way of nothing, once it is collected', async (t) => {
  const file = temporaryFile(t);
  const dropped = await (async () => {
    const pool = new SqlitePool(file, { name: 'dropped' });
    await pool.run('CREATE TABLE item (name TEXT)');
    return new WeakRef(pool);
  })();
  t.true(await collected(() => dropped.deref() === undefined, 400));
  // As a backup is put back: the file keeps its identity, and what was beside it has gone.
  for (const end of ['-wal', '-shm']) rmSync(`${file}${end}`, { force: true });
  await using pool = new SqlitePool(file);
  await pool.run('CREATE TABLE IF NOT EXISTS item (name TEXT)');
  t.deepEqual(await secondOn(file), { rows: 0 });
});
