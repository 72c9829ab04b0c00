import test from 'ava';
import { gate } from '../support/gate.ts';
import { refusal } from '../support/items.ts';
import { impatient, isIdle, names, openKnex, startNow } from '../support/knex.ts';

test('a query of the root joins the transaction in whose function it is made', async (t) => {
  const { pool, db } = await openKnex(t);
  const failing = db.transaction(async (trx) => {
    await trx('item').insert({ name: 'a' });
    t.like(await db('item').first(), { name: 'a' });
    await db('item').insert({ name: 'b' });
    throw new Error('enough');
  });
  await t.throwsAsync(failing, { message: 'enough' });
  t.deepEqual(await names(pool), []);
  await db.transaction((trx) => {
    db('item')
      .insert({ name: 'by hand' })
      .then(() => trx.commit())
      .catch(trx.rollback);
  });
  t.deepEqual(await names(pool), ['by hand']);
  isIdle(t, pool);
});

test('a read of the root goes on beside a transaction that was asked for without a function, and sees none of it', async (t) => {
  const { pool, db } = await openKnex(t);
  const trx = await db.transaction();
  await trx('item').insert({ name: 'a' });
  t.deepEqual(await db('item').pluck('name'), []);
  t.deepEqual(await trx('item').pluck('name'), ['a']);
  t.deepEqual(await db('item').transacting(trx).pluck('name'), ['a']);
  t.false(trx.isCompleted());
  await trx.commit();
  t.true(trx.isCompleted());
  t.deepEqual(await db('item').pluck('name'), ['a']);
  isIdle(t, pool);
});

test('a write of the root waits for a transaction that was asked for without a function, and then runs', async (t) => {
  const { pool, db } = await openKnex(t);
  const trx = await db.transaction();
  await trx('item').insert({ name: 'a' });
  const waiting = startNow(db('item').insert({ name: 'b' }));
  await trx('item').insert({ name: 'c' });
  t.is(pool.stats().laneWaiting, 1);
  await trx.commit();
  t.deepEqual(await waiting, [3]);
  t.deepEqual(await names(pool), ['a', 'c', 'b']);
});

test('a write of the root that can never have its turn is refused by the deadline, with the holder in the message', async (t) => {
  const { pool, db } = await openKnex(t);
  await pool.withScope(
    async () => {
      const trx = await db.transaction();
      const error = await t.throwsAsync(
        startNow(impatient(pool)('item').insert({ name: 'b' })),
        refusal('WRITE_TIMEOUT'),
      );
      t.regex(error.message, /^insert into `item` .* - Timed out after 30 ms[\s\S]+POST \/orders/);
      await trx.rollback();
    },
    { label: 'POST /orders' },
  );
  t.deepEqual(await names(pool), []);
  isIdle(t, pool);
});

test('the provider of a transaction begins it once, at its first call', async (t) => {
  const { pool, db } = await openKnex(t);
  const provide = db.transactionProvider();
  t.is(pool.stats().laneHeld, 0);
  const [first, second] = await Promise.all([provide(), provide()]);
  t.is(first, second);
  await first('item').insert({ name: 'a' });
  await first.commit();
  t.deepEqual(await names(pool), ['a']);
  isIdle(t, pool);
});

test('a nested transaction is undone alone', async (t) => {
  const { pool, db } = await openKnex(t);
  await db.transaction(async (trx) => {
    await trx('item').insert({ name: 'a' });
    const nested = trx.transaction(async (inner) => {
      await inner('item').insert({ name: 'b' });
      // The outer one and the root mean the part in which they are used.
      await trx('item').insert({ name: 'c' });
      await db('item').insert({ name: 'd' });
      throw new Error('enough');
    });
    await t.throwsAsync(nested, { message: 'enough' });
    const kept = await trx.savepoint(async (inner) => inner('item').insert({ name: 'e' }));
    t.is(kept.length, 1);
    const inner = await trx.transaction();
    await inner('item').insert({ name: 'f' });
    await inner.rollback();
  });
  t.deepEqual(await names(pool), ['a', 'e']);
  isIdle(t, pool);
});

