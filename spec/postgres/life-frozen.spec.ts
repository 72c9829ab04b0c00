import test, { type ExecutionContext } from 'ava';
import { createPool } from '../../lib/index.ts';
import { readHosts } from '../../lib/postgres/hosts.ts';
import { PostgresPool } from '../../lib/postgres/pool.ts';
import { type PostgresConfig, type PostgresPoolOptions, postgres } from '../../lib/postgres.ts';
import { FakeClock } from '../support/clock.ts';
import { gate, settled } from '../support/gate.ts';
import { postgresUrl } from '../support/postgres.ts';
import { proxyTo, type TcpProxy } from '../support/postgres-proxy.ts';

/** A pool whose first host is behind a proxy, and whose second, if there is one, is the server itself. */
async function proxied(t: ExecutionContext, isSecond = false): Promise<{ proxy: TcpProxy; config: PostgresConfig }> {
  const { port, username: user, password, pathname } = new URL(await postgresUrl(t));
  const proxy = await proxyTo(t, Number(port));
  const hosts = [`127.0.0.1:${proxy.port}`, ...(isSecond ? [`127.0.0.1:${port}`] : [])];
  return { proxy, config: { user, password, database: pathname.slice(1), hosts } };
}

function openPool(t: ExecutionContext, config: PostgresConfig, options: PostgresPoolOptions = {}): PostgresPool {
  const pool = createPool(postgres(config), { name: 'app', acquireTimeout: 30_000, ...options });
  t.teardown(() => pool.close({ timeout: 0 }));
  return pool;
}

const portOf = async (pool: PostgresPool) =>
  (await pool.query<{ port: number }>('SELECT inet_client_port() AS port')).rows[0]?.port;

/** Asks for something that takes long, and resolves when the server does it. */
async function sleepOn(db: Awaited<ReturnType<PostgresPool['acquire']>>, signal?: AbortSignal) {
  const begun = gate();
  db.on('notice', () => begun.open());
  const text = "DO $$ BEGIN RAISE NOTICE 'begun'; PERFORM pg_sleep(60); END $$";
  const sleeping = db.query({ text, ...(signal && { signal }) });
  sleeping.catch(() => {});
  await begun.passed;
  return { sleeping };
}

