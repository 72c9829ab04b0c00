import test, { type ExecutionContext } from 'ava';
import { Client } from 'pg';
import { createPool } from '../../lib/index.ts';
import { type PostgresConfig, type PostgresPool, type PostgresPoolOptions, postgres } from '../../lib/postgres.ts';
import { launchServer } from '../support/postgres-server.ts';
import { caughtUp, standbyOf } from '../support/postgres-standby.ts';

// One pair for all tests, which run in their order: the last one takes the first server away.
const ends: (() => void | Promise<void>)[] = [];
const primary = await launchServer();
const standby = await standbyOf({ teardown: (end) => void ends.push(end) }, primary);
test.after.always(async () => {
  await Promise.all([primary.close(), ...ends.map((end) => end())]);
});

const addresses = [standby, primary].map(({ port }) => `127.0.0.1:${port}`);
const account = { user: 'postgres', password: primary.equipment.password, database: 'postgres' };
const url = (hosts: readonly string[], query = '') =>
  `postgres://postgres:${account.password}@${hosts.join(',')}/postgres${query}`;

function openPool(t: ExecutionContext, config: string | PostgresConfig, options: PostgresPoolOptions = {}) {
  const pool = createPool(postgres(config), { name: 'app', acquireTimeout: 30_000, ...options });
  t.teardown(() => pool.close({ timeout: 0 }));
  return pool;
}

/** The port of the server that a connection of the pool leads to. */
async function portOf(pool: PostgresPool): Promise<number | undefined> {
  const text = "SELECT current_setting('port')::int AS port";
  return (await pool.query<{ port: number }>(text, [], { timeout: 50_000 })).rows[0]?.port;
}

const write = (to: PostgresPool) => to.query("INSERT INTO item VALUES ('x')", [], { timeout: 50_000 });

async function tell(sql: readonly string[]): Promise<void> {
  const client = new Client({ connectionString: primary.url() });
  await client.connect();
  for (const text of sql) await client.query(text);
  await client.end();
}

test.serial('of several hosts the first one that will do is taken, in their order', async (t) => {
  t.is(await portOf(openPool(t, url(addresses))), standby.port);
  t.is(await portOf(openPool(t, url(addresses.toReversed()))), primary.port);
  t.is(await portOf(openPool(t, { ...account, hosts: addresses })), standby.port);
  const dead = ['127.0.0.1:1', ...addresses];
  t.is(await portOf(openPool(t, url(dead))), standby.port);
  t.is(await portOf(openPool(t, { ...account, hosts: dead })), standby.port);
  t.is(await portOf(openPool(t, url(['no-such-host.invalid:5432', ...addresses]))), standby.port);
});

test.serial('`target_session_attrs` passes over a server of the other kind', async (t) => {
  t.is(await portOf(openPool(t, url(addresses, '?target_session_attrs=read-write'))), primary.port);
  t.is(await portOf(openPool(t, { ...account, hosts: addresses, targetSession: 'read-write' })), primary.port);
  t.is(await portOf(openPool(t, url(addresses.toReversed(), '?target_session_attrs=read-only'))), standby.port);
  t.is(await portOf(openPool(t, url(addresses, '?target_session_attrs=any&application_name=app'))), standby.port);
});

test.serial('connections opened side by side go to the same host', async (t) => {
  const pool = openPool(t, url(addresses), { max: 6 });
  await Promise.all(
    Array.from({ length: 6 }, () =>
      pool.withConnection(async (db) => {
        const { rows } = await db.query<{ port: number }>("SELECT current_setting('port')::int AS port, pg_sleep(0.1)");
        t.is(rows[0]?.port, standby.port);
      }),
    ),
  );
  t.is(pool.stats().size, 6);
});

test.serial('where no server can be written to, a call waits, and its error names what was found', async (t) => {
  const pool = openPool(t, url(addresses.slice(0, 1), '?target_session_attrs=read-write'));
  const error = await t.throwsAsync(pool.query('SELECT 1', [], { timeout: 300 }), {
    code: 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT',
    message: /is read-only, and read-write is wanted/,
  });
  t.true(error?.message.includes(addresses[0] ?? ''));
});

test.serial('a server that was written to and only reads by now loses its connections', async (t) => {
  const pool = openPool(t, url(addresses, '?target_session_attrs=read-write'));
  const indifferent = openPool(t, url(addresses.toReversed()));
  const discards: string[] = [];
  pool.on('discard', ({ reason }) => discards.push(reason));
  await pool.query('CREATE TABLE item (name text)');
  await indifferent.query('SELECT 1');
  await tell(['ALTER SYSTEM SET default_transaction_read_only = on', 'SELECT pg_reload_conf()']);
  for (const each of [pool, indifferent]) {
    // Each server process reads its settings when it comes to it.
    let code: unknown;
    while (code === undefined)
      code = await write(each).then(
        () => undefined,
        (error: { code: string }) => error.code,
      );
    t.is(code, '25006');
  }
  t.deepEqual(discards, ['read-only server']);
  t.is(indifferent.stats().counters.discarded, 0);
  // Neither of the two can be written to now: it waits until one can.
  const late = write(pool);
  await tell(['SET default_transaction_read_only = off', 'ALTER SYSTEM RESET ALL', 'SELECT pg_reload_conf()']);
  t.is((await late).rowCount, 1);
});

test.serial('a write where reading was asked for is refused, and keeps its connection', async (t) => {
  const pool = openPool(t, url(addresses, '?target_session_attrs=read-write'));
  await t.throwsAsync(
    pool.read((db) => db.query("INSERT INTO item VALUES ('x')")),
    { code: 'ERR_LEASEHOLD_READ_ONLY' },
  );
  t.like(pool.stats(), { size: 1, idle: 1, counters: { discarded: 0 } });
});

test.serial('when the primary is gone and the standby was promoted, the pool writes there', async (t) => {
  const pool = openPool(t, url(addresses.toReversed(), '?target_session_attrs=read-write'), { max: 4 });
  await pool.query('CREATE TABLE kept (n int)');
  await pool.query('INSERT INTO kept VALUES (1)');
  await caughtUp(primary, standby);
  const closed = new Promise((resolve) => pool.once('close', resolve));
  await primary.stop('immediate');
  await closed;
  const calls = [2, 3, 4, 5, 6].map((n) => pool.query('INSERT INTO kept VALUES ($1)', [n], { timeout: 50_000 }));
  await standby.promote();
  await Promise.all(calls);
  const { rows } = await pool.query('SELECT array_agg(n ORDER BY n) AS all FROM kept');
  t.deepEqual(rows, [{ all: [1, 2, 3, 4, 5, 6] }]);
  t.is(await portOf(pool), standby.port);
});
