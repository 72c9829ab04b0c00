import { inspect } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { createPool } from '../../lib/index.ts';
import { type PostgresConfig, type PostgresPoolOptions, postgres } from '../../lib/postgres.ts';
import { postgresUrl } from '../support/postgres.ts';
import { proxyTo } from '../support/postgres-proxy.ts';

const secret = 's3cret';

/** Whether anything that is printed, logged or sent of a value has the secret in it. */
function isTold(value: unknown, what = secret): boolean {
  const texts = [inspect(value, { depth: 12, showHidden: true }), String(value), JSON.stringify(value) ?? ''];
  for (let error = value; error instanceof Error; error = error.cause) texts.push(error.message, error.stack ?? '');
  return texts.some((text) => text.includes(what));
}

async function thrownBy(call: () => unknown): Promise<unknown> {
  try {
    return { result: await call() };
  } catch (error) {
    return error;
  }
}

/** Makes a pool that can not connect, and asks it for a connection. All that can be seen of both. */
async function seen(t: ExecutionContext, config: string | PostgresConfig, options?: unknown): Promise<unknown[]> {
  const made = await thrownBy(() => createPool(postgres(config), options as PostgresPoolOptions));
  if (made instanceof Error) return [made];
  const { result: pool } = made as { result: ReturnType<typeof createPool> };
  t.teardown(() => pool.close({ timeout: 0 }));
  const errors = [];
  for (const call of [() => pool.acquire({ timeout: 50 }), () => pool.transaction(() => {}, { timeout: 50 })])
    errors.push(await thrownBy(call));
  return [pool, pool.name, pool.db, pool.stats(), ...errors, postgres(config)];
}

const configs: Readonly<Record<string, string | PostgresConfig>> = {
  'a URL': `postgres://user:${secret}@127.0.0.1:1/app`,
  'a URL with several hosts': `postgres://user:${secret}@127.0.0.1:1,127.0.0.1:2/app?target_session_attrs=read-write`,
  'a parameter of a URL': `postgres://user@127.0.0.1:1/app?password=${secret}`,
  'a config': { host: '127.0.0.1', port: 1, user: 'user', password: secret, database: 'app' },
  'a config with hosts': { hosts: ['127.0.0.1:1', '127.0.0.1:2'], user: 'user', password: secret },
  'a function': { host: '127.0.0.1', port: 1, user: 'user', password: () => secret },
  'the key of a certificate': { host: '127.0.0.1', port: 1, ssl: { key: secret, ca: 'x', passphrase: secret } },
};

for (const [place, config] of Object.entries(configs)) {
  test(`a secret in ${place} is told by nothing`, async (t) => {
    for (const value of await seen(t, config)) t.false(isTold(value), inspect(value));
  });
}

test.serial('a password from the environment is told by nothing', async (t) => {
  const before = process.env['PGPASSWORD'];
  process.env['PGPASSWORD'] = secret;
  try {
    for (const value of await seen(t, 'postgres://user@127.0.0.1:1/app')) t.false(isTold(value));
  } finally {
    if (before === undefined) delete process.env['PGPASSWORD'];
    else process.env['PGPASSWORD'] = before;
  }
});

const malformed = [
  `postgres://user:${secret}/x@127.0.0.1:1/app`,
  `postgres://user:12/${secret}@127.0.0.1:1/app`,
  `postgres://user:1#${secret}@127.0.0.1:1/app`,
  `postgres://user:1?${secret}@127.0.0.1:1/app`,
  `postgres://user:${secret}@127.0.0.1:port/app`,
  `postgres://user:${secret}@127.0.0.1:99999/app`,
  `postgres://user:${secret}@127.0.0.1:1,127.0.0.1:x/app`,
  `postgres://user:${secret}%@127.0.0.1:1/app`,
  `postgres://user:${secret}@127.0.0.1:1/app?sslrootcert=/no/such/file`,
  `postgres//user:${secret}@127.0.0.1:1/app`,
  `postgres:/user:${secret}@127.0.0.1:1/app`,
  `postgres:user:${secret}@127.0.0.1:1/app`,
  ` postgres://user:${secret}@127.0.0.1:1/app`,
  `user:${secret}@127.0.0.1:1/app`,
  `host=127.0.0.1 port=1 password=${secret}`,
  `/tmp password=${secret}`,
];

for (const url of malformed) {
  test(`nothing is told of what does not fit: ${url.replace(secret, '…')}`, async (t) => {
    for (const value of await seen(t, url)) t.false(isTold(value), inspect(value));
  });
}

test('nothing is told of a secret in the wrong place', async (t) => {
  const url = 'postgres://user@127.0.0.1:1/app';
  const wrong: readonly (readonly [config: unknown, options?: unknown])[] = [
    [{ hosts: [`user:${secret}@127.0.0.1:1`] }],
    [{ hosts: `postgres://user:${secret}@127.0.0.1:1/app` }],
    [{ targetSession: secret }],
    [[`postgres://user:${secret}@127.0.0.1:1/app`]],
    [`${url}?target_session_attrs=${secret}`],
    [{ connectionString: `postgres://user:${secret}@127.0.0.1:1,127.0.0.1:2/app`, hosts: ['127.0.0.1:1'] }],
    [url, { password: secret }],
    [url, { connectionString: `postgres://user:${secret}@127.0.0.1:1/app` }],
    [url, `postgres://user:${secret}@127.0.0.1:1/app`],
  ];
  for (const [config, options] of wrong) {
    const [error] = await seen(t, config as string, options);
    t.like(error, { code: 'ERR_LEASEHOLD_OPTIONS' });
    t.false(isTold(error), inspect(error));
  }
});

test('what is seen of a pool at work, of its handles, events and errors has no password', async (t) => {
  const url = new URL(await postgresUrl(t));
  const password = decodeURIComponent(url.password);
  const proxy = await proxyTo(t, Number(url.port));
  url.port = String(proxy.port);
  const pool = createPool(postgres(url.href), { name: 'app', max: 2, leakThreshold: 60_000 });
  t.teardown(() => pool.close({ timeout: 0 }));
  const values: unknown[] = [];
  for (const name of ['open', 'close', 'acquire', 'release', 'discard', 'dirty', 'timeout', 'error'] as const)
    pool.on(name, (event) => void values.push(event));
  await pool.withConnection(async (db) => {
    values.push(await thrownBy(() => db.query('SELECT nonsense')), pool, pool.leases(), pool.stats());
    values.push(inspect(db), inspect(pool.db), JSON.stringify(pool.leases()));
    await db.query('BEGIN');
    await pool.withConnection(async () => values.push(await thrownBy(() => pool.acquire({ timeout: 50 }))), {
      fresh: true,
    });
  });
  await pool.withConnection(async (db) => {
    const lost = db.query('SELECT pg_sleep(60)');
    setImmediate(() => proxy.cut());
    values.push(await thrownBy(() => lost), await thrownBy(() => db.query('SELECT 1')));
  });
  await proxy.close();
  values.push(await thrownBy(() => pool.acquire({ timeout: 50 })));
  t.true(values.length > 15);
  for (const value of values) t.false(isTold(value, password), inspect(value));
});
