import test, { type ExecutionContext } from 'ava';
import type { AcquireMessage, LeasedDatabase, OpenTransaction, PoolEvents, TransactionMessage } from '../lib/index.ts';
import { SqlitePool } from '../lib/sqlite/pool.ts';
import { outline, watchTracing } from './support/channels.ts';
import { FakeClock } from './support/clock.ts';
import { temporaryFile } from './support/files.ts';
import { settled } from './support/gate.ts';
import { collected } from './support/gc.ts';
import { insert, openItems, refusal } from './support/items.ts';
import { placesOf } from './support/places.ts';

const placesIn = placesOf(import.meta.filename);

/** A pool that captures stacks, and whose time is ours. */
async function watched(t: ExecutionContext, leakThreshold = 500) {
  const clock = new FakeClock();
  const pool = new SqlitePool(temporaryFile(t), { name: 'app', leakThreshold }, clock);
  t.teardown(() => pool.close({ timeout: 0 }));
  const leaks: PoolEvents['leak'][] = [];
  pool.on('leak', (event) => leaks.push(event));
  await pool.run('CREATE TABLE item (name TEXT)');
  return { pool, clock, leaks };
}

async function report(pool: SqlitePool): Promise<OpenTransaction<LeasedDatabase>> {
  return pool.openTransaction({ label: 'report' }).begun;
}

test('one that is held too long is reported with the place that opened it', async (t) => {
  const { pool, clock, leaks } = await watched(t);
  const tx = await report(pool);
  t.regex(pool.leases()[0]?.stack ?? '', /^Error\n\s+at report /);
  await clock.pass(1000);
  t.like(leaks, { 0: { kind: 'overdue', holder: { label: 'report', mode: 'write', inTransaction: true } }, length: 1 });
  t.deepEqual(placesIn(leaks[0]?.message ?? '')[0], { by: 'report', call: 'openTransaction' });
  await tx.commit();
  t.like(leaks, { 1: { kind: 'returned' }, length: 2 });
});

test('whoever waits for it too long is told that place', async (t) => {
  const { pool, clock } = await watched(t);
  const tx = await report(pool);
  const late = t.throwsAsync(pool.openTransaction({ timeout: 100 }).begun, refusal('WRITE_TIMEOUT'));
  await settled();
  await clock.pass(200);
  const error = await late;
  t.deepEqual(placesIn(error?.message ?? '')[0], { by: 'report', call: 'openTransaction' });
  await tx.rollback();
});

test('so it is where it had to queue first, and for a snapshot', async (t) => {
  const { pool } = await watched(t);
  const holder = await pool.openTransaction().begun;
  const queued = report(pool);
  await settled();
  t.is(pool.stats().laneWaiting, 1);
  await holder.commit();
  const tx = await queued;
  t.regex(pool.leases()[0]?.stack ?? '', /^Error\n\s+at report /);
  await tx.commit();
  async function look() {
    return pool.openTransaction({ mode: 'read' }).begun;
  }
  const snapshot = await look();
  t.regex(pool.leases()[0]?.stack ?? '', /^Error\n\s+at look /);
  await snapshot.commit();
});

const ways: Record<string, (pool: SqlitePool, signal: AbortSignal) => Promise<unknown>> = {
  'by itself': (pool) => pool.openTransaction().begun,
  'a snapshot': (pool) => pool.openTransaction({ mode: 'read' }).begun,
  'with a signal that lives on': (pool, signal) => pool.openTransaction({ signal }).begun,
  'with its scope': (pool) => pool.openScope().run(() => pool.openTransaction()).begun,
  'with its scope and a signal that lives on': (pool, signal) =>
    pool.openScope({ signal }).run(() => pool.openTransaction()).begun,
  'with two signals': (pool, signal) =>
    pool.openScope({ signal }).run(() => pool.openTransaction({ signal: new AbortController().signal })).begun,
  'with the connection of its scope': (pool) =>
    pool.openScope().run(async () => {
      await pool.connection();
      await pool.openTransaction().begun;
    }),
  'a part with what it is part of': async (pool) => {
    const outer = await pool.openTransaction().begun;
    await outer.run(() => pool.openTransaction()).begun;
  },
  'by code that has entered it and hangs': async (pool) => {
    const hang = async () => {
      await Promise.resolve();
      const tx = pool.openTransaction();
      tx.enter();
      await tx.begun;
      await pool.run("INSERT INTO item VALUES ('lost')");
      await new Promise(() => {});
    };
    void hang();
    for (let turns = 0; turns < 5; turns++) await settled();
  },
};

