import type { TransactionRequest } from '../level.ts';
import { type ReadOptions, readRules, scopeRules } from '../options.ts';
import { checkCallOptions, checkOptions, type Rule, rules } from '../rules.ts';

/**
 * How a transaction begins. `'immediate'` takes the write lock at once. `'deferred'` takes it at the first write, which
 * SQLite refuses with `SQLITE_BUSY_SNAPSHOT` if somebody has written since the first read. `'exclusive'` also keeps
 * readers out where the journal mode is not WAL.
 */
export type TransactionMode = 'immediate' | 'deferred' | 'exclusive';

/** Options of `transaction`. */
export interface TransactionOptions extends ReadOptions {
  /**
   * How it begins, unless it is part of another.
   * @defaultValue 'immediate'
   */
  readonly mode?: TransactionMode | undefined;

  /**
   * How many times the whole function is run again after it failed for a lock: `SQLITE_BUSY_SNAPSHOT`, or another
   * process's lock at a write or at COMMIT. With a pause that grows, and a new deadline each. Not for a part of another
   * transaction, whose snapshot would stay the same. Integer from 0.
   * @defaultValue 0
   */
  readonly retries?: number | undefined;
}

/** Options of `openTransaction`. */
export interface OpenTransactionOptions extends ReadOptions {
  /**
   * How it begins, unless it is part of another. `'read'` opens a snapshot, in which writes throw.
   * @defaultValue 'immediate'
   */
  readonly mode?: TransactionMode | 'read' | undefined;
}

/** What a transaction of SQLite asks for. */
export interface SqliteRequest extends TransactionRequest {
  readonly mode: TransactionMode | 'read';
}

const transactionRules = {
  ...readRules,
  mode: rules.oneOf('immediate', 'deferred', 'exclusive'),
  retries: rules.integerFrom(0),
} as const satisfies Record<keyof TransactionOptions, Rule>;

/** @throws OptionsError */
export function checkTransactionOptions(options: TransactionOptions | undefined): TransactionOptions {
  return checkCallOptions(options, transactionRules);
}

const openTransactionRules = {
  ...readRules,
  mode: rules.oneOf('immediate', 'deferred', 'exclusive', 'read'),
} as const satisfies Record<keyof OpenTransactionOptions, Rule>;

/** @throws OptionsError */
export function checkOpenTransactionOptions(options: OpenTransactionOptions | undefined): OpenTransactionOptions {
  return checkCallOptions(options, openTransactionRules);
}

/** @throws OptionsError */
export function checkReadOptions(options: ReadOptions | undefined): ReadOptions {
  return checkCallOptions(options, readRules);
}

/** Option of the calls that take a connection. */
export interface WriteOption {
  /**
   * Also holds the write lane until the connection is given back, so that synchronous writes on it never meet another
   * writer of this process. Waits for its turn first.
   * @defaultValue false
   */
  readonly write?: boolean | undefined;
}

const writeRules = { ...scopeRules, write: rules.boolean } as const satisfies Record<keyof WriteOption, Rule>;

/** Whether `write` is among the options of a call, whatever its value. Of what are no options somebody else will say so. */
export function mentionsWrite<Options extends object>(options: Options | undefined): options is Options & WriteOption {
  return typeof options === 'object' && options !== null && 'write' in options;
}

/** Takes `write` out of the options of a call. @throws OptionsError */
export function checkWrite<Options extends WriteOption>(
  options: Options,
): { readonly write: boolean; readonly rest: Omit<Options, 'write'> } {
  const { write, ...rest } = checkOptions(options, writeRules);
  return { write: write === true, rest };
}
