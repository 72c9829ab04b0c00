import { AsyncLocalStorage } from 'node:async_hooks';
import type Database from 'better-sqlite3';

/**
 * Rows of streams that are not at their end, by the handle they are read on. While an iterator is open, better-sqlite3
 * refuses whatever writes, begins or ends a transaction on its connection; so what is about to do that has the rest of
 * the rows read first.
 */
const unread = new WeakMap<object, Set<Rows>>();
/** How many there are, so that queries need not look while there are none. Those that were dropped may be counted. */
let count = 0;

/** How many wait on a handle for what unread rows would be in the way of. Meanwhile all rows are read at once. */
const awaited = new WeakMap<object, number>();

/** Reads into memory what streams on this handle have yet to give, so that nothing is in the way of what comes next. */
export function settleRows(db: object | undefined): void {
  const all = count === 0 || db === undefined ? undefined : unread.get(db);
  for (const rows of all ?? []) rows.settle();
}

/** Has streams that begin on this handle read at once, until what has to wait for its turn is `done`. */
export function readAtOnceUntil(done: Promise<unknown>, db: object | undefined): void {
  if (db === undefined) return;
  awaited.set(db, (awaited.get(db) ?? 0) + 1);
  const letGo = (): void => {
    const others = (awaited.get(db) ?? 0) - 1;
    if (others > 0) awaited.set(db, others);
    else awaited.delete(db);
  };
  done.then(letGo, letGo);
}

/** The rows of one query, read as they are asked for, or kept in memory once something was in the way. */
export class Rows {
  readonly #db: Database.Database;
  /** The context they were first asked for in: that of the transaction they are of, if they are of one. */
  readonly #inContext = AsyncLocalStorage.snapshot();
  #iterator: Iterator<unknown> | undefined;
  #kept: unknown[] = [];
  #failure: { readonly error: unknown } | undefined;

  constructor(statement: Database.Statement, parameters: readonly unknown[]) {
    this.#db = statement.database;
    this.#iterator = statement.iterate(parameters);
    const others = unread.get(this.#db);
    if (others === undefined) unread.set(this.#db, new Set([this]));
    else others.add(this);
    count++;
    if (awaited.has(this.#db)) this.settle();
  }

  /** The next rows, as many as there are up to `limit`. */
  take(limit: number): unknown[] {
    if (this.#failure !== undefined) throw this.#failure.error;
    if (this.#iterator === undefined) return this.#kept.splice(0, limit);
    return this.#read(limit);
  }

  /** Reads the rest. An error is kept for whoever takes it. */
  settle(): void {
    try {
      // Whoever needs it may be in another branch, which would be refused.
      this.#kept = this.#inContext(() => this.#read(Infinity));
    } catch (error) {
      this.#failure = { error };
    }
  }

  /** Lets go of the connection. */
  close(): void {
    const iterator = this.#iterator;
    this.#forget();
    // The end of the lease has returned it.
    if (this.#db.open) iterator?.return?.();
  }

  #read(limit: number): unknown[] {
    const rows: unknown[] = [];
    try {
      while (rows.length < limit) {
        const step = this.#iterator?.next();
        if (step === undefined || step.done === true) {
          // Or a rollback has ended them, which looks the same from outside of it. From inside it is refused.
          this.#inContext(() => this.#iterator?.next());
          this.#forget();
          break;
        }
        rows.push(step.value);
      }
    } catch (error) {
      this.close();
      throw error;
    }
    return rows;
  }

  #forget(): void {
    if (this.#iterator === undefined) return;
    this.#iterator = undefined;
    unread.get(this.#db)?.delete(this);
    count--;
  }
}
