import test, { type ExecutionContext } from 'ava';
import type { SqlitePool } from '../../lib/index.ts';
import { temporaryFile } from '../support/files.ts';
import { lockingProcess, temporaryPool } from '../support/sqlite.ts';

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
