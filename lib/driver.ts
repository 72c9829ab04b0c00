import type { HolderInfo, LeaseMode, ScopeRef } from './holder.ts';

/**
 * What a database offers the pool. The pool knows nothing else about it: no SQL, no file, no server.
 *
 * One connection serves at most one lease at a time, so a driver may keep the state of the current
 * checkout on its connection object, between `lend` and `reclaim`.
 */
export interface Driver<Connection extends object, Handle extends object> {
  /** What is opened, for messages: a path, a URL without its secrets. */
  readonly target: string;

  /** Most connections that can be open at once; `Infinity` where the database sets no bound. */
  readonly limit: number;

  /**
   * Whether the pool may open one connection beside its `max`, which only the driver's own pool lends: SQLite's write
   * lane has it. None, unless said.
   */
  readonly hasReserve?: boolean;

  /**
   * Opens one connection. Must not wait for a lock; it throws instead, and `isTransient` says whether
   * another try may help.
   *
   * @param onLost to be called, with the reason in words, should the connection be lost afterwards. The pool then lends it to
   * nobody
   * @param signal aborted when nobody waits for it any more. One that comes all the same is closed
   */
  open(onLost: (reason: string) => void, signal: AbortSignal): Connection | PromiseLike<Connection>;

  /** Whether opening failed for a reason that may pass by itself, such as a lock held elsewhere. */
  isTransient(error: unknown): boolean;

  /**
   * Why this connection no longer leads to what would be opened now, in words: of SQLite, because the file was replaced.
   * `undefined` where it does. Asked of each open connection, at most once a second.
   */
  outdated?(connection: Connection): string | undefined;

  /**
   * After how many milliseconds without use a connection is asked by `validate` whether it is still there, before anybody
   * gets it. Never, unless said.
   */
  readonly validateAfter?: number;

  /** Rejects where the connection is of no use any more. It is closed then. */
  validate?(connection: Connection): PromiseLike<void>;

  /** Makes the handle of one checkout. It must refuse every use once `lease.ended` is true. */
  lend(connection: Connection, lease: LeaseControl): Handle;

  /**
   * Ends the checkout: stops what still runs, rolls back what is open, and tells what the holder left
   * behind, `undefined` when nothing. Never throws. Called after `lease.ended` turned true.
   */
  reclaim(connection: Connection): Residue | undefined | PromiseLike<Residue | undefined>;

  /** Whether a transaction is open now. */
  isInTransaction(connection: Connection): boolean;

  /** Whether something that the holder has started goes on without further calls: a backup. */
  isWorking?(connection: Connection): boolean;

  /**
   * Whether code in the scope of a lease waits for something beside the pool which will come only when somebody else has got
   * a connection from it: of SQLite, for its turn to write. Such a scope will give nothing back by itself.
   */
  isBlocked?(lease: LeaseControl): boolean;

  /**
   * Bytes of log that the database can not reclaim while the transaction of this connection is open. `undefined` where none
   * is, or it can not be told. Asked for reports of leaks only.
   */
  pinnedBytes?(connection: Connection): number | undefined;

  /** Closes the connection. May throw; the pool reports it and forgets the connection all the same. */
  close(connection: Connection): void | PromiseLike<void>;
}

/** What a holder left on its connection. */
export interface Residue {
  /** What was found, in words: `open transaction`, `pragma`, `user function`. Reported as `dirty`. */
  readonly traces: readonly string[];
  /** Whether the connection is clean again. If not, it is discarded. */
  readonly reusable: boolean;
  /** Failures while cleaning up. Each is reported as `error`. */
  readonly errors: readonly unknown[];
  /** Why it is not clean, where the traces do not say so. */
  readonly reason?: string;
}

/**
 * Whether a transaction that may span `await` was begun on a lease. It was lost if one was open when the lease ended: what
 * is left of it must not go on elsewhere.
 */
export type TransactionHistory = 'none' | 'had' | 'lost';

/** What a lease offers the handle that stands for it. */
export interface LeaseControl {
  /** Name of the pool. */
  readonly pool: string;
  readonly poolId: number;
  readonly label: string | undefined;
  /** The scope that holds it. */
  readonly scope: ScopeRef | undefined;
  /** True from the moment of release. Checked before every use of the connection. */
  readonly ended: boolean;
  /** Written by the handle. */
  transactions: TransactionHistory;
  /** Whether it is the one of its scope, rather than one that code in the scope took for itself. */
  readonly isBound: boolean;
  /** What it is for at present. Written by the handle. */
  mode: LeaseMode;
  /** Aborted: every further use throws. */
  readonly signal: AbortSignal | undefined;
  /** Text of the statement that ran last, without what was bound to it. Written by the handle, and shown only on demand. */
  lastSql: string | undefined;
  /** Time of the pool's clock at which the holder last used the connection. Written by the handle. */
  lastUsedAt: number;
  /** The error for a use after the end: `ERR_LEASEHOLD_RELEASED` or `ERR_LEASEHOLD_SCOPE_ENDED`. */
  endedError(): Error;
  /** Gives the connection back. A second call is a no-op, and counted. */
  release(): void | Promise<void>;
  /** Has the connection closed instead of pooled when it comes back. */
  discard(reason: string): void;
  /** Who holds it, for the messages of others. */
  describe(): HolderInfo;
  /** Reports a failure that no caller can be told of. */
  report(error: unknown, context: string): void;
}

/** What a hook on a lease is told about the connection. Durations are milliseconds. */
export interface ConnectionInfo {
  /** Time since the connection was opened. */
  readonly age: number;
  /** Time since it was last used by a holder. */
  readonly idleFor: number;
  /** Leases it has served: in `onAcquire` those before, in `onRelease` the one that has just ended too. */
  readonly uses: number;
}
