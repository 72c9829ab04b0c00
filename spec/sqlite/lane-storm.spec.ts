import { setImmediate, setTimeout } from 'node:timers/promises';
import test from 'ava';
import Database from 'better-sqlite3';
import type { SqlitePool } from '../../lib/index.ts';
import type { LeasedDatabase } from '../../lib/sqlite/handle.ts';
import { temporaryFile } from '../support/files.ts';
import { temporaryPool } from '../support/sqlite.ts';

const calls = 300;
const insert = 'INSERT INTO item VALUES (?)';
// Whoever waited inside SQLite for a lock of this process would do so for longer than the test may take.
const shared = { maxWaiting: 60, busyTimeout: 300_000 };

/** Numbers from 0 to 1 that a failed run can have again. */
function lottery(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

class Mine extends Error {}

/** What a caller may be told when it does not get through. Anything else is a fault. */
const expected = new Set([
  'ABORT_ERR',
  'ERR_LEASEHOLD_ACQUIRE_TIMEOUT',
  'ERR_LEASEHOLD_CLOSED',
  'ERR_LEASEHOLD_NO_CONNECTION',
  'ERR_LEASEHOLD_QUEUE_FULL',
  'ERR_LEASEHOLD_RELEASED',
  'ERR_LEASEHOLD_SCOPE_ENDED',
  'ERR_LEASEHOLD_TRANSACTION_BUSY',
  'ERR_LEASEHOLD_TRANSACTION_ENDED',
  'ERR_LEASEHOLD_WRITE_LOCKED',
  'ERR_LEASEHOLD_WRITE_TIMEOUT',
]);

for (const seed of [1, 2, 3]) {
  test(`${calls} writers of every kind that race aborts, throws, timeouts and closes lose and leak nothing (seed ${seed})`, async (t) => {
    const random = lottery(seed);
    const file = temporaryFile(t);
    const last = temporaryPool(t, {}, file);
    await last.run('CREATE TABLE item (id INTEGER PRIMARY KEY)');
    const pools = [
      temporaryPool(t, { ...shared, max: 3, name: 'first' }, file),
      temporaryPool(t, { ...shared, max: 1, name: 'second', onRelease: () => setImmediate() }, file),
      temporaryPool(t, { ...shared, max: 2, name: 'third', maxUses: 5, onAcquire: () => random() > 0.05 }, file),
    ];
    const committed = new Set<number>();
    const unknown: string[] = [];
    const outcomes = new Map<string, number>();
    const controllers: AbortController[] = [];

    /** What is done between the first write and the end. */
    const middle = async (db: LeasedDatabase, pool: SqlitePool): Promise<void> => {
      const luck = random();
      if (luck < 0.4) await (luck < 0.2 ? setImmediate() : setTimeout(1));
      if (luck > 0.5 && luck < 0.6) throw new Mine();
      if (luck > 0.6 && luck < 0.65) db.close();
      if (luck > 0.65 && luck < 0.7) pool.closeOverdue(0);
      if (luck > 0.7 && luck < 0.75) void pool.drain();
      if (luck > 0.75 && luck < 0.8) db.discard();
    };

    /** Each writes one row, `id`, if it does not reject. */
    const kinds: ((pool: SqlitePool, id: number, options: object) => Promise<unknown>)[] = [
      (pool, id, options) => pool.run(insert, [id], options),
      (pool, id, options) => pool.withConnection(() => pool.run(insert, [id]), options),
      (pool, id, options) =>
        pool.transaction(async (tx) => {
          tx.prepare(insert).run(id);
          await middle(tx, pool);
        }, options),
      (pool, id, options) =>
        pool.withConnection(async (db) => {
          const write = db.transaction(async () => {
            db.prepare(insert).run(id);
            await middle(db, pool);
          });
          await write();
        }, options),
      (pool, id, options) =>
        pool.withConnection(
          (db) =>
            pool.transaction(async () => {
              await pool.transaction(async () => db.prepare(insert).run(id));
              await middle(db, pool);
            }),
          options,
        ),
      async (pool, id, options) => {
        const db = await pool.acquire({ ...options, write: true });
        try {
          db.exec('BEGIN');
          db.prepare(insert).run(id);
          await middle(db, pool);
          db.exec('COMMIT');
        } finally {
          if (db.open) db.close();
        }
      },
      (pool, id, options) =>
        pool.withConnection(
          async (db) => {
            await setImmediate();
            db.prepare(insert).run(id);
          },
          { ...options, write: true },
        ),
      async (pool, id) => {
        const db = pool.tryAcquire({ write: true });
        if (db === undefined) throw new Mine();
        db.prepare(insert).run(id);
        db.close();
      },
      async (pool, id, options) => {
        // Left alone by its scope while it waits, or while it writes.
        let left: Promise<unknown> | undefined;
        await pool.withScope(async () => {
          left = pool.transaction(async (tx) => {
            tx.prepare(insert).run(id);
            await middle(tx, pool);
          });
          left.catch(() => {});
          if (random() < 0.5) await left;
        }, options);
        await left;
      },
      (pool, id, options) =>
        pool.withConnection(async (db) => {
          db.prepare(insert).run(id);
        }, options),
      (pool, id, options) =>
        pool.withConnection(async (db) => {
          // Refused where its connection was taken away before that: of another one nothing would be left.
          await pool.run('BEGIN IMMEDIATE');
          await pool.run(insert, [id]);
          await middle(db, pool);
          // By the handle: were it closed, the pool would take another connection for this.
          db.prepare('COMMIT').run();
        }, options),
      (pool, id, options) =>
        pool.withScope(async () => {
          await pool.connection();
          await setImmediate();
          const db = await pool.connection({ write: true });
          await middle(db, pool);
          for (const _ of db.prepare(`${insert} RETURNING id`).iterate(id));
        }, options),
      (pool, id, options) =>
        pool.withConnection(async (db) => {
          // Side by side, and nested: whoever is the last keeps the lane.
          const nested = pool.withConnection(() => middle(db, pool), { write: true });
          const writing = pool.withConnection(
            async () => {
              await setImmediate();
              db.prepare(insert).run(id);
            },
            { write: true },
          );
          await Promise.allSettled([nested, writing]);
          await writing;
        }, options),
    ];

    const call = async (id: number): Promise<void> => {
      const pool = pools[Math.floor(random() * pools.length)] as SqlitePool;
      const controller = new AbortController();
      controllers.push(controller);
      if (random() < 0.2) void setTimeout(random() * 30).then(() => controller.abort());
      const timeout = random() < 0.3 ? 1 + random() * 20 : 20_000;
      const kind = kinds[Math.floor(random() * kinds.length)];
      try {
        await kind?.(pool, id, { timeout, signal: controller.signal, priority: Math.floor(random() * 3) });
        committed.add(id);
        count('committed');
      } catch (error) {
        const code = error instanceof Mine ? 'mine' : (error as { code?: string }).code;
        count(String(code));
        if (code !== 'mine' && !expected.has(String(code))) unknown.push(String(error));
      }
    };
    const count = (outcome: string) => outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);

    const all: Promise<void>[] = [];
    for (let id = 1; id <= calls; id++) {
      all.push(call(id));
      if (random() < 0.2) await setTimeout(1);
      if (id === 200) void pools[0]?.close({ timeout: 5 });
      if (id === 250) void pools[1]?.close({ timeout: 0 });
    }
    await Promise.all(all);
    for (let round = 0; round < 1000 && pools.some((pool) => pool.stats().leased > 0); round++) await setTimeout(1);

    t.deepEqual(unknown, []);
    t.true(committed.size > 0 && outcomes.size > 4, JSON.stringify([...outcomes]));
    t.like(last.stats(), { laneHeld: 0, laneWaiting: 0 });
    for (const pool of pools) t.like(pool.stats(), { leased: 0, waiting: 0 }, pool.name);
    // One of another library would be kept out by any transaction that is still open.
    const outside = new Database(file, { timeout: 0 });
    outside.exec('BEGIN EXCLUSIVE; ROLLBACK');
    const rows = outside.prepare('SELECT id FROM item ORDER BY id').pluck().all();
    outside.close();
    t.deepEqual(
      rows,
      [...committed].toSorted((a, b) => a - b),
    );
    t.like(await last.transaction((tx) => tx.prepare(insert).run(calls + 1)), { changes: 1 });
  });
}
