import test, { type ExecutionContext } from 'ava';
import type { SqlitePool, SqlitePoolOptions } from '../../lib/index.ts';
import { temporaryFile } from '../support/files.ts';
import { gate, settled } from '../support/gate.ts';
import { temporaryPool } from '../support/sqlite.ts';

// What ends between the grant of a turn, or of a connection, and the step in which its caller goes on.

const table = 'CREATE TABLE IF NOT EXISTS item (name TEXT)';
const insert = 'INSERT INTO item VALUES (?)';

async function twoPools(t: ExecutionContext, options?: SqlitePoolOptions) {
  const file = temporaryFile(t);
  const after = temporaryPool(t, {}, file);
  await after.run(table);
  return { pool: temporaryPool(t, options, file), after };
}

/** Asserts that the lane is free, and that the next writer is let in at once. */
async function assertFree(t: ExecutionContext, pool: SqlitePool, after: SqlitePool): Promise<void> {
  await settled();
  t.is(pool.stats().leased, 0);
  t.like(after.stats(), { laneHeld: 0, laneWaiting: 0 });
  const next = after.tryAcquire({ write: true });
  t.not(next, undefined);
  next?.close();
}

/** The calls that take the lane and its connection. Each gives back what it got. */
const calls: Record<string, (pool: SqlitePool, signal?: AbortSignal) => Promise<unknown>> = {
  transaction: (pool, signal) => pool.transaction((tx) => tx.prepare(insert).run('x'), { signal }),
  run: (pool, signal) => pool.run(insert, ['x'], { signal }),
  acquire: (pool, signal) => pool.acquire({ write: true, signal }).then((db) => void (db.open && db.close())),
  withConnection: (pool, signal) => pool.withConnection((db) => db.prepare(insert).run('x'), { write: true, signal }),
  connection: (pool, signal) => pool.withScope(() => pool.connection({ write: true, signal })),
};

const endings: Record<string, (pool: SqlitePool) => void> = {
  'closes the pool': (pool) => void pool.close({ timeout: 0 }),
  'takes away its connection': (pool) => void pool.closeOverdue(0),
};

for (const [name, call] of Object.entries(calls)) {
  for (const [what, end] of Object.entries(endings)) {
    test(`the lane comes back where a listener of \`acquire\` ${what} as ${name} gets it at once`, async (t) => {
      const { pool, after } = await twoPools(t);
      await pool.run(insert, ['first']);
      pool.once('acquire', () => end(pool));
      await call(pool).catch(() => {});
      await assertFree(t, pool, after);
    });

    test(`the lane comes back where a listener of \`acquire\` ${what} as ${name} gets it in its turn`, async (t) => {
      const { pool, after } = await twoPools(t);
      await pool.run(insert, ['first']);
      const holder = await after.acquire({ write: true });
      pool.once('acquire', () => end(pool));
      const calling = call(pool).catch(() => {});
      await settled();
      holder.close();
      await calling;
      await assertFree(t, pool, after);
    });

    test(`the lane comes back where a listener of \`acquire\` ${what} as ${name} gets the first connection`, async (t) => {
      const { pool, after } = await twoPools(t);
      pool.once('acquire', () => end(pool));
      await call(pool).catch(() => {});
      await assertFree(t, pool, after);
    });
  }

  test(`the lane comes back where the pool closes in the step in which ${name} gets its turn`, async (t) => {
    const { pool, after } = await twoPools(t);
    await pool.run(insert, ['first']);
    const holder = await after.acquire({ write: true });
    const calling = t.throwsAsync(call(pool), { code: 'ERR_LEASEHOLD_CLOSED' });
    await settled();
    holder.close();
    t.like(after.stats(), { laneHeld: 1, laneWaiting: 0 });
    await pool.close({ timeout: 0 });
    await calling;
    await assertFree(t, pool, after);
  });

  test(`the lane comes back where ${name} is aborted in the step in which it gets its turn`, async (t) => {
    const { pool, after } = await twoPools(t);
    await pool.run(insert, ['first']);
    const holder = await after.acquire({ write: true });
    const controller = new AbortController();
    const calling = t.throwsAsync(call(pool, controller.signal), { code: 'ABORT_ERR' });
    await settled();
    holder.close();
    controller.abort();
    await calling;
    await assertFree(t, pool, after);
  });

  test(`the lane comes back where the connection is retired in the step in which ${name} gets its turn`, async (t) => {
    const { pool, after } = await twoPools(t);
    await pool.run(insert, ['first']);
    const holder = await after.acquire({ write: true });
    const calling = call(pool);
    await settled();
    holder.close();
    pool.closeIdle();
    await pool.drain();
    await t.notThrowsAsync(calling);
    await assertFree(t, pool, after);
  });
}

