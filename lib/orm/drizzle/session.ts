import type Database from 'better-sqlite3';
import {
  entityKind,
  type Logger,
  type Query,
  type RelationalSchemaConfig,
  type TablesRelationalConfig,
} from 'drizzle-orm';
import { type Cache, NoopCache } from 'drizzle-orm/cache/core';
import type { WithCacheConfig } from 'drizzle-orm/cache/core/types';
import type { SelectedFieldsOrdered } from 'drizzle-orm/sqlite-core';
import type { SQLiteAsyncDialect } from 'drizzle-orm/sqlite-core/dialect';
import {
  type PreparedQueryConfig,
  type SQLiteExecuteMethod,
  SQLiteSession,
  SQLiteTransaction,
} from 'drizzle-orm/sqlite-core/session';
import { type ContextLevel, type Frame, frames, frameWithin } from '../../context.ts';
import { OptionsError } from '../../errors.ts';
import type { SqlitePool, TransactionMode, TransactionOptions } from '../../index.ts';
import { readRules } from '../../options.ts';
import { checkCallOptions, checkFunction, type Rule, rules } from '../../rules.ts';
import { TransactionEndedError } from '../../transaction-errors.ts';
import { CommittedCache, invalidating } from './cache.ts';
import { LeaseholdPreparedQuery, type QueryContext } from './query.ts';

/** Options of a transaction: those of Drizzle, and those of `pool.transaction`. */
export interface TransactionConfig extends Omit<TransactionOptions, 'mode'> {
  /**
   * How it begins, unless it is part of another: the `mode` of `pool.transaction`.
   * @defaultValue 'immediate'
   */
  readonly behavior?: TransactionMode | undefined;

  /**
   * `'read only'` makes it a snapshot, as `pool.read` does: it waits for no writer, and writes in it throw.
   * @defaultValue 'read write'
   */
  readonly accessMode?: 'read only' | 'read write' | undefined;
}

const configRules = {
  ...readRules,
  retries: rules.integerFrom(0),
  behavior: rules.oneOf('immediate', 'deferred', 'exclusive'),
  accessMode: rules.oneOf('read only', 'read write'),
} as const satisfies Record<keyof TransactionConfig, Rule>;

/** What a database and its transactions have in common. */
export interface Shared<Schema extends TablesRelationalConfig> {
  readonly pool: SqlitePool;
  readonly dialect: SQLiteAsyncDialect;
  readonly schema: RelationalSchemaConfig<Schema> | undefined;
  readonly logger: Logger;
  readonly cache: Cache | undefined;
}

/** How Drizzle runs queries and transactions on a pool: in the scope of the caller, or in one transaction. */
export class LeaseholdSession<
  FullSchema extends Record<string, unknown>,
  Schema extends TablesRelationalConfig,
> extends SQLiteSession<'async', Database.RunResult, FullSchema, Schema> {
  static override readonly [entityKind]: string = 'LeaseholdSession';
  readonly #shared: Shared<Schema>;
  /** What carries the transaction it is of. */
  readonly #frame: Frame | undefined;
  readonly #queries: QueryContext;

  constructor(shared: Shared<Schema>, frame?: Frame) {
    super(shared.dialect);
    const { pool, logger, cache } = shared;
    this.#shared = shared;
    this.#frame = frame;
    const isInTransaction = () => frame !== undefined || pool.current?.inTransaction === true;
    this.#queries = {
      runStatement: (sql, use) => this.#here(() => pool.withStatement(sql, use) as Promise<never>),
      logger,
      cache: cache === undefined ? new NoopCache() : new CommittedCache(cache, isInTransaction),
    };
  }

  override prepareQuery<T extends PreparedQueryConfig>(
    query: Query,
    fields: SelectedFieldsOrdered | undefined,
    executeMethod: SQLiteExecuteMethod,
    _isResponseInArrayMode: boolean,
    mapRows?: (rows: unknown[][]) => unknown,
    metadata?: { type: 'select' | 'update' | 'delete' | 'insert'; tables: string[] },
    cacheConfig?: WithCacheConfig,
  ): LeaseholdPreparedQuery<T & { type: 'async' }> {
    return new LeaseholdPreparedQuery(query, { fields, executeMethod, mapRows, metadata, cacheConfig }, this.#queries);
  }

  override async transaction<Result>(
    fn: (tx: LeaseholdTransaction<FullSchema, Schema>) => Promise<Result> | Result,
    config?: TransactionConfig,
  ): Promise<Result> {
    checkFunction(fn, 'fn');
    const { cache } = this.#shared;
    if (this.#frame?.level !== undefined) refuseEnded(this.#frame.level);
    const transact = (begun?: () => void) => this.#here(() => this.#transact(fn, config, begun));
    return cache === undefined ? transact() : invalidating(cache, transact);
  }

  #transact<Result>(
    fn: (tx: LeaseholdTransaction<FullSchema, Schema>) => Promise<Result> | Result,
    config: TransactionConfig | undefined,
    begun: (() => void) | undefined,
  ): Promise<Awaited<Result>> {
    const { pool, dialect, schema } = this.#shared;
    const { behavior, accessMode, ...options } = checkCallOptions(config, configRules);
    const run = () => {
      begun?.();
      const session = new LeaseholdSession<FullSchema, Schema>(this.#shared, frames.getStore());
      return fn(new LeaseholdTransaction('async', dialect, session, schema));
    };
    if (accessMode !== 'read only') return pool.transaction(run, { ...options, mode: behavior }) as never;
    if (behavior !== undefined && behavior !== 'deferred') {
      throw new OptionsError('behavior', behavior, "'deferred' where \"accessMode\" is 'read only'");
    }
    return pool.read(run, options) as never;
  }

  /** Runs `fn` where the statements of this session belong. */
  #here<Result>(fn: () => Result): Result {
    if (this.#frame === undefined) return fn();
    // So what has a handle of the transaction can not get out of it by losing its async context, as listeners do.
    const here = frames.getStore();
    const frame = frameWithin(here, this.#frame, this.#shared.pool);
    return frame === here ? fn() : frames.run(frame, fn);
  }
}

/** A transaction that is to be part of one that has ended would become one of its own. */
function refuseEnded({ ended, lease }: ContextLevel): void {
  if (lease.ended) throw lease.endedError();
  if (ended) throw new TransactionEndedError(lease.pool, lease.label);
}

/**
 * The database as the function of a transaction gets it. Its queries are part of the transaction wherever they are made,
 * also from callbacks that have lost the async context; after its end they throw `ERR_LEASEHOLD_TRANSACTION_ENDED`.
 */
export class LeaseholdTransaction<
  FullSchema extends Record<string, unknown>,
  Schema extends TablesRelationalConfig,
> extends SQLiteTransaction<'async', Database.RunResult, FullSchema, Schema> {
  static override readonly [entityKind]: string = 'LeaseholdTransaction';

  /** Runs `fn` in a part of this transaction that is undone alone if it fails: a savepoint, unless `nesting` says otherwise. */
  override transaction<Result>(
    fn: (tx: LeaseholdTransaction<FullSchema, Schema>) => Promise<Result>,
    config?: TransactionConfig,
  ): Promise<Result> {
    return super.transaction(fn, config as never);
  }
}
