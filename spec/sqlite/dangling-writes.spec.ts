import test, { type ExecutionContext } from 'ava';
import type { SqlitePool } from '../../lib/index.ts';
import { heldLane, outlived, tracesOf, watchedItems } from '../support/dangling.ts';
import { temporaryFile } from '../support/files.ts';
import { gate, settled } from '../support/gate.ts';
import { namesIn } from '../support/items.ts';
import { labelledPool } from '../support/labels.ts';
import { otherDatabase } from '../support/processes.ts';
import { temporaryPool, watchDirt } from '../support/sqlite.ts';

const label = 'job';

test('every way to wait for the write lane is a queued write, with a connection and without', async (t) => {
  const { pool, dirt } = await watchedItems(t);
  const release = await heldLane(t, pool);
  const ways: readonly (() => Promise<unknown>)[] = [
    () => pool.transaction(() => t.fail()),
    () => pool.run("INSERT INTO item VALUES ('lost')"),
    () => pool.withConnection(() => t.fail(), { write: true }),
    () => pool.connection({ write: true }),
    () => pool.acquire({ write: true }),
    () => pool.withConnection(() => t.fail(), { write: true, fresh: true }),
  ];
  for (const [index, way] of ways.entries()) {
    for (const isBound of [false, true]) {
      dirt.length = 0;
      const left: Promise<unknown>[] = [];
      await pool.withScope(
        async () => {
          if (isBound) await pool.connection();
          left.push(outlived(t, way(), 'SCOPE_ENDED'));
          await settled();
        },
        { label },
      );
      await Promise.all(left);
      t.deepEqual(tracesOf(dirt), [[label, '1 queued write']], `way ${index}, ${isBound ? 'bound' : 'unbound'}`);
      t.is(dirt[0]?.lease === undefined, !isBound);
      t.is(pool.stats().laneWaiting, 0);
    }
  }
  await release();
  t.deepEqual(await namesIn(pool), []);
  pool.assertIdle();
});

/** What the end of a scope tells of one who waits in it for another process's lock. */
async function behindOtherProcess(t: ExecutionContext, isBound: boolean): Promise<(string | undefined)[][]> {
  const file = temporaryFile(t);
  const pool = temporaryPool(t, {}, file);
  await pool.run('CREATE TABLE item (name TEXT)');
  const dirt = watchDirt(pool);
  const other = await otherDatabase(t, file);
  await other.exec('BEGIN IMMEDIATE');
  const left: Promise<unknown>[] = [];
  await pool.withScope(
    async () => {
      if (isBound) await pool.connection();
      left.push(outlived(t, pool.run("INSERT INTO item VALUES ('lost')"), 'SCOPE_ENDED'));
      await settled();
    },
    { label },
  );
  await Promise.all(left);
  await other.exec('ROLLBACK');
  t.deepEqual(await namesIn(pool), []);
  return tracesOf(dirt);
}

test("one who waits for another process's lock is a queued write", async (t) => {
  t.deepEqual(await behindOtherProcess(t, false), [[label, '1 queued write']]);
});

test("one who waits for another process's lock on the connection of the scope is named once", async (t) => {
  t.deepEqual(await behindOtherProcess(t, true), [[label, '1 queued write']]);
});

function stale(): never {
  throw Object.assign(new Error('stale'), { code: 'SQLITE_BUSY_SNAPSHOT' });
}

test('a transaction that pauses before it is run again is named, and refused at once', async (t) => {
  const { pool } = await labelledPool(t);
  const dirt = watchDirt(pool);
  const left: Promise<unknown>[] = [];
  let refused = false;
  await pool.withScope(
    async () => {
      left.push(
        pool.transaction(stale, { retries: 1 }).catch((error: unknown) => {
          refused = (error as { code: string }).code === 'ERR_LEASEHOLD_SCOPE_ENDED';
        }),
      );
      await settled();
    },
    { label },
  );
  // No timer is due: the clock stands still.
  await settled();
  t.true(refused);
  t.deepEqual(tracesOf(dirt), [[label, '1 queued write']]);
});

/** Un-awaited calls that ask for the lane. */
const dangling: Record<string, (pool: SqlitePool) => Promise<unknown>> = {
  'acquire to write': async (pool) => (await pool.acquire({ write: true })).close(),
  'connection to write': (pool) => pool.connection({ write: true }),
  'pool.run': (pool) => pool.run("INSERT INTO item VALUES ('written')"),
  'pool.transaction': (pool) => pool.transaction((tx) => tx.exec("INSERT INTO item VALUES ('written')")),
  'withConnection to write': (pool) =>
    pool.withConnection((db) => db.exec("INSERT INTO item VALUES ('written')"), { write: true }),
  'withConnection of its own to write': (pool) =>
    pool.withConnection((db) => db.exec("INSERT INTO item VALUES ('written')"), { write: true, fresh: true }),
};

// More than it takes from the turn in the lane to the lease.
const mostSteps = 30;

for (const [what, write] of Object.entries(dangling)) {
  for (const isBound of [false, true]) {
    const where = isBound ? 'a scope with a connection' : 'a scope';

    test(`${where} that ends as its un-awaited ${what} is granted the lane, or a few steps later, leaves it free`, async (t) => {
      const { pool } = await watchedItems(t);
      const codes: (string | undefined)[] = [];
      for (let steps = 0; steps <= mostSteps; steps++) {
        const holder = await pool.acquire({ write: true });
        let left: Promise<string | undefined> | undefined;
        await pool.withScope(async () => {
          if (isBound) await pool.connection();
          left = write(pool).then(
            () => undefined,
            (error: { code: string }) => error.code,
          );
          await settled();
          holder.close();
          for (let step = 0; step < steps; step++) await Promise.resolve();
        });
        codes.push(await left);
        t.like(pool.stats(), { laneHeld: 0, laneWaiting: 0, leased: 0, waiting: 0 }, `after ${steps} steps`);
        t.notThrows(() => pool.assertIdle());
      }
      t.is(codes[0], 'ERR_LEASEHOLD_SCOPE_ENDED', 'in the very step of the hand-off');
      t.is(codes.at(-1), undefined, 'after that it was done');
      const done = codes.filter((code) => code === undefined).length;
      t.is(codes.filter((code) => code === 'ERR_LEASEHOLD_SCOPE_ENDED').length, codes.length - done, String(codes));
      const writes = what !== 'acquire to write' && what !== 'connection to write';
      t.is((await namesIn(pool)).length, writes ? done : 0, 'who was refused has written nothing');
    });
  }
}

test('scopes that end in the step in which the lane becomes free leave it free, and the queue empty', async (t) => {
  const { pool } = await watchedItems(t);
  const holder = await pool.acquire({ write: true });
  const ended = gate();
  const left: Promise<unknown>[] = [];
  const scopes = Object.values(dangling).map((write) =>
    pool.withScope(async () => {
      left.push(outlived(t, write(pool)));
      await ended.passed;
    }),
  );
  await settled();
  t.is(pool.stats().laneWaiting, left.length);
  ended.open();
  // In the step in which the scopes were told to end: they have not yet.
  holder.close();
  await Promise.all(scopes);
  await Promise.all(left);
  t.like(pool.stats(), { laneHeld: 0, laneWaiting: 0, leased: 0 });
  t.deepEqual(await namesIn(pool), []);
});
