import test, { type ExecutionContext } from 'ava';
import type { LeasedDatabase, Nesting, SqlitePool } from '../../lib/index.ts';
import { gate } from '../support/gate.ts';
import { insert, namesIn } from '../support/items.ts';
import { rawDatabase, temporaryPool } from '../support/sqlite.ts';

async function open(t: ExecutionContext): Promise<SqlitePool> {
  const pool = temporaryPool(t);
  await pool.run('CREATE TABLE item (name TEXT)');
  await pool.run("INSERT INTO item VALUES ('cog')");
  return pool;
}

const count = (db: LeasedDatabase) => db.prepare<[], number>('SELECT count(*) FROM item').pluck().get();
const readOnly = { code: 'ERR_LEASEHOLD_READ_ONLY' };

for (const bound of [false, true]) {
  const where = bound ? 'bound' : 'unbound';

  test(`a read sees the database as it was at its start, whoever commits later, ${where}`, async (t) => {
    const pool = await open(t);
    const other = rawDatabase(t, pool.db.name);
    const [begun, written] = [gate(), gate()];
    const read = () =>
      pool.read(async (db) => {
        begun.open();
        // Not one statement before the others have committed: the snapshot must be there all the same.
        await written.passed;
        const seen = [count(db), await pool.get('SELECT count(*) AS n FROM item')];
        other.exec("INSERT INTO item VALUES ('nut')");
        return [...seen, count(db), [...db.prepare('SELECT name FROM item').pluck().iterate()]];
      });
    const reading = bound ? pool.withConnection(() => read()) : read();
    await begun.passed;
    other.exec("INSERT INTO item VALUES ('from outside')");
    await pool.transaction((tx) => insert(tx, 'from the pool'));
    await pool.run('CREATE TABLE later (x)');
    written.open();
    t.deepEqual(await reading, [1, { n: 1 }, 1, ['cog']]);
    t.deepEqual(await namesIn(pool), ['cog', 'from outside', 'from the pool', 'nut']);
  });

  test(`a read does not see what a transaction has not committed, ${where}`, async (t) => {
    const pool = await open(t);
    const [written, read] = [gate(), gate()];
    const writing = pool.transaction(async (tx) => {
      insert(tx, 'open');
      written.open();
      await read.passed;
    });
    await written.passed;
    t.is(await (bound ? pool.withConnection(() => pool.read(count)) : pool.read(count)), 1);
    read.open();
    await writing;
    t.is(await pool.read(count), 2);
  });
}

test('in a read every way to write is refused, and reading goes on', async (t) => {
  const pool = await open(t);
  await pool.read(
    async (db) => {
      const write = "INSERT INTO item VALUES ('never')";
      const returning = db.prepare(`${write} RETURNING name`);
      const attempts = {
        run: () => db.prepare(write).run(),
        get: () => returning.get(),
        all: () => returning.all(),
        iterate: () => [...returning.iterate()],
        with: () => db.prepare("WITH x AS (SELECT 'never') INSERT INTO item SELECT * FROM x").run(),
        update: () => db.prepare("UPDATE item SET name = 'never'").run(),
        delete: () => db.prepare('DELETE FROM item').run(),
        schema: () => db.exec('CREATE TABLE never (x)'),
        exec: () => db.exec(write),
        script: () => db.exec(`SELECT 1; ${write}`),
        pragma: () => db.pragma('user_version = 5'),
        ambient: () => pool.db.prepare(write).run(),
        'ambient pragma': () => pool.db.pragma('user_version = 5'),
        synchronous: () => db.transaction(() => insert(db, 'never'))(),
        'synchronous, immediate': () => db.transaction(() => insert(db, 'never')).immediate(),
      };
      for (const [name, attempt] of Object.entries(attempts)) {
        t.like(t.throws(attempt, readOnly, name), { pool: 'app', label: 'report' }, name);
      }
      await t.throwsAsync(() => pool.run(write), readOnly);
      await t.throwsAsync(() => pool.get(`${write} RETURNING name`), readOnly);
      await t.throwsAsync(() => pool.all(`${write} RETURNING name`), readOnly);
      t.is(count(db), 1);
      t.is(db.pragma('user_version', { simple: true }), 0);
      t.is(db.transaction(() => count(db))(), 1);
    },
    { label: 'report' },
  );
  t.deepEqual(await namesIn(pool), ['cog']);
  t.is(pool.stats().counters.discarded, 0);
});

