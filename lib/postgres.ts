// The way in of PostgreSQL.

export type { AmbientClient, LeasedClient } from './postgres/handle.ts';
export type { PostgresConfig, TargetSession } from './postgres/hosts.ts';
export type { Inbox } from './postgres/inbox.ts';
export type { IterateOptions } from './postgres/iterate.ts';
export type { PostgresPoolOptions } from './postgres/options.ts';
export { type PostgresPool, postgres } from './postgres/pool.ts';
export type { QueryOptions } from './postgres/query-call.ts';
export type {
  IsolationLevel,
  OpenTransactionOptions,
  SnapshotOptions,
  TransactionOptions,
} from './postgres/transaction-options.ts';
