import test from 'ava';
import { heldLane, outlived, tracesOf, watchedItems } from './support/dangling.ts';
import { gate, settled } from './support/gate.ts';
import { insert, namesIn, openItems, refusal } from './support/items.ts';

const empty = { leased: 0, waiting: 0, laneHeld: 0, laneWaiting: 0 };

test('a scope that ends has what waits in it for a connection give up, and takes none', async (t) => {
  const { pool, dirt } = await watchedItems(t, { max: 1 });
  const held = await pool.acquire();
  const scope = pool.openScope({ label: 'request' });
  const refused = scope.run(() => [
    outlived(t, pool.openTransaction({ mode: 'read' }).begun),
    outlived(t, pool.connection()),
    // These wait for what the one before them gets.
    outlived(t, pool.connection()),
    outlived(t, pool.openTransaction().begun),
  ]);
  await settled();
  t.is(pool.stats().waiting, 2);
  await scope.end();
  t.is(pool.stats().waiting, 0);
  await Promise.all(refused);
  t.deepEqual(tracesOf(dirt), [['request', '2 queued acquires']]);
  held.close();
  t.like(pool.stats(), empty);
});

test('a scope that ends has what waits in it for its turn to write give up', async (t) => {
  const { pool, dirt } = await watchedItems(t);
  const release = await heldLane(t, pool);
  const scope = pool.openScope({ label: 'request' });
  const refused = scope.run(() => [
    outlived(t, pool.openTransaction().begun),
    outlived(t, pool.run("INSERT INTO item VALUES ('lost')")),
    outlived(
      t,
      pool.withStatement("INSERT INTO item VALUES ('lost')", (statement) => statement.run()),
    ),
  ]);
  await settled();
  t.is(pool.stats().laneWaiting, 3);
  await scope.end();
  t.is(pool.stats().laneWaiting, 0);
  await Promise.all(refused);
  t.deepEqual(tracesOf(dirt), [['request', '3 queued writes']]);
  await release();
  t.deepEqual(await namesIn(pool), []);
  t.like(pool.stats(), empty);
});

test('a transaction on the connection of the scope is rolled back with it, and reported once', async (t) => {
  const { pool, dirt } = await watchedItems(t);
  const scope = pool.openScope({ label: 'request' });
  const tx = await scope.run(async () => {
    await pool.connection();
    return pool.openTransaction().begun;
  });
  tx.run((db) => insert(db, 'lost'));
  await scope.end();
  t.like(pool.stats(), empty);
  t.is(dirt.length, 1);
  t.like(dirt[0], { label: 'request' });
  t.deepEqual(dirt[0]?.traces, ['open transaction']);
  await t.throwsAsync(tx.commit(), refusal('SCOPE_ENDED'));
  t.deepEqual(await namesIn(pool), []);
});

test('a transaction on a connection of its own is rolled back with the scope, and its end has waited for that', async (t) => {
  const { pool, dirt } = await watchedItems(t);
  const scope = pool.openScope({ label: 'request' });
  const tx = await scope.run(() => pool.openTransaction()).begun;
  await tx.run(() => pool.run("INSERT INTO item VALUES ('lost')"));
  t.like(pool.stats(), { leased: 1, laneHeld: 1 });
  await scope.end();
  t.like(pool.stats(), empty, 'in the very step in which the end is told');
  t.is(dirt.length, 1);
  t.is(dirt[0]?.traces[0], '1 open transaction');
  await t.throwsAsync(tx.commit(), refusal('SCOPE_ENDED'));
  await tx.rollback();
  t.deepEqual(await namesIn(pool), []);
});

test('transactions of both kinds, of a nested scope and of a part are all rolled back', async (t) => {
  const pool = await openItems(t);
  const scope = pool.openScope();
  const all = await scope.run(async () => {
    const outer = await pool.openTransaction().begun;
    const part = await outer.run(() => pool.openTransaction()).begun;
    const snapshot = await pool.openTransaction({ mode: 'read' }).begun;
    await part.run(() => pool.run("INSERT INTO item VALUES ('lost')"));
    return [outer, part, snapshot];
  });
  t.is(pool.stats().leased, 2);
  await scope.end();
  t.like(pool.stats(), empty);
  for (const tx of all) await t.throwsAsync(tx.commit(), refusal(tx === all[1] ? 'TRANSACTION_ENDED' : 'SCOPE_ENDED'));
  t.deepEqual(await namesIn(pool), []);
});

// Between the step in which a connection or the lane is handed on, and that in which the transaction begins, lie a few
// microtasks. Nothing waits there that could be cancelled.
const microtasks = Array.from({ length: 25 }, (_, index) => index);

async function passing(count: number): Promise<void> {
  for (let passed = 0; passed < count; passed++) await Promise.resolve();
}

test('at whichever step of its beginning the scope ends, no transaction stays behind', async (t) => {
  const pool = await openItems(t);
  for (const count of microtasks) {
    const scope = pool.openScope();
    const tx = scope.run(() => pool.openTransaction());
    await passing(count);
    await scope.end();
    t.like(pool.stats(), empty, `after ${count}`);
    await t.throwsAsync(tx.commit(), refusal('SCOPE_ENDED'), `after ${count}`);
  }
});

