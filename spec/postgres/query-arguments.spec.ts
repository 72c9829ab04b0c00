import test from 'ava';
import sql from 'sql-template-tag';
import type { LeasedClient } from '../../lib/postgres.ts';
import { postgresUrl } from '../support/postgres.ts';
import { clientOn, firstOf, poolOn, running } from '../support/postgres-handle.ts';

const url = await postgresUrl();
const secret = 'hunter2-hunter2';

/** What a call rejects with: it has to come with the promise, whatever it is. */
async function refusal(db: object, params: readonly unknown[]): Promise<Error> {
  const { query } = db as LeasedClient;
  const returned = Reflect.apply(query, db, params) as Promise<unknown>;
  const error = await returned.then(
    () => undefined,
    (reason: Error) => reason,
  );
  if (error === undefined) throw new Error('It was not refused');
  return error;
}

test('what is no query, and what is no list of values, is refused with a code and without its text', async (t) => {
  const pool = poolOn(t, url);
  const calls: (readonly unknown[])[] = [
    [null],
    [undefined],
    [7],
    [true],
    [Symbol('query')],
    [{}],
    [{ text: 7 }],
    [{ text: null }],
    [[secret]],
    ['SELECT $1', secret],
    ['SELECT $1', { secret }],
    ['SELECT $1', 12_345_678],
    [{ text: 'SELECT $1', values: secret }],
    [{ text: 'SELECT $1', values: { secret } }],
    [{ text: 'SELECT 1', signal: 'none' }],
    [{ name: 'never seen' }],
  ];
  await pool.withConnection(async (db) => {
    for (const params of calls) {
      for (const handle of [db, pool.db]) {
        const error = await refusal(handle, params);
        t.like(error, { code: 'ERR_LEASEHOLD_OPTIONS' }, JSON.stringify(params));
        t.false(`${error.stack} ${JSON.stringify(error)}`.includes(secret), error.message);
        t.false(error.message.includes('12345678'));
      }
    }
    t.is(await firstOf(db, 'SELECT 1'), 1);
  });
  t.like(pool.stats(), { size: 1, idle: 1 });
});

test('pool.query refuses the same, and its connection is back', async (t) => {
  const pool = poolOn(t, url);
  for (const params of [[null], [7], [{}], [{ name: 'x' }], ['SELECT $1', secret], ['SELECT 1', [], { lable: 'x' }]]) {
    const error = await refusal(pool, params);
    t.like(error, { code: 'ERR_LEASEHOLD_OPTIONS' }, JSON.stringify(params));
    t.false(error.message.includes(secret));
  }
  t.is(pool.stats().leased, 0);
});

test('what is to be called back has to be a function', async (t) => {
  await poolOn(t, url).withConnection(async (db) => {
    const error = await refusal(db, ['SELECT 1', [], 'callback']);
    t.like(error, { code: 'ERR_LEASEHOLD_OPTIONS', option: 'callback' });
    t.is(await firstOf(db, 'SELECT 1'), 1);
  });
});

test('values that the server refuses are in no error but the server’s own', async (t) => {
  const pool = poolOn(t, url);
  const error = await t.throwsAsync(pool.query('SELECT $1::int / 0', [4711]), { code: '22012' });
  t.false(JSON.stringify(error).includes('4711'));
});

test('a query object may be of a class that computes its text', async (t) => {
  const pool = poolOn(t, url);
  const query = sql`SELECT ${1}::int + ${2}::int AS sum`;
  t.deepEqual((await pool.query(query)).rows, [{ sum: 3 }]);
  await pool.withConnection(async (db) => {
    t.deepEqual((await db.query(query)).rows, [{ sum: 3 }]);
    t.deepEqual((await pool.db.query(query)).rows, [{ sum: 3 }]);
  });
  const { signal } = new AbortController();
  t.deepEqual((await pool.query(query, undefined, { signal })).rows, [{ sum: 3 }]);
});

const timedOut = { name: 'AbortError', code: 'ABORT_ERR' };

test('query_timeout of a query is a bound, as in pg, and the connection is good afterwards', async (t) => {
  const [holder, pool] = [await clientOn(t, url), poolOn(t, url)];
  await holder.query('SELECT pg_advisory_lock(1)');
  await pool.withConnection(async (db) => {
    const pid = await firstOf(db, 'SELECT pg_backend_pid()');
    const waiting = db.query({ text: 'SELECT pg_advisory_xact_lock(1)', query_timeout: 50 } as never);
    await t.throwsAsync(waiting, timedOut);
    t.is(await firstOf(db, 'SELECT pg_backend_pid()'), pid);
  });
});

test('query_timeout of the client is a bound for each query', async (t) => {
  const holder = await clientOn(t, url);
  const pool = poolOn(t, `${url}?query_timeout=50`);
  await holder.query('SELECT pg_advisory_lock(2)');
  await pool.withConnection(async (db) => {
    const waiting = db.query('SELECT pg_advisory_xact_lock(2)');
    await running(holder, 'SELECT pg_advisory_xact_lock(2)');
    await t.throwsAsync(waiting, timedOut);
    t.is(await firstOf(db, 'SELECT 1'), 1);
  });
});
