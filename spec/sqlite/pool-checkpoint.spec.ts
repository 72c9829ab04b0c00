import { statSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import type { CheckpointMode, LeasedDatabase } from '../../lib/index.ts';
import { SqlitePool } from '../../lib/sqlite/pool.ts';
import { FakeClock } from '../support/clock.ts';
import { temporaryFile } from '../support/files.ts';
import { rawDatabase, temporaryPool, wrong } from '../support/sqlite.ts';

const modes: readonly CheckpointMode[] = ['passive', 'full', 'restart', 'truncate'];
const waiting = modes.filter((mode) => mode !== 'passive');

// If a checkpoint waited by blocking, it would do so for this long, and so for longer than the test may take.
const forEver = 2 ** 31 - 1;

async function writtenPool(t: ExecutionContext, options: object = {}): Promise<SqlitePool> {
  return written(temporaryPool(t, { busyTimeout: forEver, ...options }));
}

/** As `writtenPool`, with deadlines that pass when they are told to. */
async function timedPool(t: ExecutionContext, options: object = {}) {
  const clock = new FakeClock();
  const pool = new SqlitePool(temporaryFile(t), { busyTimeout: forEver, ...options }, clock);
  t.teardown(() => pool.close({ timeout: 0 }));
  return { pool: await written(pool), clock };
}

async function written(pool: SqlitePool): Promise<SqlitePool> {
  await pool.withConnection((db) => db.exec('CREATE TABLE a (x); INSERT INTO a VALUES (1)'));
  return pool;
}

/** A reader that holds on to what the database is now, and after which more was written. */
async function staleReader(pool: SqlitePool): Promise<LeasedDatabase> {
  const reader = await pool.acquire({ label: 'reader' });
  reader.exec('BEGIN');
  reader.prepare('SELECT * FROM a').all();
  await pool.run('INSERT INTO a VALUES (2)');
  return reader;
}

/** Lets the event loop turn until it has fired so many timers. */
async function ticks(count: number): Promise<void> {
  for (let tick = 0; tick < count; tick++) {
    await new Promise((resolve) => {
      setTimeout(resolve, 1);
    });
  }
}

for (const mode of modes) {
  test(`a ${mode} checkpoint brings the WAL into the file, and tells how much`, async (t) => {
    const pool = await writtenPool(t);
    t.true(statSync(`${pool.db.name}-wal`).size > 0);
    const result = await pool.checkpoint(mode);
    t.deepEqual(Object.keys(result).toSorted(), ['busy', 'checkpointed', 'log']);
    t.false(result.busy);
    t.is(result.log, result.checkpointed);
    t.is(result.log > 0, mode !== 'truncate', 'A truncated WAL has no pages left');
    t.is(statSync(`${pool.db.name}-wal`).size > 0, mode !== 'truncate');
    t.like(pool.stats(), { leased: 0, size: 1 });
  });
}

test('the mode is passive unless another is given', async (t) => {
  const pool = await writtenPool(t);
  await using reader = await staleReader(pool);
  const result = await pool.checkpoint();
  t.false(result.busy);
  t.true(result.checkpointed < result.log, 'It leaves what a reader is still in need of');
  reader.exec('ROLLBACK');
});

for (const mode of waiting) {
  test(`a ${mode} checkpoint waits for a reader with a free event loop`, async (t) => {
    const pool = await writtenPool(t);
    const reader = await staleReader(pool);
    let result: unknown;
    const checkpoint = pool.checkpoint(mode).then((done) => {
      result = done;
    });
    await ticks(5);
    t.is(result, undefined, 'It waits');
    t.deepEqual(await pool.all('SELECT x FROM a'), [{ x: 1 }, { x: 2 }], 'Meanwhile others work');
    reader.exec('COMMIT');
    reader.close();
    await checkpoint;
    t.like(result, { busy: false });
    t.like(pool.stats(), { leased: 0 });
  });

  test(`a ${mode} checkpoint that is still blocked at its timeout says so`, async (t) => {
    const { pool, clock } = await timedPool(t);
    await using reader = await staleReader(pool);
    let ended = false;
    const checkpoint = pool.checkpoint(mode, { timeout: 30 }).finally(() => {
      ended = true;
    });
    await clock.pass(29);
    await ticks(3);
    t.false(ended);
    await clock.pass(1);
    t.true((await checkpoint).busy);
    t.true(reader.inTransaction, 'Nothing was taken from the reader');
    reader.exec('ROLLBACK');
  });

  test(`a ${mode} checkpoint waits for a writer too`, async (t) => {
    const pool = await writtenPool(t);
    const writer = await pool.acquire();
    writer.exec('BEGIN IMMEDIATE; INSERT INTO a VALUES (3)');
    let done = false;
    const checkpoint = pool.checkpoint(mode).finally(() => {
      done = true;
    });
    await ticks(5);
    t.false(done);
    writer.exec('COMMIT');
    writer.close();
    t.like(await checkpoint, { busy: false });
  });
}

test('an aborted checkpoint stops waiting, and leaves no lease behind', async (t) => {
  const pool = await writtenPool(t);
  await using reader = await staleReader(pool);
  const controller = new AbortController();
  const checkpoint = pool.checkpoint('truncate', { signal: controller.signal });
  await ticks(3);
  controller.abort();
  await t.throwsAsync(checkpoint, { code: 'ABORT_ERR' });
  t.like(pool.stats(), { leased: 1, waiting: 0 });
  reader.exec('ROLLBACK');
});

test('while it waits, a checkpoint holds no connection', async (t) => {
  const pool = await writtenPool(t, { max: 2 });
  const reader = await staleReader(pool);
  const checkpoint = pool.checkpoint('full');
  await ticks(3);
  const other = await pool.acquire();
  t.true(other.open);
  other.close();
  reader.exec('ROLLBACK');
  reader.close();
  t.like(await checkpoint, { busy: false });
});

test('busyTimeout is in force again after a checkpoint, blocked or not', async (t) => {
  const { pool, clock } = await timedPool(t, { busyTimeout: 77, max: 2 });
  const reader = await staleReader(pool);
  const blocked = pool.checkpoint('truncate', { timeout: 10 });
  await clock.pass(10);
  t.true((await blocked).busy);
  const timeouts = () => pool.withConnection((db) => db.pragma('busy_timeout', { simple: true }));
  t.is(await timeouts(), 77);
  reader.exec('ROLLBACK');
  reader.close();
  await pool.checkpoint('truncate');
  t.is(await timeouts(), 77);
});

test('in a scope a checkpoint runs on its connection, and so not within its transaction', async (t) => {
  const pool = await writtenPool(t, { max: 1 });
  await pool.withConnection(async (db) => {
    t.like(await pool.checkpoint('truncate'), { busy: false, log: 0 });
    db.exec('BEGIN; INSERT INTO a VALUES (4)');
    await t.throwsAsync(pool.checkpoint('passive'), { code: 'SQLITE_LOCKED', message: 'database table is locked' });
    t.true(db.inTransaction);
    db.exec('ROLLBACK');
  });
});

test('a checkpoint is not counted as something its connection was left with', async (t) => {
  const pool = await writtenPool(t, { max: 1 });
  for (const mode of modes) await pool.checkpoint(mode);
  t.like(pool.stats().counters, { dirty: 0, discarded: 0, opened: 1 });
});

test('a database without a WAL tells -1', async (t) => {
  const pool = temporaryPool(t, {}, ':memory:');
  await pool.run('CREATE TABLE a (x)');
  t.deepEqual(await pool.checkpoint('full'), { busy: false, log: -1, checkpointed: -1 });
});

test('what it brings over is in the file for everybody', async (t) => {
  const pool = await writtenPool(t);
  await pool.checkpoint('truncate');
  await pool.close();
  t.is(rawDatabase(t, pool.db.name).prepare('SELECT x FROM a').pluck().get(), 1);
});

test('an unknown mode and wrong options reject', async (t) => {
  const pool = await writtenPool(t);
  for (const mode of ['TRUNCATE', 'fast', 1, null, {}]) {
    await t.throwsAsync(pool.checkpoint(wrong(mode)), {
      code: 'ERR_LEASEHOLD_OPTIONS',
      message: /passive, full, restart, truncate/,
    });
  }
  await t.throwsAsync(pool.checkpoint('full', wrong({ timeout: -1 })), { code: 'ERR_LEASEHOLD_OPTIONS' });
});
