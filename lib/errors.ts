import { formatHolders, formatWriteHolder, type HolderInfo, printable, type WriteHolder } from './holder.ts';

/** Base of every error that Leasehold makes. Branch on `code`; the data of a message is in the fields too. */
export abstract class LeaseholdError extends Error {
  /** Stable, literal, one for each class. */
  abstract readonly code: `ERR_LEASEHOLD_${string}`;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** An option or argument is unknown, misspelt, of the wrong type or out of range. */
export class OptionsError extends LeaseholdError {
  readonly code = 'ERR_LEASEHOLD_OPTIONS';
  /** Name of the option or argument. */
  readonly option: string;
  /** What was given. */
  readonly value: unknown;
  /** What would be allowed. */
  readonly allowed: string;

  constructor(option: string, value: unknown, allowed: string, hint = '') {
    super(
      `Option "${printable(option)}" is ${describeValue(value)}: expected ${allowed}.${hint === '' ? '' : ` ${hint}`}`,
    );
    this.option = option;
    this.value = value;
    this.allowed = allowed;
  }
}

/** A connection could not be opened. `cause` is the driver's error. */
export class OpenError extends LeaseholdError {
  readonly code = 'ERR_LEASEHOLD_OPEN';
  readonly pool: string;
  /** What was to be opened, for SQLite the absolute path of the file. */
  readonly target: string;

  constructor(pool: string, target: string, cause: unknown) {
    super(`Pool "${printable(pool)}" cannot open "${printable(target)}": ${describeCause(cause)}`, { cause });
    this.pool = pool;
    this.target = target;
  }
}

/** What a pool looked like when it had to refuse somebody. */
export interface Congestion {
  readonly pool: string;
  readonly max: number;
  readonly leased: number;
  readonly waiting: number;
  /** Who held connections, oldest first. */
  readonly holders: readonly HolderInfo[];
}

abstract class CongestionError extends LeaseholdError implements Congestion {
  readonly pool: string;
  readonly max: number;
  readonly leased: number;
  readonly waiting: number;
  readonly holders: readonly HolderInfo[];

  constructor(message: string, congestion: Congestion, options?: ErrorOptions) {
    super(message, options);
    this.pool = congestion.pool;
    this.max = congestion.max;
    this.leased = congestion.leased;
    this.waiting = congestion.waiting;
    this.holders = congestion.holders;
  }
}

/** No connection came free before the deadline. `cause` is the last failure to open one, if there was any. */
export class AcquireTimeoutError extends CongestionError {
  readonly code = 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT';
  /** The timeout that ran out, in milliseconds. */
  readonly timeout: number;
  /** Label of the waiter. */
  readonly label: string | undefined;
  /** Whether every lease was held by a scope that itself waited for this pool. */
  readonly suspectedDeadlock: boolean;

  constructor(
    timeout: number,
    label: string | undefined,
    congestion: Congestion,
    suspectedDeadlock: boolean,
    options?: ErrorOptions,
  ) {
    const who = label === undefined ? '' : ` for "${printable(label)}"`;
    const deadlock = suspectedDeadlock
      ? '\n  Suspected deadlock: every lease is held by a scope that itself waits for a connection of this pool.'
      : '';
    const opening =
      options?.cause === undefined ? '' : `\n  Opening a connection failed: ${describeCause(options.cause)}`;
    super(
      `Timed out after ${Math.round(timeout)} ms waiting for a connection of "${printable(congestion.pool)}"${who} ` +
        `(${congestion.leased} of ${congestion.max} in use, ${congestion.waiting} waiting).` +
        formatHolders(congestion.holders) +
        deadlock +
        opening,
      congestion,
      options,
    );
    this.timeout = timeout;
    this.label = label;
    this.suspectedDeadlock = suspectedDeadlock;
  }
}

/** `maxWaiting` are waiting already: for a connection, or for the write lane. */
export class QueueFullError extends CongestionError {
  readonly code = 'ERR_LEASEHOLD_QUEUE_FULL';
  /** Who holds the write lane, where that is what they wait for. */
  readonly holder: WriteHolder | undefined;

  constructor(congestion: Congestion, holder?: WriteHolder) {
    const [queue, state] =
      holder === undefined ? ['queue', ` (${congestion.leased} of ${congestion.max} in use)`] : ['write lane', ''];
    super(
      `The ${queue} of "${printable(congestion.pool)}" is full: ${congestion.waiting} are waiting${state}. ` +
        'Shed load, or raise "maxWaiting".' +
        (holder === undefined ? formatHolders(congestion.holders) : formatWriteHolder(holder)),
      congestion,
    );
    this.holder = holder;
  }
}

/** Newest waiter of a suspected deadlock, refused because `onDeadlock` is `'reject'`. */
export class DeadlockError extends CongestionError {
  readonly code = 'ERR_LEASEHOLD_DEADLOCK';

  constructor(congestion: Congestion) {
    super(
      `Suspected deadlock in "${printable(congestion.pool)}": every lease is held by a scope that itself waits for ` +
        'a connection of this pool. Use the connection the scope already has, or take both before either is needed.' +
        formatHolders(congestion.holders),
      congestion,
    );
  }
}

/** The pool is closed, or was closed while the caller waited. */
export class ClosedError extends LeaseholdError {
  readonly code = 'ERR_LEASEHOLD_CLOSED';
  readonly pool: string;

