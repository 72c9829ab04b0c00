import { type InspectOptions, inspect, types } from 'node:util';
import Database from 'better-sqlite3';
import { type LeasedDatabase, sessionOf } from './handle.ts';
import { inspection } from './inspection.ts';
import type { RowToggle } from './row-mode.ts';
import { classify } from './sql.ts';
import { type Callback, withVariants } from './transaction-function.ts';

type AggregateOptions<T> = Parameters<typeof Database.prototype.aggregate<T>>[1];

/** Where an ambient handle finds its connection. */
export interface AmbientSource {
  readonly pool: string;
  readonly file: string;
  readonly readonly: boolean;
  readonly memory: boolean;
  /** The handle bound to the current scope. Throws where there is none. */
  handle(): LeasedDatabase;
  /** The same, `undefined` where there is none. */
  current(): LeasedDatabase | undefined;
}

const source = Symbol('source');

/**
 * `pool.db`: the surface of a leased handle, bound to whatever connection the current scope holds. A module may
 * prepare its statements on it once and run them in any request. Where no connection is bound, every use throws
 * `ERR_LEASEHOLD_NO_CONNECTION`, or `ERR_LEASEHOLD_SCOPE_ENDED` where the scope has ended.
 */
export class AmbientDatabase implements Database.Database, Disposable, AsyncDisposable {
  /** @internal As in the leased handle. */
  readonly [source]: AmbientSource;

  constructor(of: AmbientSource) {
    this[source] = of;
  }

  get name(): string {
    return this[source].file;
  }

  get readonly(): boolean {
    return this[source].readonly;
  }

  get memory(): boolean {
    return this[source].memory;
  }

  /** Whether a connection is bound here. */
  get open(): boolean {
    return this[source].current() !== undefined;
  }

  get inTransaction(): boolean {
    return this[source].handle().inTransaction;
  }

  /**
   * Each use prepares it on the connection it finds, where the statement is then kept. Text that is no statement is
   * refused at once where a connection is bound; where none is, and of a PRAGMA, with the first use.
   */
  prepare<BindParameters extends unknown[] | {} = unknown[], Result = unknown>(
    sql: string,
  ): Database.Statement<BindParameters, Result> {
    if (typeof sql !== 'string') throw new TypeError('Expected first argument to be a string');
    const of = this[source];
    const statement = new AmbientStatement(this, of, sql, lookUp(of, sql)?.reader);
    return statement as unknown as Database.Statement<BindParameters, Result>;
  }

  transaction<F extends Callback>(fn: F): Database.Transaction<F> {
    if (typeof fn !== 'function') throw new TypeError('Expected first argument to be a function');
    const of = this[source];
    return withVariants<F>(this, (variant, self, params) =>
      (of.handle().transaction(fn)[variant] as Callback).apply(self, params),
    );
  }

  exec(sql: string): this {
    this[source].handle().exec(sql);
    return this;
  }

  pragma(sql: string, options?: Database.PragmaOptions): unknown {
    return this[source].handle().pragma(sql, options);
  }

  explain(sql: string): unknown[] {
    return this[source].handle().explain(sql);
  }

  function(name: string, ...rest: [fn: Callback] | [options: Database.RegistrationOptions, fn: Callback]): this {
    this[source].handle().function(name, ...rest);
    return this;
  }

  aggregate<T>(name: string, options: AggregateOptions<T>): this {
    this[source].handle().aggregate(name, options);
    return this;
  }

  table(name: string, options: Parameters<Database.Database['table']>[1]): this {
    this[source].handle().table(name, options);
    return this;
  }

  loadExtension(...params: [path: string, entryPoint?: string]): this {
    this[source].handle().loadExtension(...params);
    return this;
  }

  defaultSafeIntegers(...toggleState: [on?: boolean]): this {
    this[source].handle().defaultSafeIntegers(...toggleState);
    return this;
  }

  unsafeMode(...unsafe: [on?: boolean]): this {
    this[source].handle().unsafeMode(...unsafe);
    return this;
  }

  async backup(filename: string, options?: Database.BackupOptions): Promise<Database.BackupMetadata> {
    return this[source].handle().backup(filename, options);
  }

  serialize(options?: Database.SerializeOptions): Buffer {
    return this[source].handle().serialize(options);
  }

  /** Gives the scope's connection back before the scope ends. */
  close(): this {
    this[source].handle().close();
    return this;
  }

  /** Has the scope's connection closed instead of pooled when it comes back. */
  discard(reason?: string): this {
    this[source].handle().discard(reason);
    return this;
  }

  /** Gives back the scope's connection, if one is bound. */
  [Symbol.dispose](): void {
    this[source].current()?.[Symbol.dispose]();
  }