test('a transaction inside a read is refused before its function is called', async (t) => {
  const pool = await open(t);
  await pool.read(async (db) => {
    for (const nesting of ['savepoint', 'join'] satisfies Nesting[]) {
      await t.throwsAsync(() => pool.transaction(() => t.fail(), { nesting }), readOnly);
      await t.throwsAsync(() => pool.transaction(() => t.fail(), { nesting, mode: 'deferred' }), readOnly);
    }
    await t.throwsAsync(() => db.transaction(async () => t.fail())(), readOnly);
    await pool.read(async () => {
      await t.throwsAsync(() => pool.transaction(() => t.fail()), readOnly);
    });
    t.is(count(db), 1);
  });
});

for (const nesting of ['savepoint', 'join'] satisfies Nesting[]) {
  test(`a read inside a transaction is part of it, and can not write, with nesting ${nesting}`, async (t) => {
    const pool = await open(t);
    await pool.transaction(async (tx) => {
      insert(tx, 'cam');
      const seen = await pool.read(
        async (db) => {
          t.is(db, tx);
          t.throws(() => insert(db, 'never'), readOnly);
          t.throws(() => db.exec("INSERT INTO item VALUES ('never')"), readOnly);
          await t.throwsAsync(() => pool.run("INSERT INTO item VALUES ('never')"), readOnly);
          await t.throwsAsync(() => pool.transaction(() => t.fail()), readOnly);
          return pool.read(count, { nesting });
        },
        { nesting },
      );
      t.is(seen, 2);
      insert(tx, 'nut');
    });
    t.deepEqual(await namesIn(pool), ['cog', 'cam', 'nut']);
  });
}

test('a separate read inside a transaction sees only what is committed', async (t) => {
  const pool = await open(t);
  await pool.transaction(async (tx) => {
    insert(tx, 'cam');
    const seen = await pool.read(
      (db) => {
        t.not(db, tx);
        // The handle of the transaction around it still is that of the transaction.
        return [count(db), count(tx)];
      },
      { nesting: 'separate' },
    );
    t.deepEqual(seen, [1, 2]);
  });
});

test('reads side by side have a snapshot each, and no two share a connection', async (t) => {
  const pool = await open(t);
  const [two, three] = [gate(), gate()];
  const handles = new Set<LeasedDatabase>();
  const read = async (expected: number) =>
    pool.read(async (db) => {
      handles.add(db);
      if (handles.size === 2) two.open();
      if (handles.size === 3) three.open();
      await three.passed;
      t.is(count(db), expected);
    });
  const before = [read(1), read(1)];
  await two.passed;
  await pool.run("INSERT INTO item VALUES ('cam')");
  await Promise.all([...before, read(2)]);
  t.is(handles.size, 3);
});

test('a read leaves nothing behind: its connection serves the next writer', async (t) => {
  const pool = await open(t);
  await pool.withConnection(async (db) => {
    t.is(await pool.read(count), 1);
    t.false(db.inTransaction);
    insert(db, 'cam');
    await t.throwsAsync(
      pool.read(() => Promise.reject(new RangeError('enough'))),
      { instanceOf: RangeError },
    );
    insert(db, 'nut');
  });
  t.deepEqual(await namesIn(pool), ['cog', 'cam', 'nut']);
  t.is(pool.stats().counters.dirty, 0);
});
