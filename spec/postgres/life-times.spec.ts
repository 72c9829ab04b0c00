import test, { type ExecutionContext } from 'ava';
import { Client } from 'pg';
import { readHosts } from '../../lib/postgres/hosts.ts';
import { PostgresPool } from '../../lib/postgres/pool.ts';
import type { PostgresPoolOptions } from '../../lib/postgres.ts';
import { FakeClock } from '../support/clock.ts';
import { gate, settled } from '../support/gate.ts';
import { postgresUrl } from '../support/postgres.ts';
import { closes, fill } from '../support/postgres-handle.ts';

async function openPool(t: ExecutionContext, options: PostgresPoolOptions) {
  const url = await postgresUrl(t);
  const clock = new FakeClock();
  const pool = new PostgresPool(readHosts(url), { name: 'app', validateAfter: Infinity, ...options }, clock);
  t.teardown(() => pool.close({ timeout: 0 }));
  return { url, clock, pool };
}

test('connections live for `maxLifetime` less up to 5 %, not all for the same time', async (t) => {
  const { clock, pool } = await openPool(t, { max: 8, maxLifetime: 1_000_000, idleTimeout: Infinity });
  await fill(pool, 8);
  clock.advance(949_000);
  t.is(pool.stats().idle, 8);
  const closed = closes(pool, 8);
  const left: number[] = [];
  for (let step = 0; step < 52; step++) {
    clock.advance(1000);
    left.push(pool.stats().idle);
  }
  t.is(left.at(-1), 0);
  t.true(new Set(left).size > 2, left.join());
  t.deepEqual(new Set(await closed), new Set(['maxLifetime']));
  t.deepEqual((await pool.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
});

test('the end of its lifetime takes a connection from nobody', async (t) => {
  const { clock, pool } = await openPool(t, { maxLifetime: 10_000 });
  const closed = closes(pool, 1);
  await pool.transaction(async (tx) => {
    await tx.query('SELECT 1');
    clock.advance(20_000);
    t.deepEqual((await tx.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
  });
  t.deepEqual(await closed, ['maxLifetime']);
  t.is(pool.stats().leased, 0);
});

test('what has been idle for `idleTimeout` is closed down to `min`', async (t) => {
  const { clock, pool } = await openPool(t, { max: 5, min: 2, idleTimeout: 10_000 });
  await pool.ready();
  await fill(pool, 5);
  const closed = closes(pool, 3);
  clock.advance(12_000);
  t.deepEqual(await closed, ['idleTimeout', 'idleTimeout', 'idleTimeout']);
  t.like(pool.stats(), { size: 2, idle: 2 });
});

test('connections below `min` that were lost, or have come to their end, are opened again', async (t) => {
  const { url, clock, pool } = await openPool(t, {
    min: 2,
    maxLifetime: 100_000,
    acquireTimeout: Infinity,
    connectTimeout: Infinity,
  });
  await pool.ready();
  const opened = () => {
    const { passed, open } = gate();
    let count = 0;
    const listener = () => {
      if (++count === 2) open();
    };
    pool.on('open', listener);
    return passed;
  };
  const other = new Client({ connectionString: url });
  await other.connect();
  try {
    const lost = closes(pool, 2);
    await other.query(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
    );
    t.deepEqual(await lost, ['connection lost', 'connection lost']);
  } finally {
    await other.end();
  }
  const again = opened();
  clock.advance(2000);
  await again;
  await settled();
  t.like(pool.stats(), { size: 2, idle: 2 });
  const ended = closes(pool, 2);
  const oncemore = opened();
  clock.advance(100_000);
  t.deepEqual(await ended, ['maxLifetime', 'maxLifetime']);
  clock.advance(2000);
  await oncemore;
  t.like(pool.stats(), { size: 2 });
});
