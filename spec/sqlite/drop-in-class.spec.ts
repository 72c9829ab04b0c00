import { existsSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import type { SqlitePoolOptions } from '../../lib/index.ts';
import { SqlitePool } from '../../lib/sqlite/pool.ts';
import { FakeClock } from '../support/clock.ts';
import { countingClass, wrapperClass } from '../support/database-classes.ts';
import { temporaryDirectory, temporaryFile } from '../support/files.ts';
import { loosely, rawDatabase, sample, temporaryPool } from '../support/sqlite.ts';

type DatabaseClass = NonNullable<SqlitePoolOptions['Database']>;

/** A class with the API of better-sqlite3's, and what it is to be asked after the life of a pool. */
interface Candidate {
  readonly Database: DatabaseClass;
  readonly opened: () => number;
  readonly open: () => number;
}

const candidates: Record<string, () => Candidate> = {
  'a subclass': countingClass,
  'a wrapper that is no subclass': wrapperClass,
};

const names = 'SELECT name FROM item ORDER BY id';

function poolOf(t: ExecutionContext, { Database }: Candidate, options: SqlitePoolOptions = {}) {
  return temporaryPool(t, {
    Database,
    onOpen(db) {
      if (db.prepare('SELECT 1 FROM sqlite_schema').get() === undefined) db.exec(sample);
      db.function('from_open', () => 'from onOpen');
    },
    ...options,
  });
}

for (const [kind, make] of Object.entries(candidates)) {
  test(`scopes, transactions and calls of the pool run on connections of ${kind}`, async (t) => {
    const candidate = make();
    const pool = poolOf(t, candidate, { max: 4 });
    await Promise.all(
      Array.from({ length: 8 }, (_, index) =>
        pool.withConnection(async (db) => {
          t.is(db.prepare('SELECT from_open()').pluck().get(), 'from onOpen');
          await pool.transaction((tx) => {
            tx.prepare('INSERT INTO item (name) VALUES (?)').run(`item ${index}`);
          });
          return db.prepare(names).all().length;
        }),
      ),
    );
    await t.throwsAsync(
      pool.transaction(async (tx) => {
        tx.exec('DELETE FROM tag');
        await pool.transaction((nested) => void nested.exec('DELETE FROM item'));
        throw new Error('undone');
      }),
      { message: 'undone' },
    );
    t.is(await pool.read((db) => db.prepare('SELECT count(*) FROM item').pluck().get()), 11);
    t.like(await pool.run('INSERT INTO item (name) VALUES (?)', ['by run']), { changes: 1, lastInsertRowid: 12 });
    t.deepEqual(await pool.get('SELECT name FROM item WHERE id = 12'), { name: 'by run' });
    t.is((await pool.all('SELECT * FROM item')).length, 12);
    await pool.checkpoint('truncate');
    await pool.close();
    t.true(candidate.opened() > 1);
    t.is(candidate.open(), 0, 'Every connection was closed');
    t.is(rawDatabase(t, pool.db.name).prepare('SELECT count(*) FROM item').pluck().get(), 12);
  });

  test(`the whole handle works over ${kind}, and so does pool.db`, async (t) => {
    const candidate = make();
    const directory = temporaryDirectory(t);
    for (const [index, pick] of [0, 1].entries()) {
      const pool = poolOf(t, candidate, { max: 1 });
      await pool.withConnection(async (leased) => {
        const db = pick === 0 ? leased : pool.db;
        t.deepEqual([db.open, db.readonly, db.memory, db.inTransaction], [true, false, false, false]);
        const byId = db.prepare('SELECT id, name FROM item WHERE id >= ? ORDER BY id');
        t.deepEqual([byId.reader, byId.readonly, byId.busy, byId.database === db], [true, true, false, true]);
        t.deepEqual(byId.raw().get(2), [2, 'nut']);
        t.deepEqual(byId.pluck().safeIntegers().all(2), [2n, 3n]);
        t.deepEqual(byId.expand().safeIntegers(false).get(3), { item: { id: 3, name: 'washer' } });
        t.deepEqual(db.prepare(byId.source).bind(3).all(), [{ id: 3, name: 'washer' }]);
        t.is(loosely(db.prepare('SELECT ?').bind('x'), 'toString', []), "SELECT 'x'");
        t.deepEqual(
          byId.columns().map(({ name }) => name),
          ['id', 'name'],
        );
        const seen: unknown[] = [];
        for (const name of db.prepare(names).pluck().iterate()) {
          seen.push(name);
          if (seen.length === 2) break;
        }
        t.deepEqual(seen, ['bolt', 'nut']);
        const insert = db.transaction((name: string) => db.prepare('INSERT INTO item (name) VALUES (?)').run(name));
        t.is(insert.immediate('cog').changes, 1);
        t.throws(() => db.transaction(() => insert(null as never))(), { code: 'SQLITE_CONSTRAINT_NOTNULL' });
        await db.transaction(async () => {
          await Promise.resolve();
          insert('cam');
        })();
        t.is(db.prepare('SELECT count(*) FROM item').pluck().get(), 5);
        t.is(db.pragma('user_version', { simple: true }), 0);
        t.true(db.serialize().length > 0);
        const file = `${directory}/${index}.db`;
        const seenPages: number[] = [];
        await db.backup(file, { progress: ({ totalPages }) => seenPages.push(totalPages) });
        t.true(existsSync(file) && seenPages.length > 0);
        db.function('twice', (x: number) => 2 * x).aggregate('total_of', {
          start: 0,
          step: (a: number, b: number) => a + b,
        });
        db.table('numbers', {
          columns: ['n'],
          *rows() {
            yield [1];
            yield [2];
          },
        });
        t.is(db.prepare('SELECT total_of(twice(n)) FROM numbers').pluck().get(), 6);
        t.is(db.defaultSafeIntegers().prepare('SELECT 1').pluck().get(), 1n);
        db.unsafeMode();
        t.throws(() => db.loadExtension('/nowhere/at-all'));
        t.throws(() => db.prepare('SELEC 1').get(), { code: 'SQLITE_ERROR' });
        t.throws(() => db.exec('SELEC 1'), { code: 'SQLITE_ERROR' });
      });
      // With functions of its own it is nothing for another.
      t.is(pool.stats().counters.discarded, 1);
      await pool.withConnection((db) => t.throws(() => db.prepare('SELECT twice(1)').get()));
    }
  });

  test(`what a holder leaves open on ${kind} is closed, and its connection used again`, async (t) => {
    const candidate = make();
    const pool = poolOf(t, candidate, { max: 1 });
    const dirt: string[] = [];
    pool.on('dirty', ({ traces }) => void dirt.push(...traces));
    await pool.withConnection((db) => {
      db.prepare(names).iterate().next();
      db.prepare('INSERT INTO item (name) VALUES (?) RETURNING id').iterate('cog').next();
    });
    await pool.withConnection((db) => {
      t.is(db.prepare('SELECT count(*) FROM item').pluck().get(), 3 + 1);
      db.exec('BEGIN; DELETE FROM tag');
    });
    await pool.withConnection((db) => t.is(db.prepare('SELECT count(*) FROM tag').pluck().get(), 2));
    await pool.withConnection((db) => void db.exec('CREATE TEMP TABLE passing (x)'));
    await pool.withConnection((db) => void db.discard('enough'));
    await pool.withConnection((db) => t.throws(() => db.exec('SELECT * FROM passing')));
    t.deepEqual(dirt, ['2 open iterators', 'open transaction', 'temporary table passing']);
    t.is(candidate.opened(), 3, 'Only what could not be undone took a new connection');
    await pool.close();
    t.is(candidate.open(), 0);
  });

  test(`a pool fails as it should where ${kind} does`, async (t) => {
    const candidate = make();
    const directory = temporaryDirectory(t);
    const missing = temporaryPool(t, { Database: candidate.Database }, `${directory}/missing/app.db`);
    await t.throwsAsync(missing.ready(), { code: 'ERR_LEASEHOLD_OPEN' });
    const failing = poolOf(t, candidate, { onOpen: (db) => void db.exec('SELEC 1') });
    const error = await t.throwsAsync(failing.acquire(), { code: 'ERR_LEASEHOLD_OPEN' });
    t.like(error?.cause, { code: 'SQLITE_ERROR' });
    t.is(candidate.open(), 0, 'What was opened in vain was closed');
    const pool = poolOf(t, candidate);
    const db = await pool.acquire();
    const statement = db.prepare(names);
    db.close();
    for (const use of [() => statement.all(), () => db.prepare(names), () => db.exec('')]) {
      t.throws(use, { code: 'ERR_LEASEHOLD_RELEASED' });
    }
    await pool.close();
    t.is(candidate.open(), 0);
  });

  test(`a lock of another process's connection is waited for with ${kind}`, async (t) => {
    const candidate = make();
    const clock = new FakeClock();
    const pool = new SqlitePool(temporaryFile(t), { Database: candidate.Database, busyTimeout: 0 }, clock);
    t.teardown(() => pool.close({ timeout: 0 }));
    await pool.withConnection((db) => void db.exec(sample), { write: true });
    const other = rawDatabase(t, pool.db.name);
    other.exec('BEGIN IMMEDIATE');
    const late = t.throwsAsync(
      pool.transaction(() => t.fail(), { timeout: 50 }),
      { code: 'ERR_LEASEHOLD_WRITE_TIMEOUT' },
    );
    await clock.pass(50);
    t.like((await late)?.cause, { code: 'SQLITE_BUSY' });
    const waiting = pool.transaction((tx) => void tx.exec('DELETE FROM tag'));
    await clock.pass(50);
    t.is(other.prepare('SELECT count(*) FROM tag').pluck().get(), 2, 'It waits');
    other.exec('ROLLBACK');
    await clock.pass(50);
    await waiting;
    t.is(other.prepare('SELECT count(*) FROM tag').pluck().get(), 0);
  });
}

test('a subclass sees all that is done on its connections', async (t) => {
  const candidate = countingClass();
  const pool = poolOf(t, candidate, { max: 1 });
  await pool.withConnection((db) => {
    for (let round = 0; round < 3; round++) db.prepare(names).all();
    db.exec('DELETE FROM tag');
  });
  t.is(candidate.calls.filter((call) => call === `prepare ${names}`).length, 1, 'A kept statement is prepared once');
  t.true(candidate.calls.includes('exec DELETE FROM tag'));
  t.true(candidate.traced.includes(names), 'Its `verbose` is told what runs');
});

test('of a class the pool itself needs no more than the documentation of the option lists', async (t) => {
  const candidate = wrapperClass();
  const pool = temporaryPool(t, { Database: candidate.Database, max: 2 });
  await pool.withConnection((db) => void db.exec(sample));
  await pool.withConnection((db) => {
    db.exec('BEGIN');
    db.prepare(names).iterate().next();
  });
  await pool.withConnection(async (db) => {
    await pool.transaction(async (tx) => {
      tx.exec('CREATE TEMP TABLE passing (x)');
      await pool.transaction((nested) => void nested.exec('DELETE FROM tag'));
    });
    await pool.read(() => db.prepare(names).all());
  });
  await pool.run('INSERT INTO item (name) VALUES (?)', ['cog']);
  await pool.checkpoint();
  await pool.close();
  const listed = {
    Database: ['prepare', 'exec', 'pragma', 'close', 'open', 'inTransaction'],
    Statement: ['run', 'get', 'all', 'iterate', 'reader', 'readonly', 'busy', 'pluck', 'raw'],
    Iterator: ['next', 'return'],
  };
  for (const [kind, members] of Object.entries(listed)) {
    const used = [...candidate.used]
      .filter((use) => use.startsWith(`${kind}.`))
      .map((use) => use.slice(kind.length + 1));
    t.deepEqual(used.toSorted(), members.toSorted(), kind);
  }
});
