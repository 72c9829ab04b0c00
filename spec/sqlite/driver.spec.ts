import { existsSync } from 'node:fs';
import test from 'ava';
import type { LeasedDatabase, SqlitePool } from '../../lib/index.ts';
import { temporaryFile } from '../support/files.ts';
import { compare, rawDatabase, recordingClass, sample, temporaryPool } from '../support/sqlite.ts';

const read = (db: LeasedDatabase, ...names: string[]) => names.map((name) => db.pragma(name, { simple: true }));

test('the default pragmas are in force on every connection', async (t) => {
  const pool = temporaryPool(t);
  await using first = await pool.acquire();
  await using second = await pool.acquire();
  for (const db of [first, second]) t.deepEqual(read(db, 'journal_mode', 'synchronous', 'foreign_keys'), ['wal', 1, 1]);
});

test('pragmas are merged with the defaults, and null leaves one out', async (t) => {
  const pool = temporaryPool(t, {
    pragmas: {
      synchronous: 'FULL',
      cache_size: -1000,
      foreign_keys: null,
      recursive_triggers: true,
      journal_mode: undefined,
    },
  });
  const pragmas = ['synchronous', 'cache_size', 'recursive_triggers', 'foreign_keys'];
  await pool.withConnection((db) => t.deepEqual(read(db, ...pragmas), [2, -1000, 1, 1]));
  const off = temporaryPool(t, { pragmas: { foreign_keys: false, journal_mode: null } });
  await off.withConnection((db) => t.deepEqual(read(db, 'foreign_keys', 'journal_mode'), [0, 'delete']));
});

test('pragmas are applied once to each connection, in order, before onOpen', async (t) => {
  const { Database, pragmas, connections } = recordingClass();
  let atOpen: readonly string[] = [];
  const pool = temporaryPool(t, {
    Database,
    max: 2,
    pragmas: { cache_size: 77, threads: 2 },
    onOpen: () => {
      atOpen = [...pragmas];
    },
  });
  const counts = () =>
    ['synchronous', 'foreign_keys', 'cache_size', 'threads'].map(
      (name) => pragmas.filter((text) => text.startsWith(`${name} =`)).length,
    );
  for (let lease = 0; lease < 3; lease++)
    await pool.withConnection((db) => t.is(db.pragma('cache_size', { simple: true }), 77));
  t.deepEqual(counts(), [1, 1, 1, 1]);
  const setters = atOpen.flatMap(
    (text) => /^(?:synchronous|foreign_keys|cache_size|threads)(?= =)/.exec(text)?.[0] ?? [],
  );
  t.deepEqual(setters, ['synchronous', 'foreign_keys', 'cache_size', 'threads']);
  await using first = await pool.acquire();
  await using second = await pool.acquire();
  t.true(first.open && second.open);
  t.deepEqual(counts(), [2, 2, 2, 2]);
  t.deepEqual(
    connections.map(({ name }) => name),
    [pool.db.name, pool.db.name],
  );
});

test('the journal mode is set on the first connection, and found by the others', async (t) => {
  const { Database, pragmas } = recordingClass();
  const pool = temporaryPool(t, { Database });
  await using first = await pool.acquire();
  first.exec(`${sample}; BEGIN`);
  first.prepare('SELECT * FROM item').all();
  // To set it while somebody reads would fail with SQLITE_BUSY.
  await using second = await pool.acquire();
  t.deepEqual(read(second, 'journal_mode'), ['wal']);
  t.is(pragmas.filter((text) => text.startsWith('journal_mode =')).length, 1);
  first.exec('ROLLBACK');
});

test('another journal mode can be had', async (t) => {
  const pool = temporaryPool(t, { pragmas: { journal_mode: 'truncate' } });
  await pool.withConnection((db) => t.deepEqual(read(db, 'journal_mode'), ['truncate']));
  const back = temporaryPool(t, { pragmas: { journal_mode: 'DELETE' } }, pool.db.name);
  await pool.close();
  await back.withConnection((db) => t.deepEqual(read(db, 'journal_mode'), ['delete']));
});

test('a journal mode that SQLite does not take fails the open', async (t) => {
  const pool = temporaryPool(t, { pragmas: { journal_mode: 'wall' } });
  const error = await t.throwsAsync(pool.ready(), { code: 'ERR_LEASEHOLD_OPEN' });
  t.regex(error?.message ?? '', /journal_mode stays "delete" where "wall" was asked for/);
});

test('a pragma value is quoted, so it can not be more than a value', async (t) => {
  const pool = temporaryPool(t, { pragmas: { synchronous: "OFF'; CREATE TABLE stray (x); --" } });
  await pool.withConnection((db) => t.deepEqual(db.prepare('SELECT name FROM sqlite_schema').all(), []));
});

test('an unknown pragma is refused by name, value and what is allowed, at the first use', async (t) => {
  const ways: ((pool: SqlitePool) => unknown)[] = [
    (pool) => pool.ready(),
    (pool) => pool.acquire(),
    (pool) => pool.get('SELECT 1'),
    (pool) => pool.withConnection(() => t.fail()),
    async (pool) => pool.tryAcquire(),
  ];
  for (const way of ways) {
    const pool = temporaryPool(t, { pragmas: { foregn_keys: 'ON' } });
    const error = await t.throwsAsync(async () => way(pool), { code: 'ERR_LEASEHOLD_OPTIONS' });
    t.like(error, { option: 'pragmas.foregn_keys', value: 'ON' });
    t.is(pool.stats().size, 0);
  }
});