test('nested transactions that are begun side by side run one after the other', async (t) => {
  const { pool, db } = await openKnex(t);
  await db.transaction(async (trx) => {
    const second = gate();
    const results = await Promise.allSettled([
      trx.transaction(async (inner) => {
        await inner('item').insert({ name: 'a' });
        second.open();
        await new Promise(setImmediate);
        throw new Error('enough');
      }),
      second.passed.then(() => trx.transaction(async (inner) => inner('item').insert({ name: 'b' }))),
    ]);
    t.deepEqual(
      results.map(({ status }) => status),
      ['rejected', 'fulfilled'],
    );
  });
  t.deepEqual(await names(pool), ['b']);
});

test('while a nested transaction is open, a query from beside it is refused rather than made part of it', async (t) => {
  const { pool, db } = await openKnex(t);
  const trx = await db.transaction();
  const inner = await trx.transaction();
  await t.throwsAsync(async () => trx('item').insert({ name: 'a' }), refusal('TRANSACTION_BUSY'));
  await inner('item').insert({ name: 'b' });
  await inner.commit();
  await trx('item').insert({ name: 'c' });
  await trx.commit();
  t.deepEqual(await names(pool), ['b', 'c']);
});

test('a transaction for reading is a snapshot, waits for no writer and refuses to write', async (t) => {
  const { pool, db, complaints } = await openKnex(t);
  await db('item').insert({ name: 'a' });
  const writing = await db.transaction();
  await db.transaction(
    async (trx) => {
      t.deepEqual(await trx('item').pluck('name'), ['a']);
      await writing('item').insert({ name: 'b' });
      await writing.commit();
      t.deepEqual(await trx('item').pluck('name'), ['a']);
      await t.throwsAsync(async () => trx('item').insert({ name: 'c' }), refusal('READ_ONLY'));
    },
    { readOnly: true },
  );
  t.deepEqual(await names(pool), ['a', 'b']);
  t.deepEqual(complaints, []);
});

test('an isolation level is checked by Knex, and ignored with a warning', async (t) => {
  const { db, complaints } = await openKnex(t);
  const level = 'serializable';
  t.is(await db.transaction(async () => 1, { isolationLevel: level }), 1);
  t.is(complaints.length, 1);
  t.throws(() => db.transaction(async () => 1, { isolationLevel: 'chaos' as never }), { message: /isolationLevel/ });
});

test('parameters of the user reach the transactions', async (t) => {
  const { db } = await openKnex(t);
  const tagged = db.withUserParams({ tag: 'x' });
  await tagged.transaction(async (trx) => {
    t.deepEqual(trx.userParams, { tag: 'x' });
    await tagged('item').insert({ name: 'a' });
  });
  t.deepEqual(await tagged('item').pluck('name'), ['a']);
});

test('queries of a transaction carry its id in their events, and the transaction raises them, too', async (t) => {
  const { db } = await openKnex(t);
  const seen: (string | undefined)[] = [];
  const own: string[] = [];
  db.on('query', ({ __knexTxId, sql }: { __knexTxId?: string; sql: string }) => {
    if (sql.startsWith('insert')) seen.push(__knexTxId);
  });
  await db.transaction(async (trx) => {
    trx.on('query', ({ sql }: { sql: string }) => void own.push(sql));
    await trx('item').insert({ name: 'a' });
  });
  await db('item').insert({ name: 'b' });
  t.regex(seen[0] ?? '', /^trx\d+$/);
  t.deepEqual(seen.slice(1), [undefined]);
  t.true(own.some((sql) => sql.startsWith('insert')));
});

test('after its end a transaction answers with the error of Knex, and the root is refused in its function', async (t) => {
  const { pool, db } = await openKnex(t);
  await db.transaction(async (trx) => {
    await trx.commit();
    await t.throwsAsync(async () => trx('item').insert({ name: 'a' }), {
      message: /^Transaction query already complete/,
    });
    await t.throwsAsync(async () => db('item').insert({ name: 'b' }), refusal('TRANSACTION_ENDED'));
  });
  t.deepEqual(await names(pool), []);
  await db('item').insert({ name: 'c' });
  t.deepEqual(await names(pool), ['c']);
});
