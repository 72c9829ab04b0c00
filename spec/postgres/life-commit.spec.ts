import test, { type ExecutionContext } from 'ava';
import { Client } from 'pg';
import { createPool } from '../../lib/index.ts';
import { postgres } from '../../lib/postgres.ts';
import { postgresUrl } from '../support/postgres.ts';
import { proxyTo } from '../support/postgres-proxy.ts';

/** A pool behind a proxy, and a client of its own for whoever wants to know what is so. */
async function proxied(t: ExecutionContext) {
  const url = new URL(await postgresUrl(t));
  const client = new Client({ connectionString: url.href });
  await client.connect();
  t.teardown(() => client.end());
  await client.query('CREATE TABLE item (name text)');
  const proxy = await proxyTo(t, Number(url.port));
  url.port = String(proxy.port);
  const pool = createPool(postgres(url.href), { name: 'app', acquireTimeout: 20_000 });
  t.teardown(() => pool.close({ timeout: 0 }));
  const names = async () =>
    (await client.query<{ name: string }>('SELECT name FROM item')).rows.map(({ name }) => name);
  return { pool, proxy, client, names };
}

test('a commit whose answer is lost is unknown, and not done again', async (t) => {
  const { pool, proxy, names } = await proxied(t);
  let runs = 0;
  const transaction = pool.transaction(
    async (tx) => {
      runs++;
      await tx.query('INSERT INTO item VALUES ($1)', ['written']);
      proxy.freeze('answers');
    },
    { label: 'write', retries: 3 },
  );
  transaction.catch(() => {});
  while ((await names()).length === 0);
  proxy.cut();
  proxy.thaw();
  const error = await t.throwsAsync(transaction, { code: 'ERR_LEASEHOLD_COMMIT_UNKNOWN' });
  t.like(error, { pool: 'app', label: 'write', cause: { code: 'ERR_LEASEHOLD_CONNECTION_LOST' } });
  t.is(runs, 1);
  t.deepEqual(await names(), ['written']);
  t.like(pool.stats(), { leased: 0, size: 0 });
  t.deepEqual((await pool.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
});

test('a commit that is lost on its way is as unknown, and not done again', async (t) => {
  const { pool, proxy, client, names } = await proxied(t);
  let runs = 0;
  let pid: number | undefined;
  const transaction = pool.transaction(
    async (tx) => {
      runs++;
      pid = (await tx.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows[0]?.pid;
      await tx.query('INSERT INTO item VALUES ($1)', ['lost']);
      proxy.freeze();
      setImmediate(() => proxy.cut());
    },
    { retries: 3 },
  );
  await t.throwsAsync(transaction, { code: 'ERR_LEASEHOLD_COMMIT_UNKNOWN' });
  proxy.thaw();
  t.is(runs, 1);
  while ((await client.query('SELECT 1 FROM pg_stat_activity WHERE pid = $1', [pid])).rows.length > 0);
  t.deepEqual(await names(), []);
});

test('a transaction whose connection is lost before its commit is known to have failed', async (t) => {
  const { pool, proxy, names } = await proxied(t);
  let runs = 0;
  const transaction = pool.transaction(
    async (tx) => {
      runs++;
      await tx.query('INSERT INTO item VALUES ($1)', ['undone']);
      const asked = tx.query('SELECT pg_sleep(60)');
      setImmediate(() => proxy.cut());
      await asked;
    },
    { retries: 3 },
  );
  await t.throwsAsync(transaction, { code: 'ERR_LEASEHOLD_CONNECTION_LOST' });
  t.is(runs, 1);
  t.deepEqual(await names(), []);
  t.like(pool.stats(), { leased: 0, size: 0 });
});

test('a transaction that catches the loss of its connection is not said to be committed', async (t) => {
  const { pool, proxy, names } = await proxied(t);
  const transaction = pool.transaction(async (tx) => {
    await tx.query('INSERT INTO item VALUES ($1)', ['undone']);
    proxy.cut();
    await t.throwsAsync(tx.query('SELECT 1'), { code: 'ERR_LEASEHOLD_CONNECTION_LOST' });
  });
  const error = await t.throwsAsync(transaction);
  t.true(['ERR_LEASEHOLD_TRANSACTION_ABORTED', 'ERR_LEASEHOLD_CONNECTION_LOST'].includes(Reflect.get(error, 'code')));
  t.deepEqual(await names(), []);
});

test('a commit whose connection is taken away before its answer is unknown', async (t) => {
  for (const takeAway of ['close', 'closeOverdue'] as const) {
    const { pool, proxy, names } = await proxied(t);
    const transaction = pool.transaction(async (tx) => {
      await tx.query('INSERT INTO item VALUES ($1)', ['written']);
      proxy.freeze('answers');
    });
    transaction.catch(() => {});
    while ((await names()).length === 0);
    const taken = takeAway === 'close' ? pool.close({ timeout: 0 }) : pool.closeOverdue(0);
    await t.throwsAsync(transaction, { code: 'ERR_LEASEHOLD_COMMIT_UNKNOWN' }, takeAway);
    proxy.thaw();
    await taken;
    t.deepEqual(await names(), ['written']);
  }
});
