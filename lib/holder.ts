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
}

// Controls, line and paragraph separators, and the bidi overrides: what could break out of a line of a log or
// reorder it.
const unprintable = /[\p{Cc}\u2028-\u202e\u2066-\u2069]/gu;

/** Makes text from outside safe for one line of a message. */
export function printable(text: string): string {
  return text.replace(unprintable, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** A duration as a person reads it: `840 ms`, `4.2 s`, `3.5 min`. */
export function formatDuration(duration: number): string {
  if (duration < 1000) return `${Math.round(duration)} ms`;
  if (duration < 120_000) return `${(duration / 1000).toFixed(1)} s`;
  return `${(duration / 60_000).toFixed(1)} min`;
}

/** The first frame of a captured stack, as `at report (server.ts:41:9)`. */
function firstFrame(stack: string | undefined): string {
  const frame = stack?.split('\n').find((line) => line.trimStart().startsWith('at '));
  return frame === undefined ? '' : `   ${frame.trim()}`;
}

/** One line a holder, indented below the sentence it explains. At most `limit` lines and a count of the rest. */
export function formatHolders(holders: readonly HolderInfo[], limit = 20): string {
  const lines = holders.slice(0, limit).map((holder) => {
    const label = printable(holder.label ?? 'no label').padEnd(16);
    const state = holder.inTransaction ? 'transaction open, ' : '';
    const used = `last used ${formatDuration(holder.idleFor)} ago`;
    return `\n  #${holder.id}  ${label}  ${formatDuration(holder.age)}   ${state}${used}${firstFrame(holder.stack)}`;
  });
  if (holders.length > limit) lines.push(`\n  … and ${holders.length - limit} more`);
  return lines.join('');
}

/** Who holds the right to write, as one indented line. */
export function formatWriteHolder({ pool, label, kind, age, lease }: WriteHolder): string {
  const who = label === undefined ? 'no label' : printable(label);
  const used = lease === undefined ? '' : `, last used ${formatDuration(lease.idleFor)} ago`;
  return `\n  ${who}  ${kind} of pool "${printable(pool)}" for ${formatDuration(age)}${used}${firstFrame(lease?.stack)}`;
}

/** A place in the program, as V8 records it. */
export interface Site {
  readonly stack?: string;
}

/** A scope as pool, waiters and leases see it. */
export interface ScopeRef {
  readonly id: number;
  readonly label: string | undefined;
  readonly signal: AbortSignal | undefined;
  /** The live scope of the same pool it was opened in. Dropped at the end, so that lineages do not pile up. */
  parent: ScopeRef | undefined;
  ended: boolean;
  /** Acquires now waiting in this scope and in those opened within it. */
  waiting: number;
  /** Other waits that end with the scope, made when there is one. */
  ends: Cancellations | undefined;
}

/** A signal that is aborted when either is. */
export function joinSignals(own: AbortSignal | undefined, outer: AbortSignal | undefined): AbortSignal | undefined {
  if (own === undefined || outer === undefined || own === outer) return own ?? outer;
  return AbortSignal.any([own, outer]);
}
