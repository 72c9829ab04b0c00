import type pg from 'pg';
import { type Clock, systemClock } from '../clock.ts';
import { frames } from '../context.ts';
import { NoConnectionError, OptionsError } from '../errors.ts';
import { isPromiseLike } from '../events.ts';
import { joinSignals, type ScopeRef } from '../holder.ts';
import type { OpenTransaction } from '../open-transaction.ts';
import { type AcquireOptions, checkStatementOptions } from '../options.ts';
import { checkTransaction, type Entry } from '../pool/request.ts';
import type { SlotLease } from '../pool/slot.ts';
import { checkFunction } from '../rules.ts';
import { makePool, type PoolTarget } from '../target.ts';
import type { Transactions } from '../transaction.ts';
import { CommitUnknownError, TransactionAbortedError } from '../transaction-errors.ts';
import { TransactionalPool } from '../transactional-pool.ts';
import type { PostgresConnection } from './connection.ts';
import { PostgresDriver } from './driver.ts';
import { AmbientClient, type LeasedClient, sessionOf } from './handle.ts';
import { type Hosts, type PostgresConfig, readHosts } from './hosts.ts';
import { type NormalizedOptions, normalize, type PostgresPoolOptions } from './options.ts';
import { type QueryOptions, readCall } from './query-call.ts';
import { classify } from './sql.ts';
import {
  checkOpenTransactionOptions,
  checkSnapshotOptions,
  checkTransactionOptions,
  modeOf,
  type OpenTransactionOptions,
  type PostgresRequest,
  type SnapshotOptions,
  type TransactionOptions,
} from './transaction-options.ts';
import { transactionsOf } from './verbs.ts';

/** A pool of connections to PostgreSQL, or to what speaks its protocol. Made by `createPool(postgres(…))`. */
export class PostgresPool extends TransactionalPool<PostgresConnection, LeasedClient, PostgresRequest> {
  /** The handle of whatever connection the current scope holds. */
  readonly db: AmbientClient;

  constructor(hosts: Hosts, options: PostgresPoolOptions = {}, clock: Clock = systemClock) {
    const { pool, postgres: settings, hooks } = normalize(hosts, options);
    super(new PostgresDriver(settings, clock), pool, { ...hooks, onOpen: openHook(hooks.onOpen) }, clock);
    this.db = new AmbientClient({ pool: pool.name, handle: () => this.ambient(), current: () => this.current });
  }

