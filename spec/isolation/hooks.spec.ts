import test from 'ava';
import type { LeasedDatabase, SqlitePool } from '../../lib/index.ts';
import { auditedPool, fingerprint, refuses } from './fingerprint.ts';
import { leavesNothing, leavings, look } from './leavings.ts';
import type { Leave } from './ways.ts';

test('what the onAcquire hook has set is for that lease alone', async (t) => {
  let leave: Leave | undefined;
  const once = (db: LeasedDatabase) => {
    const now = leave;
    leave = undefined;
    return void now?.(db);
  };
  for (const [trace, leaving] of Object.entries(leavings)) {
    leave = undefined;
    const setsOnce = async (pool: SqlitePool) => {
      leave = leaving;
      await pool.withConnection(() => 0);
    };
    await leavesNothing(t, setsOnce, [trace], { onAcquire: once });
  }
});

test('what the onRelease hook has set does not reach the next holder', async (t) => {
  let leave: Leave | undefined;
  for (const [trace, leaving] of Object.entries(leavings)) {
    const onRelease = (db: LeasedDatabase) => {
      const now = leave;
      leave = undefined;
      return void now?.(db);
    };
    const setsOnce = async (pool: SqlitePool) => {
      leave = leaving;
      await pool.withConnection(() => 0);
    };
    await leavesNothing(t, setsOnce, [trace], { onRelease });
  }
});

test('a hook finds nothing of the last holder', async (t) => {
  const seen: unknown[] = [];
  const inspect = (db: LeasedDatabase) => void seen.push(fingerprint(db));
  const { pool } = auditedPool(t, { onAcquire: inspect, onRelease: inspect });
  await pool.withConnection(() => 0);
  for (const leave of Object.values(leavings)) await pool.withConnection(leave);
  await pool.withConnection((db) => db.exec('BEGIN'));
  await pool.withConnection((db) => db.prepare('SELECT 1').iterate());
  await pool.withConnection(() => 0);
  t.true(seen.length > 12);
  for (const one of seen) t.deepEqual(one, seen[0]);
});

test('code that is left over after its scope can leave nothing', async (t) => {
  const { pool, dirt } = auditedPool(t);
  const before = await look(pool);
  const db = await pool.withConnection((handle) => handle);
  await pool.withConnection((next) => {
    for (const [trace, leave] of Object.entries(leavings))
      t.true(
        refuses(() => leave(db)),
        trace,
      );
    t.deepEqual(fingerprint(next), (before as unknown[])[0]);
  });
  t.deepEqual(await look(pool), before);
  t.deepEqual(dirt, []);
});

test('a user function that changes its connection while it is called leaves nothing', async (t) => {
  for (const [trace, leave] of Object.entries(leavings)) {
    const refused: boolean[] = [];
    let change: (() => unknown) | undefined;
    const { pool } = auditedPool(t, {
      onOpen: (db) => {
        db.function('change', () => {
          refused.push(refuses(() => change?.()));
          return 1;
        });
      },
    });
    const before = await pool.withConnection(fingerprint);
    change = () => leave(pool.db);
    await pool.withConnection((db) => db.prepare('SELECT change()').all());
    t.deepEqual(await pool.withConnection(fingerprint), before, trace);
    t.is(refused.length, 1);
    await pool.close();
  }
});
