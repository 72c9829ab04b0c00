import test from 'ava';
import { postgresUrl } from '../support/postgres.ts';
import { type Asked, clientOn, firstOf, leavings, pidOf, poolOn } from '../support/postgres-handle.ts';

const url = await postgresUrl();

/** All of a session that its holder can have changed, as far as the server tells. */
const fingerprint = `SELECT
  current_user, session_user, current_setting('role') AS role, current_schemas(false) AS schemas,
  (SELECT json_object_agg(name, setting) FROM pg_settings WHERE source NOT IN ('default', 'override')) AS settings,
  current_setting('app.tenant', true) AS custom,
  (SELECT json_agg(relname ORDER BY relname) FROM pg_class WHERE relnamespace = pg_my_temp_schema()) AS temporary,
  (SELECT json_agg(proname) FROM pg_proc WHERE pronamespace = pg_my_temp_schema()) AS functions,
  (SELECT json_agg(objid) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS locks,
  (SELECT json_agg(channel) FROM pg_listening_channels() AS channel) AS channels,
  (SELECT json_agg(name) FROM pg_prepared_statements) AS statements,
  (SELECT json_agg(name) FROM pg_cursors WHERE name <> '') AS cursors`;

async function lookAt(db: Asked): Promise<unknown> {
  const { rows } = await db.query(fingerprint);
  // What was never set is NULL before it is set for the first time, and empty from then on.
  return { ...rows[0], custom: rows[0]?.['custom'] || null };
}

interface Leaving {
  /** What a holder does, one text after the other. */
  readonly texts: readonly string[];
  readonly traces: readonly string[];
}

const leftOver: readonly (readonly [what: string, Leaving])[] = [
  ['a setting', { texts: [`SET work_mem = '1MB'`], traces: ['SET'] }],
  ['a setting of the session', { texts: [`SET SESSION statement_timeout = '7s'`], traces: ['SET'] }],
  ['the time zone', { texts: [`SET TIME ZONE 'Pacific/Chatham'`], traces: ['SET'] }],
  ['the names it sees', { texts: ['CREATE SCHEMA IF NOT EXISTS other', 'SET search_path = other'], traces: ['SET'] }],
  ['how its transactions begin', { texts: ['SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY'], traces: ['SET'] }],
  ['a setting by set_config', { texts: [`SELECT set_config('work_mem', '2MB', false)`], traces: ['SET'] }],
  ['a setting of its own', { texts: [`SET app.tenant = 'secret'`], traces: ['SET'] }],
  ['a setting that was taken back', { texts: [`SET work_mem = '1MB'`, 'RESET work_mem'], traces: ['SET'] }],
  ['a role', { texts: ['SET ROLE app'], traces: ['SET'] }],
  ['another user', { texts: ['SET SESSION AUTHORIZATION app'], traces: ['SET'] }],
  [
    'a setting and a role in a transaction',
    { texts: [`BEGIN; SET work_mem = '1MB'; SET ROLE app; COMMIT`], traces: ['SET'] },
  ],
  ['a temporary table', { texts: ['CREATE TEMP TABLE mine (a int)'], traces: ['temporary object'] }],
  ['a temporary table of a query', { texts: ['SELECT 1 AS a INTO TEMPORARY mine'], traces: ['temporary object'] }],
  [
    'a temporary view',
    { texts: ['CREATE OR REPLACE TEMPORARY VIEW mine AS SELECT 1 AS a'], traces: ['temporary object'] },
  ],
  [
    'a temporary sequence',
    { texts: ['CREATE TEMP SEQUENCE mine', `SELECT nextval('mine')`], traces: ['temporary object'] },
  ],
  [
    'a temporary function',
    { texts: ['CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$'], traces: ['temporary object'] },
  ],
  [
    'an advisory lock',
    { texts: ['SELECT pg_advisory_lock(1)', 'SELECT pg_try_advisory_lock_shared(2)'], traces: ['advisory lock'] },
  ],
  ['LISTEN', { texts: ['LISTEN channel; LISTEN other'], traces: ['LISTEN'] }],
  ['PREPARE', { texts: ['PREPARE mine AS SELECT 1'], traces: ['prepared statement'] }],
  [
    'a cursor that outlives its transaction',
    { texts: ['BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT 1; COMMIT'], traces: ['cursor WITH HOLD'] },
  ],
  ['a transaction', { texts: ['BEGIN', 'CREATE TABLE undone ()', 'SAVEPOINT a'], traces: ['open transaction'] }],
  ['a transaction that has failed', { texts: ['BEGIN', 'SAVEPOINT a', 'SELECT 1/0'], traces: ['open transaction'] }],
  [
    'a cursor in a transaction',
    { texts: ['BEGIN', 'DECLARE c CURSOR FOR SELECT 1', 'FETCH c'], traces: ['open transaction'] },
  ],
  [
    'a lock of a transaction',
    { texts: ['BEGIN', 'SELECT pg_advisory_xact_lock(3)', 'LOCK pg_class'], traces: ['open transaction'] },
  ],
  [
    'a setting of a transaction',
    { texts: ['BEGIN', 'SET TRANSACTION READ ONLY', 'SET LOCAL ROLE app'], traces: ['open transaction'] },
  ],
  ['a block of code', { texts: [`DO $$ BEGIN SET work_mem = '1MB'; LISTEN channel; END $$`], traces: [] }],
  [
    'a procedure',
    {
      texts: [
        'CREATE OR REPLACE PROCEDURE alter_session() LANGUAGE sql AS $$ SELECT set_config($a$work_mem$a$, $a$3MB$a$, false) $$',
        'CALL alter_session()',
      ],
      traces: [],
    },
  ],
  [
    'what EXPLAIN ANALYZE has run',
    { texts: ['EXPLAIN ANALYZE CREATE TEMP TABLE mine AS SELECT 1 AS a'], traces: ['temporary object'] },
  ],
  [
    'a setting by way of pg_settings',
    { texts: [`UPDATE pg_settings SET setting = '1MB' WHERE name = 'work_mem'`], traces: ['SET'] },
  ],
  [
    'many things at once',
    {
      texts: [`SET work_mem = '1MB'; CREATE TEMP TABLE mine (); LISTEN channel`, 'BEGIN'],
      traces: ['open transaction', 'SET', 'temporary object', 'LISTEN'],
    },
  ],
];

