import { execFile, execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import Database from 'better-sqlite3';
import { OpenError, type SqlitePool, type SqlitePoolOptions } from '../../lib/index.ts';
import { temporaryDirectory, temporaryFile } from '../support/files.ts';
import { libraryUrl, sample, temporaryPool } from '../support/sqlite.ts';

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
