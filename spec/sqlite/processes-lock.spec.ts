import test from 'ava';
import type { LeasedDatabase, SqlitePool } from '../../lib/index.ts';
import { neighbours, turnsUntil, watch } from '../support/processes.ts';

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
