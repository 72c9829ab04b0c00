import { setImmediate } from 'node:timers/promises';
import test from 'ava';
import type { Knex } from 'knex';
import { gate } from '../support/gate.ts';
import { Enough, refusal } from '../support/items.ts';
import { impatient, isIdle, names, openKnex, startNow } from '../support/knex.ts';
import { watchDirt } from '../support/sqlite.ts';

test('fifty transactions that await inside do not mix', async (t) => {
  const { pool, db } = await openKnex(t, { max: 2 });
  await pool.run('CREATE TABLE counter (value INTEGER)');
  await pool.run('INSERT INTO counter VALUES (0)');
  const count = async (trx: Knex.Transaction, index: number) => {
    const { value } = (await trx('counter').first()) as { value: number };
    await setImmediate();
    await trx('counter').update({ value: value + 1 });
    await (index % 2 === 0 ? trx : db)('item').insert({ name: `${index}` });
    await setImmediate();
    if (index % 5 === 0) throw new Enough();
  };
  const results = await Promise.allSettled(
    Array.from({ length: 50 }, (_, index) => db.transaction((trx) => count(trx, index))),
  );
  t.is(results.filter(({ status }) => status === 'rejected').length, 10);
  t.true(results.every((result) => result.status === 'fulfilled' || result.reason instanceof Enough));
  t.deepEqual(await db('counter').first(), { value: 40 });
  t.is((await names(pool)).length, 40);
  isIdle(t, pool);
});

test('of two transactions side by side, the failure of one leaves the other alone', async (t) => {
  const { pool, db } = await openKnex(t);
  const failing = gate();
  const results = await Promise.allSettled([
    db.transaction(async (trx) => {
      await trx('item').insert({ name: 'a' });
      await failing.passed;
      throw new Enough();
    }),
    db.transaction(async (trx) => {
      await trx('item').insert({ name: 'b' });
    }),
    db('item').then(() => failing.open()),
  ]);
  t.deepEqual(
    results.map(({ status }) => status),
    ['rejected', 'fulfilled', 'fulfilled'],
  );
  t.deepEqual(await names(pool), ['b']);
});

const addOrphan = (trx: Knex.Transaction) => trx('child').insert({ item: 99 });

test('a commit that fails rejects and undoes everything', async (t) => {
  const { pool, db } = await openKnex(t);
  await pool.run('CREATE TABLE child (item INTEGER REFERENCES item (id) DEFERRABLE INITIALLY DEFERRED)');
  await t.throwsAsync(
    db.transaction(async (trx) => void (await addOrphan(trx))),
    { code: 'SQLITE_CONSTRAINT_FOREIGNKEY', message: 'COMMIT; - FOREIGN KEY constraint failed' },
  );
  const trx = await db.transaction();
  await addOrphan(trx);
  const failure = { code: 'SQLITE_CONSTRAINT_FOREIGNKEY' };
  await t.throwsAsync(async () => trx.commit(), failure);
  await t.throwsAsync(trx.executionPromise, failure);
  t.true(trx.isCompleted());
  t.deepEqual(await db('child'), []);
  isIdle(t, pool);
});

function complain({ sql }: { sql: string }): void {
  if (/^(?:COMMIT|ROLLBACK)/.test(sql)) throw new Enough();
}

for (const how of ['commit', 'rollback'] as const) {
  test(`a listener that throws at a ${how} leaves nothing open`, async (t) => {
    const { pool, db } = await openKnex(t);
    const trx = await db.transaction();
    await trx('item').insert({ name: 'a' });
    db.on('query', complain);
    const ending = t.throwsAsync(trx.executionPromise, { instanceOf: Enough });
    if (how === 'commit') await t.throwsAsync(async () => trx.commit(), { instanceOf: Enough });
    else await trx.rollback();
    await ending;
    db.off('query', complain);
    await db('item').insert({ name: 'b' });
    t.deepEqual(await names(pool), ['b']);
    isIdle(t, pool);
  });
}

test('a transaction that SQLite has ended can not go on', async (t) => {
  const { pool, db } = await openKnex(t);
  await db('item').insert({ name: 'a' });
  await t.throwsAsync(
    db.transaction(async (trx) => {
      await trx('item').insert({ name: 'b' });
      await t.throwsAsync(async () => trx.raw("insert or rollback into item (name) values ('a')"));
      await trx('item').insert({ name: 'c' });
    }),
    refusal('TRANSACTION_ABORTED'),
  );
  t.deepEqual(await names(pool), ['a']);
  isIdle(t, pool);
});

test('a transaction that nobody ends is undone and reported when its scope ends', async (t) => {
  const { pool, db } = await openKnex(t);
  const dirt = watchDirt(pool);
  const trx = await pool.withScope(async () => {
    const left = await db.transaction();
    await left('item').insert({ name: 'a' });
    return left;
  });
  await db('item').insert({ name: 'b' });
  await t.throwsAsync(async () => trx('item').insert({ name: 'c' }), refusal('TRANSACTION_ENDED'));
  await t.throwsAsync(async () => trx.commit(), refusal('SCOPE_ENDED'));
  await t.throwsAsync(trx.executionPromise);
  t.true(trx.isCompleted());
  t.deepEqual(await names(pool), ['b']);
  t.true(dirt.length > 0);
  isIdle(t, pool);
});

