import { type LateWaiter, queueOf, unblock, wasBlocked } from './congestion-errors.ts';
import { describeCause, describeKind, LeaseholdError } from './errors.ts';
import type { WriteHolder } from './holder.ts';
import { formatWriteHolder, nameOf, printable } from './wording.ts';

/** A write where only reading is allowed: in `read()`, or in a pool that was opened read-only. */
export class ReadOnlyError extends LeaseholdError {
  readonly code = 'ERR_LEASEHOLD_READ_ONLY';
  readonly pool: string;
  readonly label: string | undefined;

  constructor(pool: string, label: string | undefined, where: 'read' | 'pool') {
    super(
      where === 'pool'
        ? `Pool "${printable(pool)}" is read-only. Use read(), or make the pool without "readonly".`
        : `${nameOf('The snapshot', label, pool)} can not write: it was begun by read(). Begin with transaction() ` +
            "instead, or write in a transaction of its own with nesting: 'separate'.",
    );
    this.pool = pool;
    this.label = label;
  }
}

/** Somebody in this process holds the write lane, and a synchronous write can not wait. */
export class WriteLockedError extends LeaseholdError {
  readonly code = 'ERR_LEASEHOLD_WRITE_LOCKED';
  readonly pool: string;
  /** Who holds the lane, `undefined` where nobody does and the pool is strict about it. */
  readonly holder: WriteHolder | undefined;

  constructor(pool: string, holder: WriteHolder | undefined, reason: 'held' | 'strict' | 'own') {
    const sentence = {
      held: `A synchronous write to "${printable(pool)}" would block the event loop, because another holder is writing.`,
      strict: `Pool "${printable(pool)}" allows writes only in a transaction or a write scope ("strictWrites").`,
      own:
        `A write to "${printable(pool)}" on another connection can never begin here: it would wait for the ` +
        'transaction or write scope around it.',
    }[reason];
    const remedy =
      reason === 'own'
        ? 'Write on the connection of that transaction, or after it has ended.'
        : 'Use "await pool.transaction(fn)" or "await pool.run(sql)", which wait their turn, or take the connection with { write: true }.';
    super(`${sentence} ${remedy}${holder === undefined ? '' : formatWriteHolder(holder)}`);
    this.pool = pool;
    this.holder = holder;
  }
}

/**
 * A transaction or statement could not begin, or not commit, before its deadline, because somebody else was writing: a
 * holder in this process; or another process, then `cause` is SQLite's error.
 */
export class WriteTimeoutError extends LeaseholdError implements LateWaiter {
  readonly code = 'ERR_LEASEHOLD_WRITE_TIMEOUT';
  readonly pool: string;
  readonly timeout: number;
  readonly label: string | undefined;
  readonly position: number | undefined;
  readonly lateBy: number;
  /** Who holds the write lane, `undefined` where nobody in this process was in the way. */
  readonly holder: WriteHolder | undefined;
  /** How many wait for the lane. */
  readonly waiting: number;

  constructor(
    pool: string,
    waiter: LateWaiter,
    { holder, waiting }: { readonly holder: WriteHolder | undefined; readonly waiting: number },
    options?: ErrorOptions,
  ) {
    const { timeout, label, position, lateBy } = waiter;
    const who = label === undefined ? '' : ` for "${printable(label)}"`;
    const isElsewhere = options?.cause !== undefined;
    super(
      `Timed out after ${Math.round(timeout)} ms waiting ${isElsewhere ? 'for a lock on' : 'to write to'} ` +
        `"${printable(pool)}"${who} (${queueOf(waiting, position)}).` +
        (holder === undefined ? '' : formatWriteHolder(holder)) +
        (isElsewhere ? elsewhere(options.cause) : remedyFor(holder, waiter)),
      options,
    );
    this.pool = pool;
    this.timeout = timeout;
    this.label = label;
    this.position = position;
    this.lateBy = lateBy;
    this.holder = holder;
    this.waiting = waiting;
  }
}

function elsewhere(cause: unknown): string {
  return (
    `\n  The lock is held outside of this pool, by another process most likely: ${describeCause(cause)}` +
    '\n  What to do: find who else has the file open, and have it commit sooner; or wait longer.'
  );
}