  /** The same; resolves when it is back. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this[source].current()?.[Symbol.asyncDispose]();
  }

  [inspect.custom](_depth: number, options: InspectOptions): string {
    const { name, open, readonly, memory } = this;
    return inspection('AmbientDatabase', { pool: this[source].pool, name, open, readonly, memory }, options);
  }
}

// As in the leased handle: `instanceof Database` holds, and every method is overridden.
Object.setPrototypeOf(AmbientDatabase.prototype, Database.prototype);
Object.setPrototypeOf(AmbientDatabase, Database);

/** What SQLite makes of a text on the connection that is bound here. Where none is, that shows with the first use. */
function lookUp(of: AmbientSource, sql: string): { readonly reader: boolean } | undefined {
  const here = of.current();
  if (here === undefined || !here.open) return undefined;
  const { statements } = sessionOf(here).connection;
  // What is not kept would be prepared twice, and a PRAGMA may take effect each time.
  return statements.find(sql) ?? (statements.keeps(classify(sql)) ? here.prepare(sql) : undefined);
}

/** A statement of `pool.db`: its SQL, row mode and bound parameters, to be prepared wherever it is used. */
class AmbientStatement<BindParameters extends unknown[] = unknown[], Result = unknown> {
  readonly #of: AmbientSource;
  readonly #database: Database.Database;
  readonly #sql: string;
  /** The shape of rows that was asked for, `undefined` for that of the connection. */
  #shape: RowToggle | undefined;
  #safeIntegers: boolean | undefined;
  #bound: BindParameters | undefined;
  /** Whether it returns rows, `undefined` until a connection could tell. */
  #reader: boolean | undefined;

  constructor(database: Database.Database, of: AmbientSource, sql: string, reader: boolean | undefined) {
    this.#database = database;
    this.#of = of;
    this.#sql = sql;
    this.#reader = reader;
  }

  get database(): Database.Database {
    return this.#database;
  }

  get source(): string {
    return this.#sql;
  }

  get reader(): boolean {
    return this.#here().reader;
  }

  get readonly(): boolean {
    return this.#here().readonly;
  }

  /** Every use has a statement of its own, so it is never busy. */
  get busy(): boolean {
    return false;
  }

  run(...params: BindParameters): Database.RunResult {
    return this.#here().run(...this.#bindable(params));
  }

  get(...params: BindParameters): Result | undefined {
    return this.#here().get(...this.#bindable(params));
  }

  all(...params: BindParameters): Result[] {
    return this.#here().all(...this.#bindable(params));
  }

  iterate(...params: BindParameters): IterableIterator<Result> {
    return this.#here().iterate(...this.#bindable(params));
  }

  bind(...params: BindParameters): this {
    if (this.#bound !== undefined) {
      throw new TypeError('The bind() method can only be invoked once per statement object');
    }
    // Values that do not fit are refused at once where they can be tried.
    if (this.#of.current()?.open) this.#here().bind(...params);
    this.#bound = params.map(copied) as BindParameters;
    return this;
  }

  pluck(...on: [on?: boolean]): this {
    return this.#toggle('pluck', on);
  }

  expand(...on: [on?: boolean]): this {
    return this.#toggle('expand', on);
  }

  raw(...on: [on?: boolean]): this {
    return this.#toggle('raw', on);
  }

  safeIntegers(...on: [on?: boolean]): this {
    return this.#toggle('safeIntegers', on);
  }

  columns(): Database.ColumnDefinition[] {
    return this.#here().columns();
  }

  toString(): string {
    if (this.#bound === undefined) return this.#sql;
    // oxlint-disable-next-line typescript/no-base-to-string -- native, and missing in the published types
    return this.#here()
      .bind(...this.#bound)
      .toString();
  }

  [inspect.custom](_depth: number, options: InspectOptions): string {
    return inspection('Statement', { source: this.source }, options);
  }

  #toggle(toggle: RowToggle, on: [on?: boolean]): this {
    if (toggle !== 'safeIntegers') {
      this.#reader ??= lookUp(this.#of, this.#sql)?.reader;
      if (this.#reader === false) {
        throw new TypeError(`The ${toggle}() method is only for statements that return data`);
      }
    }
    if (on.length > 0 && typeof on[0] !== 'boolean') throw new TypeError('Expected first argument to be a boolean');
    const isOn = on.length === 0 || on[0] === true;
    if (toggle === 'safeIntegers') this.#safeIntegers = isOn;
    else if (isOn) this.#shape = toggle;
    else if (this.#shape === toggle) this.#shape = undefined;
    return this;
  }

  #bindable(params: BindParameters): BindParameters {
    if (this.#bound === undefined) return params;
    if (params.length > 0) throw new TypeError('This statement already has bound parameters');
    return this.#bound;
  }

  /** The statement on the connection that is bound here. */
  #here(): Database.Statement<BindParameters, Result> {
    const statement = this.#of.handle().prepare(this.#sql);
    if (this.#shape !== undefined) statement[this.#shape]();
    if (this.#safeIntegers !== undefined) statement.safeIntegers(this.#safeIntegers);
    return statement as unknown as Database.Statement<BindParameters, Result>;
  }
}

/** What is bound is bound as it was at that time, whatever becomes of the object it came from. */
function copied(value: unknown): unknown {
  if (types.isTypedArray(value)) return Buffer.from(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
  if (Array.isArray(value)) return value.map(copied);
  if (!isPlain(value)) return value;
  const copy: Record<string, unknown> = Object.create(null);
  for (const name of Object.getOwnPropertyNames(value)) {
    try {
      copy[name] = copied((value as Record<string, unknown>)[name]);
    } catch (error) {
      // It may be none of the parameters, and better-sqlite3 reads no others.
      const get = (): never => {
        throw error;
      };
      Object.defineProperty(copy, name, { get });
    }
  }
  return copy;
}

/** Whether better-sqlite3 takes it for named parameters: by this rule also those of another realm. */
function isPlain(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
