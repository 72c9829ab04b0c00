import { DatabaseError } from 'pg';
import { AbortError, ConnectionLostError, isError } from '../errors.ts';
import { joinSignals } from '../holder.ts';
import { Transactions, type TransactionVerbs } from '../transaction.ts';
import { CommitUnknownError, TransactionAbortedError, TransactionBusyError } from '../transaction-errors.ts';
import { type Outcome, QueryOperation } from './operation.ts';
import { codeOf, limitOf, type Session } from './session.ts';
import type { PostgresRequest } from './transaction-options.ts';

/** The managed transactions of a session. */
export function transactionsOf(session: Session): Transactions<PostgresRequest> {
  session.managed ??= new Transactions(new PostgresVerbs(session), session.lease, session.connection.clock);
  return session.managed;
}

/** BEGIN, COMMIT and the like on the connection of one session, each after what was asked for before it. */
class PostgresVerbs implements TransactionVerbs<PostgresRequest> {
  readonly explainsCommit = true;
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  async begin({ mode, readOnly, signal, timeout, since }: PostgresRequest, opened: () => void): Promise<void> {
    const session = this.#session;
    const { connection } = session;
    const now = connection.clock.now();
    this.checkFree();
    const beginning = mode === '' ? 'BEGIN' : `BEGIN ${mode}`;
    try {
      // BEGIN alone takes no snapshot: the first statement that reads does.
      await connection.command(readOnly && isSnapshot.test(mode) ? `${beginning}; SELECT 1` : beginning, {
        // A deferrable one waits for others.
        signal: mode.includes('DEFERRABLE') ? joinSignals(signal, limitOf(Math.max(since + timeout - now, 1))) : signal,
        // What came before it may have begun something by SQL.
        admit: () => {
          session.guard();
          this.checkFree();
        },
        settle: (outcome) => {
          if ('error' in outcome) return;
          session.failure = undefined;
          session.lease.mode = readOnly ? 'read' : 'write';
          opened();
        },
      });
    } catch (error) {
      if (connection.lost === undefined && connection.status !== 'I' && !session.lease.ended && isBegun(error)) {
        await this.rollback();
      }
      throw error;
    }
  }

  async commit(request: PostgresRequest): Promise<void> {
    const { connection, failure, lease } = this.#session;
    // Called only where the server was asked.
    const settle = (outcome: Outcome): unknown => {
      if (!('error' in outcome)) return undefined;
      const { error } = outcome;
      // Where the server has said what is wrong and goes on, it has not committed.
      const isUnknown = connection.lost !== undefined || /^(?:08|40003)/.test(codeOf(error));
      return isUnknown ? new CommitUnknownError(lease.pool, request.label ?? lease.label, error) : error;
    };
    const committing = new QueryOperation('COMMIT', undefined, { settle, admit: () => this.#session.guard() });
    this.#session.committing = committing;
    const { command } = (await connection.run(committing)) as { readonly command: string };
    // So the server ends what it has refused to go on with.
    if (command === 'ROLLBACK') {
      const cause = failure ?? this.#session.failure;
      throw new TransactionAbortedError(lease.pool, request.label ?? lease.label, cause);
    }
  }

  async rollback(): Promise<void> {
    const session = this.#session;
    const { connection } = session;
    session.failure = undefined;
    // The server has done so by itself.
    if (connection.lost !== undefined) return;
    session.stop();
    try {
      await connection.undo('ROLLBACK');
    } catch (error) {
      if (!isLost(error)) throw error;
    }
  }

  async savepoint(depth: number, opened: () => void, { readOnly }: PostgresRequest): Promise<void> {
    this.checkFree();
    const savepoint = `SAVEPOINT leasehold_${depth}`;
    await this.#session.connection.command(readOnly ? `${savepoint}; SET TRANSACTION READ ONLY` : savepoint, {
      // Without the signal: to have it cancelled would fail what is around it.
      admit: () => this.#session.guard(),
      settle: (outcome) => ('error' in outcome ? this.#firstError(outcome.error) : opened()),
    });
  }

  async release(depth: number): Promise<void> {
    await this.#session.connection.command(`RELEASE leasehold_${depth}`, {
      settle: (outcome) => ('error' in outcome ? this.#firstError(outcome.error) : undefined),
    });
  }

  async rollbackTo(depth: number): Promise<void> {
    const session = this.#session;
    session.stop();
    await session.connection.undo(`ROLLBACK TO leasehold_${depth}; RELEASE leasehold_${depth}`);
    session.failure = undefined;
  }

  end(): void {
    this.#session.lease.mode = 'connection';
  }

  isOpen(): boolean {
    const { connection } = this.#session;
    return connection.lost === undefined && connection.status !== 'I';
  }

  unfinished(): string | undefined {
    return this.#session.isStreaming ? 'a cursor or stream was open' : undefined;
  }

  /** @throws TransactionBusyError */
  checkFree(): void {
    const session = this.#session;
    const { isStreaming, isManaged, connection, lease } = session;
    const isRaw = !isManaged && connection.lost === undefined && connection.status !== 'I';
    if (!isRaw && !isStreaming) return;
    const detail = isStreaming
      ? 'a cursor or stream is open on it'
      : 'a transaction that was begun by SQL is open on it';
    throw new TransactionBusyError(lease.pool, lease.label, 'occupied', detail);
  }

  /** The server says of what comes later only that something has failed before. */
  #firstError(error: unknown): unknown {
    const { failure, lease, managed } = this.#session;
    if (codeOf(error) !== '25P02' || failure === undefined) return error;
    return new TransactionAbortedError(lease.pool, managed?.current?.request.label ?? lease.label, failure);
  }
}

const isSnapshot = /REPEATABLE READ|SERIALIZABLE/;

/** Whether it was the server that has failed to begin, rather than that it was not asked. */
function isBegun(error: unknown): boolean {
  return isError(error) && (error instanceof DatabaseError || error instanceof AbortError);
}

function isLost(error: unknown): boolean {
  return isError(error) && error instanceof ConnectionLostError;
}
