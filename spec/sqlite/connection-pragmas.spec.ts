import test, { type ExecutionContext } from 'ava';
import { createPool, type LeasedDatabase, type SqlitePool } from '../../lib/index.ts';
import { refusal } from '../support/items.ts';
import { loosely, observe, onlyConnection, temporaryPool, watchDirt } from '../support/sqlite.ts';

/** For each pragma that is a setting of its connection a value it does not have in a new one. */
const settings: Record<string, string | number> = {
  analysis_limit: 7,
  automatic_index: 0,
  busy_timeout: 77,
  cache_size: 321,
  cache_spill: 0,
  cell_size_check: 1,
  checkpoint_fullfsync: 1,
  count_changes: 1,
  empty_result_callbacks: 1,
  foreign_keys: 0,
  full_column_names: 1,
  fullfsync: 1,
  ignore_check_constraints: 1,
  journal_mode: 'delete',
  journal_size_limit: 4096,
  legacy_alter_table: 1,
  locking_mode: 'exclusive',
  max_page_count: 5000,
  mmap_size: 65536,
  query_only: 1,
  read_uncommitted: 1,
  recursive_triggers: 1,
  reverse_unordered_selects: 1,
  secure_delete: 1,
  short_column_names: 0,
  synchronous: 0,
  temp_store: 2,
  threads: 2,
  trusted_schema: 0,
  wal_autocheckpoint: 7,
};

test('no pragma that was set shows in the next lease', async (t) => {
  const pool = temporaryPool(t, { max: 1 });
  const dirt = watchDirt(pool);
  const before = await pool.withConnection(observe);
  for (const [name, value] of Object.entries(settings)) {
    const read = (db: LeasedDatabase) => db.pragma(name, { simple: true });
    const label = `sets ${name}`;
    const first = await pool.withConnection(
      (db) => {
        const was = read(db);
        db.pragma(`${name} = ${value}`);
        t.notDeepEqual(read(db), was, `${name} was changed`);
        return onlyConnection(pool);
      },
      { label },
    );
    t.like(dirt.at(-1), { label, connection: first, traces: [`pragma ${name}`] });
    await pool.withConnection((db) => {
      t.not(onlyConnection(pool), first, name);
      t.deepEqual(observe(db), before, `Nothing is left of ${name}`);
    });
  }
  t.is(dirt.length, Object.keys(settings).length);
});

test('case_sensitive_like, which cannot be read, does not show in the next lease', async (t) => {
  const pool = temporaryPool(t, { max: 1 });
  const like = "SELECT 'a' LIKE 'A' AS alike";
  await pool.withConnection((db) => {
    db.pragma('case_sensitive_like = 1');
    t.deepEqual(db.prepare(like).get(), { alike: 0 });
  });
  t.deepEqual(await pool.get(like), { alike: 1 });
});

type Use = (db: LeasedDatabase, pool: SqlitePool) => unknown;

const execs = (sql: string): [string, Use] => [`exec(${JSON.stringify(sql)})`, (db) => db.exec(sql)];
const prepares = (sql: string): [string, Use] => [`prepare(${JSON.stringify(sql)})`, (db) => db.prepare(sql)];
const pragmas = (source: string): [string, Use] => [`pragma(${JSON.stringify(source)})`, (db) => db.pragma(source)];
const explains = (sql: string): [string, Use] => [`explain(${JSON.stringify(sql)})`, (db) => db.explain(sql)];

