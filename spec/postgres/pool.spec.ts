import test from 'ava';
import { insertion, openPostgres, withItems } from '../support/postgres-items.ts';

test('a query runs on a connection taken for it alone, in pg’s forms and with its results', async (t) => {
  const pool = await openPostgres(t);
  const result = await pool.query('SELECT $1::int + 1 AS sum', [1]);
  t.deepEqual(result.rows, [{ sum: 2 }]);
  t.is(result.command, 'SELECT');
  const arrays = await pool.query({ text: 'SELECT 1, 2', rowMode: 'array' });
  t.deepEqual(arrays.rows, [[1, 2]]);
  t.like(pool.stats(), { leased: 0, idle: 1, size: 1 });
});

test('the calls of one scope share its connection', async (t) => {
  const pool = await openPostgres(t);
  const pid = async () => (await pool.query('SELECT pg_backend_pid() AS pid')).rows[0]?.['pid'] as number;
  await pool.withConnection(async (db) => {
    const own = (await db.query('SELECT pg_backend_pid() AS pid')).rows[0]?.pid;
    t.is(await pid(), own);
    t.is((await pool.db.query('SELECT pg_backend_pid() AS pid')).rows[0]?.pid, own);
    await pool.withConnection(
      async (other) => {
        t.not((await other.query('SELECT pg_backend_pid() AS pid')).rows[0]?.pid, own);
      },
      { fresh: true },
    );
  });
  t.is(pool.stats().leased, 0);
});

test('a transaction commits when its function resolves, and is rolled back when it throws', async (t) => {
  const { pool, names } = await withItems(t);
  await pool.transaction(async (tx) => {
    await tx.query(insertion, ['kept']);
  });
  await t.throwsAsync(
    pool.transaction(async (tx) => {
      await tx.query(insertion, ['lost']);
      throw new Error('undo');
    }),
    { message: 'undo' },
  );
  await pool.transaction(async (tx) => {
    await tx.query(insertion, ['outer']);
    await t.throwsAsync(
      pool.transaction(async (part) => {
        await part.query(insertion, ['part']);
        await part.query('SELECT nonsense');
      }),
      { message: /nonsense/ },
    );
  });
  t.deepEqual(await names(), ['kept', 'outer']);
  t.like(pool.stats(), { leased: 0, idle: 1, size: 1 });
});

test('a query under way is cancelled on the server when its signal is aborted, and the connection goes on', async (t) => {
  const pool = await openPostgres(t, { max: 1 });
  const abort = new AbortController();
  await pool.withConnection(async (db) => {
    const sleeping = db.query({ text: 'SELECT pg_sleep(60)', signal: abort.signal });
    setTimeout(() => abort.abort(new Error('enough')), 100);
    t.like(await t.throwsAsync(sleeping, { name: 'AbortError' }), { cause: { message: 'enough' } });
    t.deepEqual((await db.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
  });
  t.like(pool.stats(), { size: 1, idle: 1 });
});

test('rows come one by one from a cursor', async (t) => {
  const pool = await openPostgres(t);
  await pool.withConnection(async (db) => {
    const seen: number[] = [];
    for await (const { n } of db.iterate<{ n: number }>('SELECT n FROM generate_series(1, $1::int) AS n', [250])) {
      seen.push(n);
      if (n === 5) await t.throwsAsync(db.query('SELECT 1'), { code: 'ERR_LEASEHOLD_CONNECTION_BUSY' });
    }
    t.is(seen.length, 250);
    for await (const { n } of db.iterate<{ n: number }>('SELECT n FROM generate_series(1, 1000) AS n'))
      if (n === 3) break;
    t.deepEqual((await db.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
  });
  t.like(pool.stats(), { size: 1, idle: 1 });
});

test('what a lease has changed in its session is taken back', async (t) => {
  const pool = await openPostgres(t, { max: 1 });
  const dirt: (readonly string[])[] = [];
  pool.on('dirty', ({ traces }) => dirt.push(traces));
  await pool.withConnection(async (db) => {
    await db.query("SET statement_timeout = '1s'");
    await db.query('CREATE TEMP TABLE mine (a int)');
    await db.query('SELECT pg_advisory_lock(1)');
    await db.query('BEGIN');
  });
  await pool.withConnection(async (db) => {
    t.is((await db.query('SHOW statement_timeout')).rows[0]?.['statement_timeout'], '0');
    await t.throwsAsync(db.query('SELECT * FROM mine'), { message: /mine/ });
    t.is((await db.query("SELECT count(*)::int AS n FROM pg_locks WHERE locktype = 'advisory'")).rows[0]?.['n'], 0);
  });
  t.deepEqual(dirt, [['open transaction', 'SET', 'temporary object', 'advisory lock']]);
  t.like(pool.stats(), { size: 1, idle: 1 });
});
