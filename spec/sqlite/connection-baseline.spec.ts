import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type Database from 'better-sqlite3';
import type { LeasedDatabase, SqlitePool } from '../../lib/index.ts';
import { temporaryDirectory, temporaryFile } from '../support/files.ts';
import { observe, onlyConnection, sample, temporaryPool, watchDirt } from '../support/sqlite.ts';

/** Sets up one of everything that a lease could leave behind. */
function setUp(db: Database.Database, attached: string): void {
  db.exec(`
    CREATE TABLE IF NOT EXISTS item (id INTEGER PRIMARY KEY, name);
    CREATE TEMP TABLE kept (x);
    CREATE TEMP VIEW kept_view AS SELECT 7 AS seven;
    CREATE TEMP TRIGGER kept_trigger AFTER INSERT ON item BEGIN INSERT INTO kept VALUES (new.id); END;
    ATTACH '${attached}' AS annex;
    CREATE TABLE IF NOT EXISTS annex.note (text)`);
  db.function('stray_but_kept', () => 7);
  db.aggregate('stray_sum', { start: 0, step: (total: number, next: number) => total + next });
  db.table('stray_table', { columns: ['a'], *rows() {} });
  db.pragma('recursive_triggers = 1');
  db.pragma('cache_size = 321');
  db.defaultSafeIntegers();
}

async function preparedPool(t: ExecutionContext): Promise<{ pool: SqlitePool; before: Record<string, unknown> }> {
  const attached = join(temporaryDirectory(t), 'annex.db');
  const pool = temporaryPool(t, { max: 1, onOpen: (db) => setUp(db, attached) });
  return { pool, before: await pool.withConnection(observe) };
}

test('every lease begins with what onOpen has set up, and is clean if it leaves it so', async (t) => {
  const { pool, before } = await preparedPool(t);
  const dirt = watchDirt(pool);
  t.like(before, {
    recursive_triggers: 1n,
    cache_size: 321n,
    integers: 'bigint',
    attached: [['main'], ['annex']],
  });
  const first = await pool.withConnection((db) => {
    t.deepEqual(db.prepare('SELECT stray_but_kept() AS a, seven FROM kept_view').get(), { a: 7, seven: 7n });
    t.deepEqual(db.prepare('SELECT 7 AS a').safeIntegers(false).get(), { a: 7 });
    t.deepEqual(db.prepare('SELECT 7 AS a').get(), { a: 7n });
    t.deepEqual(db.prepare('SELECT * FROM stray_table').all(), []);
    t.deepEqual(db.prepare('SELECT * FROM annex.note').all(), []);
    return onlyConnection(pool);
  });
  for (let lease = 0; lease < 3; lease++) {
    await pool.withConnection((db) => {
      t.deepEqual(observe(db), before);
      t.is(onlyConnection(pool), first);
    });
  }
  t.deepEqual(dirt, []);
});

test('a temporary object that was gone again before the end is no trace', async (t) => {
  const { pool } = await preparedPool(t);
  const connection = await pool.withConnection(() => onlyConnection(pool));
  for (const sql of [
    'CREATE TEMP TABLE passing (x); DROP TABLE passing',
    'SAVEPOINT a; CREATE TEMP TABLE passing (x); ROLLBACK TO a; RELEASE a',
    'CREATE TEMP TABLE IF NOT EXISTS kept (x)',
    'CREATE TABLE passing (temp); ALTER TABLE passing ADD COLUMN x; DROP TABLE passing',
  ]) {
    await pool.withConnection((db) => db.exec(sql));
    await pool.withConnection(() => t.is(onlyConnection(pool), connection, sql));
  }
  t.is(pool.stats().counters.dirty, 0);
});

/** What a holder may do to that. */
const changes: Record<string, (db: LeasedDatabase) => unknown> = {
  'detaching a database': (db) => db.exec('DETACH annex'),
  'attaching another under its name': (db) => db.exec("DETACH annex; ATTACH ':memory:' AS annex"),
  'dropping a temporary table': (db) => db.exec('DROP TABLE kept'),
  'dropping a temporary view': (db) => db.prepare('DROP VIEW kept_view').run(),
  'dropping a temporary trigger': (db) => db.exec('DROP TRIGGER kept_trigger'),
  'renaming a temporary table': (db) => db.exec('ALTER TABLE kept RENAME TO lost'),
  'adding a temporary table': (db) => db.exec('CREATE TEMP TABLE stray (x)'),
  'redefining a function': (db) => db.function('stray_but_kept', () => 8),
  'redefining an aggregate': (db) => db.aggregate('stray_sum', { start: 1, step: () => 1 }),
  'setting a pragma': (db) => db.pragma('recursive_triggers = 0'),
  'switching safe integers off': (db) => db.defaultSafeIntegers(false),
};

