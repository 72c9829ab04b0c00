import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { count, DrizzleError, eq, sql, TransactionRollbackError } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/better-sqlite3';
import { migrate } from 'drizzle-orm/better-sqlite3/migrator';
import { type Generated, Kysely, SqliteDialect } from 'kysely';
import { handles, item, namesOf, poolWithTables, schema, tables, tag } from '../support/drop-in-drizzle.ts';
import { temporaryDirectory } from '../support/files.ts';
import { gate } from '../support/gate.ts';
import { temporaryPool } from '../support/sqlite.ts';

for (const [kind, withClient] of Object.entries(handles)) {
  test(`Drizzle's better-sqlite3 driver queries and writes over ${kind}`, async (t) => {
    const pool = await poolWithTables(t);
    await withClient(pool, async (client) => {
      const db = drizzle({ client, schema });
      t.is(db.$client, client);
      const made = new Date(1_700_000_000_000);
      const data = Buffer.from([0, 255]);
      t.like(db.insert(item).values({ name: 'bolt', size: 2, made, data }).run(), { changes: 1, lastInsertRowid: 1 });
      t.deepEqual(
        db
          .insert(item)
          .values([{ name: 'nut' }, { name: 'cog' }])
          .returning()
          .all().length,
        2,
      );
      t.deepEqual(db.select().from(item).where(eq(item.id, 1)).get(), { id: 1, name: 'bolt', size: 2, made, data });
      t.is(db.select().from(item).where(eq(item.id, 99)).get(), undefined);
      db.insert(tag).values({ item: 1, name: 'steel' }).run();
      t.deepEqual(db.query.item.findFirst({ columns: { name: true }, with: { tags: true } }).sync(), {
        name: 'bolt',
        tags: [{ item: 1, name: 'steel' }],
      });
      const byName = db
        .select()
        .from(item)
        .where(eq(item.name, sql.placeholder('name')))
        .prepare();
      t.is(byName.get({ name: 'nut' })?.id, 2);
      t.is(byName.get({ name: 'cog' })?.id, 3);
      t.deepEqual(db.select({ n: count() }).from(item).all(), [{ n: 3 }]);
      t.is((await db.select().from(item)).length, 3, 'A query may be awaited');
      t.deepEqual(db.values(sql`SELECT 1, 'two'`), [[1, 'two']]);
      const error = t.throws(() => db.insert(item).values({ name: 'bolt' }).run());
      t.like(error?.cause ?? error, { code: 'SQLITE_CONSTRAINT_UNIQUE' });
    });
    t.is(pool.stats().counters.dirty, 0);
  });

  test(`Drizzle's synchronous transactions nest over ${kind}`, async (t) => {
    const pool = await poolWithTables(t);
    await withClient(pool, async (client) => {
      const db = drizzle({ client, schema });
      for (const behavior of [undefined, 'deferred', 'immediate', 'exclusive'] as const) {
        db.delete(item).run();
        const result = db.transaction((tx) => {
          tx.insert(item).values({ name: 'outer' }).run();
          tx.transaction((nested) => void nested.insert(item).values({ name: 'kept' }).run());
          t.throws(
            () =>
              tx.transaction((nested) => {
                nested.insert(item).values({ name: 'undone' }).run();
                nested.rollback();
              }),
            { instanceOf: TransactionRollbackError },
          );
          tx.transaction((nested) => {
            nested.transaction((inner) => void inner.insert(item).values({ name: 'innermost' }).run());
          });
          return namesOf(tx);
        }, behavior && { behavior });
        t.deepEqual(result, ['outer', 'kept', 'innermost']);
        t.throws(
          () =>
            db.transaction((tx) => {
              tx.delete(item).run();
              tx.rollback();
            }),
          { instanceOf: TransactionRollbackError },
        );
        t.deepEqual(namesOf(db), ['outer', 'kept', 'innermost']);
        t.false(client.inTransaction);
      }
    });
    t.is(pool.stats().counters.dirty, 0);
  });

  test(`Drizzle's migrate brings a file up to date over ${kind}, and undoes what fails`, async (t) => {
    const folder = migrations(t, tables);
    const pool = temporaryPool(t);
    await withClient(pool, async (client) => {
      const db = drizzle({ client, schema });
      migrate(db, { migrationsFolder: folder });
      migrate(db, { migrationsFolder: folder });
      db.insert(item).values({ name: 'bolt' }).run();
      t.is(db.values(sql`SELECT * FROM __drizzle_migrations`).length, 2, 'Each has run once');
      const failing = migrations(t, [
        ...tables,
        'INSERT INTO item (name) VALUES (1); --> statement-breakpoint\nSELEC 1',
      ]);
      t.throws(() => migrate(db, { migrationsFolder: failing }));
      t.deepEqual(namesOf(db), ['bolt']);
      t.false(client.inTransaction);
    });
    t.is(pool.stats().counters.dirty, 0);
  });

  test(`Kysely's own dialect queries, streams and transacts over ${kind}`, async (t) => {
    interface Tables {
      item: { id: Generated<number>; name: string; size: number | null };
    }
    const pool = await poolWithTables(t);
    await withClient(pool, async (client) => {
      const db = new Kysely<Tables>({ dialect: new SqliteDialect({ database: client }) });
      const inserted = await db.insertInto('item').values({ name: 'bolt', size: 2 }).executeTakeFirst();
      t.deepEqual([inserted.insertId, inserted.numInsertedOrUpdatedRows], [1n, 1n]);
      t.deepEqual(await db.insertInto('item').values({ name: 'nut' }).returning('id').execute(), [{ id: 2 }]);
      t.deepEqual(await db.selectFrom('item').select('name').orderBy('id').execute(), [
        { name: 'bolt' },
        { name: 'nut' },
      ]);
      const streamed: string[] = [];
      for await (const { name } of db.selectFrom('item').select('name').orderBy('id').stream()) {
        streamed.push(name);
        if (streamed.length === 1) break;
      }
      t.deepEqual(streamed, ['bolt']);
      await db.transaction().execute(async (tx) => {
        await tx.insertInto('item').values({ name: 'cog' }).execute();
        t.true(client.inTransaction);
      });
      await t.throwsAsync(
        db.transaction().execute(async (tx) => {
          await tx.deleteFrom('item').execute();
          throw new RangeError('refused');
        }),
        { instanceOf: RangeError },
      );
      const controlled = await db.startTransaction().execute();
      const savepoint = await controlled.savepoint('a').execute();
      await savepoint.deleteFrom('item').execute();
      await savepoint.rollbackToSavepoint('a').execute();
      await controlled.commit().execute();
      await t.throwsAsync(db.insertInto('item').values({ name: 'bolt' }).execute(), {
        code: 'SQLITE_CONSTRAINT_UNIQUE',
      });
      t.is((await db.selectFrom('item').selectAll().execute()).length, 3);
      t.false(client.inTransaction);
      t.deepEqual(
        (await db.introspection.getTables()).map(({ name }) => name),
        ['item', 'tag'],
      );
      await db.destroy();
      t.false(client.open, 'destroy() closes the database: the connection has gone back');
    });
    t.is(pool.stats().leased, 0);
    t.is(pool.stats().counters.dirty, 0);
  });
}

/** A folder of migrations as drizzle-kit writes them, one for each script. */
function migrations(t: ExecutionContext, scripts: readonly string[]): string {
  const folder = temporaryDirectory(t);
  mkdirSync(join(folder, 'meta'));
  const entries = scripts.map((script, index) => {
    writeFileSync(join(folder, `000${index}_step.sql`), script);
    return { idx: index, when: 1_700_000_000_000 + index, tag: `000${index}_step`, breakpoints: true };
  });
  writeFileSync(join(folder, 'meta/_journal.json'), JSON.stringify({ entries }));
  return folder;
}

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
