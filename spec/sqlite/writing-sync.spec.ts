import test, { type ExecutionContext } from 'ava';
import type { LeasedDatabase } from '../../lib/sqlite/handle.ts';
import { WriteLockedError } from '../../lib/transaction-errors.ts';
import { temporaryFile } from '../support/files.ts';
import { gate, settled } from '../support/gate.ts';
import { temporaryPool } from '../support/sqlite.ts';

const table = 'CREATE TABLE IF NOT EXISTS item (name TEXT)';
const returning = "INSERT INTO item VALUES ('x') RETURNING name";

// A write that is waited for inside SQLite blocks the event loop that long: a test would see it without a clock.
const busyTimeout = 30_000;

/** Synchronous writes outside a transaction: each does one thing, and can be done again. */
const writes: Record<string, (db: LeasedDatabase) => unknown> = {
  'run of an INSERT': (db) => db.prepare('INSERT INTO item VALUES (?)').run('x'),
  'run of an UPDATE that meets no row': (db) => db.prepare("UPDATE item SET name = 'y' WHERE name = 'none'").run(),
  'run of a DELETE': (db) => db.prepare('DELETE FROM item').run(),
  'run of WITH … INSERT': (db) => db.prepare("WITH row AS (SELECT 'x') INSERT INTO item SELECT * FROM row").run(),
  'run of a statement that was bound': (db) => db.prepare('INSERT INTO item VALUES (?)').bind('x').run(),
  'get of INSERT … RETURNING': (db) => db.prepare(returning).get(),
  'all of INSERT … RETURNING': (db) => db.prepare(returning).all(),
  'iterate of INSERT … RETURNING': (db) => [...db.prepare(returning).iterate()],
  'exec of a script': (db) => db.exec("SELECT 1; INSERT INTO item VALUES ('x')"),
  'exec of CREATE TABLE': (db) => db.exec('DROP TABLE IF EXISTS made; CREATE TABLE made (x)'),
  'exec of REINDEX': (db) => db.exec('REINDEX'),
  'pragma user_version': (db) => db.pragma('user_version = 7'),
  'prepared pragma user_version': (db) => db.prepare('PRAGMA user_version = 7').run(),
  'BEGIN IMMEDIATE': (db) => db.exec('BEGIN IMMEDIATE; COMMIT'),
  'db.transaction that writes': (db) => db.transaction(() => db.exec("INSERT INTO item VALUES ('x')"))(),
  'immediate variant of db.transaction': (db) => db.transaction(() => 'in').immediate(),
  'exclusive variant of db.transaction': (db) => db.transaction(() => 'in').exclusive(),
  'db.transaction nested in db.transaction': (db) =>
    db.transaction(() => db.transaction(() => db.exec("INSERT INTO item VALUES ('x')"))())(),
};

const reads: Record<string, (db: LeasedDatabase) => unknown> = {
  get: (db) => db.prepare('SELECT count(*) FROM item').get(),
  'all of WITH … SELECT': (db) => db.prepare('WITH row AS (SELECT 1) SELECT * FROM row, item').all(),
  iterate: (db) => [...db.prepare('SELECT * FROM item').iterate()],
  exec: (db) => db.exec('SELECT * FROM item'),
  'pragma that asks': (db) => db.pragma('user_version', { simple: true }),
  'pragma table_info': (db) => db.pragma('table_info(item)'),
  'EXPLAIN of a write': (db) => db.prepare('EXPLAIN INSERT INTO item VALUES (1)').all(),
  'explain of a write': (db) => db.explain('INSERT INTO item VALUES (1)'),
  'prepare of a write': (db) => db.prepare('INSERT INTO item VALUES (1)'),
  'BEGIN and SELECT': (db) => db.exec('BEGIN; SELECT * FROM item; COMMIT'),
  'db.transaction that only reads': (db) => db.transaction(() => db.prepare('SELECT * FROM item').all())(),
  'temporary table, on a connection that is discarded': (db) => db.pragma('cache_size = 100'),
  serialize: (db) => db.serialize(),
};

/** A holder of the lane in another pool, and a lease that is not. */
async function collision(t: ExecutionContext) {
  const file = temporaryFile(t);
  const [pool, other] = [temporaryPool(t, { busyTimeout }, file), temporaryPool(t, {}, file)];
  await pool.run(table);
  const inside = gate();
  const done = gate();
  const holding = other.transaction(
    async (tx) => {
      tx.prepare("INSERT INTO item VALUES ('theirs')").run();
      inside.open();
      await done.passed;
    },
    { label: 'importer' },
  );
  await inside.passed;
  const finish = async () => {
    done.open();
    await holding;
  };
  return { pool, finish };
}

for (const [name, write] of Object.entries(writes)) {
  test(`${name} is refused at once while another holds the lane, and runs when nobody does`, async (t) => {
    const { pool, finish } = await collision(t);
    const db = await pool.acquire();
    const error = t.throws(() => write(db), { instanceOf: WriteLockedError, code: 'ERR_LEASEHOLD_WRITE_LOCKED' });
    t.like(error, { pool: 'app', holder: { label: 'importer', kind: 'transaction' } });
    t.false(db.inTransaction);
    await finish();
    t.notThrows(() => write(db));
    t.false(db.inTransaction);
    t.is(pool.stats().laneHeld, 0);
    db.close();
  });

  test(`${name} by pool.db is refused at once while another holds the lane, and runs when nobody does`, async (t) => {
    const { pool, finish } = await collision(t);
    const db = pool.db as unknown as LeasedDatabase;
    await pool.withConnection(async () => {
      t.throws(() => write(db), { instanceOf: WriteLockedError });
      await finish();
      t.notThrows(() => write(db));
      t.is(pool.stats().laneHeld, 0);
    });
  });

  test(`${name} outside a write scope is refused by a strict pool, always`, async (t) => {
    const pool = temporaryPool(t, { strictWrites: true });
    await pool.run(table);
    await pool.withConnection(async (db) => {
      const error = t.throws<WriteLockedError>(() => write(db), { instanceOf: WriteLockedError });
      t.is(error.holder, undefined);
      t.regex(error.message, /"strictWrites"/);
      t.false(db.inTransaction);
      await pool.withConnection(() => t.notThrows(() => write(db)), { write: true });
      t.throws(() => write(db), { instanceOf: WriteLockedError });
    });
  });
}

