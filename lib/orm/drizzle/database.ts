import type Database from 'better-sqlite3';
import {
  createTableRelationsHelpers,
  DefaultLogger,
  type DrizzleConfig,
  type ExtractTablesWithRelations,
  entityKind,
  extractTablesRelationalConfig,
  NoopLogger,
  type RelationalSchemaConfig,
  type TablesRelationalConfig,
} from 'drizzle-orm';
import type { BatchItem, BatchResponse } from 'drizzle-orm/batch';
import { BaseSQLiteDatabase } from 'drizzle-orm/sqlite-core/db';
import { SQLiteAsyncDialect } from 'drizzle-orm/sqlite-core/dialect';
import type { SqlitePool } from '../../index.ts';
import { LeaseholdSession, type LeaseholdTransaction, type TransactionConfig } from './session.ts';

/** A database of Drizzle whose queries follow the scope of their caller. Made by `drizzle`. */
export class LeaseholdDatabase<
  FullSchema extends Record<string, unknown> = Record<string, never>,
> extends BaseSQLiteDatabase<'async', Database.RunResult, FullSchema> {
  static override readonly [entityKind]: string = 'LeaseholdDatabase';
  /** The pool. */
  readonly $client: SqlitePool;

  constructor(pool: SqlitePool, config: DrizzleConfig<FullSchema>) {
    const dialect = new SQLiteAsyncDialect(config.casing === undefined ? {} : { casing: config.casing });
    const schema = config.schema && relationalConfig(config.schema);
    const { logger, cache } = config;
    const shared = {
      pool,
      dialect,
      schema,
      logger: logger === true ? new DefaultLogger() : logger || new NoopLogger(),
      cache,
    };
    super('async', dialect, new LeaseholdSession(shared), schema);
    this.$client = pool;
    if (cache === undefined) return;
    // As Drizzle's drivers do: what the user calls to invalidate is the cache itself.
    this.$cache = Object.assign(cache, { invalidate: cache.onMutate });
  }

  /**
   * Runs `fn` in a transaction that may span any `await`: `pool.transaction`, with its rules, options and errors. Queries of
   * this database in it are part of it, as those of `tx` are; a transaction inside another is a savepoint.
   */
  override transaction<Result>(
    fn: (tx: LeaseholdTransaction<FullSchema, ExtractTablesWithRelations<FullSchema>>) => Promise<Result>,
    config?: TransactionConfig,
  ): Promise<Result> {
    return super.transaction(fn, config as never);
  }

  /** Runs queries one after the other in one transaction, and gives their results. */
  batch<U extends BatchItem<'sqlite'>, T extends Readonly<[U, ...U[]]>>(queries: T): Promise<BatchResponse<T>> {
    return this.transaction(async () => {
      const results: unknown[] = [];
      // They are of this database, and so part of the transaction around them.
      for (const query of queries as unknown as readonly PromiseLike<unknown>[]) results.push(await query);
      return results as BatchResponse<T>;
    });
  }
}

function relationalConfig<FullSchema extends Record<string, unknown>>(
  fullSchema: FullSchema,
): RelationalSchemaConfig<ExtractTablesWithRelations<FullSchema>> {
  const { tables, tableNamesMap } = extractTablesRelationalConfig<TablesRelationalConfig>(
    fullSchema,
    createTableRelationsHelpers,
  );
  return { fullSchema, schema: tables as ExtractTablesWithRelations<FullSchema>, tableNamesMap };
}
