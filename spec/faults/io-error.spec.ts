import { execFileSync } from 'node:child_process';
import test, { type ExecutionContext } from 'ava';
import { temporaryFile } from '../support/files.ts';
import { type OtherProcess, otherPool } from '../support/processes.ts';
import { rawDatabase } from '../support/sqlite.ts';

// What a process may write is limited by the system, and what exceeds that fails with EFBIG: an I/O error to SQLite. The limit
// is that of a process, so the pool is in one of its own.

/** Whether the limit of another process can be set here: on Linux, with `prlimit`. */
function canLimit(): boolean {
  try {
    execFileSync('prlimit', ['--pid', `${process.pid}`, '--fsize'], { stdio: 'pipe' });
    return true;
  } catch {
    return false;
  }
}

interface Limited {
  readonly process: OtherProcess;
  /** How long any file of that process may become, in bytes. */
  limit(size: number | 'unlimited'): Promise<void>;
}

const isPossible = canLimit();

function limitTest(title: string, body: (t: ExecutionContext, journal: string) => Promise<void>): void {
  for (const journal of ['WAL', 'DELETE']) {
    const named = `${title} (${journal})`;
    if (isPossible) test(named, (t) => body(t, journal));
    else test.skip(`${named} (skipped: no process can be limited here)`, () => {});
  }
}

const commands = `
  pid: () => process.pid,
  async set() {
    await pool.run('CREATE TABLE item (name TEXT, data BLOB)');
    await pool.run("INSERT INTO item VALUES ('first', NULL)");
    await pool.checkpoint('truncate');
  },
  async code(work) {
    try { await work(); return 'none'; } catch (error) { return error.code + (error.cause ? ' ' + error.cause.code : ''); }
  },
  run: (name, size) => commands.code(() => pool.run('INSERT INTO item VALUES (?, randomblob(?))', [name, size])),
  sync: (name, size) => commands.code(() => pool.withConnection((db) =>
    db.prepare('INSERT INTO item VALUES (?, randomblob(?))').run(name, size))),
  checkpoint: () => commands.code(() => pool.checkpoint('truncate')),
  async transaction(size, rows) {
    const codes = [];
    const insert = (tx, name, bytes) => commands.code(() => tx.prepare('INSERT INTO item VALUES (?, randomblob(?))').run(name, bytes));
    codes.push(await commands.code(() => pool.transaction(async (tx) => {
      codes.push(await insert(tx, 'before', 10));
      await nextTurn();
      for (let row = 0; row < rows; row++) {
        const code = await insert(tx, 'large', size);
        if (code !== 'none') { codes.push(code); break; }
      }
      codes.push(await insert(tx, 'after', 10));
      codes.push(await commands.code(() => pool.transaction((inner) => insert(inner, 'inner', 10))));
    })));
    return codes;
  },
  async acquire(count) {
    return commands.code(async () => {
      const all = await Promise.all(Array.from({ length: count }, () => pool.acquire()));
      for (const db of all) db.close();
    });
  },
  names: async () => (await pool.all('SELECT name FROM item')).map((row) => row.name),
  async idle() {
    pool.assertIdle();
    const { leased, waiting, laneHeld, laneWaiting } = pool.stats();
    return { leased, waiting, laneHeld, laneWaiting, discarded: pool.stats().counters.discarded };
  },
  close: () => pool.close(),`;

async function openLimited(t: ExecutionContext, journal_mode: string): Promise<Limited & { file: string }> {
  const file = temporaryFile(t);
  const pragmas = { journal_mode, cache_size: 10 };
  const process = await otherPool(t, file, { max: 3, pragmas }, commands);
  await process.call('set');
  const pid = await process.call<number>('pid');
  const limit = async (size: number | 'unlimited') =>
    void execFileSync('prlimit', ['--pid', `${pid}`, `--fsize=${size}:`], { stdio: 'pipe' });
  return { process, limit, file };
}

const idle = { leased: 0, waiting: 0, laneHeld: 0, laneWaiting: 0, discarded: 0 };

// The file itself has 8 KB, the shared memory beside it 32 KB.
const short = 40_000;

