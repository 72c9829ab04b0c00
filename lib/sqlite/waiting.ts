import type { Cancellations } from '../cancellations.ts';
import type { Clock } from '../clock.ts';
import { QueueFullError } from '../congestion-errors.ts';
import { frames } from '../context.ts';
import type { LeaseControl } from '../driver.ts';
import { AbortError, ClosedError, isError, textOf } from '../errors.ts';
import { joinSignals, type ScopeRef, type WaitRequest } from '../holder.ts';
import { endsOf, type Interrupts, pause } from '../pause.ts';
import type { Refusal } from '../pool/ledger.ts';
import { WriteLockedError, WriteTimeoutError } from '../transaction-errors.ts';
import { deadlineOf } from '../turnstile.ts';
import type { LaneEntry, WriteLane } from './lane.ts';

// First pause between two attempts at a lock that another process holds, doubled up to the longest, each cut by up to
// a half at random, so that processes do not go in step.
const firstPause = 2;
const longestPause = 10;

// Who waits for the lock in another process tries from a timer, too, and would hardly ever find it free while the lane
// here hands on without a pause. So where others have been met lately, the lane rests from time to time.
const restEvery = 100;
const rest = 10;
const remembered = 10_000;

/** What all who wait in one pool have in common. */
export interface WaitSettings {
  /** Name of the pool. */
  readonly pool: string;
  readonly maxWaiting: number;
  /** Somebody queues for the lane; `waiting` counts him too. */
  readonly onWait: (request: Pick<WaitRequest, 'label' | 'scope'>, waiting: number) => void;
  /** He is in. */
  readonly onEntered: (waited: number) => void;
  /** A wait has ended without what was waited for. Durations are milliseconds. */
  readonly onRefused: (error: unknown, label: string | undefined, waited: number) => void;
}

/**
 * Waits until `entry` is in the lane.
 * @throws WriteTimeoutError, QueueFullError, AbortError; WriteLockedError where its turn could never come
 */
export async function enterLane(
  lane: WriteLane,
  entry: LaneEntry,
  request: WaitRequest,
  { pool, maxWaiting, onWait, onEntered, onRefused }: WaitSettings,
  clock: Clock,
  ends: readonly Cancellations[],
  waitingScope: ScopeRef | undefined = request.scope,
): Promise<void> {
  const { label, signal, priority, timeout, since, scope } = request;
  const timeoutError = (position: number | undefined, lateBy: number) => {
    const state = { holder: lane.holder?.describe(), waiting: lane.waiting };
    return new WriteTimeoutError(pool, { timeout, label, position, lateBy }, state);
  };
  const deadline = deadlineOf(since, timeout, clock);
  const turn = {
    holder: entry,
    signal,
    priority,
    timeout: deadline.timeout,
    since: deadline.since,
    scope: undefined,
    timeoutError,
  };
  try {
    if (signal?.aborted) throw new AbortError(signal);
    const { holder } = lane;
    if (holder !== undefined && isAround(holder)) throw new WriteLockedError(pool, holder.describe(), 'own');
    if (holder !== undefined && lane.waiting >= maxWaiting) {
      throw new QueueFullError({ pool, max: 1, leased: 1, waiting: lane.waiting, holders: [] }, holder.describe());
    }
    const all = scope === undefined ? ends : endsOf({ scope }, ...ends);
    const entering = lane.enter(turn, all);
    const noLonger = lane.waiting > 0 ? waitIn(lane, waitingScope) : undefined;
    try {
      if (noLonger !== undefined) onWait({ label, scope: waitingScope }, lane.waiting);
      await entering;
    } finally {
      noLonger?.();
    }
    onEntered(clock.now() - since);
    if (lane.metOthersAt !== -Infinity && needsRest(lane, clock.now()))
      await restIn(lane, entry, clock, { signal, ends: all });
  } catch (error) {
    if (!(error instanceof TurnShared)) onRefused(error, label, clock.now() - since);
    throw error;
  }
}

/** Notes that somebody in a scope waits for the lane. What is returned takes that back. */
function waitIn({ waitingScopes }: WriteLane, scope: ScopeRef | undefined): () => void {
  if (scope === undefined || waitingScopes === undefined) return () => {};
  waitingScopes.set(scope, (waitingScopes.get(scope) ?? 0) + 1);
  return () => {
    const left = (waitingScopes.get(scope) ?? 1) - 1;
    if (left === 0) waitingScopes.delete(scope);
    else waitingScopes.set(scope, left);
  };
}

function needsRest(lane: WriteLane, now: number): boolean {
  if (now - lane.metOthersAt > remembered || now - lane.restedAt < restEvery) return false;
  lane.restedAt = now;
  return true;
}

