import Database from 'better-sqlite3';
import type { OpenTransaction } from '../../open-transaction.ts';
import type { LeasedDatabase } from '../../sqlite/handle.ts';
import type { SqlitePool } from '../../sqlite/pool.ts';
import { settleRows } from './rows.ts';

export type KyselyMode = 'immediate' | 'read';

type Open = OpenTransaction<LeasedDatabase>;

/** A transaction of Kysely: begun, and ended, by calls of its driver, and so are the savepoints in it. */
export class KyselyTransaction {
  readonly #pool: SqlitePool;
  readonly #mode: KyselyMode;
  readonly #outermost: Open;
  /** Those that are open, the innermost last. A name may occur more than once; then the newest counts. */
  readonly #savepoints: { readonly name: string; readonly part: Open }[] = [];

  /** @param outermost that has begun */
  constructor(pool: SqlitePool, mode: KyselyMode, outermost: Open) {
    this.#pool = pool;
    this.#mode = mode;
    this.#outermost = outermost;
  }

  /** Runs `fn` in the innermost savepoint. After the end of the transaction, statements in `fn` are refused. */
  run<Result>(fn: (db: LeasedDatabase) => Result): Result {
    return (this.#savepoints.at(-1)?.part ?? this.#outermost).run(fn);
  }

  async commit(): Promise<void> {
    this.run(settleRows);
    // COMMIT in SQL releases them as well.
    await this.#releaseFrom(0);
    await this.#outermost.commit();
  }

  /** Never rejects, also where a COMMIT that failed has rolled back already. */
  async rollback(): Promise<void> {
    // ROLLBACK undoes them as well, but their scope would keep them until its end.
    await this.#rollBackFrom(0);
    await this.#outermost.rollback();
  }

  async savepoint(name: string): Promise<void> {
    const part = this.run(() => this.#pool.openTransaction({ mode: this.#mode }));
    await part.begun;
    this.#savepoints.push({ name, part });
  }

  /** As in SQL, the savepoint itself stays. */
  async rollbackTo(name: string): Promise<void> {
    await this.#rollBackFrom(this.#indexOf(name));
    await this.savepoint(name);
  }

  async release(name: string): Promise<void> {
    await this.#releaseFrom(this.#indexOf(name));
  }

  async #releaseFrom(index: number): Promise<void> {
    while (this.#savepoints.length > index) await this.#savepoints.pop()?.part.commit();
  }

  async #rollBackFrom(index: number): Promise<void> {
    while (this.#savepoints.length > index) await this.#savepoints.pop()?.part.rollback();
  }

  #indexOf(name: string): number {
    // SQLite does not tell upper case from lower case in names.
    const index = this.#savepoints.findLastIndex((savepoint) => savepoint.name.toLowerCase() === name.toLowerCase());
    // In SQLite's words: it is not asked, because the savepoints it has are numbered.
    if (index === -1) throw new Database.SqliteError(`no such savepoint: ${name}`, 'SQLITE_ERROR');
    return index;
  }
}
