import test, { type ExecutionContext } from 'ava';
import type { LeasedDatabase } from '../../lib/sqlite/handle.ts';
import { WriteLockedError } from '../../lib/transaction-errors.ts';
import { temporaryFile } from '../support/files.ts';
import { settled } from '../support/gate.ts';
import { temporaryPool } from '../support/sqlite.ts';

const table = 'CREATE TABLE item (name TEXT UNIQUE ON CONFLICT ROLLBACK)';
const insert = (name: string) => `INSERT INTO item VALUES ('${name}')`;
const busyTimeout = 30_000;

/** A lease that begins a transaction by SQL, and another that would write beside it. */
async function twoLeases(t: ExecutionContext) {
  const file = temporaryFile(t);
  const [pool, other] = [temporaryPool(t, { busyTimeout }, file), temporaryPool(t, { busyTimeout }, file)];
  await pool.run(table);
  const [db, theirs] = [await pool.acquire({ label: 'raw' }), await other.acquire()];
  t.teardown(() => {
    for (const handle of [db, theirs]) if (handle.open) handle.close();
  });
  const assertHeld = (why: string): void => {
    t.is(pool.stats().laneHeld, 1, why);
    const error = t.throws<WriteLockedError>(
      () => theirs.exec(insert('theirs')),
      { instanceOf: WriteLockedError },
      why,
    );
    t.like(error?.holder, { label: 'raw', kind: 'raw transaction' }, why);
  };
  const assertFree = (why: string): void => {
    t.is(pool.stats().laneHeld, 0, why);
    t.notThrows(() => theirs.exec('UPDATE item SET name = name'), why);
  };
  return { pool, other, db, theirs, assertHeld, assertFree };
}

/** Ways to open a transaction that holds the lock to write. */
const beginnings: Record<string, (db: LeasedDatabase) => unknown> = {
  'BEGIN IMMEDIATE by exec': (db) => db.exec('BEGIN IMMEDIATE'),
  'BEGIN EXCLUSIVE by exec': (db) => db.exec('/* now */ begin exclusive transaction'),
  'BEGIN IMMEDIATE by a kept statement': (db) => db.prepare('BEGIN IMMEDIATE').run(),
  'BEGIN and a write': (db) => {
    db.prepare('BEGIN').run();
    db.prepare('INSERT INTO item VALUES (?)').run('mine');
  },
  'BEGIN and a write in one script': (db) => db.exec(`BEGIN; ${insert('mine')}`),
  'SAVEPOINT and a write': (db) => {
    db.exec('SAVEPOINT mine');
    db.exec(insert('mine'));
  },
  'BEGIN and INSERT … RETURNING by get': (db) => {
    db.exec('BEGIN');
    db.prepare(`${insert('mine')} RETURNING name`).get();
  },
  'BEGIN and INSERT … RETURNING by iterate': (db) => {
    db.exec('BEGIN');
    for (const _ of db.prepare(`${insert('mine')} RETURNING name`).iterate());
  },
  'BEGIN and a pragma that writes': (db) => {
    db.exec('BEGIN');
    db.pragma('user_version = 3');
  },
};

const endings: Record<string, (db: LeasedDatabase) => unknown> = {
  COMMIT: (db) => db.exec('COMMIT'),
  'END by a kept statement': (db) => db.prepare('END').run(),
  ROLLBACK: (db) => db.prepare('rollback').run(),
  'the release of the lease': (db) => db.close(),
  'a statement that fails and rolls it back': (db) => {
    db.prepare('INSERT OR REPLACE INTO item VALUES (?)').run('twice');
    try {
      db.prepare('INSERT OR ROLLBACK INTO item VALUES (?)').run('twice');
    } catch {
      // As asked for.
    }
  },
};

for (const [begins, begin] of Object.entries(beginnings)) {
  for (const [ends, end] of Object.entries(endings)) {
    test(`${begins} holds the lane until ${ends}`, async (t) => {
      const { other, db, assertHeld, assertFree } = await twoLeases(t);
      begin(db);
      assertHeld('begun');
      const waiting = other.run(insert('waiting'));
      await settled();
      t.is(other.stats().laneWaiting, 1);
      end(db);
      t.is(other.stats().laneWaiting, 0);
      t.like(await waiting, { changes: 1 });
      assertFree('ended');
    });
  }
}

test('a raw transaction that has only read holds no lane, and its first write collides', async (t) => {
  const { other, db, assertFree } = await twoLeases(t);
  db.exec('BEGIN');
  db.prepare('SELECT count(*) FROM item').get();
  assertFree('a snapshot');
  db.exec('ROLLBACK');
  const holder = await other.acquire({ write: true });
  t.throws(() => db.exec('BEGIN IMMEDIATE'), { instanceOf: WriteLockedError });
  t.false(db.inTransaction);
  db.exec('BEGIN');
  t.throws(() => db.exec(insert('x')), { instanceOf: WriteLockedError });
  t.true(db.inTransaction, 'a refused write ends nothing');
  db.exec('ROLLBACK');
  holder.close();
});

