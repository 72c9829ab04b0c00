import test, { type ExecutionContext } from 'ava';
import { type LeasedDatabase, type SqlitePool, type SqlitePoolOptions, WriteTimeoutError } from '../../lib/index.ts';
import type { RawDatabase } from '../../lib/sqlite/better-sqlite3.ts';
import { insert, namesIn } from '../support/items.ts';
import { rawDatabase, temporaryPool } from '../support/sqlite.ts';

async function open(
  t: ExecutionContext,
  options?: SqlitePoolOptions,
): Promise<{ readonly pool: SqlitePool; readonly other: RawDatabase }> {
  const pool = temporaryPool(t, options);
  await pool.run('CREATE TABLE item (name TEXT)');
  return { pool, other: rawDatabase(t, pool.db.name, { timeout: 0 }) };
}

const count = (db: LeasedDatabase) => db.prepare<[], number>('SELECT count(*) FROM item').pluck().get() ?? -1;
const stale = { code: 'SQLITE_BUSY_SNAPSHOT' };

/** Reads, lets another connection commit for the first `conflicts` times, and writes. */
function conflicting(other: RawDatabase, conflicts: number) {
  let runs = 0;
  return {
    get runs() {
      return runs;
    },
    fn: (tx: LeasedDatabase) => {
      const seen = count(tx);
      if (++runs <= conflicts) other.exec(`INSERT INTO item VALUES ('other ${runs}')`);
      insert(tx, `saw ${seen}`);
      return runs;
    },
  };
}

const settings = {
  bound: <Result>(pool: SqlitePool, fn: () => Promise<Result>) => pool.withConnection(() => fn()),
  unbound: <Result>(_: SqlitePool, fn: () => Promise<Result>) => fn(),
};

for (const [where, within] of Object.entries(settings)) {
  test(`without retries a stale snapshot keeps SQLite’s error, ${where}`, async (t) => {
    const { pool, other } = await open(t);
    const work = conflicting(other, 1);
    await t.throwsAsync(
      within(pool, () => pool.transaction(work.fn, { mode: 'deferred' })),
      stale,
    );
    t.is(work.runs, 1);
    t.deepEqual(await namesIn(pool), ['other 1']);
  });

  test(`retries run the whole function again on a new snapshot, ${where}`, async (t) => {
    const { pool, other } = await open(t);
    const work = conflicting(other, 3);
    t.is(await within(pool, () => pool.transaction(work.fn, { mode: 'deferred', retries: 3 })), 4);
    t.deepEqual(await namesIn(pool), ['other 1', 'other 2', 'other 3', 'saw 3']);
    t.like(pool.stats(), { leased: 0, laneHeld: 0, laneWaiting: 0 });
  });

  test(`when the retries are used up the last error passes, ${where}`, async (t) => {
    const { pool, other } = await open(t);
    const work = conflicting(other, Infinity);
    await t.throwsAsync(
      within(pool, () => pool.transaction(work.fn, { mode: 'deferred', retries: 2 })),
      stale,
    );
    t.is(work.runs, 3);
    t.deepEqual(await namesIn(pool), ['other 1', 'other 2', 'other 3']);
    t.like(pool.stats(), { leased: 0, laneHeld: 0, laneWaiting: 0 });
  });
}

test('between two tries neither the lane nor a connection of its own is held', async (t) => {
  const { pool, other } = await open(t);
  const work = conflicting(other, 1);
  const retried = pool.transaction(work.fn, { mode: 'deferred', retries: 1, label: 'retried' });
  const next = pool.transaction((tx) => insert(tx, 'next'), { timeout: 1000 });
  await Promise.all([retried, next]);
  t.deepEqual((await namesIn(pool)).toSorted(), ['next', 'other 1', 'saw 2']);
});

test('other errors are not retried', async (t) => {
  const { pool } = await open(t);
  let runs = 0;
  for (const reason of [new RangeError('enough'), undefined, { code: 'SQLITE_BUSY' }]) {
    runs = 0;
    const failing = pool.transaction(
      () => {
        runs++;
        // oxlint-disable-next-line typescript/only-throw-error -- whatever is thrown has to pass
        throw reason;
      },
      { retries: 5 },
    );
    await failing.then(
      () => t.fail(),
      (error: unknown) => t.is(error, reason),
    );
    t.is(runs, 1);
  }
  await t.throwsAsync(() => pool.transaction((tx) => tx.exec('SELECT * FROM none'), { retries: 5 }), {
    code: 'SQLITE_ERROR',
  });
});

