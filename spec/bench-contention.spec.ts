import test from 'ava';
import { RawTransactions } from '../bench/contenders/raw-transactions.ts';
import { oneMillisecond, type Transactions } from '../bench/contenders/transactor.ts';
import { audit } from '../bench/contention/audit.ts';
import { runLoops } from '../bench/contention/loops.ts';
import { isWrite, mixes } from '../bench/contention/mixes.ts';
import { copyOf, openDatabase, selectBalance, updateBalance, withDatabaseFile } from '../bench/support/database.ts';
import { watchStalls } from '../bench/support/stalls.ts';

/** Transactions of one better-sqlite3 connection, and what a test would have wrong in them. */
async function withTransactions(
  wrong: (connection: RawTransactions) => Partial<Transactions>,
  use: (transactions: Transactions, file: string) => Promise<void>,
): Promise<void> {
  await withDatabaseFile(async (template) => {
    const file = copyOf(template, 'copy');
    const connection = new RawTransactions(file);
    const transactions: Transactions = {
      write: (account) => connection.write(account),
      read: (account) => connection.read(account),
      left: () => ({ inTransaction: Number(connection.db.inTransaction) }),
      close: async () => {
        connection.db.close();
      },
      ...wrong(connection),
    };
    try {
      await use(transactions, file);
    } finally {
      await transactions.close();
    }
  });
}

const shortTurn = { milliseconds: Infinity, operations: 200 };

const writingWithoutTransaction = ({ db }: RawTransactions): Partial<Transactions> => ({
  async write(account) {
    const balance = Number(db.prepare(selectBalance).pluck().get(account));
    await oneMillisecond();
    db.prepare(updateBalance).run(balance + 1, account);
  },
});

test('a write that is lost ends the run', async (t) => {
  await withTransactions(writingWithoutTransaction, async (transactions, file) => {
    const { written } = await runLoops(transactions, () => true, shortTurn);
    t.is(written, 200);
    await t.throwsAsync(audit('it', file, transactions, written), { message: /^it committed 200 writes, of which/ });
  });
});

const readingWithoutTransaction = ({ db }: RawTransactions): Partial<Transactions> => {
  const select = db.prepare<[number], number>(selectBalance).pluck();
  return {
    async read(account) {
      const first = select.get(account) ?? Number.NaN;
      await oneMillisecond();
      return [first, select.get(account) ?? Number.NaN];
    },
    async write() {
      db.exec('UPDATE accounts SET balance = balance + 1');
    },
  };
};

test('a snapshot that changes under a read ends the run', async (t) => {
  await withTransactions(readingWithoutTransaction, async (transactions) => {
    const run = runLoops(transactions, (operation) => operation % 10 === 9, shortTurn);
    await t.throwsAsync(run, { message: /snapshot changed/ });
  });
});

test('an operation that fails is counted by its code, and the others go on', async (t) => {
  // Without a queue, of 64 at once on one connection the first alone can begin.
  await withTransactions(
    () => ({}),
    async (transactions, file) => {
      const { operations, committed, written, errors } = await runLoops(transactions, () => true, shortTurn);
      t.is(operations, 200);
      t.deepEqual(errors, { SQLITE_ERROR: 200 - committed });
      t.true(committed > 0 && committed < 200);
      await t.notThrowsAsync(audit('it', file, transactions, written));
    },
  );
});

test('what is left held or open ends the run, known to the contender or not', async (t) => {
  await withTransactions(
    () => ({}),
    async (transactions, file) => {
      await t.notThrowsAsync(audit('it', file, transactions, 0));
      const waiting = { left: () => ({ held: 0, waiting: 2 }) };
      await t.throwsAsync(audit('it', file, waiting, 0), { message: 'it ended with waiting 2' });
      const other = openDatabase(file);
      try {
        other.exec('BEGIN IMMEDIATE');
        await t.throwsAsync(audit('it', file, transactions, 0), { code: 'SQLITE_BUSY' });
        other.exec('COMMIT; BEGIN; SELECT * FROM accounts');
        await t.throwsAsync(audit('it', file, transactions, 0), { message: 'it ended with a snapshot open' });
        other.exec('COMMIT');
        await t.notThrowsAsync(audit('it', file, transactions, 0));
      } finally {
        other.close();
      }
    },
  );
});

test('of each ten operations of a mix the same number writes, and some writes are close together', (t) => {
  for (const mix of mixes) {
    const writes = Array.from({ length: 1000 }, (_, operation) => isWrite(mix, operation));
    for (let ten = 0; ten < 1000; ten += 10) {
      t.is(writes.slice(ten, ten + 10).filter(Boolean).length, mix.writesInTen, `${mix.id} from ${ten}`);
    }
    const places = writes.flatMap((write, operation) => (write ? [operation] : []));
    const gaps = places.slice(1).map((place, index) => place - (places[index] ?? 0));
    t.is(
      gaps.some((gap) => gap < 8),
      mix.id !== 'read',
      mix.id,
    );
  }
});

test('a stall of the event loop is seen, at the end too', async (t) => {
  const stop = watchStalls();
  const until = performance.now() + 40;
  while (performance.now() < until) {
    // Nothing else has a turn.
  }
  t.true(stop() >= 35);
});
