import test, { type ExecutionContext } from 'ava';
import type { LeasedDatabase, SqlitePool } from '../../lib/index.ts';
import { FakeClock } from '../support/clock.ts';
import { failing, failingTimes, faultyPool, goesOn, sqliteError } from '../support/faults.ts';
import { settled } from '../support/gate.ts';
import { Enough, insert, namesIn, refusal } from '../support/items.ts';

type Body = (tx: LeasedDatabase) => Promise<unknown>;

/** Where a transaction may run. */
const places: Record<string, (pool: SqlitePool, body: Body) => Promise<unknown>> = {
  "on the lane's own connection": (pool, body) => pool.transaction(body),
  'in an unbound scope': (pool, body) => pool.withScope(() => pool.transaction(body)),
  'on a bound lease': (pool, body) => pool.withConnection(() => pool.transaction(body)),
  'in a write scope': (pool, body) => pool.withConnection(() => pool.transaction(body), { write: true }),
  'by db.transaction': (pool, body) => pool.withConnection((db) => db.transaction(async () => body(db))()),
  'opened and ended by hand': async (pool, body) => {
    const transaction = pool.openTransaction();
    await transaction.begun;
    try {
      await transaction.run(body);
    } catch (error) {
      await transaction.rollback();
      throw error;
    }
    await transaction.commit();
    return undefined;
  },
};

const [first, second] = [sqliteError('SQLITE_IOERR_FSYNC'), sqliteError('SQLITE_IOERR')];

async function works(t: ExecutionContext, pool: SqlitePool, names: readonly string[]): Promise<void> {
  t.deepEqual(await namesIn(pool), names);
  await goesOn(t, pool);
}

