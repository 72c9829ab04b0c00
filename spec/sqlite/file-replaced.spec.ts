import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import Database from 'better-sqlite3';
import type { PoolEvents, SqlitePoolOptions } from '../../lib/index.ts';
import { SqlitePool } from '../../lib/sqlite/pool.ts';
import { FakeClock } from '../support/clock.ts';
import { temporaryFile } from '../support/files.ts';
import { settled } from '../support/gate.ts';

/** A database of one row, alone: without a write-ahead log of its own. */
function makeFile(file: string, name: string, journal = 'wal'): string {
  const db = new Database(file);
  db.pragma(`journal_mode = ${journal}`);
  db.exec('CREATE TABLE item (name TEXT)');
  db.prepare('INSERT INTO item VALUES (?)').run(name);
  db.close();
  return file;
}

async function opened(t: ExecutionContext, options: SqlitePoolOptions = {}, file = temporaryFile(t)) {
  const clock = new FakeClock();
  makeFile(file, 'former', String(options.pragmas?.['journal_mode'] ?? 'wal'));
  const pool = new SqlitePool(file, { name: 'app', ...options }, clock);
  t.teardown(() => pool.close({ timeout: 0 }));
  const told: PoolEvents['replace'][] = [];
  pool.on('replace', (event) => told.push(event));
  const names = () =>
    pool.all('SELECT name FROM item').then((rows) => rows.map((row) => (row as { name: string }).name));
  t.deepEqual(await names(), ['former']);
  return { clock, pool, file, told, names };
}

function removeAll(file: string): void {
  for (const end of ['', '-wal', '-shm']) rmSync(`${file}${end}`, { force: true });
}

/** Nobody is given a connection for as long as one to the former is in use. */
async function refused(t: ExecutionContext, pool: SqlitePool, clock: FakeClock, leftover: string): Promise<void> {
  const attempt = t.throwsAsync<Error>(pool.withConnection(() => {}, { fresh: true, timeout: 10 }));
  await clock.pass(10);
  const error = await attempt;
  const reasons = `${error.message} ${(error?.cause as Error | undefined)?.message}`;
  t.true(reasons.includes(`${leftover}" belongs to a file`), reasons);
}

function integrity(t: ExecutionContext, file: string): void {
  const db = new Database(file, { readonly: true });
  t.is(db.pragma('integrity_check', { simple: true }), 'ok');
  db.close();
}

test('a file that is properly replaced is found within a second, by readers and writers', async (t) => {
  const { clock, pool, file, told, names } = await opened(t);
  await pool.run("INSERT INTO item VALUES ('late')");
  removeAll(file);
  makeFile(file, 'present');
  await clock.pass(1000);
  await pool.run("INSERT INTO item VALUES ('new')");
  t.deepEqual(await names(), ['present', 'new']);
  t.like(told[0], { target: file, reason: 'another file is in its place', retired: 2 });
  t.is(told.length, 1);
  t.like(pool.stats(), { leased: 0, waiting: 0, laneHeld: 0, laneWaiting: 0 });
  await pool.close();
  t.deepEqual(readdirSync(dirname(file)), ['app.db']);
  integrity(t, file);
});

test('a file that is moved over the open one is not opened beside the write-ahead log of the former', async (t) => {
  const { clock, pool, file, told, names } = await opened(t);
  // SQLite itself would apply this to the new file, and call the result intact.
  await pool.run("UPDATE item SET name = 'mixture'");
  const other = makeFile(join(dirname(file), 'other.db'), 'present');
  renameSync(other, file);
  await clock.pass(1000);
  const error = await t.throwsAsync<Error>(names, { code: 'ERR_LEASEHOLD_OPEN' });
  t.true(error.message.includes(`"${file}-wal" belongs to a file that was open by this name before`), error.message);
  t.is(told.length, 1);
  await t.throwsAsync(pool.run("INSERT INTO item VALUES ('new')"), { code: 'ERR_LEASEHOLD_OPEN' });
  for (const end of ['-wal', '-shm']) rmSync(`${file}${end}`);
  await clock.pass(2000);
  t.deepEqual(await names(), ['present'], 'and what is left of the former is not in it');
  await pool.run("INSERT INTO item VALUES ('new')");
  t.deepEqual(await names(), ['present', 'new']);
  integrity(t, file);
});

