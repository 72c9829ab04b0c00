import test from 'ava';
import type { LeasedDatabase, SqlitePool } from '../../lib/index.ts';
import { gate, settled } from '../support/gate.ts';
import { insert, namesIn, openItems } from '../support/items.ts';
import { rawDatabase, temporaryPool } from '../support/sqlite.ts';

const abort = { name: 'AbortError', code: 'ABORT_ERR' };
const reason = new RangeError('the client has gone');

type Run = (pool: SqlitePool, signal: AbortSignal, fn: (tx: LeasedDatabase) => unknown) => Promise<unknown>;

/** Ways by which a signal reaches a transaction. */
const ways: Record<string, Run> = {
  'the signal of the call': (pool, signal, fn) => pool.transaction(fn, { signal }),
  'the signal of the call, bound': (pool, signal, fn) => pool.withConnection(() => pool.transaction(fn, { signal })),
  'the signal of an unbound scope': (pool, signal, fn) => pool.withScope(() => pool.transaction(fn), { signal }),
  'the signal of a bound scope': (pool, signal, fn) => pool.withConnection(() => pool.transaction(fn), { signal }),
  'the signal of a bound scope, by the handle': (pool, signal, fn) =>
    pool.withConnection((db) => db.transaction(async () => fn(db))(), { signal }),
  'the signal of a lease': async (pool, signal, fn) => {
    await using db = await pool.acquire({ signal });
    return await db.transaction(async () => fn(db))();
  },
};

for (const [way, run] of Object.entries(ways)) {
  test(`${way}: aborted inside, statements throw and the transaction rolls back`, async (t) => {
    const pool = await openItems(t);
    const controller = new AbortController();
    const transaction = run(pool, controller.signal, async (tx) => {
      insert(tx, 'never');
      const rows = tx.prepare('VALUES (1), (2)').iterate();
      rows.next();
      controller.abort(reason);
      for (const attempt of [() => insert(tx, 'never'), () => tx.exec('SELECT 1'), () => rows.next()]) {
        t.is(t.throws(attempt, abort)?.cause, reason);
      }
      await settled();
    });
    t.is((await t.throwsAsync<Error>(transaction, abort))?.cause, reason);
    t.deepEqual(await namesIn(pool), []);
    t.like(pool.stats(), { leased: 0, laneHeld: 0, laneWaiting: 0 });
    t.is(pool.stats().counters.discarded, 0);
  });

  test(`${way}: aborted before COMMIT, nothing is kept although no statement has noticed`, async (t) => {
    const pool = await openItems(t);
    const controller = new AbortController();
    const transaction = run(pool, controller.signal, async (tx) => {
      insert(tx, 'never');
      await settled();
      controller.abort(reason);
      return 'fine';
    });
    t.is((await t.throwsAsync<Error>(transaction, abort))?.cause, reason);
    t.deepEqual(await namesIn(pool), []);
    t.like(pool.stats(), { leased: 0, laneHeld: 0 });
  });

  test(`${way}: an error of the function itself passes unchanged, aborted or not`, async (t) => {
    const pool = await openItems(t);
    const controller = new AbortController();
    const transaction = run(pool, controller.signal, async (tx) => {
      insert(tx, 'never');
      controller.abort();
      await settled();
      throw reason;
    });
    t.is(await t.throwsAsync<Error>(transaction), reason);
    t.deepEqual(await namesIn(pool), []);
  });

  test(`${way}: aborted while another in this process writes, the wait is over at once`, async (t) => {
    const pool = await openItems(t);
    const controller = new AbortController();
    const writer = await pool.acquire({ write: true });
    let outcome: unknown = 'waiting';
    const waiting = run(pool, controller.signal, () => 'ran').then(
      (result) => {
        outcome = result;
      },
      (error: unknown) => {
        outcome = error;
      },
    );
    await settled();
    controller.abort(reason);
    await settled();
    const { laneWaiting } = pool.stats();
    writer.close();
    t.like(outcome, { ...abort, cause: reason });
    t.is(laneWaiting, 0);
    await waiting;
    t.like(pool.stats(), { leased: 0, laneHeld: 0 });
  });

  test(`${way}: aborted while another process writes, the wait is over at once`, async (t) => {
    const pool = await openItems(t);
    const controller = new AbortController();
    const other = rawDatabase(t, pool.db.name);
    other.exec('BEGIN IMMEDIATE');
    const waiting = run(pool, controller.signal, () => t.fail());
    const refused = t.throwsAsync<Error>(waiting, abort);
    await settled();
    controller.abort(reason);
    t.is((await refused)?.cause, reason);
    t.like(pool.stats(), { leased: 0, laneHeld: 0, laneWaiting: 0 });
    other.exec('COMMIT');
  });
}

