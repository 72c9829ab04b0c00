// First, so that an old Node gets a sentence before a native module is loaded.
// oxlint-disable-next-line import/no-unassigned-import
import './runtime.ts';

export type { AcquireMessage, PoolMessage, TransactionMessage } from './channels.ts';
// What can go wrong.
export {
  AcquireTimeoutError,
  type Congestion,
  DeadlockError,
  type LateWaiter,
  NotIdleError,
  QueueFullError,
} from './congestion-errors.ts';
// The way in.
export { createPool } from './create-pool.ts';
export type { ConnectionInfo } from './driver.ts';
export {
  AbortError,
  ClosedError,
  ConnectionBusyError,
  ConnectionLostError,
  type EndedLease,
  type LeaseEnd,
  LeaseholdError,
  NoConnectionError,
  NoScopeError,
  OpenError,
  OptionsError,
  ReleasedError,
  RuntimeError,
  ScopeEndedError,
} from './errors.ts';
export type { LeakKind, PoolEventName, PoolEvents, PoolListener } from './events.ts';
// What can be seen of it.
export type { HolderInfo, Label, LeaseMode, SignalSource, WriteHolder } from './holder.ts';
export type { OpenTransaction } from './open-transaction.ts';
// What may be asked for, of the pool and of each call.
export type {
  AcquireOptions,
  CloseOptions,
  IdleOrder,
  Nesting,
  OnDeadlock,
  OpenScopeOptions,
  PoolOptions,
  ReadOptions,
  ScopeOptions,
  StatsOptions,
} from './options.ts';
export type { OpenScope } from './scope.ts';
export type { AmbientDatabase } from './sqlite/ambient.ts';
export type { DatabaseClass } from './sqlite/better-sqlite3.ts';
export type { CheckpointMode, CheckpointResult } from './sqlite/connection.ts';
// What a request holds.
export type { LeasedDatabase } from './sqlite/handle.ts';
export type { PragmaValue, SqlitePoolOptions } from './sqlite/options.ts';
// What can be run.
export type { CheckpointOptions, SqlitePool } from './sqlite/pool.ts';
export type { BindValues, QueryObject } from './sqlite/query-object.ts';
export { QueryError, type SqlPart, type SqlQuery, type SqlTag, type SqlValue, sql } from './sqlite/tag.ts';
export type {
  OpenTransactionOptions,
  TransactionMode,
  TransactionOptions,
  WriteOption,
} from './sqlite/transaction-options.ts';
export type { SqlitePoolStats } from './sqlite/writing-pool.ts';
export type { Durations, LabelStats, PoolCounters, PoolStats } from './stats.ts';
export type { PoolTarget } from './target.ts';
export {
  CommitUnknownError,
  ReadOnlyError,
  TransactionAbortedError,
  TransactionBusyError,
  type TransactionBusyReason,
  TransactionEndedError,
  TransactionManagedError,
  WriteLockedError,
  WriteTimeoutError,
} from './transaction-errors.ts';
