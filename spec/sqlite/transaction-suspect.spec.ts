import test, { type ExecutionContext } from 'ava';
import type { LeasedDatabase, SqlitePool } from '../../lib/index.ts';
import { temporaryPool } from '../support/sqlite.ts';

// While an iterator is open SQLite does not say whether a transaction is.

async function open(t: ExecutionContext): Promise<SqlitePool> {
  const pool = temporaryPool(t);
  await pool.run('CREATE TABLE item (name TEXT UNIQUE)');
  await pool.run("INSERT INTO item VALUES ('cog'), ('nut'), ('bolt')");
  return pool;
}

const write = (db: LeasedDatabase, name: string, or = 'ABORT') =>
  db.prepare(`INSERT OR ${or} INTO item VALUES (?) RETURNING name`).get(name);

const names = (pool: SqlitePool) => pool.all('SELECT name FROM item ORDER BY rowid');

const conflict = { code: 'SQLITE_CONSTRAINT_UNIQUE' };
const aborted = { code: 'ERR_LEASEHOLD_TRANSACTION_ABORTED' };

test('after an error that may have ended the transaction nothing is written while an iterator hides whether it did', async (t) => {
  const pool = await open(t);
  const before = await names(pool);
  const whole = pool.transaction((tx) => {
    write(tx, 'washer');
    const rows = tx.prepare('SELECT name FROM item').iterate();
    rows.next();
    const error = t.throws(() => write(tx, 'cog', 'ROLLBACK'), conflict);
    // SQLite would take it, and commit it by itself.
    t.like(
      t.throws(() => write(tx, 'screw'), aborted),
      { cause: error },
    );
    rows.return?.();
  });
  t.like(await t.throwsAsync(whole, aborted), { cause: { code: 'SQLITE_CONSTRAINT_UNIQUE' } });
  t.deepEqual(await names(pool), before);
});

test('a transaction that an iterator hid the end of is not taken for committed', async (t) => {
  const pool = await open(t);
  const before = await names(pool);
  let error: unknown;
  const whole = pool.transaction((tx) => {
    write(tx, 'washer');
    const rows = tx.prepare('SELECT name FROM item').iterate();
    rows.next();
    error = t.throws(() => write(tx, 'cog', 'ROLLBACK'), conflict);
    // From here on SQLite can be asked, and nothing else is done.
    rows.return?.();
  });
  t.like(await t.throwsAsync(whole, aborted), { cause: error });
  t.deepEqual(await names(pool), before);
});

test('an error that has not ended the transaction is forgotten with the iterator that hid this', async (t) => {
  const pool = await open(t);
  await pool.transaction((tx) => {
    write(tx, 'washer');
    const rows = tx.prepare('SELECT name FROM item').iterate();
    rows.next();
    t.throws(() => write(tx, 'cog'), conflict);
    t.throws(() => write(tx, 'screw'), aborted, 'it can not be told yet');
    rows.return?.();
    write(tx, 'screw');
  });
  t.deepEqual((await names(pool)).slice(-2), [{ name: 'washer' }, { name: 'screw' }]);
});