/** Ways to set one and the same pragma. SQLite sets this one while it is prepared, whatever becomes of the statement. */
const forms: [string, Use][] = [
  pragmas('foreign_keys = 0'),
  pragmas('foreign_keys=off'),
  pragmas('foreign_keys(0)'),
  pragmas('foreign_keys ( no )'),
  pragmas('main.foreign_keys = 0'),
  pragmas('"main" . "foreign_keys" = 0'),
  pragmas('"foreign_keys" = 0'),
  pragmas('[foreign_keys] = 0'),
  pragmas('`foreign_keys`(0)'),
  pragmas("'foreign_keys'='off'"),
  pragmas('FOREIGN_KEYS = FALSE;'),
  pragmas('/* = */ foreign_keys -- =\n = /* 1 */ 0 -- !'),
  pragmas('\n\tforeign_keys\r\n=\f0'),
  pragmas('foreign_keys = 0; SELECT 1'),
  ['pragma() with simple', (db) => db.pragma('foreign_keys = 0', { simple: true })],
  execs('PRAGMA foreign_keys = 0'),
  execs('pragma foreign_keys(0);'),
  execs(';;PRAGMA foreign_keys = 0'),
  execs('/* ; */ PRAGMA foreign_keys = 0'),
  execs("-- it's\nPRAGMA/**/foreign_keys/**/=/**/0"),
  execs('\ufeffPRAGMA foreign_keys = 0'),
  execs('SELECT 1; PRAGMA foreign_keys = 0; SELECT 2'),
  execs(`SELECT ';', "'" FROM (SELECT 1 AS "'"); PRAGMA foreign_keys = 0`),
  execs('SELECT 1 AS [;--]; PRAGMA foreign_keys = 0 -- ;'),
  execs('CREATE TABLE a (x); CREATE TRIGGER b AFTER INSERT ON a BEGIN SELECT 1; END; PRAGMA foreign_keys = 0'),
  execs('CREATE TABLE a ("trigger" TEXT); PRAGMA foreign_keys = 0'),
  execs('EXPLAIN PRAGMA foreign_keys = 0'),
  execs('EXPLAIN QUERY PLAN PRAGMA foreign_keys = 0'),
  execs('PRAGMA foreign_keys = 0; SELECT * FROM missing'),
  prepares('PRAGMA foreign_keys = 0'),
  prepares('EXPLAIN PRAGMA foreign_keys = 0'),
  prepares('explain query plan pragma foreign_keys(0)'),
  prepares('PRAGMA foreign_keys = 0; SELECT 1'),
  explains('PRAGMA foreign_keys = 0'),
  explains('/**/ PRAGMA main.foreign_keys(0)'),
  explains('PRAGMA foreign_keys = 0; SELECT 1'),
  ['run()', (db) => db.prepare('PRAGMA foreign_keys = 0').run()],
  ['get()', (db) => db.prepare('PRAGMA foreign_keys = 0').get()],
  ['pool.db.pragma()', (_, pool) => pool.db.pragma('foreign_keys = 0')],
  ['pool.db.exec()', (_, pool) => pool.db.exec('PRAGMA foreign_keys = 0')],
  ['pool.db.explain()', (_, pool) => pool.db.explain('PRAGMA foreign_keys = 0')],
  ['a statement of pool.db', (_, pool) => pool.db.prepare('PRAGMA foreign_keys = 0').run()],
  ['pool.run()', (_, pool) => pool.run('PRAGMA foreign_keys = 0')],
  // SQLite takes a vertical tab for white space where other white space goes before it, and exec() skips it anywhere.
  execs('\vPRAGMA foreign_keys = 0'),
  execs('SELECT 1;\vPRAGMA foreign_keys = 0'),
  execs(' \vPRAGMA foreign_keys = 0'),
  prepares('\n\vPRAGMA foreign_keys = 0'),
  pragmas(' \v foreign_keys = 0'),
  pragmas('foreign_keys \v= 0'),
  pragmas('main \v. \vforeign_keys \v(0)'),
  // "trigger" is a name like any other, so not every CREATE with that word has a body.
  execs('CREATE TABLE trigger (x); PRAGMA foreign_keys = 0'),
  execs('CREATE TABLE a (trigger TEXT); PRAGMA foreign_keys = 0'),
  execs('CREATE VIEW trigger AS SELECT 1; PRAGMA foreign_keys = 0'),
  execs('CREATE TABLE a (x); CREATE INDEX trigger ON a (x); PRAGMA foreign_keys = 0'),
  // better-sqlite3 puts EXPLAIN before the text, so QUERY PLAN may be its beginning.
  explains('QUERY PLAN PRAGMA foreign_keys = 0'),
  ['a method taken from the handle', (db) => loosely(db, 'exec', ['PRAGMA foreign_keys = 0'])],
];

