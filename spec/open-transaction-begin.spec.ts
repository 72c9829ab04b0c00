import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { LeasedDatabase, OpenTransaction, SqlitePool } from '../lib/index.ts';
import { heldLane } from './support/dangling.ts';
import { temporaryDirectory, temporaryFile } from './support/files.ts';
import { gate, settled } from './support/gate.ts';
import { namesIn, openItems, refusal } from './support/items.ts';
import { neighbours, turnsUntil } from './support/processes.ts';
import { temporaryPool } from './support/sqlite.ts';

const empty = { leased: 0, waiting: 0, laneHeld: 0, laneWaiting: 0 };

/** It has not begun for the reason given, which everybody is told; nothing of it is left. */
async function neverBegins(
  t: ExecutionContext,
  tx: OpenTransaction<LeasedDatabase>,
  expected: { readonly code: string },
): Promise<Error> {
  const error = await t.throwsAsync(tx.begun, expected);
  t.is(await t.throwsAsync(tx.begun), error);
  t.is(await t.throwsAsync(tx.commit()), error);
  await tx.rollback();
  await tx[Symbol.asyncDispose]();
  let ran = 0;
  t.is(
    t.throws(() => tx.run(() => ran++)),
    error,
  );
  t.is(
    t.throws(() => tx.enter()),
    error,
  );
  t.is(ran, 0, 'its statements would commit by themselves');
  return error;
}

test('options that are none are refused at once', async (t) => {
  const pool = await openItems(t);
  for (const options of [{ mode: 'write' }, { retries: 1 }, { nesting: 'none' }, { timeout: 0 }, { signal: 1 }, 'x']) {
    t.throws(() => pool.openTransaction(options as never), refusal('OPTIONS'), JSON.stringify(options));
  }
  t.like(pool.stats(), empty);
});

test('in a pool that is closed none begins', async (t) => {
  const pool = await openItems(t);
  await pool.close();
  await neverBegins(t, pool.openTransaction(), refusal('CLOSED'));
  await neverBegins(t, pool.openTransaction({ mode: 'read' }), refusal('CLOSED'));
});

test('in a pool that is read-only none begins but a snapshot', async (t) => {
  const file = temporaryFile(t);
  const writer = temporaryPool(t, {}, file);
  await writer.run('CREATE TABLE item (name TEXT)');
  const pool = temporaryPool(t, { readonly: true }, file);
  await neverBegins(t, pool.openTransaction(), refusal('READ_ONLY'));
  const snapshot = await pool.openTransaction({ mode: 'read' }).begun;
  t.deepEqual(await snapshot.run(() => namesIn(pool)), []);
  await snapshot.commit();
  t.like(pool.stats(), empty);
});

test('where the file can not be opened none begins', async (t) => {
  const pool = temporaryPool(t, { acquireTimeout: 50 }, join(temporaryDirectory(t), 'missing', 'app.db'));
  await neverBegins(t, pool.openTransaction(), refusal('OPEN'));
  t.like(pool.stats(), { leased: 0, waiting: 0 });
});

test('whoever finds the queue full is refused, and takes no place in it', async (t) => {
  const pool = await openItems(t, { maxWaiting: 1 });
  const release = await heldLane(t, pool);
  const waiting = pool.openTransaction();
  await settled();
  await neverBegins(t, pool.openTransaction(), refusal('QUEUE_FULL'));
  t.is(pool.stats().laneWaiting, 1);
  await release();
  await waiting.begun;
  await waiting.commit();
  t.like(pool.stats(), empty);
});

test('whose turn does not come in time is told who writes', async (t) => {
  const pool = await openItems(t);
  const release = await heldLane(t, pool);
  const error = await neverBegins(t, pool.openTransaction({ timeout: 20, label: 'late' }), refusal('WRITE_TIMEOUT'));
  t.like(error, { label: 'late', timeout: 20, holder: { label: 'holder', kind: 'transaction' } });
  await release();
  t.like(pool.stats(), empty);
});

test('whose connection does not come in time is told who has it', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const held = await pool.acquire({ label: 'holder' });
  const error = await neverBegins(t, pool.openTransaction({ mode: 'read', timeout: 20 }), refusal('ACQUIRE_TIMEOUT'));
  t.like(error, { timeout: 20, holders: [{ label: 'holder' }] });
  held.close();
  t.like(pool.stats(), empty);
});

test('another process that writes on is waited for until the deadline', async (t) => {
  const { pool, other } = await neighbours(t);
  await other.exec('BEGIN IMMEDIATE');
  const error = await neverBegins(t, pool.openTransaction({ timeout: 30 }), refusal('WRITE_TIMEOUT'));
  t.like(error, { holder: undefined, cause: { code: 'SQLITE_BUSY' } });
  t.like(pool.stats(), empty);
  const waiting = pool.openTransaction();
  await other.exec('COMMIT');
  await waiting.begun;
  await waiting.commit();
});

