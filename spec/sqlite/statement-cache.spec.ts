import test, { type ExecutionContext } from 'ava';
import type { AcquireOptions } from '../../lib/index.ts';
import { SqlitePool } from '../../lib/sqlite/pool.ts';
import { query } from '../../lib/sqlite/sql.ts';
import { StatementCache } from '../../lib/sqlite/statement-cache.ts';
import { FakeClock } from '../support/clock.ts';
import { temporaryFile } from '../support/files.ts';
import { gate, settled } from '../support/gate.ts';
import { rawDatabase, recordingClass, sample, temporaryPool } from '../support/sqlite.ts';

const byId = 'SELECT name FROM item WHERE id = ?';

function counted(sql: string, prepared: readonly string[]): number {
  return prepared.filter((text) => text === sql).length;
}

test('a statement is prepared once for each connection, and serves lease after lease', async (t) => {
  const { Database, prepared } = recordingClass();
  const pool = temporaryPool(t, { max: 2, Database });
  await pool.withConnection((db) => db.exec(sample));
  for (let lease = 0; lease < 3; lease++) {
    await pool.withConnection((db) => {
      t.deepEqual(db.prepare(byId).get(1), { name: 'bolt' });
      t.is(pool.db.prepare(byId).pluck().get(2), 'nut');
    });
  }
  t.is(await pool.get(byId, [3]).then((row) => (row as { name: string }).name), 'washer');
  t.is(counted(byId, prepared), 1);
  await using first = await pool.acquire();
  await using second = await pool.acquire();
  for (const db of [first, second]) t.deepEqual(db.prepare(byId).get(1), { name: 'bolt' });
  t.is(counted(byId, prepared), 2);
});

test('with statementCache: 0 every prepare() prepares', async (t) => {
  const { Database, prepared } = recordingClass();
  const pool = temporaryPool(t, { max: 1, Database, statementCache: 0 });
  await pool.withConnection((db) => {
    db.exec(sample);
    for (let round = 0; round < 3; round++) db.prepare(byId).get(1);
    const kept = db.prepare(byId);
    kept.get(1);
    kept.get(2);
  });
  t.is(counted(byId, prepared), 4);
});

test('the least recently used statement goes first', async (t) => {
  const { Database, prepared } = recordingClass();
  const pool = temporaryPool(t, { max: 1, Database, statementCache: 2 });
  await pool.withConnection((db) => {
    for (const sql of ['SELECT 1', 'SELECT 2', 'SELECT 1', 'SELECT 3', 'SELECT 1', 'SELECT 2']) db.prepare(sql).get();
  });
  t.deepEqual(
    prepared.filter((sql) => /^SELECT \d$/.test(sql)),
    // settle() of the connection has prepared its own SELECT 1.
    [...prepared.filter((sql) => sql === 'SELECT 1').slice(1), 'SELECT 1', 'SELECT 2', 'SELECT 3', 'SELECT 2'],
  );
});

test('a statement that was dropped from the cache goes on working for who has it', async (t) => {
  const pool = temporaryPool(t, { max: 1, statementCache: 1 });
  await pool.withConnection((db) => {
    db.exec(sample);
    const kept = db.prepare(byId).pluck();
    const rows = db.prepare('SELECT id FROM item').pluck().iterate();
    t.is(rows.next().value, 1);
    for (let index = 0; index < 5; index++) db.prepare(`SELECT ${index}`).get();
    t.is(kept.get(1), 'bolt');
    t.deepEqual(db.prepare(byId).get(1), { name: 'bolt' });
    t.is(kept.get(2), 'nut');
    t.deepEqual([...rows], [2, 3]);
    t.deepEqual(db.prepare('SELECT id FROM item').get(), { id: 1 });
  });
});

test('a statement comes back to the cache when its iterator is done', async (t) => {
  const { Database, prepared } = recordingClass();
  const pool = temporaryPool(t, { max: 1, Database });
  const all = 'SELECT id FROM item';
  await pool.withConnection((db) => {
    db.exec(sample);
    t.is([...db.prepare(all).iterate()].length, 3);
    for (const _ of db.prepare(all).pluck().iterate()) break;
    t.deepEqual(db.prepare(all).get(), { id: 1 });
  });
  t.is(counted(all, prepared), 1);
});

test('a statement whose iterator was left open is prepared anew for the next lease', async (t) => {
  const { Database, prepared } = recordingClass();
  const pool = temporaryPool(t, { max: 1, Database });
  const all = 'SELECT id FROM item';
  await pool.withConnection((db) => {
    db.exec(sample);
    db.prepare(all).pluck().iterate().next();
  });
  await pool.withConnection((db) => t.deepEqual(db.prepare(all).get(), { id: 1 }));
  t.is(counted(all, prepared), 2);
});

