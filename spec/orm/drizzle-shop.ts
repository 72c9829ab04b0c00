import type { ExecutionContext } from 'ava';
import { type DrizzleConfig, relations } from 'drizzle-orm';
import { blob, integer, numeric, real, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import type { SqlitePool, SqlitePoolOptions } from '../../lib/index.ts';
import { drizzle, type LeaseholdDatabase } from '../../lib/orm/drizzle.ts';
import { temporaryPool } from '../support/sqlite.ts';

// Tables for specs of the Drizzle adapter.

export const customers = sqliteTable('customer', {
  id: integer().primaryKey(),
  name: text().notNull().unique(),
});

export const orders = sqliteTable('purchase', {
  id: integer().primaryKey(),
  customerId: integer('customer_id')
    .notNull()
    .references(() => customers.id),
  item: text().notNull(),
});

/** One column for each way in which Drizzle keeps a value in SQLite. */
export const samples = sqliteTable('sample', {
  id: integer().primaryKey(),
  ratio: real(),
  done: integer({ mode: 'boolean' }),
  at: integer({ mode: 'timestamp' }),
  atMs: integer('at_ms', { mode: 'timestamp_ms' }),
  data: text({ mode: 'json' }).$type<{ readonly tags: string[] }>(),
  bytes: blob({ mode: 'buffer' }),
  large: blob({ mode: 'bigint' }),
  json: blob({ mode: 'json' }),
  exact: numeric(),
});

export const schema = {
  customers,
  orders,
  samples,
  customerRelations: relations(customers, ({ many }) => ({ orders: many(orders) })),
  orderRelations: relations(orders, ({ one }) => ({
    customer: one(customers, { fields: [orders.customerId], references: [customers.id] }),
  })),
};

const tables = `
  CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
  CREATE TABLE purchase (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customer (id), item TEXT NOT NULL);
  CREATE TABLE sample (id INTEGER PRIMARY KEY, ratio REAL, done INTEGER, at INTEGER, at_ms INTEGER, data TEXT, bytes BLOB,
    large BLOB, json BLOB, exact NUMERIC);
  INSERT INTO customer VALUES (1, 'Ada'), (2, 'Grace');
  INSERT INTO purchase VALUES (1, 1, 'lamp'), (2, 1, 'desk'), (3, 2, 'chair');`;

export interface Shop {
  readonly pool: SqlitePool;
  readonly db: LeaseholdDatabase<typeof schema>;
}

/** A pool on a file of its own with those tables, and Drizzle on it. */
export async function openShop(
  t: ExecutionContext,
  options?: SqlitePoolOptions,
  config?: DrizzleConfig<typeof schema>,
): Promise<Shop> {
  const pool = temporaryPool(t, options);
  await pool.withConnection((connection) => connection.exec(tables), { write: true });
  return { pool, db: drizzle(pool, { schema, ...config }) };
}

/** The names of the customers that are committed, in the order in which they were written. */
export async function namesIn(pool: SqlitePool): Promise<string[]> {
  const rows = await pool.all<{ name: string }>('SELECT name FROM customer ORDER BY id', [], { label: 'names' });
  return rows.map(({ name }) => name);
}

/** The code of the error that a promise rejects with, and nothing if it resolves. */
export function codeOf(promise: PromiseLike<unknown>): Promise<unknown> {
  return Promise.resolve(promise).then(
    () => undefined,
    (error: unknown) => (error as { code?: unknown }).code ?? error,
  );
}
