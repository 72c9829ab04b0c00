import { once } from 'node:events';
import test, { type ExecutionContext } from 'ava';
import { Client } from 'pg';
import { createPool } from '../../lib/index.ts';
import { type PostgresPool, type PostgresPoolOptions, postgres } from '../../lib/postgres.ts';
import { gate } from '../support/gate.ts';
import { closes, fill, until } from '../support/postgres-handle.ts';
import { launchServer } from '../support/postgres-server.ts';

const connections = 16;
const server = await launchServer({ settings: { max_connections: connections } });
test.after.always(() => server.close());

function openPool(t: ExecutionContext, options: PostgresPoolOptions = {}): PostgresPool {
  const pool = createPool(postgres(server.url()), { name: 'app', acquireTimeout: 30_000, ...options });
  t.teardown(() => pool.close({ timeout: 0 }));
  return pool;
}

const pidOf = async (pool: PostgresPool) =>
  (await pool.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows[0]?.pid;

test.serial('idle connections that the server has ended are closed, and never handed out', async (t) => {
  const pool = openPool(t, { max: 3 });
  await fill(pool, 3);
  const closed = closes(pool, 3);
  const other = openPool(t);
  await other.query(
    'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = $1',
    ['client backend'],
  );
  t.deepEqual(await closed, ['connection lost', 'connection lost', 'connection lost']);
  t.like(pool.stats(), { size: 0, idle: 0 });
  t.is(typeof (await pidOf(pool)), 'number');
});

test.serial('a stop of the server closes what is idle, and fails what runs with a code', async (t) => {
  const pool = openPool(t, { max: 3 });
  await fill(pool, 2);
  const closed = closes(pool, 2);
  const running = gate();
  const query = pool.query('SELECT pg_sleep(60)');
  const transaction = pool.transaction(async (tx) => {
    await tx.query('SELECT 1');
    running.open();
    await tx.query('SELECT pg_sleep(60)');
  });
  await running.passed;
  await server.stop();
  const errors = await Promise.all([t.throwsAsync(query), t.throwsAsync(transaction)]);
  for (const error of errors) t.true(['57P01', 'ERR_LEASEHOLD_CONNECTION_LOST'].includes(Reflect.get(error, 'code')));
  await closed;
  t.like(pool.stats(), { leased: 0, waiting: 0, idle: 0 });
  await server.start();
  t.is(typeof (await pidOf(pool)), 'number');
});

test.serial('a loop over a cursor ends with a code when the server stops', async (t) => {
  const pool = openPool(t);
  const read = pool.withConnection(async (db) => {
    for await (const { n } of db.iterate<{ n: number }>('SELECT n FROM generate_series(1, 1000) AS n', [], {
      batch: 2,
    }))
      if (n === 2) await server.stop('immediate');
  });
  await t.throwsAsync(read, { code: 'ERR_LEASEHOLD_CONNECTION_LOST' });
  t.is(pool.stats().leased, 0);
  await server.start();
});

test.serial('whoever reads an inbox is told when the server stops', async (t) => {
  const pool = openPool(t);
  const db = await pool.acquire();
  const inbox = await db.listen('news');
  await db.query("NOTIFY news, 'first'");
  t.is((await inbox.next()).value?.payload, 'first');
  const next = inbox.next();
  next.catch(() => {});
  await server.stop();
  await t.throwsAsync(next, { code: 'ERR_LEASEHOLD_CONNECTION_LOST' });
  await t.throwsAsync(inbox.next(), { code: 'ERR_LEASEHOLD_CONNECTION_LOST' });
  await db[Symbol.asyncDispose]();
  t.is(pool.stats().leased, 0);
  await server.start();
});

test.serial('a call made while the server is down waits until its deadline, and fails with the cause', async (t) => {
  const pool = openPool(t);
  await server.stop();
  const begun = performance.now();
  const error = await t.throwsAsync(pool.query('SELECT 1', [], { timeout: 1000 }), {
    code: 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT',
    message: /ECONNREFUSED/,
  });
  t.true(performance.now() - begun >= 999);
  t.like(error?.cause, { code: 'ECONNREFUSED' });
  t.is(pool.stats().waiting, 0);
  // An attempt may be under way.
  await until(() => pool.stats().size === 0);
  await server.start();
});

test.serial('a call made while the server is down succeeds when it is back', async (t) => {
  const pool = openPool(t);
  await fill(pool, 2);
  await server.stop();
  const calls = Promise.all(Array.from({ length: 20 }, () => pool.query('SELECT 1 AS one', [], { timeout: 50_000 })));
  await server.start();
  for (const { rows } of await calls) t.deepEqual(rows, [{ one: 1 }]);
  t.is(pool.stats().counters.timeouts, 0);
});

test.serial('ready() waits for a server that is down until the deadline, and then says why', async (t) => {
  await server.stop();
  const pool = openPool(t, { acquireTimeout: 1000 });
  const error = await t.throwsAsync(pool.ready(), { code: 'ERR_LEASEHOLD_OPEN', message: /ECONNREFUSED/ });
  t.like(error, { target: `postgres://postgres@127.0.0.1:${server.port}/postgres`, cause: { code: 'ECONNREFUSED' } });
  const patient = openPool(t, { acquireTimeout: 50_000, min: 2 });
  const ready = patient.ready();
  await server.start();
  await ready;
  t.is(patient.stats().size, 2);
});

test.serial('`min` is kept up after the connections died with the server', async (t) => {
  // A quarter of it is how often the pool looks.
  const pool = openPool(t, { min: 3, idleTimeout: 400 });
  await pool.ready();
  const closed = closes(pool, 3);
  const { passed, open } = gate();
  await server.stop();
  await closed;
  let opened = 0;
  pool.on('open', () => {
    if (++opened === 3) open();
  });
  await server.start();
  await passed;
  t.is(pool.stats().size, 3);
});

test.serial('where the server has no connection left, a call waits until it has one', async (t) => {
  const others: Client[] = [];
  try {
    for (;;) {
      const other = new Client({ connectionString: server.url() });
      other.on('error', () => {});
      try {
        await other.connect();
      } catch (error) {
        t.is(Reflect.get(error as object, 'code'), '53300');
        break;
      }
      others.push(other);
    }
    t.is(others.length, connections);
    const pool = openPool(t, { max: 2 });
    const refused = await t.throwsAsync(pool.query('SELECT 1', [], { timeout: 1000 }));
    t.like(refused, { code: 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT', cause: { code: '53300' } });
    const call = pool.query('SELECT 1 AS one', [], { timeout: 50_000 });
    const leaver = others.pop();
    await Promise.all([leaver && once(leaver, 'end'), leaver?.end()]);
    t.deepEqual((await call).rows, [{ one: 1 }]);
  } finally {
    await Promise.all(others.map((other) => other.end()));
  }
});
