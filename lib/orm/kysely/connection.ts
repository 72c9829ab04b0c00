import type Database from 'better-sqlite3';
import type { AbortableOperationOptions, CompiledQuery, DatabaseConnection, QueryResult } from 'kysely';
import { AbortError, OptionsError } from '../../errors.ts';
import type { OpenTransaction } from '../../open-transaction.ts';
import type { AcquireOptions } from '../../options.ts';
import { notLeftOver } from '../../pool/request.ts';
import type { OpenScope } from '../../scope.ts';
import type { LeasedDatabase } from '../../sqlite/handle.ts';
import type { SqlitePool } from '../../sqlite/pool.ts';
import { Rows, readAtOnceUntil, settleRows } from './rows.ts';
import { type KyselyMode, KyselyTransaction } from './transaction.ts';

/** Runs something where it belongs: in a scope, or in a transaction. */
type Place = <Result>(fn: () => Result) => Result;

const here: Place = (fn) => fn();

/**
 * What Kysely takes for a connection: for one statement, for one transaction, or for the function of `db.connection()`.
 * Only for the last does it hold one longer than a statement, a transaction or a stream of the pool takes.
 */
export class LeaseholdConnection implements DatabaseConnection {
  readonly #pool: SqlitePool;
  /** What Kysely acquired it with. */
  readonly #acquired: AbortableOperationOptions | undefined;
  /** Whether it is that of a `db.connection()`; known from its first use on. */
  #isKept: boolean | undefined;
  /** The scope that holds a connection for `db.connection()`, unless the one around has a connection. */
  #scope: OpenScope<LeasedDatabase> | undefined;
  /** Stays when it has ended, to refuse what comes too late; but `db.connection()` goes on without it. */
  #transaction: KyselyTransaction | undefined;
  #isReleased = false;

  constructor(pool: SqlitePool, acquired: AbortableOperationOptions | undefined) {
    this.#pool = pool;
    this.#acquired = acquired;
  }

  executeQuery<Row>(query: CompiledQuery, options?: AbortableOperationOptions): Promise<QueryResult<Row>> {
    const run = (statement: Database.Statement) => resultOf<Row>(statement, query.parameters);
    const place = this.#place(options);
    const executing =
      place instanceof Promise
        ? place.then((kept) => this.#withStatement(kept, query, run, options))
        : this.#withStatement(place, query, run, options);
    return options?.signal === undefined ? executing : quietly(executing, options.signal);
  }

  /**
   * What waits is taken back by the signal alone, and what has begun ends in the same step. So when Kysely asks for it
   * nothing is left to be cancelled.
   */
  cancelQuery(): Promise<void> {
    return Promise.resolve();
  }

  async *streamQuery<Row>(
    query: CompiledQuery,
    chunkSize: number,
    options?: AbortableOperationOptions,
  ): AsyncIterableIterator<QueryResult<Row>> {
    if (!(Number.isSafeInteger(chunkSize) && chunkSize > 0)) {
      throw new OptionsError('chunkSize', chunkSize, 'an integer from 1');
    }
    try {
      const place = await this.#place(options);
      // Also refuses what is left over of a transaction, as for every query.
      const written = await this.#withStatement(
        place,
        query,
        (statement) => (isQuery(statement) ? undefined : resultOf<Row>(statement, query.parameters)),
        options,
      );
      if (written === undefined) yield* this.#read<Row>(place, query, chunkSize, options);
      else
        for (let at = 0; at < written.rows.length; at += chunkSize)
          yield { rows: written.rows.slice(at, at + chunkSize) };
    } catch (error) {
      if (!isAbortBy(options?.signal, error)) throw error;
    }
  }

  /** Begins a transaction. To be called in the very step in which Kysely calls its driver. */
  async begin(mode: KyselyMode): Promise<void> {
    const open = () => {
      const { current } = this.#pool;
      settleRows(current);
      const opened = this.#pool.openTransaction({ mode });
      readAtOnceUntil(opened.begun, current);
      return opened;
    };
    const place = this.#place(undefined);
    let transaction: OpenTransaction<LeasedDatabase>;
    // In the function of `db.connection()`, which must not find itself inside when it goes on.
    if (place instanceof Promise) transaction = (await place)(open);
    else {
      transaction = open();
      // All that runs since Kysely awaited the connection is Kysely's, and what it calls next is the user's function.
      transaction.enter();
    }
    await transaction.begun;
    this.#transaction = new KyselyTransaction(this.#pool, mode, transaction);
  }

  /** The transaction that has begun on it. */
  get transaction(): KyselyTransaction {
    return this.#transaction as KyselyTransaction;
  }

