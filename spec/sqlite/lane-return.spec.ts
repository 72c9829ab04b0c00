import { setTimeout } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import type { SqlitePool, SqlitePoolOptions } from '../../lib/index.ts';
import type { LeasedDatabase } from '../../lib/sqlite/handle.ts';
import { temporaryFile } from '../support/files.ts';
import { gate, settled } from '../support/gate.ts';
import { collected } from '../support/gc.ts';
import { temporaryPool } from '../support/sqlite.ts';

const table = `CREATE TABLE item (name TEXT PRIMARY KEY ON CONFLICT ROLLBACK);
  CREATE TABLE tag (item TEXT REFERENCES item (name) DEFERRABLE INITIALLY DEFERRED)`;
const insert = 'INSERT INTO item VALUES (?)';

/** What happens in the middle of a transaction, after a write. Throws or rejects as it likes. */
type Middle = (tx: LeasedDatabase, pool: SqlitePool, controller: AbortController) => unknown;

/** Two pools of one file: one for what is tried, one for what comes after. */
async function twoPools(t: ExecutionContext, options?: SqlitePoolOptions) {
  const file = temporaryFile(t);
  const after = temporaryPool(t, {}, file);
  await after.withConnection((db) => void db.exec(table));
  return { pool: temporaryPool(t, options, file), after };
}

/** Asserts that nothing is held any more, and that the next writer is let in at once. */
async function assertFree(t: ExecutionContext, pool: SqlitePool, after: SqlitePool, rows: number): Promise<void> {
  await settled();
  t.like(after.stats(), { laneHeld: 0, laneWaiting: 0 });
  t.is(pool.stats().leased, 0);
  const next = after.tryAcquire({ write: true });
  t.not(next, undefined);
  t.is(next?.prepare('SELECT count(*) FROM item').pluck().get(), rows);
  next?.prepare(insert).run('next');
  next?.close();
  if (!pool.closed) t.is(await pool.transaction((tx) => tx.prepare(insert).run('last').changes), 1);
}

const middles: Record<string, { readonly kept: boolean; readonly act: Middle }> = {
  returns: { kept: true, act: () => 'result' },
  'resolves after an await': { kept: true, act: () => settled() },
  throws: {
    kept: false,
    act: () => {
      throw new Error('mine');
    },
  },
  'rejects after an await': { kept: false, act: () => settled().then(() => Promise.reject(new Error('mine'))) },
  'rejects with undefined': { kept: false, act: () => Promise.reject(undefined) },
  'is aborted': {
    kept: false,
    act: async (_, __, controller) => {
      controller.abort();
      await settled();
    },
  },
  'closes its handle': { kept: false, act: (tx) => void tx.close() },
  'closes its handle and goes on': {
    kept: false,
    act: async (tx) => {
      tx.close();
      await settled();
      tx.prepare(insert).run('late');
    },
  },
  'discards its connection': { kept: true, act: (tx) => void tx.discard() },
  'violates a deferred foreign key, which COMMIT finds': {
    kept: false,
    act: (tx) => tx.prepare("INSERT INTO tag VALUES ('missing')").run(),
  },
  'has a statement fail that rolls it back': { kept: false, act: (tx) => tx.prepare(insert).run('mine') },
  'leaves an iterator open': { kept: false, act: (tx) => tx.prepare('SELECT 1 UNION SELECT 2').iterate().next() },
  'leaves a nested one open': {
    kept: false,
    act: (_, pool) => {
      pool.transaction(() => settled()).catch(() => {});
    },
  },
  'is in the middle when the pool closes at once': {
    kept: false,
    act: async (_, pool) => {
      await pool.close({ timeout: 0 });
    },
  },
  'is in the middle when the pool closes, which waits for it': {
    kept: true,
    act: async (_, pool) => {
      void pool.close({ timeout: 60_000 });
      await settled();
    },
  },
  'is taken for overdue': {
    kept: false,
    act: async (_, pool) => {
      pool.closeOverdue(0);
      await settled();
    },
  },
  'is in the middle when the pool is drained': {
    kept: true,
    act: async (_, pool) => {
      void pool.drain();
      await settled();
    },
  },
};

for (const [title, { kept, act }] of Object.entries(middles)) {
  test(`lane and connection come back from a transaction that ${title}`, async (t) => {
    const { pool, after } = await twoPools(t);
    const controller = new AbortController();
    const middle = (tx: LeasedDatabase) => {
      tx.prepare(insert).run('mine');
      return act(tx, pool, controller);
    };
    await pool.transaction(middle, { signal: controller.signal }).catch(() => {});
    await assertFree(t, pool, after, kept ? 1 : 0);
  });

  test(`lane and connection come back from a transaction on a bound lease that ${title}`, async (t) => {
    const { pool, after } = await twoPools(t, { max: 1 });
    const controller = new AbortController();
    let heldAfter: number | undefined;
    await pool
      .withConnection(async (db) => {
        const middle = () => {
          db.prepare(insert).run('mine');
          return act(db, pool, controller);
        };
        await pool.transaction(middle, { signal: controller.signal }).catch(() => {});
        heldAfter = after.stats().laneHeld;
      })
      .catch(() => {});
    t.is(heldAfter, 0, 'with the transaction, not with the lease');
    await assertFree(t, pool, after, kept ? 1 : 0);
  });

  test(`lane and connection come back from a write scope that ${title}`, async (t) => {
    const { pool, after } = await twoPools(t);
    const controller = new AbortController();
    const middle = (db: LeasedDatabase) => {
      db.prepare(insert).run('mine');
      return act(db, pool, controller);
    };
    await pool.withConnection(middle, { write: true, signal: controller.signal }).catch(() => {});
    await assertFree(t, pool, after, 1);
  });
}

