import test, { type ExecutionContext } from 'ava';
import type { SqlitePool } from '../../lib/index.ts';
import { temporaryFile } from '../support/files.ts';
import { gate, settled } from '../support/gate.ts';
import { temporaryPool } from '../support/sqlite.ts';

const table = 'CREATE TABLE IF NOT EXISTS item (name TEXT)';

async function twoPools(t: ExecutionContext) {
  const file = temporaryFile(t);
  const [pool, other] = [temporaryPool(t, {}, file), temporaryPool(t, {}, file)];
  await pool.run(table);
  await other.run("INSERT INTO item VALUES ('old')");
  return { pool, other };
}

/** One statement each that writes one row. */
const writes: Record<string, (pool: SqlitePool) => Promise<unknown>> = {
  'run of INSERT': (pool) => pool.run('INSERT INTO item VALUES (?)', ['x']),
  'run of INSERT with names': (pool) => pool.run('INSERT INTO item VALUES ($name)', { name: 'x' }),
  'run of INSERT behind a comment': (pool) => pool.run("-- note\n INSERT INTO item VALUES ('x')"),
  'run of WITH … INSERT': (pool) => pool.run('WITH row AS (SELECT ?) INSERT INTO item SELECT * FROM row', ['x']),
  'get of INSERT … RETURNING': (pool) => pool.get('INSERT INTO item VALUES (?) RETURNING name', ['x']),
  'all of INSERT … RETURNING': (pool) => pool.all('INSERT INTO item VALUES (?) RETURNING name', ['x']),
  'all of WITH … INSERT … RETURNING': (pool) =>
    pool.all('WITH row AS (SELECT ?) INSERT INTO item SELECT * FROM row RETURNING name', ['x']),
  'run of REPLACE': (pool) => pool.run("REPLACE INTO item VALUES ('x')"),
};

const reads: Record<string, (pool: SqlitePool) => Promise<unknown>> = {
  'get of SELECT': (pool) => pool.get('SELECT name FROM item'),
  'all of SELECT': (pool) => pool.all('SELECT name FROM item'),
  'all of WITH … SELECT': (pool) => pool.all('WITH row AS (SELECT * FROM item) SELECT * FROM row'),
  'get of VALUES': (pool) => pool.get('VALUES (1)'),
  'get of PRAGMA that asks': (pool) => pool.get('PRAGMA user_version'),
  'all of EXPLAIN of a write': (pool) => pool.all('EXPLAIN INSERT INTO item VALUES (1)'),
};

/** How the statement gets its connection. */
const places: Record<string, (pool: SqlitePool, fn: () => Promise<unknown>) => Promise<unknown>> = {
  'outside every scope': (_, fn) => fn(),
  'in a scope without a connection': (pool, fn) => pool.withScope(fn),
  'in a scope with a connection': (pool, fn) => pool.withConnection(fn),
};

for (const [place, within] of Object.entries(places)) {
  for (const [name, write] of Object.entries(writes)) {
    test(`${name} ${place} waits its turn, and holds the lane no longer than it runs`, async (t) => {
      const { pool, other } = await twoPools(t);
      const holder = await other.acquire({ write: true });
      const writing = within(pool, async () => {
        const result = await write(pool);
        t.is(pool.stats().laneHeld, 0);
        return result;
      });
      await settled();
      await settled();
      t.like(pool.stats(), { laneHeld: 1, laneWaiting: 1 });
      t.like(await other.get('SELECT count(*) AS n FROM item'), { n: 1 });
      holder.close();
      await writing;
      t.like(pool.stats(), { laneHeld: 0, laneWaiting: 0, leased: 0 });
      t.like(await other.get('SELECT count(*) AS n FROM item'), { n: 2 });
    });
  }

  for (const [name, read] of Object.entries(reads)) {
    test(`${name} ${place} waits for no writer`, async (t) => {
      const { pool, other } = await twoPools(t);
      const holder = await other.acquire({ write: true });
      holder.exec('BEGIN IMMEDIATE');
      await within(pool, () => t.notThrowsAsync(read(pool)));
      t.is(pool.stats().laneWaiting, 0);
      holder.close();
    });
  }
}

