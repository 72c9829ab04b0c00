import { mkdirSync, writeFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { DrizzleError } from 'drizzle-orm';
import type { SqlitePool } from '../../lib/index.ts';
import { drizzle, migrate } from '../../lib/orm/drizzle.ts';
import { temporaryDirectory, temporaryFile } from '../support/files.ts';
import { otherPool } from '../support/processes.ts';
import { temporaryPool } from '../support/sqlite.ts';
import { codeOf } from './drizzle-shop.ts';

const breakpoint = '\n--> statement-breakpoint\n';

const first = [
  'CREATE TABLE `author` (`id` integer PRIMARY KEY NOT NULL, `name` text NOT NULL);',
  'CREATE TABLE `book` (`id` integer PRIMARY KEY, `author` integer REFERENCES `author`(`id`) ON DELETE CASCADE);',
  "INSERT INTO `author` VALUES (1, 'Ada'), (2, 'Grace');",
  'INSERT INTO `book` VALUES (1, 1), (2, 1), (3, 2);',
].join(breakpoint);

// What drizzle-kit writes to change a column: SQLite can only build the table anew.
const rebuilt = [
  'PRAGMA foreign_keys=OFF;',
  'CREATE TABLE `__new_author` (`id` integer PRIMARY KEY NOT NULL, `name` text);',
  'INSERT INTO `__new_author`("id", "name") SELECT "id", "name" FROM `author`;',
  'DROP TABLE `author`;',
  'ALTER TABLE `__new_author` RENAME TO `author`;',
  'PRAGMA foreign_keys=ON;',
].join(breakpoint);

/** Writes migrations as drizzle-kit does: the SQL of each, and the journal. */
function writeMigrations(t: ExecutionContext, migrations: readonly string[], folder = temporaryDirectory(t)): string {
  const entries = migrations.map((sql, index) => {
    const tag = `000${index}_step`;
    writeFileSync(join(folder, `${tag}.sql`), sql);
    return { idx: index, version: '6', when: 1_700_000_000_000 + index, tag, breakpoints: true };
  });
  mkdirSync(join(folder, 'meta'), { recursive: true });
  const journal = { version: '7', dialect: 'sqlite', entries };
  writeFileSync(join(folder, 'meta', '_journal.json'), JSON.stringify(journal));
  return folder;
}

const column = async (pool: SqlitePool, sql: string) => (await drizzle(pool).values(sql)).flat();
const appliedIn = (pool: SqlitePool) => column(pool, 'SELECT created_at FROM __drizzle_migrations ORDER BY 1');
const books = (pool: SqlitePool) => column(pool, 'SELECT id FROM book');

test('migrations are applied once, and new ones when they come', async (t) => {
  const pool = temporaryPool(t);
  const db = drizzle(pool);
  const migrationsFolder = writeMigrations(t, [first]);
  await migrate(db, { migrationsFolder });
  await migrate(db, { migrationsFolder });
  t.deepEqual(await appliedIn(pool), [1_700_000_000_000]);
  writeMigrations(t, [first, 'ALTER TABLE `book` ADD `title` text;'], migrationsFolder);
  await migrate(db, { migrationsFolder });
  t.deepEqual(await appliedIn(pool), [1_700_000_000_000, 1_700_000_000_001]);
  t.deepEqual(await column(pool, 'SELECT title FROM book WHERE id = 1'), [null]);
  t.like(pool.stats(), { leased: 0, laneHeld: 0, counters: { dirty: 0, discarded: 0 } });
});

test('a migration that fails leaves nothing of those before it', async (t) => {
  const pool = temporaryPool(t);
  const migrationsFolder = writeMigrations(t, [
    first,
    `INSERT INTO book VALUES (9, 1);${breakpoint}DROP TABLE nothing;`,
  ]);
  t.is(await codeOf(migrate(drizzle(pool), { migrationsFolder })), 'SQLITE_ERROR');
  t.deepEqual(await column(pool, "SELECT name FROM sqlite_schema WHERE type = 'table'"), []);
  t.like(pool.stats(), { leased: 0, laneHeld: 0 });
});

test('the table of what has been applied can have another name', async (t) => {
  const pool = temporaryPool(t);
  for (const sql of [first, rebuilt]) {
    await migrate(drizzle(pool), {
      migrationsFolder: writeMigrations(t, [first, sql].slice(sql === first ? 1 : 0)),
      migrationsTable: 'my history',
    });
  }
  t.is((await column(pool, 'SELECT created_at FROM "my history"')).length, 2);
});

for (const [kind, migrations] of Object.entries({ plain: [first], 'of a table built anew': [first, rebuilt] })) {
  test(`processes and callers that migrate at once do not collide (${kind})`, async (t) => {
    const file = temporaryFile(t);
    const migrationsFolder = writeMigrations(t, migrations);
    const adapter = new URL(`../../lib/orm/drizzle${extname(import.meta.url)}`, import.meta.url).href;
    const others = await Promise.all(
      [1, 2].map(() =>
        otherPool(
          t,
          file,
          { acquireTimeout: 50_000 },
          `migrate: async (migrationsFolder) => {
             const { drizzle, migrate } = await import(${JSON.stringify(adapter)});
             await migrate(drizzle(pool), { migrationsFolder });
             return pool.stats().counters.opened;
           }`,
        ),
      ),
    );
    const pool = temporaryPool(t, { acquireTimeout: 50_000 }, file);
    const db = drizzle(pool);
    const opened = await Promise.all([
      ...others.map((other) => other.call<number>('migrate', migrationsFolder)),
      migrate(db, { migrationsFolder }),
      migrate(db, { migrationsFolder }),
    ]);
    t.true(opened.slice(0, 2).every((count) => Number(count) > 0));
    t.is((await appliedIn(pool)).length, migrations.length);
    t.deepEqual(await books(pool), [1, 2, 3]);
  });
}

test('to build a table anew does not delete what refers to it', async (t) => {
  const pool = temporaryPool(t);
  const db = drizzle(pool);
  await migrate(db, { migrationsFolder: writeMigrations(t, [first]) });
  const migrationsFolder = writeMigrations(t, [first, rebuilt]);
  await migrate(db, { migrationsFolder });
  t.deepEqual(await books(pool), [1, 2, 3]);
  // On every connection foreign keys are as before.
  t.deepEqual(await db.get('PRAGMA foreign_keys'), { foreign_keys: 1 });
  t.deepEqual(await pool.withConnection((c) => c.pragma('foreign_keys', { simple: true }), { write: true }), 1);
  await migrate(db, { migrationsFolder });
  t.like(pool.stats(), { leased: 0, laneHeld: 0 });
});

test('a table built anew may not leave references broken that were whole', async (t) => {
  const pool = temporaryPool(t);
  const db = drizzle(pool);
  const loses = rebuilt.replace('FROM `author`;', 'FROM `author` WHERE id = 1;');
  const migrationsFolder = writeMigrations(t, [first, loses]);
  await t.throwsAsync(migrate(db, { migrationsFolder }), { instanceOf: DrizzleError, message: /references/ });
  t.deepEqual(await column(pool, "SELECT name FROM sqlite_schema WHERE type = 'table'"), []);
});

test('a database in memory is migrated too, and keeps its rows and its foreign keys', async (t) => {
  const pool = temporaryPool(t, {}, ':memory:');
  const db = drizzle(pool);
  await migrate(db, { migrationsFolder: writeMigrations(t, [first]) });
  const migrationsFolder = writeMigrations(t, [first, rebuilt]);
  await migrate(db, { migrationsFolder });
  t.is((await appliedIn(pool)).length, 2);
  t.deepEqual(await books(pool), [1, 2, 3]);
  await pool.withConnection(() => migrate(db, { migrationsFolder }));
  t.deepEqual(await db.get('PRAGMA foreign_keys'), { foreign_keys: 1 });
});

test('aborted half-way, it leaves a database in memory as it was, with its foreign keys', async (t) => {
  const pool = temporaryPool(t, {}, ':memory:');
  const controller = new AbortController();
  const logQuery = (query: string) => {
    if (query.includes('DROP TABLE')) controller.abort();
  };
  const db = drizzle(pool, { logger: { logQuery } });
  await migrate(db, { migrationsFolder: writeMigrations(t, [first]) });
  const rebuilding = migrate(
    db,
    { migrationsFolder: writeMigrations(t, [first, rebuilt]) },
    { signal: controller.signal },
  );
  await t.throwsAsync(rebuilding, { name: 'AbortError' });
  t.is((await appliedIn(pool)).length, 1);
  t.deepEqual(await books(pool), [1, 2, 3]);
  t.deepEqual(await db.get('PRAGMA foreign_keys'), { foreign_keys: 1 });
});

test('inside a transaction it is part of that, unless foreign keys have to be off', async (t) => {
  const pool = temporaryPool(t);
  const db = drizzle(pool);
  const enough = new Error('enough');
  const outer = pool.transaction(async () => {
    await migrate(db, { migrationsFolder: writeMigrations(t, [first]) });
    t.deepEqual(await books(pool), [1, 2, 3]);
    throw enough;
  });
  t.is(await t.throwsAsync(outer), enough);
  t.deepEqual(await column(pool, "SELECT name FROM sqlite_schema WHERE type = 'table'"), []);
  const migrationsFolder = writeMigrations(t, [first, rebuilt]);
  await t.throwsAsync(
    pool.transaction(() => migrate(db, { migrationsFolder })),
    { instanceOf: DrizzleError, message: /outside of transactions/ },
  );
  await migrate(db, { migrationsFolder });
  // Nothing is left to do.
  await pool.transaction(() => migrate(db, { migrationsFolder }));
  t.deepEqual(await books(pool), [1, 2, 3]);
});

test('its wait for the turn to write is bounded, and ended by a signal', async (t) => {
  const pool = temporaryPool(t);
  const db = drizzle(pool);
  await using writer = await pool.acquire({ write: true });
  const controller = new AbortController();
  for (const migrations of [[first], [first, rebuilt]]) {
    const config = { migrationsFolder: writeMigrations(t, migrations) };
    t.is(await codeOf(migrate(db, config, { timeout: 10 })), 'ERR_LEASEHOLD_WRITE_TIMEOUT');
    const aborted = migrate(db, config, { signal: controller.signal });
    controller.abort();
    await t.throwsAsync(aborted, { name: 'AbortError' });
  }
  t.true(writer.open);
});
