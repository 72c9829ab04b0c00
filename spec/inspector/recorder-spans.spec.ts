import test, { type ExecutionContext } from 'ava';
import type { SqlitePool } from '../../lib/sqlite/pool.ts';
import { gate, settled } from '../support/gate.ts';
import { lengths, type Watched, watch, watchedPool } from './support/watched.ts';

// When a lease was a write transaction, or had the right to write, and when it was a snapshot.

const insert = 'INSERT INTO item VALUES (NULL)';

interface Case {
  readonly writes: readonly number[];
  readonly reads: readonly number[];
  /** How long the lease was held. */
  readonly held: number;
  run(pool: SqlitePool, wait: (time: number) => void): Promise<unknown>;
}

const cases: Readonly<Record<string, Case>> = {
  'a write transaction': {
    writes: [20],
    reads: [],
    held: 20,
    run: (pool, wait) => pool.transaction(async () => wait(20)),
  },
  'a nested transaction, which is a part of the one around it': {
    writes: [60],
    reads: [],
    held: 60,
    run: (pool, wait) =>
      pool.transaction(async () => {
        wait(10);
        await pool.transaction(async () => wait(20));
        await pool.transaction(async () => wait(30));
      }),
  },
  'one that is rolled back': {
    writes: [20],
    reads: [],
    held: 20,
    run: (pool, wait) =>
      pool
        .transaction(async () => {
          wait(20);
          throw new Error('no');
        })
        .catch(() => {}),
  },
  'several in one scope': {
    writes: [10, 20],
    reads: [],
    held: 60,
    run: (pool, wait) =>
      pool.withConnection(async () => {
        wait(5);
        await pool.transaction(async () => wait(10));
        wait(15);
        await pool.transaction(async () => wait(20));
        wait(10);
      }),
  },
  'a snapshot between two writes': {
    writes: [10, 30],
    reads: [20],
    held: 60,
    run: (pool, wait) =>
      pool.withConnection(async () => {
        await pool.transaction(async () => wait(10));
        await pool.read(async () => wait(20));
        await pool.transaction(async () => wait(30));
      }),
  },
  'a snapshot': {
    writes: [],
    reads: [20],
    held: 20,
    run: (pool, wait) => pool.read(async () => wait(20)),
  },
  'a deferred transaction, which holds the right to write from its start': {
    writes: [20],
    reads: [],
    held: 20,
    run: (pool, wait) => pool.transaction(async () => wait(20), { mode: 'deferred' }),
  },
  'a write scope': {
    writes: [20],
    reads: [],
    held: 20,
    run: (pool, wait) => pool.withConnection(() => wait(20), { write: true }),
  },
  'a transaction begun by SQL': {
    writes: [20],
    reads: [],
    held: 35,
    run: (pool, wait) =>
      pool.withConnection((db) => {
        wait(5);
        db.exec('BEGIN IMMEDIATE');
        wait(20);
        db.exec('COMMIT');
        wait(10);
      }),
  },
  'a transaction begun by SQL that is left open': {
    writes: [20],
    reads: [],
    held: 25,
    run: (pool, wait) =>
      pool.withConnection((db) => {
        wait(5);
        db.exec('BEGIN IMMEDIATE');
        wait(20);
      }),
  },
  'one statement of a connection': { writes: [], reads: [], held: 0, run: (pool) => pool.get('SELECT 1') },
  'no transaction': { writes: [], reads: [], held: 9, run: (pool, wait) => pool.withConnection(() => wait(9)) },
};

for (const [what, { writes, reads, held, run }] of Object.entries(cases)) {
  test(`${what}: spans of a lease that has ended`, async (t) => {
    const { pool, clock, tick } = await watchedPool(t);
    await run(pool, (time) => clock.skip(time));
    const reader = await tick();
    const [bar, ...others] = reader.bars();
    t.deepEqual(others, []);
    t.deepEqual(lengths(bar?.writes ?? []), writes);
    t.deepEqual(lengths(bar?.reads ?? []), reads);
    t.is(Math.round((bar?.to ?? 0) - (bar?.from ?? 0)), held);
  });
}

test('one statement that writes by itself is a write of its lease', async (t) => {
  const { pool, tick } = await watchedPool(t);
  await pool.run(insert);
  const [bar] = (await tick()).bars();
  t.is(bar?.writes.length, 1);
});

/** What is told of the only lease that is held. */
function present(t: ExecutionContext, { read }: Pick<Watched, 'read'>) {
  const { holders } = read().state();
  t.is(holders.length, 1);
  const [{ writes, reads, mode, inTransaction } = { writes: [], reads: [], mode: '?', inTransaction: undefined }] =
    holders;
  return { writes: lengths(writes), reads: lengths(reads), mode, inTransaction };
}

