import { realpathSync } from 'node:fs';
import { SqliteAdapter } from 'kysely';
import type { OpenTransaction } from '../../open-transaction.ts';
import type { LeasedDatabase } from '../../sqlite/handle.ts';
import { SqlitePool } from '../../sqlite/pool.ts';

/** The lock of one migration. */
interface MigrationLock {
  readonly pool: SqlitePool;
  readonly held: OpenTransaction<LeasedDatabase>;
}

/** Kysely's own, but for what a pool can do and one connection can not. */
export class LeaseholdAdapter extends SqliteAdapter {
  readonly #pool: SqlitePool;
  readonly #migrationTimeout: number;
  /** By the database that the migrator gave to `acquireMigrationLock`, and gives to `releaseMigrationLock`. */
  readonly #locks = new WeakMap<object, MigrationLock>();

  constructor(pool: SqlitePool, migrationTimeout: number) {
    super();
    this.#pool = pool;
    this.#migrationTimeout = migrationTimeout;
  }

  /** Else Kysely would put a mutex around everything. */
  override get supportsMultipleConnections(): boolean {
    return true;
  }

  /**
   * Lets one migration of a file run at a time, whatever process it is in.
   *
   * SQLite's lock on a file of its own, beside the database, so that it ends with the process that holds it, which
   * `is_locked` in Kysely's table would not. A transaction around the migrations would be no less safe, but
   * `PRAGMA foreign_keys` has no effect in one, and a migration that makes a table anew without it deletes what refers to it.
   */
  override async acquireMigrationLock(db: object): Promise<void> {
    const { name, memory } = this.#pool.db;
    // The migrator has its one connection.
    if (memory) return;
    // As SQLite names its files beside it: alike for all who reach it through links. It exists, having been looked into.
    // Not awaited, so that those who ask one after the other come in that order.
    const file = realpathSync(name);
    const pool = new SqlitePool(`${file}-migration-lock`, {
      max: 1,
      // In a WAL it would be three files.
      pragmas: { journal_mode: null },
      acquireTimeout: this.#migrationTimeout,
    });
    const held = pool.openTransaction({ label: 'migration' });
    try {
      await held.begun;
    } catch (error) {
      await pool.close();
      throw error;
    }
    this.#locks.set(db, { pool, held });
  }

  /** Is called even where the lock could not be had. */
  override async releaseMigrationLock(db: object): Promise<void> {
    const lock = this.#locks.get(db);
    if (lock === undefined) return;
    this.#locks.delete(db);
    await lock.held.rollback();
    await lock.pool.close();
  }
}