for (const [what, end] of Object.entries(endings)) {
  test(`the lane comes back where a listener of \`acquire\` ${what} as tryAcquire gets it`, async (t) => {
    const { pool, after } = await twoPools(t);
    await pool.run(insert, ['first']);
    pool.once('acquire', () => end(pool));
    const db = pool.tryAcquire({ write: true });
    t.not(db?.open, true);
    await assertFree(t, pool, after);
  });
}

/** The same on a lease that is held already. */
const boundCalls: Record<string, (pool: SqlitePool) => Promise<unknown>> = {
  transaction: (pool) => pool.transaction((tx) => tx.prepare(insert).run('x')),
  'db.transaction': (pool) => pool.db.transaction(async () => pool.db.prepare(insert).run('x'))(),
  run: (pool) => pool.run(insert, ['x']),
  withConnection: (pool) => pool.withConnection((db) => db.prepare(insert).run('x'), { write: true }),
  connection: (pool) => pool.connection({ write: true }),
};

for (const [name, call] of Object.entries(boundCalls)) {
  test(`the lane comes back where the bound lease ends in the step in which ${name} gets its turn`, async (t) => {
    const { pool, after } = await twoPools(t);
    const holder = await after.acquire({ write: true });
    await pool.withConnection(async (db) => {
      const calling = t.throwsAsync(call(pool), { code: 'ERR_LEASEHOLD_RELEASED' });
      await settled();
      t.is(after.stats().laneWaiting, 1);
      holder.close();
      t.like(after.stats(), { laneHeld: 1, laneWaiting: 0 });
      db.close();
      await calling;
      await settled();
      t.is(after.stats().laneHeld, 0);
    });
    await assertFree(t, pool, after);
  });

  test(`the lane comes back where the scope ends about when ${name} gets its turn`, async (t) => {
    const { pool, after } = await twoPools(t);
    let written = 0;
    // From before its turn until after it, job by job.
    for (let jobs = 0; jobs < 12; jobs++) {
      const holder = await after.acquire({ write: true });
      const finish = gate();
      let calling: Promise<unknown> | undefined;
      const scope = pool.withConnection(async () => {
        calling = call(pool).then(
          () => void written++,
          (error: { code?: string }) => t.regex(String(error.code), /^ERR_LEASEHOLD_(SCOPE|TRANSACTION)_ENDED$/),
        );
        await finish.passed;
      });
      await settled();
      if (jobs < 6) finish.open();
      for (let job = 0; job < jobs % 6; job++) await Promise.resolve();
      holder.close();
      if (jobs >= 6) {
        for (let job = 0; job < jobs % 6; job++) await Promise.resolve();
        finish.open();
      }
      await scope;
      await calling;
      await assertFree(t, pool, after);
    }
    if (name === 'connection') return;
    t.like(await after.get('SELECT count(*) AS n FROM item'), { n: written });
  });
}

for (const [name, call] of Object.entries(calls)) {
  test(`the end of a scope cancels ${name} that waits for its connection to open, and the lane comes back`, async (t) => {
    const opening = gate();
    const { pool, after } = await twoPools(t, { onOpen: () => opening.passed });
    let calling: Promise<unknown> | undefined;
    await pool.withScope(async () => {
      calling = name === 'connection' ? pool.connection({ write: true }) : call(pool);
      calling.catch(() => {});
      await settled();
    });
    t.is(
      await Promise.race([calling?.catch((error: { code: string }) => error.code), settled()]),
      'ERR_LEASEHOLD_SCOPE_ENDED',
    );
    opening.open();
    await settled();
    await assertFree(t, pool, after);
  });
}