test('what is written at the moment is a span until now', async (t) => {
  const watched = await watchedPool(t);
  const { pool, clock } = watched;
  await pool.withConnection(async () => {
    clock.skip(10);
    t.deepEqual(present(t, watched), { writes: [], reads: [], mode: 'connection', inTransaction: false });
    await pool.transaction(async () => {
      clock.skip(20);
      t.deepEqual(present(t, watched), { writes: [20], reads: [], mode: 'write', inTransaction: true });
      clock.skip(5);
      t.deepEqual(present(t, watched), { writes: [25], reads: [], mode: 'write', inTransaction: true });
    });
    clock.skip(7);
    t.deepEqual(present(t, watched), { writes: [25], reads: [], mode: 'connection', inTransaction: false });
    await pool.read(async () => {
      clock.skip(3);
      t.deepEqual(present(t, watched), { writes: [25], reads: [3], mode: 'read', inTransaction: true });
    });
  });
  const [bar] = (await watched.tick()).bars();
  t.deepEqual([lengths(bar?.writes ?? []), lengths(bar?.reads ?? [])], [[25], [3]]);
});

test('of more than twenty spans the last stands for the rest', async (t) => {
  const { pool, clock, tick, read } = await watchedPool(t);
  await pool.withConnection(async () => {
    for (let count = 0; count < 30; count++) {
      await pool.transaction(async () => clock.skip(2));
      clock.skip(1);
    }
    const [holder] = read().state().holders;
    t.is(holder?.writes.length, 20);
  });
  const [bar] = (await tick()).bars();
  t.deepEqual(lengths(bar?.writes ?? []), [...Array.from({ length: 19 }, () => 2), 32]);
});

test('of twenty spans and one that is open twenty are told of a holder', async (t) => {
  const { pool, clock, read } = await watchedPool(t);
  await pool.withConnection(async () => {
    for (let count = 0; count < 20; count++) await pool.transaction(async () => clock.skip(2));
    await pool.transaction(async () => {
      clock.skip(5);
      const [holder] = read().state().holders;
      t.is(holder?.writes.length, 20);
      t.is(holder?.writes.at(-1)?.[1], (holder?.from ?? 0) + (holder?.age ?? 0));
    });
  });
});

test('who waits for the lane is told after those who wait for a connection, with the lane and its holder', async (t) => {
  const { pool, clock, read, tick } = await watchedPool(t, { max: 1 });
  const [inside, queued] = [gate(), gate()];
  const writer = pool.transaction(() => inside.passed, { label: 'writer' });
  const reader = await pool.acquire({ label: 'reader' });
  const next = pool.transaction(() => queued.passed, { label: 'next' });
  const last = pool.acquire({ label: 'last' });
  await settled();
  clock.skip(40);
  const { lane, waiters, holders, leased, waiting } = read().state();
  t.like({ leased, waiting }, { leased: 2, waiting: 1 });
  t.deepEqual(
    waiters.map(({ for: what, label, waited }) => [what, label, waited]),
    [
      ['connection', 'last', 40],
      ['write lane', 'next', 40],
    ],
  );
  const lease = holders.find(({ label }) => label === 'writer')?.lease;
  t.not(lease, undefined);
  t.deepEqual(lane, {
    waiting: 1,
    holder: { pool: 'app', label: 'writer', kind: 'transaction', age: 40, lease: lease ?? 0 },
  });
  inside.open();
  await writer;
  queued.open();
  await next;
  reader.close();
  (await last).close();
  const ticks = await tick();
  t.like(ticks.of()[0], { laneWaiting: 1, waiting: 1 });
  t.is(ticks.bars().find(({ label }) => label === 'next')?.waited, 40);
  t.deepEqual(ticks.state().lane, { waiting: 0 });
});

test('a lease that wrote before the inspector came is told as writing', async (t) => {
  const { pool, clock, ...first } = await watchedPool(t);
  first.monitor.stop();
  const db = await pool.acquire({ write: true });
  clock.skip(30);
  const watched = watch(t, [pool], clock);
  clock.skip(20);
  const { mode, writes } = present(t, watched);
  t.is(mode, 'write');
  t.is(writes.length, 1);
  t.true((writes[0] ?? 0) >= 20);
  db.close();
  const [bar] = (await watched.tick()).bars();
  t.is(bar?.writes.length, 1);
  t.true((lengths(bar?.writes ?? [])[0] ?? 0) >= 20);
});

for (const hook of ['onAcquire', 'onRelease'] as const) {
  test(`what an ${hook} hook writes is no part of a lease`, async (t) => {
    // Not while the table is made.
    let count = -1;
    const { pool, tick } = await watchedPool(t, {
      [hook]: (db: { transaction(fn: () => void): { immediate(): void } }) => {
        if (count++ >= 0) db.transaction(() => {}).immediate();
      },
    });
    for (let lease = 0; lease < 3; lease++) await pool.withConnection(() => {});
    t.true(count >= 3);
    const bars = (await tick()).bars();
    t.is(bars.length, 3);
    for (const { writes } of bars) t.deepEqual(writes, []);
  });
}
