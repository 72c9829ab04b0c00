// The names are Knex's.
// oxlint-disable no-underscore-dangle
import type { Readable } from 'node:stream';
// Knex's dialects come without types.
// @ts-expect-error
import SqliteTransaction from 'knex/lib/dialects/sqlite3/execution/sqlite-transaction.js';
import { OptionsError } from '../../errors.ts';
import type { Relay } from '../../pool/request.ts';
import { KnexConnection, type Open } from './connection.ts';

/** What is used of Knex's clients: that of an instance, and those of its transactions. */
interface Client {
  readonly config: { readonly acquireConnectionTimeout?: number };
  readonly logger: { warn(message: string): void };
  query(connection: unknown, query: { readonly sql: string }): Promise<unknown>;
  stream(connection: unknown, query: unknown, stream: Readable, options: unknown): Promise<unknown>;
  /** On the client of a transaction. */
  openTransaction?: Open | undefined;
}

/** What a transaction was asked for with. */
interface Config {
  /** What was given for it to run on. */
  readonly connection?: unknown;
}

/** What is used of Knex's transactions. */
interface BaseTransaction {
  acquireConnection(config: Config | undefined, use: (connection: unknown) => unknown): Promise<unknown>;
  readonly client: Client;
  readonly trxClient: Client;
  readonly txid: string;
  readonly isolationLevel: string | undefined;
  readonly readOnly: boolean | undefined;
  readonly doNotRejectOnRollback: boolean;
  _completed: boolean;
  isCompleted(): boolean;
  _resolver(value?: unknown): void;
  _rejecter(error: unknown): void;
}

type TransactionClass = new (client: object, container: unknown, config?: object, outer?: object) => BaseTransaction;

/** What to do for the queries that stand for BEGIN, COMMIT and the like: they never reach SQLite by way of Knex. */
export const verbs = new WeakMap<object, () => Promise<unknown>>();

/** What it is to end a transaction. */
interface Ending {
  /** What Knex's listeners are told. */
  readonly sql: string;
  readonly isCommit: boolean;
  readonly end: (open: Open) => Promise<void>;
  /** Settles the promise that Knex has given for it. */
  readonly settle: () => void;
}

/** A transaction of Knex that begins and ends as one of the pool's. */
export class KnexTransaction extends (SqliteTransaction as TransactionClass) {
  #open: Open | undefined;
  #connection: KnexConnection | undefined;
  /** What the connection was in before. */
  #outer: Open | undefined;
  /** From where it was asked for. */
  readonly #relay: Relay;

  constructor(client: object, container: unknown, config: object, outer: object, relay: Relay) {
    super(client, container, config, outer);
    this.#relay = relay;
  }

  override acquireConnection(config: Config | undefined, use: (connection: unknown) => unknown): Promise<unknown> {
    return super.acquireConnection(config, (connection) => {
      if (connection instanceof KnexConnection) connection.relay ??= this.#relay;
      return use(connection);
    });
  }

  begin(connection: unknown): Promise<void> {
    if (this.isolationLevel) {
      this.client.logger.warn('SQLite only has serializable transactions: the isolation level is ignored');
    }
    return this.#begin(connection, 'BEGIN;');
  }

  savepoint(connection: unknown): Promise<void> {
    return this.#begin(connection, `SAVEPOINT ${this.txid};`);
  }

  commit(connection: unknown, value: unknown): Promise<void> {
    return this.#commit(connection, 'COMMIT;', value);
  }

  release(connection: unknown, value: unknown): Promise<void> {
    return this.#commit(connection, `RELEASE SAVEPOINT ${this.txid};`, value);
  }

  rollback(connection: unknown, error: unknown): Promise<void> {
    return this.#rollback(connection, 'ROLLBACK', error);
  }

  rollbackTo(connection: unknown, error: unknown): Promise<void> {
    return this.#rollback(connection, `ROLLBACK TO SAVEPOINT ${this.txid}`, error);
  }

  #commit(connection: unknown, sql: string, value: unknown): Promise<void> {
    return this.#end(connection, {
      sql,
      isCommit: true,
      end: (open) => open.commit(),
      settle: () => this._resolver(value),
    });
  }

  #rollback(connection: unknown, sql: string, error: unknown): Promise<void> {
    const settle = (): void => this.#undone(error);
    return this.#end(connection, { sql, isCommit: false, end: (open) => open.rollback(error), settle });
  }

  #undone(error: unknown): void {
    if (error !== undefined) this._rejecter(error);
    else if (this.doNotRejectOnRollback) this._resolver();
    else this._rejecter(new Error(`Transaction rejected with non-error: ${error}`));
  }

  /** Rejects where it can not begin; then the function of the transaction is never called. */
  async #begin(connection: unknown, sql: string): Promise<void> {
    if (!(connection instanceof KnexConnection)) {
      throw new OptionsError('connection', connection, 'what knex.client.acquireConnection() gives');
    }
    failStreams(this.trxClient);
    const begin = (): Promise<unknown> => {
      const timeout = this.client.config.acquireConnectionTimeout;
      this.#connection = connection;
      this.#outer = connection.transaction;
      const open = connection.open({ mode: this.readOnly ? 'read' : 'immediate', timeout });
      this.#open = open;
      this.trxClient.openTransaction = open;
      connection.transaction = open;
      // In the step in which Knex waits for its connection no more, and has not yet said what to do once it has begun: so
      // that is the only thing it concerns. It will call the function of the transaction, whose queries shall be in it
      // whether they say so or not.
      open.enter();
      return open.begun;
    };
    try {
      await this.#verb(connection, sql, begin);
    } catch (error) {
      this.#close();
      throw error;
    }
  }

  #end(connection: unknown, ending: Ending): Promise<void> {
    const ended = this.#settle(connection, ending);
    // Whoever awaits it is told, and whoever awaits the transaction. A call that nobody awaits is no failure of its own.
    ended.catch(() => {});
    return ended;
  }

  /**
   * Ends it, and settles the promise that Knex has given for it. Rejects where it should be committed and is not: with a
   * transaction that was asked for without a function, nobody looks at the promise of Knex.
   */
  async #settle(connection: unknown, { sql, isCommit, end, settle }: Ending): Promise<void> {
    const wasCompleted = this.isCompleted();
    const ended = this.#verb(connection, sql, async () => this.#open && end(this.#open));
    this._completed = true;
    try {
      await ended;
      this.#close();
      settle();
    } catch (error) {
      // Also where a listener of Knex threw, and it has not been asked to end.
      await this.#open?.rollback(error);
      this.#close();
      this._rejecter(error);
      if (isCommit && !wasCompleted) throw error;
    }
  }

  #close(): void {
    this._completed = true;
    const connection = this.#connection;
    if (connection?.transaction === this.#open && connection !== undefined) connection.transaction = this.#outer;
  }

  /** Has Knex do a query that stands for something else, with all that it does around a query. */
  async #verb(connection: unknown, sql: string, act: () => Promise<unknown>): Promise<void> {
    const query = { sql };
    verbs.set(query, act);
    await this.trxClient.query(connection, query);
  }
}

/** Has streams fail that come after the end of a transaction. Knex refuses them without telling who reads, for ever. */
function failStreams(client: Client): void {
  const refusing = client.stream;
  client.stream = async (connection, query, stream, options) => {
    try {
      return await refusing(connection, query, stream, options);
    } catch (error) {
      stream.destroy(error as Error);
      throw error;
    }
  };
}
