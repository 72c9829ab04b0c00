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
  'connection to write': (pool, limits) => pool.connection({ ...limits, write: true }),
  withConnection: (pool, limits) => pool.withConnection(() => {}, limits),
  'withConnection to write': (pool, limits) => pool.withConnection(() => {}, { ...limits, write: true }),
  get: (pool, limits) => pool.get('SELECT 1', [], limits),
  'get of what only SQLite can tell': (pool, limits) =>
    pool.get('WITH one AS (SELECT 1) SELECT * FROM one', [], limits),
  run: (pool, limits) => pool.run('CREATE TABLE IF NOT EXISTS item (name)', [], limits),
  checkpoint: (pool, limits) => pool.checkpoint('passive', limits),
  transaction: (pool, limits) => pool.transaction(() => {}, limits),
  read: (pool, limits) => pool.read(() => {}, limits),
};

interface Sharing {
  readonly timeout?: number;
  readonly signal?: AbortSignal;
  /** How long the other call waits. */
  readonly patience?: number;
}

/** How far a call has come that waits for the connection which another is about to bind, for 200 ms at most. */
async function sharing(t: ExecutionContext, name: string, { patience = 200, ...limits }: Sharing) {
  const clock = new FakeClock();
  const pool = new SqlitePool(temporaryFile(t), { name: 'app', max: 1 }, clock);
  t.teardown(() => pool.close({ timeout: 0 }));
  const holder = await pool.acquire({ label: 'holder' });
  const observed: { code: string | undefined; error: Error | undefined; done: boolean } = {
    code: undefined,
    error: undefined,
    done: false,
  };
  const scope = pool.openScope({ label: 'request' });
  scope.run(() => {
    pool.connection({ timeout: patience }).catch(() => {});
    calls[name]?.(pool, limits).then(
      () => {
        observed.done = true;
      },
      (error: Error & { readonly code: string }) => {
        observed.error = error;
        observed.code = error.code;
      },
    );
  });
  await settled();
  return { pool, clock, holder, scope, observed };
}

