import test, { type ExecutionContext } from 'ava';
import type { LeasedDatabase, SqlitePool } from '../../lib/index.ts';
import { gate } from '../support/gate.ts';
import { journalNeighbours, type Neighbours, neighbours, turnsUntil, watch } from '../support/processes.ts';

const read = (db: LeasedDatabase) => db.prepare('SELECT x FROM n').all();

const insert = 'INSERT INTO n VALUES (2)';

/** All that write and return a promise. Each writes a 2. */
const writes: Record<string, (pool: SqlitePool) => Promise<unknown>> = {
  'transaction()': (pool) => pool.transaction((tx) => tx.prepare(insert).run()),
  'transaction() in exclusive mode': (pool) =>
    pool.transaction((tx) => tx.prepare(insert).run(), { mode: 'exclusive' }),
  'transaction() on a bound lease': (pool) =>
    pool.withConnection(() => pool.transaction((tx) => tx.prepare(insert).run())),
  'an async db.transaction()': (pool) =>
    pool.withConnection((db) =>
      db.transaction(async () => {
        await pool.run(insert);
      })(),
    ),
  'run()': (pool) => pool.run(insert),
  'run() on a bound lease': (pool) => pool.withConnection(() => pool.run(insert)),
  'run() in a scope without a lease': (pool) => pool.withScope(() => pool.run(insert)),
  'run() in a write scope': (pool) => pool.withConnection(() => pool.run(insert), { write: true }),
  'get() of INSERT … RETURNING': (pool) => pool.get(`${insert} RETURNING x`),
  'get() of INSERT … RETURNING on a bound lease': (pool) =>
    pool.withConnection(() => pool.get(`${insert} RETURNING x`)),
  'all() of WITH … INSERT … RETURNING': (pool) =>
    pool.all('WITH two (x) AS (VALUES (2)) INSERT INTO n SELECT x FROM two RETURNING x'),
};

for (const [name, write] of Object.entries(writes)) {
  test(`${name} waits for another process's lock with a free event loop, and goes through`, async (t) => {
    const { pool, other, refusals } = await neighbours(t);
    await other.exec('BEGIN IMMEDIATE; UPDATE n SET x = 10');
    const writing = watch(write(pool));

    const turns = await turnsUntil(() => refusals() >= 3);
    t.true(turns > 1, 'The loop turned between the attempts');
    t.deepEqual(await pool.all('SELECT x FROM n'), [{ x: 1 }]);
    t.deepEqual(await pool.read(read), [{ x: 1 }]);
    const before = refusals();
    await turnsUntil(() => refusals() > before);
    t.false(writing.settled);
    t.is(pool.stats().laneHeld, 1);

    await other.exec('COMMIT');
    await writing.done;
    t.deepEqual(await pool.all('SELECT x FROM n ORDER BY x'), [{ x: 2 }, { x: 10 }]);
    t.is(await other.value('SELECT count(*) FROM n'), 2);
    t.like(pool.stats(), { laneHeld: 0, laneWaiting: 0, leased: 0 });
  });
}

test('what waits for another process and what waits in the lane behind it go through in order', async (t) => {
  const { pool, other, refusals } = await neighbours(t);
  await other.exec('BEGIN IMMEDIATE');
  const order: number[] = [];
  const writing = [1, 2, 3, 4].map((number) => pool.transaction(() => void order.push(number)));
  await turnsUntil(() => refusals() >= 3);
  t.deepEqual(order, []);
  t.like(pool.stats(), { laneHeld: 1, laneWaiting: 3, leased: 1 });
  await other.exec('COMMIT');
  await Promise.all(writing);
  t.deepEqual(order, [1, 2, 3, 4]);
});

test('deferred transactions and snapshots begin while another process holds the lock', async (t) => {
  const { pool, other } = await neighbours(t);
  await other.exec('BEGIN IMMEDIATE; UPDATE n SET x = 10');
  t.deepEqual(await pool.transaction(read, { mode: 'deferred' }), [{ x: 1 }]);
  t.deepEqual(await pool.read(read), [{ x: 1 }]);
  await other.exec('ROLLBACK');
});

// Without a WAL this process can stand in its own way. No statement waits for that inside SQLite: it would wait for the
// whole busy timeout, which is 20 s here, while the holder of the lock could not go on.

const update = 'UPDATE n SET x = 2';
const readSql = 'SELECT x FROM n';

/** Three connections that are open and free, beside the lane's, and set to wait for locks. */
async function warm(pool: SqlitePool): Promise<void> {
  const leases = await Promise.all([pool.acquire(), pool.acquire(), pool.acquire()]);
  for (const lease of leases) lease.prepare(readSql).get();
  for (const lease of leases) lease.close();
}

