import type Database from 'better-sqlite3';
import { entityKind, fillPlaceholders, type Logger, type Query } from 'drizzle-orm';
import { type Cache, NoopCache } from 'drizzle-orm/cache/core';
import type { WithCacheConfig } from 'drizzle-orm/cache/core/types';
import type { SelectedFieldsOrdered } from 'drizzle-orm/sqlite-core';
import {
  type PreparedQueryConfig,
  type SQLiteExecuteMethod,
  SQLitePreparedQuery,
} from 'drizzle-orm/sqlite-core/session';
import { cached, joinsOf, mapResultRow } from './internals.ts';

/** Runs `use` with a prepared statement of this SQL. */
export type RunStatement = <Result>(sql: string, use: (statement: Database.Statement) => Result) => Promise<Result>;

/** What Drizzle says of a query beside its SQL. */
export interface QueryPlan {
  readonly fields: SelectedFieldsOrdered | undefined;
  readonly executeMethod: SQLiteExecuteMethod;
  /** Makes the result of all rows at once, as relational queries do. */
  readonly mapRows: ((rows: unknown[][]) => unknown) | undefined;
  readonly metadata:
    | { readonly type: 'select' | 'update' | 'delete' | 'insert'; readonly tables: string[] }
    | undefined;
  readonly cacheConfig: WithCacheConfig | undefined;
}

/** What the queries of a session have in common. */
export interface QueryContext {
  readonly runStatement: RunStatement;
  readonly logger: Logger;
  readonly cache: Cache;
}

/** A query as `prepare()` gives it. It is of no connection: each run takes that of its scope. */
export class LeaseholdPreparedQuery<T extends PreparedQueryConfig> extends SQLitePreparedQuery<{
  type: 'async';
  run: Database.RunResult;
  all: T['all'];
  get: T['get'];
  values: T['values'];
  execute: T['execute'];
}> {
  static override readonly [entityKind]: string = 'LeaseholdPreparedQuery';
  readonly #context: QueryContext;
  readonly #plan: QueryPlan;
  /** Whether what it reads may be kept in a cache, under a key that `all` and `get` share. */
  readonly #isShared: boolean;

  constructor(query: Query, plan: QueryPlan, context: QueryContext) {
    super('async', plan.executeMethod, query, context.cache, plan.metadata, plan.cacheConfig);
    this.#context = context;
    this.#plan = plan;
    this.#isShared = plan.metadata?.type === 'select' && !(context.cache instanceof NoopCache);
  }

  override run(placeholderValues?: Record<string, unknown>): Promise<Database.RunResult> {
    return this.#execute(placeholderValues, (statement, params) => statement.run(...params));
  }

  override async all(placeholderValues?: Record<string, unknown>): Promise<T['all']> {
    const { fields, mapRows } = this.#plan;
    if (fields === undefined && mapRows === undefined) {
      return this.#execute(placeholderValues, (statement, params) => statement.all(...params));
    }
    const rows = (await this.values(placeholderValues)) as unknown[][];
    return mapRows === undefined ? rows.map((row) => this.#map(row)) : mapRows(rows);
  }

  override async get(placeholderValues?: Record<string, unknown>): Promise<T['get']> {
    const { fields, mapRows } = this.#plan;
    if (fields === undefined && mapRows === undefined) {
      return this.#execute(placeholderValues, (statement, params) => firstRow(statement, params));
    }
    const row = await this.#firstValues(placeholderValues);
    if (row === undefined) return undefined;
    return mapRows === undefined ? this.#map(row) : mapRows([row]);
  }

  override values(placeholderValues?: Record<string, unknown>): Promise<T['values']> {
    return this.#execute(placeholderValues, (statement, params) => statement.raw(true).all(...params));
  }

  async #firstValues(placeholderValues: Record<string, unknown> | undefined): Promise<unknown[] | undefined> {
    if (this.#isShared) return ((await this.values(placeholderValues)) as unknown[][])[0];
    return this.#execute(placeholderValues, (statement, params) => firstRow(statement.raw(true), params) as unknown[]);
  }

  #map(row: unknown[]): unknown {
    return mapResultRow(this.#plan.fields as SelectedFieldsOrdered, row, joinsOf(this));
  }

  async #execute<Result>(
    placeholderValues: Record<string, unknown> | undefined,
    use: (statement: Database.Statement, params: unknown[]) => Result,
  ): Promise<Result> {
    const { sql } = this.query;
    const params = fillPlaceholders(this.query.params, placeholderValues ?? {});
    const { logger, runStatement } = this.#context;
    logger.logQuery(sql, params);
    return cached(this, { sql, params }, () => runStatement(sql, (statement) => use(statement, params)));
  }
}

/** The first row. `get` stops there, and better-sqlite3 then says nothing of a COMMIT that fails. */
function firstRow(statement: Database.Statement, params: unknown[]): unknown {
  return statement.readonly ? statement.get(...params) : statement.all(...params)[0];
}