for (const name of Object.keys(calls)) {
  test(`${name}() keeps to its own timeout, though it shares a connection that another call waits for`, async (t) => {
    const { clock, observed } = await sharing(t, name, { timeout: 50 });
    await clock.pass(49);
    t.is(observed.code, undefined);
    await clock.pass(1);
    t.is(observed.code, 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT');
  });

  test(`${name}() ends with its own signal, though it shares a connection that another call waits for`, async (t) => {
    const controller = new AbortController();
    const { pool, observed } = await sharing(t, name, { signal: controller.signal });
    t.is(observed.code, undefined);
    controller.abort();
    await settled();
    t.is(observed.code, 'ABORT_ERR');
    t.like(pool.stats(), { waiting: 1, counters: { aborted: 1 } });
  });

  test(`${name}() is refused at once at the end of its scope, though it shares a connection that another call waits for`, async (t) => {
    const { pool, clock, scope, observed } = await sharing(t, name, { timeout: 50 });
    await scope.end();
    await settled();
    t.is(observed.code, 'ERR_LEASEHOLD_SCOPE_ENDED');
    t.like(pool.stats(), { waiting: 0, counters: { aborted: 2, timeouts: 0 } });
    // Of housekeeping, and of the queue.
    t.is(clock.holding, 0);
  });

  test(`${name}() has what is left of its own timeout where the connection it was to share can not be had`, async (t) => {
    // The pool's connection is held, and so is its turn to write.
    const { pool, clock, observed } = await sharing(t, name, { patience: 50, timeout: 80 });
    void pool.openTransaction();
    await clock.pass(50);
    t.is(observed.code, undefined);
    await clock.pass(29);
    t.is(observed.code, undefined);
    await clock.pass(1);
    t.regex(observed.code ?? 'still waiting', /^ERR_LEASEHOLD_(?:ACQUIRE|WRITE)_TIMEOUT$/);
    t.like(observed.error, { timeout: 80, lateBy: 0 });
  });

  test(`${name}() goes on with the connection it shares, and leaves no timer behind`, async (t) => {
    const { pool, clock, holder, scope, observed } = await sharing(t, name, { timeout: 50 });
    holder.close();
    await settled();
    t.like(observed, { done: true, code: undefined });
    t.is(clock.holding, 0);
    t.is(pool.stats().counters.acquired, 2, 'the holder’s, and the one they share');
    await clock.pass(100);
    t.is(pool.stats().counters.timeouts, 0);
    await scope.end();
  });
}

test('a call that gives up to wait for the connection of its scope is told who holds what, counted and reported', async (t) => {
  const { pool, clock, observed } = await sharing(t, 'get', { timeout: 50 });
  const reports: unknown[] = [];
  pool.on('timeout', ({ label, waited, error }) => reports.push({ label, waited, error }));
  // The lane's own connection is none that it could have had.
  await pool.openTransaction({ label: 'writer' }).begun;
  t.is(pool.stats().leased, 2);
  t.is(clock.holding, 2, 'its own timer, and that of the queue');
  await clock.pass(50);
  const message =
    /^Timed out after 50 ms waiting for a connection of "app" for "request" \(1 of 1 in use, 1 waiting\)\.\n {2}#1 {2}holder {2}/;
  t.regex(observed.error?.message ?? '', message);
  t.notRegex(observed.error?.message ?? '', /writer/);
  t.like(observed.error, { timeout: 50, label: 'request', leased: 1, max: 1, waiting: 1, lateBy: 0 });
  t.deepEqual(reports, [{ label: 'request', waited: 50, error: observed.error }]);
  t.is(pool.stats().counters.timeouts, 1);
  t.is(clock.holding, 1);
});

test('a call whose deadline has passed by the time its scope has the connection is refused', async (t) => {
  const { pool, clock, holder, observed } = await sharing(t, 'withConnection', { timeout: 50 });
  // The event loop is blocked meanwhile, so no timer has fired.
  clock.skip(60);
  holder.close();
  await settled();
  t.like(observed, { done: false, code: 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT' });
  t.like(observed.error, { timeout: 50, lateBy: 10 });
  t.is(pool.stats().counters.timeouts, 1);
});

test('a call that shares a connection which is at hand sets no timer', async (t) => {
  const clock = new FakeClock();
  const pool = new SqlitePool(temporaryFile(t), { max: 1 }, clock);
  t.teardown(() => pool.close({ timeout: 0 }));
  await pool.ready();
  await pool.withScope(async () => {
    const before = clock.pending;
    const all = Promise.all([
      pool.connection(),
      pool.get('SELECT 1', [], { timeout: 50 }),
      pool.withConnection(() => {}),
    ]);
    t.is(clock.pending, before);
    await all;
    t.is(pool.stats().counters.acquired, 1);
  });
});

test('an abort while a connection at hand is being bound counts', async (t) => {
  const pool = new SqlitePool(temporaryFile(t));
  t.teardown(() => pool.close({ timeout: 0 }));
  await pool.ready();
  await pool.withScope(async () => {
    const controller = new AbortController();
    const binding = pool.connection();
    const reading = pool.get('SELECT 1', [], { signal: controller.signal });
    controller.abort();
    await t.throwsAsync(reading, { code: 'ABORT_ERR' });
    await binding;
  });
});

test('a pool without a write lane says the same of those who share, and who holds what', async (t) => {
  const file = temporaryFile(t);
  await using writer = new SqlitePool(file);
  await writer.ready();
  const clock = new FakeClock();
  const pool = new SqlitePool(file, { name: 'app', readonly: true, max: 1 }, clock);
  t.teardown(() => pool.close({ timeout: 0 }));
  await pool.acquire({ label: 'holder' });
  await pool.withScope(async () => {
    const binding = t.throwsAsync(pool.connection({ timeout: 200 }));
    const reading = t.throwsAsync(pool.get('SELECT 1', [], { timeout: 50 }), { code: 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT' });
    await clock.pass(200);
    t.like(await reading, { leased: 1, waiting: 1, max: 1 });
    t.regex((await reading).message, /holder/);
    await binding;
  });
});
