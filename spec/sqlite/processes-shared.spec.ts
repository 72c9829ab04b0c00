import test from 'ava';
import { temporaryFile } from '../support/files.ts';
import { journalNeighbours, longBusyTimeout, neighbours, otherPool, turnsUntil, watch } from '../support/processes.ts';
import { temporaryPool } from '../support/sqlite.ts';

// Read, wait for something else, write: what is lost if two of these overlap.
const increments = `
  async increment(times) {
    const add = () => pool.transaction(async (tx) => {
      const x = tx.prepare('SELECT x FROM counter').pluck().get();
      await nextTurn();
      tx.prepare('UPDATE counter SET x = ?').run(x + 1);
      await nextTurn();
    });
    const outcomes = await Promise.allSettled(Array.from({ length: times }, add));
    return outcomes.flatMap(({ reason }) => reason === undefined ? [] : [String(reason.message)]);
  }`;

for (const journal_mode of ['WAL', 'DELETE']) {
  test(`three processes lose none of each other's increments in journal mode ${journal_mode}`, async (t) => {
    const options = { pragmas: { journal_mode }, busyTimeout: longBusyTimeout, acquireTimeout: 50_000 };
    const file = temporaryFile(t);
    const pool = temporaryPool(t, options, file);
    await pool.transaction((tx) => tx.exec('CREATE TABLE counter (x INTEGER); INSERT INTO counter VALUES (0)'));
    const others = await Promise.all([
      otherPool(t, file, options, increments),
      otherPool(t, file, options, increments),
    ]);
    const theirs = others.map((other) => other.call<string[]>('increment', 100));
    const mine = Array.from({ length: 100 }, () =>
      pool.transaction(async (tx) => {
        const { x } = tx.prepare<[], { x: number }>('SELECT x FROM counter').get() ?? { x: Number.NaN };
        await new Promise(setImmediate);
        tx.prepare('UPDATE counter SET x = ?').run(x + 1);
        await new Promise(setImmediate);
      }),
    );
    await Promise.all(mine);
    t.deepEqual(await Promise.all(theirs), [[], []]);
    t.deepEqual(await pool.get('SELECT x FROM counter'), { x: 300 });
    t.like(pool.stats(), { laneHeld: 0, laneWaiting: 0, leased: 0 });
  });
}

test('the event loop goes on turning each time that another process holds the lock', async (t) => {
  const rounds = 6;
  // As many turns of 5 ms as make a hold longer than the pauses between two attempts: 300 ms or more.
  const turnsInHold = 60;
  const busyTimeout = 5000;
  const { pool, other, refusals } = await neighbours(t, { busyTimeout });

  let turns = 0;
  let stops = 0;
  let last = performance.now();
  const ticking = setInterval(() => {
    const now = performance.now();
    if (now - last > busyTimeout / 2) stops++;
    last = now;
    turns++;
  }, 5);
  t.teardown(() => clearInterval(ticking));

  const add = 'UPDATE n SET x = x + 1';
  const writes: (() => Promise<unknown>)[] = [
    () => pool.transaction((tx) => tx.prepare(add).run()),
    () => pool.withConnection(() => pool.transaction(() => pool.run(add))),
    () => pool.run(add),
    () => pool.withConnection(() => pool.all(`${add} RETURNING x`)),
  ];
  for (let round = 0; round < rounds; round++) {
    await other.exec('BEGIN IMMEDIATE');
    const before = refusals();
    const writing = writes.map((write) => write());
    // What is tried first when it is begun, and what waits behind that, differs from round to round.
    writes.push(...writes.splice(0, 1));
    const begun = turns;
    await turnsUntil(() => turns >= begun + turnsInHold);
    t.true(refusals() - before > 3, 'They have tried meanwhile');
    await other.exec('COMMIT');
    await Promise.all(writing);
  }
  t.deepEqual(await pool.get('SELECT x FROM n'), { x: 1 + rounds * writes.length });
  // The holder lets go only after so many turns. A loop that was blocked could not count them, and would stand still for
  // the whole busy timeout, in each round. A machine stands still now and then.
  t.true(stops < rounds / 2, `The loop stood still ${stops} times`);
});

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
