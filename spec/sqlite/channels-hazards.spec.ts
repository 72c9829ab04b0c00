import test from 'ava';
import type { AcquireMessage, TransactionMessage } from '../../lib/index.ts';
import { SqlitePool } from '../../lib/sqlite/pool.ts';
import { watchTracing } from '../support/channels.ts';
import { FakeClock } from '../support/clock.ts';
import { temporaryFile } from '../support/files.ts';
import { gate, settled } from '../support/gate.ts';
import { insert, namesIn, openItems, refusal } from '../support/items.ts';
import { labelledPool } from '../support/labels.ts';
import { otherDatabase, startProcess } from '../support/processes.ts';
import { libraryUrl, temporaryPool, watchDirt } from '../support/sqlite.ts';

const transactions = 'leasehold:transaction';

test.serial('siblings, other branches and what outlives a transaction are treated as ever while traced', async (t) => {
  const pool = await openItems(t);
  const { told } = watchTracing<TransactionMessage>(t, transactions, pool);
  const dirt = watchDirt(pool);
  await pool.withConnection(async (db) => {
    const open = gate();
    const order: string[] = [];
    const first = pool.transaction(async (tx) => {
      order.push('first');
      await open.passed;
      insert(tx, 'first');
    });
    const second = pool.transaction((tx) => {
      order.push('second');
      insert(tx, 'second');
    });
    await settled();
    t.deepEqual(order, ['first']);
    t.throws(() => insert(db, 'between'), refusal('TRANSACTION_BUSY'));
    open.open();
    await Promise.all([first, second]);
    t.deepEqual(order, ['first', 'second']);
  });
  const later = gate();
  const outlived: Promise<unknown>[] = [];
  await pool.transaction((tx) => {
    const rest = later.passed.then(() => insert(tx, 'late'));
    rest.catch(() => {});
    outlived.push(rest);
  });
  later.open();
  await t.throwsAsync(outlived[0] as Promise<unknown>, refusal('TRANSACTION_ENDED'));
  t.deepEqual(await namesIn(pool), ['first', 'second']);
  t.deepEqual(dirt, []);
  t.is(told.length, 12);
  pool.assertIdle();
});

test.serial('no lease and no turn is lost while traced when those who wait give up, or the pool closes', async (t) => {
  const file = temporaryFile(t);
  // By the real clock, as long as a busy machine may take.
  const other = temporaryPool(t, { acquireTimeout: 50_000 }, file);
  await other.run('CREATE TABLE item (name TEXT)');
  for (const way of ['abort', 'timeout', 'scope', 'close'] as const) {
    const clock = new FakeClock();
    const pool = new SqlitePool(file, { max: 2 }, clock);
    t.teardown(() => pool.close({ timeout: 0 }));
    watchTracing<TransactionMessage>(t, transactions, pool);
    const open = gate();
    const controller = new AbortController();
    const holding = pool.transaction(() => open.passed);
    await settled();
    const scope = gate();
    const options = { signal: controller.signal, timeout: 100 };
    const waiting = pool.withScope(async () => {
      const left = Array.from({ length: 3 }, () => pool.transaction(() => {}, options));
      const all = Promise.allSettled(left);
      await scope.passed;
      return { all };
    });
    await settled();
    t.is(pool.stats().laneWaiting, 3);
    // Their turn comes in the same tick in which they give up.
    open.open();
    if (way === 'abort') controller.abort();
    if (way === 'timeout') clock.advance(100);
    if (way === 'scope') scope.open();
    const closing = way === 'close' ? pool.close({ timeout: 0 }) : undefined;
    if (way !== 'scope') scope.open();
    await holding.catch(() => {});
    await (await waiting).all;
    await closing;
    t.is(pool.stats().leased, 0, way);
    t.is(other.stats().laneWaiting, 0);
    await other.run('INSERT INTO item VALUES (?)', [way]);
  }
  t.deepEqual(await namesIn(other), ['abort', 'timeout', 'scope', 'close']);
});