for (const [way, open] of Object.entries(ways)) {
  test(`one that is dropped is reported, its connection recovered and its turn passed on: ${way}`, async (t) => {
    const { pool, clock, leaks } = await watched(t, Infinity);
    const { signal } = new AbortController();
    async function lose(): Promise<void> {
      await open(pool, signal);
    }
    await lose();
    t.is(pool.stats().leased, 1);
    await clock.pass(1000);
    t.true(await collected(() => leaks.length > 0));
    t.like(leaks, { 0: { kind: 'dropped' }, length: 1 });
    t.like(pool.stats(), { leased: 0, laneHeld: 0 });
    const next = await pool.openTransaction().begun;
    next.run((db) => insert(db, 'next'));
    await next.commit();
    t.deepEqual(await pool.all('SELECT name FROM item'), [{ name: 'next' }]);
    t.false(signal.aborted);
  });
}

test('one that somebody may still use is not taken for lost, and ends with its signal', async (t) => {
  const { pool, clock, leaks } = await watched(t, Infinity);
  const controller = new AbortController();
  // Its handle is all that is kept of it.
  async function lose(): Promise<LeasedDatabase> {
    const tx = await pool.openTransaction({ signal: controller.signal }).begun;
    return tx.run((db) => db);
  }
  const db = await lose();
  await clock.pass(1000);
  t.false(await collected(() => leaks.length > 0, 5));
  t.is(pool.stats().leased, 1);
  controller.abort();
  await settled();
  t.like(pool.stats(), { leased: 0, laneHeld: 0 });
  t.false(db.open);
});

test('a scope that lives on keeps none of those that are over', async (t) => {
  const pool = await openItems(t);
  const scope = pool.openScope();
  async function open(): Promise<WeakRef<OpenTransaction<LeasedDatabase>>> {
    const tx = await scope.run(() => pool.openTransaction()).begun;
    await tx.commit();
    return new WeakRef(tx);
  }
  const over = [await open(), await open()];
  t.true(await collected(() => over.every((each) => each.deref() === undefined)));
  await scope.end();
});

test('one whose scope is kept ends with that', async (t) => {
  const { pool, clock, leaks } = await watched(t, Infinity);
  const scope = pool.openScope();
  async function lose(): Promise<void> {
    await scope.run(() => pool.openTransaction()).begun;
  }
  await lose();
  await clock.pass(1000);
  await collected(() => leaks.length > 0, 5);
  await scope.end();
  t.like(pool.stats(), { leased: 0, laneHeld: 0 });
});

test.serial('it is traced from its opening to its end, whatever that is', async (t) => {
  const pool = await openItems(t);
  const transactions = watchTracing<TransactionMessage>(t, 'leasehold:transaction', pool);
  const acquires = watchTracing<AcquireMessage>(t, 'leasehold:acquire', pool);
  const scope = pool.openScope({ label: 'request' });
  const committed = await scope.run(() => pool.openTransaction()).begun;
  t.is(transactions.messages.size, 1);
  t.false(transactions.told.some(({ step }) => step === 'asyncEnd'));
  await committed.commit();
  t.deepEqual(outline(transactions.told, 'label', 'mode', 'attempts').at(-1), ['asyncEnd', 'request', 'immediate', 1]);
  t.false('error' in (transactions.told.at(-1) ?? {}));
  const undone = await pool.openTransaction().begun;
  await undone.rollback();
  const told = transactions.told.at(-1);
  t.true(told?.error instanceof Error, 'a listener that looks at errors finds one');
  t.like(told?.error, refusal('TRANSACTION_ENDED'));
  // Who rolls back for an error may say so; to commit afterwards comes too late all the same.
  const failed = await pool.openTransaction().begun;
  const reason = new Error('of the application');
  await failed.rollback(reason);
  t.like(pool.stats(), { leased: 0, laneHeld: 0 });
  t.is(transactions.told.at(-1)?.error, reason);
  await t.throwsAsync(failed.commit(), refusal('TRANSACTION_ENDED'));
  await scope.run(() => pool.openTransaction()).begun;
  await scope.end();
  t.like(transactions.told.at(-1)?.error, refusal('SCOPE_ENDED'));
  t.is(acquires.messages.size, 4);
  t.like(pool.stats(), { leased: 0, laneHeld: 0 });
});

test.serial('and so is one that does not begin', async (t) => {
  const pool = await openItems(t);
  const transactions = watchTracing<TransactionMessage>(t, 'leasehold:transaction', pool);
  await pool.close();
  await t.throwsAsync(pool.openTransaction().begun, refusal('CLOSED'));
  t.like(transactions.told.at(-1), { attempts: 0, error: refusal('CLOSED') });
});
