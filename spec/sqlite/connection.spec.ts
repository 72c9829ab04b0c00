import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { LeasedDatabase, SqlitePool, SqlitePoolOptions } from '../../lib/index.ts';
import { temporaryDirectory } from '../support/files.ts';
import { gate } from '../support/gate.ts';
import { observe, onlyConnection, rawDatabase, sample, temporaryPool, watchDirt } from '../support/sqlite.ts';

/** What a holder may leave behind, and whether its connection can be made clean or has to go. */
interface Leaving {
  readonly leave: (db: LeasedDatabase, pool: SqlitePool) => unknown;
  readonly traces: readonly string[];
  readonly pooled?: boolean;
}

const open = (db: LeasedDatabase, sql = 'SELECT * FROM item') => db.prepare(sql).iterate().next();

const leavings: Record<string, Leaving> = {
  'an open transaction': { leave: (db) => db.exec('BEGIN'), traces: ['open transaction'], pooled: true },
  'a transaction that has written': {
    leave: (db) => db.exec('BEGIN IMMEDIATE; DELETE FROM tag'),
    traces: ['open transaction'],
    pooled: true,
  },
  'a transaction begun by a statement': {
    leave: (db) => db.prepare('BEGIN EXCLUSIVE').run(),
    traces: ['open transaction'],
    pooled: true,
  },
  'a lone savepoint': { leave: (db) => db.exec('SAVEPOINT lone'), traces: ['open transaction'], pooled: true },
  'a transaction left by a failed COMMIT': {
    leave: (db) => {
      db.exec('BEGIN; INSERT INTO later VALUES (99)');
      try {
        db.exec('COMMIT');
      } catch {
        // A foreign key is not met, and the transaction stays open.
      }
    },
    traces: ['open transaction'],
    pooled: true,
  },
  'a transaction function that could not roll back': {
    leave: (db) => {
      try {
        db.transaction(() => [db.exec("INSERT INTO item (name) VALUES ('cog')"), open(db)])();
      } catch {
        // The iterator keeps the transaction from ending in any way.
      }
    },
    traces: ['open iterator', 'open transaction'],
    pooled: true,
  },
  'an open iterator': { leave: (db) => open(db), traces: ['open iterator'], pooled: true },
  'an iterator that has not begun': {
    leave: (db) => db.prepare('SELECT * FROM item').iterate(),
    traces: ['open iterator'],
    pooled: true,
  },
  'an open iterator of pool.db': {
    leave: (_, pool) => pool.db.prepare('SELECT * FROM item').iterate().next(),
    traces: ['open iterator'],
    pooled: true,
  },
  'several iterators': {
    leave: (db) => [open(db), open(db), open(db, 'SELECT * FROM tag')],
    traces: ['3 open iterators'],
    pooled: true,
  },
  'iterators and a transaction': {
    leave: (db) => [db.exec("BEGIN; INSERT INTO item (name) VALUES ('cog')"), open(db), open(db)],
    traces: ['2 open iterators', 'open transaction'],
    pooled: true,
  },
  'a half-read INSERT ... RETURNING in a transaction': {
    leave: (db) => [db.exec('BEGIN'), open(db, "INSERT INTO item (name) VALUES ('a'), ('b') RETURNING id")],
    traces: ['open iterator', 'open transaction'],
    pooled: true,
  },
  'a temporary table': { leave: (db) => db.exec('CREATE TEMP TABLE stray (x)'), traces: ['temporary table stray'] },
  'a table in the temp schema': {
    leave: (db) => db.prepare('CREATE TABLE "temp".stray (x)').run(),
    traces: ['temporary table stray'],
  },
  'a table in the temp schema, if not there yet': {
    leave: (db) => db.exec('CREATE TABLE IF NOT EXISTS temp.stray (x)'),
    traces: ['temporary table stray'],
  },
  'a view in the temp schema, if not there yet': {
    leave: (db) => db.exec('CREATE VIEW IF NOT EXISTS temp.stray AS SELECT 1'),
    traces: ['temporary view stray'],
  },
  'a virtual table in the temp schema, if not there yet': {
    leave: (db) => db.exec('CREATE VIRTUAL TABLE IF NOT EXISTS temp.stray USING fts5vocab(main, words, row)'),
    traces: ['temporary table stray'],
  },
  'a temporary index': {
    leave: (db) => db.exec('CREATE TEMP TABLE stray (x); CREATE INDEX stray_x ON stray (x)'),
    traces: ['temporary table stray', 'temporary index stray_x'],
  },
  'a temporary table from a query': {
    leave: (db) => db.exec('create/**/temporary\ntable stray as select * from item'),
    traces: ['temporary table stray'],
  },
  'a temporary virtual table': {
    leave: (db) => db.exec('CREATE VIRTUAL TABLE temp.stray USING fts5vocab(main, words, row)'),
    traces: ['temporary table stray'],
  },
  'a temporary view': {
    leave: (db) => db.exec('CREATE TEMP VIEW stray AS SELECT 1'),
    traces: ['temporary view stray'],
  },
  'a temporary trigger': {
    leave: (db) => db.exec('CREATE TEMP TRIGGER stray AFTER DELETE ON item BEGIN SELECT 1; SELECT 2; END'),
    traces: ['temporary trigger stray'],
  },
  'an attached database': {
    leave: (db) => db.exec("ATTACH ':memory:' AS stray"),
    traces: ['attached database stray'],
  },
  'a database attached by parameters': {
    leave: (db) => db.prepare('ATTACH ? AS ?').run(':memory:', 'stray'),
    traces: ['attached database stray'],
  },
  'a user function': { leave: (db) => db.function('stray', () => 1), traces: ['user function'] },
  'a user function of pool.db': { leave: (_, pool) => pool.db.function('stray', () => 1), traces: ['user function'] },
  'an aggregate': {
    leave: (db) => db.aggregate('stray', { start: 0, step: (total: number, next: number) => total + next }),
    traces: ['user aggregate'],
  },
  'a virtual table module': {
    leave: (db) => db.table('stray', { columns: ['a'], *rows() {} }),
    traces: ['virtual table'],
  },
  unsafeMode: { leave: (db) => db.unsafeMode(), traces: ['unsafeMode'] },
  defaultSafeIntegers: { leave: (db) => db.defaultSafeIntegers(), traces: ['defaultSafeIntegers'] },
  'several of these': {
    leave: (db) =>
      db
        .function('stray', () => 1)
        .unsafeMode()
        .exec('BEGIN; CREATE TEMP TABLE stray (x)')
        .pragma('cache_size = 7'),
    traces: ['open transaction', 'user function', 'unsafeMode', 'pragma cache_size'],
  },
};