test('aborting the signal of a scope undoes its transactions, and its queries reject', async (t) => {
  const { pool, db } = await openKnex(t);
  const controller = new AbortController();
  const reached = gate();
  const going = gate();
  const request = pool.withScope(
    () =>
      db.transaction(async (trx) => {
        await trx('item').insert({ name: 'a' });
        reached.open();
        await going.passed;
        await t.throwsAsync(async () => trx('item').insert({ name: 'b' }));
        await trx('item').insert({ name: 'c' });
      }),
    { signal: controller.signal },
  );
  await reached.passed;
  controller.abort();
  await db('item').insert({ name: 'd' });
  going.open();
  await t.throwsAsync(request);
  t.deepEqual(await names(pool), ['d']);
  isIdle(t, pool);
});

test('a query that waits for its turn to write gives up when its scope is aborted', async (t) => {
  const { pool, db } = await openKnex(t);
  const controller = new AbortController();
  const trx = await db.transaction();
  const waiting = pool.withScope(async () => db('item').insert({ name: 'a' }), { signal: controller.signal });
  while (pool.stats().laneWaiting === 0) await setImmediate();
  controller.abort();
  await t.throwsAsync(waiting, { name: 'AbortError', code: 'ABORT_ERR' });
  await trx.commit();
  t.deepEqual(await names(pool), []);
  isIdle(t, pool);
});

test('the function of a transaction that can not begin is never called', async (t) => {
  const { pool, db } = await openKnex(t);
  const holder = await db.transaction();
  const call = () => t.fail('It was called');
  await t.throwsAsync(
    db.transaction(async () => call()),
    refusal('WRITE_TIMEOUT'),
  );
  await t.throwsAsync(impatient(pool).transaction().then(call), refusal('WRITE_TIMEOUT'));
  await holder.commit();
  isIdle(t, pool);
});

test('a full queue and an exhausted pool are told by their codes', async (t) => {
  const { pool, db } = await openKnex(t, { max: 1, maxWaiting: 1 });
  const writer = await db.transaction();
  const queued = startNow(db('item').insert({ name: 'a' }));
  await t.throwsAsync(async () => db('item').insert({ name: 'b' }), refusal('QUEUE_FULL'));
  await writer.rollback();
  await queued;
  const lease = await pool.acquire();
  await t.throwsAsync(async () => impatient(pool)('item'), refusal('ACQUIRE_TIMEOUT'));
  lease.close();
  t.deepEqual(await db('item').pluck('name'), ['a']);
  isIdle(t, pool);
});

test('the timeout for connections of the configuration goes before that of the pool', async (t) => {
  const { pool, db } = await openKnex(t, { acquireTimeout: Number.POSITIVE_INFINITY });
  const writer = await db.transaction();
  await t.throwsAsync(async () => impatient(pool)('item').insert({ name: 'b' }), refusal('WRITE_TIMEOUT'));
  await t.throwsAsync(impatient(pool).transaction(), refusal('WRITE_TIMEOUT'));
  await writer.rollback();
  isIdle(t, pool);
});

test('closing the pool in the middle of a transaction loses it, and its queries are refused', async (t) => {
  const { pool, db } = await openKnex(t);
  const error = await t.throwsAsync(
    db.transaction(async (trx) => {
      await trx('item').insert({ name: 'a' });
      await pool.close({ timeout: 0 });
      await trx('item').insert({ name: 'b' });
    }),
  );
  t.regex((error as Error & { code: string }).code, /^ERR_LEASEHOLD_/);
  await t.throwsAsync(async () => db('item'), refusal('CLOSED'));
  await t.throwsAsync(db.transaction(), refusal('CLOSED'));
});

test('a query that nobody awaits runs in its transaction or not at all', async (t) => {
  const { pool, db } = await openKnex(t);
  const outcomes: Promise<unknown>[] = [];
  const loose = (query: PromiseLike<unknown>) => {
    outcomes.push(
      Promise.resolve(query).then(
        () => 'ran',
        () => 'refused',
      ),
    );
  };
  await t.throwsAsync(
    db.transaction(async (trx) => {
      loose(trx('item').insert({ name: 'a' }));
      loose(db('item').insert({ name: 'b' }));
      setTimeout(() => loose(db('item').insert({ name: 'c' })));
      throw new Enough();
    }),
    { instanceOf: Enough },
  );
  while (outcomes.length < 3) await setImmediate();
  t.is((await Promise.all(outcomes)).at(2), 'refused');
  t.deepEqual(await names(pool), []);
  isIdle(t, pool);
});