  /**
   * Runs `fn` in a transaction. Commits when `fn` resolves, rolls back when it throws. Inside another transaction it is a
   * savepoint of that, and waits for those that were started beside it.
   *
   * @throws OptionsError, AcquireTimeoutError, QueueFullError, OpenError, ClosedError, AbortError, ReadOnlyError,
   * TransactionAbortedError, TransactionBusyError and CommitUnknownError where it can not be committed, TransactionEndedError; what
   * `fn` throws passes through unchanged
   */
  transaction<Result>(fn: (tx: LeasedClient) => Result, options?: TransactionOptions): Promise<Awaited<Result>> {
    // Not an async function, to save its promise.
    try {
      checkFunction(fn, 'fn');
      const checked = checkTransactionOptions(options);
      const { retries = 0, readOnly = false } = checked;
      return this.transact(fn, { options: checked, mode: modeOf(checked), readOnly, retries, entry: this.transaction });
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Runs `fn` on one snapshot of the database: whatever others commit meanwhile, all its statements see the same. Writes in it
   * throw `ERR_LEASEHOLD_READ_ONLY`. Inside another transaction it is part of that, and sees what that sees.
   *
   * @throws OptionsError, AcquireTimeoutError, and what `transaction` throws
   */
  read<Result>(fn: (db: LeasedClient) => Result, options?: SnapshotOptions): Promise<Awaited<Result>> {
    try {
      checkFunction(fn, 'fn');
      const checked = checkSnapshotOptions(options);
      const mode = modeOf({ isolation: 'repeatable read', ...checked, readOnly: true });
      return this.transact(fn, { options: checked, mode, readOnly: true, retries: 0, entry: this.read });
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Opens a transaction that ends when its `commit` or `rollback` is called, for libraries that can not put theirs into one
   * function; with the scope it is opened in at the latest. For all else there is `transaction`, which ends by itself. Returns
   * at once; await `begun`, which rejects with what `transaction` would throw before it runs its function.
   *
   * @throws OptionsError
   */
  openTransaction(options?: OpenTransactionOptions): OpenTransaction<LeasedClient> {
    const checked = checkOpenTransactionOptions(options);
    const { readOnly = false } = checked;
    return this.open({ options: checked, mode: modeOf(checked), readOnly, retries: 0, entry: this.openTransaction });
  }

  /**
   * One query in pg's forms, with its results: on the connection of the scope, and so in the transaction it has open; else on one
   * taken for this query alone.
   *
   * @throws all that `acquire` throws, NoConnectionError for what begins, ends or listens and needs a connection that stays; what
   * the server refuses passes through unchanged
   */
  query<Row extends unknown[] = unknown[]>(
    config: pg.QueryArrayConfig & QueryOptions,
    values?: readonly unknown[],
    options?: AcquireOptions,
  ): Promise<pg.QueryArrayResult<Row>>;
  query<Row extends pg.QueryResultRow = pg.QueryResultRow>(
    query: string | (pg.QueryConfig & QueryOptions),
    values?: readonly unknown[],
    options?: AcquireOptions,
  ): Promise<pg.QueryResult<Row>>;
  query(query: string | pg.QueryConfig, values?: readonly unknown[], options?: AcquireOptions): Promise<unknown> {
    // Not an async function, to save its promise.
    try {
      return this.#query(query, values, options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #query(
    query: string | pg.QueryConfig,
    values: readonly unknown[] | undefined,
    options: AcquireOptions | undefined,
  ): Promise<unknown> {
    const checked = checkStatementOptions(options);
    const call = readCall(query, values);
    const text: unknown = typeof call.config === 'string' ? call.config : call.config.text;
    if (typeof text !== 'string' || call.stream !== undefined) {
      throw new OptionsError('query', query, 'a text, or a query object of pg with a text').withoutValue();
    }
    if (call.callback !== undefined) throw new OptionsError('callback', call.callback, 'absent: await the promise');
    this.#refuseLeftOver();
    const scope = this.liveScope();
    const { transaction, listens } = classify(text);
    // On a connection taken for this statement alone it would be undone at once, and what follows would commit by itself.
    const needsToStay = transaction || listens;
    const refuse = (): never => {
      throw new NoConnectionError(this.name, scope !== undefined, 'What begins, ends or listens needs one that stays.');
    };
    if (needsToStay && scope?.bound === undefined && scope?.binding === undefined) refuse();
    const signal = joinSignals(call.signal, checked.signal);
    const request = this.waitRequest({ ...checked, signal }, this.query, scope?.ref);
    const ask = (db: LeasedClient): Promise<unknown> => {
      const session = sessionOf(db);
      return needsToStay && !session.lease.isBound ? refuse() : session.query(call.config, call.values, signal);
    };
    return this.borrow(ask, request, this.query);
  }

  [checkTransaction](options: object): void {
    checkOpenTransactionOptions(options);
  }

  protected override transactionsOf(handle: LeasedClient): Transactions<PostgresRequest> {
    return transactionsOf(sessionOf(handle));
  }

  protected override takeFor(
    request: PostgresRequest,
    entry: Entry,
    scope: ScopeRef | undefined,
    isLate: boolean,
  ): SlotLease<PostgresConnection, LeasedClient> | Promise<SlotLease<PostgresConnection, LeasedClient>> {
    if (isLate) return this.takeLate(request, entry, scope);
    return this.take(request, entry, scope, undefined, { since: undefined, site: request.site });
  }

  protected override mayPass(error: unknown): boolean {
    return isSerializationFailure(error);
  }

  /** What is left over of a transaction must not go on by itself. */
  #refuseLeftOver(): void {
    const scope = this.innermost(frames.getStore());
    if (scope?.ended === true && (scope.extent === 'transaction' || scope.hadTransactions))
      throw this.endedError(scope);
  }
}

/**
 * What `createPool` makes a pool of PostgreSQL for. Nothing is connected before it is needed; call `ready()` to find out early.
 *
 * @param config a connection string, or what pg's `Client` takes; both may have several hosts. What neither says is taken from the
 * environment, as by pg: `PGHOST`, `PGPASSWORD`
 * @throws OptionsError
 */
export function postgres(config: string | URL | PostgresConfig = {}): PoolTarget<PostgresPool, PostgresPoolOptions> {
  const hosts = readHosts(config);
  return { [makePool]: (options) => new PostgresPool(hosts, options) };
}

/** The user's hook on the user's terms, and afterwards a look at what it has left open. */
function openHook(
  onOpen: NormalizedOptions['hooks']['onOpen'],
): ((connection: PostgresConnection) => unknown) | undefined {
  if (onOpen === undefined) return undefined;
  return (connection) => {
    const result = onOpen(connection.client);
    return isPromiseLike(result) ? result.then(() => connection.settle()) : connection.settle();
  };
}

/** Whether a transaction was in another's way, so that to run it once more from the start may help. */
function isSerializationFailure(error: unknown): boolean {
  // Of the first it is not known whether it would be done twice.
  if (error instanceof CommitUnknownError) return false;
  if (error instanceof TransactionAbortedError) return isSerializationFailure(error.cause);
  if (!(error instanceof Error)) return false;
  const code = 'code' in error ? error.code : undefined;
  // CockroachDB asks for it in words, too.
  return code === '40001' || code === '40P01' || /^restart transaction/i.test(error.message);
}
