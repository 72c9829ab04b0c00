import test, { type ExecutionContext } from 'ava';
import { createPool, type SqlitePool, type SqlitePoolOptions } from '../lib/index.ts';
import { temporaryFile } from './support/files.ts';
import { gate, settled } from './support/gate.ts';
import { collected } from './support/gc.ts';

function open(t: ExecutionContext, options: SqlitePoolOptions = {}): SqlitePool {
  const pool = createPool(temporaryFile(t), options);
  t.teardown(() => pool.close({ timeout: 0 }));
  return pool;
}

test('connection() can be called again after a refusal', async (t) => {
  const pool = open(t, { max: 1, maxWaiting: 0 });
  await pool.withScope(async () => {
    await t.throwsAsync(() => pool.connection({ signal: AbortSignal.abort() }), { code: 'ABORT_ERR' });
    const other = await pool.acquire();
    await t.throwsAsync(() => pool.connection(), { code: 'ERR_LEASEHOLD_QUEUE_FULL' });
    other.close();
    const db = await pool.connection();
    t.true(db === pool.current);
  });
});

test('who joins a binding that fails for another reason than its own tries for itself', async (t) => {
  const pool = open(t, { max: 1 });
  const holder = await pool.acquire();
  const impatient = new AbortController();
  await pool.withScope(async () => {
    const first = t.throwsAsync(() => pool.connection({ signal: impatient.signal }), { code: 'ABORT_ERR' });
    const second = pool.connection();
    impatient.abort();
    await first;
    holder.close();
    const db = await second;
    t.true(db === pool.current);
  });
});

test('calls made while the scope’s connection is being bound wait for it rather than for another', async (t) => {
  const pool = open(t, { max: 1 });
  await pool.withScope(async () => {
    const [db, row, same] = await Promise.all([
      pool.connection(),
      pool.get('SELECT 1 AS one'),
      pool.withConnection((bound) => bound),
    ]);
    t.deepEqual(row, { one: 1 });
    t.is(same, db);
    t.is(pool.stats().counters.acquired, 1);
  });
});

test('calls that take a connection for their own duration are part of no deadlock', async (t) => {
  const pool = open(t, { max: 2, onDeadlock: 'reject' });
  await pool.withScope(async () => {
    const rows = await Promise.all(Array.from({ length: 8 }, () => pool.get('SELECT 1 AS one')));
    t.is(rows.length, 8);
    await Promise.all(Array.from({ length: 8 }, () => pool.withConnection(() => settled())));
  });
  t.is(pool.stats().counters.deadlocks, 0);
});

test('a ring that a hand-off closes is found at once', async (t) => {
  const pool = open(t, { max: 1, onDeadlock: 'reject' });
  const outsider = await pool.acquire();
  await pool.withScope(async () => {
    const both = Promise.allSettled([pool.acquire(), pool.acquire()]);
    outsider.close();
    const [first, second] = await both;
    t.is(first.status, 'fulfilled');
    t.like(second, { status: 'rejected', reason: { code: 'ERR_LEASEHOLD_DEADLOCK' } });
    if (first.status === 'fulfilled') first.value.close();
  });
  t.is(pool.stats().counters.deadlocks, 1);
});

test('a waiter whose signal is aborted is not served, even if its own listener has not heard of it yet', async (t) => {
  const pool = open(t, { max: 1 });
  const holder = await pool.acquire();
  const controller = new AbortController();
  const { signal } = controller;
  signal.addEventListener('abort', () => holder.close());
  const waiting = t.throwsAsync(() => pool.acquire({ signal }), { code: 'ABORT_ERR' });
  controller.abort();
  await waiting;
  t.like(pool.stats(), { leased: 0, idle: 1, counters: { aborted: 1 } });
});

test('one statement on an aborted signal is refused, also where the scope has a connection', async (t) => {
  const pool = open(t);
  await pool.withConnection(() =>
    t.throwsAsync(() => pool.get('SELECT 1', [], { signal: AbortSignal.abort() }), { code: 'ABORT_ERR' }),
  );
});

test('a request that hangs and is forgotten gives its connection up', async (t) => {
  const pool = open(t, { max: 1, leakThreshold: 20 });
  const leaks: unknown[] = [];
  pool.on('leak', ({ kind, holder }) => leaks.push([kind, holder.label]));
  const begun = gate();
  // Nobody holds this promise, and nothing will ever settle it.
  void pool.withConnection(
    () => {
      begun.open();
      return new Promise(() => {});
    },
    { label: 'hung' },
  );
  await begun.passed;
  t.true(await collected(() => pool.stats().leased === 0));
  // Unless it was collected before it was overdue.
  const wasOverdue = leaks.length > 1;
  t.deepEqual(
    leaks,
    (wasOverdue ? ['overdue', 'dropped', 'returned'] : ['dropped']).map((kind) => [kind, 'hung']),
  );
  t.deepEqual(await pool.get('SELECT 1 AS one'), { one: 1 });
});

test('work that outlives its scope keeps nothing of what the scope held', async (t) => {
  const pool = open(t);
  const ended = gate();
  let held: WeakRef<object> | undefined;
  const late = await pool.withConnection(async (db) => {
    held = new WeakRef(db);
    return { done: ended.passed.then(() => pool.current) };
  });
  t.true(await collected(() => held?.deref() === undefined));
  ended.open();
  t.is(await late.done, undefined);
});

test('a statement of pool.db takes any number of row modes without remembering them', async (t) => {
  const pool = open(t);
  const statement = pool.db.prepare('SELECT 1 AS one');
  await pool.withConnection(() => {
    for (let i = 0; i < 20_000; i++) statement.raw().pluck().expand();
    t.deepEqual(statement.get(), { $: { one: 1 } });
    t.deepEqual(statement.expand(false).get(), { one: 1 });
    t.deepEqual(statement.raw().safeIntegers().get(), [1n]);
    t.is(statement.pluck().safeIntegers(false).get(), 1);
  });
});
