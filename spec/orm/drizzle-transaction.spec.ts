import { setImmediate } from 'node:timers/promises';
import test from 'ava';
import { eq, sql, TransactionRollbackError } from 'drizzle-orm';
import { gate, settled } from '../support/gate.ts';
import { codeOf, customers, namesIn, openShop, orders } from './drizzle-shop.ts';

const before = ['Ada', 'Grace'];
const enough = new Error('enough');

test('a transaction that awaits commits, and its result passes through', async (t) => {
  const { db, pool } = await openShop(t);
  const result = await db.transaction(async (tx) => {
    await tx.insert(customers).values({ name: 'Mary' });
    await setImmediate();
    t.deepEqual(await namesIn(pool), [...before, 'Mary']);
    return tx.$count(customers);
  });
  t.is(result, 3);
  t.deepEqual(await namesIn(pool), [...before, 'Mary']);
  t.like(pool.stats(), { leased: 0, laneHeld: 0 });
});

test('what is thrown in the middle undoes all of it, and arrives as it was thrown', async (t) => {
  const { db, pool } = await openShop(t);
  const transaction = db.transaction(async (tx) => {
    await tx.insert(customers).values({ name: 'Mary' });
    await setImmediate();
    throw enough;
  });
  t.is(await t.throwsAsync(transaction), enough);
  const failing = db.transaction(async (tx) => {
    await tx.insert(customers).values({ name: 'Mary' });
    await tx.insert(customers).values({ name: 'Ada' });
  });
  t.is(await codeOf(failing), 'SQLITE_CONSTRAINT_UNIQUE');
  t.deepEqual(await namesIn(pool), before);
  t.like(pool.stats(), { leased: 0, laneHeld: 0, counters: { dirty: 0, discarded: 0 } });
});

test('tx.rollback() rolls back, and rejects with Drizzle’s own error', async (t) => {
  const { db, pool } = await openShop(t);
  const transaction = db.transaction(async (tx) => {
    await tx.insert(customers).values({ name: 'Mary' });
    tx.rollback();
  });
  await t.throwsAsync(transaction, { instanceOf: TransactionRollbackError });
  t.deepEqual(await namesIn(pool), before);
});

test('a transaction inside another is undone alone', async (t) => {
  const { db, pool } = await openShop(t);
  await db.transaction(async (tx) => {
    await tx.insert(customers).values({ name: 'kept' });
    await t.throwsAsync(
      tx.transaction(async (part) => {
        await part.insert(customers).values({ name: 'undone' });
        // The outer one may be used by the branch that is in the inner.
        await tx.insert(customers).values({ name: 'undone as well' });
        await part.transaction((inner) => inner.insert(customers).values({ name: 'undone with it' }));
        part.rollback();
      }),
      { instanceOf: TransactionRollbackError },
    );
    await tx.transaction((part) => part.insert(customers).values({ name: 'kept, too' }));
  });
  t.deepEqual(await namesIn(pool), [...before, 'kept', 'kept, too']);
});

test('queries of the database itself are part of the transaction around them', async (t) => {
  const { db, pool } = await openShop(t);
  const transaction = db.transaction(async () => {
    await db.insert(customers).values({ name: 'Mary' });
    await pool.run("INSERT INTO customer (name) VALUES ('Joan')");
    await db.transaction((part) => part.insert(customers).values({ name: 'Jean' }));
    await db.batch([db.insert(customers).values({ name: 'Radia' })]);
    t.is((await db.select().from(customers)).length, 6);
    throw enough;
  });
  t.is(await t.throwsAsync(transaction), enough);
  t.deepEqual(await namesIn(pool), before);
});

test('it is part of pool.transaction(), and pool.transaction() is part of it', async (t) => {
  const { db, pool } = await openShop(t);
  const outside = pool.transaction(async (handle) => {
    await db.insert(customers).values({ name: 'Mary' });
    await db.transaction((tx) => tx.insert(customers).values({ name: 'Joan' }));
    t.is(handle.prepare('SELECT count(*) FROM customer').pluck().get(), 4);
    throw enough;
  });
  t.is(await t.throwsAsync(outside), enough);
  t.deepEqual(await namesIn(pool), before);
  await db.transaction(async (tx) => {
    const inside = pool.transaction(async (handle) => {
      handle.prepare("INSERT INTO customer (name) VALUES ('Mary')").run();
      await tx.insert(customers).values({ name: 'Joan' });
      t.is(await tx.$count(customers), 4);
      throw enough;
    });
    t.is(await t.throwsAsync(inside), enough);
    t.is(await tx.$count(customers), 2);
  });
});

test('in a scope with a connection it runs on that', async (t) => {
  const { db, pool } = await openShop(t, { max: 1 });
  await pool.withConnection(async (connection) => {
    await db.transaction(async (tx) => {
      await tx.insert(customers).values({ name: 'Mary' });
      t.is(connection.inTransaction, true);
      t.is(connection.prepare('SELECT count(*) FROM customer').pluck().get(), 3);
      t.is(pool.stats().leased, 1);
    });
  });
});

