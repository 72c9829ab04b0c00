import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { count, eq, sql, TransactionRollbackError } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/better-sqlite3';
import { migrate } from 'drizzle-orm/better-sqlite3/migrator';
import { type Generated, Kysely, SqliteDialect } from 'kysely';
import { handles, item, namesOf, poolWithTables, schema, tables, tag } from '../support/drop-in-drizzle.ts';
import { temporaryDirectory } from '../support/files.ts';
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