test('an empty log of the former is in nobody’s way once its connections are closed', async (t) => {
  const { clock, pool, file, names } = await opened(t);
  await pool.checkpoint('truncate');
  const other = makeFile(join(dirname(file), 'other.db'), 'present');
  await pool.withConnection(async (db) => {
    db.exec('BEGIN');
    db.prepare('SELECT * FROM item').all();
    renameSync(other, file);
    await clock.pass(1000);
    // On the connection in use more could be written to the log, of which the new file would then be taken to consist.
    await refused(t, pool, clock, '-wal');
  });
  await clock.pass(2000);
  t.deepEqual(await names(), ['present']);
  integrity(t, file);
});

test('a file that is gone is not made anew beside its log, and is as it was when it is back', async (t) => {
  const { clock, pool, file, told, names } = await opened(t);
  await pool.run("INSERT INTO item VALUES ('kept')");
  renameSync(file, `${file}.away`);
  await clock.pass(1000);
  const error = await t.throwsAsync<Error>(names, { code: 'ERR_LEASEHOLD_OPEN' });
  t.regex(error.message, /-wal" belongs to a file that was open by this name before/);
  t.false(existsSync(file));
  t.like(told[0], { reason: 'its file is gone' });
  renameSync(`${file}.away`, file);
  await clock.pass(2000);
  t.deepEqual(await names(), ['former', 'kept'], 'nothing that was committed is lost');
});

test('a file that is removed with all that belongs to it is made anew, as at the first time', async (t) => {
  const { clock, pool, file, told } = await opened(t);
  removeAll(file);
  await clock.pass(1000);
  await t.throwsAsync(pool.get('SELECT * FROM item'), { message: /no such table/ });
  t.like(told[0], { reason: 'its file is gone' });
  await pool.run('CREATE TABLE item (name TEXT)');
  t.true(existsSync(file));
});

test('a link that is made to lead elsewhere counts as a replacement', async (t) => {
  const target = temporaryFile(t, 'first.db');
  const file = join(dirname(target), 'app.db');
  symlinkSync(target, file);
  const { clock, told, names } = await opened(t, {}, file);
  const other = makeFile(join(dirname(file), 'second.db'), 'present');
  rmSync(file);
  symlinkSync(other, file);
  await clock.pass(1000);
  t.deepEqual(await names(), ['present']);
  t.is(told.length, 1);
});

test('what is open on the former goes on there, and the next transaction is on the new one', async (t) => {
  const { clock, pool, file, names } = await opened(t);
  await pool.transaction(async (tx) => {
    tx.prepare("INSERT INTO item VALUES ('lost')").run();
    removeAll(file);
    makeFile(file, 'present');
    await clock.pass(1000);
    t.deepEqual(await pool.withConnection((db) => db.prepare('SELECT name FROM item').pluck().all(), { fresh: true }), [
      'present',
    ]);
    t.deepEqual(tx.prepare('SELECT name FROM item').pluck().all(), ['former', 'lost']);
  });
  await pool.transaction((tx) => void tx.prepare("INSERT INTO item VALUES ('new')").run());
  t.deepEqual(await names(), ['present', 'new']);
  t.like(pool.stats(), { leased: 0, waiting: 0, laneHeld: 0, laneWaiting: 0 });
});

test('a file in rollback-journal mode is not opened beside the journal of a transaction on the former', async (t) => {
  const { clock, pool, file, names } = await opened(t, { pragmas: { journal_mode: 'delete' } });
  const other = makeFile(join(dirname(file), 'other.db'), 'present', 'delete');
  await pool.transaction(async (tx) => {
    tx.prepare("UPDATE item SET name = 'mixture'").run();
    renameSync(other, file);
    await clock.pass(1000);
    t.true(existsSync(`${file}-journal`));
    await refused(t, pool, clock, '-journal');
  });
  await clock.pass(2000);
  t.deepEqual(await names(), ['present']);
  integrity(t, file);
});

test('a read-only pool follows its file, too', async (t) => {
  const { clock, file, names, told } = await opened(t, { readonly: true, pragmas: { journal_mode: 'delete' } });
  renameSync(makeFile(join(dirname(file), 'other.db'), 'present', 'delete'), file);
  await clock.pass(1000);
  t.deepEqual(await names(), ['present']);
  t.is(told.length, 1);
});

test('a file that is replaced while it is being opened is opened again', async (t) => {
  const file = temporaryFile(t);
  let opens = 0;
  class SlowDatabase extends Database {
    constructor(path: string, options?: Database.Options) {
      super(path, options);
      opens++;
      if (opens !== 1) return;
      removeAll(path);
      makeFile(path, 'present');
    }
  }
  makeFile(file, 'former');
  const clock = new FakeClock();
  const pool = new SqlitePool(file, { Database: SlowDatabase }, clock);
  t.teardown(() => pool.close({ timeout: 0 }));
  const reading = pool.all('SELECT name FROM item');
  await clock.pass(1000);
  t.deepEqual(await reading, [{ name: 'present' }]);
  t.is(opens, 2);
});

test('however often the file is replaced under load, each is whole, and nobody waits for ever', async (t) => {
  const { clock, pool, file, told } = await opened(t, { max: 3 });
  const whole = async (): Promise<void> => {
    await pool.transaction(async (tx) => {
      const before = tx.prepare('SELECT count(*) FROM item').pluck().get() as number;
      tx.prepare("INSERT INTO item VALUES ('one')").run();
      await settled();
      t.is(tx.prepare('SELECT count(*) FROM item').pluck().get(), before + 1);
    });
  };
  for (let round = 1; round <= 10; round++) {
    const load = [
      ...Array.from({ length: 5 }, whole),
      ...Array.from({ length: 5 }, () => pool.get('SELECT * FROM item')),
    ];
    await settled();
    removeAll(file);
    makeFile(file, `file ${round}`);
    await clock.pass(1000);
    await Promise.all(load);
    await clock.pass(1000);
    t.true((await pool.all('SELECT name FROM item')).some((row) => (row as { name: string }).name === `file ${round}`));
    integrity(t, file);
  }
  t.is(told.length, 10);
  t.like(pool.stats(), { leased: 0, waiting: 0, laneHeld: 0, laneWaiting: 0 });
});

/** A pool on a file that it has made itself, and another file to be put in its place. */
async function made(t: ExecutionContext, options: SqlitePoolOptions = {}) {
  const file = temporaryFile(t);
  const clock = new FakeClock();
  const pool = new SqlitePool(file, { name: 'app', ...options }, clock);
  t.teardown(() => pool.close({ timeout: 0 }));
  await pool.run('CREATE TABLE item (name TEXT)');
  await pool.run("INSERT INTO item VALUES ('former')");
  const other = makeFile(join(dirname(file), 'other.db'), 'present');
  return { file, clock, pool, other };
}

const isOpenedNot = { code: 'ERR_LEASEHOLD_OPEN', message: /belongs to a file that was open by this name before/ };

test('the log of a file that the pool has made itself is known, too', async (t) => {
  const { file, clock, pool, other } = await made(t);
  renameSync(other, file);
  await clock.pass(1000);
  await t.throwsAsync(pool.all('SELECT name FROM item'), isOpenedNot);
  await pool.close();
  for (const end of ['-wal', '-shm']) rmSync(`${file}${end}`, { force: true });
  const db = new Database(file);
  t.deepEqual(db.prepare('SELECT name FROM item').pluck().all(), ['present']);
  db.close();
});

const setWal = (db: Database.Database): unknown => db.pragma('journal_mode = WAL');

test('so is that of a mode which onOpen has set', async (t) => {
  const { file, clock, pool, other } = await made(t, { pragmas: { journal_mode: null }, onOpen: setWal });
  renameSync(other, file);
  await clock.pass(1000);
  await t.throwsAsync(pool.all('SELECT name FROM item'), isOpenedNot);
});

test('another pool of the process is kept from it as well, whenever it was made, and one that comes after a close', async (t) => {
  const { file, clock, pool, other } = await made(t);
  await using second = new SqlitePool(file, { name: 'second' });
  renameSync(other, file);
  await t.throwsAsync(second.all('SELECT name FROM item'), isOpenedNot);
  await clock.pass(1000);
  await t.throwsAsync(pool.all('SELECT name FROM item'), isOpenedNot);
  await pool.close();
  await using third = new SqlitePool(file, { name: 'third' });
  await t.throwsAsync(third.all('SELECT name FROM item'), isOpenedNot);
});

test('a connection to the former that comes back after a new one was opened is closed within a second', async (t) => {
  const { clock, pool, file, names } = await opened(t);
  const [first, second] = [await pool.acquire(), await pool.acquire()];
  removeAll(file);
  makeFile(file, 'present');
  await clock.pass(1000);
  const third = await pool.acquire();
  third.close();
  for (const db of [first, second]) db.close();
  await clock.pass(1000);
  t.deepEqual(await names(), ['present']);
  const all = await Promise.all(Array.from({ length: 3 }, () => pool.acquire()));
  for (const db of all) t.deepEqual(db.prepare('SELECT name FROM item').pluck().all(), ['present']);
  for (const db of all) db.close();
});

test('where a link leads elsewhere, what lies beside its former target is in nobody’s way', async (t) => {
  const target = temporaryFile(t, 'first.db');
  const file = join(dirname(target), 'app.db');
  symlinkSync(target, file);
  const { clock, pool, names } = await opened(t, {}, file);
  await pool.run("INSERT INTO item VALUES ('of the first')");
  const holder = await pool.acquire();
  const other = makeFile(join(dirname(file), 'second.db'), 'present');
  rmSync(file);
  symlinkSync(other, file);
  await clock.pass(1000);
  t.deepEqual(await names(), ['present']);
  t.is(holder.prepare('SELECT count(*) FROM item').pluck().get(), 2);
  holder.close();
});

test('the journal that another process has left of the former is not played back into the new file', async (t) => {
  const { clock, pool, file } = await opened(t, { pragmas: { journal_mode: 'delete' } });
  const program = `
    import Database from ${JSON.stringify(import.meta.resolve('better-sqlite3'))};
    const db = new Database(process.argv[1]);
    db.pragma('cache_size = 5');
    db.pragma('cache_spill = 5');
    db.exec("CREATE TABLE more (data); BEGIN IMMEDIATE");
    const insert = db.prepare('INSERT INTO more VALUES (zeroblob(1000))');
    for (let row = 0; row < 200; row++) insert.run();
    process.kill(process.pid, 'SIGKILL');`;
  spawnSync(process.execPath, ['--input-type=module', '-e', program, file]);
  t.true(existsSync(`${file}-journal`));
  renameSync(makeFile(join(dirname(file), 'other.db'), 'present', 'delete'), file);
  await clock.pass(1000);
  await t.throwsAsync(pool.all('SELECT name FROM item'), isOpenedNot);
  rmSync(`${file}-journal`);
  await clock.pass(2000);
  t.deepEqual(await pool.all('SELECT name FROM item'), [{ name: 'present' }]);
  integrity(t, file);
});

test('a file that is put back while a connection to it is still open is opened with the log it has there', async (t) => {
  const { clock, pool, file, names } = await opened(t);
  await pool.run("INSERT INTO item VALUES ('kept')");
  const holder = await pool.acquire();
  for (const end of ['', '-wal', '-shm']) renameSync(`${file}${end}`, `${file}.away${end}`);
  makeFile(file, 'present');
  await clock.pass(1000);
  t.deepEqual(await names(), ['present']);
  pool.closeIdle();
  removeAll(file);
  renameSync(`${file}.away`, file);
  await clock.pass(1000);
  // Its log is still away: with another beside it the file would be opened twice, each blind for what the other writes.
  await refused(t, pool, clock, '-wal');
  for (const end of ['-wal', '-shm']) renameSync(`${file}.away${end}`, `${file}${end}`);
  await clock.pass(2000);
  t.deepEqual(await names(), ['former', 'kept']);
  holder.close();
});
