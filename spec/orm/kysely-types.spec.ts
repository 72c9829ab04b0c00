import test from 'ava';
import { expectTypeOf } from 'expect-type';
import type { Dialect, DialectAdapter, Driver, InsertResult, Transaction, UpdateResult } from 'kysely';
import { createPool } from '../../lib/index.ts';
import { LeaseholdDialect, type LeaseholdDialectConfig } from '../../lib/orm/kysely.ts';
import { add, openKysely, type Tables } from '../support/kysely.ts';

test('rows and results have the types that Kysely gives them', async (t) => {
  const { db } = await openKysely(t);
  await add(db, 'a');
  const items = await db.selectFrom('item').selectAll().execute();
  expectTypeOf(items).toEqualTypeOf<{ id: number; name: string }[]>();
  t.deepEqual(items, [{ id: 1, name: 'a' }]);

  const inserted = await db.insertInto('item').values({ name: 'b' }).executeTakeFirst();
  expectTypeOf(inserted).toEqualTypeOf<InsertResult>();
  t.is(inserted.insertId, 2n);
  t.is(inserted.numInsertedOrUpdatedRows, 1n);

  const updated = await db.updateTable('item').set({ name: 'c' }).executeTakeFirst();
  expectTypeOf(updated).toEqualTypeOf<UpdateResult>();
  t.is(updated.numUpdatedRows, 2n);

  const count = await db.transaction().execute(async (trx) => {
    expectTypeOf(trx).toEqualTypeOf<Transaction<Tables>>();
    const row = await trx.selectFrom('item').select(trx.fn.countAll<number>().as('count')).executeTakeFirstOrThrow();
    return row.count;
  });
  expectTypeOf(count).toEqualTypeOf<number>();
  t.is(count, 2);

  for await (const row of db.selectFrom('item').select('name').stream()) {
    expectTypeOf(row).toEqualTypeOf<{ name: string }>();
    t.deepEqual(row, { name: 'c' });
  }
});

test('the dialect is one of Kysely, and takes a pool', async (t) => {
  const pool = createPool(':memory:');
  const dialect = new LeaseholdDialect({ pool });
  expectTypeOf(dialect).toExtend<Dialect>();
  expectTypeOf(dialect.createDriver()).toEqualTypeOf<Driver>();
  expectTypeOf(dialect.createAdapter()).toEqualTypeOf<DialectAdapter>();
  expectTypeOf<ConstructorParameters<typeof LeaseholdDialect>>().toEqualTypeOf<[config: LeaseholdDialectConfig]>();
  // @ts-expect-error -- a file is not a pool
  t.throws(() => new LeaseholdDialect({ pool: 'app.db' }), { code: 'ERR_LEASEHOLD_OPTIONS' });
  t.true(dialect.createAdapter().supportsMultipleConnections);
  await pool.close();
});
