import type { AbortableOperationOptions, DatabaseConnection, Driver, TransactionSettings } from 'kysely';
import type { SqlitePool } from '../../sqlite/pool.ts';
import { LeaseholdConnection } from './connection.ts';

const done = Promise.resolve();

/**
 * Kysely's way to a pool. What Kysely calls a connection holds none: it takes one for each statement, or finds that of the
 * scope, so that a query which waits for its turn to write holds nothing meanwhile.
 */
export class LeaseholdDriver implements Driver {
  readonly #pool: SqlitePool;

  constructor(pool: SqlitePool) {
    this.#pool = pool;
  }

  init(): Promise<void> {
    return done;
  }

  acquireConnection(options?: AbortableOperationOptions): Promise<DatabaseConnection> {
    return Promise.resolve(new LeaseholdConnection(this.#pool, options));
  }

  /** Any isolation level will do: in SQLite every transaction is serializable. */
  beginTransaction(connection: LeaseholdConnection, settings: TransactionSettings): Promise<void> {
    return connection.begin(settings.accessMode === 'read only' ? 'read' : 'immediate');
  }

  commitTransaction(connection: LeaseholdConnection): Promise<void> {
    return connection.commit();
  }

  rollbackTransaction(connection: LeaseholdConnection): Promise<void> {
    return connection.rollback();
  }

  savepoint(connection: LeaseholdConnection, name: string): Promise<void> {
    return connection.transaction.savepoint(name);
  }

  rollbackToSavepoint(connection: LeaseholdConnection, name: string): Promise<void> {
    return connection.transaction.rollbackTo(name);
  }

  releaseSavepoint(connection: LeaseholdConnection, name: string): Promise<void> {
    return connection.transaction.release(name);
  }

  releaseConnection(connection: LeaseholdConnection): Promise<void> {
    return connection.release() ?? done;
  }

  destroy(): Promise<void> {
    return this.#pool.close();
  }
}
