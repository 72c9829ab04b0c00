import { cpSync, linkSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { createPool, type SqlitePool } from '../../lib/index.ts';
import { temporaryDirectory, temporaryFile } from '../support/files.ts';
import { settled } from '../support/gate.ts';
import { temporaryPool } from '../support/sqlite.ts';

const table = 'CREATE TABLE IF NOT EXISTS item (name TEXT)';
const insert = 'INSERT INTO item VALUES (?)';

/** Asserts that a writer of one pool keeps those of the other out, waiting and not, and lets them in when it is done. */
async function assertShared(t: ExecutionContext, one: SqlitePool, other: SqlitePool): Promise<void> {
  await one.run(table);
  await other.run('DELETE FROM item');
  const holder = await one.acquire({ write: true, label: 'holder' });
  t.is(other.stats().laneHeld, 1);
  const reader = await other.acquire();
  t.throws(() => reader.prepare(insert).run('early'), { code: 'ERR_LEASEHOLD_WRITE_LOCKED' });
  t.is(other.tryAcquire({ write: true }), undefined);
  let begun = false;
  const waiting = other.transaction((tx) => {
    begun = true;
    return tx.prepare(insert).run('in turn').changes;
  });
  await settled();
  t.false(begun);
  t.is(one.stats().laneWaiting, 1);
  holder.prepare(insert).run('first');
  holder.close();
  t.is(await waiting, 1);
  t.is(reader.prepare(insert).run('free').changes, 1);
  reader.close();
  t.deepEqual(await one.all(`SELECT * FROM item`), [{ name: 'first' }, { name: 'in turn' }, { name: 'free' }]);
  t.like(one.stats(), { laneHeld: 0, laneWaiting: 0 });
  t.like(other.stats(), { laneHeld: 0, laneWaiting: 0 });
}

test('two pools of one file share its lane', async (t) => {
  const file = temporaryFile(t);
  await assertShared(t, temporaryPool(t, {}, file), temporaryPool(t, {}, file));
});

test('a pool of a symbolic link shares the lane of the file', async (t) => {
  const file = temporaryFile(t);
  const pool = temporaryPool(t, {}, file);
  await pool.ready();
  symlinkSync(file, `${file}.link`);
  await assertShared(t, pool, temporaryPool(t, {}, `${file}.link`));
});

test('a pool of a hard link shares the lane of the file', async (t) => {
  const directory = temporaryDirectory(t);
  const file = join(directory, 'app.db');
  // A WAL belongs to a name, so what two names share must be in no WAL.
  const pragmas = { journal_mode: 'DELETE' };
  const pool = temporaryPool(t, { pragmas }, file);
  await pool.ready();
  linkSync(file, join(directory, 'hard.db'));
  await assertShared(t, pool, temporaryPool(t, { pragmas }, join(directory, 'hard.db')));
});

test('another copy of the package in the process shares the lanes', async (t) => {
  const copy = await otherCopy(t);
  t.not(copy, createPool, 'It has modules of its own');
  const file = temporaryFile(t);
  const other = copy(file);
  t.teardown(() => other.close({ timeout: 0 }));
  await assertShared(t, temporaryPool(t, {}, file), other);
  await assertShared(t, other, temporaryPool(t, {}, file));
});

test('a transaction of one copy of the package is named to those who wait in another, and can be waited for in vain', async (t) => {
  const copy = await otherCopy(t);
  const file = temporaryFile(t);
  const other = copy(file, { name: 'copy' });
  t.teardown(() => other.close({ timeout: 0 }));
  await other.run(table);
  const pool = temporaryPool(t, {}, file);
  await pool.run(table);
  const holder = await other.acquire({ write: true, label: 'elsewhere' });
  const error = await t.throwsAsync(pool.run(insert, ['x'], { timeout: 5 }), {
    code: 'ERR_LEASEHOLD_WRITE_TIMEOUT',
    message: /elsewhere\s+write scope of pool "copy"/,
  });
  t.like(error, { holder: { pool: 'copy', label: 'elsewhere', kind: 'write scope' } });
  holder.close();
});

test('pools of different files do not wait for each other', async (t) => {
  const [one, other] = [temporaryPool(t), temporaryPool(t)];
  await one.run(table);
  await other.run(table);
  const holder = await one.acquire({ write: true });
  t.is(other.stats().laneHeld, 0);
  t.like(await other.run(insert, ['free']), { changes: 1 });
  await other.withConnection((db) => t.is(db.prepare(insert).run('free').changes, 1));
  t.is(one.stats().laneHeld, 1);
  holder.close();
});

test('a file put in the place of the first has a lane of its own', async (t) => {
  const file = temporaryFile(t);
  const pool = temporaryPool(t, {}, file);
  await pool.run(table);
  const holder = await pool.acquire({ write: true });
  // With all that belongs to it: else the new one would be mixed with that, and is not opened.
  for (const end of ['', '-wal', '-shm']) renameSync(`${file}${end}`, `${file}.old${end}`);
  const other = temporaryPool(t, {}, file);
  t.like(await other.run(table), { changes: 0 });
  t.is(pool.stats().laneHeld, 1);
  t.is(other.stats().laneHeld, 0);
  holder.close();
  // The pool goes by the connection it writes on, once it has one of the new file.
  await pool.drain();
  const again = await other.acquire({ write: true });
  const waiting = pool.run(insert, ['new']);
  await settled();
  t.is(other.stats().laneWaiting, 1);
  again.close();
  t.like(await waiting, { changes: 1 });
  t.is(await other.get('SELECT count(*) AS n FROM item').then((row) => (row as { n: number }).n), 1);
});

/** `createPool` of a second copy of the library, with modules of its own and the same dependencies. */
async function otherCopy(t: ExecutionContext): Promise<typeof createPool> {
  const directory = temporaryDirectory(t);
  const lib = fileURLToPath(new URL('../../lib', import.meta.url));
  cpSync(lib, join(directory, 'lib'), { recursive: true });
  writeFileSync(join(directory, 'package.json'), '{"type":"module"}');
  // …/node_modules/better-sqlite3/lib/index.js
  const modules = dirname(dirname(dirname(fileURLToPath(import.meta.resolve('better-sqlite3')))));
  symlinkSync(modules, join(directory, 'node_modules'));
  const index = pathToFileURL(join(directory, 'lib', `index${extname(import.meta.url)}`));
  const copy = (await import(index.href)) as { readonly createPool: typeof createPool };
  return copy.createPool;
}
