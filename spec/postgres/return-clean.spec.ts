import test from 'ava';
import type { Client } from 'pg';
import Cursor from 'pg-cursor';
import { postgresUrl } from '../support/postgres.ts';
import { clientOn, firstOf, leavings, pidOf, poolOn, recording, running, until } from '../support/postgres-handle.ts';

const url = await postgresUrl();

test('at the return of a lease that left nothing, nothing is sent', async (t) => {
  const { Recorder, texts } = recording();
  const pool = poolOn(t, url, { Client: Recorder });
  const expected = (asked: readonly string[]) => t.deepEqual(texts.splice(0), asked);
  await pool.query('SELECT 1');
  expected(['SELECT 1']);
  await pool.withConnection(async (db) => {
    await db.query({ name: 'named', text: 'SELECT $1::int', values: [1] });
    await db.query({ name: 'named', text: 'SELECT $1::int', values: [2] });
  });
  expected(['SELECT $1::int', 'SELECT $1::int']);
  await pool.transaction((tx) => tx.query(`SET LOCAL work_mem = '1MB'; SELECT pg_advisory_xact_lock(1)`));
  expected(['BEGIN', `SET LOCAL work_mem = '1MB'; SELECT pg_advisory_xact_lock(1)`, 'COMMIT']);
  await t.throwsAsync(pool.transaction((tx) => tx.query('SELECT nonsense')));
  expected(['BEGIN', 'SELECT nonsense', 'ROLLBACK']);
  await pool.withConnection(async (db) => {
    await db.query('BEGIN');
    await db.query('SAVEPOINT a; RELEASE a');
    await db.query('ROLLBACK');
    await t.throwsAsync(db.query('SELECT nonsense'));
  });
  expected(['BEGIN', 'SAVEPOINT a; RELEASE a', 'ROLLBACK', 'SELECT nonsense']);
  await pool.withConnection(async (db) => {
    for await (const { n } of db.iterate<{ n: number }>('SELECT 1 AS n UNION SELECT 2', [], { batch: 1 })) {
      if (n === 1) break;
    }
  });
  expected(['SELECT 1 AS n UNION SELECT 2']);
  await pool.query(`SELECT 'SET work_mem', "listen" FROM (SELECT 1 AS "listen") AS x -- LISTEN a`);
  await pool.query('CREATE TABLE begin_end ()');
  await pool.query('INSERT INTO begin_end DEFAULT VALUES');
  t.is(texts.splice(0).length, 3);
  await pool.withConnection(async () => {});
  await pool.withScope(async () => {});
  expected([]);
  t.like(pool.stats().counters, { opened: 1, discarded: 0, dirty: 0 });
});

test('a lease that has changed its session costs one DISCARD ALL, however much it has changed', async (t) => {
  const { Recorder, texts } = recording();
  const pool = poolOn(t, url, { Client: Recorder });
  await pool.withConnection(async (db) => {
    await db.query(`SET work_mem = '1MB'`);
    await db.query('LISTEN a; CREATE TEMP TABLE b ()');
    await db.query('BEGIN');
  });
  t.deepEqual(texts.slice(3), ['ROLLBACK', 'DISCARD ALL']);
  await pool.query('SELECT 1');
  t.deepEqual(texts.slice(5), ['SELECT 1']);
});

test('where the pool always resets, each return does, and no holder is blamed for it', async (t) => {
  const { Recorder, texts } = recording();
  const pool = poolOn(t, url, { Client: Recorder, reset: 'always' });
  const said = leavings(pool);
  for (let n = 0; n < 3; n++) await pool.query('SELECT 1');
  t.deepEqual(texts, ['SELECT 1', 'DISCARD ALL', 'SELECT 1', 'DISCARD ALL', 'SELECT 1', 'DISCARD ALL']);
  t.deepEqual(said, []);
  t.is(pool.stats().counters.opened, 1);
});

const setUp = (client: Client): unknown => client.query(`SET work_mem = '9MB'`);

test('what onOpen sets up is there for every holder: where it would go, the connection goes', async (t) => {
  const memory = 'SHOW work_mem';
  const pool = poolOn(t, url, { onOpen: setUp });
  const pid = await pidOf(pool);
  t.is(await firstOf(pool, memory), '9MB');
  t.is(await pidOf(pool), pid);
  await pool.query(`SET statement_timeout = '1s'`);
  t.not(await pidOf(pool), pid);
  t.is(await firstOf(pool, memory), '9MB');
  const strict = poolOn(t, url, { onOpen: setUp, reset: 'always' });
  for (let n = 0; n < 3; n++) t.is(await firstOf(strict, memory), '9MB');
});