test('a connection that could not be set up is closed', async (t) => {
  const { Database, connections } = recordingClass();
  for (const pragmas of [{ no_such_pragma: 1 }, { journal_mode: 'wall' }]) {
    await t.throwsAsync(temporaryPool(t, { Database, pragmas }).ready());
  }
  t.is(connections.length, 2);
  t.true(connections.every((db) => !db.open));
});

test('busyTimeout is in force for synchronous statements', async (t) => {
  const pool = temporaryPool(t, { busyTimeout: 77 });
  await pool.withConnection((db) => t.deepEqual(read(db, 'busy_timeout'), [77]));
  await pool.checkpoint('passive');
  await pool.withConnection((db) => t.deepEqual(read(db, 'busy_timeout'), [77], 'Also after a checkpoint'));
  const byDefault = temporaryPool(t);
  await byDefault.withConnection((db) => t.deepEqual(read(db, 'busy_timeout'), [1000]));
  const none = temporaryPool(t, { busyTimeout: 0 });
  await none.withConnection((db) => t.deepEqual(read(db, 'busy_timeout'), [0]));
});

test('a synchronous statement that meets a lock held elsewhere gets SQLITE_BUSY as from better-sqlite3', async (t) => {
  const file = temporaryFile(t);
  const other = rawDatabase(t, file);
  other.exec(sample);
  const pool = temporaryPool(t, { busyTimeout: 0 }, file);
  const plain = rawDatabase(t, file, { timeout: 0 });
  await pool.ready();
  other.exec('BEGIN IMMEDIATE');
  const expected = t.throws(() => plain.exec('DELETE FROM tag'));
  await pool.withConnection((db) => {
    const error = t.throws(() => db.exec('DELETE FROM tag'), { code: 'SQLITE_BUSY' });
    t.is(error?.constructor, expected?.constructor);
    t.is(error?.message, expected?.message);
  });
  other.exec('ROLLBACK');
});

test('a closed pool leaves neither WAL nor shared memory behind', async (t) => {
  const pool = temporaryPool(t);
  const held = await Promise.all([pool.acquire(), pool.acquire(), pool.acquire()]);
  for (const db of held) db.exec('CREATE TABLE IF NOT EXISTS a (x); INSERT INTO a VALUES (1)');
  const file = pool.db.name;
  t.true(existsSync(`${file}-wal`));
  for (const db of held) db.close();
  await pool.close();
  t.deepEqual(
    [file, `${file}-wal`, `${file}-shm`].map((name) => existsSync(name)),
    [true, false, false],
  );
  t.is(rawDatabase(t, file).prepare('SELECT count(*) FROM a').pluck().get(), 3);
});

test('a read-only pool reads, writes nothing, and leaves the journal mode alone', async (t) => {
  const file = temporaryFile(t);
  const writer = rawDatabase(t, file);
  writer.exec(sample);
  t.is(writer.pragma('journal_mode', { simple: true }), 'delete');
  const pool = temporaryPool(t, { readonly: true }, file);
  await pool.withConnection((db) => {
    t.deepEqual(read(db, 'journal_mode', 'foreign_keys'), ['delete', 1]);
    t.is(db.prepare('SELECT count(*) FROM item').pluck().get(), 3);
    t.throws(() => db.exec('DELETE FROM tag'), { code: 'SQLITE_READONLY' });
    t.throws(() => db.transaction(() => db.exec('DELETE FROM tag')).immediate(), { code: 'SQLITE_READONLY' });
  });
  await t.throwsAsync(pool.run('DELETE FROM tag'), { code: 'SQLITE_READONLY' });
});

test('a private database lives as long as its pool, with one connection', async (t) => {
  for (const name of ['', ':memory:', '  :memory: ']) {
    const pool = temporaryPool(t, {}, name);
    t.like(pool.stats(), { max: 1 });
    await pool.withConnection((db) => db.exec(sample));
    t.deepEqual(await pool.get('SELECT count(*) AS n FROM item'), { n: 3 });
    t.is(pool.tryAcquire()?.close().open, false);
    t.throws(() => pool.resize({ max: 2 }), { code: 'ERR_LEASEHOLD_OPTIONS', message: /max/ });
    await pool.close();
  }
});

test('an error of SQLite is that of better-sqlite3 through and through', async (t) => {
  const outcomes = await compare(t, ({ db, step }) => {
    step(() => db.exec("INSERT INTO tag VALUES (1, 'steel')"));
    step(() => db.exec('INSERT INTO item (id, name) VALUES (1, NULL)'));
    step(() => db.exec('INSERT INTO tag VALUES (77, NULL)'));
    step(() => db.prepare('SELECT abs(-9223372036854775808)').get());
    step(() => db.prepare("SELECT json('{')").get());
  });
  t.deepEqual(
    outcomes.map((outcome) => ('threw' in outcome ? (outcome.threw as { code: unknown }).code : undefined)),
    [
      'SQLITE_CONSTRAINT_UNIQUE',
      'SQLITE_CONSTRAINT_NOTNULL',
      'SQLITE_CONSTRAINT_FOREIGNKEY',
      'SQLITE_ERROR',
      'SQLITE_ERROR',
    ],
  );
});
