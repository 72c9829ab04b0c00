import test, { type ExecutionContext } from 'ava';
import type { SqlitePool, SqlitePoolOptions } from '../../lib/index.ts';
import { FakeClock } from '../support/clock.ts';
import { failing, faultyPool, goesOn, sqliteError } from '../support/faults.ts';
import { type Gate, gate, settled } from '../support/gate.ts';
import { Enough, insert, namesIn, refusal } from '../support/items.ts';

const closeError = sqliteError('SQLITE_IOERR_CLOSE');

/** A pool on a file that is there, whose hooks do what they are told from now on, and no connection of which is open. */
async function hookedPool(t: ExecutionContext, options: SqlitePoolOptions = {}) {
  const clock = new FakeClock();
  const hooks: Record<'onOpen' | 'onAcquire' | 'onRelease', (() => unknown) | undefined> = {
    onOpen: undefined,
    onAcquire: undefined,
    onRelease: undefined,
  };
  const made = await faultyPool(
    t,
    {
      max: 2,
      acquireTimeout: 1000,
      onOpen: () => hooks.onOpen?.(),
      onAcquire: () => hooks.onAcquire?.(),
      onRelease: () => hooks.onRelease?.(),
      ...options,
    },
    { clock },
  );
  await settled();
  made.pool.closeIdle();
  t.is(made.faults.open(), 0);
  return { ...made, clock, hooks };
}

/** What needs a connection: one of the pool, or that of its lane. */
const uses: Record<string, (pool: SqlitePool) => Promise<unknown>> = {
  acquire: async (pool) => (await pool.acquire()).close(),
  withConnection: (pool) => pool.withConnection(() => {}),
  'a write scope': (pool) => pool.withConnection(() => {}, { write: true }),
  transaction: (pool) => pool.transaction(() => {}),
  'a bound transaction': (pool) => pool.withConnection(() => pool.transaction(() => {})),
  read: (pool) => pool.read(() => {}),
  run: (pool) => pool.run('DELETE FROM item'),
};

for (const [name, call] of Object.entries(uses)) {
  for (const how of ['throws', 'rejects'] as const) {
    test(`${name} is told of an onOpen that ${how}, also where its connection can not be closed`, async (t) => {
      const { pool, faults, errors, hooks, clock } = await hookedPool(t);
      const failure = new Enough();
      hooks.onOpen = () => {
        if (how === 'throws') throw failure;
        return Promise.reject(failure);
      };
      faults.decide = failing(closeError, 'close');
      const error = await t.throwsAsync(call(pool), refusal('OPEN'));
      t.is(error?.cause, failure);
      t.deepEqual(errors, [closeError]);
      t.like(pool.stats(), { size: 0, leased: 0, waiting: 0, laneHeld: 0, laneWaiting: 0 });
      faults.mend();
      hooks.onOpen = undefined;
      await clock.pass(1000);
      await goesOn(t, pool);
      t.is(errors.length, 1);
    });
  }

  test(`${name} does not wait for an onOpen that hangs; what that comes to later is nobody's, also where its connection can not be closed`, async (t) => {
    const { pool, faults, errors, hooks, clock } = await hookedPool(t);
    for (const fails of [false, true]) {
      const hook = gate();
      hooks.onOpen = () => hook.passed;
      faults.decide = failing(closeError, 'close');
      const refused = t.throwsAsync<Error & { code: string }>(call(pool));
      await settled();
      await clock.pass(3000);
      const error = await refused;
      t.regex(error?.code ?? '', /^ERR_LEASEHOLD_(?:OPEN|ACQUIRE_TIMEOUT|WRITE_TIMEOUT)$/);
      t.like(pool.stats(), { leased: 0, waiting: 0, laneHeld: 0, laneWaiting: 0 });
      if (fails) hook.fail(new Enough());
      else hook.open();
      await settled();
      faults.mend();
    }
    t.true(errors.length >= 2 && errors.every((error) => error === closeError), 'Each that was given up is reported');
    t.is(faults.open(), errors.length);
    hooks.onOpen = undefined;
    await clock.pass(1000);
    await goesOn(t, pool);
  });

  test(`${name} gets another connection where onAcquire throws and the first one can not be closed`, async (t) => {
    const { pool, faults, errors, hooks, clock } = await hookedPool(t);
    const failure = new Enough();
    for (const how of ['throws', 'rejects'] as const) {
      let calls = 0;
      hooks.onAcquire = () => {
        if (++calls > 1) return undefined;
        if (how === 'throws') throw failure;
        return Promise.reject(failure);
      };
      faults.decide = failing(closeError, 'close');
      const served = call(pool);
      await settled();
      // A new connection that nobody wanted is as good as one that could not be opened.
      await clock.pass(500);
      await t.notThrowsAsync(served);
      faults.mend();
    }
    t.deepEqual(errors, [failure, closeError, failure, closeError]);
    t.is(pool.stats().counters.discarded, 2);
    await goesOn(t, pool);
  });

  test(`what ${name} came to passes through an onRelease that throws, rejects or hangs, where its connection can not be closed`, async (t) => {
    const failure = new Enough();
    const behaviours: (() => unknown)[] = [
      () => {
        throw failure;
      },
      () => Promise.reject(failure),
      () => new Promise(() => {}),
      () => false,
    ];
    for (const behaviour of behaviours) {
      const { pool, faults, errors, hooks, clock } = await hookedPool(t);
      hooks.onRelease = behaviour;
      faults.decide = failing(closeError, 'close');
      const done = call(pool);
      for (let waited = 0; waited < 5; waited++) await clock.pass(1000);
      await t.notThrowsAsync(done);
      t.true(errors.includes(closeError));
      t.is(errors.filter((error) => error === closeError).length, faults.open(), 'Each that is left is reported');
      t.true(pool.stats().counters.discarded >= 1);
      t.like(pool.stats(), { size: 0, leased: 0, laneHeld: 0, laneWaiting: 0 });
      faults.mend();
      hooks.onRelease = undefined;
      await goesOn(t, pool);
    }
  });
}