test('in pool.read() queries see one snapshot, and writes are refused', async (t) => {
  const { db, pool } = await openShop(t);
  await pool.read(async () => {
    t.is(await db.$count(customers), 2);
    await pool.transaction(() => db.insert(customers).values({ name: 'Mary' }), { nesting: 'separate' });
    t.is(await db.$count(customers), 2);
    t.is(await codeOf(db.insert(customers).values({ name: 'Joan' })), 'ERR_LEASEHOLD_READ_ONLY');
    t.is(await codeOf(db.transaction((tx) => tx.$count(customers))), 'ERR_LEASEHOLD_READ_ONLY');
  });
  t.is(await db.$count(customers), 3);
});

test('fifty requests that each await in a transaction lose nothing to each other', async (t) => {
  const { db, pool } = await openShop(t, { max: 4 });
  await db.run(sql`INSERT INTO purchase (id, customer_id, item) VALUES (100, 1, 0)`);
  const counter = eq(orders.id, 100);
  const request = (number: number) =>
    pool.withScope(async () => {
      const work = db.transaction(async (tx) => {
        const [row] = await tx.select({ item: orders.item }).from(orders).where(counter);
        await setImmediate();
        await tx
          .update(orders)
          .set({ item: `${Number(row?.item) + 1}` })
          .where(counter);
        await db.insert(customers).values({ name: `number ${number}` });
        await setImmediate();
        if (number % 5 === 0) throw enough;
      });
      // Reads go on beside it, and see what is committed.
      const [seen] = await db.select().from(orders).where(counter);
      await work.catch((error: unknown) => t.is(error, enough));
      return Number(seen?.item);
    });
  const seen = await Promise.all(Array.from({ length: 50 }, (_, index) => request(index + 1)));
  t.true(seen.every((number) => number >= 0 && number <= 40));
  t.deepEqual(await db.select({ item: orders.item }).from(orders).where(counter), [{ item: '40' }]);
  t.is(await db.$count(customers), 42);
  t.like(pool.stats(), { leased: 0, waiting: 0, laneHeld: 0, laneWaiting: 0, counters: { dirty: 0 } });
});

test('two transactions that are started together run one after the other', async (t) => {
  const { db, pool } = await openShop(t);
  const order: string[] = [];
  const work = (name: string, fails = false) =>
    db.transaction(async (tx) => {
      order.push(`${name} begins`);
      await tx.insert(customers).values({ name });
      await settled();
      order.push(`${name} ends`);
      if (fails) throw enough;
    });
  const results = await Promise.allSettled([work('a'), work('b', true), work('c')]);
  t.deepEqual(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
  t.deepEqual(order, ['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends']);
  t.deepEqual(await namesIn(pool), [...before, 'a', 'c']);
});

test('two parts of a transaction that are started together run one after the other, and fail alone', async (t) => {
  const { db, pool } = await openShop(t);
  await db.transaction(async (tx) => {
    const part = (name: string, fails = false) =>
      tx.transaction(async (own) => {
        await own.insert(customers).values({ name });
        await settled();
        await own.insert(customers).values({ name: `${name} again` });
        if (fails) own.rollback();
      });
    const results = await Promise.allSettled([part('a'), part('b', true), part('c')]);
    t.deepEqual(
      results.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    );
  });
  t.deepEqual(await namesIn(pool), [...before, 'a', 'a again', 'c', 'c again']);
});

test('queries that are made together in a transaction are all part of it', async (t) => {
  const { db, pool } = await openShop(t);
  await db.transaction((tx) =>
    Promise.all(['a', 'b', 'c'].map((name) => tx.insert(customers).values({ name }).returning())),
  );
  t.deepEqual(await namesIn(pool), [...before, 'a', 'b', 'c']);
});

test('while a transaction awaits, others read what was before, and writers wait for its end', async (t) => {
  const { db } = await openShop(t);
  const written = gate();
  const mayEnd = gate();
  const first = db.transaction(async (tx) => {
    await tx.update(customers).set({ name: 'Augusta' }).where(eq(customers.id, 1));
    written.open();
    await mayEnd.passed;
  });
  await written.passed;
  let hasWritten = false;
  const second = db
    .update(customers)
    .set({ name: sql`${customers.name} || ' King'` })
    .where(eq(customers.id, 1))
    .then(() => {
      hasWritten = true;
    });
  t.deepEqual(await db.query.customers.findFirst(), { id: 1, name: 'Ada' });
  t.false(hasWritten);
  mayEnd.open();
  await Promise.all([first, second]);
  t.deepEqual(await db.query.customers.findFirst(), { id: 1, name: 'Augusta King' });
});
