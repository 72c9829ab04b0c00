import test from 'ava';
import type { LeasedDatabase, SqlitePool } from '../../lib/index.ts';
import { temporaryFile } from '../support/files.ts';
import { gate, settled } from '../support/gate.ts';
import { collected } from '../support/gc.ts';
import { refusal } from '../support/items.ts';
import { countsByLabel, labelledPool, statsOf } from '../support/labels.ts';
import { otherDatabase } from '../support/processes.ts';

test('whoever gives up at its deadline counts with its label, for a connection or for the lane', async (t) => {
  const { pool, clock } = await labelledPool(t, { max: 1 });
  const open = gate();
  const holding = pool.transaction(() => open.passed, { label: 'writer' });
  const holder = await pool.acquire({ label: 'holder' });
  await settled();
  const timeout = 10;
  const late = [
    t.throwsAsync(pool.acquire({ label: 'acquire', timeout }), refusal('ACQUIRE_TIMEOUT')),
    t.throwsAsync(
      pool.withConnection(() => t.fail(), { label: 'acquire', timeout }),
      refusal('ACQUIRE_TIMEOUT'),
    ),
    t.throwsAsync(
      pool.transaction(() => t.fail(), { label: 'lane', timeout }),
      refusal('WRITE_TIMEOUT'),
    ),
    t.throwsAsync(pool.run('DELETE FROM item', [], { label: 'lane', timeout }), refusal('WRITE_TIMEOUT')),
    t.throwsAsync(pool.acquire({ timeout }), refusal('ACQUIRE_TIMEOUT')),
  ];
  await clock.pass(20);
  await Promise.all(late);
  const none = { leased: 0, acquired: 0, waits: 0, holds: 0 };
  t.deepEqual(Object.fromEntries(countsByLabel(pool)), {
    writer: { leased: 1, acquired: 1, timeouts: 0, waits: 1, holds: 0 },
    holder: { leased: 1, acquired: 1, timeouts: 0, waits: 1, holds: 0 },
    acquire: { ...none, timeouts: 2 },
    lane: { ...none, timeouts: 2 },
  });
  t.is(pool.stats().counters.timeouts, 5, 'the one without a label is only in the whole');
  t.is(pool.stats().laneWaitTime.count, 0, 'who gave up never got in');
  open.open();
  holder.close();
  await holding;
});

test("whoever gives up at another process's lock counts with its label, once", async (t) => {
  const file = temporaryFile(t);
  const { pool, clock } = await labelledPool(t, {}, file);
  const other = await otherDatabase(t, file);
  await other.exec('BEGIN IMMEDIATE');
  const late = [
    t.throwsAsync(
      pool.transaction(() => t.fail(), { label: 'locked', timeout: 30 }),
      refusal('WRITE_TIMEOUT'),
    ),
    t.throwsAsync(
      pool.withConnection(() => pool.run('DELETE FROM item', [], { timeout: 100 }), { label: 'bound' }),
      refusal('WRITE_TIMEOUT'),
    ),
  ];
  await clock.pass(400);
  await Promise.all(late);
  await other.exec('ROLLBACK');
  t.deepEqual([statsOf(pool, 'locked').timeouts, statsOf(pool, 'bound').timeouts], [1, 1]);
  t.is(pool.stats().counters.timeouts, 2);
  t.is(statsOf(pool, 'locked').leased, 0);
});

test('abort, refusal and close are no timeouts', async (t) => {
  const { pool } = await labelledPool(t, { max: 1, maxWaiting: 1 });
  const holder = await pool.acquire({ label: 'holder' });
  const controller = new AbortController();
  const options = { label: 'vain', signal: controller.signal };
  const aborted = t.throwsAsync(pool.acquire(options), { code: 'ABORT_ERR' });
  await t.throwsAsync(pool.acquire(options), refusal('QUEUE_FULL'));
  controller.abort();
  await aborted;
  const closed = t.throwsAsync(pool.acquire({ label: 'vain' }), refusal('CLOSED'));
  const closing = pool.close({ timeout: 0 });
  await Promise.all([closed, closing]);
  t.deepEqual(countsByLabel(pool), [['holder', { leased: 0, acquired: 1, timeouts: 0, waits: 1, holds: 1 }]]);
  t.throws(() => holder.exec(''), refusal('RELEASED'));
});

async function failing(): Promise<never> {
  throw new Error('enough');
}

/** Acquires and forgets the handle. Apart, so that no frame of a test keeps it. */
async function lose(pool: SqlitePool, label: string): Promise<void> {
  await pool.acquire({ label });
}

test('nobody counts as a holder when a lease has ended, however it did', async (t) => {
  const { pool, clock } = await labelledPool(t, { max: 8 });
  const label = 'job';
  const take = (): Promise<LeasedDatabase> => pool.acquire({ label });
  const outcomes: Record<string, () => unknown> = {
    release: async () => (await take()).close(),
    'release twice': async () => {
      const db = await take();
      db.close();
      db.close();
    },
    discard: async () => {
      const db = await take();
      db.discard('worn out');
      db.close();
    },
    dirty: async () => {
      const db = await take();
      db.exec('BEGIN; CREATE TEMP TABLE x (y)');
      db.close();
    },
    throw: () => t.throwsAsync(pool.withConnection(failing, { label })),
    rollback: () => t.throwsAsync(pool.transaction(failing, { label })),
    commit: () => pool.transaction(() => {}, { label }),
    statement: () => pool.run('DELETE FROM item', [], { label }),
    'end of the scope': () => pool.withScope(() => pool.connection(), { label }),
    'taken away': async () => {
      await take();
      t.is(pool.closeOverdue(0), 1);
    },
    dropped: async () => {
      await lose(pool, label);
      await clock.pass(1000);
      t.true(await collected(() => pool.stats().leased === 0));
    },
    'closed pool': async () => {
      await take();
      await pool.close({ timeout: 0 });
    },
  };
  let acquired = 0;
  for (const [name, outcome] of Object.entries(outcomes)) {
    await outcome();
    acquired++;
    t.deepEqual(
      countsByLabel(pool),
      [[label, { leased: 0, acquired, timeouts: 0, waits: acquired, holds: acquired }]],
      name,
    );
  }
});