for (const [name, read] of Object.entries(reads)) {
  test(`${name} is never refused, in a strict pool neither`, async (t) => {
    const { pool, finish } = await collision(t);
    await pool.withConnection((db) => t.notThrows(() => read(db)));
    await finish();
    const strict = temporaryPool(t, { strictWrites: true });
    await strict.run(table);
    await strict.withConnection((db) => t.notThrows(() => read(db)));
  });
}

test('in a strict pool a transaction, `pool.run` and an asynchronous transaction function may write', async (t) => {
  const pool = temporaryPool(t, { strictWrites: true });
  await pool.run(table);
  const insert = "INSERT INTO item VALUES ('x')";
  await pool.transaction((tx) => t.notThrows(() => tx.exec(insert)));
  await pool.withConnection(async (db) => {
    await db.transaction(async () => t.notThrows(() => db.exec(insert)))();
    await pool.transaction(() => t.notThrows(() => db.transaction(() => db.exec(insert))()));
    t.like(await pool.run(insert), { changes: 1 });
  });
  t.like(await pool.get('SELECT count(*) AS n FROM item'), { n: 4 });
});

test('a synchronous write is refused also while the holder is about to get its connection, and while others wait', async (t) => {
  const opening = gate();
  const file = temporaryFile(t);
  const [pool, other] = [temporaryPool(t, { busyTimeout }, file), temporaryPool(t, {}, file)];
  await pool.run(table);
  const slow = temporaryPool(t, { name: 'slow', onAcquire: () => opening.passed }, file);
  await slow.ready();
  const db = await pool.acquire();
  const holder = await other.acquire({ write: true, label: 'holder' });
  const waiting = slow.transaction(() => 'in', { label: 'opening' });
  await settled();
  holder.close();
  await settled();
  const error = t.throws<WriteLockedError>(() => db.exec("INSERT INTO item VALUES ('x')"));
  t.like(error, { holder: { pool: 'slow', lease: undefined } });
  opening.open();
  t.is(await waiting, 'in');
  t.notThrows(() => db.exec("INSERT INTO item VALUES ('x')"));
  db.close();
});

test('an iterator that has begun to write keeps others out until it is done', async (t) => {
  const file = temporaryFile(t);
  const [pool, other] = [temporaryPool(t, {}, file), temporaryPool(t, { busyTimeout }, file)];
  await pool.run(table);
  const db = await pool.acquire();
  const theirs = await other.acquire();
  const rows = db.prepare("INSERT INTO item VALUES ('a'), ('b') RETURNING name").iterate();
  t.is(pool.stats().laneHeld, 0);
  rows.next();
  t.is(pool.stats().laneHeld, 1);
  t.throws(() => theirs.exec("INSERT INTO item VALUES ('x')"), { instanceOf: WriteLockedError });
  const waiting = other.run("INSERT INTO item VALUES ('c')");
  await settled();
  t.is(pool.stats().laneWaiting, 1);
  rows.return?.();
  t.like(await waiting, { changes: 1 });
  t.is(pool.stats().laneHeld, 0);
  theirs.close();
  db.close();
});

test('a write that never comes to run keeps nobody out: an iterator that does not begin, a statement that fails early', async (t) => {
  const file = temporaryFile(t);
  const [pool, other] = [temporaryPool(t, {}, file), temporaryPool(t, { busyTimeout }, file)];
  await pool.run(table);
  await pool.run('CREATE TABLE gone (name TEXT)');
  const theirs = await other.acquire();
  const assertFree = (why: string) => {
    t.is(pool.stats().laneHeld, 0, why);
    t.notThrows(() => theirs.exec("INSERT INTO item VALUES ('theirs')"), why);
  };
  const db = await pool.acquire();
  const rows = db.prepare(returning).iterate();
  assertFree('not begun');
  rows.return?.();
  assertFree('returned');
  t.throws(() => db.prepare('INSERT INTO item VALUES (?)').run(), { instanceOf: RangeError });
  assertFree('a value is missing');
  t.throws(() => db.exec('INSERT INTO missing VALUES (1)'), { code: 'SQLITE_ERROR' });
  assertFree('not prepared');
  // While the kept statement is being iterated, the next of its SQL has to be prepared when it runs.
  const iterated = db.prepare('INSERT INTO gone VALUES (1) RETURNING name');
  const late = db.prepare('INSERT INTO gone VALUES (1) RETURNING name');
  iterated.iterate();
  theirs.exec('DROP TABLE gone');
  t.true((db.prepare('SELECT count(*) FROM item').pluck().get() as number) > 0, 'reads the schema again');
  t.throws(() => late.get(), { code: 'SQLITE_ERROR' });
  assertFree('not prepared again');
  db.close();
  assertFree('released');
  theirs.close();
});
