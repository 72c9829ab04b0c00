import type { ExecutionContext } from 'ava';
import type { SqlitePool, SqlitePoolOptions } from '../../lib/index.ts';
import { goesOn, watchErrors } from '../support/faults.ts';
import { namesIn } from '../support/items.ts';
import { temporaryPool } from '../support/sqlite.ts';
import { type Disk, diskTest } from './disk.ts';

const full = { code: 'SQLITE_FULL' };

/** A pool on the disk, with one row of 20 pages in the table `item (name, data)`, and the disk filled up. */
async function openFull(t: ExecutionContext, disk: Disk, options: SqlitePoolOptions = {}) {
  const pool = temporaryPool(t, { max: 3, ...options }, disk.file);
  await pool.run('CREATE TABLE item (name TEXT, data BLOB)');
  await pool.run("INSERT INTO item VALUES ('first', zeroblob(80000))");
  await pool.checkpoint('truncate');
  disk.fill();
  return { pool, errors: watchErrors(pool) };
}

const large = (name: string) => `INSERT INTO item VALUES ('${name}', zeroblob(60000))`;

const statements: Record<string, (pool: SqlitePool) => Promise<unknown>> = {
  'pool.run': (pool) => pool.run(large('never')),
  'pool.all': (pool) => pool.all(`${large('never')} RETURNING name`),
  'a synchronous statement': (pool) => pool.withConnection((db) => db.prepare(large('never')).run()),
  'exec in a write scope': (pool) => pool.withConnection((db) => db.exec(large('never')), { write: true }),
  'a synchronous transaction': (pool) => pool.withConnection((db) => db.transaction(() => db.exec(large('never')))()),
  'an UPDATE of what is there': (pool) => pool.run("UPDATE item SET data = randomblob(80000) WHERE name = 'first'"),
  'a DDL statement': (pool) => pool.run('CREATE TABLE other AS SELECT * FROM item'),
};

for (const journal_mode of ['WAL', 'DELETE']) {
  diskTest(
    `a statement that finds the disk full gets SQLITE_FULL and leaves nothing, and the pool goes on when there is room (${journal_mode})`,
    async (t, disk) => {
      const { pool, errors } = await openFull(t, disk, { pragmas: { journal_mode } });
      for (const [name, statement] of Object.entries(statements)) {
        await t.throwsAsync(statement(pool), full, name);
        t.notThrows(() => pool.assertIdle(), name);
        t.is(pool.stats().laneHeld, 0, name);
        // Reading needs no room.
        t.deepEqual(await namesIn(pool), ['first'], name);
        t.is(await pool.read((db) => db.prepare('SELECT length(data) FROM item').pluck().get()), 80_000, name);
      }
      disk.free();
      for (const [name, statement] of Object.entries(statements)) await t.notThrowsAsync(statement(pool), name);
      await pool.run("DELETE FROM item WHERE name <> 'first'");
      t.deepEqual(errors, []);
      t.is(pool.stats().counters.discarded, 0, 'Nothing is wrong with the connections');
      await pool.run('DROP TABLE item');
      await pool.run('CREATE TABLE item (name TEXT)');
      await goesOn(t, pool);
    },
  );

  diskTest(
    `writers that queue while the disk is full are each told, and those that come afterwards are served (${journal_mode})`,
    async (t, disk) => {
      const { pool, errors } = await openFull(t, disk, { pragmas: { journal_mode } });
      const write = (index: number) => [
        pool.run(large(`run ${index}`)),
        pool.transaction((tx) => void tx.prepare(large(`transaction ${index}`)).run()),
        pool.withConnection(() => pool.run(large(`bound ${index}`))),
      ];
      const refused = await Promise.allSettled([1, 2, 3].flatMap(write));
      for (const outcome of refused) {
        const { code, cause } = (outcome as PromiseRejectedResult).reason as { code: string; cause?: { code: string } };
        t.is(code === 'ERR_LEASEHOLD_TRANSACTION_ABORTED' ? cause?.code : code, 'SQLITE_FULL');
      }
      t.deepEqual(await namesIn(pool), ['first']);
      disk.free();
      await Promise.all(write(4));
      t.deepEqual((await namesIn(pool)).toSorted(), ['bound 4', 'first', 'run 4', 'transaction 4']);
      await pool.run('ALTER TABLE item DROP COLUMN data');
      await goesOn(t, pool);
      t.deepEqual(errors, []);
    },
  );
}