  async commit(): Promise<void> {
    await this.#transaction?.commit();
    if (this.#isKept === true) this.#transaction = undefined;
  }

  /** Never rejects, also where a COMMIT that failed has rolled back already. */
  async rollback(): Promise<void> {
    await this.#transaction?.rollback();
    if (this.#isKept === true) this.#transaction = undefined;
  }

  /** Gives back what `db.connection()` held, if anything. What comes after it is refused. */
  release(): Promise<void> | undefined {
    this.#isReleased = true;
    return this.#scope?.end();
  }

  /** Where the next statement belongs. */
  #place(options: AbortableOperationOptions | undefined): Place | Promise<Place> {
    const transaction = this.#transaction;
    if (transaction !== undefined) return (fn) => transaction.run(fn);
    // Whoever uses it a second time keeps it.
    this.#isKept = this.#isKept === undefined ? isOfConnection(this.#acquired, options) : true;
    return this.#isKept ? this.#keep() : here;
  }

  async #keep(): Promise<Place> {
    const pool = this.#pool;
    if (this.#scope === undefined) {
      if (pool.current === undefined) await pool[notLeftOver]();
      if (pool.current !== undefined && !this.#isReleased) return here;
    }
    this.#scope ??= pool.openScope();
    const scope = this.#scope;
    // A scope that has ended refuses whoever comes too late.
    if (this.#isReleased) await scope.end();
    return await scope.run(() => this.#bind(scope));
  }

  async #bind(scope: OpenScope<LeasedDatabase>): Promise<Place> {
    // After an `await` a recorded stack is of those who await this. As it is now, it would be full before the application's line.
    await Promise.resolve();
    await this.#pool.connection(acquireOptions(this.#acquired));
    return (fn) => scope.run(fn);
  }

  #withStatement<Result>(
    place: Place,
    { sql }: CompiledQuery,
    fn: (statement: Database.Statement) => Result,
    options: AbortableOperationOptions | undefined,
  ): Promise<Awaited<Result>> {
    return place(() => this.#pool.withStatement(sql, fn, acquireOptions(options)));
  }

  /** Reads on the connection that is held already, else on one of its own. */
  async *#read<Row>(
    place: Place,
    { sql, parameters }: CompiledQuery,
    chunkSize: number,
    options: AbortableOperationOptions | undefined,
  ): AsyncIterableIterator<QueryResult<Row>> {
    const held = place(() => this.#pool.current);
    const own = held === undefined ? await this.#pool.acquire(acquireOptions(options)) : undefined;
    let rows: Rows | undefined;
    try {
      const db = (held ?? own) as LeasedDatabase;
      rows = place(() => new Rows(db.prepare(sql), parameters));
      if (own?.memory === true) {
        // A query in the loop would wait for it in vain, there being no other.
        rows.settle();
        await own[Symbol.asyncDispose]();
      }
      for (;;) {
        const chunk = place(() => rows?.take(chunkSize)) as Row[];
        if (chunk.length > 0) yield { rows: chunk };
        if (chunk.length < chunkSize) return;
      }
    } finally {
      rows?.close();
      await own?.[Symbol.asyncDispose]();
    }
  }
}

/**
 * Whether what Kysely acquires is for `db.connection()`. That gives `acquireConnection` a frozen object of its own; a
 * transaction gives it nothing, and a statement nothing, what its caller has given, or the very object that the
 * statement then gets as well.
 */
function isOfConnection(
  acquired: AbortableOperationOptions | undefined,
  options: AbortableOperationOptions | undefined,
): boolean {
  return acquired !== undefined && acquired !== options && 'signal' in acquired && Object.isFrozen(acquired);
}

/** As Kysely's SqliteDialect has it. */
function resultOf<Row>(statement: Database.Statement, parameters: readonly unknown[]): QueryResult<Row> {
  if (!isQuery(statement)) settleRows(statement.database);
  if (statement.reader) return { rows: statement.all(parameters) as Row[] };
  const { changes, lastInsertRowid } = statement.run(parameters);
  return { insertId: BigInt(lastInsertRowid), numAffectedRows: BigInt(changes), rows: [] };
}

/** Whether it returns rows and does nothing else. */
function isQuery({ reader, readonly }: Database.Statement): boolean {
  return reader && readonly;
}

function acquireOptions(options: AbortableOperationOptions | undefined): AcquireOptions | undefined {
  return options?.signal === undefined ? undefined : { signal: options.signal };
}

function isAbortBy(signal: AbortSignal | undefined, error: unknown): boolean {
  return signal?.aborted === true && error instanceof AbortError;
}

/**
 * Makes nothing of an abort that Kysely has seen: it has thrown the reason by then, looks at no result any more, and would
 * only print an error to the console.
 */
async function quietly<Row>(executing: Promise<QueryResult<Row>>, signal: AbortSignal): Promise<QueryResult<Row>> {
  try {
    return await executing;
  } catch (error) {
    if (isAbortBy(signal, error)) return { rows: [] };
    throw error;
  }
}
