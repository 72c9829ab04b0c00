import type { SqlitePool } from '../../lib/index.ts';
import { goesOn, watchErrors } from '../support/faults.ts';
import { insert, namesIn, refusal } from '../support/items.ts';
import { temporaryPool } from '../support/sqlite.ts';
import { diskTest } from './disk.ts';

const readOnly = { ...refusal('OPEN'), cause: { code: 'EROFS' } };

const ways: Record<string, (pool: SqlitePool) => unknown> = {
  acquire: (pool) => pool.acquire(),
  tryAcquire: async (pool) => pool.tryAcquire(),
  withConnection: (pool) => pool.withConnection(() => 'never'),
  'a write scope': (pool) => pool.withConnection(() => 'never', { write: true }),
  transaction: (pool) => pool.transaction(() => 'never'),
  read: (pool) => pool.read(() => 'never'),
  run: (pool) => pool.run("INSERT INTO item VALUES ('never')"),
  get: (pool) => pool.get('SELECT 1'),
  ready: (pool) => pool.ready(),
  checkpoint: (pool) => pool.checkpoint(),
};

for (const [name, way] of Object.entries(ways)) {
  diskTest(
    `where the disk has become read-only, ${name} is told by ERR_LEASEHOLD_OPEN, and served when it has been mended`,
    async (t, disk) => {
      const pool = temporaryPool(t, { max: 2 }, disk.file);
      await pool.run('CREATE TABLE item (name TEXT)');
      await pool.transaction((tx) => insert(tx, 'cog'));
      pool.closeIdle();
      disk.remount('ro');
      t.like(await t.throwsAsync(async () => way(pool)), readOnly);
      t.like(pool.stats(), { size: 0, leased: 0, waiting: 0, laneHeld: 0, laneWaiting: 0 });
      disk.remount('rw');
      t.deepEqual(await namesIn(pool), ['cog']);
      await goesOn(t, pool);
      t.deepEqual(await namesIn(pool), ['cog']);
    },
  );
}

diskTest('a disk is not made read-only under a connection: it is busy, and what is open goes on', async (t, disk) => {
  const pool = temporaryPool(t, { max: 2 }, disk.file);
  await pool.run('CREATE TABLE item (name TEXT)');
  await pool.transaction(async (tx) => {
    insert(tx, 'cog');
    t.throws(() => disk.remount('ro', { once: true }), { message: /busy/ });
    insert(tx, 'cam');
  });
  t.deepEqual(await namesIn(pool), ['cog', 'cam']);
});

diskTest(
  'a pool that wants a warm connection on a disk that has become read-only reports it, and closes',
  async (t, disk) => {
    const pool = temporaryPool(t, { max: 2, min: 1, idleTimeout: 20 }, disk.file);
    await pool.run('CREATE TABLE item (name TEXT)');
    await pool.ready();
    const errors = watchErrors(pool);
    const reported = new Promise((resolve) => {
      pool.once('error', resolve);
    });
    pool.closeIdle();
    disk.remount('ro');
    t.like(await reported, readOnly);
    t.true(errors.length >= 1);
    await pool.close();
    t.is(pool.stats().size, 0);
  },
);

diskTest('a pool that reads a file without a WAL goes on while its disk is read-only', async (t, disk) => {
  const pragmas = { journal_mode: 'DELETE' };
  const writer = temporaryPool(t, { pragmas }, disk.file);
  await writer.run('CREATE TABLE item (name TEXT)');
  await writer.run("INSERT INTO item VALUES ('cog')");
  writer.closeIdle();
  const reader = temporaryPool(t, { name: 'reader', readonly: true, max: 2 }, disk.file);
  const held = await reader.acquire();
  disk.remount('ro');
  t.deepEqual(held.prepare('SELECT name FROM item').pluck().all(), ['cog']);
  // On a connection that is opened now.
  t.deepEqual(await namesIn(reader), ['cog']);
  t.deepEqual(await reader.read((db) => db.prepare('SELECT name FROM item').pluck().all()), ['cog']);
  t.like(await t.throwsAsync(writer.run("INSERT INTO item VALUES ('never')")), readOnly);
  disk.remount('rw');
  await writer.run("INSERT INTO item VALUES ('cam')");
  t.deepEqual(held.prepare('SELECT name FROM item').pluck().all(), ['cog', 'cam']);
  held.close();
  t.notThrows(() => reader.assertIdle());
});