test('a part of a transaction is not run again, but the whole is', async (t) => {
  const { pool, other } = await open(t);
  for (const nesting of ['savepoint', 'join'] as const) {
    let wholes = 0;
    let parts = 0;
    const before = (await namesIn(pool)).length;
    await pool.transaction(
      async (tx) => {
        wholes++;
        t.is(count(tx), before + wholes - 1);
        await pool.transaction(
          (inner) => {
            parts++;
            if (parts < 3) other.exec("INSERT INTO item VALUES ('other')");
            insert(inner, nesting);
          },
          { retries: 9, nesting },
        );
      },
      { mode: 'deferred', retries: 2 },
    );
    t.deepEqual([wholes, parts], [3, 3]);
  }
  t.deepEqual(await namesIn(pool), ['other', 'other', 'savepoint', 'other', 'other', 'join']);
});

test('a lock that another process keeps is retried too, with a deadline each time', async (t) => {
  const { pool, other } = await open(t);
  other.exec('BEGIN IMMEDIATE');
  const timeouts: (number | undefined)[] = [];
  pool.on('timeout', ({ waited }) => void timeouts.push(waited));
  const error = await t.throwsAsync<WriteTimeoutError>(
    () => pool.transaction(() => t.fail(), { retries: 2, timeout: 15, label: 'payment' }),
    { instanceOf: WriteTimeoutError },
  );
  t.like(error, { code: 'ERR_LEASEHOLD_WRITE_TIMEOUT', timeout: 15, label: 'payment', cause: { code: 'SQLITE_BUSY' } });
  t.is(timeouts.length, 3);
  t.true(timeouts.every((waited) => waited !== undefined && waited >= 15));
  other.exec('COMMIT');
  await pool.transaction((tx) => insert(tx, 'cog'));
  t.deepEqual(await namesIn(pool), ['cog']);
});

test('a timeout in the lane of this process is not retried', async (t) => {
  const { pool } = await open(t);
  const waited: unknown[] = [];
  pool.on('timeout', (event) => void waited.push(event));
  const writer = await pool.acquire({ write: true });
  const error = await t.throwsAsync<WriteTimeoutError>(() =>
    pool.transaction(() => t.fail(), { retries: 5, timeout: 15 }),
  );
  t.like(error, { code: 'ERR_LEASEHOLD_WRITE_TIMEOUT' });
  t.is(error?.cause, undefined);
  t.is(waited.length, 1);
  writer.close();
});

test('a COMMIT that meets another connection’s lock is tried again until that is gone', async (t) => {
  const { pool, other } = await open(t, { pragmas: { journal_mode: 'delete' } });
  // In a rollback journal a reader keeps a writer from committing.
  other.exec('BEGIN; SELECT * FROM item');
  let wasInTransaction = false;
  const committing = pool.transaction((tx) => {
    insert(tx, 'cog');
    // Not before COMMIT has failed for the first time.
    setTimeout(() => {
      wasInTransaction = pool.leases()[0]?.inTransaction === true;
      other.exec('COMMIT');
    }, 10);
  });
  await committing;
  t.true(wasInTransaction);
  t.deepEqual(await namesIn(pool), ['cog']);
});

test('a COMMIT that can not get its lock until its deadline rolls back', async (t) => {
  const { pool, other } = await open(t, { pragmas: { journal_mode: 'delete' } });
  other.exec('BEGIN; SELECT * FROM item');
  for (const within of Object.values(settings)) {
    const error = await t.throwsAsync<WriteTimeoutError>(
      within(pool, () => pool.transaction((tx) => insert(tx, 'never'), { timeout: 15 })),
      { instanceOf: WriteTimeoutError },
    );
    t.like(error, { cause: { code: 'SQLITE_BUSY' } });
    t.like(pool.stats(), { leased: 0, laneHeld: 0 });
  }
  other.exec('COMMIT');
  t.deepEqual(await namesIn(pool), []);
});
