import test, { type ExecutionContext } from 'ava';
import Database from 'better-sqlite3';
import { type Arbitrary, array, assert, asyncProperty, constantFrom, record } from 'fast-check';
import { type ControlledTransaction, type Dialect, Kysely, SqliteDialect } from 'kysely';
import { LeaseholdDialect } from '../../lib/orm/kysely.ts';
import { gate } from '../support/gate.ts';
import { collected } from '../support/gc.ts';
import { refusal } from '../support/items.ts';
import { add, isIdle, namesOf, openKysely } from '../support/kysely.ts';
import { temporaryPool } from '../support/sqlite.ts';

test('a controlled transaction has its own queries in it, and no others', async (t) => {
  const { pool, db } = await openKysely(t);
  const trx = await db.startTransaction().execute();
  await add(trx, 'a');
  t.is(pool.current, undefined);
  t.is(await namesOf(trx), 'a');
  t.is(await namesOf(db), '');
  await trx.commit().execute();
  t.true(trx.isCommitted);
  t.is(await namesOf(db), 'a');
  await t.throwsAsync(add(trx, 'b'), { message: 'Transaction is already committed' });
  const other = await db.startTransaction().execute();
  await add(other, 'b');
  await other.rollback().execute();
  t.true(other.isRolledBack);
  t.is(await namesOf(db), 'a');
  isIdle(t, pool);
});

test('a write beside a controlled transaction waits for its turn, and is refused by its deadline, never later', async (t) => {
  const { pool, db } = await openKysely(t, { acquireTimeout: 1000, max: 1 });
  await pool.withScope(
    async () => {
      const trx = await db.startTransaction().execute();
      await add(trx, 'a');
      for (const refused of [add(db, 'b'), db.transaction().execute(() => t.fail()), db.startTransaction().execute()]) {
        const error = await t.throwsAsync(refused, refusal('WRITE_TIMEOUT'));
        t.regex(error?.message ?? '', /POST \/orders/);
      }
      await trx.commit().execute();
    },
    { label: 'POST /orders' },
  );
  t.is(await namesOf(db), 'a');
  isIdle(t, pool);
});

test('within a transaction it is a part of that, and the outer one goes on when it has ended', async (t) => {
  const { pool, db } = await openKysely(t);
  await db.transaction().execute(async (trx) => {
    await add(trx, 'a');
    const part = await db.startTransaction().execute();
    await add(part, 'b');
    // Beside the part, on the same connection: not to be slipped into it.
    await t.throwsAsync(add(trx, 'c'), refusal('TRANSACTION_BUSY'));
    await part.rollback().execute();
    await add(trx, 'd');
    const other = await db.startTransaction().execute();
    await add(other, 'e');
    await other.commit().execute();
    t.is(await namesOf(trx), 'a d e');
  });
  t.is(await namesOf(db), 'a d e');
  isIdle(t, pool);
});

test('one that a request leaves open is rolled back with its scope, and reported', async (t) => {
  const { pool, db } = await openKysely(t);
  const traces: unknown[] = [];
  pool.on('dirty', (event) => void traces.push(event.label, ...event.traces));
  const trx = await pool.withScope(
    async () => {
      const left = await db.startTransaction().execute();
      await add(left, 'a');
      const inner = await left.savepoint('one').execute();
      await add(inner, 'b');
      return left;
    },
    { label: 'POST /orders' },
  );
  await add(db, 'c');
  t.is(await namesOf(db), 'c');
  t.deepEqual(traces.slice(0, 2), ['POST /orders', '1 open transaction']);
  await t.throwsAsync(add(trx, 'd'), refusal('TRANSACTION_ENDED'));
  await t.throwsAsync(trx.commit().execute(), refusal('TRANSACTION_ENDED'));
  await trx.rollback().execute();
  isIdle(t, pool);
});

test('a signal that aborts its scope rolls it back', async (t) => {
  const { pool, db } = await openKysely(t);
  const controller = new AbortController();
  const [begun, end] = [gate(), gate()];
  const request = pool.withScope(
    async () => {
      const trx = await db.startTransaction().execute();
      await add(trx, 'a');
      begun.open();
      await end.passed;
      await t.throwsAsync(add(trx, 'b'), { code: 'ERR_LEASEHOLD_TRANSACTION_ENDED' });
      await t.throwsAsync(trx.commit().execute(), { name: 'AbortError' });
      await trx.rollback().execute();
    },
    { signal: controller.signal },
  );
  await begun.passed;
  controller.abort();
  await add(db, 'c');
  end.open();
  await request;
  t.is(await namesOf(db), 'c');
  isIdle(t, pool);
});

test('a read only one refuses writes, also in its savepoints, and keeps nobody waiting', async (t) => {
  const { pool, db } = await openKysely(t);
  const trx = await db.startTransaction().setAccessMode('read only').execute();
  t.is(await namesOf(trx), '');
  await add(db, 'a');
  const part = await trx.savepoint('one').execute();
  await t.throwsAsync(add(part, 'b'), refusal('READ_ONLY'));
  t.is(await namesOf(part), '');
  await trx.commit().execute();
  t.is(await namesOf(db), 'a');
  isIdle(t, pool);
});

