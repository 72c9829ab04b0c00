import test, { type ExecutionContext } from 'ava';
import { heldLane, outlived, tracesOf, watchedItems } from '../support/dangling.ts';
import { temporaryFile } from '../support/files.ts';
import { settled } from '../support/gate.ts';
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
