import { frames } from '../context.ts';
import type { LeaseControl } from '../driver.ts';
import { AbortError, isError, textOf } from '../errors.ts';
import type { LeaseMode, Site } from '../holder.ts';
import type { Transactions } from '../transaction.ts';
import {
  ReadOnlyError,
  TransactionAbortedError,
  TransactionEndedError,
  TransactionManagedError,
  WriteLockedError,
} from '../transaction-errors.ts';
import type { SqliteConnection } from './connection.ts';
import { type Claim, WritePermit, type Writer } from './permit.ts';
import type { SqlTraits } from './sql.ts';
import type { SqliteRequest } from './transaction-options.ts';

/** What a lease has done that could outlast it. */
export interface Notes {
  mayBeInTransaction: boolean;
  mayHaveChangedSchema: boolean;
  /** What was changed that can not be changed back, in words. */
  readonly settings: Set<string>;
  /** How to return each iterator that is neither exhausted nor returned. */
  readonly iterators: Set<() => void>;
  /** Backups under way. */
  backups: number;
  /** Whether nobody else may have the connection, for a reason that is not the next holder's to see. */
  broken: boolean;
}

/** What a lease that writes has going on. */
interface Writes {
  /** Statements that write and have not returned: more than one where a user function tries to. */
  statements: number;
  /** Those of the open iterators that write. */
  iterators: number;
  /** Whether it keeps the lane until its end. */
  keepsLane: boolean;
  /** Parts that wait for the lane, each told when another has brought it. */
  awaiting: Set<(permit: WritePermit) => void> | undefined;
}

/**
 * What one lease does with its connection: the guard before each use, its transactions and its right to write, and the
 * notes from which the clean-up knows what to look for. A lease that left no notes returns without one call into SQLite.
 *
 * Invariant: whatever could outlast the lease is noted in the synchronous step in which it is done.
 */
export class Session implements Writer {
  readonly connection: SqliteConnection;
  readonly lease: LeaseControl;
  notes: Notes | undefined;
  /** Synchronous transaction functions that have not returned. */
  running = 0;
  /** Made by the first transaction that Leasehold manages. */
  managed: Transactions<SqliteRequest> | undefined;
  /** Whether a synchronous transaction function has returned a promise, and so may go on after its transaction. */
  hasEscaped = false;
  /** Why a transaction is open that nobody has any more. Nothing runs on the connection from then on. */
  #stuck: { readonly cause: unknown } | undefined;
  /** The right to write: for a transaction, until the end of the lease, or for a transaction that was begun by SQL. */
  permit: WritePermit | undefined;
  /** Made with the first write, since most leases only read. */
  #writes: Writes | undefined;
  /** Whether statements are to fail at a lock rather than wait for it: somebody waits for them from a timer. */
  impatient = false;

  constructor(connection: SqliteConnection, lease: LeaseControl) {
    this.connection = connection;
    this.lease = lease;
  }

  /** Whether a transaction that Leasehold manages is open. */
  get isManaged(): boolean {
    return this.managed?.current !== undefined;
  }

  /** Throws after the end of the lease or the abort of its signal; else the connection is good until the next `await`. */
  guard(): SqliteConnection {
    const { lease } = this;
    if (lease.ended) throw lease.endedError();
    if (lease.signal?.aborted) throw new AbortError(lease.signal);
    return this.connection;
  }

  /** As `guard`, for what counts as use of the connection. Also throws where another branch has a transaction open. */
  use(): SqliteConnection {
    const connection = this.guard();
    if (this.managed !== undefined) this.managed.check();
    if (this.hasEscaped) this.#refuseEscaped();
    this.refuseStuck();
    if (connection.isRollbackJournal) this.#choosePatience(false);
    else if (connection.impatient && !this.impatient && !this.hasIterators) connection.bePatient();
    this.lease.lastUsedAt = connection.clock.now();
    return connection;
  }

  /**
   * A statement that may write is about to run, after `use`.
   * @throws ReadOnlyError, WriteLockedError
   */
  beforeWrite(): void {
    this.checkWrite();
    this.#written().statements++;
    this.connection.lane.writing ??= this;
  }

  /** An iterator that writes is about to be made. It writes with its first step, and commits with its last. */
  beforeIterating(): void {
    this.checkWrite();
    // By then a reader of this process may be in the way, and while it is open nothing can be set.
    if (this.connection.isRollbackJournal && !this.hasIterators) this.connection.beImpatient();
  }

