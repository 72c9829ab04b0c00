import { type InspectOptions, inspect } from 'node:util';
import Database from 'better-sqlite3';
import type { RawDatabase } from './better-sqlite3.ts';
import type { SqliteConnection } from './connection.ts';
import { inspection } from './inspection.ts';
import { flatRows, safeIntegerRows } from './row-mode.ts';
import type { Session } from './session.ts';
import { classify, type SqlTraits } from './sql.ts';
import { LeasedStatement } from './statement.ts';
import { type Callback, transactionRunner, withVariants } from './transaction-function.ts';

type LooseMethod = (...params: unknown[]) => unknown;
type AggregateOptions<T> = Parameters<typeof Database.prototype.aggregate<T>>[1];

// A symbol rather than a private field: better-sqlite3's own handles work behind a Proxy, so these must too.
const session = Symbol('session');

/**
 * The handle of one lease, with the documented surface of better-sqlite3's `Database`: same arguments, results
 * and errors. Three things differ, because others use the connection before and after:
 *
 * - `prepare` serves a kept statement where it can; what one caller does to it never shows to the next;
 * - `close` gives the connection back, as do `using` and `await using`;
 * - from then on every method throws `ERR_LEASEHOLD_RELEASED` (`ERR_LEASEHOLD_SCOPE_ENDED` where the scope has
 *   ended), and so do its statements and iterators.
 */
export class LeasedDatabase implements Database.Database, Disposable, AsyncDisposable {
  /** @internal Left out of the published types, so that a handle is told by its surface, and `pool.db` passes for one. */
  readonly [session]: Session;

  constructor(of: Session) {
    this[session] = of;
  }

  /** The database's file, as SQLite was given it. */
  get name(): string {
    return this[session].connection.raw.name;
  }

  get readonly(): boolean {
    return this[session].connection.raw.readonly;
  }

  get memory(): boolean {
    return this[session].connection.raw.memory;
  }

  /** Whether the lease is still held. */
  get open(): boolean {
    return !this[session].lease.ended;
  }

  get inTransaction(): boolean {
    return this.open && this[session].connection.raw.inTransaction;
  }

  prepare<BindParameters extends unknown[] | {} = unknown[], Result = unknown>(
    source: string,
  ): Database.Statement<BindParameters, Result> {
    const { statements } = this[session].guard();
    let shared = statements.find(source);
    if (shared === undefined) {
      const traits = traitsOf(source);
      // First, because a PRAGMA may take effect while it is prepared, even if preparing fails.
      this[session].noteSql(traits);
      shared = statements.add(source, traits);
    } else this[session].noteSql(shared.traits);
    const statement = new LeasedStatement(this, this[session], shared, statements.defaultMode);
    return statement as unknown as Database.Statement<BindParameters, Result>;
  }

  /**
   * A function that runs `fn` in a transaction. An async function gets a managed one: it waits for its turn to write
   * without blocking the event loop, may `await` inside, and is a savepoint inside another; `default` begins it
   * `IMMEDIATE`. Any other function runs synchronously, as in better-sqlite3.
   */
  transaction<F extends Callback>(fn: F): Database.Transaction<F> {
    return withVariants<F>(this, transactionRunner(this[session], fn));
  }

  exec(source: string): this {
    runScript(this[session], source, '', ({ raw }) => raw.exec(source));
    return this;
  }

  pragma(source: string, options?: Database.PragmaOptions): unknown {
    return runScript(this[session], source, 'PRAGMA', ({ raw }) => raw.pragma(source, options));
  }

  /** The program SQLite would run for a statement. */
  explain(source: string): unknown[] {
    const { raw } = this[session].use();
    this[session].noteSql(traitsOf(source, 'EXPLAIN'));
    return raw.explain(source);
  }

  function(name: string, ...rest: [fn: Callback] | [options: Database.RegistrationOptions, fn: Callback]): this {
    change(this, 'user function', (raw) => (raw.function as LooseMethod).call(raw, name, ...rest));
    return this;
  }

  aggregate<T>(name: string, options: AggregateOptions<T>): this {
    change(this, 'user aggregate', (raw) => raw.aggregate(name, options));
    return this;
  }