interface Wait {
  readonly pool: SqlitePool;
  /** Resolves when whoever opens one now waits. */
  readonly reached: () => Promise<unknown>;
  /** Ends what is waited for. */
  readonly stop: () => Promise<void>;
  /** What a pool that closes meanwhile refuses with: where the lane is had already, there is a lease to be taken away. */
  readonly closed: string;
}

const waits: Record<string, (t: ExecutionContext) => Promise<Wait>> = {
  'for its turn': async (t) => {
    const pool = await openItems(t);
    const release = await heldLane(t, pool);
    // Its holder may have lost his connection by then.
    const stop = () => release().catch(() => {});
    return { pool, reached: settled, stop, closed: 'CLOSED' };
  },
  'for the lock of another process': async (t) => {
    const { pool, other, refusals } = await neighbours(t);
    await other.exec('BEGIN IMMEDIATE');
    const before = refusals();
    const reached = () => turnsUntil(() => refusals() > before);
    return { pool, reached, stop: () => other.exec('COMMIT'), closed: 'RELEASED' };
  },
  'for a connection to be opened': async (t) => {
    const opened = gate();
    const pool = temporaryPool(t, { onOpen: () => opened.passed });
    return { pool, reached: settled, stop: async () => opened.open(), closed: 'CLOSED' };
  },
};

for (const [what, wait] of Object.entries(waits)) {
  test(`an abort ends the wait ${what}`, async (t) => {
    const { pool, reached, stop } = await wait(t);
    const controller = new AbortController();
    const tx = pool.openTransaction({ signal: controller.signal });
    await reached();
    controller.abort();
    await neverBegins(t, tx, { code: 'ABORT_ERR' });
    await stop();
    await settled();
    t.like(pool.stats(), empty);
  });

  test(`a rollback does not wait ${what}, and its turn is passed on`, async (t) => {
    const { pool, reached, stop } = await wait(t);
    const tx = pool.openTransaction();
    await reached();
    await tx.rollback();
    await neverBegins(t, tx, refusal('TRANSACTION_ENDED'));
    const next = pool.openTransaction();
    await stop();
    await next.begun;
    t.is(pool.stats().leased, 1, 'the one before it is gone');
    await next.commit();
    t.like(pool.stats(), empty);
  });

  test(`the end of the scope ends the wait ${what}`, async (t) => {
    const { pool, reached, stop } = await wait(t);
    const scope = pool.openScope();
    const tx = scope.run(() => pool.openTransaction());
    await reached();
    await scope.end();
    await neverBegins(t, tx, refusal('SCOPE_ENDED'));
    await stop();
    await settled();
    t.like(pool.stats(), empty);
  });

  test(`a pool that closes ends the wait ${what}`, async (t) => {
    const { pool, reached, stop, closed } = await wait(t);
    const tx = pool.openTransaction();
    await reached();
    const closing = pool.close({ timeout: 0 });
    await neverBegins(t, tx, refusal(closed));
    await stop();
    await closing;
  });
}

test('one that was aborted before takes no turn', async (t) => {
  const pool = await openItems(t);
  await neverBegins(t, pool.openTransaction({ signal: AbortSignal.abort() }), { code: 'ABORT_ERR' });
  t.like(pool.stats(), empty);
});

test('nobody is told of a refusal that nobody asks for', async (t) => {
  const pool = await openItems(t);
  const release = await heldLane(t, pool);
  pool.openTransaction({ timeout: 5 });
  pool.openTransaction({ signal: AbortSignal.abort() });
  await pool.withScope(() => {
    pool.openTransaction();
  });
  await pool.withConnection(() => {
    pool.openTransaction();
  });
  await t.throwsAsync(pool.openTransaction({ timeout: 20 }).begun, refusal('WRITE_TIMEOUT'));
  await release();
  await settled();
  t.like(pool.stats(), empty);
});

test('before it has begun nothing can run in it', async (t) => {
  const pool = await openItems(t);
  const tx = pool.openTransaction();
  let ran = 0;
  t.like(
    t.throws(() => tx.run(() => ran++), refusal('TRANSACTION_BUSY')),
    { reason: 'not begun' },
  );
  t.is(ran, 0, 'its statements would commit by themselves');
  await tx.begun;
  await tx.run(() => pool.run("INSERT INTO item VALUES ('bolt')"));
  await tx.commit();
  t.deepEqual(await namesIn(pool), ['bolt']);
});

test('transactions begin in the order in which they were opened, those of higher priority first', async (t) => {
  const pool = await openItems(t);
  const release = await heldLane(t, pool);
  const order: string[] = [];
  const all = [0, 0, 5, 0].map(async (priority, index) => {
    const tx = await pool.openTransaction({ priority }).begun;
    order.push(`${index}`);
    await tx.commit();
  });
  await settled();
  await release();
  await Promise.all(all);
  t.deepEqual(order, ['2', '0', '1', '3']);
});
