import test from 'ava';
import { createPool, type LeasedDatabase } from '../../lib/index.ts';
import { refusal } from '../support/items.ts';
import { temporaryPool } from '../support/sqlite.ts';

// A busy wait would block for this long, and so for longer than the test may take.
const forEver = 2 ** 31 - 1;

const timeoutOf = (db: LeasedDatabase) => db.pragma('busy_timeout', { simple: true });

test('a busy timeout that `onOpen` sets is that of every lease, instead of the option', async (t) => {
  const pool = temporaryPool(t, { busyTimeout: 100, onOpen: (db) => void db.pragma('busy_timeout = 250') });
  await pool.run('CREATE TABLE item (name TEXT)');
  t.is(await pool.withConnection(timeoutOf), 250);
  // A transaction waits from timers, and leaves the connection as it was.
  await pool.withConnection(async (db) => {
    await pool.transaction((tx) => tx.exec("INSERT INTO item VALUES ('nut')"));
    t.is(timeoutOf(db), 250);
  });
  t.is(await pool.withConnection(timeoutOf), 250);
  t.like(pool.stats().counters, { dirty: 0, discarded: 0 });
});

test('without a WAL, no way to write waits inside SQLite for a reader of the same process', async (t) => {
  const pool = temporaryPool(t, { busyTimeout: forEver, pragmas: { journal_mode: 'DELETE' } });
  await pool.run('CREATE TABLE item (name TEXT)');
  const busy = { code: 'SQLITE_BUSY' };
  const reader = await pool.acquire();
  const writer = await pool.acquire();
  reader.exec('BEGIN; SELECT * FROM item');
  t.true(reader.inTransaction);
  reader.prepare('SELECT * FROM item').all();
  const insert = "INSERT INTO item VALUES ('nut') RETURNING name";
  t.throws(() => [...writer.prepare(insert).iterate()], busy, 'an iterator commits with its last step');
  t.throws(() => writer.prepare(insert).all(), busy, 'a statement commits by itself');
  writer.exec("BEGIN IMMEDIATE; INSERT INTO item VALUES ('bolt')");
  t.throws(() => writer.exec('COMMIT'), busy);
  t.throws(() => writer.prepare('COMMIT').run(), busy);
  reader.exec('COMMIT');
  writer.exec('COMMIT');
  reader.close();
  writer.close();
  t.deepEqual(await pool.all('SELECT name FROM item'), [{ name: 'bolt' }]);
});

test('in memory, code that has the one connection and asks for another to write with is refused at once', async (t) => {
  const pool = createPool(':memory:', { acquireTimeout: Infinity });
  t.teardown(() => pool.close({ timeout: 0 }));
  const locked = refusal('WRITE_LOCKED');
  await pool.withConnection(async () => {
    await t.throwsAsync(pool.acquire({ write: true }), locked);
    await t.throwsAsync(
      pool.transaction(() => {}, { nesting: 'separate' }),
      locked,
    );
    await t.throwsAsync(
      pool.withConnection(() => {}, { write: true, fresh: true }),
      locked,
    );
    t.is(await pool.transaction(() => 'a part of it'), 'a part of it');
  });
  t.like(pool.stats(), { leased: 0, laneHeld: 0, waiting: 0 });
});
