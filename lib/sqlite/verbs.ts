import { Transactions, type TransactionVerbs } from '../transaction.ts';
import { ReadOnlyError, TransactionBusyError } from '../transaction-errors.ts';
import type { WriteLane } from './lane.ts';
import type { WritePermit } from './permit.ts';
import type { Session } from './session.ts';
import type { SqliteRequest } from './transaction-options.ts';
import { enterLane, type Locked, untilUnlocked } from './waiting.ts';

const beginnings: Readonly<Record<SqliteRequest['mode'], string>> = {
  deferred: 'BEGIN',
  immediate: 'BEGIN IMMEDIATE',
  exclusive: 'BEGIN EXCLUSIVE',
  read: 'BEGIN',
};

// BEGIN alone takes no snapshot: the first statement that reads does.
const firstRead = 'SELECT 1 FROM sqlite_schema LIMIT 1';

/** The managed transactions of a session. */
export function transactionsOf(session: Session): Transactions<SqliteRequest> {
  session.managed ??= new Transactions(new SqliteVerbs(session), session.lease, session.connection.clock);
  return session.managed;
}

/** What a wait for another process's lock needs to know of a session. */
export function lockedOf(session: Session): Locked {
  const { clock, lane, settings } = session.connection;
  return { lease: session.lease, clock, settings, lane, ends: transactionsOf(session).ends };
}

/** BEGIN, COMMIT and the like on the connection of one session. They wait for their turn, and for locks, from timers. */
class SqliteVerbs implements TransactionVerbs<SqliteRequest> {
  readonly #session: Session;
  readonly #locked = (): Locked => lockedOf(this.#session);

  constructor(session: Session) {
    this.#session = session;
  }

  begin(request: SqliteRequest, opened: () => void): void | Promise<void> {
    const session = this.#session;
    const { lane, settings } = session.connection;
    this.#checkFree();
    if (request.mode === 'read' || session.permit !== undefined) return this.#begin(request, opened, undefined);
    if (lane === undefined) {
      if (request.mode !== 'deferred') throw new ReadOnlyError(settings.pool, request.label, 'pool');
      return this.#begin(request, opened, undefined);
    }
    const own = session.makePermit('transaction', request.label ?? session.lease.label, true);
    if (!lane.tryEnter(own)) return this.#waitAndBegin(lane, own, request, opened);
    own.give(session);
    return this.#begin(request, opened, own);
  }

  commit(request: SqliteRequest): void | Promise<void> {
    const { connection } = this.#session;
    connection.beImpatient();
    return untilUnlocked(() => void connection.verb('COMMIT').run(), request, connection.clock.now(), this.#locked);
  }

  rollback(): void {
    const { connection } = this.#session;
    this.#session.closeIterators();
    if (connection.raw.inTransaction) connection.verb('ROLLBACK').run();
  }

  savepoint(depth: number, opened: () => void): void {
    this.#checkFree();
    this.#session.connection.verb(`SAVEPOINT leasehold_${depth}`).run();
    opened();
  }

  release(depth: number): void {
    this.#session.connection.verb(`RELEASE leasehold_${depth}`).run();
  }

  rollbackTo(depth: number): void {
    const { connection } = this.#session;
    this.#session.closeIterators();
    connection.verb(`ROLLBACK TO leasehold_${depth}`).run();
    connection.verb(`RELEASE leasehold_${depth}`).run();
  }

  end(): void {
    const session = this.#session;
    session.impatient = false;
    if (session.permit?.endsWithTransaction === true) session.permit.leave();
    else if (session.permit === undefined) session.lease.mode = 'connection';
  }

  isOpen(): boolean | undefined {
    const { connection, hasIterators } = this.#session;
    return hasIterators ? undefined : connection.raw.inTransaction;
  }

  unfinished(): string | undefined {
    return this.#session.hasIterators ? 'an iterator was open' : undefined;
  }

  /** @throws TransactionBusyError where something runs on the connection that is not Leasehold's to end. */
  #checkFree(): void {
    const session = this.#session;
    const isRaw = !session.isManaged && session.isInTransaction();
    if (!isRaw && !session.hasIterators) return;
    const detail = session.hasIterators
      ? 'an iterator is open on it'
      : 'a transaction that was begun by SQL, or by a synchronous function, is open on it';
    throw new TransactionBusyError(session.lease.pool, session.lease.label, 'occupied', detail);
  }

  async #waitAndBegin(lane: WriteLane, own: WritePermit, request: SqliteRequest, opened: () => void): Promise<void> {
    const session = this.#session;
    const { clock, settings } = session.connection;
    await enterLane(lane, own, request, settings, clock, [transactionsOf(session).ends, settings.ends]);
    try {
      // The lease may have ended, or other code have begun something, in the same step in which its turn came.
      if (session.lease.ended) throw session.lease.endedError();
      this.#checkFree();
    } catch (error) {
      own.leave();
      throw error;
    }
    own.give(session);
    await this.#begin(request, opened, own);
  }

  /** Begins as soon as no other process is in the way. On failure gives `own` back. */
  #begin(request: SqliteRequest, opened: () => void, own: WritePermit | undefined): void | Promise<void> {
    const session = this.#session;
    const { connection } = session;
    const failed = (error: unknown): never => {
      session.impatient = false;
      own?.leave();
      throw error;
    };
    const attempt = (): void => {
      connection.verb(beginnings[request.mode]).run();
      if (request.mode === 'read') this.#takeSnapshot();
      // The first write of a deferred one may meet another process's lock, as any other synchronous statement may.
      session.impatient = request.mode !== 'deferred';
      opened();
    };
    session.impatient = true;
    try {
      connection.beImpatient();
      const beginning = untilUnlocked(attempt, request, request.since, this.#locked);
      if (request.mode === 'read') session.lease.mode = 'read';
      return beginning?.catch(failed);
    } catch (error) {
      return failed(error);
    }
  }

  #takeSnapshot(): void {
    const { connection } = this.#session;
    try {
      connection.verb(firstRead).get();
    } catch (error) {
      connection.verb('ROLLBACK').run();
      throw error;
    }
  }
}
