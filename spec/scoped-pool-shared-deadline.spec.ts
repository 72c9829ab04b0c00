import test, { type ExecutionContext } from 'ava';
import type { AcquireOptions } from '../lib/index.ts';
import { SqlitePool } from '../lib/sqlite/pool.ts';
import { FakeClock } from './support/clock.ts';
import { temporaryFile } from './support/files.ts';
import { settled } from './support/gate.ts';

type Limits = Pick<AcquireOptions, 'timeout' | 'signal'>;

// What is called in a scope while another call is about to bind the scope's connection, and so waits for that.
const calls: Record<string, (pool: SqlitePool, limits: Limits) => Promise<unknown>> = {
  connection: (pool, limits) => pool.connection(limits),
  withConnection: (pool, limits) => pool.withConnection(() => {}, limits),
  'withConnection to write': (pool, limits) => pool.withConnection(() => {}, { ...limits, write: true }),
  get: (pool, limits) => pool.get('SELECT 1', [], limits),
  transaction: (pool, limits) => pool.transaction(() => {}, limits),
};

/** How far a call has come that waits for the connection which another is about to bind, for 200 ms at most. */
async function sharing(t: ExecutionContext, name: string, limits: Limits) {
  const clock = new FakeClock();
  const pool = new SqlitePool(temporaryFile(t), { max: 1 }, clock);
  t.teardown(() => pool.close({ timeout: 0 }));
  await pool.acquire();
  const observed: { code: string | undefined } = { code: undefined };
  void pool.withScope(async () => {
    const binding = pool.connection({ timeout: 200 });
    const call = calls[name]?.(pool, limits).catch((error: { readonly code: string }) => {
      observed.code = error.code;
    });
    await Promise.allSettled([binding, call]);
  });
  await settled();
  return { clock, observed };
}

// They wait as long as the other call does.
for (const name of Object.keys(calls)) {
  test.failing(`${name}() keeps to its own timeout, though it shares a connection that another call waits for`, async (t) => {
    const { clock, observed } = await sharing(t, name, { timeout: 50 });
    await clock.pass(49);
    t.is(observed.code, undefined);
    await clock.pass(1);
    t.regex(observed.code ?? 'still waiting', /^ERR_LEASEHOLD_(?:ACQUIRE|WRITE)_TIMEOUT$/);
  });

  test.failing(`${name}() ends with its own signal, though it shares a connection that another call waits for`, async (t) => {
    const controller = new AbortController();
    const { observed } = await sharing(t, name, { signal: controller.signal });
    t.is(observed.code, undefined);
    controller.abort();
    await settled();
    t.is(observed.code, 'ABORT_ERR');
  });
}