function remedyFor(holder: WriteHolder | undefined, waiter: LateWaiter): string {
  if (wasBlocked(waiter)) return `\n  What to do: ${unblock(waiter)}`;
  if (holder === undefined)
    return '\n  What to do: if this happens without load, find out why opening the file takes so long; else wait longer.';
  const stacks =
    (holder.stack ?? holder.lease?.stack) === undefined
      ? ' Set "leakThreshold" to see here where the holder asked for it.'
      : '';
  return (
    '\n  What to do: look at what the holder awaits while it may write, and do that before or after; or wait longer.' +
    stacks
  );
}

/** Why a transaction was busy: with what a statement, a new transaction or its own end can not go along. */
export type TransactionBusyReason = 'other branch' | 'unfinished' | 'occupied' | 'timeout' | 'not begun';

/** Another branch of the same scope has a transaction open on this connection, or something in it is not finished. */
export class TransactionBusyError extends LeaseholdError {
  readonly code = 'ERR_LEASEHOLD_TRANSACTION_BUSY';
  readonly pool: string;
  /** Label of the transaction that is open. */
  readonly label: string | undefined;
  readonly reason: TransactionBusyReason;

  constructor(pool: string, label: string | undefined, reason: TransactionBusyReason, detail = '') {
    const transaction = nameOf('transaction', label, pool);
    super(
      {
        'other branch':
          `This connection is in ${transaction}, begun by another branch of the code; the statement would become part ` +
          'of it. Await that transaction first, or use a connection of your own.',
        unfinished:
          `The function of ${transaction} has returned while ${detail} in it. It is rolled back rather than half ` +
          'committed. Await everything that is started inside.',
        occupied:
          `No transaction can begin on this connection of "${printable(pool)}": ${detail}. End that first, or begin with ` +
          "nesting: 'separate'.",
        'not begun': `A statement came before ${transaction} has begun. Await its "begun" first.`,
        timeout: `Timed out after ${detail} ms waiting for ${transaction} on the same connection to end.`,
      }[reason],
    );
    this.pool = pool;
    this.label = label;
    this.reason = reason;
  }
}

/** Work that outlived its transaction tried to go on. It is refused, because it would commit by itself. */
export class TransactionEndedError extends LeaseholdError {
  readonly code = 'ERR_LEASEHOLD_TRANSACTION_ENDED';
  readonly pool: string;
  readonly label: string | undefined;

  constructor(pool: string, label: string | undefined) {
    super(
      `${nameOf('Transaction', label, pool)} has ended; what is left of its work can not go on without it. Await all work ` +
        'inside the transaction, or give work that outlives it a transaction of its own.',
    );
    this.pool = pool;
    this.label = label;
  }
}

/**
 * The transaction can not be committed any more: the database has rolled it back by itself, or a part of it has failed
 * that can not be undone alone. `cause` is the first error.
 */
export class TransactionAbortedError extends LeaseholdError {
  readonly code = 'ERR_LEASEHOLD_TRANSACTION_ABORTED';
  readonly pool: string;
  readonly label: string | undefined;

  constructor(pool: string, label: string | undefined, cause: unknown) {
    super(
      `${nameOf('Transaction', label, pool)} was aborted, and nothing of it will be kept, because of its "cause": ${describeKind(cause)}`,
      { cause },
    );
    this.pool = pool;
    this.label = label;
  }
}

/** Raw BEGIN, COMMIT, ROLLBACK, SAVEPOINT or RELEASE inside a transaction that Leasehold manages. */
export class TransactionManagedError extends LeaseholdError {
  readonly code = 'ERR_LEASEHOLD_TRANSACTION_MANAGED';
  readonly pool: string;
  readonly label: string | undefined;

  constructor(pool: string, label: string | undefined) {
    super(
      `${nameOf('Transaction', label, pool)} is managed, so SQL can not begin or end anything in it. To commit, return; to ` +
        'roll back, throw; for a savepoint, nest transaction().',
    );
    this.pool = pool;
    this.label = label;
  }
}

/**
 * The connection was lost while COMMIT was under way, so nobody can tell whether the transaction was committed. It is not run
 * again by `retries`. `cause` is what became of the connection.
 */
export class CommitUnknownError extends LeaseholdError {
  readonly code = 'ERR_LEASEHOLD_COMMIT_UNKNOWN';
  readonly pool: string;
  readonly label: string | undefined;

  constructor(pool: string, label: string | undefined, cause: unknown) {
    super(
      `${nameOf('Transaction', label, pool)} may have been committed or not: its connection was lost before the answer came. ` +
        'Look whether what it wrote is there before it is done again.',
      { cause },
    );
    this.pool = pool;
    this.label = label;
  }
}
