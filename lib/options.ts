import { AsyncLocalStorage } from 'node:async_hooks';
import type { ConnectionInfo } from './driver.ts';
import { OptionsError } from './errors.ts';
import type { Label, SignalSource } from './holder.ts';
import {
  checkCallOptions,
  checkOption,
  checkOptions,
  isAccepted,
  noOptions,
  type Rule,
  refuseUnknown,
  rules,
} from './rules.ts';

/** Which idle connection the next acquire gets: the one used last, or the one unused for longest. */
export type IdleOrder = 'lifo' | 'fifo';

/** What to do about a suspected deadlock beside the event: nothing, or fail its newest waiter. */
export type OnDeadlock = 'report' | 'reject';

/**
 * Options of every pool, whatever its database. Durations are milliseconds. Every option is checked when
 * the pool is made; a bad one throws `ERR_LEASEHOLD_OPTIONS`.
 */
export interface PoolOptions {
  /** Name in messages, events and `util.inspect`. Not empty. */
  readonly name?: string | undefined;

  /**
   * Leases at once. Integer from 1.
   * @defaultValue 8
   */
  readonly max?: number | undefined;

  /**
   * Connections kept open when idle, and opened by `ready()`. Integer from 0 to `max`.
   * @defaultValue 0
   */
  readonly min?: number | undefined;

  /**
   * One deadline for a whole acquire: queueing, opening, hooks. Above 0; `Infinity` waits for ever.
   * 0 is refused, because `tryAcquire()` is the call that does not wait.
   * @defaultValue 5000
   */
  readonly acquireTimeout?: number | undefined;

  /**
   * Acquires that may wait. One more is refused at once with `ERR_LEASEHOLD_QUEUE_FULL`. Integer from 0, or `Infinity`.
   * @defaultValue 1000
   */
  readonly maxWaiting?: number | undefined;

  /**
   * An idle connection above `min` is closed after this long without use. Above 0, or `Infinity`.
   * @defaultValue 300000
   */
  readonly idleTimeout?: number | undefined;

  /**
   * A connection is retired this long after it was opened, less up to 5 % at random, so that connections
   * opened together do not close together. Never ends a lease in use. Above 0, or `Infinity`.
   * @defaultValue Infinity
   */
  readonly maxLifetime?: number | undefined;

  /**
   * A connection is retired after this many leases. Integer from 1, or `Infinity`.
   * @defaultValue Infinity
   */
  readonly maxUses?: number | undefined;

  /**
   * `'lifo'` keeps few connections busy, with hot caches, and lets the rest go idle; `'fifo'` uses all evenly.
   * @defaultValue 'lifo'
   */
  readonly order?: IdleOrder | undefined;

  /**
   * A lease held for longer is reported by a `leak` event. Above 0, or `Infinity`. A finite value turns on
   * the capture of acquire stacks, 3 to 5 µs each.
   * @defaultValue Infinity
   */
  readonly leakThreshold?: number | undefined;

  /**
   * A suspected deadlock is always reported by event. `'reject'` also fails its newest waiter with
   * `ERR_LEASEHOLD_DEADLOCK`.
   * @defaultValue 'report'
   */
  readonly onDeadlock?: OnDeadlock | undefined;
}

/**
 * Hooks of every pool. Each may be async, runs in the async context the pool was made in, and counts
 * against a deadline: `onOpen` and `onAcquire` against that of the acquire, `onRelease` against `acquireTimeout`.
 */
export interface PoolHooks<Connection, Handle> {
  /** Once for each new connection. A throw closes it and fails the open. */
  readonly onOpen?: ((connection: Connection) => unknown) | undefined;
  /** Before each lease is given out. Returning `false` or throwing discards the connection; the acquire tries another. */
  readonly onAcquire?: ((handle: Handle, info: ConnectionInfo) => unknown) | undefined;
  /** After each lease, on a handle of its own, when the connection is clean again. Returning `false` or throwing discards it. */
  readonly onRelease?: ((handle: Handle, info: ConnectionInfo) => unknown) | undefined;
}

/** Pool options after normalisation: complete, checked, frozen. */
export type PoolSettings = { readonly [Key in keyof PoolOptions]-?: Exclude<PoolOptions[Key], undefined> };

