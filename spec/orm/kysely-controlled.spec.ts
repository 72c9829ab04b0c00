import test from 'ava';
import { gate } from '../support/gate.ts';
import { refusal } from '../support/items.ts';
import { add, isIdle, namesOf, openKysely } from '../support/kysely.ts';

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
  const { pool, db } = await openKysely(t, { acquireTimeout: 50, max: 1 });
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
