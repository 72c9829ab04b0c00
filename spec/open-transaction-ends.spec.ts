import test from 'ava';
import { SqlitePool } from '../lib/sqlite/pool.ts';
import { FakeClock } from './support/clock.ts';
import { temporaryFile } from './support/files.ts';
import { gate, settled } from './support/gate.ts';
import { insert, namesIn, openItems, refusal } from './support/items.ts';
import { journalNeighbours, turnsUntil, watch } from './support/processes.ts';

const empty = { leased: 0, waiting: 0, laneHeld: 0, laneWaiting: 0 };

test('an abort of its signal rolls it back, and says so to whoever commits', async (t) => {
  const pool = await openItems(t);
  const controller = new AbortController();
  const tx = await pool.openTransaction({ signal: controller.signal }).begun;
  tx.run((db) => insert(db, 'lost'));
  const reason = new Error('The client is gone');
  controller.abort(reason);
  t.throws(() => tx.run((db) => insert(db, 'refused')), { code: 'ABORT_ERR' });
  const error = await t.throwsAsync(tx.commit(), { name: 'AbortError', code: 'ABORT_ERR' });
  t.is(error?.cause, reason);
  t.like(pool.stats(), empty);
  t.deepEqual(await namesIn(pool), []);
});

test('nobody needs to ask for it: the lane is free for the next one', async (t) => {
  const pool = await openItems(t);
  const controller = new AbortController();
  await pool.openTransaction({ signal: controller.signal }).begun;
  const next = pool.openTransaction();
  controller.abort();
  await next.begun;
  t.is(pool.stats().leased, 1);
  await next.commit();
});

test('an abort after its end changes nothing', async (t) => {
  const pool = await openItems(t);
  const controller = new AbortController();
  const tx = await pool.openTransaction({ signal: controller.signal }).begun;
  tx.run((db) => insert(db, 'kept'));
  await tx.commit();
  controller.abort();
  await tx.commit();
  await tx.rollback();
  t.deepEqual(await namesIn(pool), ['kept']);
});

test('a signal that outlives many of them keeps none of their listeners', async (t) => {
  const pool = await openItems(t);
  const { signal } = new AbortController();
  let listeners = 0;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
    listeners++;
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
    listeners--;
    removeEventListener.apply(signal, args);
  };
  for (const end of ['commit', 'rollback', 'rollback', 'commit'] as const) {
    const tx = await pool.openTransaction({ signal }).begun;
    t.is(listeners, 1);
    await tx[end]();
  }
  t.is(listeners, 0);
});

// An abort may come in any of the steps in which a commit is on its way. It is kept or it is not, and that is what its
// caller is told.
test('whether a commit wins or the abort that races it, its caller is told what became of it', async (t) => {
  const pool = await openItems(t);
  const told = new Set<string>();
  for (let count = 0; count < 12; count++) {
    for (const abortFirst of [false, true]) {
      const controller = new AbortController();
      const tx = await pool.openTransaction({ signal: controller.signal }).begun;
      tx.run((db) => insert(db, `${count} ${abortFirst}`));
      if (abortFirst) controller.abort();
      const committed = tx.commit().then(
        () => 'kept',
        (error: { code: string }) => error.code,
      );
      for (let passed = 0; passed < count; passed++) await Promise.resolve();
      controller.abort();
      const outcome = await committed;
      told.add(outcome);
      t.is((await namesIn(pool)).includes(`${count} ${abortFirst}`), outcome === 'kept', `after ${count}: ${outcome}`);
      t.like(pool.stats(), empty);
    }
  }
  t.deepEqual([...told].toSorted(), ['ABORT_ERR', 'kept']);
});

test('a pool that closes waits for it to be ended', async (t) => {
  const pool = await openItems(t);
  const tx = await pool.openTransaction().begun;
  tx.run((db) => insert(db, 'kept'));
  const closing = watch(pool.close({ timeout: Infinity }));
  await settled();
  t.false(closing.settled);
  tx.run((db) => insert(db, 'kept too'));
  await tx.commit();
  await closing.done;
  t.is(pool.stats().size, 0);
});

