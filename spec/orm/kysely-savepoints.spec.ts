import test, { type ExecutionContext } from 'ava';
import Database from 'better-sqlite3';
import { type Arbitrary, array, assert, asyncProperty, constantFrom, record } from 'fast-check';
import { type ControlledTransaction, type Dialect, Kysely, SqliteDialect } from 'kysely';
import { LeaseholdDialect } from '../../lib/orm/kysely.ts';
import { collected } from '../support/gc.ts';
import { isIdle } from '../support/kysely.ts';
import { temporaryPool } from '../support/sqlite.ts';

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