test('a raw transaction that could not begin holds no lane', async (t) => {
  const { db, assertFree } = await twoLeases(t);
  db.exec('BEGIN');
  t.throws(() => db.exec('BEGIN IMMEDIATE'));
  db.exec('ROLLBACK');
  t.throws(() => db.exec('BEGIN IMMEDIATE nonsense'));
  assertFree('a syntax error');
});

test('ROLLBACK TO a savepoint ends no raw transaction, RELEASE of the outermost one does', async (t) => {
  const { db, assertHeld, assertFree } = await twoLeases(t);
  db.exec(`SAVEPOINT outer; SAVEPOINT inner; ${insert('x')}`);
  assertHeld('written');
  db.exec('ROLLBACK TO inner');
  assertHeld('rolled back in part');
  db.exec('RELEASE inner');
  assertHeld('released in part');
  db.exec('RELEASE outer');
  assertFree('released');
});

test('a write that fails in a raw transaction leaves it the lock, and the lane', async (t) => {
  const { db, assertHeld, assertFree } = await twoLeases(t);
  db.exec(insert('x'));
  db.exec('BEGIN');
  t.throws(() => db.exec("INSERT OR ABORT INTO item VALUES ('x')"), { code: 'SQLITE_CONSTRAINT_UNIQUE' });
  t.true(db.inTransaction);
  assertHeld('failed');
  db.exec('COMMIT');
  assertFree('committed');
});

test('a script that fails after BEGIN IMMEDIATE leaves a transaction open, which holds the lane', async (t) => {
  const { db, assertHeld, assertFree } = await twoLeases(t);
  t.throws(() => db.exec('BEGIN IMMEDIATE; INSERT INTO missing VALUES (1)'), { code: 'SQLITE_ERROR' });
  t.true(db.inTransaction);
  assertHeld('failed');
  db.exec('ROLLBACK');
  assertFree('rolled back');
});

test('BEGIN IMMEDIATE by `pool.run` in a scope holds the lane until COMMIT by `pool.run`', async (t) => {
  const { pool, assertHeld, assertFree } = await twoLeases(t);
  await pool.withConnection(
    async () => {
      await pool.run('BEGIN IMMEDIATE');
      assertHeld('begun');
      await pool.run(insert('x'));
      assertHeld('written');
      await pool.run('COMMIT');
      assertFree('committed');
    },
    { label: 'raw' },
  );
});

test('a write by `pool.run` in a raw transaction waits its turn, and holds the lane until that ends', async (t) => {
  const { pool, theirs, assertHeld, assertFree } = await twoLeases(t);
  await pool.withConnection(
    async () => {
      await pool.run('BEGIN');
      assertFree('begun');
      theirs.exec('BEGIN IMMEDIATE');
      const writing = pool.run(insert('mine'));
      await settled();
      t.is(pool.stats().laneWaiting, 1);
      theirs.exec('ROLLBACK');
      t.like(await writing, { changes: 1 });
      assertHeld('written');
      await pool.run('ROLLBACK');
      assertFree('rolled back');
    },
    { label: 'raw' },
  );
});

test('a raw transaction that outlasts the nested write scope it was begun in keeps the lane', async (t) => {
  const { pool, assertHeld, assertFree } = await twoLeases(t);
  await pool.withConnection(
    async (db) => {
      await pool.withConnection(() => db.exec('BEGIN IMMEDIATE'), { write: true });
      assertHeld('the write scope is over');
      db.exec('COMMIT');
      assertFree('committed');
    },
    { label: 'raw' },
  );
});

test('one who waits takes the lane over from a raw transaction that ends where nobody could be told', async (t) => {
  const file = temporaryFile(t);
  const connections: { exec(sql: string): unknown }[] = [];
  const pool = temporaryPool(t, { onOpen: (raw) => void connections.push(raw) }, file);
  const other = temporaryPool(t, {}, file);
  await other.run(table);
  const db = await pool.acquire();
  db.exec('BEGIN IMMEDIATE');
  const waiting = other.run(insert('waiting'));
  await settled();
  connections[0]?.exec('COMMIT');
  // Whoever asks next finds out.
  t.is(pool.stats().laneWaiting, 0);
  t.like(await waiting, { changes: 1 });
  db.exec('BEGIN IMMEDIATE');
  connections[0]?.exec('COMMIT');
  t.like(await other.run(insert('free')), { changes: 1 });
  db.close();
});
