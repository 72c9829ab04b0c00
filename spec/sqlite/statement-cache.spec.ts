import test from 'ava';
import { query } from '../../lib/sqlite/sql.ts';
import { StatementCache } from '../../lib/sqlite/statement-cache.ts';
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
