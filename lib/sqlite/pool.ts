import { setTimeout } from 'node:timers/promises';
import type Database from 'better-sqlite3';
import { type Clock, systemClock } from '../clock.ts';
import { frames } from '../context.ts';
import { NoConnectionError, OptionsError } from '../errors.ts';
import { isPromiseLike } from '../events.ts';
import type { WaitRequest } from '../holder.ts';
import type { OpenTransaction } from '../open-transaction.ts';
import { type AcquireOptions, checkAcquireOptions, checkStatementOptions, type ReadOptions } from '../options.ts';
import { checkTransaction, type Entry, notLeftOver } from '../pool/request.ts';
import { checkFunction, checkStatementFunction } from '../rules.ts';
import { AmbientDatabase } from './ambient.ts';
import type { CheckpointMode, CheckpointResult, SqliteConnection } from './connection.ts';
import { type LeasedDatabase, sessionOf } from './handle.ts';
import { type NormalizedOptions, normalize, type SqlitePoolOptions } from './options.ts';
import { type BindValues, type QueryObject, readQuery } from './query-object.ts';
import { classify } from './sql.ts';
import { QueryError, type SqlQuery } from './tag.ts';
import {
  checkOpenTransactionOptions,
  checkReadOptions,
  checkTransactionOptions,
  type OpenTransactionOptions,
  type TransactionOptions,
} from './transaction-options.ts';
import { claimLane, lockedOf } from './verbs.ts';
import { untilUnlocked } from './waiting.ts';
import { WritingPool } from './writing-pool.ts';

/** A pool of connections to one SQLite file. Made by `createPool`. */
export class SqlitePool extends WritingPool {
  /** The handle of whatever connection the current scope holds. */
  readonly db: AmbientDatabase;
  readonly #clock: Clock;
  readonly #acquireTimeout: number;
  readonly #hasLane: boolean;

  constructor(file: string, options: SqlitePoolOptions = {}, clock: Clock = systemClock) {
    const normalized = normalize(file, options);
    const { pool, sqlite, hooks } = normalized;
    super(normalized, { ...hooks, onOpen: openHook(hooks.onOpen) }, clock);
    this.#clock = clock;
    this.#acquireTimeout = pool.acquireTimeout;
    this.#hasLane = !sqlite.readonly;
    this.db = new AmbientDatabase({
      pool: pool.name,
      file: sqlite.file,
      readonly: sqlite.readonly,
      memory: sqlite.isPrivate,
      handle: () => this.ambient(),
      current: () => this.current,
    });
  }

