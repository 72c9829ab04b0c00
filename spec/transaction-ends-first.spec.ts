import test from 'ava';
import type { SqlitePool } from '../lib/index.ts';
import { Transactions } from '../lib/transaction.ts';
import { TransactionAbortedError } from '../lib/transaction-errors.ts';
import { FakeClock } from './support/clock.ts';
import { gate } from './support/gate.ts';
import { insert, namesIn, openItems, refusal } from './support/items.ts';
import { transactionRequest } from './support/requests.ts';
import { FakeDatabase, FakeLease } from './support/transactions.ts';

for (const [where, within] of [
  ['on a connection of its own', (_: SqlitePool, fn: () => Promise<void>) => fn()],
  ['on a connection that outlives it', (pool: SqlitePool, fn: () => Promise<void>) => pool.withConnection(fn)],
] as const) {
  test(`a part whose turn comes in the step in which the transaction commits never begins, ${where}`, async (t) => {
    const pool = await openItems(t);
    let ran = false;
    let second: Promise<unknown> | undefined;
    await within(pool, async () => {
      // The promise of the first part itself, so that the transaction commits before anything else can run.
      await pool.transaction((tx) => {
        const first = pool.transaction(() => insert(tx, 'first'));
        second = t.throwsAsync(
          pool.transaction(() => {
            ran = true;
          }),
          refusal('TRANSACTION_ENDED'),
        );
        return first;
      });
      await second;
    });
    t.false(ran);
    t.deepEqual(await namesIn(pool), ['first']);
  });
}

test('a part that returns after the transaction was rolled back is told that nothing of it is kept', async (t) => {
  const pool = await openItems(t);
  const going = gate();
  const begun = gate();
  // The connection outlives the transaction, so that it is not the end of the lease that the part is told of.
  await pool.withConnection(async (db) => {
    let part: Promise<unknown> | undefined;
    const failure = new Error('The rest has failed');
    const whole = pool.transaction(async () => {
      part = t.throwsAsync(
        pool.transaction(async (tx) => {
          insert(tx, 'part');
          begun.open();
          await going.passed;
          return 'done';
        }),
        refusal('TRANSACTION_ENDED'),
      );
      await begun.passed;
      throw failure;
    });
    t.is(await t.throwsAsync(whole), failure);
    going.open();
    await part;
    t.false(db.inTransaction);
    await pool.transaction((tx) => insert(tx, 'next'));
  });
  t.deepEqual(await namesIn(pool), ['next']);
});

test('a COMMIT that fails and leaves nothing open is told as an abort by the database, with its error', async (t) => {
  const lease = new FakeLease();
  const database = new FakeDatabase();
  const clock = new FakeClock();
  const transactions = new Transactions(database, lease, clock);
  const failure = new Error('The disk is full');
  // As SQLite does where it can not write what it must to keep the transaction open.
  database.commit = async () => {
    database.open.length = 0;
    throw failure;
  };
  const error = await t.throwsAsync(
    transactions.run(() => 'never', transactionRequest(clock, { label: 'order' })),
    { instanceOf: TransactionAbortedError },
  );
  t.is(error?.cause, failure);
  t.is(error?.label, 'order');
  t.deepEqual([transactions.current, database.ended, database.faults], [undefined, 1, []]);
});
