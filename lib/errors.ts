import { formatDuration, formatSite, nameOf, printable } from './wording.ts';

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
  /** What was given; `undefined` where that may be a value that was to be bound to a statement. */
  readonly value: unknown;
  /** What would be allowed. */
  readonly allowed: string;
  readonly #hint: string;

  constructor(option: string, value: unknown, allowed: string, hint = '', kind = describeValue(value)) {
    super(`Option "${printable(option)}" is ${kind}: expected ${allowed}.${hint === '' ? '' : ` ${hint}`}`);
    this.option = option;
    this.value = value;
    this.allowed = allowed;
    this.#hint = hint;
  }

  /** The same, with no more of the value than what kind of thing it is. */
  withoutValue(): OptionsError {
    const { option, value, allowed } = this;
    return new OptionsError(option, undefined, allowed, this.#hint, kindOf(value));
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
  closed: 'was taken away when the pool closed,',
  overdue: 'was taken away by closeOverdue()',
  dropped: 'was recovered, its handle having been dropped,',
};

/** A lease that is over. Durations are milliseconds. */
export interface EndedLease {
  /** Its number. */
  readonly lease: number;
  readonly label: string | undefined;
  /** How it ended. */
  readonly end: LeaseEnd;
  /** From its acquire to its end. */
  readonly held: number;
  /** From its end to its use. */
  readonly endedFor: number;
  /** Stack of the acquire. Captured only while `leakThreshold` is finite. */
  readonly acquireStack: string | undefined;
  /**
   * Stack of what ended it, if it was held for longer than `leakThreshold` or was taken away; to capture it for every lease
   * would cost too much. The stack of the use is `stack`.
   */
  readonly releaseStack: string | undefined;
}

/** A handle, statement or iterator was used after its lease had ended. */
export class ReleasedError extends LeaseholdError implements EndedLease {
  readonly code = 'ERR_LEASEHOLD_RELEASED';
  readonly pool: string;
  readonly lease: number;
  readonly label: string | undefined;
  readonly end: LeaseEnd;
  readonly held: number;
  readonly endedFor: number;
  readonly acquireStack: string | undefined;
  readonly releaseStack: string | undefined;

  constructor(pool: string, ended: EndedLease & { readonly end: Exclude<LeaseEnd, 'scope' | 'transaction'> }) {
    const { lease, label, end, held, endedFor, acquireStack, releaseStack } = ended;
    super(
      `${nameOf(`Lease #${lease}`, label, pool)} ${ends[end]} ${formatDuration(endedFor)} ago, after ${formatDuration(held)}; ` +
        'its handle, statements and iterators can not be used any more. Take a new lease, or keep this one until the work is done.' +
        site('It was acquired', acquireStack) +
        site('It was ended', releaseStack),
    );
    this.pool = pool;
    this.lease = lease;
    this.label = label;
    this.end = end;
    this.held = held;
    this.endedFor = endedFor;
    this.acquireStack = acquireStack;
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
  /** Milliseconds from its end to this use. */
  readonly endedFor: number;
  /** Stack of the acquire of its connection. Captured only while `leakThreshold` is finite; the stack of the use is `stack`. */
  readonly acquireStack: string | undefined;

  constructor(
    pool: string,
    scope: number,
    label: string | undefined,
    endedFor: number,
    acquireStack: string | undefined,
  ) {
    super(
      `${nameOf(`Scope #${scope}`, label, pool)} ended ${formatDuration(endedFor)} ago, and gave back what it held. ` +
        'Await all work inside the scope, or give work that outlives it a withConnection() of its own.' +
        site('Its connection was acquired', acquireStack),
    );
    this.pool = pool;
    this.scope = scope;
    this.label = label;
    this.endedFor = endedFor;
    this.acquireStack = acquireStack;
  }
}

function site(what: string, stack: string | undefined): string {
  const place = formatSite(stack);
  return place && `\n  ${what} ${place}.`;
}

/** `pool.db` was used where no connection is bound. */
export class NoConnectionError extends LeaseholdError {
  readonly code = 'ERR_LEASEHOLD_NO_CONNECTION';
  readonly pool: string;

  constructor(pool: string, inScope: boolean, detail?: string) {
    super(
      `${detail === undefined ? '' : `${detail} `}${
        inScope
          ? `This scope of "${printable(pool)}" holds no connection yet. Call "await pool.connection()" first, or wrap the code in pool.withConnection().`
          : `No scope of "${printable(pool)}" is active here. Wrap the code in pool.withConnection(), or use "await using db = await pool.acquire()".`
      }`,
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

/**
 * The connection to the server was lost: it was ended from there, or the network failed. What ran on it has failed, and it is
 * not pooled again. `cause` is the driver's error.
 */
export class ConnectionLostError extends LeaseholdError {
  readonly code = 'ERR_LEASEHOLD_CONNECTION_LOST';
  readonly pool: string;
  /** Where it led, without secrets. */
  readonly target: string;

  constructor(pool: string, target: string, cause: unknown) {
    super(`A connection of "${printable(pool)}" to "${printable(target)}" was lost: ${describeCause(cause)}`, {
      cause,
    });
    this.pool = pool;
    this.target = target;
  }
}

/** Something that is open on the connection has to be finished first: a cursor waits for its reader. */
export class ConnectionBusyError extends LeaseholdError {
  readonly code = 'ERR_LEASEHOLD_CONNECTION_BUSY';
  readonly pool: string;
  readonly label: string | undefined;

  constructor(pool: string, label: string | undefined, what: string) {
    super(
      `This connection of "${printable(pool)}" is busy: ${what} is open on it. Read it to its end or close it first, or use ` +
        'another connection: "withConnection(fn, { fresh: true })".',
    );
    this.pool = pool;
    this.label = label;
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

/** Whether it is an error. Never throws, whatever it is: `instanceof` does, for a proxy that was revoked. */
export function isError(value: unknown): value is Error {
  try {
    return value instanceof Error;
  } catch {
    return false;
  }
}

/** A text of an error of somebody else, `undefined` where that is none: a getter may throw, or give anything. */
export function textOf(error: Error, name: 'name' | 'message' | 'code'): string | undefined {
  try {
    const text: unknown = Reflect.get(error, name);
    return typeof text === 'string' ? text : undefined;
  } catch {
    return undefined;
  }
}

function kindOf(value: unknown): string {
  return ['string', 'number', 'bigint'].includes(typeof value) ? `a ${typeof value}` : describeValue(value);
}

/** A value in a message: its kind, and the text only where it is short and plain. */
function describeValue(value: unknown): string {
  if (typeof value === 'string') {
    return value.length <= 60 ? printable(JSON.stringify(value)) : `a string of ${value.length} characters`;
  }
  if (typeof value === 'bigint')
    return value === BigInt.asIntN(64, value) ? `${value}n` : 'a bigint of more than 64 bits';
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'symbol') return 'a symbol';
  if (typeof value === 'object' && value !== null) return isArray(value) ? 'an array' : 'an object';
  return String(value);
}

/** What kind of error it is. Its message may have a value in it that was bound to a statement. */
export function describeKind(cause: unknown): string {
  if (!isError(cause) || cause instanceof LeaseholdError) return describeCause(cause);
  return `${printable(textOf(cause, 'name') ?? 'an error')}${codeOf(cause)}`;
}

function codeOf(cause: Error): string {
  const code = textOf(cause, 'code');
  return code === undefined ? '' : ` (${printable(code)})`;
}

/** What went wrong, as far as whoever threw it says so. Never throws. */
export function describeCause(cause: unknown): string {
  if (!isError(cause)) return describeValue(cause);
  return `${printable(textOf(cause, 'message') ?? 'an error without a message')}${codeOf(cause)}`;
}

function isArray(value: object): boolean {
  try {
    return Array.isArray(value);
  } catch {
    return false;
  }
}