for (const [where, run] of Object.entries(places)) {
  test(`a COMMIT that fails with the transaction still open undoes it and rejects with that error, ${where}`, async (t) => {
    const { pool, faults, errors } = await faultyPool(t);
    faults.decide = failing(first, 'run COMMIT');
    const transaction = run(pool, async (tx) => {
      insert(tx, 'never');
      await settled();
    });
    t.is(await t.throwsAsync(transaction), first);
    t.deepEqual(errors, []);
    t.is(pool.stats().counters.discarded, 0);
    faults.mend();
    await works(t, pool, []);
  });

  test(`where COMMIT fails, and then ROLLBACK, the first error is the caller's and the second is reported, ${where}`, async (t) => {
    const { pool, faults, errors } = await faultyPool(t);
    const commit = failing(first, 'run COMMIT');
    const rollback = failing(second, 'run ROLLBACK', 'exec ROLLBACK');
    faults.decide = (call, sql) => commit(call, sql) ?? rollback(call, sql);
    const transaction = run(pool, async (tx) => {
      insert(tx, 'never');
      await settled();
    });
    t.is(await t.throwsAsync(transaction), first);
    await settled();
    t.deepEqual([...new Set(errors)], [second]);
    t.is(pool.stats().counters.discarded, 1, 'Nobody else gets that connection');
    faults.mend();
    await works(t, pool, []);
    t.is(faults.open(), pool.stats().size);
  });

  test(`where the function throws, and ROLLBACK fails, its error passes and nothing of it is kept, ${where}`, async (t) => {
    const { pool, faults, errors } = await faultyPool(t);
    const thrown = new Enough();
    const transaction = run(pool, async (tx) => {
      insert(tx, 'never');
      await settled();
      faults.decide = failing(second, 'run ROLLBACK', 'exec ROLLBACK');
      throw thrown;
    });
    t.is(await t.throwsAsync(transaction), thrown);
    await settled();
    t.deepEqual([...new Set(errors)], [second]);
    t.is(pool.stats().counters.discarded, 1);
    faults.mend();
    await works(t, pool, []);
    t.is(faults.open(), pool.stats().size);
  });

  test(`a BEGIN that fails rejects with its error before the function runs, ${where}`, async (t) => {
    const { pool, faults, errors } = await faultyPool(t);
    faults.decide = failing(first, 'run BEGIN');
    const transaction = run(pool, async () => t.fail());
    t.is(await t.throwsAsync(transaction), first);
    t.deepEqual(errors, []);
    faults.mend();
    await works(t, pool, []);
  });

  test(`a BEGIN and a COMMIT that meet a lock a few times are tried again, and the function runs once, ${where}`, async (t) => {
    const { pool, faults, errors } = await faultyPool(t);
    const busy = sqliteError('SQLITE_BUSY');
    const begin = failingTimes(3, busy, 'run BEGIN');
    const commit = failingTimes(3, busy, 'run COMMIT');
    faults.decide = (call, sql) => begin(call, sql) ?? commit(call, sql);
    let runs = 0;
    await run(pool, async (tx) => {
      runs++;
      insert(tx, 'cog');
      await settled();
    });
    t.is(runs, 1);
    t.deepEqual(errors, []);
    faults.mend();
    await works(t, pool, ['cog']);
  });

  test(`a COMMIT that meets a lock until its deadline is undone, ${where}`, async (t) => {
    const clock = new FakeClock();
    const { pool, faults, errors } = await faultyPool(t, { acquireTimeout: 1000 }, { clock });
    const busy = sqliteError('SQLITE_BUSY');
    faults.decide = failing(busy, 'run COMMIT');
    const transaction = run(pool, async (tx) => {
      insert(tx, 'never');
      await settled();
    });
    const refused = t.throwsAsync(transaction);
    await settled();
    await clock.pass(1000);
    t.like(await refused, { ...refusal('WRITE_TIMEOUT'), cause: busy });
    t.deepEqual(errors, []);
    faults.mend();
    await works(t, pool, []);
  });

  test(`a savepoint that can not be made fails alone, with its error, ${where}`, async (t) => {
    const { pool, faults, errors } = await faultyPool(t);
    await run(pool, async (tx) => {
      insert(tx, 'before');
      faults.decide = failing(first, 'run SAVEPOINT', 'prepare SAVEPOINT');
      t.is(await t.throwsAsync(tx.transaction(async () => t.fail())()), first);
      faults.mend();
      await tx.transaction(async () => insert(tx, 'nested'))();
    });
    t.deepEqual(errors, []);
    await works(t, pool, ['before', 'nested']);
  });

  test(`a savepoint that can not be released is undone alone, if it can be, ${where}`, async (t) => {
    const { pool, faults, errors } = await faultyPool(t);
    await run(pool, async (tx) => {
      insert(tx, 'before');
      faults.decide = failingTimes(1, first, 'run RELEASE');
      const nested = tx.transaction(async () => {
        insert(tx, 'never');
        await settled();
      });
      t.is(await t.throwsAsync(nested()), first);
      insert(tx, 'after');
    });
    t.deepEqual(errors, []);
    await works(t, pool, ['before', 'after']);
  });

  test(`a savepoint that can be neither released nor undone takes the whole transaction with it, ${where}`, async (t) => {
    const { pool, faults, errors } = await faultyPool(t);
    const transaction = run(pool, async (tx) => {
      insert(tx, 'before');
      const release = failing(first, 'run RELEASE');
      const undo = failing(second, 'run ROLLBACK TO');
      faults.decide = (call, sql) => release(call, sql) ?? undo(call, sql);
      const nested = tx.transaction(async () => {
        insert(tx, 'never');
        await settled();
      });
      t.is(await t.throwsAsync(nested()), first);
      faults.mend();
      t.like(
        t.throws(() => insert(tx, 'never')),
        { ...refusal('TRANSACTION_ABORTED'), cause: second },
      );
    });
    t.like(await t.throwsAsync(transaction), { ...refusal('TRANSACTION_ABORTED'), cause: second });
    t.deepEqual(errors, [second]);
    await works(t, pool, []);
  });
}

