import type { DrizzleConfig } from 'drizzle-orm';
import { OptionsError } from '../errors.ts';
import type { SqlitePool } from '../index.ts';
import { LeaseholdDatabase } from './drizzle/database.ts';

export type { LeaseholdDatabase } from './drizzle/database.ts';
export { type MigrateOptions, migrate } from './drizzle/migrate.ts';
export type { LeaseholdTransaction, TransactionConfig } from './drizzle/session.ts';

/**
 * A database of Drizzle on a pool, with Drizzle's own options. A query runs on the connection of its caller's scope, as part
 * of the transaction that is open there; without a scope on a connection taken for it alone. What writes waits for its turn.
 *
 * @throws OptionsError where it is given no pool
 */
export function drizzle<FullSchema extends Record<string, unknown> = Record<string, never>>(
  ...params:
    | [pool: SqlitePool, config?: DrizzleConfig<FullSchema>]
    | [config: DrizzleConfig<FullSchema> & { readonly client: SqlitePool }]
): LeaseholdDatabase<FullSchema> {
  const [first, config = {}] = params;
  if (isPool(first)) return new LeaseholdDatabase(first, config);
  const { client, ...rest } = Object(first) as DrizzleConfig<FullSchema> & { readonly client?: unknown };
  if (!isPool(client)) throw new OptionsError('client', client ?? first, 'a pool made by createPool');
  return new LeaseholdDatabase(client, rest);
}

// Not by its class: the pool may be of another copy of the package.
function isPool(value: unknown): value is SqlitePool {
  return typeof (value as Partial<SqlitePool> | undefined)?.withStatement === 'function';
}
