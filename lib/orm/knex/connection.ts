import { AsyncLocalStorage } from 'node:async_hooks';
import type Database from 'better-sqlite3';
import type { OpenTransaction } from '../../open-transaction.ts';
import type { AcquireOptions } from '../../options.ts';
import { notLeftOver, type Relay } from '../../pool/request.ts';
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
  /** From where in the application it was first used: what Knex calls later knows nothing of that. */
  relay: Relay | undefined;
  #binding: Promise<void> | undefined;
  /** The way to what it is bound to. */
  #run: Run | undefined;
  #scope: OpenScope<LeasedDatabase> | undefined;
  /** Ends the wait for what it is to be bound to. */
  #waiting: AbortController | undefined;
  #isReleased = false;

  constructor(pool: SqlitePool) {
    this.#pool = pool;
  }

  /** Runs `fn` with a prepared statement, in `transaction` or wherever statements of this connection run. */
  async statement<Result>(
    { sql }: { readonly sql: string },
    fn: (statement: Database.Statement, isShared: boolean) => Result,
    options: AcquireOptions,
    transaction = this.transaction,
  ): Promise<Awaited<Result>> {
    const pool = this.#pool;
    if (transaction === undefined && (this.isNamed || this.#isBound || leavesTraces(sql))) {
      // Awaited only by the first: what follows runs in the step in which it is asked for.
      if (this.#run === undefined) await this.#bound(options);
    }
    const run = () =>
      this.#relayed(() =>
        pool.withStatement(sql, (statement) => fn(statement, statement.database === pool.current), options),
      );
    return transaction === undefined ? this.#within(run) : transaction.run(run);
  }

  /** Opens a transaction, in the innermost there is. */
  open(options: OpenTransactionOptions): Open {
    const open = () => this.#relayed(() => this.#pool.openTransaction(options));
    return this.transaction === undefined ? this.#within(open) : this.transaction.run(open);
  }

  /** Gives back what it is bound to. */
  async release(): Promise<void> {
    this.#isReleased = true;
    this.#waiting?.abort();
    await this.#scope?.end();
  }

  get #isBound(): boolean {
    return this.#run !== undefined || this.#binding !== undefined;
  }

  #relayed<Result>(fn: () => Result): Result {
    return this.relay === undefined ? fn() : this.relay(fn);
  }

  #within<Result>(fn: () => Result): Result {
    return this.#run === undefined ? fn() : this.#run(fn);
  }

  #bound({ timeout }: AcquireOptions): Promise<void> {
    this.#binding ??= this.#bind(timeout).finally(() => {
      this.#binding = undefined;
      this.#waiting = undefined;
    });
    return this.#binding;
  }

  /** Without the signal of the statement for which it is bound: others wait for the same. */
  async #bind(timeout: number | undefined): Promise<void> {
    const pool = this.#pool;
    // In a scope of its own, what is left over of a transaction would be taken for something new.
    if (pool.current === undefined) await pool[notLeftOver]();
    if (pool.current !== undefined) {
      // The scope's. Kept, because Knex also comes back here from the contexts of transactions that have ended.
      this.#run = AsyncLocalStorage.snapshot();
      return;
    }
    this.#waiting = new AbortController();
    const scope = pool.openScope({ signal: this.#waiting.signal });
    this.#scope = scope;
    try {
      if (this.#isReleased) await scope.end();
      await scope.run(() => this.#relayed(() => pool.connection({ timeout })));
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