for (const verb of ['BEGIN', 'COMMIT']) {
  test(`a scope whose transaction failed at its ${verb} keeps nobody from writing, and goes on itself`, async (t) => {
    const { pool, faults } = await faultyPool(t);
    await pool.withConnection(async (db) => {
      faults.decide = failing(first, `run ${verb}`);
      t.is(await t.throwsAsync(pool.transaction((tx) => insert(tx, 'never'))), first);
      t.is(await t.throwsAsync(db.transaction(async () => insert(db, 'never'))()), first);
      faults.mend();
      t.is(pool.stats().laneHeld, 0);
      await pool.withConnection((other) => insert(other, 'other'), { fresh: true });
      insert(db, 'cog');
      await pool.transaction((tx) => insert(tx, 'cam'));
    });
    await works(t, pool, ['other', 'cog', 'cam']);
  });
}

test('a scope whose transaction could not be rolled back keeps the lane until its connection is closed', async (t) => {
  const { pool, faults } = await faultyPool(t);
  let waiting: Promise<unknown> = Promise.resolve();
  await pool.withConnection(async () => {
    const broken = pool.transaction((tx) => {
      insert(tx, 'never');
      faults.decide = failing(second, 'run ROLLBACK');
      throw new Enough();
    });
    await t.throwsAsync(broken, { instanceOf: Enough });
    faults.mend();
    t.is(pool.stats().laneHeld, 1);
    waiting = pool.withConnection((other) => pool.transaction(() => insert(other, 'other')), { fresh: true });
    await settled();
    // Whoever does not wait is told so, rather than blocked in SQLite.
    const writing = pool.withConnection((other) => insert(other, 'never'), { fresh: true });
    await t.throwsAsync(writing, refusal('WRITE_LOCKED'));
  });
  await waiting;
  await works(t, pool, ['other']);
});

// The ROLLBACK replaces the error of the snapshot, and is not reported.
test('a read whose snapshot can be neither taken nor given up rejects with the first error, and reports the second', async (t) => {
  const { pool, faults, errors } = await faultyPool(t);
  const read = failing(first, 'get SELECT 1 FROM sqlite_schema');
  const rollback = failing(second, 'run ROLLBACK', 'exec ROLLBACK');
  faults.decide = (call, sql) => read(call, sql) ?? rollback(call, sql);
  t.is(await t.throwsAsync(pool.read(() => t.fail())), first);
  t.true(errors.includes(second));
  faults.mend();
  await works(t, pool, []);
});

test('a read whose snapshot can not be taken rejects with that error, and its connection is as good as before', async (t) => {
  const { pool, faults, errors } = await faultyPool(t, { max: 1 });
  faults.decide = failing(first, 'get SELECT 1 FROM sqlite_schema');
  t.is(await t.throwsAsync(pool.read(() => t.fail())), first);
  t.is(await t.throwsAsync(pool.withConnection(() => pool.read(() => t.fail()))), first);
  t.deepEqual(errors, []);
  faults.mend();
  t.is(await pool.read((db) => db.inTransaction), true);
  t.is(pool.stats().counters.discarded, 0);
  await works(t, pool, []);
});

test('where a private database can be neither committed nor rolled back, its pool goes on with an empty one', async (t) => {
  const { pool, faults, errors } = await faultyPool(t, { max: 1 }, { file: ':memory:' });
  const commit = failing(first, 'run COMMIT');
  const rollback = failing(second, 'run ROLLBACK', 'exec ROLLBACK');
  faults.decide = (call, sql) => commit(call, sql) ?? rollback(call, sql);
  t.is(await t.throwsAsync(pool.transaction((tx) => insert(tx, 'never'))), first);
  t.deepEqual([...new Set(errors)], [second]);
  faults.mend();
  await t.throwsAsync(namesIn(pool), { message: 'no such table: item' });
  await pool.run('CREATE TABLE item (name TEXT)');
  await works(t, pool, []);
});
