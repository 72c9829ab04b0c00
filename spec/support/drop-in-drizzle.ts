import type { ExecutionContext } from 'ava';
import type Database from 'better-sqlite3';
import { relations } from 'drizzle-orm';
import type { BetterSQLite3Database } from 'drizzle-orm/better-sqlite3';
import { blob, integer, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import type { SqlitePool } from '../../lib/index.ts';
import { temporaryPool } from './sqlite.ts';

// A schema of Drizzle, and the two things of a pool that its better-sqlite3 driver is given.

export const item = sqliteTable('item', {
  id: integer('id').primaryKey(),
  name: text('name').notNull().unique(),
  size: integer('size', { mode: 'number' }),
  made: integer('made', { mode: 'timestamp' }),
  data: blob('data', { mode: 'buffer' }),
});
export const tag = sqliteTable('tag', {
  item: integer('item').references(() => item.id),
  name: text('name').notNull(),
});
export const schema = {
  item,
  tag,
  itemRelations: relations(item, ({ many }) => ({ tags: many(tag) })),
  tagRelations: relations(tag, ({ one }) => ({ of: one(item, { fields: [tag.item], references: [item.id] }) })),
};
export type Drizzle = BetterSQLite3Database<typeof schema>;

export const tables = [
  'CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, size INTEGER, made INTEGER, data BLOB)',
  'CREATE TABLE tag (item INTEGER REFERENCES item (id), name TEXT NOT NULL)',
];

/** The two things of a pool that stand for a connection, each in a scope of its own on a new file. */
export const handles = {
  'a leased handle': (pool: SqlitePool, use: (client: Database.Database) => Promise<void>) =>
    pool.acquire().then(async (db) => {
      try {
        await use(db);
      } finally {
        db.close();
      }
    }),
  'pool.db': (pool: SqlitePool, use: (client: Database.Database) => Promise<void>) =>
    pool.withConnection(() => use(pool.db)),
} as const;

export async function poolWithTables(t: ExecutionContext): Promise<SqlitePool> {
  const pool = temporaryPool(t);
  for (const table of tables) await pool.run(table);
  return pool;
}

/** The names of all items; of a transaction, those it sees. */
export const namesOf = (db: Pick<Drizzle, 'select'>): string[] =>
  db
    .select({ name: item.name })
    .from(item)
    .orderBy(item.id)
    .all()
    .map(({ name }) => name);