  constructor(pool: string) {
    super(`Pool "${printable(pool)}" is closed.`);
    this.pool = pool;
  }
}

/** Why a lease ended other than by its holder's release. */
export type LeaseEnd = 'released' | 'scope' | 'transaction' | 'closed' | 'overdue' | 'dropped';

const ends: Record<Exclude<LeaseEnd, 'scope' | 'transaction'>, string> = {
  released: 'was released',
  closed: 'was taken away when the pool closed',
  overdue: 'was taken away by closeOverdue()',
  dropped: 'was recovered after its handle had been dropped',
};

/** A handle, statement or iterator was used after its lease had ended. */
export class ReleasedError extends LeaseholdError {
  readonly code = 'ERR_LEASEHOLD_RELEASED';
  readonly pool: string;
  /** Number of the lease that ended. */
  readonly lease: number;
  readonly label: string | undefined;
  /** How it ended. */
  readonly end: LeaseEnd;
  /** Stack of the release. Captured only while `leakThreshold` is finite; the stack of the use is `stack`. */
  readonly releaseStack: string | undefined;

  constructor(
    pool: string,
    lease: number,
    label: string | undefined,
    end: Exclude<LeaseEnd, 'scope' | 'transaction'>,
    releaseStack?: string,
  ) {
    super(
      `Lease #${lease}${label === undefined ? '' : ` "${printable(label)}"`} of "${printable(pool)}" ${ends[end]}; ` +
        'its handle, statements and iterators can not be used any more. Take a new lease, or keep this one until the work is done.' +
        (releaseStack === undefined ? '' : `\n  It ended${releaseStack.replace(/^[^\n]*/, '')}`),
    );
    this.pool = pool;
    this.lease = lease;
    this.label = label;
    this.end = end;
    this.releaseStack = releaseStack;
  }
}

/** Work that outlived its scope asked for the scope's connection. */
export class ScopeEndedError extends LeaseholdError {
  readonly code = 'ERR_LEASEHOLD_SCOPE_ENDED';
  readonly pool: string;
  /** Number of the scope that ended. */
  readonly scope: number;
  readonly label: string | undefined;

  constructor(pool: string, scope: number, label: string | undefined) {
    super(
      `Scope #${scope}${label === undefined ? '' : ` "${printable(label)}"`} of "${printable(pool)}" has ended, and its connection ` +
        'went back. Await all work inside the scope, or give work that outlives it a withConnection() of its own.',
    );
    this.pool = pool;
    this.scope = scope;
    this.label = label;
  }
}

/** `pool.db` was used where no connection is bound. */
export class NoConnectionError extends LeaseholdError {
  readonly code = 'ERR_LEASEHOLD_NO_CONNECTION';
  readonly pool: string;

  constructor(pool: string, inScope: boolean) {
    super(
      inScope
        ? `This scope of "${printable(pool)}" holds no connection yet. Call "await pool.connection()" first, or wrap the code in pool.withConnection().`
        : `No scope of "${printable(pool)}" is active here. Wrap the code in pool.withConnection(), or use "await using db = await pool.acquire()".`,
    );
    this.pool = pool;
  }
}

/** `pool.connection()` was called outside every scope. */
export class NoScopeError extends LeaseholdError {
  readonly code = 'ERR_LEASEHOLD_NO_SCOPE';
  readonly pool: string;

  constructor(pool: string) {
    super(
      `No scope of "${printable(pool)}" is active here, so there is nothing to bind a connection to. ` +
        'Open one with pool.withScope() or pool.withConnection(), or use "await using db = await pool.acquire()".',
    );
    this.pool = pool;
  }
}

/** This Node.js is too old to run Leasehold. Thrown on import, before a native module is loaded. */
export class RuntimeError extends LeaseholdError {
  readonly code = 'ERR_LEASEHOLD_RUNTIME';

  constructor(found: string, needed: string) {
    super(
      `Leasehold needs Node.js ${needed} or newer; this is ${found}. better-sqlite3 13 crashes without a message on older ones.`,
    );
  }
}

/** The caller's signal was aborted. Shaped as Node's own: `name` and `code` as there, `cause` is the signal's reason. */
export class AbortError extends Error {
  override readonly name = 'AbortError';
  readonly code = 'ABORT_ERR';

  constructor(signal: AbortSignal) {
    super('The operation was aborted', { cause: signal.reason });
  }
}

/** A value in a message: its kind, and the text only where it is short and plain. */
function describeValue(value: unknown): string {
  if (typeof value === 'string') {
    return value.length <= 60 ? printable(JSON.stringify(value)) : `a string of ${value.length} characters`;
  }
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'symbol') return 'a symbol';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object' && value !== null) return 'an object';
  return String(value);
}

export function describeCause(cause: unknown): string {
  if (!(cause instanceof Error)) return describeValue(cause);
  const code = 'code' in cause && typeof cause.code === 'string' ? ` (${cause.code})` : '';
  return `${printable(cause.message)}${code}`;
}