test('a signal that is aborted already keeps the function from being called', async (t) => {
  const pool = await openItems(t);
  const signal = AbortSignal.abort(reason);
  const never = () => t.fail();
  await t.throwsAsync(() => pool.transaction(never, { signal }), abort);
  await t.throwsAsync(() => pool.read(never, { signal }), abort);
  await pool.withConnection(async () => {
    await t.throwsAsync(() => pool.transaction(never, { signal }), abort);
    await t.throwsAsync(() => pool.read(never, { signal }), abort);
    await pool.transaction(async () => {
      for (const nesting of ['savepoint', 'join'] as const) {
        await t.throwsAsync(() => pool.transaction(never, { signal, nesting }), abort);
      }
    });
  });
  t.like(pool.stats(), { leased: 0, laneHeld: 0 });
});

test('the signal of a lease that is aborted already keeps handle.transaction from calling its function', async (t) => {
  const pool = await openItems(t);
  const controller = new AbortController();
  await using db = await pool.acquire({ signal: controller.signal });
  controller.abort(reason);
  await t.throwsAsync(() => db.transaction(async () => t.fail())() as Promise<unknown>, abort);
  t.is(pool.stats().laneHeld, 0);
});

test('the signal of a nested transaction ends only that', async (t) => {
  const pool = await openItems(t);
  await pool.transaction(async (tx) => {
    const controller = new AbortController();
    const nested = pool.transaction(
      async (inner) => {
        insert(inner, 'never');
        await pool
          .transaction(async (innermost) => {
            controller.abort(reason);
            t.throws(() => insert(innermost, 'never'), abort);
            await settled();
          })
          .catch((error: unknown) => t.like(error, abort));
      },
      { signal: controller.signal },
    );
    await t.throwsAsync(nested, abort);
    insert(tx, 'the outer one goes on');
  });
  t.deepEqual(await namesIn(pool), ['the outer one goes on']);
});

test('a part that waits for its turn leaves the queue when its signal is aborted', async (t) => {
  const pool = await openItems(t);
  await pool.transaction(async () => {
    const controller = new AbortController();
    const done = gate();
    const first = pool.transaction(() => done.passed);
    const second = t.throwsAsync(
      pool.transaction(() => t.fail(), { signal: controller.signal }),
      abort,
    );
    const third = pool.transaction((tx) => insert(tx, 'third'));
    controller.abort(reason);
    await second;
    done.open();
    await Promise.all([first, third]);
  });
  t.deepEqual(await namesIn(pool), ['third']);
});

test('an abort while the COMMIT waits for another process rolls back', async (t) => {
  const pool = temporaryPool(t, { pragmas: { journal_mode: 'delete' } });
  await pool.run('CREATE TABLE item (name TEXT)');
  const other = rawDatabase(t, pool.db.name);
  other.exec('BEGIN; SELECT * FROM item');
  const controller = new AbortController();
  const committing = pool.transaction(
    (tx) => {
      insert(tx, 'never');
      // Runs when COMMIT has failed for the first time.
      setImmediate(() => controller.abort(reason));
    },
    { signal: controller.signal },
  );
  t.is((await t.throwsAsync<Error>(committing, abort))?.cause, reason);
  other.exec('COMMIT');
  t.deepEqual(await namesIn(pool), []);
  t.like(pool.stats(), { leased: 0, laneHeld: 0 });
});

test('an abort between two tries ends them', async (t) => {
  const pool = await openItems(t);
  const other = rawDatabase(t, pool.db.name);
  const controller = new AbortController();
  let runs = 0;
  const retried = pool.transaction(
    (tx) => {
      runs++;
      tx.prepare('SELECT * FROM item').all();
      other.exec("INSERT INTO item VALUES ('other')");
      setImmediate(() => controller.abort(reason));
      insert(tx, 'never');
    },
    { mode: 'deferred', retries: 1000, signal: controller.signal },
  );
  await t.throwsAsync(retried, abort);
  t.true(runs < 1000);
  t.false((await namesIn(pool)).includes('never'));
});

const half = (db: LeasedDatabase) => insert(db, 'half');

test('what is left over of an aborted transaction is refused as a part of it, and may begin something new', async (t) => {
  const pool = await openItems(t);
  const controller = new AbortController();
  const isRolledBack = gate();
  let leftOver: Promise<void> | undefined;
  const transaction = pool.transaction(
    (tx) => {
      insert(tx, 'never');
      const rest = async (): Promise<void> => {
        await isRolledBack.passed;
        for (const part of [() => pool.transaction(half), () => pool.withConnection(half), () => pool.read(() => {})]) {
          t.is((await t.throwsAsync<Error>(part, abort))?.cause, reason);
        }
        await pool.withConnection((db) => insert(db, 'fresh'), { fresh: true });
        await pool.transaction((own) => insert(own, 'separate'), { nesting: 'separate' });
      };
      leftOver = rest();
      controller.abort(reason);
      return Promise.reject(reason);
    },
    { signal: controller.signal },
  );
  await t.throwsAsync(transaction);
  isRolledBack.open();
  await leftOver;
  t.deepEqual(await namesIn(pool), ['fresh', 'separate']);
});
