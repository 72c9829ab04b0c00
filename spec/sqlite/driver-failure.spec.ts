import { execFile, execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import Database from 'better-sqlite3';
import { OpenError, type SqlitePool, type SqlitePoolOptions } from '../../lib/index.ts';
import { temporaryDirectory, temporaryFile } from '../support/files.ts';
import { libraryUrl, lockingProcess, sample, temporaryPool } from '../support/sqlite.ts';

const ways: Record<string, (pool: SqlitePool) => unknown> = {
  ready: (pool) => pool.ready(),
  acquire: (pool) => pool.acquire(),
  withConnection: (pool) => pool.withConnection(() => 'not reached'),
  get: (pool) => pool.get('SELECT 1'),
  tryAcquire: async (pool) => pool.tryAcquire(),
};

/**
 * Asserts that every way in fails, says why, and costs no slot; and that the pool that failed works once `mend`
 * has put things right.
 */
async function failsUntilMended(
  t: ExecutionContext,
  file: string,
  cause: object,
  mend: () => void,
  options: SqlitePoolOptions = {},
): Promise<void> {
  const pools: SqlitePool[] = [];
  for (const [name, way] of Object.entries(ways)) {
    // One for each way: after a failure a pool leaves the file alone for a moment.
    const pool = temporaryPool(t, { max: 1, ...options }, file);
    const error = await t.throwsAsync(async () => way(pool), { instanceOf: OpenError }, name);
    t.like(error, { code: 'ERR_LEASEHOLD_OPEN', target: file, pool: pool.name, cause }, name);
    t.true(error?.message.includes(file), `${name} names the file`);
    t.like(pool.stats(), { size: 0, leased: 0, waiting: 0 }, name);
    pools.push(pool);
  }
  mend();
  for (const pool of pools) {
    await pool.withConnection((db) => t.is(db.prepare('SELECT 1').pluck().get(), 1));
    t.like(pool.stats(), { size: 1, idle: 1, leased: 0, waiting: 0 });
    t.true(pool.stats().counters.openErrors >= 1);
  }
}

function writeSample(file: string): void {
  const db = new Database(file);
  db.exec(sample);
  db.close();
}

test('a missing folder fails the open until it is there', async (t) => {
  const file = join(temporaryDirectory(t), 'missing', 'app.db');
  await failsUntilMended(t, file, { code: 'ENOENT' }, () => mkdirSync(dirname(file)));
});

for (const options of [{}, { readonly: true }, { pragmas: { journal_mode: null } }] satisfies SqlitePoolOptions[]) {
  test(`a file that is not a database fails the open until one is there, ${JSON.stringify(options)}`, async (t) => {
    const file = temporaryFile(t);
    writeFileSync(file, 'This is a letter, and it is longer than the header of a database file. '.repeat(20));
    const mend = () => {
      rmSync(file);
      writeSample(file);
    };
    await failsUntilMended(t, file, { code: 'SQLITE_NOTADB' }, mend, options);
  });
}

test('a directory in the place of the file fails the open until it is gone', async (t) => {
  const file = temporaryFile(t);
  mkdirSync(file);
  await failsUntilMended(t, file, { code: 'SQLITE_CANTOPEN' }, () => rmSync(file, { recursive: true }));
});

test('a file in the place of the folder fails the open until it is gone', async (t) => {
  const file = join(temporaryFile(t, 'folder'), 'app.db');
  writeFileSync(dirname(file), '');
  await failsUntilMended(t, file, { code: 'ENOTDIR' }, () => {
    rmSync(dirname(file));
    mkdirSync(dirname(file));
  });
});

test('a read-only pool needs a file that is there, and makes none', async (t) => {
  const file = temporaryFile(t);
  const mend = () => {
    t.deepEqual(readdirSync(dirname(file)), [], 'Nothing was made');
    writeSample(file);
  };
  await failsUntilMended(t, file, { code: 'SQLITE_CANTOPEN' }, mend, { readonly: true });
});

test('a folder mounted read-only fails the open until it is writable', async (t) => {
  const folder = mountedFolder(t);
  if (folder === undefined) return;
  const file = join(folder.path, 'app.db');
  writeSample(file);
  folder.remount('ro');
  const reader = temporaryPool(t, { readonly: true }, file);
  await reader.withConnection((db) => t.is(db.prepare('SELECT count(*) FROM item').pluck().get(), 3));
  await reader.close();
  await failsUntilMended(t, file, { code: 'EROFS' }, () => folder.remount('rw'));
});

test('a file that may not be written fails the open, as does a folder that may not', async (t) => {
  const directory = temporaryDirectory(t);
  const folder = join(directory, 'folder');
  mkdirSync(folder);
  const [closed, absent] = [join(folder, 'app.db'), join(folder, 'absent.db')];
  writeSample(closed);
  chmodSync(closed, 0o444);
  for (const path of [directory, folder]) chmodSync(path, 0o555);
  t.teardown(() => {
    for (const path of [directory, folder]) chmodSync(path, 0o755);
  });
  for (const file of [closed, absent]) {
    const outcome = await openAsNobody(t, file);
    if (outcome === undefined) return;
    t.deepEqual(outcome, { code: 'ERR_LEASEHOLD_OPEN', target: file, cause: 'EACCES' });
  }
  t.false(existsSync(absent));
  t.deepEqual(await openAsNobody(t, closed, { readonly: true }), { rows: 3 }, 'It may be read');
});

/** A folder that can be made read-only; `undefined` where this process may not mount. */
function mountedFolder(t: ExecutionContext): { path: string; remount(mode: 'ro' | 'rw'): void } | undefined {
  const path = temporaryDirectory(t);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', path], { stdio: 'pipe' });
  } catch (error) {
    t.log('Skipped: no file system can be mounted here.', (error as Error).message);
    t.pass();
    return undefined;
  }
  t.teardown(() => void execFileSync('umount', ['-l', path]));
  return { path, remount: (mode) => void execFileSync('mount', ['-o', `remount,${mode}`, path]) };
}