/** Options of one call that takes a connection. */
export interface AcquireOptions {
  /** Who asks, in messages, events and `leases()`: a route, a job. */
  readonly label?: string | undefined;
  /** Aborts the wait, and every later use of the connection within the call's scope. */
  readonly signal?: AbortSignal | undefined;
  /** Instead of `acquireTimeout`, for this call. */
  readonly timeout?: number | undefined;
  /**
   * Higher is served first, equal ones in order of arrival. Any finite number.
   * @defaultValue 0
   */
  readonly priority?: number | undefined;
}

/** Options of `withConnection`. */
export interface ScopeOptions extends AcquireOptions {
  /**
   * Inside a scope: take a connection of its own instead of the one the scope has.
   * @defaultValue false
   */
  readonly fresh?: boolean | undefined;
}

/** Options of `openScope`. */
export interface OpenScopeOptions {
  /** As of every call; or a function that tells, called whenever the label is needed, in the context of whoever needs it. */
  readonly label?: Label | undefined;
  /** Aborts what waits in the scope, and every later use of its connection; or a function that makes it when it is first needed. */
  readonly signal?: SignalSource | undefined;
}

/** What becomes of a transaction inside another: a savepoint in it, a part of it, or one on another connection. */
export type Nesting = 'savepoint' | 'join' | 'separate';

/** Options of `read`. */
export interface ReadOptions extends AcquireOptions {
  /**
   * Inside another transaction: `'savepoint'` is undone alone if it fails, `'join'` takes part in the other, so that both
   * fail together, and `'separate'` takes another connection.
   * @defaultValue 'savepoint'
   */
  readonly nesting?: Nesting | undefined;
}

/** Options of `close`. */
export interface CloseOptions {
  /**
   * How long to wait for holders before their connections are taken away. From 0, or `Infinity`.
   * @defaultValue the pool's `acquireTimeout`
   */
  readonly timeout?: number | undefined;
}

/** Options of `stats`. */
export interface StatsOptions {
  /** What to tell apart. */
  readonly by: 'label';
}

/** The hooks, each to run in the async context of this call. */
export function bindHooks<Connection, Handle>(hooks: PoolHooks<Connection, Handle>): PoolHooks<Connection, Handle> {
  return {
    onOpen: hooks.onOpen && AsyncLocalStorage.bind(hooks.onOpen),
    onAcquire: hooks.onAcquire && AsyncLocalStorage.bind(hooks.onAcquire),
    onRelease: hooks.onRelease && AsyncLocalStorage.bind(hooks.onRelease),
  };
}

export const poolRules = {
  name: rules.text,
  max: rules.integerFrom(1),
  min: rules.integerFrom(0),
  acquireTimeout: rules.duration,
  maxWaiting: rules.countFrom(0),
  idleTimeout: rules.duration,
  maxLifetime: rules.duration,
  maxUses: rules.countFrom(1),
  order: rules.oneOf('lifo', 'fifo'),
  leakThreshold: rules.duration,
  onDeadlock: rules.oneOf('report', 'reject'),
} as const satisfies Record<keyof PoolOptions, Rule>;

export const hookRules = {
  onOpen: rules.function,
  onAcquire: rules.function,
  onRelease: rules.function,
} as const satisfies Record<keyof PoolHooks<unknown, unknown>, Rule>;

const acquireRules = {
  label: rules.label,
  signal: rules.signal,
  timeout: rules.duration,
  priority: rules.finite,
} as const satisfies Record<keyof AcquireOptions, Rule>;

const openScopeRules = {
  label: {
    allowed: 'a string or a function',
    accepts: (value) => typeof value === 'function' || typeof value === 'string',
  },
  signal: {
    allowed: 'an AbortSignal or a function',
    accepts: (value) => typeof value === 'function' || value instanceof AbortSignal,
  },
} as const satisfies Record<keyof OpenScopeOptions, Rule>;
export const scopeRules = { ...acquireRules, fresh: rules.boolean } as const satisfies Record<keyof ScopeOptions, Rule>;
export const readRules = {
  ...acquireRules,
  nesting: rules.oneOf('savepoint', 'join', 'separate'),
} as const satisfies Record<keyof ReadOptions, Rule>;
const closeRules = { timeout: rules.durationFromZero } as const satisfies Record<keyof CloseOptions, Rule>;
const statsRules = { by: rules.oneOf('label') } as const satisfies Record<keyof StatsOptions, Rule>;
const resizeRules = { max: poolRules.max, min: poolRules.min } as const;