test.before(async () => {
  const { Client } = await import('pg');
  const client = new Client({ connectionString: url });
  await client.connect();
  // Roles belong to the server, which other files have, too.
  await client.query(`DO $$ BEGIN CREATE ROLE app; EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$`);
  await client.end();
});

for (const [what, { texts, traces }] of leftOver) {
  test(`the next holder on the same connection sees no trace of ${what}`, async (t) => {
    const pool = poolOn(t, url);
    const said = leavings(pool);
    const [before, pid] = await pool.withConnection(async (db) => [await lookAt(db), await pidOf(db)]);
    await pool.withConnection(async (db) => {
      for (const text of texts) await db.query(text).catch((error: Error) => t.regex(error.message, /division/));
    });
    await pool.withConnection(async (db) => {
      t.deepEqual(await lookAt(db), before);
      t.false(db.inTransaction);
      t.is(await pidOf(db), pid);
    });
    t.deepEqual(said, traces);
  });
}

test('what a function of the database leaves is taken back where the pool always resets', async (t) => {
  const pool = poolOn(t, url, { reset: 'always' });
  const said = leavings(pool);
  await pool.query(
    `CREATE FUNCTION change() RETURNS text LANGUAGE sql AS $$ SELECT set_config('work_mem', '3MB', false) $$`,
  );
  const [before, pid] = [await lookAt(pool), await pidOf(pool)];
  t.is(await firstOf(pool, 'SELECT change()'), '3MB');
  t.deepEqual(await lookAt(pool), before);
  t.is(await pidOf(pool), pid);
  t.deepEqual(said, []);
});

test('a library that was loaded stays in the process, so its connection is closed', async (t) => {
  const pool = poolOn(t, url);
  const said = leavings(pool);
  const pid = await pidOf(pool);
  await pool.query(`LOAD 'plpgsql'`);
  t.not(await pidOf(pool), pid);
  t.deepEqual(said, ['LOAD', 'discarded: LOAD']);
});

test('settings of the pool are there for every holder, also after one that has changed them', async (t) => {
  const settings = {
    search_path: 'a, "B c"',
    work_mem: '5MB',
    role: 'app',
    'app.tenant': 'of the \\ pool',
    statement_timeout: 7000,
  };
  const pool = poolOn(t, url, { settings });
  const look = () =>
    firstOf(
      pool,
      `SELECT concat_ws('|', current_user, current_setting('search_path'), current_setting('work_mem'),
        current_setting('app.tenant'), current_setting('statement_timeout'))`,
    );
  const [before, pid] = [await look(), await pidOf(pool)];
  t.is(before, 'app|a, "B c"|5MB|of the \\ pool|7s');
  await pool.withConnection(async (db) => {
    await db.query(
      `SET search_path = b; SET work_mem = '1MB'; SET app.tenant = 'x'; SET statement_timeout = 0; RESET ROLE`,
    );
    t.not(await look(), before);
  });
  t.is(await look(), before);
  t.is(await pidOf(pool), pid);
});

test('locks and tables that others wait for are free as soon as the lease is back', async (t) => {
  const [client, pool] = [await clientOn(t, url), poolOn(t, url)];
  const db = await pool.acquire();
  await db.query('SELECT pg_advisory_lock(77)');
  await db.query('BEGIN; CREATE TABLE contested (); LOCK contested');
  await db[Symbol.asyncDispose]();
  t.true(await firstOf(client, 'SELECT pg_try_advisory_lock(77)'));
  t.is(await firstOf(client, `SELECT to_regclass('contested')::text`), null);
});
