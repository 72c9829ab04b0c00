import { AsyncLocalStorage } from 'node:async_hooks';
import type { LeaseControl } from './driver.ts';
import type { ScopeRef } from './holder.ts';

/** A transaction, or a part of one, as the async context of its function carries it. */
export interface ContextLevel {
  /** Whose transaction it is: the connection's, as its present holder has it. */
  readonly owner: object;
  /** What the context carried before: of this connection or of another. Those that are over are left out. */
  around: ContextLevel | undefined;
  /** Whether its statements are refused by now. */
  readonly ended: boolean;
  readonly lease: LeaseControl;
  /** Aborted: its statements throw. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * What the async context carries: the innermost scope of each pool the code runs in, at most one a pool, and the
 * innermost transaction of whatever connection. One AsyncLocalStorage for all costs `run` less than one each.
 */
export interface Frame {
  /** `undefined` where there is a transaction, and no scope. */
  readonly pool: object | undefined;
  readonly scope: unknown;
  readonly ref: ScopeRef | undefined;
  /** Scopes of other pools. Only their pools and scopes count; transactions are those of the first frame. */
  readonly next: Frame | undefined;
  readonly level: ContextLevel | undefined;
}

export const frames = new AsyncLocalStorage<Frame>();

// On Node.js 22 a storage begins to work with its first use. Were that an `enterWith` after an `await`, it would set
// the context of everything that follows.
frames.enterWith(undefined as unknown as Frame);

/** A frame in which `scope` is the innermost of `pool`. */
export function withScopeOf(around: Frame | undefined, pool: object, scope: unknown, ref: ScopeRef): Frame {
  return { pool, scope, ref, next: without(around, pool), level: levelOf(around) };
}

/** A frame in which `level` is the innermost transaction. */
export function withLevel(around: Frame | undefined, level: ContextLevel): Frame {
  return { pool: around?.pool, scope: around?.scope, ref: around?.ref, next: around?.next, level };
}

/** The innermost transaction of a frame whose lease or scope goes on. Drops the others, which work that begins in the context of the last would pile up. */
export function levelOf(around: Frame | undefined): ContextLevel | undefined {
  const innermost = liveFrom(around?.level);
  for (let level = innermost; level !== undefined; level = level.around) level.around = liveFrom(level.around);
  return innermost;
}

function liveFrom(first: ContextLevel | undefined): ContextLevel | undefined {
  let level = first;
  // While its scope goes on, what is left of the transaction must be known for that.
  while (level?.lease.ended === true && level.lease.scope?.ended !== false) level = level.around;
  return level;
}

/** The innermost scope of `pool` in a frame. */
export function scopeIn(around: Frame | undefined, pool: object): unknown {
  for (let frame = around; frame !== undefined; frame = frame.next) {
    if (frame.pool === pool) return frame.scope;
  }
  return undefined;
}

/** The frames without that of `pool`, shared with `frame` as far as possible. */
function without(frame: Frame | undefined, pool: object): Frame | undefined {
  if (frame === undefined) return undefined;
  if (frame.pool === pool) return frame.next;
  const next = without(frame.next, pool);
  return next === frame.next ? frame : { ...frame, next };
}

/**
 * The frame for code in `here` that is to run in the transaction which `home` carries in `pool`: in that part of it which the
 * code is in already, else in the transaction itself. The scopes of other pools are those of the code.
 */
export function frameWithin(here: Frame | undefined, home: Frame, pool: object): Frame {
  const transaction = home.level as ContextLevel;
  if (here === undefined) return home;
  const part = isAround(transaction, here) ? here.level : undefined;
  const scope = scopeIn(home, pool) as { readonly ref: ScopeRef } | undefined;
  if (scope === undefined || scopeIn(here, pool) === scope) {
    return part === undefined ? withLevel(here, transaction) : here;
  }
  return withLevel(withScopeOf(here, pool, scope, scope.ref), part ?? transaction);
}

function isAround(transaction: ContextLevel, here: Frame): boolean {
  for (let level = here.level; level !== undefined; level = level.around) if (level === transaction) return true;
  return false;
}
