import type { Cancellations } from './cancellations.ts';

/**
 * Who has a lease: one entry of `pool.leases()`, and what messages and events say of a holder.
 * Durations are milliseconds.
 */
export interface HolderInfo {
  /** Number of the lease, unique in its pool. */
  readonly id: number;
  /** Number of the connection it holds, unique in its pool. */
  readonly connection: number;
  /** The `label` the lease was asked for with, else that of its scope. */
  readonly label: string | undefined;
  /** Time since the lease was made. */
  readonly age: number;
  /** Time since the holder last used its connection. */
  readonly idleFor: number;
  /** Whether a transaction is open on the connection now. */
  readonly inTransaction: boolean;
  /** What the lease is for. */
  readonly mode: LeaseMode;
  /** Number of the scope the lease was taken in, `undefined` outside every scope. */
  readonly scope: number | undefined;
  /** Stack of the acquire. Captured only while `leakThreshold` is finite. */
  readonly stack?: string;
  /**
   * Bytes of log that the database can not reclaim as long as this holder's snapshot is open, of SQLite its WAL. Looked
   * up for reports of leaks only, because that asks the file system.
   */
  readonly pinnedBytes?: number;
}

/** Whether a lease is for anything, for one snapshot that is only read, or holds the right to write. */
export type LeaseMode = 'connection' | 'read' | 'write';

/** Who may write to a database now, all others of the process having to wait. Durations are milliseconds. */
export interface WriteHolder {
  /** Name of its pool. */
  readonly pool: string;
  readonly label: string | undefined;
  /** What it may write for. A raw transaction is one that was begun by SQL; a statement stands for itself. */
  readonly kind: 'transaction' | 'write scope' | 'raw transaction' | 'statement';
  /** Time since it got the right to write. */
  readonly age: number;
  /** Its lease, `undefined` while it is about to get one. */
  readonly lease: HolderInfo | undefined;
  /** Stack of the call that asked for the right to write. Captured only while `leakThreshold` is finite. */
  readonly stack?: string;
}

/** A place in the program, as V8 records it. */
export interface Site {
  readonly stack?: string;
}

/** Who asks. A function is called anew each time the label is needed: a router knows its route only after a while. */
export type Label = string | (() => string | undefined);

/** A signal, or a function that makes it when it is first needed: most requests never wait for anything. */
export type SignalSource = AbortSignal | (() => AbortSignal);

/** A scope as pool, waiters and leases see it. */
export class ScopeRef {
  readonly id: number;
  readonly #label: Label | undefined;
  #signal: SignalSource | undefined;
  /** The live scope of the same pool it was opened in. Dropped at the end, so that lineages do not pile up. */
  parent: ScopeRef | undefined;
  ended = false;
  /** Time of the pool's clock at which it ended, without a fraction; 0 until then. */
  endedAt = 0;
  /** Where its connection was acquired, while stacks are captured. */
  site: Site | undefined = undefined;
  /** Leases that code in it holds, its own included, and scopes opened within it that have not ended. */
  open = 0;
  /** Acquires now waiting in this scope and in those opened within it. */
  waiting = 0;
  /** Other waits that end with the scope, made when there is one. */
  ends: Cancellations | undefined = undefined;

  constructor(id: number, label?: Label, signal?: SignalSource, parent?: ScopeRef) {
    this.id = id;
    this.#label = label;
    this.#signal = signal;
    this.parent = parent;
  }

  get signal(): AbortSignal | undefined {
    const signal = this.#signal;
    if (typeof signal !== 'function') return signal;
    const made = signal();
    this.#signal = made;
    return made;
  }

  /** Whether its label may still change. */
  get isNamedLater(): boolean {
    return typeof this.#label === 'function';
  }

  get label(): string | undefined {
    const label = this.#label;
    return typeof label === 'function' ? ask(label) : label;
  }
}

/** What somebody else's function says, unless it throws: a name for messages must not be what makes a request fail. */
function ask(label: () => string | undefined): string | undefined {
  try {
    const answer: unknown = label();
    // An async function is of no use here, and shall do no harm either.
    if (answer instanceof Promise) answer.catch(() => {});
    return typeof answer === 'string' ? answer : undefined;
  } catch {
    return undefined;
  }
}

/** Whether `scope` is `outer`, or was opened within it. */
export function isWithin(scope: ScopeRef | undefined, outer: ScopeRef): boolean {
  for (let around = scope; around !== undefined; around = around.parent) if (around === outer) return true;
  return false;
}

/** What makes the signal of a scope within another. */
export function signalWithin(own: SignalSource | undefined, outer: ScopeRef | undefined): SignalSource | undefined {
  if (typeof own !== 'function') return joinSignals(own, outer?.signal);
  if (outer === undefined) return own;
  return () => joinSignals(own(), outer.signal) as AbortSignal;
}

/** A signal that is aborted when either is. */
export function joinSignals(own: AbortSignal | undefined, outer: AbortSignal | undefined): AbortSignal | undefined {
  if (own === undefined || outer === undefined || own === outer) return own ?? outer;
  return AbortSignal.any([own, outer]);
}

/** What somebody waits for with: who he is, and for how long. */
export interface WaitRequest {
  readonly label: string | undefined;
  /** Its own and that of its scope. */
  readonly signal: AbortSignal | undefined;
  readonly priority: number;
  /** Milliseconds from `since`. */
  readonly timeout: number;
  /** Time of the pool's clock at the call. A wait that follows another goes on with what is left of its time. */
  readonly since: number;
  /** The scope it is asked in. */
  readonly scope: ScopeRef | undefined;
  /** Where it was asked, while stacks are captured. */
  readonly site: Site | undefined;
}
