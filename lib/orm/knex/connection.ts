import { AsyncLocalStorage } from 'node:async_hooks';
import type Database from 'better-sqlite3';
import type { OpenTransaction } from '../../open-transaction.ts';
import type { AcquireOptions } from '../../options.ts';
import type { OpenScope } from '../../scope.ts';
import type { LeasedDatabase } from '../../sqlite/handle.ts';
import type { SqlitePool } from '../../sqlite/pool.ts';
import { classify } from '../../sqlite/sql.ts';
import type { OpenTransactionOptions } from '../../sqlite/transaction-options.ts';

/** A transaction that Knex has begun. */
export type Open = OpenTransaction<LeasedDatabase>;

type Run = <Result>(fn: () => Result) => Result;

let lastUid = 0;

/**
 * What Knex takes for a connection. It holds none: each statement runs on that of its scope, or on one taken for it. Only
 * where statements have to share one, because they change its settings or somebody has named it by `.connection()`, it is
 * bound to one until Knex releases it.
 */
export class KnexConnection {
  /** Read and written by Knex. */
  readonly __knexUid = `__knexUid${++lastUid}`;
  __knexTxId: string | undefined;
  readonly #pool: SqlitePool;
  /** The innermost transaction that has been begun on it by name. */
  transaction: Open | undefined;
  /** Whether it has been named by `.connection()`, so that it has to be the same for all who name it. */
  isNamed = false;
  #binding: Promise<void> | undefined;
  /** The way to what it is bound to. */
  #run: Run | undefined;
  #scope: OpenScope<LeasedDatabase> | undefined;
  /** Aborts what waits. Made where somebody may want that. */
  #waiting: AbortController | undefined;
  #isReleased = false;

  constructor(pool: SqlitePool) {
    this.#pool = pool;
  }

  /** Runs `fn` with a prepared statement, in `transaction` or wherever statements of this connection run. */
  async statement<Result>(
    { sql, timeout }: { readonly sql: string; readonly timeout?: number | false },
    fn: (statement: Database.Statement, isShared: boolean) => Result,
    options: AcquireOptions,
    transaction = this.transaction,
  ): Promise<Awaited<Result>> {
    const pool = this.#pool;
    // Whoever limits the time of a query wants it to be over then: what still waits shall not run later.
    if (timeout) this.#waiting ??= new AbortController();
    const checked = this.#waiting === undefined ? options : { ...options, signal: this.#waiting.signal };
    if (transaction === undefined && (this.isNamed || this.#isBound || leavesTraces(sql))) {
      // Awaited only by the first: what follows runs in the step in which it is asked for.
      if (this.#run === undefined) await this.#bound(checked);
    }
    const run = () =>
      pool.withStatement(sql, (statement) => fn(statement, statement.database === pool.current), checked);
    return transaction === undefined ? this.#within(run) : transaction.run(run);
  }

  /** Opens a transaction, in the innermost there is. */
  open(options: OpenTransactionOptions): Open {
    const open = () => this.#pool.openTransaction(options);
    return this.transaction === undefined ? this.#within(open) : this.transaction.run(open);
  }

  /** Aborts what waits. SQLite's statements are synchronous, so there is nothing else to abort. */
  cancel(): void {
    this.#waiting?.abort();
    this.#waiting = undefined;
  }

  /** Gives back what it is bound to. */
  async release(): Promise<void> {
    this.#isReleased = true;
    this.cancel();
    await this.#scope?.end();
  }

  get #isBound(): boolean {
    return this.#run !== undefined || this.#binding !== undefined;
  }

  #within<Result>(fn: () => Result): Result {
    return this.#run === undefined ? fn() : this.#run(fn);
  }

  #bound(options: AcquireOptions): Promise<void> {
    this.#binding ??= this.#bind(options).finally(() => {
      this.#binding = undefined;
    });
    return this.#binding;
  }

  async #bind(options: AcquireOptions): Promise<void> {
    const pool = this.#pool;
    if (pool.current !== undefined) {
      // The scope's. Kept, because Knex also comes back here from the contexts of transactions that have ended.
      this.#run = AsyncLocalStorage.snapshot();
      return;
    }
    // What is left over of a transaction is refused here: in the scope to come it would commit by itself.
    await pool.withStatement('SELECT 1', () => {}, options);
    const scope = pool.openScope();
    this.#scope = scope;
    try {
      // Its end cancels what waits in it. The signal is that of one statement only.
      if (this.#isReleased) await scope.end();
      await scope.run(() => pool.connection({ timeout: options.timeout }));
    } catch (error) {
      await scope.end();
      throw error;
    }
    this.#run = (fn) => scope.run(fn);
  }
}

/** Whether others on the same connection are to see what a statement does to it. */
function leavesTraces(sql: string): boolean {
  const { settings, transaction, schema } = classify(sql);
  return settings.length > 0 || transaction || schema;
}