test.serial('the wait that is told counts what the lock of another process took', async (t) => {
  const file = temporaryFile(t);
  const { pool, clock } = await labelledPool(t, {}, file);
  const { told } = watchTracing<TransactionMessage>(t, transactions, pool);
  const other = await otherDatabase(t, file);
  await other.exec('BEGIN IMMEDIATE');
  const running = pool.transaction((tx) => insert(tx, 'a'));
  await clock.pass(50);
  await other.exec('ROLLBACK');
  await clock.pass(50);
  await running;
  const { waited = 0, attempts } = told.at(-1) ?? {};
  t.true(waited >= 50 && waited <= 100, `${waited}`);
  t.is(attempts, 1, 'to wait for a lock is no attempt');
});

test.serial('what a subscriber throws is an uncaught exception, and harms nobody else', async (t) => {
  const program = `
    import dc from 'node:diagnostics_channel';
    import { setImmediate as settled } from 'node:timers/promises';
    import { createPool } from ${JSON.stringify(libraryUrl)};
    let uncaught = 0;
    process.on('uncaughtException', (error) => { if (error.message === 'of a subscriber') uncaught++; });
    const fail = () => { throw new Error('of a subscriber'); };
    for (const name of ['leasehold:acquire', 'leasehold:transaction'])
      dc.tracingChannel(name).subscribe({ start: fail, end: fail, asyncStart: fail, asyncEnd: fail, error: fail });
    for (const name of ['connection:open', 'connection:close', 'connection:discard', 'lease:leak'])
      dc.subscribe('leasehold:' + name, fail);
    const pool = createPool(process.argv[1], { max: 1, acquireTimeout: 50_000 });
    const commands = {
      async use() {
        await pool.run('CREATE TABLE item (name TEXT)');
        await pool.transaction((tx) => tx.prepare("INSERT INTO item VALUES ('a')").run());
        await pool.transaction(() => { throw new Error('x'); }).catch(() => {});
        await pool.withConnection((db) => pool.acquire({ timeout: 5 }).catch(() => db.discard()));
        const rows = await pool.all('SELECT name FROM item');
        pool.assertIdle();
        await pool.close();
        await settled();
        return { rows, uncaught };
      },
    };`;
  const other = await startProcess(t, program, temporaryFile(t));
  const { rows, uncaught } = await other.call<{ rows: unknown; uncaught: number }>('use');
  t.deepEqual(rows, [{ name: 'a' }]);
  t.true(uncaught > 20, `${uncaught}`);
});

/** How long those labelled `job` are said to have waited when they were over. */
function waitsOf(told: readonly { step: string; label: string | undefined; waited?: number }[]): unknown[] {
  return told.filter(({ step, label }) => step === 'asyncEnd' && label === 'job').map(({ waited }) => waited);
}

test.serial(
  'an acquire for a transaction counts its wait for the write lane, and an attempt none of those before',
  async (t) => {
    const { pool, clock } = await labelledPool(t);
    const traced = watchTracing<TransactionMessage>(t, transactions, pool).told;
    const acquired = watchTracing<AcquireMessage>(t, 'leasehold:acquire', pool).told;
    const open = gate();
    const holding = pool.transaction(() => open.passed);
    await settled();
    let attempts = 0;
    const running = pool.transaction(
      () => {
        if (++attempts < 3) throw Object.assign(new Error('stale'), { code: 'SQLITE_BUSY_SNAPSHOT' });
      },
      { retries: 2, label: 'job' },
    );
    await settled();
    clock.skip(40);
    open.open();
    await holding;
    await settled();
    await clock.pass(1000);
    await running;
    t.deepEqual(waitsOf(traced), [40], 'until the first call of its function');
    t.deepEqual(waitsOf(acquired), [40, 0, 0]);
  },
);
