import { setImmediate } from 'node:timers/promises';
import test from 'ava';
import { OpenError } from '../../lib/index.ts';
import { FakeClock } from '../support/clock.ts';
import { failing, failingTimes, faultyPool, goesOn, seeded, sqliteError } from '../support/faults.ts';
import { insert } from '../support/items.ts';

/** What an open or its set-up may fail with, and whether that may pass by itself. */
const failures = [
  sqliteError('SQLITE_CANTOPEN'),
  sqliteError('SQLITE_BUSY'),
  sqliteError('SQLITE_IOERR_SHMOPEN'),
  Object.assign(new Error('too many open files'), { code: 'EMFILE' }),
];

/** What those may be told who ask for a connection while some can not be opened. */
const codes = new Set(['ERR_LEASEHOLD_OPEN', 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT', 'ERR_LEASEHOLD_WRITE_TIMEOUT']);

for (const seed of [1, 2, 3, 4, 5, 6]) {
  test(`where opens fail at random, each call settles, no slot is lost, and none is tried without a pause (seed ${seed})`, async (t) => {
    const clock = new FakeClock();
    const isAsync = seed % 2 === 0;
    const { pool, faults, errors } = await faultyPool(
      t,
      { max: 4, min: 2, maxUses: 2, acquireTimeout: 3000, onOpen: isAsync ? async () => {} : () => {} },
      { clock },
    );
    await pool.ready();
    const random = seeded(seed);
    /** When an open failed. */
    const failed: number[] = [];
    // The open itself, or a step of what follows it: then there is a connection to be closed.
    const steps = new Set(['open', 'pragma schema_version', 'get SELECT 1']);
    faults.decide = (call, sql) => {
      const step = call === 'open' ? call : `${call} ${sql}`;
      if (!steps.has(step) || random() < 0.6) return undefined;
      failed.push(clock.now());
      return failures[Math.floor(random() * failures.length)];
    };
    const use = async (): Promise<void> => {
      for (let turn = Math.floor(random() * 5); turn > 0; turn--) await setImmediate();
    };
    const kinds: readonly (() => unknown)[] = [
      () => pool.withConnection(use),
      () => pool.withConnection(use, { write: true }),
      () =>
        pool.transaction(async (tx) => {
          insert(tx, 'row');
          await use();
        }),
      () => pool.read(use),
      () => pool.run("INSERT INTO item VALUES ('row')"),
      () => pool.get('SELECT count(*) FROM item'),
      () => pool.ready(),
      async () => pool.tryAcquire()?.close(),
      async () => pool.closeIdle(),
    ];
    const open = new Set<number>();
    const outcomes: Promise<unknown>[] = [];
    for (let index = 0; index < 300; index++) {
      const kind = kinds[Math.floor(random() * kinds.length)];
      open.add(index);
      const outcome = Promise.resolve(kind?.()).finally(() => open.delete(index));
      outcome.catch(() => {});
      outcomes.push(outcome);
      if (random() < 0.1) await clock.pass(random() * 100);
    }
    // The longest wait is that of a writer who first waits for the file, and then for its turn.
    for (let waited = 0; open.size > 0 && waited < 20_000; waited += 100) await clock.pass(100);
    t.is(open.size, 0, 'Every call has settled');
    let refused = 0;
    for (const outcome of await Promise.allSettled(outcomes)) {
      if (outcome.status === 'fulfilled') continue;
      refused++;
      const { code, cause } = outcome.reason as { code: string; cause: unknown };
      t.true(codes.has(code), code);
      if (code !== 'ERR_LEASEHOLD_OPEN') continue;
      // `ready` may have seen each open succeed, and its connections used up before there were enough of them.
      t.true(failures.includes(cause as Error) || (cause as Error).name === 'PatienceError');
    }
    t.true(failed.length > 10 && refused > 0 && refused < 300, `${failed.length} failures, ${refused} refused`);
    // The pool and its lane each pause for 25 ms or longer. Several opens may be under way where a hook is asynchronous.
    const together = isAsync ? 8 : 2;
    t.true(failed.every((at, index) => (failed[index + together] ?? Infinity) - at >= 25));
    t.is(faults.open(), pool.stats().size, 'Those that were opened in vain are closed');
    faults.mend();
    await clock.pass(1000);
    const all = await Promise.all([1, 2, 3, 4].map(() => pool.acquire()));
    for (const db of all) db.close();
    await goesOn(t, pool);
    // Of the opens that nobody waited for, those that keep `min`.
    t.true(errors.every((error) => error instanceof OpenError));
  });
}

// The failure to close replaces that of the open.
test('a connection that can neither be set up nor closed is reported, and its acquire is told why it could not be set up', async (t) => {
  const { pool, faults, errors } = await faultyPool(t, { max: 1 });
  pool.closeIdle();
  const [first, second] = [sqliteError('SQLITE_CANTOPEN'), sqliteError('SQLITE_IOERR_CLOSE')];
  const set = failing(first, 'pragma');
  const close = failing(second, 'close');
  faults.decide = (call, sql) => set(call, sql) ?? close(call, sql);
  t.like(await t.throwsAsync(pool.acquire()), { code: 'ERR_LEASEHOLD_OPEN', cause: first });
  t.deepEqual(errors, [second]);
  faults.mend();
  await goesOn(t, pool);
});

test('where nothing can be opened for as long as it takes, a crowd of readers and writers costs no more tries than one', async (t) => {
  const clock = new FakeClock();
  const { pool, faults } = await faultyPool(t, { max: 4, acquireTimeout: 20_000 }, { clock });
  await pool.drain();
  // It may pass, so all go on waiting.
  faults.decide = failing(sqliteError('SQLITE_BUSY'), 'open');
  const before = faults.tries();
  const crowd = Array.from({ length: 50 }, (_, index) => [
    pool.get('SELECT 1'),
    pool.withConnection(() => index),
    pool.run("INSERT INTO item VALUES ('row')"),
    pool.transaction((tx) => insert(tx, 'row')),
  ]).flat();
  await clock.pass(10_000);
  const tries = faults.tries() - before;
  // Pauses of 50, 100 … 1000 ms, each shortened by up to a half, of the pool and of its lane.
  t.true(tries >= 2 * 13 && tries <= 2 * 26, `${tries} tries in 10 s`);
  faults.mend();
  await clock.pass(1000);
  await Promise.all(crowd);
  t.is(await pool.get<{ n: number }>('SELECT count(*) AS n FROM item').then((row) => row?.n), 100);
  await goesOn(t, pool);
});

for (const asynchronous of [false, true]) {
  test(`a warmed pool that loses its connections to a file that can not be opened reports it, and is warm again by itself (${asynchronous ? 'asynchronous' : 'synchronous'} onOpen)`, async (t) => {
    const clock = new FakeClock();
    const hook = asynchronous ? async () => {} : () => {};
    const { pool, faults, errors } = await faultyPool(
      t,
      { min: 3, max: 4, idleTimeout: 1000, onOpen: hook },
      { clock },
    );
    await pool.ready();
    t.is(pool.stats().size, 4, 'and that of the lane');
    const failure = sqliteError('SQLITE_CANTOPEN');
    const closeError = sqliteError('SQLITE_IOERR_CLOSE');
    const open = failing(failure, 'open');
    const close = failingTimes(4, closeError, 'close');
    faults.decide = (call, sql) => open(call, sql) ?? close(call, sql);
    const before = faults.tries();
    t.is(pool.closeIdle(), 4);
    await clock.pass(10_000);
    t.is(errors.filter((error) => error === closeError).length, 4);
    const others = errors.filter((error) => error !== closeError);
    t.true(others.length > 0 && others.every((error) => error instanceof OpenError && error.cause === failure));
    t.true(faults.tries() - before <= 26, `${faults.tries() - before} tries in 10 s`);
    faults.mend();
    await clock.pass(5000);
    t.is(pool.stats().idle, 3);
    t.is(faults.open(), 3 + 4, 'those that it has, and those that could not be closed');
    faults.closeOrphans();
    await goesOn(t, pool);
  });
}
