// The names are Knex's.
// oxlint-disable no-underscore-dangle
import type { Transform } from 'node:stream';
import type Database from 'better-sqlite3';
import type { Knex } from 'knex';
// Knex's dialects come without types.
// @ts-expect-error
import BetterSqlite3Client from 'knex/lib/dialects/better-sqlite3/index.js';
import { OptionsError } from '../errors.ts';
import type { AcquireOptions } from '../options.ts';
import { fromHere } from '../pool/request.ts';
import type { SqlitePool } from '../sqlite/pool.ts';
import { KnexConnection, type Open } from './knex/connection.ts';
import { limitOf, PoolRunner } from './knex/runner.ts';
import { pour } from './knex/stream.ts';
import { KnexTransaction, verbs } from './knex/transaction.ts';

/** A query as Knex has compiled it, and what came of it. */
interface Query {
  readonly sql: string;
  readonly bindings?: readonly unknown[];
  /** What was given by `.options()`. */
  readonly options?: { readonly safeIntegers?: unknown };
  response?: unknown;
  context?: { readonly lastID: number | bigint; readonly changes: number };
}

/** What Knex's own client has beside its published types. */
interface Internals {
  _query(connection: unknown, query: Query): Promise<Query>;
  _formatBindings(bindings: readonly unknown[] | undefined): unknown[];
}

type BaseClient = new (config: Knex.Config) => Knex.Client & Internals;

/**
 * Knex's own client for better-sqlite3, but for where its connections and transactions come from.
 *
 * No state is private: Knex makes the clients of transactions and of clones by `Object.create` from the prototype.
 */
abstract class PoolClient extends (BetterSqlite3Client as BaseClient & Omit<typeof Knex.Client, 'prototype'>) {
  /** On the client of a transaction. */
  declare openTransaction?: Open;

  constructor(config: Knex.Config) {
    super(checked(config));
    this.initializePool();
  }

  abstract source(): SqlitePool;

  /** Called again by `knex.initialize()`, after `destroy`, which lets go of a pool that is not Knex's to end. */
  override initializePool(): void {
    if (this.pool === undefined) this.pool = this.source() as never;
  }

  override async acquireConnection(): Promise<KnexConnection> {
    if (this.pool === undefined) throw new Error('Unable to acquire a connection');
    return new KnexConnection(this.source());
  }

  override async releaseConnection(connection: unknown): Promise<void> {
    if (connection instanceof KnexConnection) await connection.release();
  }

  /** Knex is about to run a query on a connection that was given by `.connection()`. */
  processPassedConnection(connection: unknown): void {
    if (!(connection instanceof KnexConnection)) return;
    connection.isNamed = true;
    connection.relay ??= this.source()[fromHere](this.processPassedConnection);
  }

  override runner(builder: unknown): PoolRunner {
    return new PoolRunner(this, builder);
  }

  /** The runner does that. */
  // Its published type lacks that the result is awaited.
  // oxlint-disable-next-line typescript/no-misused-promises
  override async cancelQuery(): Promise<void> {}

  override transaction(container: unknown, config: object, outer: object): Knex.Transaction {
    // Here, because it begins in a later step, of which the application knows nothing.
    const relay = this.source()[fromHere](this.transaction);
    return new KnexTransaction(this, container, config, outer, relay) as never;
  }

  override async _query(connection: unknown, query: Query): Promise<Query> {
    const verb = verbs.get(query);
    if (verb !== undefined) {
      await verb();
      return query;
    }
    // Somebody's handle, given by `.connection()`.
    if (!(connection instanceof KnexConnection)) return super._query(connection, query);
    refuseEmpty(query);
    const run = (statement: Database.Statement): void => {
      const bindings = prepare(this, statement, query);
      if (statement.reader) {
        query.response = statement.all(bindings);
        return;
      }
      const result = statement.run(bindings);
      query.response = result;
      query.context = { lastID: result.lastInsertRowid, changes: result.changes };
    };
    await connection.statement(query, run, optionsOf(this, query), this.openTransaction);
    return query;
  }

  /**
   * Reads rows as they are asked for, on a connection that nobody else has meanwhile. Where there is only one, of a scope
   * or of the pool, all are read first: others could not use it while rows are to come.
   */
  async _stream(connection: unknown, query: Query, stream: Transform): Promise<void> {
    try {
      if (!(connection instanceof KnexConnection)) {
        const { response } = await super._query(connection, query);
        return await pour(response as unknown[], stream);
      }
      refuseEmpty(query);
      const isOnly = this.source().stats().max === 1;
      let pouring: Promise<void> | undefined;
      const read = (statement: Database.Statement, isShared: boolean): unknown[] | Promise<void> => {
        const bindings = prepare(this, statement, query);
        if (isOnly || isShared || !statement.readonly) return statement.all(bindings);
        const rows = statement.iterate(bindings);
        return new Promise((resolve) => {
          pouring = pour(rows, stream, resolve);
          // Awaited below.
          pouring.catch(() => {});
        });
      };
      const rows = await connection.statement(query, read, optionsOf(this, query), this.openTransaction);
      await (rows === undefined ? pouring : pour(rows, stream));
    } catch (error) {
      stream.destroy(error as Error);
      throw error;
    }
  }
}

// In the way of Knex's own clients: a field would not be there on clients that are made from the prototype.
Object.assign(PoolClient.prototype, { canCancelQuery: true });

/**
 * The client of Knex for a pool: `knex({ client: knexClient(pool), useNullAsDefault: true })`. Queries run on the
 * connection of the scope, or in its transaction; else each on one of the pool, so that reads go on beside open
 * transactions, and those that write wait for their turn. `knex.transaction` opens a transaction of the pool.
 *
 * The pool is not Knex's: `knex.destroy()` only lets go of it. Settings of connections are those of `createPool`, such as
 * `onOpen: (db) => db.defaultSafeIntegers()`; `acquireConnectionTimeout`, if given, goes before its `acquireTimeout`.
 */
export function knexClient(pool: SqlitePool): typeof Knex.Client {
  // A class for each pool, because what Knex makes from the prototype has nothing else to know the pool by.
  class LeaseholdClient extends PoolClient {
    override source(): SqlitePool {
      return pool;
    }
  }
  return LeaseholdClient;
}

/** @throws OptionsError where Knex is asked to open connections */
function checked(config: Knex.Config): Knex.Config {
  for (const name of ['connection', 'connectionPool', 'pool'] as const) {
    if (config[name] !== undefined)
      throw new OptionsError(name, config[name], 'nothing', 'Its place is in createPool.');
  }
  return config;
}

function optionsOf({ config }: { readonly config: Knex.Config }, query: Query): AcquireOptions {
  return { timeout: config.acquireConnectionTimeout, signal: limitOf(query) };
}

function refuseEmpty({ sql }: Query): void {
  if (!sql) throw new Error('The query is empty');
}

/** Makes a statement ready to run. Returns what to bind. */
function prepare(client: Internals, statement: Database.Statement, query: Query): unknown[] {
  const safeIntegers = query.options?.safeIntegers;
  if (typeof safeIntegers === 'boolean') statement.safeIntegers(safeIntegers);
  return client._formatBindings(query.bindings);
}