async function samplePool(t: ExecutionContext, options: SqlitePoolOptions = {}): Promise<SqlitePool> {
  const pool = temporaryPool(t, { max: 1, ...options });
  await pool.withConnection((db) => {
    db.exec(sample);
    db.exec('CREATE TABLE later (item INTEGER REFERENCES item (id) DEFERRABLE INITIALLY DEFERRED)');
    db.exec('CREATE VIRTUAL TABLE words USING fts5 (word)');
  });
  return pool;
}

for (const [name, { leave, traces, pooled = false }] of Object.entries(leavings)) {
  test(`${name}: the next holder sees no trace of it, and an event tells`, async (t) => {
    const pool = await samplePool(t);
    const dirt = watchDirt(pool);
    const rows = () => pool.all('SELECT * FROM item LEFT JOIN tag ON tag.item = item.id');
    const [before, rowsBefore] = [await pool.withConnection(observe), await rows()];
    const left = await pool.withConnection(
      (db) => {
        leave(db, pool);
        t.notDeepEqual(observe(db), before, 'Without the clean-up it would show');
        const [{ id, connection, scope } = {}] = pool.leases();
        return { lease: id, connection, label: 'untidy', scope };
      },
      { label: 'untidy' },
    );
    const message =
      `Scope #${left.scope} "untidy" of "app" left behind: ${traces.join(', ')}. ` +
      'Await all work before the end, and finish what it began.';
    t.deepEqual(dirt, [{ ...left, traces, message }] as unknown[]);
    await pool.withConnection((db) => {
      t.deepEqual(observe(db), before);
      t.is(onlyConnection(pool) === left.connection, pooled);
    });
    t.deepEqual(await rows(), rowsBefore);
    t.is(dirt.length, 1, 'Nobody else left anything');
    t.is(pool.stats().counters.discarded, pooled ? 0 : 1);
  });
}

test('a kept BEGIN is noticed in every lease that runs it', async (t) => {
  const pool = await samplePool(t);
  const dirt = watchDirt(pool);
  const begin = pool.db.prepare('BEGIN');
  for (let lease = 1; lease <= 3; lease++) {
    await pool.withConnection((db) => {
      t.false(db.inTransaction);
      if (lease === 2) begin.run();
      else db.prepare('BEGIN').run();
    });
    t.is(dirt.length, lease);
  }
});

test('the same holds for a lease that was acquired and closed', async (t) => {
  const pool = await samplePool(t);
  const dirt = watchDirt(pool);
  const db = await pool.acquire({ label: 'by hand' });
  db.exec('BEGIN; DELETE FROM tag');
  open(db);
  db.close();
  t.like(dirt, [{ label: 'by hand', scope: undefined, traces: ['open iterator', 'open transaction'] }]);
  t.deepEqual(await pool.get('SELECT count(*) AS n FROM tag'), { n: 2 });
});

