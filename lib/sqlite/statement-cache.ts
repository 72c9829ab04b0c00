import type { RawDatabase, RawStatement } from './better-sqlite3.ts';
import { flatRows, switchRows } from './row-mode.ts';
import type { SqlTraits } from './sql.ts';

/**
 * A prepared statement that serves one `prepare()` of its SQL after the other.
 *
 * Invariant: the statement kept here is in row mode `#mode`, is not bound, and is not being iterated. Whoever
 * iterates takes it out by `detach`, and gives it back by `attach`.
 */
export class SharedStatement {
  readonly #cache: StatementCache;
  readonly sql: string;
  readonly traits: SqlTraits;
  /** Whether it returns rows. */
  readonly reader: boolean;
  /** Whether SQLite takes it for one that changes nothing. */
  readonly readonly: boolean;
  /** Whether it writes to the file, or takes a lock as if. */
  readonly writes: boolean;
  #statement: RawStatement | undefined;
  #mode: number;
  /** When it was last asked for, counted in uses of its cache. */
  lastUse = 0;

  constructor(cache: StatementCache, sql: string, traits: SqlTraits) {
    this.#cache = cache;
    this.sql = sql;
    this.traits = traits;
    this.#mode = cache.defaultMode;
    this.#statement = cache.database.prepare(sql);
    this.reader = this.#statement.reader;
    this.readonly = this.#statement.readonly;
    // Of pragmas SQLite says "not read-only" even where one only asks.
    this.writes = traits.writes ?? !this.readonly;
  }

  /** The statement in a row mode, good until the next call. */
  inMode(mode: number): RawStatement {
    let statement = this.#statement;
    if (statement === undefined) {
      statement = this.#cache.database.prepare(this.sql);
      this.#statement = statement;
      this.#mode = this.#cache.defaultMode;
    }
    if (mode !== this.#mode) {
      switchRows(statement, this.#mode, mode);
      this.#mode = mode;
    }
    return statement;
  }

  /** Another statement of the same SQL, which belongs to the caller. */
  prepareOwn(mode: number): RawStatement {
    const statement = this.#cache.database.prepare(this.sql);
    switchRows(statement, this.#cache.defaultMode, mode);
    return statement;
  }

  /** A method of the statement itself has changed its row mode. */
  switched(mode: number): void {
    this.#mode = mode;
  }

  /** Leaves the statement to somebody who keeps it busy. */
  detach(): void {
    this.#statement = undefined;
  }

  /** Takes a detached statement back, unless another has been prepared since. */
  attach(statement: RawStatement, mode: number): void {
    if (this.#statement !== undefined) return;
    this.#statement = statement;
    this.#mode = mode;
  }
}

/** The prepared statements of one connection; the least recently used goes first. */
export class StatementCache {
  readonly database: RawDatabase;
  readonly #capacity: number;
  readonly #statements = new Map<string, SharedStatement>();
  #uses = 0;
  /** The row mode of a newly prepared statement of this connection. */
  defaultMode = flatRows;

  constructor(database: RawDatabase, capacity: number) {
    this.database = database;
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#statements.size;
  }

  find(sql: string): SharedStatement | undefined {
    const found = this.#statements.get(sql);
    // A number is cheaper than keeping the map in order of use: that takes 1.5 µs at 300 entries.
    if (found !== undefined) found.lastUse = ++this.#uses;
    return found;
  }

  /** Whether a statement of these traits is kept once it is prepared. */
  keeps(traits: SqlTraits): boolean {
    return traits.cacheable && this.#capacity > 0;
  }

  /** Prepares a statement, and keeps it if it may serve again. */
  add(sql: string, traits: SqlTraits): SharedStatement {
    const statement = new SharedStatement(this, sql, traits);
    if (!this.keeps(traits)) return statement;
    if (this.#statements.size >= this.#capacity) this.#evict();
    statement.lastUse = ++this.#uses;
    this.#statements.set(sql, statement);
    return statement;
  }

  /** Forgets all that is kept: the same text would be prepared otherwise from now on. */
  clear(): void {
    this.#statements.clear();
  }

  // Linear, but only where a statement is prepared, which costs ten times as much.
  #evict(): void {
    let oldest: SharedStatement | undefined;
    for (const statement of this.#statements.values()) {
      if (oldest === undefined || statement.lastUse < oldest.lastUse) oldest = statement;
    }
    if (oldest !== undefined) this.#statements.delete(oldest.sql);
  }
}