/** Neighbours of whom the other reads, and a transaction of this process whose COMMIT waits for that. */
async function committing(t: ExecutionContext): Promise<Neighbours & { done: Promise<unknown> }> {
  const all = await journalNeighbours(t);
  await warm(all.pool);
  await all.other.exec('BEGIN');
  await all.other.value(readSql);
  const { done } = watch(all.pool.transaction((tx) => tx.prepare(update).run()));
  await turnsUntil(() => all.refusals() >= 2);
  return { ...all, done };
}

test('a synchronous read while a COMMIT of this process waits does not wait, and says that the file is locked', async (t) => {
  const { pool, other, done } = await committing(t);
  const db = await pool.acquire();
  const before = performance.now();
  t.throws(() => db.prepare(readSql).all(), { code: 'SQLITE_BUSY' });
  t.throws(() => db.prepare(update).run(), { code: 'ERR_LEASEHOLD_WRITE_LOCKED' });
  t.throws(() => db.exec(readSql), { code: 'SQLITE_BUSY' });
  t.throws(() => db.transaction(() => db.prepare(readSql).all())(), { code: 'SQLITE_BUSY' });
  // Compared with what each of these would have waited.
  t.true(performance.now() - before < 10_000);
  await other.exec('COMMIT');
  await done;
  t.deepEqual(db.prepare(readSql).all(), [{ x: 2 }]);
  db.close();
});

const looks: Record<string, (pool: SqlitePool) => Promise<unknown>> = {
  'read()': (pool) => pool.read((db) => db.prepare(readSql).all()),
  'all()': (pool) => pool.all(readSql),
  'all() on a bound lease': (pool) => pool.withConnection(() => pool.all(readSql)),
};

for (const [name, look] of Object.entries(looks)) {
  test(`${name} waits with a free event loop for a COMMIT of this process`, async (t) => {
    const { pool, other, done, refusals } = await committing(t);
    const reading = watch(look(pool));
    const before = refusals();
    t.true((await turnsUntil(() => reading.settled || refusals() >= before + 6)) > 1);
    t.false(reading.settled);
    await other.exec('COMMIT');
    await done;
    t.deepEqual(await reading.done, [{ x: 2 }]);
  });

  test(`${name} waits with a free event loop for an exclusive transaction of this process`, async (t) => {
    const { pool, refusals } = await journalNeighbours(t);
    await warm(pool);
    const [begun, end] = [gate(), gate()];
    const writing = pool.transaction(
      async (tx) => {
        tx.prepare(update).run();
        begun.open();
        await end.passed;
      },
      { mode: 'exclusive' },
    );
    await begun.passed;
    const reading = watch(look(pool));
    t.true((await turnsUntil(() => reading.settled || refusals() >= 3)) > 1);
    t.false(reading.settled);
    end.open();
    await writing;
    t.deepEqual(await reading.done, [{ x: 2 }]);
  });
}

test('a COMMIT waits with a free event loop for a snapshot of this process, which goes on reading', async (t) => {
  const { pool, refusals } = await journalNeighbours(t);
  await warm(pool);
  const [begun, end] = [gate(), gate()];
  const reading = pool.read(async (db) => {
    begun.open();
    await end.passed;
    return db.prepare(readSql).all();
  });
  await begun.passed;
  const writing = watch(pool.transaction((tx) => tx.prepare(update).run()));
  t.true((await turnsUntil(() => writing.settled || refusals() >= 3)) > 1);
  t.false(writing.settled);
  end.open();
  t.deepEqual(await reading, [{ x: 1 }]);
  await writing.done;
  t.deepEqual(await pool.all(readSql), [{ x: 2 }]);
});

test('a synchronous write beside a snapshot of this process does not wait for its end', async (t) => {
  const { pool } = await journalNeighbours(t);
  await warm(pool);
  const db = await pool.acquire();
  await pool.read(() => {
    const before = performance.now();
    t.throws(() => db.prepare(update).run(), { code: 'SQLITE_BUSY' });
    t.throws(() => db.transaction(() => db.prepare(update).run()).immediate(), { code: 'SQLITE_BUSY' });
    t.true(performance.now() - before < 10_000);
  });
  t.is(db.prepare(update).run().changes, 1);
  db.close();
});

test('a synchronous write beside an open iterator of this process does not wait for its end', async (t) => {
  const { pool } = await journalNeighbours(t);
  await warm(pool);
  const [db, reader] = [await pool.acquire(), await pool.acquire()];
  const rows = reader.prepare('VALUES (1), (2), (3) UNION ALL SELECT x FROM n').iterate();
  const pages = reader.prepare('SELECT * FROM n, (VALUES (1), (2))').iterate();
  rows.next();
  pages.next();
  const before = performance.now();
  t.throws(() => db.prepare(update).run(), { code: 'SQLITE_BUSY' });
  t.true(performance.now() - before < 10_000);
  rows.return?.();
  pages.return?.();
  t.is(db.prepare(update).run().changes, 1);
  db.close();
  reader.close();
});