test('the same holds where the connection goes straight to one who waits', async (t) => {
  const pool = await samplePool(t);
  const before = await pool.withConnection(observe);
  const db = await pool.acquire();
  const next = pool.acquire();
  db.exec('BEGIN; DELETE FROM tag');
  db.function('stray', () => 1);
  open(db);
  db.close();
  await using waited = await next;
  t.deepEqual(observe(waited), before);
});

test('the same holds where the holder failed, and its error passes through', async (t) => {
  const pool = await samplePool(t);
  const dirt = watchDirt(pool);
  const error = new Error('of the holder');
  const failing = pool.withConnection((db) => {
    db.exec('BEGIN; DELETE FROM tag');
    throw error;
  });
  t.is(await t.throwsAsync(failing), error);
  t.is(dirt.length, 1);
  t.deepEqual(await pool.get('SELECT count(*) AS n FROM tag'), { n: 2 });
});

test('a transaction by SQL is refused where it would be over with the connection of that one call', async (t) => {
  const pool = await samplePool(t);
  const dirt = watchDirt(pool);
  for (const sql of ['BEGIN', 'BEGIN IMMEDIATE', 'SAVEPOINT here', 'COMMIT', 'ROLLBACK', '/* as */ begin']) {
    await t.throwsAsync(pool.run(sql), { code: 'ERR_LEASEHOLD_NO_CONNECTION', message: /withConnection/ }, sql);
    await pool.withScope(() => t.throwsAsync(pool.run(sql), { code: 'ERR_LEASEHOLD_NO_CONNECTION' }, sql));
  }
  await pool.run("INSERT INTO item (name) VALUES ('cog')");
  t.deepEqual(await pool.get('SELECT count(*) AS n FROM item'), { n: 4 });
  t.deepEqual(dirt, []);
});

test('a backup under way when its lease ends is stopped, and its connection goes', async (t) => {
  const pool = await samplePool(t);
  const dirt = watchDirt(pool);
  const target = join(temporaryDirectory(t), 'copy.db');
  const half = gate();
  let steps = 0;
  let backup: Promise<unknown> | undefined;
  const first = await pool.withConnection(
    async (db) => {
      db.exec('CREATE TABLE big AS SELECT zeroblob(400000) AS filler');
      backup = db.backup(target, {
        progress: () => {
          steps++;
          half.open();
          return 1;
        },
      });
      backup.catch(() => {});
      await half.passed;
      return onlyConnection(pool);
    },
    { label: 'copier' },
  );
  const after = steps;
  await t.throwsAsync(backup ?? Promise.resolve(), { message: 'The database connection is not open' });
  t.is(steps, after, 'Its callback is not called any more');
  t.like(dirt, [{ label: 'copier', traces: ['backup under way'] }]);
  await pool.withConnection(() => t.not(onlyConnection(pool), first));
});

test('a private database keeps its connection: it is all there is of it', async (t) => {
  const pool = temporaryPool(t, {}, ':memory:');
  const dirt = watchDirt(pool);
  await pool.withConnection((db) => db.exec(sample));
  await pool.withConnection((db) => db.exec('BEGIN; DELETE FROM tag'));
  await pool.withConnection((db) => db.exec('CREATE TEMP TABLE stray (x)'));
  t.deepEqual(await pool.get('SELECT count(*) AS n FROM tag'), { n: 2 });
  t.deepEqual(
    dirt.map(({ traces }) => traces),
    [['open transaction'], ['temporary table stray']],
  );
  t.is(pool.stats().counters.opened, 1);
});

test('what stays in a private database is reported once, as left by who left it', async (t) => {
  const pool = temporaryPool(t, {}, ':memory:');
  const dirt = watchDirt(pool);
  await pool.withConnection((db) => db.exec('CREATE TEMP TABLE stray (x)'), { label: 'untidy' });
  await pool.withConnection((db) => db.exec('CREATE TABLE a (x); CREATE INDEX b ON a (x)'), { label: 'tidy' });
  t.deepEqual(
    dirt.map(({ label }) => label),
    ['untidy'],
  );
});

test('what was left in the file itself stays: that is what a database is for', async (t) => {
  const pool = await samplePool(t);
  await pool.withConnection((db) => db.exec('CREATE TABLE a (x); INSERT INTO a VALUES (1); PRAGMA user_version = 7'));
  t.deepEqual(await pool.get('SELECT x FROM a'), { x: 1 });
  t.is(rawDatabase(t, pool.db.name).pragma('user_version', { simple: true }), 7);
  t.is(pool.stats().counters.dirty, 0);
});