test('a statement in a transaction is part of it and waits for nothing', async (t) => {
  const { pool } = await twoPools(t);
  const fails = pool.transaction(async () => {
    for (const write of Object.values(writes)) await write(pool);
    t.is(pool.stats().laneWaiting, 0);
    t.like(await pool.get('SELECT count(*) AS n FROM item'), { n: 1 + Object.keys(writes).length });
    throw new Error('undone');
  });
  await t.throwsAsync(fails, { message: 'undone' });
  t.like(await pool.get('SELECT count(*) AS n FROM item'), { n: 1 });
});

test('a statement that fails gives the lane back, and its error passes through', async (t) => {
  const { pool } = await twoPools(t);
  await pool.run('CREATE UNIQUE INDEX one ON item (name)');
  for (const within of Object.values(places)) {
    await within(pool, async () => {
      await t.throwsAsync(pool.run("INSERT INTO item VALUES ('old')"), { code: 'SQLITE_CONSTRAINT_UNIQUE' });
      await t.throwsAsync(pool.run('INSERT INTO missing VALUES (1)'), { code: 'SQLITE_ERROR' });
      await t.throwsAsync(pool.run('INSERT INTO item VALUES (?)', []), { instanceOf: RangeError });
      await t.throwsAsync(pool.run('nonsense'), { code: 'SQLITE_ERROR' });
      await t.throwsAsync(pool.run(undefined as never), { instanceOf: TypeError });
      t.is(pool.stats().laneHeld, 0);
    });
  }
  t.is(pool.stats().leased, 0);
});

test('a transaction that begins beside a statement of its scope keeps the lane, however close they are', async (t) => {
  const { pool } = await twoPools(t);
  for (let jobs = 0; jobs < 8; jobs++) {
    await pool.withConnection(async () => {
      const done = gate();
      // It may be refused, where the transaction is open when its turn comes.
      const writing = pool.run("INSERT INTO item VALUES ('x')").catch(() => {});
      for (let job = 0; job < jobs; job++) await Promise.resolve();
      const transaction = pool.transaction(async (tx) => {
        tx.exec("INSERT INTO item VALUES ('y')");
        await done.passed;
      });
      await settled();
      t.like(pool.leases(), [{ inTransaction: true, mode: 'write' }], `${jobs} jobs`);
      t.is(pool.stats().laneHeld, 1, `${jobs} jobs`);
      done.open();
      await Promise.all([writing, transaction]);
      t.is(pool.stats().laneHeld, 0);
    });
  }
});

test('what waits for the lane behind a transaction of its own scope has its turn after that', async (t) => {
  const { pool, other } = await twoPools(t);
  const holder = await other.acquire({ write: true });
  await pool.withConnection(async () => {
    const order: string[] = [];
    const transaction = pool.transaction(async (tx) => {
      tx.exec("INSERT INTO item VALUES ('x')");
      await settled();
      order.push('transaction');
    });
    await settled();
    const statement = pool.run("INSERT INTO item VALUES ('y')");
    await settled();
    const written = () => pool.db.prepare("SELECT count(*) FROM item WHERE name IN ('x', 'y')").pluck().get();
    const scope = pool.withConnection(() => order.push(`write scope after ${String(written())}`), { write: true });
    await settled();
    t.is(pool.stats().laneWaiting, 3);
    holder.close();
    await t.notThrowsAsync(Promise.all([transaction, statement, scope]));
    t.deepEqual(order, ['transaction', 'write scope after 2']);
  });
  t.is(pool.stats().laneHeld, 0);
});

// While an iterator is open, SQLite does not say whether a transaction is. So what holds the lock has to be known.

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