limitTest(
  'a statement that can not be written gets SQLITE_IOERR_WRITE and leaves nothing, and the pool goes on',
  async (t, journal) => {
    const { process, limit, file } = await openLimited(t, journal);
    await limit(short);
    t.is(await process.call<unknown>('run', 'never', 200_000), 'SQLITE_IOERR_WRITE');
    t.is(await process.call<unknown>('sync', 'never', 200_000), 'SQLITE_IOERR_WRITE');
    t.deepEqual(await process.call<unknown>('names'), ['first']);
    t.is(await process.call<unknown>('acquire', 3), 'none');
    t.deepEqual(await process.call<unknown>('idle'), idle);
    await limit('unlimited');
    t.is(await process.call<unknown>('run', 'second', 200_000), 'none');
    t.is(await process.call<unknown>('sync', 'third', 200_000), 'none');
    t.deepEqual(await process.call<unknown>('names'), ['first', 'second', 'third']);
    await process.call('close');
    t.is(rawDatabase(t, file).pragma('integrity_check', { simple: true }), 'ok');
  },
);

limitTest(
  'a transaction that can not be written in the middle is over, and nothing of it runs by itself',
  async (t, journal) => {
    const { process, limit, file } = await openLimited(t, journal);
    await limit(short);
    const aborted = 'ERR_LEASEHOLD_TRANSACTION_ABORTED SQLITE_IOERR_WRITE';
    t.deepEqual(await process.call<unknown>('transaction', 100_000, 10), [
      'none',
      'SQLITE_IOERR_WRITE',
      // The next statement, a nested one, and the transaction itself.
      aborted,
      aborted,
      aborted,
    ]);
    t.deepEqual(await process.call<unknown>('names'), ['first']);
    t.deepEqual(await process.call<unknown>('idle'), idle);
    await limit('unlimited');
    t.deepEqual(await process.call<unknown>('transaction', 100_000, 2), ['none', 'none', 'none', 'none']);
    t.deepEqual(await process.call<unknown>('names'), ['first', 'before', 'large', 'large', 'after', 'inner']);
    await process.call('close');
    t.is(rawDatabase(t, file).pragma('integrity_check', { simple: true }), 'ok');
  },
);

limitTest('a COMMIT that can not be written aborts the transaction as a whole', async (t, journal) => {
  const { process, limit, file } = await openLimited(t, journal);
  // Room for what comes before, none for what waits in memory until the COMMIT.
  await limit(12_000);
  const aborted = 'ERR_LEASEHOLD_TRANSACTION_ABORTED SQLITE_IOERR_WRITE';
  t.deepEqual(await process.call<unknown>('transaction', 12_000, 1), ['none', 'none', 'none', aborted]);
  t.deepEqual(await process.call<unknown>('names'), ['first']);
  t.deepEqual(await process.call<unknown>('idle'), idle);
  await limit('unlimited');
  t.is(await process.call<unknown>('run', 'second', 12_000), 'none');
  await process.call('close');
  t.is(rawDatabase(t, file).pragma('integrity_check', { simple: true }), 'ok');
  t.deepEqual(rawDatabase(t, file).prepare('SELECT name FROM item').pluck().all(), ['first', 'second']);
});

limitTest('a checkpoint that can not be written loses nothing', async (t, journal) => {
  const { process, limit, file } = await openLimited(t, journal);
  t.is(await process.call<unknown>('run', 'second', 200_000), 'none');
  await limit(short);
  t.is(await process.call<unknown>('checkpoint'), journal === 'WAL' ? 'SQLITE_IOERR_WRITE' : 'none');
  t.deepEqual(await process.call<unknown>('names'), ['first', 'second']);
  t.deepEqual(await process.call<unknown>('idle'), idle);
  // Also not where the last checkpoint, of the close, fails too.
  await process.call('close');
  const db = rawDatabase(t, file);
  t.deepEqual(db.prepare('SELECT name FROM item').pluck().all(), ['first', 'second']);
  t.is(db.pragma('integrity_check', { simple: true }), 'ok');
});