test('what could not be prepared is not kept', async (t) => {
  const pool = temporaryPool(t, { max: 1 });
  await pool.withConnection((db) => {
    t.throws(() => db.prepare('SELECT * FROM late'), { message: 'no such table: late' });
    db.exec('CREATE TABLE late (x)');
    t.deepEqual(db.prepare('SELECT * FROM late').all(), []);
  });
});

test('a PRAGMA is never kept, so its answer is always of now', async (t) => {
  const { Database, prepared } = recordingClass();
  const pool = temporaryPool(t, { max: 1, Database });
  const other = rawDatabase(t, pool.db.name);
  await pool.withConnection((db) => {
    for (const version of [0, 1, 2]) {
      other.pragma(`user_version = ${version}`);
      t.is(db.prepare('PRAGMA user_version').pluck().get(), version);
      t.is(pool.db.prepare('PRAGMA user_version').pluck().get(), version);
    }
    // Its effect comes while it is prepared, so it would have none the second time.
    for (const state of [0, 1, 0]) {
      db.prepare(`PRAGMA recursive_triggers = ${state}`).run();
      t.is(db.pragma('recursive_triggers', { simple: true }), state);
    }
  });
  t.is(counted('PRAGMA user_version', prepared), 6);
});

test('a cache holds no more than its capacity, and finds what was used', (t) => {
  const cache = new StatementCache(rawDatabase(t), 3);
  for (let index = 0; index < 5; index++) cache.add(`SELECT ${index}`, query);
  t.is(cache.size, 3);
  t.is(cache.find('SELECT 0'), undefined);
  t.is(cache.find('SELECT 4')?.sql, 'SELECT 4');
  t.truthy(cache.find('SELECT 2'));
  cache.add('SELECT 5', query);
  t.is(cache.find('SELECT 3'), undefined, 'It was used least recently');
  cache.add('SELECT 6', { ...query, cacheable: false });
  t.is(cache.find('SELECT 6'), undefined);
  t.is(cache.size, 3);
});

async function busy(t: ExecutionContext) {
  const clock = new FakeClock();
  const pool = new SqlitePool(temporaryFile(t), { max: 1 }, clock);
  t.teardown(() => pool.close({ timeout: 0 }));
  const holder = await pool.acquire();
  return { clock, pool, holder };
}

// What only SQLite can tell of whether it writes.
const unclear = 'WITH one AS (SELECT 1 AS one) SELECT * FROM one';

const calls: Record<string, (pool: SqlitePool, options: AcquireOptions) => Promise<unknown>> = {
  acquire: (pool, options) => pool.acquire(options),
  withConnection: (pool, options) => pool.withConnection(() => {}, options),
  read: (pool, options) => pool.read(() => {}, options),
  get: (pool, options) => pool.get('SELECT 1', [], options),
  all: (pool, options) => pool.all('SELECT 1', [], options),
  withStatement: (pool, options) => pool.withStatement('SELECT 1', () => {}, options),
  'get of what only SQLite can tell': (pool, options) => pool.get(unclear, [], options),
  checkpoint: (pool, options) => pool.checkpoint('passive', options),
};

for (const [name, call] of Object.entries(calls)) {
  test(`the deadline of ${name}() counts from the call, not from when the event loop comes to it`, async (t) => {
    const { clock, pool } = await busy(t);
    const refused = t.throwsAsync(call(pool, { timeout: 50 }), { code: 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT' });
    // What the caller does in the same turn of the event loop.
    clock.skip(100);
    await clock.pass(0);
    t.is(pool.stats().waiting, 0);
    t.like(await refused, { timeout: 50, lateBy: 50 });
  });
}

test('a statement that SQLite was asked about has only what is left of its time', async (t) => {
  const { clock, pool, holder } = await busy(t);
  const refused = t.throwsAsync(pool.get(unclear, [], { timeout: 50 }), { code: 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT' });
  await clock.pass(30);
  // Comes once SQLite is being asked, gets the connection after that, and keeps it.
  const next = gate();
  pool.once('acquire', () => void pool.acquire().then(() => next.open()));
  holder.close();
  await next.passed;
  await settled();
  t.is(pool.stats().waiting, 1);
  await clock.pass(19);
  t.is(pool.stats().waiting, 1);
  await clock.pass(1);
  t.like(await refused, { timeout: 50 });
});
