import test, { type ExecutionContext } from 'ava';
import type { LeasedDatabase, SqlitePool } from '../../lib/index.ts';
import { gate, settled } from '../support/gate.ts';
import { insert, openItems } from '../support/items.ts';
import { temporaryPool } from '../support/sqlite.ts';

// Work that outlives its transaction, and finds other ways to the file than the connection it had.

const itemsIn = (pool: SqlitePool) => pool.all('SELECT name FROM item');
const never = "INSERT INTO item VALUES ('never')";
const ended = { code: 'ERR_LEASEHOLD_TRANSACTION_ENDED' };

/** Ways to be in a transaction of `pool` with scopes of another pool around or within. */
const arrangements: Record<string, (pool: SqlitePool, other: SqlitePool, inner: () => void) => Promise<void>> = {
  'an unbound transaction in another’s scope': (pool, other, inner) =>
    other.withConnection(() => pool.transaction(inner)),
  'an unbound transaction with another’s in it': (pool, other, inner) =>
    pool.transaction(() => other.transaction(inner)),
  'a bound transaction in another’s scope': (pool, other, inner) =>
    pool.withConnection(() => other.withConnection(() => pool.transaction(inner))),
  'a bound transaction with another’s in it': (pool, other, inner) =>
    pool.withConnection(() => pool.transaction(() => other.transaction(inner))),
  'a bound transaction with another’s scope in it': (pool, other, inner) =>
    pool.withConnection(() => pool.transaction(() => other.withConnection(inner))),
};

for (const [name, arrange] of Object.entries(arrangements)) {
  test(`what outlives ${name} never commits by itself`, async (t) => {
    const [pool, other] = [await openItems(t), await openItems(t)];
    const over = gate();
    let escaped: Promise<unknown> | undefined;
    await arrange(pool, other, () => {
      escaped = over.passed.then(() => t.throwsAsync(() => pool.run(never)));
    });
    over.open();
    await escaped;
    t.deepEqual(await itemsIn(pool), []);
  });
}

test('what outlives a bound transaction and its scope does not get in by way of another pool’s scope', async (t) => {
  const [pool, other] = [await openItems(t), await openItems(t)];
  const over = gate();
  let escaped: Promise<unknown> | undefined;
  await pool.withConnection(() =>
    pool.transaction(() => {
      escaped = over.passed.then(() => other.withConnection(() => t.throwsAsync(() => pool.run(never))));
    }),
  );
  over.open();
  await escaped;
  t.deepEqual(await itemsIn(pool), []);
});

test('what outlives a transaction is refused at once, though its write would have to wait its turn', async (t) => {
  const pool = await openItems(t);
  const over = gate();
  let escaped: Promise<unknown> | undefined;
  await pool.withConnection(async () => {
    await pool.transaction(() => {
      escaped = over.passed.then(() => t.throwsAsync(() => pool.run(never, [], { timeout: 50 }), ended));
    });
    const writer = await pool.acquire({ write: true });
    over.open();
    await escaped;
    writer.close();
  });
  t.deepEqual(await itemsIn(pool), []);
});

// A transaction whose lease is taken away while its function runs: what it does next must not commit by itself.

/** What may take the lease away. */
const thefts: Record<string, (pool: SqlitePool, tx: LeasedDatabase) => unknown> = {
  closeOverdue: (pool) => pool.closeOverdue(0),
  'tx.close': (_, tx) => tx.close(),
};

/** What a function that knows nothing of it may do next. */
const uses: Record<string, (pool: SqlitePool) => Promise<unknown>> = {
  run: (pool) => pool.run(never),
  get: (pool) => pool.get(`${never} RETURNING name`),
  all: (pool) => pool.all('SELECT * FROM item'),
  transaction: (pool) => pool.transaction((tx) => tx.exec(never)),
  read: (pool) => pool.read(() => 1),
  withConnection: (pool) => pool.withConnection((db) => db.exec(never)),
  'withConnection for writing': (pool) => pool.withConnection((db) => db.exec(never), { write: true }),
  connection: (pool) => pool.connection(),
};

const places: Record<string, (pool: SqlitePool, fn: (tx: LeasedDatabase) => Promise<void>) => Promise<unknown>> = {
  'an unbound transaction': (pool, fn) => pool.transaction(fn),
  'a bound transaction': (pool, fn) => pool.withConnection(() => pool.transaction(fn)),
  'a read': (pool, fn) => pool.read(fn),
};

for (const [place, within] of Object.entries(places)) {
  for (const [theft, take] of Object.entries(thefts)) {
    test(`in ${place} that has lost its connection by ${theft}, nothing goes on elsewhere`, async (t) => {
      const pool = await openItems(t);
      const lost = within(pool, async (tx) => {
        take(pool, tx);
        await settled();
        for (const [name, use] of Object.entries(uses)) {
          await t.throwsAsync(() => use(pool), { code: 'ERR_LEASEHOLD_RELEASED' }, name);
        }
      });
      await t.throwsAsync(lost, { code: 'ERR_LEASEHOLD_RELEASED' });
      t.deepEqual(await pool.all('SELECT * FROM item'), []);
      t.like(pool.stats(), { leased: 0, laneHeld: 0, laneWaiting: 0 });
    });
  }
}

