import test, { type ExecutionContext } from 'ava';
import type { AcquireOptions } from '../../lib/index.ts';
import { SqlitePool } from '../../lib/sqlite/pool.ts';
import { FakeClock } from '../support/clock.ts';
import { temporaryFile } from '../support/files.ts';
import { gate, settled } from '../support/gate.ts';

async function busy(t: ExecutionContext) {
  const clock = new FakeClock();
  const pool = new SqlitePool(temporaryFile(t), { max: 1 }, clock);
  t.teardown(() => pool.close({ timeout: 0 }));
  const holder = await pool.acquire();
  return { clock, pool, holder };
}

// What only SQLite can tell of whether it writes.
const unclear = 'WITH one AS (SELECT 1 AS one) SELECT * FROM one';

const calls: Record<string, (pool: SqlitePool, options: AcquireOptions) => Promise<unknown>> = {
  acquire: (pool, options) => pool.acquire(options),
  withConnection: (pool, options) => pool.withConnection(() => {}, options),
  read: (pool, options) => pool.read(() => {}, options),
  get: (pool, options) => pool.get('SELECT 1', [], options),
  all: (pool, options) => pool.all('SELECT 1', [], options),
  withStatement: (pool, options) => pool.withStatement('SELECT 1', () => {}, options),
  'get of what only SQLite can tell': (pool, options) => pool.get(unclear, [], options),
  checkpoint: (pool, options) => pool.checkpoint('passive', options),
};

for (const [name, call] of Object.entries(calls)) {
  test(`the deadline of ${name}() counts from the call, not from when the event loop comes to it`, async (t) => {
    const { clock, pool } = await busy(t);
    const refused = t.throwsAsync(call(pool, { timeout: 50 }), { code: 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT' });
    // What the caller does in the same turn of the event loop.
    clock.skip(100);
    await clock.pass(0);
    t.is(pool.stats().waiting, 0);
    t.like(await refused, { timeout: 50, lateBy: 50 });
  });
}

test('a statement that SQLite was asked about has only what is left of its time', async (t) => {
  const { clock, pool, holder } = await busy(t);
  const refused = t.throwsAsync(pool.get(unclear, [], { timeout: 50 }), { code: 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT' });
  await clock.pass(30);
  // Comes once SQLite is being asked, gets the connection after that, and keeps it.
  const next = gate();
  pool.once('acquire', () => void pool.acquire().then(() => next.open()));
  holder.close();
  await next.passed;
  await settled();
  t.is(pool.stats().waiting, 1);
  await clock.pass(19);
  t.is(pool.stats().waiting, 1);
  await clock.pass(1);
  t.like(await refused, { timeout: 50 });
});