for (const bound of [false, true]) {
  const where = bound ? 'on the connection of its scope' : 'on one of its own';

  /** A pool whose time is ours, and a transaction in it that has written. */
  async function opened(t: Parameters<typeof openItems>[0]) {
    const clock = new FakeClock();
    const file = temporaryFile(t);
    const pool = new SqlitePool(file, {}, clock);
    t.teardown(() => pool.close({ timeout: 0 }));
    await pool.run('CREATE TABLE item (name TEXT)');
    const scope = pool.openScope();
    if (bound) await scope.run(() => pool.connection());
    const tx = await scope.run(() => pool.openTransaction()).begun;
    tx.run((db) => insert(db, 'lost'));
    const names = async () => {
      const other = new SqlitePool(file, {}, clock);
      const found = await namesIn(other);
      await other.close();
      return found;
    };
    return { pool, clock, scope, tx, names };
  }

  test(`it is taken away when the pool has waited long enough, ${where}`, async (t) => {
    const { pool, clock, scope, tx, names } = await opened(t);
    const closing = pool.close({ timeout: 500 });
    await clock.pass(600);
    await closing;
    t.throws(() => tx.run((db) => insert(db, 'refused')), refusal('RELEASED'));
    await t.throwsAsync(tx.commit(), refusal('RELEASED'));
    await tx.rollback();
    await scope.end();
    t.deepEqual(await names(), []);
  });

  test(`whose connection was taken away as overdue can not commit, ${where}`, async (t) => {
    const { pool, clock, scope, tx, names } = await opened(t);
    await clock.pass(1000);
    t.is(pool.closeOverdue(500), 1);
    t.like(pool.stats(), { leased: 0, laneHeld: 0 }, 'the next writer need not wait for its end');
    await t.throwsAsync(
      tx.run(() => pool.run("INSERT INTO item VALUES ('elsewhere')")),
      refusal('RELEASED'),
    );
    await t.throwsAsync(tx.commit(), refusal('RELEASED'));
    await scope.end();
    t.deepEqual(await names(), []);
    t.is(pool.stats().counters.doubleReleases, 0);
  });

  test(`nor one whose handle was closed inside, ${where}`, async (t) => {
    const { pool, scope, tx, names } = await opened(t);
    tx.run((db) => db.close());
    t.like(pool.stats(), { leased: 0, laneHeld: 0 });
    await t.throwsAsync(
      tx.run(() => pool.run("INSERT INTO item VALUES ('elsewhere')")),
      refusal('RELEASED'),
    );
    await t.throwsAsync(tx.commit(), refusal('RELEASED'));
    await tx.rollback();
    await scope.end();
    t.deepEqual(await names(), []);
  });

  test(`a scope that ends once its connection is gone reports nothing but that, ${where}`, async (t) => {
    const { pool, scope, tx } = await opened(t);
    tx.run((db) => db.close());
    const dirt: string[] = [];
    pool.on('dirty', ({ traces }) => dirt.push(...traces));
    await scope.end();
    t.deepEqual(dirt, []);
    await t.throwsAsync(tx.commit());
    t.is(pool.stats().leased, 0);
  });
}

const interruptions = {
  'an abort': 'ABORT_ERR',
  'the end of the scope': 'ERR_LEASEHOLD_SCOPE_ENDED',
  'the end of the pool': 'ERR_LEASEHOLD_RELEASED',
} as const;

for (const [what, code] of Object.entries(interruptions)) {
  test(`${what} breaks off a commit that waits for the readers of another process`, async (t) => {
    const { pool, other, refusals } = await journalNeighbours(t);
    const controller = new AbortController();
    const scope = pool.openScope({ signal: controller.signal });
    const tx = await scope.run(() => pool.openTransaction()).begun;
    await tx.run(() => pool.run('INSERT INTO n VALUES (2)'));
    await other.exec('BEGIN; SELECT * FROM n');
    const before = refusals();
    const committed = t.throwsAsync(tx.commit(), { code });
    await turnsUntil(() => refusals() > before);
    // What was asked first counts, and it is not done yet.
    const rolledBack = watch(tx.rollback());
    await settled();
    t.false(rolledBack.settled);
    if (what === 'an abort') controller.abort();
    else if (what === 'the end of the scope') await scope.end();
    else await pool.close({ timeout: 0 });
    await committed;
    await rolledBack.done;
    await scope.end();
    t.like(pool.stats(), empty);
    await other.exec('COMMIT');
    t.is(await other.value('SELECT count(*) FROM n'), 1);
  });
}

test('a commit that waits for another process goes on when that is done, whoever asks for a rollback meanwhile', async (t) => {
  const { pool, other, refusals } = await journalNeighbours(t);
  const tx = await pool.openTransaction().begun;
  await tx.run(() => pool.run('INSERT INTO n VALUES (2)'));
  await other.exec('BEGIN; SELECT * FROM n');
  const before = refusals();
  const committed = tx.commit();
  await turnsUntil(() => refusals() > before);
  const rolledBack = tx.rollback();
  await other.exec('COMMIT');
  await committed;
  await rolledBack;
  t.is(await other.value('SELECT count(*) FROM n'), 2);
});

test('while it is being given back, its end, a second one and that of the scope wait for the same', async (t) => {
  const returned = gate();
  let isHeld = false;
  const pool = await openItems(t, { onRelease: () => (isHeld ? returned.passed : undefined) });
  const scope = pool.openScope();
  const tx = await scope.run(() => pool.openTransaction()).begun;
  isHeld = true;
  const ends = [tx.rollback(), tx.rollback(), scope.end(), tx[Symbol.asyncDispose]()].map(watch);
  await settled();
  t.deepEqual(
    ends.map(({ settled: isSettled }) => isSettled),
    [false, false, false, false],
  );
  returned.open();
  await Promise.all(ends.map(({ done }) => done));
  t.like(pool.stats(), empty);
  isHeld = false;
});

test('a function of the transaction may end the scope, and waits for no longer than anybody', async (t) => {
  const pool = await openItems(t);
  const scope = pool.openScope();
  const tx = await scope.run(() => pool.openTransaction()).begun;
  await tx.run(async () => {
    await pool.run("INSERT INTO item VALUES ('lost')");
    await scope.end();
    t.like(pool.stats(), empty);
    await t.throwsAsync(pool.run("INSERT INTO item VALUES ('late')"), refusal('TRANSACTION_ENDED'));
  });
  t.deepEqual(await namesIn(pool), []);
});

test('and it may end the transaction itself', async (t) => {
  const pool = await openItems(t);
  for (const end of ['commit', 'rollback'] as const) {
    const tx = await pool.openTransaction().begun;
    await tx.run(async () => {
      await pool.run('INSERT INTO item VALUES (?)', [end]);
      await tx[end]();
      await t.throwsAsync(pool.run("INSERT INTO item VALUES ('late')"), refusal('TRANSACTION_ENDED'));
    });
    t.like(pool.stats(), empty);
  }
  t.deepEqual(await namesIn(pool), ['commit']);
});