test('nor by way of another pool’s scope', async (t) => {
  const [pool, other] = [await openItems(t), await openItems(t)];
  const lost = pool.transaction(async (tx) => {
    tx.close();
    await t.throwsAsync(() => other.withConnection(() => pool.run(never)), { code: 'ERR_LEASEHOLD_RELEASED' });
    await t.throwsAsync(() => other.transaction(() => pool.run(never)), { code: 'ERR_LEASEHOLD_RELEASED' });
  });
  await t.throwsAsync(lost);
  t.deepEqual(await pool.all('SELECT * FROM item'), []);
});

test('outside of its transactions a scope that has given its connection back may take another', async (t) => {
  const pool = await openItems(t);
  await pool.withConnection(async (db) => {
    await pool.transaction((tx) => tx.exec("INSERT INTO item VALUES ('kept')"));
    db.close();
    t.deepEqual(await pool.all('SELECT * FROM item'), [{ name: 'kept' }]);
    await pool.transaction((tx) => tx.exec("INSERT INTO item VALUES ('kept too')"));
  });
  t.is((await pool.all('SELECT * FROM item')).length, 2);
});

// While an iterator is open SQLite does not say whether a transaction is.

async function open(t: ExecutionContext): Promise<SqlitePool> {
  const pool = temporaryPool(t);
  await pool.run('CREATE TABLE item (name TEXT UNIQUE)');
  await pool.run("INSERT INTO item VALUES ('cog'), ('nut'), ('bolt')");
  return pool;
}

const writeOr = (db: LeasedDatabase, name: string, or = 'ABORT') =>
  db.prepare(`INSERT OR ${or} INTO item VALUES (?) RETURNING name`).get(name);

const names = (pool: SqlitePool) => pool.all('SELECT name FROM item ORDER BY rowid');

const conflict = { code: 'SQLITE_CONSTRAINT_UNIQUE' };
const aborted = { code: 'ERR_LEASEHOLD_TRANSACTION_ABORTED' };

test('after an error that may have ended the transaction nothing is written while an iterator hides whether it did', async (t) => {
  const pool = await open(t);
  const before = await names(pool);
  const whole = pool.transaction((tx) => {
    writeOr(tx, 'washer');
    const rows = tx.prepare('SELECT name FROM item').iterate();
    rows.next();
    const error = t.throws(() => writeOr(tx, 'cog', 'ROLLBACK'), conflict);
    // SQLite would take it, and commit it by itself.
    t.like(
      t.throws(() => writeOr(tx, 'screw'), aborted),
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
    writeOr(tx, 'washer');
    const rows = tx.prepare('SELECT name FROM item').iterate();
    rows.next();
    error = t.throws(() => writeOr(tx, 'cog', 'ROLLBACK'), conflict);
    // From here on SQLite can be asked, and nothing else is done.
    rows.return?.();
  });
  t.like(await t.throwsAsync(whole, aborted), { cause: error });
  t.deepEqual(await names(pool), before);
});

test('an error that has not ended the transaction is forgotten with the iterator that hid this', async (t) => {
  const pool = await open(t);
  await pool.transaction((tx) => {
    writeOr(tx, 'washer');
    const rows = tx.prepare('SELECT name FROM item').iterate();
    rows.next();
    t.throws(() => writeOr(tx, 'cog'), conflict);
    t.throws(() => writeOr(tx, 'screw'), aborted, 'it can not be told yet');
    rows.return?.();
    writeOr(tx, 'screw');
  });
  t.deepEqual((await names(pool)).slice(-2), [{ name: 'washer' }, { name: 'screw' }]);
});

// What the branches of a scope leave of the lane to others while they take turns on one connection.

test('a statement of the pool gives the lane back at its end, though a read has begun beside it', async (t) => {
  const pool = await openItems(t, { busyTimeout: 0 });
  await pool.withConnection(async () => {
    const [begun, done] = [gate(), gate()];
    const run = pool.run("INSERT INTO item VALUES ('run')");
    const reading = pool.read(async () => {
      begun.open();
      await done.passed;
    });
    await Promise.all([run, begun.passed]);
    t.is(pool.stats().laneHeld, 0);
    t.like(pool.leases(), [{ mode: 'read', inTransaction: true }]);
    await pool.transaction((tx) => insert(tx, 'another'), { nesting: 'separate', timeout: 1000 });
    done.open();
    await reading;
  });
  t.is((await pool.all('SELECT * FROM item')).length, 2);
});

test('who had the lane before a read does not think so after it', async (t) => {
  const pool = await openItems(t, { busyTimeout: 0 });
  await pool.withConnection(async (db) => {
    const [begun, done] = [gate(), gate()];
    await Promise.all([pool.run("INSERT INTO item VALUES ('run')"), pool.read(() => {})]);
    const another = pool.transaction(
      async (tx) => {
        insert(tx, 'another');
        begun.open();
        await done.passed;
      },
      { nesting: 'separate' },
    );
    await begun.passed;
    for (const write of [() => db.transaction(() => insert(db, 'never'))(), () => insert(db, 'never')]) {
      t.throws(write, { code: 'ERR_LEASEHOLD_WRITE_LOCKED' });
    }
    done.open();
    await another;
    t.is(pool.leases()[0]?.mode, 'connection');
  });
  t.is((await pool.all('SELECT * FROM item')).length, 2);
});
