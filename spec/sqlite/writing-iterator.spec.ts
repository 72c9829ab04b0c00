import test from 'ava';
import { temporaryFile } from '../support/files.ts';
import { settled } from '../support/gate.ts';
import { temporaryPool } from '../support/sqlite.ts';

// While an iterator is open, SQLite does not say whether a transaction is. So what holds the lock has to be known.

const table = 'CREATE TABLE IF NOT EXISTS item (name TEXT)';
const insert = "INSERT INTO item VALUES ('x')";
const rows = 'VALUES (1), (2)';

test('a write by get() or all() beside an open iterator of a raw transaction holds the lane until that ends', async (t) => {
  const pool = temporaryPool(t);
  await pool.run(table);
  for (const method of ['get', 'all'] as const) {
    const db = await pool.acquire({ label: 'raw' });
    db.exec('BEGIN');
    const iterator = db.prepare(rows).iterate();
    iterator.next();
    db.prepare(`${insert} RETURNING name`)[method]();
    t.is(pool.stats().laneHeld, 1, method);
    iterator.return?.();
    t.is(pool.stats().laneHeld, 1);
    await pool.withConnection((other) =>
      t.throws(() => other.exec(insert), { code: 'ERR_LEASEHOLD_WRITE_LOCKED', message: /raw/ }),
    );
    db.exec('COMMIT');
    t.is(pool.stats().laneHeld, 0);
    db.close();
  }
});

test('an iterator that only reads keeps the lane from nobody', async (t) => {
  const file = temporaryFile(t);
  const [pool, other] = [temporaryPool(t, {}, file), temporaryPool(t, {}, file)];
  await pool.run(table);
  await pool.withConnection(async (db) => {
    const iterator = db.prepare(rows).iterate();
    iterator.next();
    await t.throwsAsync(pool.run(insert), { instanceOf: TypeError });
    t.is(pool.stats().laneHeld, 0);
    await pool.withConnection(() => {}, { write: true });
    t.is(pool.stats().laneHeld, 0);
    t.like(await other.run(insert), { changes: 1 });
    iterator.return?.();
  });
});

test('of two transactions side by side, the second waits while the first iterates', async (t) => {
  const pool = temporaryPool(t);
  await pool.run(table);
  await pool.withConnection(async () => {
    const iterating = async (name: string) =>
      pool.transaction(async (tx) => {
        for (const _ of tx.prepare(rows).iterate()) await settled();
        tx.prepare('INSERT INTO item VALUES (?)').run(name);
      });
    await Promise.all([iterating('first'), iterating('second')]);
    await pool.transaction(() => Promise.all([iterating('third'), iterating('fourth')]));
  });
  t.is((await pool.all('SELECT * FROM item')).length, 4);
});

test('a user function that tries to write does not hide that its statement is writing', async (t) => {
  const file = temporaryFile(t);
  const pool = temporaryPool(t, { busyTimeout: 60_000 }, file);
  await pool.run(table);
  const [a, b] = [await pool.acquire(), await pool.acquire()];
  const outcomes: unknown[] = [];
  const attempt = (write: () => unknown) => {
    try {
      write();
      outcomes.push('written');
    } catch (error) {
      outcomes.push((error as { code?: string }).code ?? (error as Error).name);
    }
  };
  a.function('meddle', () => {
    attempt(() => a.prepare(insert).run());
    attempt(() => b.prepare(insert).run());
    return 'x';
  });
  a.prepare('INSERT INTO item VALUES (meddle())').run();
  t.deepEqual(outcomes, ['TypeError', 'ERR_LEASEHOLD_WRITE_LOCKED']);
  t.is(b.prepare(insert).run().changes, 1);
  a.close();
  b.close();
});

test('without a WAL, no COMMIT of a synchronous transaction waits for a reader of this process', async (t) => {
  const pool = temporaryPool(t, { pragmas: { journal_mode: 'DELETE' }, busyTimeout: 60_000 });
  await pool.run(table);
  const db = await pool.acquire();
  await pool.read(() => {
    const write = db.transaction(() => {
      db.prepare(insert).run();
      return db.prepare('SELECT * FROM item').all();
    });
    // Were it to wait, the test would take a minute.
    t.throws(() => void write(), { code: 'SQLITE_BUSY' });
    t.false(db.inTransaction);
  });
  t.is(db.prepare(insert).run().changes, 1);
  db.close();
});
