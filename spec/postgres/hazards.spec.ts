import test from 'ava';
import { createPool } from '../../lib/index.ts';
import { postgres } from '../../lib/postgres.ts';
import { postgresUrl } from '../support/postgres.ts';
import { insertion, openPostgres, withItems } from '../support/postgres-items.ts';
import { proxyTo } from '../support/postgres-proxy.ts';

test('a named statement that the server has refused costs no later transaction anything', async (t) => {
  const { pool, names } = await withItems(t, { max: 1, statementCache: 1 });
  await t.throwsAsync(pool.query({ name: 'bad', text: 'SELECT x FROM nowhere' }), { code: '42P01' });
  await pool.transaction(async (tx) => {
    await tx.query(insertion, ['one']);
    await t.throwsAsync(
      pool.transaction((part) => part.query({ name: 'worse', text: 'SELECT DISTINCT name FROM item FOR UPDATE' })),
      { code: '0A000' },
    );
    await tx.query({ name: 'good', text: 'SELECT 2' });
    await tx.query({ name: 'better', text: 'SELECT 3' });
    await tx.query(insertion, ['two']);
  });
  t.deepEqual(await names(), ['one', 'two']);
});

test('a COPY where a query was meant is refused, and does not keep its connection for ever', async (t) => {
  const { pool } = await withItems(t, { max: 1, cancelTimeout: 200 });
  const copying = pool.query({ text: 'COPY item (name) FROM STDIN', queryMode: 'extended' } as { text: string });
  await t.throwsAsync(copying, { message: /No source stream|lost/ });
  t.deepEqual((await pool.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
  t.like(pool.stats(), { leased: 0, waiting: 0 });
});

test('a BEGIN that waited for a connection which another call failed to bind is refused, not run on one of its own', async (t) => {
  const { pool, names } = await withItems(t, { max: 1 });
  const holder = await pool.acquire();
  await pool.withScope(async () => {
    const binding = pool.connection({ timeout: 20 });
    const begun = pool.query('BEGIN');
    await t.throwsAsync(binding, { code: 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT' });
    holder.release();
    await t.throwsAsync(begun, { code: 'ERR_LEASEHOLD_NO_CONNECTION', message: /needs one that stays/ });
    await pool.query(insertion, ['alone']);
  });
  t.deepEqual(await names(), ['alone']);
});

test('a signal in a query object ends the wait for a connection, too', async (t) => {
  const pool = await openPostgres(t, { max: 1 });
  await using holder = await pool.acquire();
  const abort = new AbortController();
  const waiting = pool.query({ text: 'SELECT 1', signal: abort.signal });
  abort.abort();
  await t.throwsAsync(waiting, { name: 'AbortError' });
  t.like(pool.stats(), { waiting: 0, leased: 1 });
  t.true(holder.open);
});

test('what onOpen has asked for and not awaited is over before anybody gets the connection', async (t) => {
  const url = await postgresUrl(t);
  const open = (sql: string) =>
    createPool(postgres(url), { acquireTimeout: 10_000, onOpen: (client) => void client.query(sql).catch(() => {}) });
  await using setting = open("SET statement_timeout = '7s'");
  t.deepEqual((await setting.query('SHOW statement_timeout')).rows, [{ statement_timeout: '7s' }]);
  await using beginning = open('BEGIN');
  await t.throwsAsync(beginning.query('SELECT 1'), { code: 'ERR_LEASEHOLD_OPEN', message: /left a transaction open/ });
});

test('a connection that onAcquire leaves in a transaction is given to nobody', async (t) => {
  const url = await postgresUrl(t);
  let isFirst = true;
  const begin = async (db: { query(sql: string): Promise<unknown> }) => {
    if (isFirst) await db.query('BEGIN');
    isFirst = false;
  };
  await using pool = createPool(postgres(url), { acquireTimeout: 30_000, onAcquire: begin });
  const status = await pool.withConnection((db) => db.inTransaction);
  t.false(status);
  t.is(pool.stats().counters.discarded, 1);
});

test('settings are not lost to the options of a connection string', async (t) => {
  const url = await postgresUrl(t);
  await using pool = createPool(postgres(`${url}?options=-c%20work_mem%3D5MB`), {
    settings: { statement_timeout: '5s' },
  });
  const { rows } = await pool.query(
    "SELECT current_setting('work_mem') AS memory, current_setting('statement_timeout') AS time",
  );
  t.deepEqual(rows, [{ memory: '5MB', time: '5s' }]);
});

test('what is for the pool is refused in the configuration, and the other way round, without a value', async (t) => {
  const error = t.throws(() => postgres({ host: 'db', max: 5 } as { host: string }), { code: 'ERR_LEASEHOLD_OPTIONS' });
  t.regex(error?.message ?? '', /"max".*option of the pool/);
  t.throws(() => postgres({ connectionStrin: 'postgres://a:s3cret@b/c' } as object), {
    code: 'ERR_LEASEHOLD_OPTIONS',
    message: /^(?!.*s3cret).*connectionString/,
  });
  const misplaced = t.throws(() => createPool(postgres('postgres://a@b/c'), { password: 's3cret' } as object), {
    code: 'ERR_LEASEHOLD_OPTIONS',
  });
  t.regex(misplaced?.message ?? '', /^(?!.*s3cret).*for postgres\(/);
  const forgotten = t.throws(() => createPool('postgres://ada:s3cret@localhost/app'), {
    code: 'ERR_LEASEHOLD_OPTIONS',
  });
  t.regex(forgotten?.message ?? '', /^(?!.*s3cret).*postgres\(url\)/);
  const url = new URL(await postgresUrl(t));
  await using pool = createPool(postgres(url), { acquireTimeout: 30_000 });
  t.is((await pool.query<{ name: string }>('SELECT current_database() AS name')).rows[0]?.name, url.pathname.slice(1));
});

test('a password function that fails with nothing at all fails the open', async (t) => {
  const { hostname, port, username, pathname } = new URL(await postgresUrl(t));
  const target = postgres({
    host: hostname,
    port: Number(port),
    user: username,
    database: pathname.slice(1),
    // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- as a careless function does
    password: () => Promise.reject(undefined),
  });
  await using pool = createPool(target, { acquireTimeout: 500 });
  const error = await t.throwsAsync<Error & { code?: string }>(pool.query('SELECT 1'));
  t.regex(error?.code ?? '', /^ERR_LEASEHOLD_/);
});

test('a part that is aborted on its way to its savepoint has nothing cancelled: that would cost all around it', async (t) => {
  const url = new URL(await postgresUrl(t));
  const proxy = await proxyTo(t, Number(url.port));
  url.port = `${proxy.port}`;
  await using pool = createPool(postgres(url), { acquireTimeout: 30_000, max: 1 });
  await pool.transaction(async (tx) => {
    const abort = new AbortController();
    const part = pool.transaction((inner) => inner.query('SELECT 1'), { signal: abort.signal });
    await Promise.resolve();
    abort.abort();
    await t.throwsAsync(part, { name: 'AbortError' });
    t.deepEqual((await tx.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
  });
  t.is(proxy.accepted, 1, 'a cancel request has a connection of its own');
});

test('a deferrable snapshot that does not come in time is given up', async (t) => {
  const { pool } = await withItems(t);
  await pool.query(insertion, ['there']);
  // So that none has to be opened within the time.
  await Promise.all([pool.query('SELECT pg_sleep(0.01)'), pool.query('SELECT pg_sleep(0.01)')]);
  await pool.transaction(
    async (tx) => {
      await tx.query('SELECT * FROM item');
      await tx.query(insertion, ['meanwhile']);
      const options = { isolation: 'serializable', deferrable: true, nesting: 'separate', timeout: 1000 } as const;
      const waiting = pool.read(() => t.fail(), options);
      t.like(await t.throwsAsync(waiting, { name: 'AbortError' }), { cause: { name: 'TimeoutError' } });
    },
    { isolation: 'serializable' },
  );
  t.like(pool.stats(), { leased: 0, waiting: 0 });
});

test('the stack of an error leads to the loop that reads', async (t) => {
  const pool = await openPostgres(t);
  async function whoReads(): Promise<void> {
    await pool.withConnection(async (db) => {
      for await (const _ of db.iterate('SELECT nonsense')) t.fail();
    });
  }
  const error = await t.throwsAsync(whoReads(), { code: '42703' });
  t.regex(error?.stack ?? '', /hazards\.spec/);
});