  /**
   * Runs `fn` in a transaction that may span any `await`. Waits for its turn to write without blocking the event loop,
   * and without holding a connection of the pool. Commits when `fn` resolves, rolls back when it throws. Inside another
   * transaction it is a savepoint of that, and waits for those that were started beside it.
   *
   * @throws OptionsError, WriteTimeoutError, AcquireTimeoutError, QueueFullError, OpenError, ClosedError, AbortError, ReadOnlyError,
   * WriteLockedError where it could never begin, TransactionAbortedError and TransactionBusyError where it can not be
   * committed, TransactionEndedError; what `fn` throws passes through unchanged
   */
  transaction<Result>(fn: (tx: LeasedDatabase) => Result, options?: TransactionOptions): Promise<Awaited<Result>> {
    // Not an async function, to save its promise.
    try {
      checkFunction(fn, 'fn');
      const checked = checkTransactionOptions(options);
      const { mode = 'immediate', retries = 0 } = checked;
      return this.transact(fn, { options: checked, mode, readOnly: false, retries, entry: this.transaction });
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Runs `fn` on one snapshot of the database: whatever others commit meanwhile, all its statements see the same. Writes
   * in it throw `ERR_LEASEHOLD_READ_ONLY`. Waits for no writer. Inside another transaction it is part of that.
   *
   * @throws OptionsError, AcquireTimeoutError, and what `transaction` throws
   */
  read<Result>(fn: (db: LeasedDatabase) => Result, options?: ReadOptions): Promise<Awaited<Result>> {
    try {
      checkFunction(fn, 'fn');
      const checked = checkReadOptions(options);
      return this.transact(fn, { options: checked, mode: 'read', readOnly: true, retries: 0, entry: this.read });
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
  openTransaction(options?: OpenTransactionOptions): OpenTransaction<LeasedDatabase> {
    const checked = checkOpenTransactionOptions(options);
    const { mode = 'immediate' } = checked;
    return this.open({ options: checked, mode, readOnly: mode === 'read', retries: 0, entry: this.openTransaction });
  }

  /**
   * The first row of a query, `undefined` where there is none. Runs on the scope's connection, else on one
   * taken for this query alone. What writes waits for its turn, as in `run`.
   */
  async get<Row = unknown>(query: SqlQuery<Row> | QueryObject, options?: AcquireOptions): Promise<Row | undefined>;
  /** The same of a text, and of the values for its parameters. */
  async get<Row = unknown>(sql: string, values?: BindValues, options?: AcquireOptions): Promise<Row | undefined>;
  async get<Row>(...params: QueryParams): Promise<Row | undefined> {
    const { sql, values, options } = callOf(params);
    const run = (db: LeasedDatabase): Row | undefined => {
      const statement = db.prepare<unknown[], Row>(sql);
      // `get` stops at the first row, and better-sqlite3 then says nothing of a COMMIT that fails.
      return statement.readonly ? statement.get(...spread(values)) : statement.all(...spread(values))[0];
    };
    return this.#statement(sql, run, options, this.get);
  }

  /** All rows of a query. Runs as `get` does. */
  async all<Row = unknown>(query: SqlQuery<Row> | QueryObject, options?: AcquireOptions): Promise<Row[]>;
  /** The same of a text, and of the values for its parameters. */
  async all<Row = unknown>(sql: string, values?: BindValues, options?: AcquireOptions): Promise<Row[]>;
  async all<Row>(...params: QueryParams): Promise<Row[]> {
    const { sql, values, options } = callOf(params);
    const run = (db: LeasedDatabase) => db.prepare<unknown[], Row>(sql).all(...spread(values));
    return this.#statement(sql, run, options, this.all);
  }

  /**
   * Runs a statement that returns no rows: in the transaction of the scope, if there is one; else by itself, when its
   * turn to write has come. Neither other writers of this process nor another process's lock block the event loop.
   *
   * @throws WriteTimeoutError, QueueFullError, and all that `acquire` throws
   */
  async run(query: SqlQuery | QueryObject, options?: AcquireOptions): Promise<Database.RunResult>;
  /** The same of a text, and of the values for its parameters. */
  async run(sql: string, values?: BindValues, options?: AcquireOptions): Promise<Database.RunResult>;
  async run(...params: QueryParams): Promise<Database.RunResult> {
    const { sql, values, options } = callOf(params);
    const run = (db: LeasedDatabase) => db.prepare(sql).run(...spread(values));
    return this.#statement(sql, run, options, this.run);
  }

  /**
   * Runs `fn` with a prepared statement: what `get`, `all` and `run` do, for those who want something else of it, or know
   * only by looking at it what to do. It may be used until `fn` has settled. Where another process's lock is in the way,
   * `fn` is called again until it gets through, so it should do nothing else. A statement that writes keeps the turn to write
   * until then: `fn` must not await another write.
   *
   * @throws WriteTimeoutError, QueueFullError, and all that `acquire` throws; what `fn` throws passes through unchanged
   */
  async withStatement<Result>(
    sql: string,
    fn: (statement: Database.Statement) => Result,
    options?: AcquireOptions,
  ): Promise<Awaited<Result>> {
    checkStatementFunction(fn);
    return this.#statement(sql, (db) => fn(db.prepare(sql)), options, this.withStatement);
  }

  async #statement<Result>(
    sql: string,
    run: (db: LeasedDatabase) => Result,
    options: AcquireOptions | undefined,
    entry: Entry,
  ): Promise<Awaited<Result>> {
    const checked = checkStatementOptions(options);
    this.#refuseLeftOver();
    const scope = this.liveScope();
    const { writes, transaction } = classify(typeof sql === 'string' ? sql : '');
    // To read on a connection that is held already leaves nothing to be told of.
    const leavesTrace = writes !== false || scope?.bound === undefined;
    const request = this.waitRequest(checked, leavesTrace ? entry : undefined, scope?.ref);
    const sharing = this.shared(scope, request);
    // Not awaited where there is nothing to wait for, so that calls come to the lane in the order they are made.
    const shared = sharing instanceof Promise ? await sharing : sharing;
    if (shared !== undefined) return await this.#onLease(shared, sql, run, request);
    // On a connection taken for this statement alone it would be undone at once, and what follows would commit by itself.
    if (transaction) throw new NoConnectionError(this.name, scope !== undefined);
    const isLate = sharing !== undefined;
    const borrow = <Value>(fn: (db: LeasedDatabase) => Value, late: boolean) => this.borrow(fn, request, entry, late);
    const read = (db: LeasedDatabase) => this.#unlocked(db, run, request);
    if (writes === false || !this.#hasLane) return borrow(read, isLate);
    const isAsked = writes === undefined;
    if (isAsked && !(await borrow((db) => isWrite(db, sql), isLate))) return borrow(read, true);
    const taken = this.takeWriter(request, 'statement', entry, scope?.ref, isLate || isAsked);
    return this.lendTo((db) => this.#unlocked(db, run, request), taken);
  }

  /** Runs a statement on a connection that is held already; if it writes outside a transaction, in its turn. */
  async #onLease<Result>(
    db: LeasedDatabase,
    sql: string,
    run: (db: LeasedDatabase) => Result,
    request: WaitRequest,
  ): Promise<Awaited<Result>> {
    const session = sessionOf(db);
    if (session.isManaged || !this.#hasLane || !isWrite(db, sql)) return await this.#unlocked(db, run, request);
    // Whose statements are refused shall not wait for that.
    session.use();
    const claiming = claimLane(session, 'statement', request);
    if (claiming !== undefined) await claiming;
    try {
      return await this.#unlocked(db, run, request);
    } finally {
      session.permit?.drop('statement');
    }
  }

  /** Runs a statement. If another process's lock is in the way, it is tried again from a timer, not waited for in SQLite. */
  #unlocked<Result>(
    db: LeasedDatabase,
    run: (db: LeasedDatabase) => Result,
    request: WaitRequest,
  ): Result | Promise<Result> {
    const session = sessionOf(db);
    const attempt = (): Result => {
      const before = session.impatient;
      session.impatient = true;
      try {
        if (!session.hasIterators) session.connection.beImpatient();
        return run(db);
      } finally {
        session.impatient = before;
      }
    };
    return untilUnlocked(attempt, request, session, lockedOf);
  }

  [checkTransaction](options: object): void {
    checkOpenTransactionOptions(options);
  }

  async [notLeftOver](): Promise<void> {
    this.#refuseLeftOver();
    const scope = this.liveScope();
    if (scope?.binding === undefined) this.refuseOrphan(scope);
    else await this.sharedBy(scope, scope.binding, this.waitRequest({}, undefined, scope.ref));
  }

  /** What is left over of a transaction must not go on by itself. */
  #refuseLeftOver(): void {
    const scope = this.innermost(frames.getStore());
    if (scope?.ended === true && (scope.extent === 'transaction' || scope.hadTransactions))
      throw this.endedError(scope);
  }

  /**
   * Brings the WAL into the database file. Modes other than `'passive'` wait for readers and writers, from a
   * timer and with a free event loop, until `timeout`; what they could not finish then shows as `busy`.
   *
   * @throws OptionsError, and all that `acquire` throws
   */
  async checkpoint(mode: CheckpointMode = 'passive', options?: CheckpointOptions): Promise<CheckpointResult> {
    if (!checkpointModes.includes(mode)) throw new OptionsError('mode', mode, `one of ${checkpointModes.join(', ')}`);
    const checked = checkAcquireOptions(options);
    const { signal, timeout = this.#acquireTimeout } = checked;
    const deadline = this.#clock.now() + timeout;
    const attempt = (_: LeasedDatabase, connection: SqliteConnection) => connection.checkpoint(mode);
    const request = this.waitRequest(checked, this.checkpoint);
    for (let pause = firstPause; ; pause = Math.min(pause * 2, longestPause)) {
      const since = this.#clock.now();
      const timed = { ...request, since, timeout: Math.max(deadline - since, 1) };
      const result = await this.borrow(attempt, timed, this.checkpoint);
      const left = deadline - this.#clock.now();
      if (!result.busy || mode === 'passive' || left <= 0) return result;
      await setTimeout(Math.min(pause, left), undefined, { signal });
    }
  }
}

/** Options of `checkpoint`. */
export type CheckpointOptions = Pick<AcquireOptions, 'signal' | 'timeout'>;

const checkpointModes: readonly CheckpointMode[] = ['passive', 'full', 'restart', 'truncate'];
// First pause between two attempts at a checkpoint, doubled up to the longest.
const firstPause = 5;
const longestPause = 100;

/** The user's hook on the user's terms, and afterwards what the driver has to look at. */
function openHook(
  onOpen: NormalizedOptions['hooks']['onOpen'],
): ((connection: SqliteConnection) => unknown) | undefined {
  if (onOpen === undefined) return undefined;
  return (connection) => {
    const result = onOpen(connection.raw);
    if (isPromiseLike(result)) return result.then(() => connection.settle());
    connection.settle();
    return undefined;
  };
}

type QueryParams =
  | readonly [query: QueryObject, options?: AcquireOptions | undefined]
  | readonly [sql: string, values?: BindValues | undefined, options?: AcquireOptions | undefined];

/** What `get`, `all` and `run` were called with. A query object brings its values; what is neither is left to better-sqlite3. */
function callOf([query, second, third]: QueryParams) {
  if (typeof query !== 'object' || query === null) {
    return { sql: query, values: second as BindValues | undefined, options: third };
  }
  if (third !== undefined || Array.isArray(second)) {
    throw new QueryError('A query object', 'brings its own values', 'Call with (query, options).');
  }
  const { sql, values } = readQuery(query);
  return { sql, values, options: second as AcquireOptions | undefined };
}

function spread(values: BindValues | undefined): unknown[] {
  if (values === undefined) return [];
  return Array.isArray(values) ? values : [values];
}

/** Whether a statement writes. Where the text does not tell, SQLite does. */
function isWrite(db: LeasedDatabase, sql: string): boolean {
  const statement = db.prepare(sql);
  return classify(sql).writes ?? !statement.readonly;
}
