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
