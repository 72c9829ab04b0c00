import test from 'ava';
import { Transactions } from '../lib/transaction.ts';
import { TransactionAbortedError } from '../lib/transaction-errors.ts';
import { FakeClock } from './support/clock.ts';
import { transactionRequest } from './support/requests.ts';
import { FakeDatabase, FakeLease } from './support/transactions.ts';

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