// What belongs to a temporary table is temporary itself without saying so, and its name alone tells too little.
const implied: Record<string, (db: LeasedDatabase) => unknown> = {
  'a column added to a temporary table': (db) => db.exec('ALTER TABLE kept ADD COLUMN y'),
  'an index on a temporary table': (db) => db.exec('CREATE INDEX stray ON kept (x)'),
  'a trigger on a temporary table': (db) =>
    db.exec("CREATE TRIGGER stray AFTER INSERT ON kept BEGIN SELECT raise(ABORT, 'stray'); END"),
  'a trigger on a temporary view': (db) =>
    db.exec('CREATE TRIGGER stray INSTEAD OF INSERT ON kept_view BEGIN SELECT 1; END'),
  'statistics of a temporary table': (db) => db.exec('INSERT INTO kept VALUES (1); ANALYZE kept'),
  'statistics of the temporary database': (db) => db.prepare('ANALYZE temp').run(),
};

const answer = (db: LeasedDatabase) =>
  db.prepare('SELECT stray_but_kept() AS a, (SELECT stray_sum(7)) AS b, (SELECT seven FROM kept_view) AS c').get();

async function leavesBaseline(t: ExecutionContext, change: (db: LeasedDatabase) => unknown): Promise<void> {
  const { pool, before } = await preparedPool(t);
  const dirt = watchDirt(pool);
  const expected = await pool.withConnection(answer);
  const first = await pool.withConnection(
    (db) => {
      change(db);
      return onlyConnection(pool);
    },
    { label: 'untidy' },
  );
  await pool.withConnection((db) => {
    t.deepEqual(observe(db), before);
    t.deepEqual(answer(db), expected);
    t.not(onlyConnection(pool), first);
  });
  t.is(dirt.length, 1);
  t.is(dirt[0]?.label, 'untidy');
  t.true((dirt[0]?.traces.length ?? 0) > 0);
}

for (const [name, change] of Object.entries(changes)) {
  test(`${name} that onOpen set up does not reach the next lease`, (t) => leavesBaseline(t, change));
}
for (const [name, change] of Object.entries(implied)) {
  test(`${name} does not reach the next lease`, (t) => leavesBaseline(t, change));
}

for (const [kind, one, other] of [
  ['TABLE', '(x)', '(y)'],
  ['VIEW', 'AS SELECT 1', 'AS SELECT 2'],
]) {
  test(`another temporary ${kind} in the place of one that onOpen set up does not reach the next lease`, async (t) => {
    const pool = temporaryPool(t, { max: 1, onOpen: (db) => db.exec(`CREATE TEMP ${kind} kept ${one}`) });
    const before = await pool.withConnection(observe);
    await pool.withConnection((db) => db.exec(`DROP ${kind} kept; CREATE TEMP ${kind} kept ${other}`));
    t.deepEqual(await pool.withConnection(observe), before);
  });
}

test('onOpen may be asynchronous, and what it sets up after an await counts too', async (t) => {
  const pool = temporaryPool(t, {
    max: 1,
    async onOpen(db) {
      await Promise.resolve();
      db.exec('CREATE TEMP TABLE kept (x)');
      db.defaultSafeIntegers();
    },
  });
  const dirt = watchDirt(pool);
  for (let lease = 0; lease < 2; lease++) {
    await pool.withConnection((db) => {
      db.exec('CREATE TEMP TABLE passing (x); DROP TABLE passing');
      t.deepEqual(db.prepare('SELECT 1 AS a').get(), { a: 1n });
    });
  }
  t.deepEqual(dirt, []);
  t.is(pool.stats().counters.opened, 1);
});

test('an onOpen that throws, leaves a transaction open or closes the connection fails the open', async (t) => {
  const error = new Error('of the hook');
  const hooks: [string, (db: Database.Database) => unknown][] = [
    [
      'of the hook',
      () => {
        throw error;
      },
    ],
    ['of the hook', () => Promise.reject(error)],
    ['onOpen left a transaction open', (db) => db.exec('BEGIN')],
    ['onOpen left a transaction open', (db) => db.exec('SAVEPOINT lone')],
    ['onOpen left a transaction open', (db) => Promise.resolve().then(() => db.exec('BEGIN'))],
    ['onOpen closed the connection', (db) => db.close()],
  ];
  for (const [message, onOpen] of hooks) {
    const seen: Database.Database[] = [];
    const pool = temporaryPool(t, {
      onOpen(db) {
        seen.push(db);
        return onOpen(db);
      },
    });
    const failure = await t.throwsAsync(pool.ready(), { code: 'ERR_LEASEHOLD_OPEN' });
    t.is(failure?.cause instanceof Error ? failure.cause.message : undefined, message);
    t.true(seen.length > 0 && seen.every((db) => !db.open), 'The connection was closed');
    t.is(pool.stats().size, 0);
  }
});