async function leavesNoForeignKeys(t: ExecutionContext, use: Use): Promise<void> {
  const pool = temporaryPool(t, { max: 1 });
  const dirt = watchDirt(pool);
  const read = 'SELECT foreign_keys FROM pragma_foreign_keys';
  await pool.withConnection(
    async (db) => {
      try {
        await use(db, pool);
      } catch {
        // Some of these fail, and yet set the pragma.
      }
      t.deepEqual(db.prepare(read).get(), { foreign_keys: 0 }, 'It was set');
    },
    { label: 'setter' },
  );
  t.like(dirt, [{ label: 'setter', traces: ['pragma foreign_keys'] }]);
  t.deepEqual(await pool.get(read), { foreign_keys: 1 });
}

for (const [name, use] of forms) {
  test(`${name} is noticed as a pragma that was set`, (t) => leavesNoForeignKeys(t, use));
}

// That of the temporary database is of the connection, not of the file.
test('PRAGMA temp.user_version does not show in the next lease', async (t) => {
  const pool = temporaryPool(t, { max: 1 });
  await pool.withConnection((db) => db.pragma('temp.user_version = 7'));
  await pool.withConnection((db) => t.is(db.pragma('temp.user_version', { simple: true }), 0));
});

// A busy wait would block for this long, and so for longer than the test may take.
const forEver = 2 ** 31 - 1;

const timeoutOf = (db: LeasedDatabase) => db.pragma('busy_timeout', { simple: true });

test('a busy timeout that `onOpen` sets is that of every lease, instead of the option', async (t) => {
  const pool = temporaryPool(t, { busyTimeout: 100, onOpen: (db) => void db.pragma('busy_timeout = 250') });
  await pool.run('CREATE TABLE item (name TEXT)');
  t.is(await pool.withConnection(timeoutOf), 250);
  // A transaction waits from timers, and leaves the connection as it was.
  await pool.withConnection(async (db) => {
    await pool.transaction((tx) => tx.exec("INSERT INTO item VALUES ('nut')"));
    t.is(timeoutOf(db), 250);
  });
  t.is(await pool.withConnection(timeoutOf), 250);
  t.like(pool.stats().counters, { dirty: 0, discarded: 0 });
});

test('without a WAL, no way to write waits inside SQLite for a reader of the same process', async (t) => {
  const pool = temporaryPool(t, { busyTimeout: forEver, pragmas: { journal_mode: 'DELETE' } });
  await pool.run('CREATE TABLE item (name TEXT)');
  const busy = { code: 'SQLITE_BUSY' };
  const reader = await pool.acquire();
  const writer = await pool.acquire();
  reader.exec('BEGIN; SELECT * FROM item');
  t.true(reader.inTransaction);
  reader.prepare('SELECT * FROM item').all();
  const insert = "INSERT INTO item VALUES ('nut') RETURNING name";
  t.throws(() => [...writer.prepare(insert).iterate()], busy, 'an iterator commits with its last step');
  t.throws(() => writer.prepare(insert).all(), busy, 'a statement commits by itself');
  writer.exec("BEGIN IMMEDIATE; INSERT INTO item VALUES ('bolt')");
  t.throws(() => writer.exec('COMMIT'), busy);
  t.throws(() => writer.prepare('COMMIT').run(), busy);
  reader.exec('COMMIT');
  writer.exec('COMMIT');
  reader.close();
  writer.close();
  t.deepEqual(await pool.all('SELECT name FROM item'), [{ name: 'bolt' }]);
});

test('in memory, code that has the one connection and asks for another to write with is refused at once', async (t) => {
  const pool = createPool(':memory:', { acquireTimeout: Infinity });
  t.teardown(() => pool.close({ timeout: 0 }));
  const locked = refusal('WRITE_LOCKED');
  await pool.withConnection(async () => {
    await t.throwsAsync(pool.acquire({ write: true }), locked);
    await t.throwsAsync(
      pool.transaction(() => {}, { nesting: 'separate' }),
      locked,
    );
    await t.throwsAsync(
      pool.withConnection(() => {}, { write: true, fresh: true }),
      locked,
    );
    t.is(await pool.transaction(() => 'a part of it'), 'a part of it');
  });
  t.like(pool.stats(), { leased: 0, laneHeld: 0, waiting: 0 });
});
