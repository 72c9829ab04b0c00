import type { TransactionRequest } from '../level.ts';
import { type ReadOptions, readRules } from '../options.ts';
import { checkCallOptions, type Rule, rules } from '../rules.ts';

/** How far a transaction is kept apart from others, in PostgreSQL's words. */
export type IsolationLevel = 'read uncommitted' | 'read committed' | 'repeatable read' | 'serializable';

/** Options of `openTransaction`. They count where it is not part of another transaction, but for `readOnly`. */
export interface OpenTransactionOptions extends ReadOptions {
  /**
   * @defaultValue the server's `default_transaction_isolation`, which is `'read committed'` unless it was changed
   */
  readonly isolation?: IsolationLevel | undefined;

  /**
   * The server refuses writes in it; they throw `ERR_LEASEHOLD_READ_ONLY`.
   * @defaultValue false
   */
  readonly readOnly?: boolean | undefined;

  /**
   * With `isolation: 'serializable'` and `readOnly`: waits for a snapshot that can not fail for others, and that others can not
   * fail for. Where that does not come by `timeout`, it is an `AbortError` with a `TimeoutError` as `cause`.
   * @defaultValue false
   */
  readonly deferrable?: boolean | undefined;
}

/** Options of `transaction`. */
export interface TransactionOptions extends OpenTransactionOptions {
  /**
   * How many times the whole function is run again after a serialization failure or a deadlock (SQLSTATE 40001, 40P01), also
   * one at COMMIT. With a pause that grows, and a new deadline each. Not for a part of another transaction. Integer from 0.
   * @defaultValue 0
   */
  readonly retries?: number | undefined;
}

/** Options of `read`. */
export interface SnapshotOptions extends ReadOptions {
  /**
   * Both see one snapshot. `'serializable'` also fails where it would see what no order of the transactions explains.
   * @defaultValue 'repeatable read'
   */
  readonly isolation?: 'repeatable read' | 'serializable' | undefined;

  /** As of `transaction`. @defaultValue false */
  readonly deferrable?: boolean | undefined;
}

/** What a transaction of PostgreSQL asks for. `mode` is what follows BEGIN. */
export type PostgresRequest = TransactionRequest;

const openTransactionRules = {
  ...readRules,
  isolation: rules.oneOf('read uncommitted', 'read committed', 'repeatable read', 'serializable'),
  readOnly: rules.boolean,
  deferrable: rules.boolean,
} as const satisfies Record<keyof OpenTransactionOptions, Rule>;

const transactionRules = {
  ...openTransactionRules,
  retries: rules.integerFrom(0),
} as const satisfies Record<keyof TransactionOptions, Rule>;

const snapshotRules = {
  ...readRules,
  isolation: rules.oneOf('repeatable read', 'serializable'),
  deferrable: rules.boolean,
} as const satisfies Record<keyof SnapshotOptions, Rule>;

/** @throws OptionsError */
export function checkTransactionOptions(options: TransactionOptions | undefined): TransactionOptions {
  return checkCallOptions(options, transactionRules);
}

/** @throws OptionsError */
export function checkOpenTransactionOptions(options: OpenTransactionOptions | undefined): OpenTransactionOptions {
  return checkCallOptions(options, openTransactionRules);
}

/** @throws OptionsError */
export function checkSnapshotOptions(options: SnapshotOptions | undefined): SnapshotOptions {
  return checkCallOptions(options, snapshotRules);
}

/** What follows BEGIN, `''` for all as the server has it. */
export function modeOf({ isolation, readOnly, deferrable }: OpenTransactionOptions): string {
  const parts = [
    isolation === undefined ? '' : `ISOLATION LEVEL ${isolation.toUpperCase()}`,
    readOnly === true ? 'READ ONLY' : '',
    deferrable === true ? 'DEFERRABLE' : '',
  ];
  return parts.filter((part) => part !== '').join(', ');
}
