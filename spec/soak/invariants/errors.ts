import type { Kind } from '../plans.ts';

const waiting = ['ERR_LEASEHOLD_ACQUIRE_TIMEOUT', 'ERR_LEASEHOLD_WRITE_TIMEOUT'] as const;
/** Of synchronous writes, which may meet another process's lock for longer than they wait, or a writer of this one. */
const colliding = ['SQLITE_BUSY', 'SQLITE_BUSY_SNAPSHOT', 'ERR_LEASEHOLD_WRITE_LOCKED'] as const;

/** Codes that each kind of operation may meet, whatever its plan. */
const may: Readonly<Record<Kind, readonly string[]>> = {
  transfer: waiting,
  nested: waiting,
  // Two connections for one scope: where all do that, somebody has to give way.
  separate: [...waiting, 'ERR_LEASEHOLD_DEADLOCK'],
  reading: [...waiting, 'ERR_LEASEHOLD_DEADLOCK'],
  synchronous: [...waiting, ...colliding],
  statement: waiting,
  audit: waiting,
  explicit: waiting,
  burst: [...waiting, 'ERR_LEASEHOLD_QUEUE_FULL'],
  leftovers: [...waiting, ...colliding],
  outliving: waiting,
  leak: waiting,
  resize: [],
  upkeep: waiting,
};

/** What those get whose connection was taken away because they had it for too long. */
const takenAway = new Set([
  'ERR_LEASEHOLD_RELEASED',
  'ERR_LEASEHOLD_SCOPE_ENDED',
  'ERR_LEASEHOLD_TRANSACTION_ENDED',
  'ERR_LEASEHOLD_TRANSACTION_ABORTED',
]);

/** Thrown by an operation because its plan says so. */
export class Planned extends Error {
  readonly code = 'PLANNED';
}

/** What is known of an operation when it meets an error. */
export interface Circumstances {
  readonly kind: Kind;
  /** Whether its plan throws anywhere. */
  readonly throws: boolean;
  /** Whether its signal is aborted. */
  readonly aborted: boolean;
  /** Whether it has lasted for so long that its connection may have been taken away. */
  readonly overdue: boolean;
  /** Whether its pool has a bounded queue. */
  readonly bounded: boolean;
  /** Whether a part of its transaction that has joined it has failed. */
  readonly joinFailed: boolean;
  /** Whether the machine stood still meanwhile, so that even what takes no time was not done in time. */
  readonly stoodStill: boolean;
  /** Whether it commits by a call, which tells that the transaction has ended, not why. */
  readonly isOpenTransaction: boolean;
}

export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'none';
}

/** Why an operation may not meet this error, `undefined` where it may. */
export function errorFault(error: unknown, circumstances: Circumstances): string | undefined {
  const code = codeOf(error);
  const { kind, throws, aborted, overdue, bounded, joinFailed, stoodStill, isOpenTransaction } = circumstances;
  if (error instanceof Planned && throws) return undefined;
  if (may[kind].includes(code)) return undefined;
  if (code === 'ABORT_ERR' && aborted) return undefined;
  if (code === 'ERR_LEASEHOLD_TRANSACTION_ENDED' && aborted && isOpenTransaction) return undefined;
  if (code === 'ERR_LEASEHOLD_QUEUE_FULL' && bounded) return undefined;
  if (code === 'ERR_LEASEHOLD_TRANSACTION_ABORTED' && joinFailed) return undefined;
  if (code === 'ERR_LEASEHOLD_TRANSACTION_BUSY' && stoodStill) return undefined;
  if (takenAway.has(code) && overdue) return undefined;
  const told = error instanceof Error ? `${error.name}: ${error.message.split('\n')[0]}` : String(error);
  return `${kind} met ${code}: ${told}`;
}