test('a transaction that is left open is rolled back, and what was read in it is unlocked', async (t) => {
  const [client, pool] = [await clientOn(t, url), poolOn(t, url)];
  await pool.query('CREATE TABLE account (n int); INSERT INTO account VALUES (1)');
  await pool.withConnection(async (db) => {
    await db.query('BEGIN');
    await db.query('UPDATE account SET n = 2');
    t.true(db.inTransaction);
  });
  t.deepEqual((await client.query('SELECT n FROM account FOR UPDATE NOWAIT')).rows, [{ n: 1 }]);
});

test('a query under way at the return is ended on the server, and its connection goes to nobody', async (t) => {
  const [client, pool] = [await clientOn(t, url), poolOn(t, url)];
  const said = leavings(pool);
  let pid = 0;
  let outcome: Promise<unknown> | undefined;
  await pool.withConnection(async (db) => {
    outcome = t.throwsAsync(db.query('SELECT pg_sleep(600) /* left */'), { code: 'ERR_LEASEHOLD_SCOPE_ENDED' });
    pid = await running(client, 'SELECT pg_sleep(600) /* left */');
  });
  await outcome;
  t.not(await pidOf(pool), pid);
  await until(
    async () => (await firstOf(client, 'SELECT count(*)::int FROM pg_stat_activity WHERE pid = $1', [pid])) === 0,
  );
  t.deepEqual(said, ['query under way', 'discarded: query under way']);
});

test('what a query under way would have changed is not changed, or all of it is', async (t) => {
  const pool = poolOn(t, url);
  await pool.query('CREATE TABLE written (n int)');
  for (let round = 0; round < 15; round++) {
    const ending = pool.withConnection((db) => {
      db.query('INSERT INTO written SELECT generate_series(1, 1000)').catch(() => {});
    });
    await ending;
    t.is(((await firstOf(pool, 'SELECT count(*)::int FROM written')) as number) % 1000, 0);
  }
});

test('a connection is given to the next who waits only after it was cleaned', async (t) => {
  const pool = poolOn(t, url);
  const first = await pool.acquire();
  await first.query(`SET work_mem = '1MB'; BEGIN; SELECT pg_advisory_lock(5)`);
  const next = pool.withConnection(async (db) => {
    t.false(db.inTransaction);
    t.is(await firstOf(db, 'SHOW work_mem'), '4MB');
    return await firstOf(
      db,
      `SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()`,
    );
  });
  first.release();
  t.is(await next, 0);
  t.is(pool.stats().counters.opened, 1);
});

test('a connection whose reset fails is closed, and the pool says why', async (t) => {
  const { Recorder } = recording();
  class Failing extends Recorder {
    override query(...params: unknown[]): never {
      const [first] = params as [{ text?: string } | string];
      const isReset = typeof first === 'object' && first.text === 'DISCARD ALL';
      return Reflect.apply(
        super.query,
        this,
        isReset ? [Object.assign(first, { text: 'DISCARD NONSENSE' })] : params,
      ) as never;
    }
  }
  const pool = poolOn(t, url, { Client: Failing });
  const said = leavings(pool);
  const pid = await pidOf(pool);
  await pool.query(`SET work_mem = '1MB'`);
  t.not(await pidOf(pool), pid);
  t.regex(said.join(), /syntax error.*SET.*discarded/);
});

test('an open cursor is closed at the return, and the connection stays', async (t) => {
  const pool = poolOn(t, url);
  const said = leavings(pool);
  const pid = await pidOf(pool);
  let cursor: Cursor | undefined;
  await pool.withConnection(async (db) => {
    cursor = db.query(new Cursor('SELECT generate_series(1, 1000) AS n'));
    t.deepEqual(await cursor.read(2), [{ n: 1 }, { n: 2 }]);
  });
  t.deepEqual(await cursor?.read(2), []);
  t.is(await pidOf(pool), pid);
  t.deepEqual(said, ['open cursor or stream']);
});

test('discard closes the connection at the return, and says why', async (t) => {
  const pool = poolOn(t, url);
  const said = leavings(pool);
  const pid = await pool.withConnection(async (db) => pidOf(db.discard('of no use')));
  t.not(await pidOf(pool), pid);
  t.deepEqual(said, ['discarded: of no use']);
});
