import { closeSync, openSync, readSync, statSync, truncateSync, writeSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import type { SqlitePool } from '../../lib/index.ts';
import { goesOn, watchErrors } from '../support/faults.ts';
import { settled } from '../support/gate.ts';
import { Enough, insert, namesIn, refusal } from '../support/items.ts';
import { temporaryPool } from '../support/sqlite.ts';

const corrupt = { code: 'SQLITE_CORRUPT' };
const pageSize = 4096;

/** Overwrites a part of a file with garbage. What is returned puts things right again. */
function spoil(file: string, start: number, length: number): () => void {
  const good = Buffer.alloc(length);
  const write = (bytes: Buffer): void => {
    const descriptor = openSync(file, 'r+');
    writeSync(descriptor, bytes, 0, length, start);
    closeSync(descriptor);
  };
  const descriptor = openSync(file, 'r');
  readSync(descriptor, good, 0, length, start);
  closeSync(descriptor);
  write(Buffer.alloc(length, 0xee));
  return () => write(good);
}

/** A pool on a file whose table `item` can not be read any more, while all the rest can. */
async function openSpoilt(t: ExecutionContext) {
  const pool = temporaryPool(t, { max: 2 });
  await pool.run('CREATE TABLE item (name TEXT)');
  await pool.run('CREATE TABLE other (name TEXT)');
  await pool.run("INSERT INTO item VALUES ('cog')");
  await pool.checkpoint('truncate');
  const root = await pool.get<{ page: number }>("SELECT rootpage AS page FROM sqlite_schema WHERE name = 'item'");
  // What is cached would be good for a while.
  pool.closeIdle();
  const mend = spoil(pool.db.name, ((root?.page ?? 0) - 1) * pageSize, pageSize);
  return { pool, mend, errors: watchErrors(pool) };
}

const statements: Record<string, (pool: SqlitePool) => Promise<unknown>> = {
  all: (pool) => pool.all('SELECT * FROM item'),
  run: (pool) => pool.run("INSERT INTO item VALUES ('never')"),
  read: (pool) => pool.read((db) => db.prepare('SELECT * FROM item').all()),
  'a synchronous statement': (pool) => pool.withConnection((db) => insert(db, 'never')),
  'an iterator': (pool) => pool.withConnection((db) => [...db.prepare('SELECT * FROM item').iterate()]),
  'a transaction': (pool) =>
    pool.transaction(async (tx) => {
      tx.prepare("INSERT INTO other VALUES ('never')").run();
      await settled();
      insert(tx, 'never');
    }),
  'a nested transaction': (pool) =>
    pool.transaction((tx) => {
      tx.prepare("INSERT INTO other VALUES ('never')").run();
      return pool.transaction((inner) => insert(inner, 'never'));
    }),
};

for (const [name, statement] of Object.entries(statements)) {
  test(`${name} that meets a corrupt page gets SQLITE_CORRUPT, and what does not goes on`, async (t) => {
    const { pool, errors } = await openSpoilt(t);
    for (let round = 0; round < 3; round++) {
      await t.throwsAsync(statement(pool), corrupt);
      t.notThrows(() => pool.assertIdle());
      t.like(pool.stats(), { laneHeld: 0, laneWaiting: 0 });
      await pool.run('INSERT INTO other VALUES (?)', [`${round}`]);
    }
    t.deepEqual(await pool.all('SELECT * FROM other'), [{ name: '0' }, { name: '1' }, { name: '2' }]);
    t.deepEqual(errors, []);
  });
}

test('a transaction that meets a corrupt page and hides it is not committed in part', async (t) => {
  const { pool } = await openSpoilt(t);
  const hiding = pool.transaction(async (tx) => {
    tx.prepare("INSERT INTO other VALUES ('never')").run();
    t.throws(() => insert(tx, 'never'), corrupt);
    await settled();
  });
  // SQLite finds it out at the latest when it is to write what it could not read.
  t.like(await t.throwsAsync(hiding), { ...refusal('TRANSACTION_ABORTED'), cause: corrupt });
  t.deepEqual(await pool.all('SELECT * FROM other'), []);
  const failing = pool.transaction((tx) => {
    t.throws(() => insert(tx, 'never'), corrupt);
    throw new Enough();
  });
  await t.throwsAsync(failing, { instanceOf: Enough });
  t.like(pool.stats(), { leased: 0, laneHeld: 0 });
});

// A connection keeps the page as it has read it, and so do those that were lent while the file was bad.
test('when a corrupt file has been mended, nobody gets a connection that remembers it as it was', async (t) => {
  const { pool, mend } = await openSpoilt(t);
  await Promise.all([1, 2].map(() => t.throwsAsync(pool.all('SELECT * FROM item'), corrupt)));
  await t.throwsAsync(pool.run("INSERT INTO item VALUES ('never')"), corrupt);
  mend();
  t.deepEqual(await namesIn(pool), ['cog']);
  await goesOn(t, pool);
});

test('when a corrupt file has been mended, drain() makes all of the pool as new', async (t) => {
  const { pool, mend } = await openSpoilt(t);
  await Promise.all([1, 2].map(() => t.throwsAsync(pool.all('SELECT * FROM item'), corrupt)));
  await t.throwsAsync(pool.run("INSERT INTO item VALUES ('never')"), corrupt);
  mend();
  await pool.drain();
  t.deepEqual(await namesIn(pool), ['cog']);
  await goesOn(t, pool);
});

test('a file whose header was overwritten while connections are open: new ones fail, and those that are open are not spoilt by that', async (t) => {
  const pool = temporaryPool(t, { max: 2 });
  await pool.run('CREATE TABLE item (name TEXT)');
  await pool.run("INSERT INTO item VALUES ('cog')");
  await pool.checkpoint('truncate');
  const mend = spoil(pool.db.name, 0, 100);
  const other = temporaryPool(t, { name: 'other', max: 2 }, pool.db.name);
  for (const way of [other.ready(), other.acquire(), other.run("INSERT INTO item VALUES ('never')")]) {
    t.like(await t.throwsAsync(way), { ...refusal('OPEN'), cause: { code: 'SQLITE_NOTADB' } });
  }
  t.like(other.stats(), { size: 0, laneHeld: 0, laneWaiting: 0, waiting: 0 });
  const writing = await t.throwsAsync<Error & { code: string }>(pool.run("INSERT INTO item VALUES ('never')"));
  t.true(['SQLITE_NOTADB', 'SQLITE_CORRUPT'].includes(writing?.code ?? ''), writing?.code);
  t.like(pool.stats(), { leased: 0, laneHeld: 0 });
  mend();
  await Promise.all([pool.drain(), other.drain()]);
  t.deepEqual(await namesIn(pool), ['cog']);
  await goesOn(t, pool);
  await goesOn(t, other);
});

test('a file that was cut short while connections are open: what is gone is told of, and nothing hangs', async (t) => {
  const pool = temporaryPool(t, { max: 2, pragmas: { cache_size: 10 } });
  await pool.run('CREATE TABLE item (name TEXT)');
  await pool.run('CREATE TABLE heap (data BLOB)');
  await pool.run('INSERT INTO heap VALUES (randomblob(1000000))');
  await pool.run("INSERT INTO item VALUES ('cog')");
  await pool.checkpoint('truncate');
  truncateSync(pool.db.name, statSync(pool.db.name).size - 20 * pageSize);
  const told = async (call: Promise<unknown>): Promise<void> => {
    const error = await t.throwsAsync<Error & { code: string }>(call);
    t.regex(error?.code ?? '', /^SQLITE_(?:CORRUPT|IOERR)/);
  };
  await told(pool.all('SELECT data FROM heap'));
  const writing = pool.transaction((tx) => {
    insert(tx, 'never');
    tx.prepare('UPDATE heap SET data = randomblob(1000000)').run();
  });
  await told(writing);
  t.deepEqual(await namesIn(pool), ['cog']);
  t.like(pool.stats(), { leased: 0, waiting: 0, laneHeld: 0, laneWaiting: 0 });
});