for (const when of ['at once', 'after a wait'] as const) {
  test(`the lane comes back where its connection can not be opened ${when}`, async (t) => {
    let fails = true;
    const { pool, after } = await twoPools(t, {
      // What has failed to open is tried again after a pause, so one deadline has to be far behind all of them.
      acquireTimeout: 50_000,
      onOpen: () => {
        if (fails) throw new Error('no luck');
      },
    });
    const holder = when === 'at once' ? undefined : await after.acquire({ write: true });
    const attempts = [pool.transaction(() => t.fail()), pool.acquire({ write: true }), pool.run(insert, ['x'])];
    const errors = Promise.all(attempts.map((attempt) => t.throwsAsync(attempt, { code: 'ERR_LEASEHOLD_OPEN' })));
    await settled();
    holder?.close();
    await errors;
    await settled();
    t.like(after.stats(), { laneHeld: 0, laneWaiting: 0 });
    fails = false;
    await assertFree(t, pool, after, 0);
  });
}

test('the lane comes back where the connection opens too late', async (t) => {
  const opening = gate();
  const { pool, after } = await twoPools(t, { acquireTimeout: 5, onOpen: () => opening.passed });
  await t.throwsAsync(pool.transaction(() => t.fail()));
  t.is(after.stats().laneHeld, 0);
  opening.open();
  await settled();
  t.is(after.stats().laneHeld, 0);
});

test('the lane is kept while `onAcquire` refuses connections, and comes back when it never accepts one', async (t) => {
  let refusals = 2;
  const { pool, after } = await twoPools(t, { onAcquire: () => refusals-- <= 0 });
  t.is(await pool.transaction((tx) => tx.prepare(insert).run('x').changes), 1);
  refusals = Infinity;
  await t.throwsAsync(
    pool.transaction(() => t.fail(), { timeout: 20 }),
    { code: 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT' },
  );
  await t.throwsAsync(pool.run(insert, ['y'], { timeout: 20 }), { code: 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT' });
  t.is(pool.tryAcquire({ write: true }), undefined);
  refusals = 0;
  await assertFree(t, pool, after, 1);
});

test('the lane comes back before a slow `onRelease`, which the next writer of the pool waits for', async (t) => {
  const hook = gate();
  let slow = false;
  const { pool, after } = await twoPools(t, { onRelease: () => (slow ? hook.passed : undefined) });
  await pool.run(insert, ['first']);
  slow = true;
  const first = pool.transaction((tx) => void tx.prepare(insert).run('second'));
  await settled();
  t.is(after.stats().laneHeld, 0);
  t.is(await after.transaction((tx) => tx.prepare(insert).run('other').changes), 1);
  const next = pool.transaction((tx) => tx.prepare(insert).run('third').changes);
  await settled();
  slow = false;
  hook.open();
  await first;
  t.is(await next, 1);
  await assertFree(t, pool, after, 4);
});

test('a handle with the lane that is dropped and collected gives both back', async (t) => {
  const { pool, after } = await twoPools(t, { leakThreshold: 1 });
  const leaks: unknown[] = [];
  pool.on('leak', (event) => leaks.push(event));
  await (async () => {
    const db = await pool.acquire({ write: true, label: 'forgetful' });
    db.prepare(insert).run('kept');
    db.exec("BEGIN; INSERT INTO item VALUES ('lost')");
  })();
  t.is(after.stats().laneHeld, 1);
  const waiting = after.transaction(() => 'in', { timeout: Infinity });
  // Housekeeping comes by now and then.
  t.true(await collected(() => pool.stats().leased === 0));
  t.is(await waiting, 'in');
  t.true(leaks.length > 0);
  await assertFree(t, pool, after, 1);
});

test('a lane that came back by one way is not given back once more by another', async (t) => {
  const { pool, after } = await twoPools(t);
  const inside = gate();
  const db = await pool.acquire({ write: true });
  db.close();
  const holding = after.transaction(() => inside.passed);
  await settled();
  db.close();
  await db[Symbol.asyncDispose]();
  t.is(after.stats().laneHeld, 1);
  inside.open();
  await holding;
  await setTimeout(0);
  await assertFree(t, pool, after, 0);
});
