import { type InspectOptions, inspect } from 'node:util';
import Database from 'better-sqlite3';
import type { RawDatabase } from './better-sqlite3.ts';
import type { SqliteConnection } from './connection.ts';
import { inspection } from './inspection.ts';
import { flatRows, safeIntegerRows } from './row-mode.ts';
import type { Session } from './session.ts';
import { classify, plainTraits, type SqlTraits } from './sql.ts';
import { LeasedStatement } from './statement.ts';

// biome-ignore lint/suspicious/noExplicitAny: as better-sqlite3 types them, so that any function fits
type Callback = (...params: any[]) => any;
type LooseMethod = (...params: unknown[]) => unknown;
type AggregateOptions<T> = Parameters<typeof Database.prototype.aggregate<T>>[1];

/** The forms of a transaction function: how each begins. */
const variants = ['default', 'deferred', 'immediate', 'exclusive'] as const;

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

  transaction<F extends Callback>(fn: F): Database.Transaction<F> {
    const of = this[session];
    const native = of.use().raw.transaction(fn);
    const properties: PropertyDescriptorMap = { database: { value: this, enumerable: true } };
    for (const variant of variants) {
      const run = native[variant] as Callback;
      properties[variant] = {
        value: function leasedTransaction(this: unknown, ...params: unknown[]): unknown {
          of.use();
          of.running++;
          try {
            return run.apply(this, params);
          } catch (error) {
            // Where the ROLLBACK failed too, it is still open.
            of.noteTransaction();
            throw error;
          } finally {
            of.running--;
          }
        },
      };
    }
    for (const variant of variants) Object.defineProperties(properties[variant]?.value, properties);
    return properties['default']?.value as Database.Transaction<F>;
  }

  exec(source: string): this {
    const { raw } = this[session].use();
    this[session].noteSql(traitsOf(source));
    raw.exec(source);
    return this;
  }

  pragma(source: string, options?: Database.PragmaOptions): unknown {
    const { raw } = this[session].use();
    this[session].noteSql(traitsOf(source, 'PRAGMA'));
    return raw.pragma(source, options);
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

/** Does something to the connection that cannot be undone, and notes it if it worked. */
function change(
  handle: LeasedDatabase,
  trace: string,
  act: (raw: RawDatabase, connection: SqliteConnection) => unknown,
): void {
  const of = handle[session];
  const connection = of.use();
  act(connection.raw, connection);
  of.noteSetting(trace);
}

/** What a text can leave behind, after a verb that better-sqlite3 puts before it. It refuses what is no string. */
function traitsOf(source: unknown, verb = ''): SqlTraits {
  return typeof source === 'string' ? classify(`${verb} ${source}`) : plainTraits;
}