diskTest(
  'a checkpoint that finds the disk full gets SQLITE_FULL and loses nothing, and is done when there is room',
  async (t, disk) => {
    const pool = temporaryPool(t, { max: 3 }, disk.file);
    await pool.run('CREATE TABLE item (name TEXT, data BLOB)');
    await pool.run(large('cog'));
    disk.fill();
    for (const mode of ['passive', 'full', 'restart', 'truncate'] as const) {
      await t.throwsAsync(pool.checkpoint(mode), full, mode);
      await t.throwsAsync(
        pool.withConnection(() => pool.checkpoint(mode)),
        full,
        mode,
      );
      t.deepEqual(await namesIn(pool), ['cog']);
    }
    disk.free();
    t.like(await pool.checkpoint('truncate'), { busy: false, log: 0 });
    await pool.run('ALTER TABLE item DROP COLUMN data');
    await goesOn(t, pool);
  },
);

diskTest(
  'where the disk has no room for the files of the first connection, each way in is told, and none is lost when there is',
  async (t, disk) => {
    const made = temporaryPool(t, {}, disk.file);
    await made.run('CREATE TABLE item (name TEXT)');
    await made.close();
    const ways: Record<string, (pool: SqlitePool) => Promise<unknown>> = {
      ready: (pool) => pool.ready(),
      acquire: (pool) => pool.acquire(),
      get: (pool) => pool.get('SELECT 1'),
      run: (pool) => pool.run("INSERT INTO item VALUES ('never')"),
      transaction: (pool) => pool.transaction(() => t.fail()),
      read: (pool) => pool.read(() => t.fail()),
      'a write scope': (pool) => pool.withConnection(() => t.fail(), { write: true }),
    };
    const pools: SqlitePool[] = [];
    for (const [name, way] of Object.entries(ways)) {
      disk.fill();
      const pool = temporaryPool(t, { max: 2 }, disk.file);
      const error = await t.throwsAsync(way(pool), { code: 'ERR_LEASEHOLD_OPEN' }, name);
      // The shared memory beside the file can not be made.
      t.like(error?.cause, { code: 'SQLITE_IOERR_SHMSIZE' }, name);
      t.like(pool.stats(), { size: 0, laneHeld: 0, laneWaiting: 0 }, name);
      pools.push(pool);
    }
    disk.free();
    for (const pool of pools) await goesOn(t, pool);
  },
);

diskTest('a new file for which the disk has no room fails the open, and is made when there is', async (t, disk) => {
  disk.fill();
  const pool = temporaryPool(t, {}, disk.file);
  await t.throwsAsync(pool.run('CREATE TABLE item (name TEXT)'), { code: 'ERR_LEASEHOLD_OPEN' });
  disk.free();
  await pool.run('CREATE TABLE item (name TEXT)');
  await goesOn(t, pool);
});

diskTest(
  'while the disk is full, connections beside those that are open can be opened, and a pool that closes leaves the file whole',
  async (t, disk) => {
    const { pool, errors } = await openFull(t, disk);
    const all = await Promise.all([1, 2, 3].map(() => pool.acquire()));
    for (const db of all) {
      t.is(db.prepare('SELECT count(*) FROM item').pluck().get(), 1);
      db.close();
    }
    await t.throwsAsync(pool.run(large('never')), full);
    await pool.close();
    t.deepEqual(errors, []);
    disk.free();
    const again = temporaryPool(t, {}, disk.file);
    t.deepEqual(await namesIn(again), ['first']);
    t.deepEqual(await again.all('PRAGMA integrity_check'), [{ integrity_check: 'ok' }]);
  },
);