// Written out, because they are checked with every lease: in a loop over the rules it takes half of that again.
export function checkAcquireOptions(options: AcquireOptions | undefined): AcquireOptions {
  if (options === undefined) return noOptions;
  refuseUnknown(options, acquireRules);
  const { label, signal, timeout, priority } = options;
  if (label !== undefined) checkOption('label', label, acquireRules.label);
  if (signal !== undefined) checkOption('signal', signal, acquireRules.signal);
  if (timeout !== undefined) checkOption('timeout', timeout, acquireRules.timeout);
  if (priority !== undefined) checkOption('priority', priority, acquireRules.priority);
  return { label, signal, timeout, priority };
}

/** The options of a call that has values beside them: what is none may be one of these, in the wrong place. */
export function checkStatementOptions(options: AcquireOptions | undefined): AcquireOptions {
  try {
    return checkAcquireOptions(options);
  } catch (error) {
    throw error instanceof OptionsError ? error.withoutValue() : error;
  }
}

export function checkScopeOptions(options: ScopeOptions | undefined): ScopeOptions {
  if (options === undefined) return noOptions;
  refuseUnknown(options, scopeRules);
  const { label, signal, timeout, priority, fresh } = options;
  if (label !== undefined) checkOption('label', label, scopeRules.label);
  if (signal !== undefined) checkOption('signal', signal, scopeRules.signal);
  if (timeout !== undefined) checkOption('timeout', timeout, scopeRules.timeout);
  if (priority !== undefined) checkOption('priority', priority, scopeRules.priority);
  if (fresh !== undefined) checkOption('fresh', fresh, scopeRules.fresh);
  return { label, signal, timeout, priority, fresh };
}

export function checkOpenScopeOptions(options: OpenScopeOptions | undefined): OpenScopeOptions {
  const checked = checkCallOptions(options, openScopeRules);
  const { signal } = checked;
  return typeof signal === 'function' ? { ...checked, signal: () => checkSignal(signal()) } : checked;
}

function checkSignal(signal: unknown): AbortSignal {
  if (isAccepted(rules.signal, signal)) return signal as AbortSignal;
  throw new OptionsError('signal', signal, rules.signal.allowed);
}

export function checkCloseOptions(options: CloseOptions | undefined): CloseOptions {
  return checkCallOptions(options, closeRules);
}

export function checkStatsOptions(options: StatsOptions | undefined): StatsOptions | undefined {
  return options === undefined ? undefined : checkOptions(options, statsRules);
}

/** The next `max` and `min` of a pool. */
export function checkResize(
  change: { readonly max?: number | undefined; readonly min?: number | undefined },
  now: { readonly max: number; readonly min: number },
): { max: number; min: number } {
  const asked = checkOptions(change, resizeRules);
  const max = asked.max ?? now.max;
  // A smaller `max` takes an unmentioned `min` down with it; a `min` that was asked for is held to it.
  const min = asked.min ?? Math.min(now.min, max);
  checkMin(min, max);
  return { max, min };
}

/** Defaults filled in, `min` held to `max`, frozen. The values must have passed `poolRules`. */
export function poolSettings(
  options: PoolOptions,
  defaults: { readonly name: string; readonly max: number; readonly min?: number },
): PoolSettings {
  const max = options.max ?? defaults.max;
  const min = options.min ?? defaults.min ?? 0;
  checkMin(min, max);
  return Object.freeze({
    name: options.name ?? defaults.name,
    max,
    min,
    acquireTimeout: options.acquireTimeout ?? 5000,
    maxWaiting: options.maxWaiting ?? 1000,
    idleTimeout: options.idleTimeout ?? 300_000,
    maxLifetime: options.maxLifetime ?? Infinity,
    maxUses: options.maxUses ?? Infinity,
    order: options.order ?? 'lifo',
    leakThreshold: options.leakThreshold ?? Infinity,
    onDeadlock: options.onDeadlock ?? 'report',
  });
}

/** Leases at once, where nothing else is said. */
export const defaultMax = 8;

function checkMin(min: number, max: number): void {
  if (min > max) throw new OptionsError('min', min, `an integer from 0 to "max", which is ${max}`);
}