test('COMMIT and ROLLBACK end the savepoints that are open, so that nothing is left of them', async (t) => {
  const { pool, db } = await openKysely(t);
  const left: unknown[] = [];
  pool.on('dirty', (event) => void left.push(event));
  const endBy = async (ending: 'commit' | 'rollback') => {
    const trx = await db.startTransaction().execute();
    await add(trx, 'a');
    const one = await trx.savepoint('one').execute();
    await add(one, 'b');
    const two = await one.savepoint('two').execute();
    await add(two, 'c');
    await two[ending]().execute();
  };
  for (const ending of ['commit', 'rollback'] as const) {
    await pool.withScope(() => endBy(ending));
    isIdle(t, pool);
    t.is(await namesOf(db), 'a b c');
    await pool.withConnection(() => endBy(ending));
    isIdle(t, pool);
    t.is(await namesOf(db), ending === 'commit' ? 'a b c a b c' : 'a b c');
    await db.deleteFrom('item').where('id', '>', 3).execute();
  }
  t.deepEqual(left, []);
});

interface Tables {
  item: { name: string };
}

// More than one of a name, and one of it in other letters.
const names = ['one', 'two', 'ONE'] as const;

interface Step {
  readonly act: 'add' | 'savepoint' | 'rollbackToSavepoint' | 'releaseSavepoint';
  /** Of the savepoint. */
  readonly name: (typeof names)[number];
}

const step: Arbitrary<Step> = record({
  act: constantFrom('add', 'add', 'savepoint', 'savepoint', 'rollbackToSavepoint', 'releaseSavepoint'),
  name: constantFrom(...names),
});

type Trx = ControlledTransaction<Tables>;
type Loose = ControlledTransaction<Tables, string[]>;

async function take(trx: Trx, { act, name }: Step, row: number): Promise<string> {
  try {
    if (act === 'add')
      await trx
        .insertInto('item')
        .values({ name: `${row}` })
        .execute();
    else if (act === 'savepoint') await trx.savepoint(name).execute();
    // Of any name, known to the types or not.
    else await (trx as Loose)[act](name).execute();
    return 'done';
  } catch (error) {
    return `${(error as { code?: string }).code}: ${(error as Error).message}`;
  }
}

const rowsOf = (db: Kysely<Tables>) => db.selectFrom('item').select('name').execute();

/** What the same steps come to, one after the other, and what is there after each and at the end. */
async function play(dialect: Dialect, steps: readonly Step[], ending: 'commit' | 'rollback'): Promise<unknown[]> {
  const db = new Kysely<Tables>({ dialect });
  await db.schema.createTable('item').ifNotExists().addColumn('name', 'text').execute();
  await db.deleteFrom('item').execute();
  const trx: Trx = await db.startTransaction().execute();
  const seen: unknown[] = [];
  for (const [row, asked] of steps.entries()) seen.push(await take(trx, asked, row), await rowsOf(trx));
  await trx[ending]().execute();
  seen.push(await rowsOf(db));
  return seen;
}

test('whatever is done with savepoints comes to what SQLite itself makes of it', async (t: ExecutionContext) => {
  const raw = new Database(':memory:');
  t.teardown(() => void raw.close());
  const pool = temporaryPool(t);
  const [own, ours] = [new SqliteDialect({ database: raw }), new LeaseholdDialect({ pool })];
  await assert(
    asyncProperty(array(step, { maxLength: 12 }), constantFrom('commit', 'rollback'), async (steps, ending) => {
      t.deepEqual(await play(ours, steps, ending), await play(own, steps, ending));
      isIdle(t, pool);
    }),
    { numRuns: 150 },
  );
});

test('a savepoint that fails for good leaves one that is told, and the transaction can still be rolled back', async (t) => {
  const pool = temporaryPool(t);
  const db = new Kysely<Tables>({ dialect: new LeaseholdDialect({ pool }) });
  await db.schema
    .createTable('item')
    .addColumn('name', 'text', (column) => column.unique())
    .execute();
  const trx = await db.startTransaction().execute();
  const one = await trx.savepoint('one').execute();
  await one.insertInto('item').values({ name: 'a' }).execute();
  // Rolls back the whole transaction under whoever has it.
  await t.throwsAsync(one.insertInto('item').orRollback().values({ name: 'a' }).execute(), {
    code: 'SQLITE_CONSTRAINT_UNIQUE',
  });
  const aborted = { code: 'ERR_LEASEHOLD_TRANSACTION_ABORTED' };
  await t.throwsAsync(rowsOf(one), aborted);
  await t.throwsAsync(one.releaseSavepoint('one').execute(), aborted);
  await t.throwsAsync(trx.commit().execute(), aborted);
  await trx.rollback().execute();
  t.deepEqual(await rowsOf(db), []);
  isIdle(t, pool);
});

test('of savepoints that a rollback ends nothing is kept while the scope goes on', async (t) => {
  const pool = temporaryPool(t);
  const db = new Kysely<Tables>({ dialect: new LeaseholdDialect({ pool }) });
  await db.schema.createTable('item').addColumn('name', 'text').execute();
  const opened: WeakRef<object>[] = [];
  const openTransaction = pool.openTransaction.bind(pool);
  pool.openTransaction = (options) => {
    const transaction = openTransaction(options);
    opened.push(new WeakRef(transaction));
    return transaction;
  };
  await pool.withConnection(async () => {
    await (async () => {
      const trx: Trx = await db.startTransaction().execute();
      const one = await trx.savepoint('one').execute();
      await one.savepoint('two').execute();
      await trx.rollback().execute();
    })();
    t.is(opened.length, 3);
    t.true(await collected(() => opened.every((transaction) => transaction.deref() === undefined)));
  });
});