/** Keeps the lane without using it. */
async function restIn(lane: WriteLane, entry: LaneEntry, clock: Clock, interrupts: Interrupts): Promise<void> {
  try {
    await pause(clock, rest, interrupts);
  } catch (error) {
    lane.leave(entry);
    throw error;
  }
}

/** Ends a wait whose aim another wait of the same session has reached. */
export class TurnShared extends Error {}

/** Whether the present code runs inside what `entry` holds the lane for, and so can not wait for its end. */
function isAround(entry: LaneEntry): boolean {
  return isInside((owner, scope) => entry.isAround(owner, scope));
}

/** Whether the present code runs in a transaction or in a scope of which `is` says so. */
export function isInside(is: (owner: object | undefined, scope: ScopeRef | undefined) => boolean): boolean {
  const innermost = frames.getStore();
  for (let level = innermost?.level; level !== undefined; level = level.around) {
    if (!level.ended && is(level.owner, undefined)) return true;
  }
  for (let frame = innermost; frame !== undefined; frame = frame.next) {
    for (let scope = frame.ref; scope !== undefined; scope = scope.parent) {
      if (is(undefined, scope)) return true;
    }
  }
  return false;
}

/** What a wait for another process's lock needs to know. */
export interface Locked {
  readonly lease: LeaseControl;
  readonly clock: Clock;
  readonly settings: WaitSettings;
  readonly lane: WriteLane;
  /** Waits that end with the lease. */
  readonly ends: Cancellations;
}

/**
 * Tries at once, then from a timer while another process holds the lock, until the deadline of the request; with
 * `afresh`, until as long after now.
 */
export function untilUnlocked<Result, Subject>(
  attempt: () => Result,
  request: WaitRequest,
  subject: Subject,
  lockedOf: (subject: Subject) => Locked,
  afresh = false,
): Result | Promise<Result> {
  try {
    return attempt();
  } catch (error) {
    if (!isLocked(error)) throw error;
    const locked = lockedOf(subject);
    return retry(attempt, afresh ? { ...request, since: locked.clock.now() } : request, locked, error);
  }
}

async function retry<Result>(
  attempt: () => Result,
  { label, signal, timeout, since, scope }: WaitRequest,
  { lease, clock, settings, lane, ends }: Locked,
  firstError: unknown,
): Promise<Result> {
  const interrupts = { signal: joinSignals(signal, lease.signal), ends: endsOf({ scope }, ends) };
  let busy = firstError;
  lane.metOthersAt = clock.now();
  for (let delay = firstPause; ; delay = Math.min(delay * 2, longestPause)) {
    const left = since + timeout - clock.now();
    if (left <= 0) {
      const state = { holder: undefined, waiting: lane.waiting };
      const waiter = { timeout, label: label ?? lease.label, position: undefined, lateBy: -left };
      const error = new WriteTimeoutError(settings.pool, waiter, state, { cause: busy });
      settings.onRefused(error, label ?? lease.label, clock.now() - since);
      throw error;
    }
    try {
      await pause(clock, Math.min(left, delay * (1 - Math.random() / 2)), interrupts);
    } catch (error) {
      settings.onRefused(error, label ?? lease.label, clock.now() - since);
      throw error;
    }
    // The pause may have been over in the same step in which the lease ended.
    if (lease.ended) throw lease.endedError();
    try {
      return attempt();
    } catch (error) {
      if (!isLocked(error)) throw error;
      busy = error;
    }
  }
}

/** Whether another connection holds a lock that it will give up in time. A stale snapshot stays stale. */
function isLocked(error: unknown): boolean {
  return codeOf(error).startsWith('SQLITE_BUSY') && codeOf(error) !== 'SQLITE_BUSY_SNAPSHOT';
}

/** Whether a transaction failed for a lock, so that to run it once more from the start may help. */
export function isLockFailure(error: unknown): boolean {
  if (isError(error) && error instanceof WriteTimeoutError) return error.cause !== undefined;
  return codeOf(error).startsWith('SQLITE_BUSY');
}

function codeOf(error: unknown): string {
  return isError(error) ? (textOf(error, 'code') ?? '') : '';
}

/** What a wait that ended in vain counts as, `undefined` for nothing. */
export function refusalOf(error: unknown): Refusal | undefined {
  if (error instanceof WriteTimeoutError) return 'timeouts';
  if (error instanceof QueueFullError) return 'refused';
  // A pool that closes counts nobody; a write that could never begin has not waited.
  return error instanceof ClosedError || error instanceof WriteLockedError ? undefined : 'aborted';
}