/**
 * What a process without privileges gets when it opens a file: root may write everywhere. `undefined` where no
 * such process can be had.
 */
async function openAsNobody(t: ExecutionContext, file: string, options: SqlitePoolOptions = {}): Promise<unknown> {
  const program = `
    const { createPool } = await import(${JSON.stringify(libraryUrl)});
    const pool = createPool(process.argv[1], ${JSON.stringify(options)});
    try {
      console.log(JSON.stringify({ rows: (await pool.get('SELECT count(*) AS rows FROM item')).rows }));
    } catch (error) {
      console.log(JSON.stringify({ code: error.code, target: error.target, cause: error.cause?.code }));
    }`;
  const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
  try {
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program, file], {
      ...nobody,
      cwd: dirname(dirname(file)),
    });
    return JSON.parse(stdout) as unknown;
  } catch (error) {
    t.log('Skipped: no process without privileges can be had here.', (error as Error).message);
    t.pass();
    return undefined;
  }
}

// A busy wait would block for this long, and so for longer than the test may take.
const forEver = 2 ** 31 - 1;

/** Turns of the event loop until `condition` holds. */
async function turnsUntil(condition: () => boolean): Promise<number> {
  let turns = 0;
  while (!condition()) {
    await new Promise((resolve) => {
      setTimeout(resolve, 1);
    });
    turns++;
  }
  return turns;
}

async function lockedPool(t: ExecutionContext, options: object = {}) {
  const file = temporaryFile(t);
  const locker = await lockingProcess(t, file);
  const pool = temporaryPool(t, { busyTimeout: forEver, acquireTimeout: 50_000, ...options }, file);
  return { locker, pool };
}

const takes: Record<string, (pool: SqlitePool) => Promise<unknown>> = {
  acquire: async (pool) => (await pool.acquire()).close(),
  withConnection: (pool) => pool.withConnection((db) => db.prepare('SELECT * FROM locked').all()),
  ready: (pool) => pool.ready(),
  get: (pool) => pool.get('SELECT * FROM locked'),
};

for (const [name, take] of Object.entries(takes)) {
  test(`${name}() waits for a lock of another process with a free event loop, and then succeeds`, async (t) => {
    const { locker, pool } = await lockedPool(t);
    let done = false;
    const taking = take(pool).then(() => {
      done = true;
    });
    // Several tries have failed before the lock goes, and the loop has turned between them.
    const turns = await turnsUntil(() => pool.stats().counters.openErrors >= 3);
    t.true(turns > 1);
    t.false(done);
    t.true(pool.stats().size <= 1);
    await locker.release();
    await taking;
    t.like(pool.stats(), { size: 1, waiting: 0 });
    t.is(pool.stats().counters.opened, 1);
    t.deepEqual(await pool.get('SELECT x FROM locked'), { x: 1 });
  });
}

test('a lock that stays is told by the timeout, and the slot comes back', async (t) => {
  const { locker, pool } = await lockedPool(t, { acquireTimeout: 150, max: 1 });
  const error = await t.throwsAsync(pool.acquire(), { code: 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT' });
  t.like(error, { cause: { code: 'SQLITE_BUSY' } });
  t.regex(error?.message ?? '', /database is locked/);
  const opening = await t.throwsAsync(pool.ready(), { code: 'ERR_LEASEHOLD_OPEN' });
  t.like(opening, { cause: { code: 'SQLITE_BUSY' } });
  t.is(pool.tryAcquire(), undefined, 'It does not wait');
  t.is(pool.stats().size, 0);
  await locker.release();
  // A pause after the last failure may still be on.
  await turnsUntil(() => pool.tryAcquire()?.close() !== undefined);
  t.is(pool.stats().size, 1);
});

test('a lock that goes because its process is killed is waited for too', async (t) => {
  const { locker, pool } = await lockedPool(t);
  const taking = pool.acquire();
  await turnsUntil(() => pool.stats().counters.openErrors >= 1);
  await locker.kill();
  await using db = await taking;
  t.deepEqual(db.prepare('SELECT * FROM locked').all(), [], 'What it had not committed was rolled back');
});

test('an acquire that is aborted while it waits for a lock leaves nothing behind', async (t) => {
  const { locker, pool } = await lockedPool(t, { max: 1 });
  const controller = new AbortController();
  const taking = pool.acquire({ signal: controller.signal });
  await turnsUntil(() => pool.stats().counters.openErrors >= 1);
  controller.abort();
  await t.throwsAsync(taking, { code: 'ABORT_ERR' });
  await locker.release();
  await pool.withConnection((db) => t.true(db.open));
  t.like(pool.stats(), { size: 1, leased: 0, waiting: 0 });
});