test('nor where it had to queue for the lane', async (t) => {
  const pool = await openItems(t);
  for (const count of microtasks) {
    const holder = await pool.openTransaction().begun;
    const scope = pool.openScope();
    const tx = scope.run(() => pool.openTransaction());
    await settled();
    t.is(pool.stats().laneWaiting, 1);
    const committed = holder.commit();
    await passing(count);
    await scope.end();
    await t.throwsAsync(tx.commit(), refusal('SCOPE_ENDED'), `after ${count}`);
    await committed;
    t.like(pool.stats(), empty, `after ${count}`);
  }
});

test('nor where it waited for the connection of the scope', async (t) => {
  const pool = await openItems(t, { max: 1 });
  for (const count of microtasks) {
    const held = await pool.acquire();
    const scope = pool.openScope();
    const binding = scope.run(() => pool.connection()).catch(() => {});
    const tx = scope.run(() => pool.openTransaction());
    await settled();
    held.close();
    await passing(count);
    await scope.end();
    // On the scope's own connection, it may be that which was taken from it.
    const error = await t.throwsAsync(tx.commit());
    t.regex((error as { code?: string }).code ?? '', /^ERR_LEASEHOLD_SCOPE_ENDED$/, `after ${count}`);
    await binding;
    t.like(pool.stats(), empty, `after ${count}`);
  }
});

test('a connection that is handed over in the step in which the scope ends goes back at once', async (t) => {
  const pool = await openItems(t, { max: 1 });
  for (const count of microtasks) {
    const held = await pool.acquire();
    const scope = pool.openScope();
    const binding = scope.run(() => pool.connection());
    // Either it comes too late, or it is taken away again.
    const use = t.throwsAsync(
      binding.then(async (db) => {
        await settled();
        db.prepare('SELECT 1');
      }),
      refusal('SCOPE_ENDED'),
      `after ${count}`,
    );
    held.close();
    await passing(count);
    const ended = scope.end();
    await use;
    await ended;
    t.like(pool.stats(), empty, `after ${count}`);
  }
});

test('an abort of its signal ends what waits in it and its transactions, and not the scope', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const controller = new AbortController();
  const scope = pool.openScope({ signal: controller.signal });
  const tx = await scope.run(() => pool.openTransaction()).begun;
  await tx.run(() => pool.run("INSERT INTO item VALUES ('lost')"));
  const held = await pool.acquire();
  const waiting = t.throwsAsync(
    scope.run(() => pool.connection()),
    { name: 'AbortError', code: 'ABORT_ERR' },
  );
  const reason = new Error('The client is gone');
  controller.abort(reason);
  await waiting;
  const error = await t.throwsAsync(tx.commit(), { name: 'AbortError', code: 'ABORT_ERR' });
  t.is(error?.cause, reason);
  t.false(scope.ended);
  await t.throwsAsync(scope.run(() => pool.openTransaction()).begun, { code: 'ABORT_ERR' });
  held.close();
  await scope.end();
  t.deepEqual(await namesIn(pool), []);
  t.like(pool.stats(), empty);
});

test('in a scope that was aborted before it was opened nothing begins', async (t) => {
  const pool = await openItems(t);
  const scope = pool.openScope({ signal: AbortSignal.abort() });
  await t.throwsAsync(
    scope.run(() => pool.connection()),
    { code: 'ABORT_ERR' },
  );
  await t.throwsAsync(scope.run(() => pool.openTransaction()).begun, { code: 'ABORT_ERR' });
  await scope.end();
  t.like(pool.stats(), empty);
});

test('the signal of the scope around counts as well', async (t) => {
  const pool = await openItems(t);
  const controller = new AbortController();
  await pool.withScope(
    async () => {
      const scope = pool.openScope({ signal: new AbortController().signal });
      const tx = await scope.run(() => pool.openTransaction()).begun;
      controller.abort();
      await t.throwsAsync(tx.commit(), { code: 'ABORT_ERR' });
      await scope.end();
    },
    { signal: controller.signal },
  );
  t.like(pool.stats(), empty);
});

test('a pool that closes takes the connection of an open scope away when its time is over', async (t) => {
  const pool = await openItems(t);
  const scope = pool.openScope();
  const db = await scope.run(() => pool.connection());
  await pool.close({ timeout: 0 });
  t.throws(() => db.prepare('SELECT 1'), refusal('RELEASED'));
  t.is(scope.current, undefined);
  await scope.end();
  t.true(scope.ended);
});

test('and waits for its end where it has time', async (t) => {
  const pool = await openItems(t);
  const scope = pool.openScope();
  await scope.run(() => pool.connection());
  const closed = gate();
  const closing = pool.close({ timeout: Infinity }).then(closed.open);
  await settled();
  t.is(pool.stats().leased, 1);
  await scope.end();
  await closing;
  t.is(pool.stats().size, 0);
});
