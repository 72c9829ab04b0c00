import Database from 'better-sqlite3';
import type { Failure } from './examination.ts';

type Value = string | number | bigint | null | Buffer;

/** The connection that examines. Nothing it runs writes. */
export class Reading {
  readonly #db: Database.Database;

  constructor(path: string, { readonly, timeout }: { readonly: boolean; timeout: number }) {
    this.#db = new Database(path, { readonly, fileMustExist: true, timeout });
    // What a damaged schema says runs in no function that could do harm, and is not believed blindly.
    this.#db.pragma('trusted_schema = OFF');
    this.#db.pragma('cell_size_check = ON');
    // What it sorts is written to no file.
    this.#db.pragma('temp_store = MEMORY');
  }

  rows(sql: string, ...params: Value[]): Value[][] {
    return this.#watched(
      () =>
        this.#db
          .prepare(sql)
          .raw()
          .all(...params) as Value[][],
    );
  }

  /** @returns how many there were */
  each(sql: string, params: readonly Value[], visit: (row: Value[]) => void): number {
    return this.#watched(() => {
      let count = 0;
      for (const row of this.#db
        .prepare(sql)
        .raw()
        .iterate(...params)) {
        visit(row as Value[]);
        count++;
      }
      return count;
    });
  }

  value(sql: string, ...params: Value[]): Value | undefined {
    return this.rows(sql, ...params)[0]?.[0];
  }

  number(sql: string, ...params: Value[]): number {
    return Number(this.value(sql, ...params) ?? 0);
  }

  /** One snapshot for all that `work` reads. */
  snapshot<Result>(work: () => Result): Result {
    this.#watched(() => this.#db.exec('BEGIN'));
    try {
      return work();
    } finally {
      if (this.#db.inTransaction) this.#db.exec('ROLLBACK');
    }
  }

  /** What CHECK constraints say is not tried while `work` runs. */
  withoutChecks<Result>(work: () => Result): Result {
    this.#db.pragma('ignore_check_constraints = ON');
    try {
      return work();
    } finally {
      this.#db.pragma('ignore_check_constraints = OFF');
    }
  }

  close(): void {
    this.#db.close();
  }

  // Whoever waited once for a lock in vain has done his waiting: else it would be the longest wait times the number of tables.
  #watched<Result>(work: () => Result): Result {
    try {
      return work();
    } catch (error) {
      if (codeOf(error).startsWith('SQLITE_BUSY')) this.#db.pragma('busy_timeout = 0');
      throw error;
    }
  }
}

export function codeOf(error: unknown): string {
  const { code } = error as { readonly code?: unknown };
  return typeof code === 'string' ? code : 'ERROR';
}

export function failureOf(during: Failure['during'], error: unknown): Failure {
  return { during, code: codeOf(error), message: messageOf(error) };
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Errors after which nothing else can be read either. */
export function isDamage(error: unknown): boolean {
  const code = codeOf(error);
  return code.startsWith('SQLITE_CORRUPT') || code.startsWith('SQLITE_NOTADB') || code.startsWith('SQLITE_IOERR');
}
