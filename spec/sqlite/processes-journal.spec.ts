import { existsSync } from 'node:fs';
import test from 'ava';
import type { SqlitePool } from '../../lib/index.ts';
import { journalNeighbours, longBusyTimeout, turnsUntil, watch } from '../support/processes.ts';

// Without a WAL. BEGIN IMMEDIATE lets readers be; COMMIT has to wait until they are done, and lets no new one in.

const update = 'UPDATE n SET x = 2';
const read = 'SELECT x FROM n';

const writes: Record<string, (pool: SqlitePool, timeout?: number, signal?: AbortSignal) => Promise<unknown>> = {
  'transaction()': (pool, timeout, signal) =>
    pool.transaction((tx) => tx.prepare(update).run(), { label: 'order', timeout, signal }),
  'transaction() on a bound lease': (pool, timeout, signal) =>
    pool.withConnection(() => pool.transaction((tx) => tx.prepare(update).run(), { label: 'order', timeout, signal })),
  'run()': (pool, timeout, signal) => pool.run(update, [], { label: 'order', timeout, signal }),
  // better-sqlite3's get() stops at the row, and says nothing of a COMMIT that fails afterwards.
  'get() of UPDATE … RETURNING': (pool, timeout, signal) =>
    pool.get(`${update} RETURNING x`, [], { label: 'order', timeout, signal }),
};

for (const [name, write] of Object.entries(writes)) {
  test(`the COMMIT of ${name} that meets another process's reader is tried again until he is done`, async (t) => {
    const { pool, other, refusals } = await journalNeighbours(t);
    await other.exec('BEGIN');
    t.is(await other.value(read), 1);
    const writing = watch(write(pool));
    const turns = await turnsUntil(() => writing.settled || refusals() >= 3);
    t.true(turns > 1, 'The loop turned between the attempts');
    t.false(writing.settled);
    t.is(await other.value(read), 1, 'He still has his snapshot');
    await other.exec('COMMIT');
    await writing.done;
    t.is(await other.value(read), 2);
    t.deepEqual(await pool.all(read), [{ x: 2 }]);
    t.like(pool.stats(), { leased: 0, laneHeld: 0 });
  });

  test(`the deadline of the COMMIT of ${name} rolls back`, async (t) => {
    const { pool, other, file } = await journalNeighbours(t);
    await other.exec('BEGIN');
    await other.value(read);
    const before = performance.now();
    const error = await t.throwsAsync(write(pool, 120), { code: 'ERR_LEASEHOLD_WRITE_TIMEOUT' });
    t.like(error, { label: 'order', timeout: 120, cause: { code: 'SQLITE_BUSY' } });
    t.true(performance.now() - before < longBusyTimeout / 2, 'It has not waited inside SQLite');
    t.false(existsSync(`${file}-journal`), 'There is nothing left to roll back');
    t.is(await other.value(read), 1);
    await other.exec('COMMIT');
    t.is(await other.value(read), 1);
    t.deepEqual(await pool.all(read), [{ x: 1 }]);
    t.is(pool.stats().counters.timeouts, 1);
    await other.exec('BEGIN IMMEDIATE; COMMIT');
  });

  test(`an abort while the COMMIT of ${name} waits rolls back`, async (t) => {
    const { pool, other, refusals } = await journalNeighbours(t);
    await other.exec('BEGIN');
    await other.value(read);
    const controller = new AbortController();
    const writing = watch(write(pool, undefined, controller.signal));
    await turnsUntil(() => writing.settled || refusals() >= 2);
    controller.abort();
    await t.throwsAsync(writing.done, { code: 'ABORT_ERR' });
    await other.exec('COMMIT');
    t.is(await other.value(read), 1);
    t.like(pool.stats(), { leased: 0, laneHeld: 0 });
    await pool.run(update);
    t.is(await other.value(read), 2);
  });
}

test('an INSERT that is tried again at its COMMIT is there once', async (t) => {
  const { pool, other, refusals } = await journalNeighbours(t);
  await other.exec('BEGIN');
  await other.value(read);
  const writing = pool.run('INSERT INTO n VALUES (2)');
  await turnsUntil(() => refusals() >= 3);
  await other.exec('COMMIT');
  t.is((await writing).changes, 1);
  t.deepEqual(await pool.all('SELECT x FROM n ORDER BY x'), [{ x: 1 }, { x: 2 }]);
});

test('a transaction larger than its cache is kept whole, or not at all, by a COMMIT that has to wait', async (t) => {
  const { pool, other, refusals } = await journalNeighbours(t, {
    pragmas: { journal_mode: 'DELETE', cache_size: 5, cache_spill: 5 },
  });
  const fill = (timeout?: number) =>
    pool.transaction(
      (tx) => {
        const insert = tx.prepare('INSERT INTO n SELECT zeroblob(3000) FROM (VALUES (1), (2), (3), (4), (5))');
        for (let round = 0; round < 20; round++) insert.run();
      },
      { timeout },
    );
  await other.exec('BEGIN');
  await other.value(read);
  await t.throwsAsync(fill(120), { code: 'ERR_LEASEHOLD_WRITE_TIMEOUT' });
  t.is(await other.value('SELECT count(*) FROM n'), 1);
  t.deepEqual(await pool.all('SELECT count(*) AS count FROM n'), [{ count: 1 }]);

  const before = refusals();
  const filling = fill();
  await turnsUntil(() => refusals() >= before + 2);
  await other.exec('COMMIT');
  await filling;
  t.is(await other.value('SELECT count(*) FROM n'), 101);
  t.is(await other.value('PRAGMA integrity_check'), 'ok');
});

const reads: Record<string, (pool: SqlitePool, timeout?: number) => Promise<unknown>> = {
  'read()': (pool, timeout) => pool.read((db) => db.prepare(read).all(), { label: 'look', timeout }),
  'read() on a bound lease': (pool, timeout) =>
    pool.withConnection(() => pool.read((db) => db.prepare(read).all(), { label: 'look', timeout })),
  'all() of a query': (pool, timeout) => pool.all(read, [], { label: 'look', timeout }),
  'all() of a query on a bound lease': (pool, timeout) =>
    pool.withConnection(() => pool.all(read, [], { timeout }), { label: 'look' }),
};

for (const [name, look] of Object.entries(reads)) {
  test(`${name} waits for another process that keeps readers out, with a free event loop`, async (t) => {
    const { pool, other, refusals } = await journalNeighbours(t);
    await other.exec(`BEGIN EXCLUSIVE; ${update}`);
    const reading = watch(look(pool));
    const turns = await turnsUntil(() => refusals() >= 3);
    t.true(turns > 1);
    t.false(reading.settled);
    t.is(pool.stats().laneHeld, 0, 'A reader needs no turn');
    await other.exec('COMMIT');
    t.deepEqual(await reading.done, [{ x: 2 }]);
  });

  test(`the deadline of ${name} tells of another process that keeps readers out`, async (t) => {
    const { pool, other } = await journalNeighbours(t);
    await other.exec('BEGIN EXCLUSIVE');
    const error = await t.throwsAsync(look(pool, 120), { code: 'ERR_LEASEHOLD_WRITE_TIMEOUT' });
    t.like(error, { label: 'look', timeout: 120, cause: { code: 'SQLITE_BUSY' } });
    await other.exec('COMMIT');
    t.deepEqual(await look(pool), [{ x: 1 }]);
    t.like(pool.stats(), { leased: 0 });
  });
}
