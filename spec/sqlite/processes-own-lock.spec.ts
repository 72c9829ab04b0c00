import test, { type ExecutionContext } from 'ava';
import type { SqlitePool } from '../../lib/index.ts';
import { gate } from '../support/gate.ts';
import { journalNeighbours, type Neighbours, turnsUntil, watch } from '../support/processes.ts';

// Without a WAL this process can stand in its own way. No statement waits for that inside SQLite: it would wait for the
// whole busy timeout, which is 20 s here, while the holder of the lock could not go on.

const update = 'UPDATE n SET x = 2';
const read = 'SELECT x FROM n';

/** Three connections that are open and free, beside the lane's, and set to wait for locks. */
async function warm(pool: SqlitePool): Promise<void> {
  const leases = await Promise.all([pool.acquire(), pool.acquire(), pool.acquire()]);
  for (const lease of leases) lease.prepare(read).get();
  for (const lease of leases) lease.close();
}

/** Neighbours of whom the other reads, and a transaction of this process whose COMMIT waits for that. */
async function committing(t: ExecutionContext): Promise<Neighbours & { done: Promise<unknown> }> {
  const all = await journalNeighbours(t);
  await warm(all.pool);
  await all.other.exec('BEGIN');
  await all.other.value(read);
  const { done } = watch(all.pool.transaction((tx) => tx.prepare(update).run()));
  await turnsUntil(() => all.refusals() >= 2);
  return { ...all, done };
}

test('a synchronous read while a COMMIT of this process waits does not wait, and says that the file is locked', async (t) => {
  const { pool, other, done } = await committing(t);
  const db = await pool.acquire();
  const before = performance.now();
  t.throws(() => db.prepare(read).all(), { code: 'SQLITE_BUSY' });
  t.throws(() => db.prepare(update).run(), { code: 'ERR_LEASEHOLD_WRITE_LOCKED' });
  t.throws(() => db.exec(read), { code: 'SQLITE_BUSY' });
  t.throws(() => db.transaction(() => db.prepare(read).all())(), { code: 'SQLITE_BUSY' });
  // Compared with what each of these would have waited.
  t.true(performance.now() - before < 10_000);
  await other.exec('COMMIT');
  await done;
  t.deepEqual(db.prepare(read).all(), [{ x: 2 }]);
  db.close();
});

const looks: Record<string, (pool: SqlitePool) => Promise<unknown>> = {
  'read()': (pool) => pool.read((db) => db.prepare(read).all()),
  'all()': (pool) => pool.all(read),
  'all() on a bound lease': (pool) => pool.withConnection(() => pool.all(read)),
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
    return db.prepare(read).all();
  });
  await begun.passed;
  const writing = watch(pool.transaction((tx) => tx.prepare(update).run()));
  t.true((await turnsUntil(() => writing.settled || refusals() >= 3)) > 1);
  t.false(writing.settled);
  end.open();
  t.deepEqual(await reading, [{ x: 1 }]);
  await writing.done;
  t.deepEqual(await pool.all(read), [{ x: 2 }]);
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
