import { describeCause, LeaseholdError } from './errors.ts';
import type { HolderInfo, WriteHolder } from './holder.ts';
import { formatCount, formatDuration, formatHolders, formatWriteHolder, printable } from './wording.ts';

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

/** Who gave up waiting. */
export interface LateWaiter {
  /** The timeout that ran out, in milliseconds. */
  readonly timeout: number;
  readonly label: string | undefined;
  /**
   * Its place in the queue, from 1. `undefined` in a queue of more than 5000, where it would cost too much to tell, and where
   * there is no queue: at another process's lock, or while the file is opened.
   */
  readonly position: number | undefined;
  /**
   * Milliseconds from its deadline until the event loop came to it. Where that is long, something blocked the loop: most
   * likely that is why it waited in vain.
   */
  readonly lateBy: number;
}

// Milliseconds. What is less, or a smaller part of the timeout than a tenth, can not be why somebody waited in vain.
const leastBlocked = 100;

/** Whether the loop was blocked for so long that this is the first thing to look at. */
export function wasBlocked({ lateBy, timeout }: LateWaiter): boolean {
  return lateBy >= Math.max(leastBlocked, timeout / 10);
}

/** What to do where the loop was blocked. */
export function unblock({ lateBy }: LateWaiter): string {
  return (
    `the event loop was blocked, and came to this ${formatDuration(lateBy)} late: look for a synchronous query, or other ` +
    'work, that takes so long.'
  );
}

const ring = 'every lease is held by a scope that itself waits for a connection of this pool, or for one who does';

/** No connection came free before the deadline. `cause` is the last failure to open one, if there was any. */
export class AcquireTimeoutError extends CongestionError implements LateWaiter {
  readonly code = 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT';
  readonly timeout: number;
  readonly label: string | undefined;
  readonly position: number | undefined;
  readonly lateBy: number;
  /** Whether every lease was held by a scope that itself waited for a connection of this pool, or for one who did. */
  readonly suspectedDeadlock: boolean;

  constructor(
    waiter: LateWaiter,
    congestion: Congestion,
    { suspectedDeadlock, isReserve }: { readonly suspectedDeadlock: boolean; readonly isReserve: boolean },
    options?: ErrorOptions,
  ) {
    const { timeout, label, position, lateBy } = waiter;
    const deadlock = suspectedDeadlock ? `\n  Suspected deadlock: ${ring}.` : '';
    const opening =
      options?.cause === undefined
        ? ''
        : `\n  The last attempt to get a connection ready failed: ${describeCause(options.cause)}`;
    super(
      `Timed out after ${Math.round(timeout)} ms waiting for ` +
        `${isReserve ? 'the connection for writers' : 'a connection'} of "${printable(congestion.pool)}"` +
        `${labelled(label)} (${congestion.leased} of ${congestion.max} in use, ${queueOf(congestion.waiting, position)}).` +
        formatHolders(congestion.holders) +
        deadlock +
        opening +
        remedyFor(congestion, waiter, suspectedDeadlock),
      congestion,
      options,
    );
    this.timeout = timeout;
    this.label = label;
    this.position = position;
    this.lateBy = lateBy;
    this.suspectedDeadlock = suspectedDeadlock;
  }
}

function remedyFor(congestion: Congestion, waiter: LateWaiter, suspectedDeadlock: boolean): string {
  const remedy = suspectedDeadlock
    ? 'use the connection that the scope has already, or take all that it needs before it does anything else.'
    : remedyWithoutDeadlock(congestion, waiter);
  return `\n  What to do: ${remedy}${stackHint(congestion.holders)}`;
}

function remedyWithoutDeadlock({ holders, leased, max }: Congestion, waiter: LateWaiter): string {
  if (wasBlocked(waiter)) return unblock(waiter);
  if (leased < max) {
    return (
      'not all connections are in use, so find out what keeps the others from being opened or handed on: the database, or ' +
      'a hook.'
    );
  }
  // For most of the wait: they are more likely to have forgotten their connections than to need them.
  const idlers = holders.filter(({ idleFor }) => idleFor >= waiter.timeout / 2).map(({ id }) => `#${id}`);
  if (idlers.length === 0) return 'all holders are at work: shorten what they do, raise "max", or wait longer.';
  return (
    `${list(idlers)} ${idlers.length === 1 ? 'has' : 'have'} not used the connection for most of that time: look there ` +
    'for a release that is missing, or for slow work between two statements.'
  );
}

function stackHint(holders: readonly HolderInfo[]): string {
  const isMissing = holders.length > 0 && holders.every(({ stack }) => stack === undefined);
  return isMissing ? ' Set "leakThreshold" to see here where each lease was acquired.' : '';
}

/** `#1`, `#1 and #2`, `#1, #2, #3 and 5 more`. */
function list(items: readonly string[]): string {
  const shown = items.length <= 3 ? items : [...items.slice(0, 3), `${items.length - 3} more`];
  return shown.length === 1 ? `${shown[0]}` : `${shown.slice(0, -1).join(', ')} and ${shown.at(-1)}`;
}

function labelled(label: string | undefined): string {
  return label === undefined ? '' : ` for "${printable(label)}"`;
}

/** `12 waiting, this one as number 3`. */
export function queueOf(waiting: number, position: number | undefined): string {
  return `${waiting} waiting${position === undefined ? '' : `, this one as number ${position}`}`;
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
        `Shed load, or raise "maxWaiting".${stackHint(congestion.holders)}` +
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
      `Suspected deadlock in "${printable(congestion.pool)}": ${ring}. ` +
        'Use the connection the scope already has, or take both before either is needed.' +
        formatHolders(congestion.holders),
      congestion,
    );
  }
}

/** `assertIdle()` found somebody who holds a connection or waits for one. */
export class NotIdleError extends CongestionError {
  readonly code = 'ERR_LEASEHOLD_NOT_IDLE';

  constructor(congestion: Congestion) {
    const { pool, leased, waiting, holders } = congestion;
    const waiters = waiting === 0 ? '' : `, ${formatCount(waiting, 'acquire')} waiting`;
    super(
      `Pool "${printable(pool)}" is not idle: ${formatCount(leased, 'lease')} not given back${waiters}. Await all work, ` +
        `and release each lease, before this.${stackHint(holders)}${formatHolders(holders, Infinity)}`,
      congestion,
    );
  }
}
