import type Database from 'better-sqlite3';
import type { RawStatement } from './better-sqlite3.ts';
import type { Session } from './session.ts';

/**
 * The rows of one `iterate()`. The lease keeps track of it, because an iterator left open blocks its whole
 * connection, and neither SQLite nor garbage collection ever ends it.
 */
export class LeasedIterator<Row> implements IterableIterator<Row> {
  readonly #rows: IterableIterator<Row>;
  readonly #prepared: RawStatement;
  readonly #session: Session;
  readonly #writes: boolean;
  readonly #onDone: () => void;
  readonly #close: () => void;
  /** The statement it iterates. */
  readonly statement: Database.Statement;

  constructor(
    rows: IterableIterator<Row>,
    prepared: RawStatement,
    statement: Database.Statement,
    session: Session,
    writes: boolean,
    onDone: () => void,
  ) {
    this.#rows = rows;
    this.#prepared = prepared;
    this.statement = statement;
    this.#session = session;
    this.#writes = writes;
    this.#onDone = onDone;
    this.#close = () => void rows.return?.();
    session.noteIterator(this.#close, writes);
  }

  next(): IteratorResult<Row> {
    try {
      this.#session.use();
      // The first step does the writing, and its lock stays until the last.
      if (this.#writes) this.#session.beforeWrite();
    } catch (error) {
      // A `for` loop does not close an iterator whose `next` throws, so an aborted one closes itself.
      if (!this.#session.lease.ended) this.#end();
      throw error;
    }
    try {
      return this.#rows.next();
    } catch (error) {
      this.#look();
      this.#session.afterError(error);
      throw error;
    } finally {
      this.#look();
      if (this.#writes) this.#session.afterWrite();
    }
  }

  return(): IteratorResult<Row> {
    // Also after an abort: to stop is what the signal asks for.
    if (this.#session.lease.ended) throw this.#session.lease.endedError();
    return this.#end();
  }

  [Symbol.iterator](): this {
    return this;
  }

  #end(): IteratorResult<Row> {
    try {
      return this.#rows.return?.() ?? { value: undefined, done: true };
    } finally {
      this.#look();
    }
  }

  /** Lets go of the statement once the iteration is over: at the last row, by `return`, by a failed step. */
  #look(): void {
    if (!this.#prepared.busy && this.#session.forgetIterator(this.#close, this.#writes)) this.#onDone();
  }
}
