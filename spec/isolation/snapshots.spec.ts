import test, { type ExecutionContext } from 'ava';
import type { LeasedDatabase, SqlitePool } from '../../lib/index.ts';
import { failing, failingTimes, faultyPool, goesOn, sqliteError } from '../support/faults.ts';
import { settled } from '../support/gate.ts';
import { namesIn, refusal } from '../support/items.ts';
import { auditedPool, isIdle } from './fingerprint.ts';

// A snapshot keeps nothing of what was done in it, and its end is sure.

/** Queries that write, though SQLite says that they are read-only. */
const writingQueries: Readonly<Record<string, string>> = {
  pragma_optimize: 'SELECT * FROM pragma_optimize(0x10002)',
  'optimize() of FTS4': 'SELECT optimize(page) FROM page LIMIT 1',
};

type Read = (db: LeasedDatabase) => unknown;

/** All ways to read on a snapshot. */
const ways: Readonly<Record<string, (pool: SqlitePool, read: Read) => Promise<unknown>>> = {
  'pool.read': (pool, read) => pool.read(read),
  'pool.read on a bound lease': (pool, read) => pool.withConnection(() => pool.read(read)),
  'a read in a read': (pool, read) => pool.read(() => pool.read(read)),
  'a read that joins a read': (pool, read) => pool.read(() => pool.read(read, { nesting: 'join' })),
  'a read that throws': (pool, read) =>
    pool.read((db) => {
      read(db);
      throw new Error('enough');
    }),
  openTransaction: async (pool, read) => {
    const transaction = pool.openTransaction({ mode: 'read' });
    await transaction.begun;
    try {
      await transaction.run(read);
    } finally {
      await transaction.commit();
    }
  },
};

for (const [name, sql] of Object.entries(writingQueries)) {
  for (const [way, run] of Object.entries(ways)) {
    test(`nothing is kept of ${name}, which writes in a query, by ${way}`, async (t) => {
      const { pool, dirt } = auditedPool(t);
      await pool.withConnection((db) =>
        db.exec(`
          CREATE VIRTUAL TABLE page USING fts4 (text);
          INSERT INTO page VALUES ('one');
          INSERT INTO page VALUES ('two');
          INSERT INTO item (name) VALUES ('a');
          INSERT INTO tag VALUES (1, 'b')`),
      );
      const state = 'SELECT (SELECT count(*) FROM page_segdir), (SELECT count(*) FROM sqlite_schema)';
      const before = await pool.get(state);
      await run(pool, (db) => db.prepare(sql).all()).catch(() => {});
      t.deepEqual(await pool.get(state), before);
      isIdle(t, pool);
      t.deepEqual(dirt, []);
      await pool.transaction((tx) => tx.prepare(sql).all());
      t.notDeepEqual(await pool.get(state), before, 'A transaction keeps it');
    });
  }
}

test('a pragma function that writes is refused in a read, and beside a transaction that writes', async (t) => {
  const { pool } = auditedPool(t);
  for (const sql of [
    'SELECT * FROM pragma_optimize(0x10002)',
    'WITH o AS (SELECT * FROM main."Pragma_Optimize"(65538)) SELECT * FROM o',
    "SELECT * FROM 'pragma_optimize'",
  ]) {
    await t.throwsAsync(
      pool.read((db) => db.prepare(sql).all()),
      refusal('READ_ONLY'),
      sql,
    );
    await using db = await pool.acquire();
    await pool.transaction(() => t.throws(() => db.prepare(sql).all(), refusal('WRITE_LOCKED'), sql));
    t.notThrows(() => db.prepare(sql).all());
  }
});

for (const bound of [false, true]) {
  const where = bound ? 'on a bound lease' : 'on a lease of its own';
  const [first, second] = [sqliteError('SQLITE_BUSY'), sqliteError('SQLITE_IOERR')];
  const rollback = failing(second, 'run ROLLBACK', 'exec ROLLBACK');
  const within = <Result>(pool: SqlitePool, run: () => Promise<Result>) => (bound ? pool.withConnection(run) : run());

  test(`a read that could not be ended has read all the same; it is reported, and nobody uses that connection, ${where}`, async (t) => {
    const { pool, faults, errors } = await faultyPool(t);
    await within(pool, async () => {
      const read = pool.read((db) => {
        faults.decide = rollback;
        return db.prepare('SELECT 7').pluck().get();
      });
      t.is(await read, 7);
      if (bound) await refusesAll(t, pool, second);
    });
    await settled();
    await leftNothing(t, { pool, faults, errors }, second);
  });

  test(`a snapshot that could not be taken for a lock, nor given up, is not tried for again, ${where}`, async (t) => {
    const { pool, faults, errors } = await faultyPool(t);
    const busy = failingTimes(1, first, 'get SELECT 1 FROM sqlite_schema');
    let begun = 0;
    await within(pool, async () => {
      faults.decide = (call, sql) => {
        if (call === 'run' && sql === 'BEGIN') begun++;
        return busy(call, sql) ?? rollback(call, sql);
      };
      t.is(await t.throwsAsync(pool.read(() => t.fail())), first);
      t.is(begun, 1);
      if (bound) await refusesAll(t, pool, second);
    });
    await settled();
    await leftNothing(t, { pool, faults, errors }, second);
  });

  test(`a snapshot that could not be taken for a lock is tried for again where it was given up, ${where}`, async (t) => {
    const { pool, faults, errors } = await faultyPool(t);
    faults.decide = failingTimes(2, first, 'get SELECT 1 FROM sqlite_schema');
    t.is(await within(pool, () => pool.read(() => 7)), 7);
    t.deepEqual(errors, []);
    t.is(pool.stats().counters.discarded, 0);
    await goesOn(t, pool);
  });
}

/** What is done next on that lease would be part of what is open, and be lost with it. */
async function refusesAll(t: ExecutionContext, pool: SqlitePool, cause: Error): Promise<void> {
  const aborted = refusal('TRANSACTION_ABORTED');
  const attempts: readonly (() => unknown)[] = [
    () => pool.db.prepare('SELECT 1').get(),
    () => pool.db.prepare("INSERT INTO item VALUES ('never')").run(),
    () => pool.db.exec('SELECT 1'),
    () => pool.run("INSERT INTO item VALUES ('never')"),
    () => pool.transaction(() => t.fail()),
    () => pool.read(() => t.fail()),
  ];
  for (const attempt of attempts) t.is((await t.throwsAsync(async () => attempt(), aborted))?.cause, cause);
}

async function leftNothing(
  t: ExecutionContext,
  { pool, faults, errors }: Awaited<ReturnType<typeof faultyPool>>,
  reported: Error,
): Promise<void> {
  t.deepEqual([...new Set(errors)], [reported]);
  t.is(pool.stats().counters.discarded, 1);
  faults.mend();
  t.deepEqual(await namesIn(pool), []);
  await goesOn(t, pool);
  t.is(faults.open(), pool.stats().size);
}
