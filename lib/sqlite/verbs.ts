import { Cancellations } from '../cancellations.ts';
import { joinSignals, type WaitRequest } from '../holder.ts';
import { Transactions, type TransactionVerbs } from '../transaction.ts';
import { ReadOnlyError, TransactionBusyError } from '../transaction-errors.ts';
import type { Claim, WritePermit } from './permit.ts';
import type { Session } from './session.ts';
import type { SqliteRequest } from './transaction-options.ts';
import { enterLane, type Locked, TurnShared, untilUnlocked } from './waiting.ts';

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

/**
 * Sees to it that a session holds the lane: at once where it does already, or nobody does; else in its turn. If another
 * part of the session gets there first, both have it. The claim is to be dropped.
 *
 * @throws what `enterLane` throws, ReadOnlyError
 */
export function claimLane(session: Session, claim: Claim, request: WaitRequest): void | Promise<void> {
  const level = session.managed?.here();
  if (claim === 'write scope' && level?.readOnly === true && !level.ended) {
    throw new ReadOnlyError(session.lease.pool, level.request.label ?? session.lease.label, 'read');
  }
  session.permit?.settle();
  if (session.permit !== undefined) {
    session.permit.claim(claim);
    return undefined;
  }
  const permit = session.makePermit(request.label ?? session.lease.label, claim, request.site);
  if (!session.connection.lane.tryEnter(permit)) return waitForLane(session, permit, claim, request);
  permit.give(session);
  return undefined;
}

async function waitForLane(session: Session, permit: WritePermit, claim: Claim, request: WaitRequest): Promise<void> {
  const { lease } = session;
  const { clock, lane, settings } = session.connection;
  const sharing = new Cancellations();
  let isShared = false;
  const forget = session.awaitPermit((given) => {
    isShared = true;
    given.claim(claim);
    sharing.cancel(() => new TurnShared());
  });
  const ends = [transactionsOf(session).ends, settings.ends, sharing];
  const signal = joinSignals(request.signal, lease.signal);
  try {
    // A function made by `db.transaction` does not say in which scope it waits.
    await enterLane(lane, permit, { ...request, signal }, settings, clock, ends, request.scope ?? lease.scope);
  } catch (error) {
    if (!isShared) throw error;
  } finally {
    forget();
  }
  // The lease may have ended in the same step in which its turn came: then `give` leaves.
  if (!isShared) permit.give(session);
  else if (lease.ended) throw lease.endedError();
}

/** BEGIN, COMMIT and the like on the connection of one session. They wait for their turn, and for locks, from timers. */
class SqliteVerbs implements TransactionVerbs<SqliteRequest> {
  readonly #session: Session;
  /** Whether the open transaction has a claim to the lane. */
  #hasClaim = false;

  constructor(session: Session) {
    this.#session = session;
  }

  begin(request: SqliteRequest, opened: () => void): void | Promise<void> {
    const session = this.#session;
    const { settings } = session.connection;
    this.checkFree();
    if (request.mode === 'read') return this.#begin(request, opened);
    if (settings.readonly) {
      if (request.mode !== 'deferred') throw new ReadOnlyError(settings.pool, request.label, 'pool');
      return this.#begin(request, opened);
    }
    const claiming = claimLane(session, 'transaction', request);
    if (claiming !== undefined) return this.#beginAfter(claiming, request, opened);
    this.#hasClaim = true;
    return this.#begin(request, opened);
  }

  commit(request: SqliteRequest): void | Promise<void> {
    const { connection } = this.#session;
    if (request.mode === 'read') return this.#leaveSnapshot();
    connection.beImpatient();
    const attempt = (): void => void connection.verb('COMMIT').run();
    return untilUnlocked(attempt, request, this.#session, lockedOf, true);
  }

  rollback(): void {
    const { connection } = this.#session;
    this.#session.closeIterators();
    if (connection.raw.inTransaction) connection.verb('ROLLBACK').run();
  }

  savepoint(depth: number, opened: () => void): void {
    this.checkFree();
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
    if (session.permit === undefined) session.lease.mode = 'connection';
    this.#dropClaim();
  }

  isOpen(): boolean | undefined {
    const { connection, hasIterators } = this.#session;
    return hasIterators ? undefined : connection.raw.inTransaction;
  }

  unfinished(): string | undefined {
    return this.#session.hasIterators ? 'an iterator was open' : undefined;
  }

  /** @throws TransactionBusyError */
  checkFree(): void {
    const session = this.#session;
    session.refuseStuck();
    const isRaw = session.running > 0 || (!session.isManaged && session.isInTransaction());
    if (!isRaw && !session.hasIterators) return;
    const detail = session.hasIterators
      ? 'an iterator is open on it'
      : 'a transaction that was begun by SQL, or by a synchronous function, is open on it';
    throw new TransactionBusyError(session.lease.pool, session.lease.label, 'occupied', detail);
  }

  async #beginAfter(claiming: Promise<void>, request: SqliteRequest, opened: () => void): Promise<void> {
    await claiming;
    this.#hasClaim = true;
    await this.#begin(request, opened);
  }

  #dropClaim(): void {
    if (!this.#hasClaim) return;
    this.#hasClaim = false;
    this.#session.permit?.drop('transaction');
  }

  /** Begins as soon as no other process is in the way. On failure gives back its claim. */
  #begin(request: SqliteRequest, opened: () => void): void | Promise<void> {
    this.#session.impatient = true;
    try {
      const attempt = (): void => this.#attempt(request, opened);
      return untilUnlocked(attempt, request, this.#session, lockedOf)?.catch((error: unknown) => this.#failed(error));
    } catch (error) {
      return this.#failed(error);
    }
  }

  #attempt({ mode }: SqliteRequest, opened: () => void): void {
    const session = this.#session;
    const { connection } = session;
    if (session.lease.ended) throw session.lease.endedError();
    // Others may have begun something on this connection while it waited.
    this.checkFree();
    connection.beImpatient();
    connection.verb(beginnings[mode]).run();
    if (mode === 'read') this.#takeSnapshot();
    // The first write of a deferred one may meet another process's lock, as any other synchronous statement may.
    session.impatient = mode !== 'deferred';
    if (mode === 'read' && session.permit === undefined) session.lease.mode = 'read';
    opened();
  }

  #failed(error: unknown): never {
    this.#session.impatient = false;
    this.#dropClaim();
    throw error instanceof LeftOpen ? error.cause : error;
  }

  #takeSnapshot(): void {
    const { connection } = this.#session;
    try {
      connection.verb(firstRead).get();
    } catch (error) {
      // Until it is rolled back, the next holder must be kept from it.
      this.#session.noteTransaction();
      try {
        connection.verb('ROLLBACK').run();
      } catch (failure) {
        this.#session.noteStuck(failure);
        throw new LeftOpen(error);
      }
      throw error;
    }
  }

  /**
   * Ends what has only read. By ROLLBACK, because a query can write though SQLite takes it for read-only: FTS4's
   * `optimize()` does. That this fails is not the business of a caller who has read all he wanted.
   */
  #leaveSnapshot(): void {
    const { connection } = this.#session;
    try {
      connection.verb('ROLLBACK').run();
    } catch (error) {
      // It was not one snapshot, if SQLite has ended it before.
      if (!connection.raw.inTransaction) throw error;
      this.#session.noteStuck(error);
    }
  }
}

/** Why a snapshot could not be taken, where its transaction is open still. To try again would only find that. */
class LeftOpen extends Error {
  constructor(cause: unknown) {
    super(undefined, { cause });
  }
}
