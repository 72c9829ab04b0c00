import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { createPool } from '../../lib/index.ts';
import { type PostgresPoolOptions, postgres } from '../../lib/postgres.ts';
import { proxyTo } from '../support/postgres-proxy.ts';

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
