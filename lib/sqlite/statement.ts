import { type InspectOptions, inspect } from 'node:util';
import type Database from 'better-sqlite3';
import type { RawStatement } from './better-sqlite3.ts';
import { inspection } from './inspection.ts';
import { LeasedIterator } from './iterator.ts';
import { type RowToggle, toggled } from './row-mode.ts';
import type { Session } from './session.ts';
import type { SharedStatement } from './statement-cache.ts';

/**
 * A statement of one lease, with the documented surface of better-sqlite3's `Statement`. It shares a prepared
 * statement with others of the same SQL, but neither its row mode nor its bound parameters nor an open
 * iterator show through to them.
 */
export class LeasedStatement<BindParameters extends unknown[] = unknown[], Result = unknown> {
  readonly #database: Database.Database;
  readonly #session: Session;
  readonly #shared: SharedStatement;
  #mode: number;
  /** A prepared statement of its own: bound, or being iterated. */
  #own: RawStatement | undefined;

  constructor(database: Database.Database, session: Session, shared: SharedStatement, mode: number) {
    this.#database = database;
    this.#session = session;
    this.#shared = shared;
    this.#mode = mode;
  }

  /** The handle it was prepared on. */
  get database(): Database.Database {
    return this.#database;
  }

  get source(): string {
    return this.#shared.sql;
  }

  get reader(): boolean {
    return this.#shared.reader;
  }

  get readonly(): boolean {
    return this.#shared.readonly;
  }

  get busy(): boolean {
    return this.#own?.busy ?? false;
  }

  run(...params: BindParameters): Database.RunResult {
    const statement = this.#ready();
    try {
      return statement.run(...params);
    } catch (error) {
      this.#session.afterError(error);
      throw error;
    } finally {
      this.#done();
    }
  }

  get(...params: BindParameters): Result | undefined {
    const statement = this.#ready();
    try {
      return statement.get(...params) as Result | undefined;
    } catch (error) {
      this.#session.afterError(error);
      throw error;
    } finally {
      this.#done();
    }
  }

  all(...params: BindParameters): Result[] {
    const statement = this.#ready();
    try {
      return statement.all(...params) as Result[];
    } catch (error) {
      this.#session.afterError(error);
      throw error;
    } finally {
      this.#done();
    }
  }

  iterate(...params: BindParameters): IterableIterator<Result> {
    const statement = this.#usable();
    if (this.#shared.writes) this.#session.beforeIterating();
    const rows = statement.iterate(...params) as IterableIterator<Result>;
    // It is busy until the iterator is done: meanwhile the next of this SQL gets another, and this one its busy error.
    const lent = this.#own === undefined;
    if (lent) {
      this.#shared.detach();
      this.#own = statement;
    }
    return new LeasedIterator(rows, statement, this, this.#session, this.#shared.writes, () => {
      if (!lent) return;
      this.#own = undefined;
      this.#shared.attach(statement, this.#mode);
    });
  }

  bind(...params: BindParameters): this {
    this.#session.use();
    const statement = this.#current();
    statement.bind(...params);
    // What is bound stays bound, so others get another one. To prepare that here would throw where this one fits no more.
    if (statement !== this.#own) this.#shared.detach();
    this.#own = statement;
    return this;
  }

  pluck(...toggleState: [on?: boolean]): this {
    return this.#toggle('pluck', toggleState);
  }

  expand(...toggleState: [on?: boolean]): this {
    return this.#toggle('expand', toggleState);
  }

  raw(...toggleState: [on?: boolean]): this {
    return this.#toggle('raw', toggleState);
  }

  safeIntegers(...toggleState: [on?: boolean]): this {
    return this.#toggle('safeIntegers', toggleState);
  }

  columns(): Database.ColumnDefinition[] {
    this.#session.use();
    // A kept statement that has not run since the schema changed would tell of the old one.
    return (this.#own ?? this.#shared.prepareOwn(this.#mode)).columns();
  }

  /** The SQL, with the values in their places where parameters are bound. */
  toString(): string {
    this.#session.use();
    // What is shared is not bound.
    // oxlint-disable-next-line typescript/no-base-to-string -- native, and missing in the published types
    return this.#own?.toString() ?? this.source;
  }

  [inspect.custom](_depth: number, options: InspectOptions): string {
    const { source, reader, readonly, busy } = this;
    return inspection('Statement', { source, reader, readonly, busy }, options);
  }

  /** The prepared statement to run now, in the row mode of this one. */
  #ready(): RawStatement {
    const statement = this.#usable();
    // Last, because what it notes is to be taken back by `#done`.
    if (this.#shared.writes) this.#session.beforeWrite();
    return statement;
  }

  /** The same, to be run later. */
  #usable(): RawStatement {
    this.#session.use();
    const { sql, traits } = this.#shared;
    this.#session.lease.lastSql = sql;
    if (!traits.plain) this.#session.noteSql(traits);
    return this.#current();
  }

  /** It has run, or failed. */
  #done(): void {
    const { traits, writes } = this.#shared;
    if (writes) this.#session.afterWrite();
    else if (traits.transaction) this.#session.afterControl();
  }

  #current(): RawStatement {
    return this.#own ?? this.#shared.inMode(this.#mode);
  }

  #toggle(toggle: RowToggle, state: [on?: boolean]): this {
    this.#session.use();
    const statement = this.#current();
    // better-sqlite3 checks the argument, and that the statement returns rows and is not busy.
    statement[toggle](...state);
    this.#mode = toggled(this.#mode, toggle, state.length === 0 || state[0] === true);
    if (statement !== this.#own) this.#shared.switched(this.#mode);
    return this;
  }
}
