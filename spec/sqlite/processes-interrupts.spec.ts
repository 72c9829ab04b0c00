import test, { type ExecutionContext } from 'ava';
import type { SqlitePool, SqlitePoolOptions } from '../../lib/index.ts';
import { longBusyTimeout, type Neighbours, neighbours, turnsUntil, watch } from '../support/processes.ts';

const insert = 'INSERT INTO n VALUES (2)';

/** All that write and return a promise, under the label "order". */
const writes: Record<string, (pool: SqlitePool, timeout?: number, signal?: AbortSignal) => Promise<unknown>> = {
  'transaction()': (pool, timeout, signal) =>
    pool.transaction((tx) => tx.prepare(insert).run(), { label: 'order', timeout, signal }),
  'transaction() on a bound lease': (pool, timeout, signal) =>
    pool.withConnection(() => pool.transaction((tx) => tx.prepare(insert).run(), { label: 'order', timeout, signal })),
  'run()': (pool, timeout, signal) => pool.run(insert, [], { label: 'order', timeout, signal }),
  'run() on a bound lease': (pool, timeout, signal) =>
    pool.withConnection(() => pool.run(insert, [], { timeout, signal }), { label: 'order' }),
  'get() of INSERT … RETURNING': (pool, timeout, signal) =>
    pool.get(`${insert} RETURNING x`, [], { label: 'order', timeout, signal }),
};

/** Neighbours of whom the other has the lock. */
async function locked(t: ExecutionContext, options?: SqlitePoolOptions): Promise<Neighbours> {
  const all = await neighbours(t, options);
  await all.other.exec('BEGIN IMMEDIATE; UPDATE n SET x = 10');
  return all;
}

/** Nobody holds or waits for anything, nothing was written, and the next to write can. */
async function isClean(t: ExecutionContext, { pool, other }: Neighbours): Promise<void> {
  t.like(pool.stats(), { leased: 0, waiting: 0, laneHeld: 0, laneWaiting: 0 });
  await other.exec('ROLLBACK');
  t.is(await pool.get('SELECT 1 FROM n WHERE x = 2'), undefined);
  await pool.run('INSERT INTO n VALUES (3)');
  t.deepEqual(await pool.all('SELECT x FROM n ORDER BY x'), [{ x: 1 }, { x: 3 }]);
}

for (const [name, write] of Object.entries(writes)) {
  test(`the deadline of ${name} tells of another process's lock`, async (t) => {
    const all = await locked(t);
    const before = performance.now();
    const writing = write(all.pool, 120);
    const error = await t.throwsAsync(writing, { code: 'ERR_LEASEHOLD_WRITE_TIMEOUT' });
    t.like(error, { pool: 'app', label: 'order', timeout: 120, holder: undefined, cause: { code: 'SQLITE_BUSY' } });
    t.regex(error?.message ?? '', /^Timed out after 120 ms .*"app" for "order"[\s\S]*another process/);
    t.true(performance.now() - before < longBusyTimeout / 2, 'It has not waited inside SQLite');
    t.is(all.pool.stats().counters.timeouts, 1);
    await isClean(t, all);
  });

  test(`${name} can be aborted while another process holds the lock`, async (t) => {
    const all = await locked(t);
    const controller = new AbortController();
    const writing = write(all.pool, undefined, controller.signal);
    await turnsUntil(() => all.refusals() >= 2);
    const reason = new Error('the client has gone');
    controller.abort(reason);
    t.like(await t.throwsAsync(writing, { name: 'AbortError', code: 'ABORT_ERR' }), { cause: reason });
    await isClean(t, all);
  });
}

test("an async db.transaction() goes by the pool's timeout and its lease's label", async (t) => {
  const all = await locked(t, { acquireTimeout: 1500 });
  const writing = all.pool.withConnection((db) => db.transaction(async () => {})(), { label: 'order' });
  const error = await t.throwsAsync(writing, { code: 'ERR_LEASEHOLD_WRITE_TIMEOUT' });
  t.like(error, { label: 'order', timeout: 1500, cause: { code: 'SQLITE_BUSY' } });
  await isClean(t, all);
});

test('a transaction that gives up lets others write while its lease goes on', async (t) => {
  const { pool, other, refusals } = await locked(t);
  await pool.withConnection(async () => {
    await t.throwsAsync(
      pool.transaction(() => t.fail(), { timeout: 60 }),
      { code: 'ERR_LEASEHOLD_WRITE_TIMEOUT' },
    );
    t.like(pool.stats(), { laneHeld: 0, leased: 1 });
    t.like(pool.leases(), [{ mode: 'connection', inTransaction: false }]);
    const writing = pool.withConnection(() => pool.run(insert), { fresh: true });
    const before = refusals();
    await turnsUntil(() => refusals() > before);
    await other.exec('ROLLBACK');
    await writing;
    await pool.transaction((tx) => tx.prepare(insert).run());
  });
  t.is(await other.value('SELECT count(*) FROM n'), 3);
});

