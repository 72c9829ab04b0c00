import test from 'ava';
import { journalNeighbours, neighbours, turnsUntil, watch } from '../support/processes.ts';

const insert = 'INSERT INTO n VALUES (2)';

test('with retries a transaction that could not begin for another process tries again with a new deadline', async (t) => {
  const { pool, other } = await neighbours(t);
  await other.exec('BEGIN IMMEDIATE');
  let runs = 0;
  const writing = watch(
    pool.transaction(
      (tx) => {
        runs++;
        tx.prepare(insert).run();
      },
      { timeout: 60, retries: 1000 },
    ),
  );
  await turnsUntil(() => pool.stats().counters.timeouts >= 3);
  t.false(writing.settled);
  await other.exec('COMMIT');
  await writing.done;
  t.is(runs, 1, 'What never began has not run');
  t.is(await other.value('SELECT count(*) FROM n'), 2);
});

test('a transaction gives up after its retries, with the error of the last', async (t) => {
  const { pool, other } = await neighbours(t);
  await other.exec('BEGIN IMMEDIATE');
  const error = await t.throwsAsync(
    pool.transaction(() => t.fail(), { timeout: 30, retries: 2 }),
    { code: 'ERR_LEASEHOLD_WRITE_TIMEOUT' },
  );
  t.like(error, { cause: { code: 'SQLITE_BUSY' } });
  t.is(pool.stats().counters.timeouts, 3);
  await other.exec('ROLLBACK');
});

test('without retries it gives up at once', async (t) => {
  const { pool, other } = await neighbours(t);
  await other.exec('BEGIN IMMEDIATE');
  await t.throwsAsync(
    pool.transaction(() => t.fail(), { timeout: 30 }),
    { code: 'ERR_LEASEHOLD_WRITE_TIMEOUT' },
  );
  t.is(pool.stats().counters.timeouts, 1);
  await other.exec('ROLLBACK');
});

test('a pause between two retries can be aborted', async (t) => {
  const { pool, other } = await neighbours(t);
  await other.exec('BEGIN IMMEDIATE');
  const controller = new AbortController();
  const writing = pool.transaction(() => t.fail(), { timeout: 20, retries: 1000, signal: controller.signal });
  await turnsUntil(() => pool.stats().counters.timeouts >= 2);
  controller.abort();
  await t.throwsAsync(writing, { code: 'ABORT_ERR' });
  t.like(pool.stats(), { leased: 0, laneHeld: 0, laneWaiting: 0 });
  await other.exec('ROLLBACK');
});

test('with retries a transaction whose COMMIT met a reader too long is run again, and is there once', async (t) => {
  const { pool, other } = await journalNeighbours(t);
  await other.exec('BEGIN');
  await other.value('SELECT x FROM n');
  let runs = 0;
  const writing = pool.transaction(
    (tx) => {
      runs++;
      tx.prepare(insert).run();
    },
    { timeout: 60, retries: 1000 },
  );
  await turnsUntil(() => runs >= 3);
  await other.exec('COMMIT');
  await writing;
  t.true(runs >= 3);
  t.deepEqual(await pool.all('SELECT x FROM n ORDER BY x'), [{ x: 1 }, { x: 2 }]);
});

/** A deferred transaction that reads, lets another process write, and then writes by what it read. */
for (const [name, scoped] of Object.entries({ 'its own connection': false, 'a bound lease': true })) {
  test(`with retries a stale snapshot on ${name} is read again`, async (t) => {
    const { pool, other } = await neighbours(t);
    const seen: unknown[] = [];
    const transact = () =>
      pool.transaction(
        async (tx) => {
          const x = tx.prepare('SELECT x FROM n').pluck().get() as number;
          seen.push(x);
          if (seen.length < 3) await other.exec('UPDATE n SET x = x * 10');
          tx.prepare('UPDATE n SET x = ?').run(x + 1);
        },
        { mode: 'deferred', retries: 2 },
      );
    await (scoped ? pool.withConnection(transact) : transact());
    t.deepEqual(seen, [1, 10, 100]);
    t.is(await other.value('SELECT x FROM n'), 101);
  });
}

test("without retries a stale snapshot gives SQLite's own code, and nothing is written", async (t) => {
  const { pool, other } = await neighbours(t);
  const writing = pool.transaction(
    async (tx) => {
      tx.prepare('SELECT x FROM n').all();
      await other.exec('UPDATE n SET x = 10');
      tx.prepare('UPDATE n SET x = 2').run();
    },
    { mode: 'deferred' },
  );
  await t.throwsAsync(writing, { code: 'SQLITE_BUSY_SNAPSHOT' });
  t.is(await other.value('SELECT x FROM n'), 10);
  t.like(pool.stats(), { leased: 0, laneHeld: 0 });
});

test('what failed for another reason than a lock is not run again', async (t) => {
  const { pool } = await neighbours(t);
  let runs = 0;
  const writing = pool.transaction(
    (tx) => {
      runs++;
      tx.prepare('INSERT INTO nowhere VALUES (1)').run();
    },
    { retries: 5 },
  );
  await t.throwsAsync(writing, { code: 'SQLITE_ERROR' });
  t.is(runs, 1);
});