  table(name: string, options: Parameters<Database.Database['table']>[1]): this {
    change(this, 'virtual table', (raw) => raw.table(name, options));
    return this;
  }

  loadExtension(...params: [path: string, entryPoint?: string]): this {
    // First, because one that fails may have registered something by then.
    this[session].use();
    this[session].noteSetting('extension');
    change(this, 'extension', (raw) => (raw.loadExtension as LooseMethod).apply(raw, params));
    return this;
  }

  defaultSafeIntegers(...toggleState: [on?: boolean]): this {
    const on = toggleState.length === 0 || toggleState[0] === true;
    change(this, 'defaultSafeIntegers', (raw, { statements }) => {
      raw.defaultSafeIntegers(...toggleState);
      statements.defaultMode = on ? safeIntegerRows : flatRows;
    });
    return this;
  }

  unsafeMode(...unsafe: [on?: boolean]): this {
    change(this, 'unsafeMode', (raw) => raw.unsafeMode(...unsafe));
    return this;
  }

  /** Copies the database to a file. The lease must be held until it is done: its end makes the backup fail. */
  async backup(filename: string, options?: Database.BackupOptions): Promise<Database.BackupMetadata> {
    const of = this[session];
    return of.noteBackup(of.use().raw.backup(filename, options));
  }

  serialize(options?: Database.SerializeOptions): Buffer {
    return this[session].use().raw.serialize(options);
  }

  /** Gives the connection back to the pool; the file stays open. A second call is a no-op, and counted. */
  close(): this {
    void this[session].lease.release();
    return this;
  }

  /** Has the connection closed instead of pooled when it comes back, because nobody should use it again. */
  discard(reason = 'discarded by its holder'): this {
    const { lease } = this[session];
    if (lease.ended) throw lease.endedError();
    lease.discard(reason);
    return this;
  }

  [Symbol.dispose](): void {
    if (this.open) this.close();
  }

  /** Resolves when the connection is back, after the `onRelease` hook. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.open) await this[session].lease.release();
  }

  [inspect.custom](_depth: number, options: InspectOptions): string {
    const { name, open, inTransaction, readonly, memory } = this;
    return inspection('LeasedDatabase', { name, open, inTransaction, readonly, memory }, options);
  }
}

// So that `db instanceof Database` holds in libraries that ask. Every method of better-sqlite3's class is
// overridden above: theirs would look for a native object that a lease does not have.
Object.setPrototypeOf(LeasedDatabase.prototype, Database.prototype);
// And `db.constructor.SqliteError` is found.
Object.setPrototypeOf(LeasedDatabase, Database);

/** The session a handle stands for. */
export function sessionOf(handle: LeasedDatabase): Session {
  return handle[session];
}

/** Does something to the connection that cannot be undone, and notes it if it worked. */
function change(
  handle: LeasedDatabase,
  trace: string,
  act: (raw: RawDatabase, connection: SqliteConnection) => unknown,
): void {
  const of = handle[session];
  const connection = of.use();
  act(connection.raw, connection);
  // A kept statement would go on with the function or module that it was prepared with.
  connection.statements.clear();
  of.noteSetting(trace);
}

/** Runs SQL that is not kept as a statement, after a verb that better-sqlite3 puts before it. */
function runScript<Result>(
  of: Session,
  source: unknown,
  verb: string,
  run: (connection: SqliteConnection) => Result,
): Result {
  const connection = of.use();
  const traits = traitsOf(source, verb);
  if (typeof source === 'string') of.lease.lastSql = verb === '' ? source : `${verb} ${source}`;
  const writes = traits.writes !== false;
  of.noteSql(traits);
  if (writes) of.beforeWrite();
  try {
    return run(connection);
  } catch (error) {
    of.afterError(error);
    throw error;
  } finally {
    if (writes) of.afterWrite();
    if (traits.transaction) of.afterControl();
  }
}

/** What a text can leave behind, after a verb that better-sqlite3 puts before it. It refuses what is no string. */
function traitsOf(source: unknown, verb = ''): SqlTraits {
  return classify(typeof source === 'string' ? `${verb} ${source}` : '');
}