test('who waits in the lane behind one that gives up goes on with a deadline of its own', async (t) => {
  const all = await locked(t);
  const { pool, other, refusals } = all;
  const first = watch(pool.transaction(() => t.fail(), { timeout: 100 }));
  const second = watch(pool.run(insert));
  await t.throwsAsync(first.done, { code: 'ERR_LEASEHOLD_WRITE_TIMEOUT' });
  const before = refusals();
  await turnsUntil(() => refusals() >= before + 2);
  t.false(second.settled);
  await other.exec('COMMIT');
  await second.done;
  t.deepEqual(await pool.all('SELECT x FROM n ORDER BY x'), [{ x: 2 }, { x: 10 }]);
});

test('a deadline that passes in the lane names the holder, which itself waits for another process', async (t) => {
  const { pool, other } = await locked(t);
  const first = pool.transaction(() => {}, { label: 'first' });
  const error = await t.throwsAsync(pool.run(insert, [], { timeout: 100, label: 'second' }), {
    code: 'ERR_LEASEHOLD_WRITE_TIMEOUT',
  });
  t.like(error, { label: 'second', cause: undefined, holder: { kind: 'transaction', label: 'first' } });
  await other.exec('ROLLBACK');
  await first;
});

test('the signal of a scope ends its wait for a lock', async (t) => {
  const all = await locked(t);
  const controller = new AbortController();
  const writing = all.pool.withConnection(() => all.pool.transaction(() => t.fail()), { signal: controller.signal });
  await turnsUntil(() => all.refusals() >= 2);
  controller.abort();
  await t.throwsAsync(writing, { code: 'ABORT_ERR' });
  await isClean(t, all);
});

for (const [name, write] of Object.entries({
  'transaction()': (pool: SqlitePool) => pool.transaction((tx) => tx.prepare(insert).run()),
  'run()': (pool: SqlitePool) => pool.run(insert),
})) {
  test(`the end of a scope ends the wait of ${name} on its lease`, async (t) => {
    const all = await locked(t);
    let writing: Promise<unknown> | undefined;
    await all.pool.withConnection(async () => {
      writing = write(all.pool);
      writing.catch(() => {});
      await turnsUntil(() => all.refusals() >= 2);
    });
    await t.throwsAsync(writing as Promise<unknown>, { code: 'ERR_LEASEHOLD_SCOPE_ENDED' });
    await isClean(t, all);
  });

  test(`the end of a scope without a lease ends the wait of ${name}`, async (t) => {
    const all = await locked(t);
    let writing: Promise<unknown> | undefined;
    await all.pool.withScope(async () => {
      writing = write(all.pool);
      writing.catch(() => {});
      await turnsUntil(() => all.refusals() >= 2);
    });
    const ended = watch(writing as Promise<unknown>);
    const before = all.refusals();
    await turnsUntil(() => ended.settled || all.refusals() > before + 1);
    t.true(ended.settled, 'It does not try on');
    await t.throwsAsync(ended.done, { code: 'ERR_LEASEHOLD_SCOPE_ENDED' });
    await isClean(t, all);
  });
}

test('close() refuses at once who waits in the lane, and takes the connection from who waits for the lock', async (t) => {
  const { pool, other, refusals } = await locked(t);
  const waiting = watch(pool.withConnection(() => pool.transaction(() => t.fail())));
  await turnsUntil(() => refusals() >= 2);
  const queued = [pool.transaction(() => t.fail()), pool.run(insert)].map(watch);
  const closing = pool.close({ timeout: 0 });
  for (const { done } of queued) await t.throwsAsync(done, { code: 'ERR_LEASEHOLD_CLOSED' });
  t.like(await t.throwsAsync(waiting.done, { code: 'ERR_LEASEHOLD_RELEASED' }), { end: 'closed' });
  await closing;
  t.like(pool.stats(), { size: 0, laneHeld: 0, laneWaiting: 0 });
  await other.exec('COMMIT');
  t.is(await other.value('SELECT group_concat(x) FROM n'), '10');
});

test("close() takes the lane's connection too from who waits with it for the lock", async (t) => {
  const { pool, other, refusals } = await locked(t);
  const waiting = watch(pool.transaction(() => t.fail()));
  await turnsUntil(() => refusals() >= 2);
  await pool.close({ timeout: 0 });
  t.like(await t.throwsAsync(waiting.done, { code: 'ERR_LEASEHOLD_RELEASED' }), { end: 'closed' });
  t.like(pool.stats(), { size: 0, laneHeld: 0 });
  await other.exec('COMMIT');
});

for (const [name, write] of Object.entries(writes)) {
  test(`close() without a timeout leaves ${name} until its end, and then resolves`, async (t) => {
    const { pool, other, refusals } = await locked(t);
    const writing = watch(write(pool));
    await turnsUntil(() => refusals() >= 2);
    const closing = watch(pool.close({ timeout: Infinity }));
    const before = refusals();
    await turnsUntil(() => writing.settled || refusals() >= before + 2);
    t.false(closing.settled);
    await other.exec('COMMIT');
    await writing.done;
    await closing.done;
    t.is(await other.value('SELECT group_concat(x) FROM (SELECT x FROM n ORDER BY x)'), '2,10');
  });
}
