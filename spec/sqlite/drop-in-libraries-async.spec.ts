import test from 'ava';
import { DrizzleError, sql, TransactionRollbackError } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/better-sqlite3';
import { handles, item, namesOf, poolWithTables, schema } from '../support/drop-in-drizzle.ts';
import { gate } from '../support/gate.ts';

for (const [kind, withClient] of Object.entries(handles)) {
  for (const behavior of [undefined, 'immediate'] as const) {
    const how = behavior ?? 'by default';
    test(`Drizzle's transactions may be async over ${kind}: ${how}`, async (t) => {
      const pool = await poolWithTables(t);
      await withClient(pool, async (client) => {
        const db = drizzle({ client, schema });
        const config = behavior && { behavior };
        const result = await db.transaction(async (tx) => {
          await tx.insert(item).values({ name: 'one' });
          await Promise.resolve();
          const [row] = await tx.insert(item).values({ name: 'two' }).returning();
          t.true(client.inTransaction);
          return row?.name;
        }, config);
        t.is(result, 'two');
        await t.throwsAsync(
          async () =>
            db.transaction(async (tx) => {
              await tx.delete(item);
              await Promise.resolve();
              throw new RangeError('refused');
            }, config),
          { instanceOf: RangeError, message: 'refused' },
        );
        await t.throwsAsync(
          async () =>
            db.transaction(async (tx) => {
              await tx.delete(item);
              tx.rollback();
            }, config),
          { instanceOf: TransactionRollbackError },
        );
        t.deepEqual(namesOf(db), ['one', 'two']);
        t.false(client.inTransaction);
      });
      t.is(pool.stats().counters.dirty, 0);
    });

    test(`two async transactions of Drizzle over two of ${kind} take turns while their scopes interleave: ${how}`, async (t) => {
      const pool = await poolWithTables(t);
      const config = behavior && { behavior };
      const [firstWrote, secondAsked] = [gate(), gate()];
      const order: string[] = [];
      const first = withClient(pool, async (client) => {
        await drizzle({ client, schema }).transaction(async (tx) => {
          await tx.insert(item).values({ name: 'first' });
          firstWrote.open();
          await secondAsked.passed;
          t.deepEqual(namesOf(tx), ['first']);
          order.push('first is done');
        }, config);
      });
      const second = withClient(pool, async (client) => {
        const db = drizzle({ client, schema });
        await firstWrote.passed;
        t.deepEqual(namesOf(db), [], 'What is not committed is not seen by another connection');
        const done = db.transaction(async (tx) => {
          order.push('second begins');
          t.deepEqual(namesOf(tx), ['first']);
          await tx.insert(item).values({ name: 'undone' });
          tx.rollback();
        }, config);
        t.deepEqual(namesOf(db), [], 'Nor does it keep others from reading that it waits for its turn');
        secondAsked.open();
        await t.throwsAsync(done, { instanceOf: TransactionRollbackError });
        await db.transaction(async (tx) => void (await tx.insert(item).values({ name: 'second' })), config);
      });
      await Promise.all([first, second]);
      t.deepEqual(order, ['first is done', 'second begins']);
      const rows = await pool.all<{ name: string }>('SELECT name FROM item ORDER BY id');
      t.deepEqual(rows, [{ name: 'first' }, { name: 'second' }]);
    });
  }
}

// Drizzle nests by SAVEPOINT statements of its own, and releases them before an async function is done.
test('a Drizzle transaction within an async one is refused, and the outer one rolled back', async (t) => {
  const pool = await poolWithTables(t);
  await pool.withConnection(async () => {
    const db = drizzle({ client: pool.db, schema });
    const error = await t.throwsAsync(
      async () =>
        db.transaction(async (tx) => {
          await tx.insert(item).values({ name: 'undone' });
          await tx.transaction(async (nested) => void (await nested.insert(item).values({ name: 'never' })));
        }),
      { instanceOf: DrizzleError },
    );
    t.like(error?.cause, { code: 'ERR_LEASEHOLD_TRANSACTION_MANAGED' });
    t.deepEqual(namesOf(db), []);
  });
});

test('one Drizzle over pool.db serves every request, each on its own connection', async (t) => {
  const pool = await poolWithTables(t);
  const db = drizzle({ client: pool.db, schema });
  const insert = db
    .insert(item)
    .values({ name: sql.placeholder('name') })
    .prepare();
  const all = gate();
  let inside = 0;
  await Promise.all(
    Array.from({ length: 4 }, (_, index) =>
      pool.withConnection(async () => {
        if (++inside === 4) all.open();
        await all.passed;
        await db
          .transaction(
            async (tx) => {
              insert.run({ name: `item ${index}` });
              await Promise.resolve();
              if (index === 3) tx.rollback();
            },
            { behavior: 'immediate' },
          )
          .catch((error: unknown) => t.true(index === 3 && error instanceof TransactionRollbackError));
      }),
    ),
  );
  await pool.withConnection(() => t.is(namesOf(db).length, 3));
  t.throws(() => namesOf(db), { code: 'ERR_LEASEHOLD_NO_CONNECTION' });
});