test('a host that takes connections and says nothing costs `connectTimeout`, then the next one is taken', async (t) => {
  const { proxy, config } = await proxied(t, true);
  proxy.freeze();
  const pool = openPool(t, config, { connectTimeout: 1500, acquireTimeout: 30_000 });
  t.deepEqual((await pool.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
  t.is(proxy.accepted, 1);
});

test('the `connectionTimeoutMillis` of the configuration counts instead of `connectTimeout`', async (t) => {
  const clock = new FakeClock();
  const { proxy, config } = await proxied(t, true);
  proxy.freeze();
  const options = { connectTimeout: 1000, acquireTimeout: Infinity };
  const pool = new PostgresPool(readHosts({ ...config, connectionTimeoutMillis: 60_000 }), options, clock);
  t.teardown(() => pool.close({ timeout: 0 }));
  let isServed = false;
  const call = pool.query('SELECT 1 AS one').finally(() => {
    isServed = true;
  });
  await settled();
  await clock.pass(59_000);
  // More time than the second host would need.
  const good = openPool(t, { ...config, hosts: [config.hosts?.[1] ?? ''] });
  for (let count = 0; count < 20; count++) await good.query('SELECT 1');
  t.false(isServed, 'the first host is still waited for');
  await clock.pass(1000);
  t.deepEqual((await call).rows, [{ one: 1 }]);
});

test('a host that falls silent when it is asked for its role costs `connectTimeout`, too', async (t) => {
  const { proxy, config } = await proxied(t, true);
  class Frozen extends (await import('pg')).Client {
    override async connect(): Promise<never> {
      await super.connect();
      if (this.port === proxy.port) proxy.freeze();
      return undefined as never;
    }
  }
  const options = { connectTimeout: 1500, acquireTimeout: 10_000, Client: Frozen };
  const pool = openPool(t, { ...config, targetSession: 'read-write' }, options);
  t.deepEqual((await pool.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
});

test('hosts that say nothing do not keep a pool from a good one for good, however short its timeout', async (t) => {
  const { proxy, config } = await proxied(t, true);
  proxy.freeze();
  const [frozen = '', good = ''] = config.hosts ?? [];
  const several = { ...config, hosts: [frozen, frozen, good] };
  const pool = openPool(t, several, { connectTimeout: 1000, acquireTimeout: 1500 });
  const call = () => pool.query('SELECT 1').catch((error: unknown) => error);
  let failures = 0;
  while (failures < 5 && (await call()) instanceof Error) failures++;
  t.true(failures >= 1 && failures < 5, String(failures));
});

test('a call with more time than the pool gives waits for it where no host answers', async (t) => {
  const { proxy, config } = await proxied(t);
  proxy.freeze();
  const pool = openPool(t, config, { connectTimeout: 300, acquireTimeout: 200 });
  const call = pool.query('SELECT 1 AS one', [], { timeout: 50_000 });
  await t.throwsAsync(pool.query('SELECT 1', [], { timeout: 400 }), { code: 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT' });
  proxy.thaw();
  t.deepEqual((await call).rows, [{ one: 1 }]);
});

test('a query that was aborted while nobody answers is given up after `cancelTimeout`', async (t) => {
  const { proxy, config } = await proxied(t, true);
  const pool = openPool(t, config, { cancelTimeout: 100, connectTimeout: 4000, acquireTimeout: Infinity });
  const abort = new AbortController();
  const closed = new Promise((resolve) => pool.once('close', resolve));
  await pool.withConnection(async (db) => {
    const { sleeping } = await sleepOn(db, abort.signal);
    proxy.freeze();
    abort.abort(new Error('enough'));
    t.like(await t.throwsAsync(sleeping, { code: 'ABORT_ERR' }), { cause: { message: 'enough' } });
    await t.throwsAsync(db.query('SELECT 1'), { code: 'ERR_LEASEHOLD_CONNECTION_LOST' });
  });
  await closed;
  t.like(pool.stats(), { leased: 0, size: 0 });
  t.deepEqual((await pool.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
});

test('a lease that is released while its query hangs is back after `cancelTimeout`, without its connection', async (t) => {
  const { proxy, config } = await proxied(t);
  const pool = openPool(t, config, { cancelTimeout: 100, acquireTimeout: Infinity, max: 1 });
  const discards: string[] = [];
  pool.on('discard', ({ reason }) => discards.push(reason));
  const db = await pool.acquire();
  const { sleeping } = await sleepOn(db);
  proxy.freeze();
  const released = db[Symbol.asyncDispose]();
  await t.throwsAsync(sleeping, { code: 'ERR_LEASEHOLD_RELEASED' });
  const next = pool.query('SELECT 1 AS one');
  await released;
  t.is(discards.length, 1);
  proxy.thaw();
  t.deepEqual((await next).rows, [{ one: 1 }]);
});

test('close() ends where nobody answers, whether connections are idle, leased or being opened', async (t) => {
  const { proxy, config } = await proxied(t);
  const pool = openPool(t, config, { cancelTimeout: 100, connectTimeout: 60_000, acquireTimeout: Infinity, max: 3 });
  const [first, second] = await Promise.all([pool.acquire(), pool.acquire()]);
  const { sleeping } = await sleepOn(first);
  second.release();
  proxy.freeze();
  const idle = await pool.acquire();
  // For this one a connection is being opened.
  const refused = t.throwsAsync(pool.acquire(), { code: 'ERR_LEASEHOLD_CLOSED' });
  await settled();
  t.is(pool.stats().size, 3);
  t.true(idle.open);
  await pool.close({ timeout: 50 });
  await refused;
  await t.throwsAsync(sleeping, { code: 'ERR_LEASEHOLD_RELEASED' });
  t.like(pool.stats(), { size: 0, leased: 0, waiting: 0 });
});

test('a connection that was idle for long is asked whether it is there, and lent if it is', async (t) => {
  const clock = new FakeClock();
  const { config } = await proxied(t);
  const pool = new PostgresPool(readHosts(config), { validateAfter: 1000 }, clock);
  t.teardown(() => pool.close({ timeout: 0 }));
  const port = await portOf(pool);
  clock.advance(2000);
  t.is(pool.tryAcquire(), undefined);
  t.is(await portOf(pool), port);
  t.is(pool.stats().counters.discarded, 0);
});

test('a connection that does not answer when it is asked is closed, and the caller gets a good one', async (t) => {
  const clock = new FakeClock();
  const { proxy, config } = await proxied(t);
  const pool = new PostgresPool(readHosts(config), { validateAfter: 1000 }, clock);
  t.teardown(() => pool.close({ timeout: 0 }));
  const reasons: string[] = [];
  pool.on('close', ({ reason }) => reasons.push(reason));
  const port = await portOf(pool);
  clock.advance(2000);
  proxy.freeze();
  const call = portOf(pool);
  await settled();
  t.is(pool.stats().leased, 0);
  await clock.pass(1000);
  t.is(reasons.length, 1);
  proxy.thaw();
  const other = await call;
  t.not(other, port);
  t.is(typeof other, 'number');
});

test('that many connections do not answer costs a caller no more than that one does not', async (t) => {
  const clock = new FakeClock();
  const { proxy, config } = await proxied(t, true);
  const options = { validateAfter: 1000, max: 8, connectTimeout: 1000 };
  const pool = new PostgresPool(readHosts(config), options, clock);
  t.teardown(() => pool.close({ timeout: 0 }));
  const leases = await Promise.all(Array.from({ length: 8 }, () => pool.acquire()));
  for (const lease of leases) lease.release();
  clock.advance(2000);
  proxy.freeze();
  const call = pool.query('SELECT 1 AS one');
  await settled();
  // One of them is asked, and does not answer; then the first host does not; the second has all the time it needs.
  await clock.pass(1000);
  await clock.pass(1000);
  t.deepEqual((await call).rows, [{ one: 1 }]);
  t.is(pool.stats().counters.timeouts, 0);
});

/** What has settled within 5 s, which is more than any bound in these tests. */
async function inTime<Result>(promise: Promise<Result>): Promise<Result | 'late'> {
  const { promise: late, resolve } = Promise.withResolvers<'late'>();
  const timer = setTimeout(resolve, 5000, 'late');
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

test('a transaction that fails while nobody answers is given up after `cancelTimeout`', async (t) => {
  const { proxy, config } = await proxied(t);
  const pool = openPool(t, config, { cancelTimeout: 100 });
  const failed = pool.transaction(async (tx) => {
    await tx.query('SELECT 1');
    proxy.freeze();
    throw new Error('mine');
  });
  const told = await inTime(failed.catch((error: unknown) => error));
  t.like(told, { message: 'mine' });
  t.is(pool.stats().leased, 0);
});

test('a lease to be reset while nobody answers is given up after `cancelTimeout`', async (t) => {
  const { proxy, config } = await proxied(t);
  const pool = openPool(t, config, { cancelTimeout: 100, acquireTimeout: Infinity });
  const db = await pool.acquire();
  await db.query("SET search_path = 'public'");
  const closed = new Promise((resolve) => pool.once('close', resolve));
  proxy.freeze();
  t.is(await inTime(db[Symbol.asyncDispose]()), undefined);
  t.not(await inTime(closed), 'late');
});