  /** The same as `beforeWrite`, for what is not about to run yet. */
  checkWrite(): void {
    const level = this.managed?.current;
    if (level !== undefined) {
      if (level.readOnly) throw new ReadOnlyError(this.lease.pool, level.request.label ?? this.lease.label, 'read');
      this.managed?.refuseSuspect();
      return;
    }
    const { isRollbackJournal, lane, settings } = this.connection;
    this.permit?.settle();
    if (isRollbackJournal) this.#choosePatience(true);
    // Where the file is read-only SQLite will say so.
    if (this.permit !== undefined || settings.readonly) return;
    const { holder, writing } = lane;
    if (holder !== undefined) throw new WriteLockedError(settings.pool, holder.describe(), 'held');
    // From a user function of a statement that writes.
    if (writing !== undefined && writing !== this) throw new WriteLockedError(settings.pool, undefined, 'held');
    if (settings.strictWrites) throw new WriteLockedError(settings.pool, undefined, 'strict');
  }

  /** What `beforeWrite` let pass has run, or failed. */
  afterWrite(): void {
    const { lane } = this.connection;
    // A user function may have tried to write meanwhile.
    if (--this.#written().statements === 0 && lane.writing === this) lane.writing = undefined;
    this.holdLock();
  }

  /** If a lock was left behind, others of this process must know of it. */
  holdLock(): void {
    const { lane, settings } = this.connection;
    if (this.permit !== undefined || settings.readonly || !this.mayHoldLock()) return;
    const permit = this.makePermit();
    if (lane.tryEnter(permit)) permit.give(this);
  }

  /** What may have ended a transaction that was begun by SQL has run. */
  afterControl(): void {
    this.permit?.settle();
  }

  /** A statement has thrown. */
  afterError(error: unknown): void {
    // It keeps damaged pages, also when the file has been mended. A private database is nowhere else.
    if (isDamage(error) && !this.connection.settings.isPrivate) this.lease.discard('damaged file');
    this.managed?.noteError(error);
    this.afterControl();
  }

  /** @throws ReadOnlyError */
  makePermit(label = this.lease.label, claim?: Claim, site?: Site): WritePermit {
    const { clock, lane, settings } = this.connection;
    if (settings.readonly) throw new ReadOnlyError(settings.pool, label, 'pool');
    return new WritePermit(lane, { clock, pool: settings.pool, label, site }, claim);
  }

  /** Calls `onArrival` when the session has the lane by another's wait. The function that is returned forgets it. */
  awaitPermit(onArrival: (permit: WritePermit) => void): () => void {
    const writes = this.#written();
    writes.awaiting ??= new Set();
    writes.awaiting.add(onArrival);
    return () => {
      writes.awaiting?.delete(onArrival);
    };
  }

  arrived(permit: WritePermit): void {
    const awaiting = this.#writes?.awaiting;
    if (awaiting !== undefined) for (const onArrival of Array.from(awaiting)) onArrival(permit);
  }

  /** Whether a transaction is open, managed or not. While an iterator is, SQLite does not say. */
  isInTransaction(): boolean {
    const mayBe = this.isManaged || this.running > 0 || this.notes?.mayBeInTransaction === true || this.hasIterators;
    return mayBe && (this.hasIterators || this.connection.raw.inTransaction);
  }

  /**
   * Whether SQLite's lock may be held for something else than a managed transaction: for one that was begun by SQL or is
   * synchronous, or for an iterator that writes. While an iterator is open, SQLite does not tell.
   */
  mayHoldLock(): boolean {
    if (this.isManaged) return false;
    if (this.running === 0 && this.notes?.mayBeInTransaction !== true) return (this.#writes?.iterators ?? 0) > 0;
    return this.hasIterators || this.connection.raw.inTransaction;
  }

  get modeWithout(): LeaseMode {
    return this.managed?.current?.readOnly === true ? 'read' : 'connection';
  }

  get hasIterators(): boolean {
    return this.notes !== undefined && this.notes.iterators.size > 0;
  }

  /** Returns every open iterator. */
  closeIterators(): void {
    for (const close of this.notes?.iterators ?? []) close();
    this.notes?.iterators.clear();
    if (this.#writes !== undefined) this.#writes.iterators = 0;
  }

  /**
   * SQL is about to be prepared or run.
   * @throws TransactionManagedError where it would begin or end something in a transaction that Leasehold manages
   */
  noteSql(traits: SqlTraits): void {
    if (traits.plain) return;
    if (traits.transaction) {
      const level = this.managed?.here() ?? this.managed?.current;
      if (level !== undefined) {
        throw new TransactionManagedError(this.lease.pool, level.request.label ?? this.lease.label);
      }
      this.noteTransaction();
      // Without a WAL a COMMIT is kept from its end by those who read.
      if (this.connection.isRollbackJournal) this.#choosePatience(true);
    }
    if (traits.exclusive && !this.hasIterators) this.connection.beImpatient();
    if (traits.schema) {
      // While an iterator is open nothing can be set, nor run that would change a schema.
      if (!this.hasIterators) this.connection.wipeTemporary();
      this.#noted().mayHaveChangedSchema = true;
    }
    for (const setting of traits.settings) this.noteSetting(setting);
  }

  noteTransaction(): void {
    this.#noted().mayBeInTransaction = true;
  }

  noteSetting(setting: string): void {
    this.#noted().settings.add(setting);
    if (setting === 'pragma busy_timeout') this.connection.leavePatience();
  }

  /** What nobody has any more could not be rolled back: it would take in whatever is done next, and lose it. */
  noteStuck(cause: unknown): void {
    this.#stuck = { cause };
    this.lease.report(cause, 'Rolling back failed');
    this.lease.discard('failed rollback');
  }

  /** @throws TransactionAbortedError */
  refuseStuck(): void {
    if (this.#stuck !== undefined) {
      throw new TransactionAbortedError(this.lease.pool, this.lease.label, this.#stuck.cause);
    }
  }

  noteBroken(): void {
    this.#noted().broken = true;
  }

  noteIterator(close: () => void, writes: boolean): void {
    this.#noted().iterators.add(close);
    if (writes) this.#written().iterators++;
  }

  /** An iterator has come to its end. Says whether it was open. */
  forgetIterator(close: () => void, writes: boolean): boolean {
    if (this.notes?.iterators.delete(close) !== true) return false;
    if (writes) this.#written().iterators--;
    this.afterControl();
    return true;
  }

  /** Counts a backup until it settles. */
  async noteBackup<Result>(backup: Promise<Result>): Promise<Result> {
    const notes = this.#noted();
    notes.backups++;
    try {
      return await backup;
    } finally {
      notes.backups--;
      if (!this.lease.ended) this.lease.lastUsedAt = this.connection.clock.now();
    }
  }

  /** The lease has ended. Nothing is cleaned up yet. */
  end(): void {
    // Released from within a transaction function, which will COMMIT on this connection when it returns.
    if (this.running > 0) {
      this.noteTransaction();
      this.noteBroken();
    }
    if (this.isManaged) this.noteTransaction();
  }

  /** The clean-up is done. */
  cleaned(): void {
    this.managed?.leaseEnded();
    this.permit?.leave();
  }

  /**
   * Without a WAL a writer keeps readers out while it commits, and readers keep a writer from committing. Another
   * process's lock may be waited for; one that this process holds can not go away while it is waited for.
   */
  #choosePatience(writes: boolean): void {
    const { connection } = this;
    if (this.hasIterators) return;
    const { lane } = connection;
    // What is open will want to COMMIT.
    const commits = writes || this.running > 0 || this.permit !== undefined;
    const isOwnLock =
      (this.permit === undefined && lane.holder !== undefined) ||
      (commits && [...lane.users].some((user) => user !== this && user.isInTransaction()));
    if (isOwnLock || this.impatient) connection.beImpatient();
    else connection.bePatient();
  }

  /** Work of a synchronous transaction function that went on when its transaction was over would commit by itself. */
  #refuseEscaped(): void {
    for (let level = frames.getStore()?.level; level !== undefined; level = level.around) {
      if (level.owner === this && this.running === 0)
        throw new TransactionEndedError(this.lease.pool, this.lease.label);
    }
  }

  /** Whether a claim to the lane is kept until the end of the lease. */
  get keepsLane(): boolean {
    return this.#writes?.keepsLane === true;
  }

  keepLane(): void {
    this.#written().keepsLane = true;
  }

  #written(): Writes {
    this.#writes ??= { statements: 0, iterators: 0, keepsLane: false, awaiting: undefined };
    return this.#writes;
  }

  #noted(): Notes {
    this.notes ??= {
      mayBeInTransaction: false,
      mayHaveChangedSchema: false,
      settings: new Set(),
      iterators: new Set(),
      backups: 0,
      broken: false,
    };
    return this.notes;
  }
}

/** What SQLite says of a file that is not, or no longer, a whole database. */
function isDamage(error: unknown): boolean {
  return isError(error) && /^SQLITE_(?:CORRUPT|NOTADB)/.test(textOf(error, 'code') ?? '');
}
