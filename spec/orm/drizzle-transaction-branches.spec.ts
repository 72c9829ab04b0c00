import { MessageChannel } from 'node:worker_threads';
import test, { type ExecutionContext } from 'ava';
import { drizzle } from '../../lib/orm/drizzle.ts';
import { gate, settled } from '../support/gate.ts';
import { temporaryPool } from '../support/sqlite.ts';
import { codeOf, customers, namesIn, openShop, type Shop } from './drizzle-shop.ts';

type Transaction = Parameters<Parameters<Shop['db']['transaction']>[0]>[0];

const before = ['Ada', 'Grace'];
const enough = new Error('enough');

/** Runs functions in an async context of its own, as listeners and callbacks of others are run. */
function elsewhere(t: ExecutionContext): <Result>(fn: () => Promise<Result>) => Promise<Result> {
  const { port1, port2 } = new MessageChannel();
  t.teardown(() => port1.close());
  const jobs: (() => void)[] = [];
  // Called by the port, in the context in which it was set up.
  port1.on('message', () => jobs.shift()?.());
  return (fn) =>
    new Promise((resolve, reject) => {
      jobs.push(() => void fn().then(resolve, reject));
      port2.postMessage(undefined);
    });
}

test('a query of tx is part of the transaction also where the async context is another’s', async (t) => {
  const { db, pool } = await openShop(t);
  const foreign = elsewhere(t);
  const transaction = db.transaction(async (tx) => {
    await foreign(async () => {
      // So it is: who asks without tx is outside.
      t.is(pool.current, undefined);
      await tx.insert(customers).values({ name: 'Mary' });
      t.is(await tx.$count(customers), 3);
      t.is(await db.$count(customers), 2);
    });
    t.is(await db.$count(customers), 3);
    throw enough;
  });
  t.is(await t.throwsAsync(transaction), enough);
  t.deepEqual(await namesIn(pool), before);
});

test('so is a nested transaction, and one from the scope of another request', async (t) => {
  const { db, pool } = await openShop(t);
  const foreign = elsewhere(t);
  await db.transaction(async (tx) => {
    await foreign(() =>
      pool.withConnection(async (connection) => {
        await tx.transaction((part) => part.insert(customers).values({ name: 'kept' }));
        await t.throwsAsync(
          tx.transaction(async (part) => {
            await part.insert(customers).values({ name: 'undone' });
            part.rollback();
          }),
        );
        t.is(connection.inTransaction, false);
      }),
    );
  });
  t.deepEqual(await namesIn(pool), [...before, 'kept']);
});

test('a query of tx stays in its transaction where a fresh connection is at hand', async (t) => {
  const { db, pool } = await openShop(t);
  const transaction = db.transaction(async (tx) => {
    await pool.withConnection(
      async () => {
        await tx.insert(customers).values({ name: 'Mary' });
        t.is(await db.$count(customers), 2);
        await tx.transaction(async (part) => {
          await pool.withConnection(() => tx.insert(customers).values({ name: 'Joan' }), { fresh: true });
          t.is(await part.$count(customers), 4);
        });
      },
      { fresh: true },
    );
    throw enough;
  });
  t.is(await t.throwsAsync(transaction), enough);
  t.deepEqual(await namesIn(pool), before);
});

test('while a part is open, a query from a branch outside of it is refused', async (t) => {
  const { db, pool } = await openShop(t);
  const isOpen = gate();
  const mayEnd = gate();
  await db.transaction(async (tx) => {
    const part = tx.transaction(async (own) => {
      await own.insert(customers).values({ name: 'inner' });
      isOpen.open();
      await mayEnd.passed;
    });
    await isOpen.passed;
    t.is(await codeOf(tx.insert(customers).values({ name: 'slips in' })), 'ERR_LEASEHOLD_TRANSACTION_BUSY');
    t.is(await codeOf(db.select().from(customers)), 'ERR_LEASEHOLD_TRANSACTION_BUSY');
    mayEnd.open();
    await part;
    await tx.insert(customers).values({ name: 'outer' });
  });
  t.deepEqual(await namesIn(pool), [...before, 'inner', 'outer']);
});

