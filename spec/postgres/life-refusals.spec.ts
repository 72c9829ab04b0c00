import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { createPool } from '../../lib/index.ts';
import { type PostgresPool, type PostgresPoolOptions, postgres } from '../../lib/postgres.ts';
import { listenOnLoopback } from '../support/loopback.ts';
import { postgresUrl } from '../support/postgres.ts';
import { proxyTo } from '../support/postgres-proxy.ts';

function openPool(t: ExecutionContext, url: string, options: PostgresPoolOptions = {}): PostgresPool {
  const pool = createPool(postgres(url), { name: 'app', ...options });
  t.teardown(() => pool.close({ timeout: 0 }));
  return pool;
}

/** The URL of the database of this test, with one part changed. */
async function urlWith(t: ExecutionContext, change: (url: URL) => void): Promise<string> {
  const url = new URL(await postgresUrl(t));
  url.username = 'postgres';
  change(url);
  return url.href;
}

const refusals: readonly (readonly [what: string, cause: string, change: (url: URL) => void])[] = [
  [
    'a wrong password',
    '28P01',
    (url) => {
      url.password = 'wrong';
    },
  ],
  [
    'a database that there is not',
    '3D000',
    (url) => {
      url.pathname = '/no_such_database';
    },
  ],
  [
    'a host that does not resolve',
    'ENOTFOUND',
    (url) => {
      url.hostname = 'no-such-host.invalid';
    },
  ],
];

for (const [what, cause, change] of refusals) {
  test(`${what} is told at once, with the target and the cause, and not once more tried for the same call`, async (t) => {
    const url = await urlWith(t, change);
    const { hostname, port, pathname, password } = new URL(url);
    // It would wait for ever.
    const pool = openPool(t, url, { acquireTimeout: Infinity });
    for (const call of [() => pool.query('SELECT 1'), () => pool.ready(), () => pool.transaction(() => {})]) {
      const error = await t.throwsAsync(call(), { code: 'ERR_LEASEHOLD_OPEN' });
      const target = `postgres://postgres@${hostname}:${port}${pathname}`;
      t.like(error, { pool: 'app', target, cause: { code: cause } });
      t.true(error?.message.startsWith(`Pool "app" cannot open "${target}": `));
      t.false(error?.message.includes(password));
    }
    t.like(pool.stats(), { size: 0, waiting: 0, leased: 0 });
  });
}

test('a server that does not speak TLS is told at once where it was asked for', async (t) => {
  const url = await urlWith(t, ({ searchParams }) => searchParams.set('sslmode', 'verify-full'));
  const pool = openPool(t, url, { acquireTimeout: Infinity });
  await t.throwsAsync(pool.query('SELECT 1'), { code: 'ERR_LEASEHOLD_OPEN', message: /does not support SSL/ });
});

test('somebody else at the port is waited for until the deadline, as if the server was about to come', async (t) => {
  const web = await listenOnLoopback(t, (socket) =>
    socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')),
  );
  const silent = await listenOnLoopback(t, (socket) => void socket.write('SSH-2.0-OpenSSH_9.6\r\n'));
  for (const [port, connectTimeout, cause] of [
    [web, 50_000, /terminated/],
    [silent, 100, /timeout/],
  ] as const) {
    const pool = openPool(t, `postgres://postgres:s3cret@127.0.0.1:${port}/app`, { connectTimeout });
    const error = await t.throwsAsync(pool.query('SELECT 1', [], { timeout: 1000 }), {
      code: 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT',
    });
    t.regex(String(error?.cause), cause);
    t.false(error?.message.includes('s3cret'));
    t.like(pool.stats(), { waiting: 0, leased: 0 });
  }
});

test('a refusal of one call does not keep the next from being served', async (t) => {
  const url = new URL(await postgresUrl(t));
  let password = 'wrong';
  const { hostname: host, port, username: user, pathname } = url;
  const pool = createPool(
    postgres({ host, port: Number(port), user, database: pathname.slice(1), password: () => password }),
    { name: 'app' },
  );
  t.teardown(() => pool.close({ timeout: 0 }));
  await t.throwsAsync(pool.query('SELECT 1'), { code: 'ERR_LEASEHOLD_OPEN' });
  ({ password } = url);
  t.deepEqual((await pool.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
});

/** A port at which nobody listens: it was somebody's until now. */
async function deadPort(): Promise<number> {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  listener.close();
  await once(listener, 'close');
  return port;
}

/** How many connections are tried for in 1.5 s. */
async function attempts(t: ExecutionContext, waiters: number, options: PostgresPoolOptions): Promise<number> {
  const proxy = await proxyTo(t, await deadPort());
  const target = postgres(`postgres://somebody:secret@127.0.0.1:${proxy.port}/app`);
  const pool = createPool(target, { acquireTimeout: 1500, ...options });
  t.teardown(() => pool.close({ timeout: 0 }));
  const calls = Array.from({ length: waiters }, () =>
    t.throwsAsync(pool.query('SELECT 1'), { code: 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT' }),
  );
  await Promise.all(calls);
  return proxy.accepted;
}

test('a server that is down is tried again after pauses that grow', async (t) => {
  const count = await attempts(t, 1, { max: 1 });
  // At least 25, 50, 100, 200, 400, 500 ms between them.
  t.true(count >= 2 && count <= 7, String(count));
});

test('it is not tried more often where many wait', async (t) => {
  const count = await attempts(t, 40, { max: 10 });
  // All may have begun before the first failed.
  t.true(count >= 2 && count <= 10 + 6, String(count));
});