/** What ordinary work does to its connection: nothing that the next holder could see. */
const tidyUses: Record<string, (db: LeasedDatabase, pool: SqlitePool) => unknown> = {
  'a query': (db) => db.prepare('SELECT * FROM item').all(),
  'a write': (db) => db.prepare('INSERT INTO item (name) VALUES (?)').run('cog'),
  'an upsert with RETURNING': (db) =>
    db.prepare('INSERT INTO tag VALUES (1, ?) ON CONFLICT (name) DO UPDATE SET item = 2 RETURNING *').all('steel'),
  'a failed write': (db, _pool) => {
    try {
      db.exec("INSERT INTO tag VALUES (1, 'steel'), (99, 'x')");
    } catch {
      // As intended.
    }
  },
  'a finished iterator': (db) => [...db.prepare('SELECT * FROM item').iterate()],
  'an iterator that was left early': (db) => {
    for (const _ of db.prepare('SELECT * FROM item').iterate()) break;
  },
  'a transaction function': (db) => db.transaction(() => db.exec("INSERT INTO item (name) VALUES ('cam')"))(),
  'nested transaction functions': (db) => db.transaction(() => db.transaction(() => 1)())(),
  'a transaction function that throws': (db) => {
    try {
      db.transaction(() => {
        throw new Error('rolled back');
      })();
    } catch {
      // As intended.
    }
  },
  'BEGIN and COMMIT': (db) => db.exec('BEGIN; DELETE FROM tag; COMMIT'),
  'BEGIN and ROLLBACK': (db) => db.exec('BEGIN').exec('ROLLBACK'),
  'SAVEPOINT and RELEASE': (db) => db.exec('SAVEPOINT a; RELEASE a'),
  'a script': (db) => db.exec("CREATE TABLE IF NOT EXISTS a (x); INSERT INTO a VALUES ('; BEGIN; '); -- PRAGMA x = 1"),
  'changes of the schema': (db) =>
    db.exec('CREATE TABLE b (x); CREATE INDEX b_x ON b (x); CREATE VIEW c AS SELECT 1; DROP VIEW c; DROP TABLE b'),
  'a trigger': (db) => db.exec('CREATE TRIGGER IF NOT EXISTS d AFTER INSERT ON item BEGIN SELECT 1; SELECT 2; END'),
  'ALTER TABLE': (db) => db.exec('CREATE TABLE e (x); ALTER TABLE e ADD COLUMN y; DROP TABLE e'),
  ANALYZE: (db) => db.exec('ANALYZE; REINDEX; ANALYZE item'),
  VACUUM: (db) => db.exec('VACUUM'),
  'pragmas that ask': (db) => {
    for (const source of ['table_info(item)', 'index_list(tag)', 'foreign_keys', 'journal_mode', 'database_list']) {
      db.pragma(source);
    }
    for (const source of [
      'integrity_check(1)',
      'quick_check',
      'foreign_key_check(tag)',
      'optimize',
      'main.cache_size',
    ]) {
      db.pragma(source);
    }
  },
  'pragmas that set what is in the file': (db) => db.pragma('user_version = 7') && db.pragma('application_id(9)'),
  'a checkpoint': (db) => db.pragma('wal_checkpoint(TRUNCATE)'),
  'pragma functions': (db) => db.prepare("SELECT * FROM pragma_table_info('item')").all(),
  'toggles and bound values': (db) => db.prepare('SELECT ? AS a').pluck().safeIntegers().bind(1).get(),
  explain: (db) => db.explain('SELECT * FROM item'),
  serialize: (db) => db.serialize(),
  'a query of the temporary schema': (db) => db.prepare('SELECT * FROM temp.sqlite_schema').all(),
  'statements of pool.db': (_, pool) => pool.db.prepare('SELECT * FROM item').all(),
};

test('ordinary work leaves the connection in the pool, and nothing to report', async (t) => {
  const pool = temporaryPool(t, { max: 1 });
  const dirt = watchDirt(pool);
  await pool.withConnection((db) => db.exec(sample));
  const before = await pool.withConnection(observe);
  const connection = await pool.withConnection(() => onlyConnection(pool));
  for (const [name, use] of Object.entries(tidyUses)) {
    await pool.withConnection((db) => use(db, pool));
    await pool.withConnection((db) => {
      t.is(onlyConnection(pool), connection, name);
      t.deepEqual(observe(db), before, name);
    });
  }
  await pool.run("INSERT INTO item (name) VALUES ('last')");
  await pool.checkpoint('full');
  t.deepEqual(dirt, []);
  // The second is the write lane's.
  t.like(pool.stats().counters, { opened: 2, discarded: 0, closed: 0 });
});

test('a read-only pool keeps its connections too', async (t) => {
  const file = temporaryFile(t);
  const writer = temporaryPool(t, {}, file);
  await writer.withConnection((db) => db.exec(sample));
  const pool = temporaryPool(t, { readonly: true, max: 1 }, file);
  for (let lease = 0; lease < 3; lease++) await pool.withConnection((db) => db.prepare('SELECT * FROM item').all());
  t.like(pool.stats().counters, { opened: 1, discarded: 0, dirty: 0 });
});
