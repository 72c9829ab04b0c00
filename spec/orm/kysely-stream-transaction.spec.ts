import test from 'ava';
import { gate, settled } from '../support/gate.ts';
import { Enough, refusal } from '../support/items.ts';
import { add, type Items, isIdle, namesOf, openKysely } from '../support/kysely.ts';

// Streams of the root database beside transactions on the same connection.

const stream = (db: Items['db']) => db.selectFrom('item').select('name').orderBy('id').stream(1);

test('a transaction that waits for its turn is not refused for a stream that was begun meanwhile', async (t) => {
  const { pool, db } = await openKysely(t);
  await add(db, 'a', 'b', 'c');
  const writer = await pool.openTransaction().begun;
  await pool.withConnection(async () => {
    const adding = ['d', 'e'].map((name) => db.transaction().execute((trx) => add(trx, name)));
    await settled();
    t.is(pool.stats().laneWaiting, 1);
    const read: string[] = [];
    for await (const { name } of stream(db)) {
      if (read.length === 0) {
        await writer.commit();
        await Promise.all(adding);
      }
      read.push(name);
    }
    // The rows of before.
    t.deepEqual(read, ['a', 'b', 'c']);
  });
  t.is(await namesOf(db), 'a b c d e');
  isIdle(t, pool);
});

test('nor is the second of two that wait, for one that was begun when the first was over', async (t) => {
  const { pool, db } = await openKysely(t);
  await add(db, 'a', 'b');
  const writer = await pool.openTransaction().begun;
  await pool.withConnection(async () => {
    const [first, second] = ['c', 'd'].map((name) => db.transaction().execute((trx) => add(trx, name)));
    await settled();
    // Queues between the two: the second asks for the lane when the first is over.
    const other = pool.openTransaction({ nesting: 'separate' });
    await writer.commit();
    await first;
    await other.begun;
    const rows = stream(db);
    await rows.next();
    await other.commit();
    await t.notThrowsAsync(second as Promise<void>);
    t.deepEqual((await rows.next()).value, { name: 'b' });
    await rows.return?.();
  });
  t.is(await namesOf(db), 'a b c d');
  isIdle(t, pool);
});

test('when none waits any more, streams are read as they are asked for again', async (t) => {
  const { pool, db } = await openKysely(t, { acquireTimeout: 500 });
  await add(db, 'a', 'b', 'c');
  const writer = await pool.openTransaction().begun;
  await pool.withConnection(async (handle) => {
    let read = 0;
    handle.function('noted', () => ++read);
    const begin = async () => {
      const rows = db
        .selectFrom('item')
        .select((eb) => eb.fn<number>('noted', []).as('count'))
        .stream(1);
      await rows.next();
      return rows;
    };
    const waiting = db.transaction().execute((trx) => add(trx, 'd'));
    await settled();
    const first = await begin();
    t.is(read, 3);
    await t.throwsAsync(waiting, refusal('WRITE_TIMEOUT'));
    const second = await begin();
    t.is(read, 4);
    await first.return?.();
    await second.return?.();
  });
  await writer.rollback();
  isIdle(t, pool);
});

test('a stream in a transaction goes on when another branch of the scope is about to write, or waits for its turn', async (t) => {
  const { pool, db } = await openKysely(t);
  await add(db, 'a', 'b', 'c');
  await pool.withConnection(async () => {
    const [begun, goOn] = [gate(), gate()];
    const reading = db.transaction().execute(async (trx) => {
      await add(trx, 'd');
      const read: string[] = [];
      for await (const { name } of stream(db)) {
        if (read.length === 0) {
          begun.open();
          await goOn.passed;
        }
        read.push(name);
      }
      return read.join(' ');
    });
    await begun.passed;
    await t.throwsAsync(add(db, 'refused'), refusal('TRANSACTION_BUSY'));
    const next = db.transaction().execute((trx) => add(trx, 'e'));
    await settled();
    goOn.open();
    t.is(await reading, 'a b c d');
    await next;
  });
  t.is(await namesOf(db), 'a b c d e');
  isIdle(t, pool);
});

test('a stream that was begun in a transaction which is rolled back does not end as if it had no more rows', async (t) => {
  const { pool, db } = await openKysely(t);
  await add(db, 'a', 'b', 'c');
  const places: ((fn: () => Promise<void>) => Promise<unknown>)[] = [
    (fn) => db.transaction().execute(fn),
    (fn) => pool.transaction(fn),
    // Only a part is rolled back.
    (fn) =>
      pool.transaction(async () => {
        await t.throwsAsync(db.transaction().execute(fn), { instanceOf: Enough });
        throw new Enough();
      }),
  ];
  for (const within of places) {
    await pool.withConnection(async () => {
      const rows = stream(db);
      const failing = within(async () => {
        t.deepEqual((await rows.next()).value, { name: 'a' });
        throw new Enough();
      });
      await t.throwsAsync(failing, { instanceOf: Enough });
      await t.throwsAsync(rows.next(), refusal('TRANSACTION_ENDED'));
      t.true((await rows.next()).done);
    });
  }
  isIdle(t, pool);
});

test('one that was read to its end in time has all its rows, whatever becomes of the transaction', async (t) => {
  const { pool, db } = await openKysely(t);
  await add(db, 'a', 'b');
  await pool.withConnection(async () => {
    const rows = stream(db);
    await db.transaction().execute(async () => void (await rows.next()));
    t.deepEqual((await rows.next()).value, { name: 'b' });
    t.true((await rows.next()).done);
  });
  isIdle(t, pool);
});