test('a tx that outlives its transaction is refused, wherever it is used', async (t) => {
  const { db, pool } = await openShop(t);
  const foreign = elsewhere(t);
  const kept: Transaction[] = [];
  const keep = async (tx: Transaction) => {
    kept.push(tx);
    await tx.transaction(async (part) => void kept.push(part)).catch(() => {});
  };
  await db.transaction(keep);
  await t.throwsAsync(
    db.transaction(async (tx) => {
      await keep(tx);
      throw enough;
    }),
  );
  await pool.withConnection(async () => {
    await db.transaction(keep);
    for (const tx of kept) {
      t.is(await codeOf(tx.insert(customers).values({ name: 'late' })), 'ERR_LEASEHOLD_TRANSACTION_ENDED');
    }
    // The next one on the same connection is not theirs.
    await db.transaction(async () => {
      for (const tx of kept) t.is(await codeOf(tx.$count(customers)), 'ERR_LEASEHOLD_TRANSACTION_ENDED');
    });
  });
  for (const tx of kept.slice(0, 4)) {
    const uses = [() => tx.select().from(customers), () => tx.transaction(async () => {}), () => tx.run('SELECT 1')];
    for (const use of uses) {
      t.is(await codeOf(use()), 'ERR_LEASEHOLD_TRANSACTION_ENDED');
      t.is(await codeOf(foreign(async () => use())), 'ERR_LEASEHOLD_TRANSACTION_ENDED');
    }
  }
  t.deepEqual(await namesIn(pool), before);
});

test('a part that has ended is refused while its transaction goes on', async (t) => {
  const { db, pool } = await openShop(t);
  await db.transaction(async (tx) => {
    const part = await tx.transaction(async (own) => own);
    t.is(await codeOf(part.insert(customers).values({ name: 'late' })), 'ERR_LEASEHOLD_TRANSACTION_ENDED');
    await tx.insert(customers).values({ name: 'Mary' });
  });
  t.deepEqual(await namesIn(pool), [...before, 'Mary']);
});

test('what is left of a transaction can not write when it is over, by tx or by db', async (t) => {
  const { db, pool } = await openShop(t);
  const over = gate();
  const left: Promise<unknown>[] = [];
  const later = async (database: Pick<Transaction, 'insert'>) => {
    await over.passed;
    await database.insert(customers).values({ name: 'late' });
  };
  await db.transaction(async (tx) => {
    left.push(codeOf(later(tx)), codeOf(later(db)));
  });
  over.open();
  t.deepEqual(await Promise.all(left), ['ERR_LEASEHOLD_TRANSACTION_ENDED', 'ERR_LEASEHOLD_TRANSACTION_ENDED']);
  await settled();
  t.deepEqual(await namesIn(pool), before);
});

test('a query that is made last and not awaited is part of the transaction, or refused, never committed by itself', async (t) => {
  const { db, pool } = await openShop(t);
  let last: Promise<unknown> | undefined;
  await t.throwsAsync(
    db.transaction(async (tx) => {
      last = codeOf(tx.insert(customers).values({ name: 'last' }));
      throw enough;
    }),
  );
  t.true([undefined, 'ERR_LEASEHOLD_TRANSACTION_ENDED'].includes((await last) as undefined));
  t.deepEqual(await namesIn(pool), before);
});

test('a transaction whose part is still open when it returns is rolled back', async (t) => {
  const { db, pool } = await openShop(t);
  const never = gate();
  let part: Promise<unknown> | undefined;
  const isOpen = gate();
  const transaction = db.transaction(async (tx) => {
    part = codeOf(
      tx.transaction(async (own) => {
        await own.insert(customers).values({ name: 'half' });
        isOpen.open();
        await never.passed;
      }),
    );
    await isOpen.passed;
  });
  t.is(await codeOf(transaction), 'ERR_LEASEHOLD_TRANSACTION_BUSY');
  never.open();
  t.is(await part, 'ERR_LEASEHOLD_TRANSACTION_ENDED');
  t.deepEqual(await namesIn(pool), before);
});

test('a part of a transaction of Drizzle is still inside the transaction of another pool around it', async (t) => {
  const [one, other] = [temporaryPool(t), temporaryPool(t)];
  await other.run('CREATE TABLE item (name TEXT)');
  const [db, beside] = [drizzle(one), drizzle(other)];
  const seen = await db.transaction((tx) =>
    beside.transaction(async () => {
      await beside.run("INSERT INTO item VALUES ('a')");
      return tx.transaction(async () => {
        const rows = await beside.values<[string]>('SELECT name FROM item');
        await beside.run("INSERT INTO item VALUES ('b')");
        return rows.flat();
      });
    }),
  );
  t.deepEqual(seen, ['a']);
  t.deepEqual(await beside.values('SELECT name FROM item'), [['a'], ['b']]);
});
