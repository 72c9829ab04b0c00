import { cpSync, existsSync, linkSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import Database from 'better-sqlite3';
import type { Clock } from '../../lib/clock.ts';
import { createPool, type SqlitePoolOptions } from '../../lib/index.ts';
import { SqlitePool } from '../../lib/sqlite/pool.ts';
import { FakeClock } from '../support/clock.ts';
import { temporaryDirectory, temporaryFile } from '../support/files.ts';
import { settled } from '../support/gate.ts';
import { collected } from '../support/gc.ts';
import { temporaryPool } from '../support/sqlite.ts';

const table = 'CREATE TABLE IF NOT EXISTS item (name TEXT)';
const insert = 'INSERT INTO item VALUES (?)';

/** Asserts that a writer of one pool keeps those of the other out, waiting and not, and lets them in when it is done. */
async function assertShared(t: ExecutionContext, one: SqlitePool, other: SqlitePool): Promise<void> {
  await one.run(table);
  await other.run('DELETE FROM item');
  const holder = await one.acquire({ write: true, label: 'holder' });
  t.is(other.stats().laneHeld, 1);
  const reader = await other.acquire();
  t.throws(() => reader.prepare(insert).run('early'), { code: 'ERR_LEASEHOLD_WRITE_LOCKED' });
  t.is(other.tryAcquire({ write: true }), undefined);
  let begun = false;
  const waiting = other.transaction((tx) => {
    begun = true;
    return tx.prepare(insert).run('in turn').changes;
  });
  await settled();
  t.false(begun);
  t.is(one.stats().laneWaiting, 1);
  holder.prepare(insert).run('first');
  holder.close();
  t.is(await waiting, 1);
  t.is(reader.prepare(insert).run('free').changes, 1);
  reader.close();
  t.deepEqual(await one.all(`SELECT * FROM item`), [{ name: 'first' }, { name: 'in turn' }, { name: 'free' }]);
  t.like(one.stats(), { laneHeld: 0, laneWaiting: 0 });
  t.like(other.stats(), { laneHeld: 0, laneWaiting: 0 });
}

test('two pools of one file share its lane', async (t) => {
  const file = temporaryFile(t);
  await assertShared(t, temporaryPool(t, {}, file), temporaryPool(t, {}, file));
});

test('a pool of a symbolic link shares the lane of the file', async (t) => {
  const file = temporaryFile(t);
  const pool = temporaryPool(t, {}, file);
  await pool.ready();
  symlinkSync(file, `${file}.link`);
  await assertShared(t, pool, temporaryPool(t, {}, `${file}.link`));
});

test('a pool of a hard link shares the lane of the file', async (t) => {
  const directory = temporaryDirectory(t);
  const file = join(directory, 'app.db');
  // A WAL belongs to a name, so what two names share must be in no WAL.
  const pragmas = { journal_mode: 'DELETE' };
  const pool = temporaryPool(t, { pragmas }, file);
  await pool.ready();
  linkSync(file, join(directory, 'hard.db'));
  await assertShared(t, pool, temporaryPool(t, { pragmas }, join(directory, 'hard.db')));
});

test('another copy of the package in the process shares the lanes', async (t) => {
  const copy = await otherCopy(t);
  t.not(copy, createPool, 'It has modules of its own');
  const file = temporaryFile(t);
  const other = copy(file);
  t.teardown(() => other.close({ timeout: 0 }));
  await assertShared(t, temporaryPool(t, {}, file), other);
  await assertShared(t, other, temporaryPool(t, {}, file));
});

test('a transaction of one copy of the package is named to those who wait in another, and can be waited for in vain', async (t) => {
  const copy = await otherCopy(t);
  const file = temporaryFile(t);
  const other = copy(file, { name: 'copy' });
  t.teardown(() => other.close({ timeout: 0 }));
  await other.run(table);
  const pool = temporaryPool(t, {}, file);
  await pool.run(table);
  const holder = await other.acquire({ write: true, label: 'elsewhere' });
  const error = await t.throwsAsync(pool.run(insert, ['x'], { timeout: 5 }), {
    code: 'ERR_LEASEHOLD_WRITE_TIMEOUT',
    message: /elsewhere\s+write scope of pool "copy"/,
  });
  t.like(error, { holder: { pool: 'copy', label: 'elsewhere', kind: 'write scope' } });
  holder.close();
});

test('pools of different files do not wait for each other', async (t) => {
  const [one, other] = [temporaryPool(t), temporaryPool(t)];
  await one.run(table);
  await other.run(table);
  const holder = await one.acquire({ write: true });
  t.is(other.stats().laneHeld, 0);
  t.like(await other.run(insert, ['free']), { changes: 1 });
  await other.withConnection((db) => t.is(db.prepare(insert).run('free').changes, 1));
  t.is(one.stats().laneHeld, 1);
  holder.close();
});

test('a file put in the place of the first has a lane of its own', async (t) => {
  const file = temporaryFile(t);
  const pool = temporaryPool(t, {}, file);
  await pool.run(table);
  const holder = await pool.acquire({ write: true });
  // With all that belongs to it: else the new one would be mixed with that, and is not opened.
  for (const end of ['', '-wal', '-shm']) renameSync(`${file}${end}`, `${file}.old${end}`);
  const other = temporaryPool(t, {}, file);
  t.like(await other.run(table), { changes: 0 });
  t.is(pool.stats().laneHeld, 1);
  t.is(other.stats().laneHeld, 0);
  holder.close();
  // The pool goes by the connection it writes on, once it has one of the new file.
  await pool.drain();
  const again = await other.acquire({ write: true });
  const waiting = pool.run(insert, ['new']);
  await settled();
  t.is(other.stats().laneWaiting, 1);
  again.close();
  t.like(await waiting, { changes: 1 });
  t.is(await other.get('SELECT count(*) AS n FROM item').then((row) => (row as { n: number }).n), 1);
});

/** `createPool` of a second copy of the library, with modules of its own and the same dependencies. */
async function otherCopy(t: ExecutionContext): Promise<typeof createPool> {
  const directory = temporaryDirectory(t);
  const lib = fileURLToPath(new URL('../../lib', import.meta.url));
  cpSync(lib, join(directory, 'lib'), { recursive: true });
  writeFileSync(join(directory, 'package.json'), '{"type":"module"}');
  // …/node_modules/better-sqlite3/lib/index.js
  const modules = dirname(dirname(dirname(fileURLToPath(import.meta.resolve('better-sqlite3')))));
  symlinkSync(modules, join(directory, 'node_modules'));
  const index = pathToFileURL(join(directory, 'lib', `index${extname(import.meta.url)}`));
  const copy = (await import(index.href)) as { readonly createPool: typeof createPool };
  return copy.createPool;
}

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
  t.true(await collected(() => dropped.deref() === undefined));
  // As a backup is put back: the file keeps its identity, and what was beside it has gone.
  for (const end of ['-wal', '-shm']) rmSync(`${file}${end}`, { force: true });
  await using pool = new SqlitePool(file);
  await pool.run('CREATE TABLE IF NOT EXISTS item (name TEXT)');
  t.deepEqual(await secondOn(file), { rows: 0 });
});