test('an onOpen that is done after its acquire has timed out serves whoever comes next', async (t) => {
  const { pool, hooks, clock, faults, errors } = await hookedPool(t);
  const hook = gate();
  hooks.onOpen = () => hook.passed;
  const refused = t.throwsAsync(pool.acquire({ timeout: 100 }), refusal('ACQUIRE_TIMEOUT'));
  await clock.pass(100);
  await refused;
  hook.open();
  await settled();
  t.like(pool.stats(), { size: 1, idle: 1 });
  hooks.onOpen = () => t.fail();
  await pool.withConnection((db) => void db.prepare('SELECT * FROM item').all());
  hooks.onOpen = undefined;
  await goesOn(t, pool);
  t.is(faults.open(), pool.stats().size);
  t.deepEqual(errors, []);
});

for (const hookName of ['onOpen', 'onAcquire', 'onRelease'] as const) {
  for (const forced of [false, true]) {
    test(`a pool that closes ${forced ? 'by force ' : ''}while ${hookName} is under way on every connection closes them when it is done, or reports those it can not close`, async (t) => {
      for (const closes of [true, false]) {
        const { pool, hooks, clock, faults, errors } = await hookedPool(t);
        const begun: Gate[] = [];
        hooks[hookName] = () => {
          const hook = gate();
          begun.push(hook);
          return hook.passed;
        };
        // On both connections of the pool, and on that of its lane.
        const running = [
          pool.withConnection(() => pool.get('SELECT 1')),
          pool.withConnection(() => pool.get('SELECT 1')),
          pool.transaction((tx) => insert(tx, 'cog')),
        ];
        const outcomes = Promise.allSettled(running);
        await settled();
        t.is(begun.length, 3);
        if (!closes) faults.decide = failing(closeError, 'close');
        let closed = false;
        const closing = pool.close({ timeout: forced ? 0 : 500 }).then(() => {
          closed = true;
        });
        await settled();
        if (!forced) {
          t.false(closed);
          for (const hook of begun) hook.open();
          await settled();
        }
        t.true(closed, 'at once, no timer is waited for');
        await closing;
        // Late, if it was by force.
        for (const hook of begun) hook.open();
        await settled();
        for (const outcome of await outcomes) {
          if (hookName === 'onRelease') t.is(outcome.status, 'fulfilled');
          else t.like(outcome, { reason: refusal('CLOSED') });
        }
        t.is(pool.stats().size, 0);
        // By force a hook is given up, which is reported too.
        const unclosed = errors.filter(({ name }) => name !== 'PatienceError');
        t.deepEqual(unclosed, closes ? [] : [closeError, closeError, closeError]);
        t.is(faults.open(), unclosed.length);
        t.is(clock.pending, 0);
      }
    });
  }
}

test('onRelease does not see a connection whose transaction could be neither committed nor rolled back', async (t) => {
  const { pool, faults, errors, hooks } = await hookedPool(t);
  const [first, second] = [sqliteError('SQLITE_IOERR_FSYNC'), sqliteError('SQLITE_IOERR')];
  let seen = 0;
  hooks.onRelease = () => void seen++;
  const commit = failing(first, 'run COMMIT');
  const rollback = failing(second, 'run ROLLBACK', 'exec ROLLBACK');
  const close = failing(closeError, 'close');
  faults.decide = (call, sql) => commit(call, sql) ?? rollback(call, sql) ?? close(call, sql);
  t.is(await t.throwsAsync(pool.transaction((tx) => insert(tx, 'never'))), first);
  await settled();
  t.is(seen, 0);
  t.deepEqual([...new Set(errors)], [second, closeError]);
  faults.closeOrphans();
  hooks.onRelease = undefined;
  t.deepEqual(await namesIn(pool), []);
  await goesOn(t, pool);
});
