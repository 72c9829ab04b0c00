import { DrizzleQueryError, type Query } from 'drizzle-orm';
import type { MigrationConfig, MigrationMeta } from 'drizzle-orm/migrator';
import type { SelectedFieldsOrdered } from 'drizzle-orm/sqlite-core';
import type { SQLiteAsyncDialect } from 'drizzle-orm/sqlite-core/dialect';
import * as utils from 'drizzle-orm/utils';
import { AbortError, LeaseholdError } from '../../errors.ts';

// What Drizzle's own drivers use of Drizzle, and its published types leave out. All that this adapter relies on without a
// promise is in this file.

type MapResultRow = (
  fields: SelectedFieldsOrdered,
  row: unknown[],
  joinsNotNullableMap: Record<string, boolean> | undefined,
) => unknown;

/** A row of a query builder, from the values of its columns. */
export const { mapResultRow } = utils as unknown as { readonly mapResultRow: MapResultRow };

interface Caching {
  /** Tables of a join by whether they may be missing, set by the query builder. */
  readonly joinsNotNullableMap?: Record<string, boolean>;
  queryWithCache<Result>(sql: string, params: unknown[], query: () => Promise<Result>): Promise<Result>;
}

/** The tables of a join by whether they may be missing. */
export function joinsOf(prepared: object): Record<string, boolean> | undefined {
  return (prepared as Caching).joinsNotNullableMap;
}

/**
 * Runs a query, or takes its result from the cache. Fails as in Drizzle's async drivers, with a `DrizzleQueryError` whose
 * `cause` is SQLite's error. It has the `code` of that, too: as with Drizzle's better-sqlite3 driver, and so that a transaction
 * with `retries` knows a lock by it. What says nothing of the query passes through as it is, told by `code` as everywhere.
 */
export async function cached<Result>(
  prepared: object,
  { sql, params }: Query,
  query: () => Promise<Result>,
): Promise<Result> {
  try {
    return await (prepared as Caching).queryWithCache(sql, params, query);
  } catch (error) {
    if (!(error instanceof DrizzleQueryError)) throw error;
    const { cause } = error;
    if (cause instanceof LeaseholdError || cause instanceof AbortError) throw cause;
    throw cause !== undefined && 'code' in cause ? Object.assign(error, { code: cause.code }) : error;
  }
}

/** What Drizzle's own migrators take from a database or transaction. */
interface Inside {
  readonly dialect: SQLiteAsyncDialect;
  readonly session: Parameters<SQLiteAsyncDialect['migrate']>[1];
}

/** Has Drizzle apply the migrations that a database has not seen yet. */
export function applyMigrations(tx: object, migrations: MigrationMeta[], config: MigrationConfig): Promise<void> {
  const { dialect, session } = tx as Inside;
  return dialect.migrate(migrations, session, config);
}
