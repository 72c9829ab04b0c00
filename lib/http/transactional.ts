import { checkTransaction } from '../pool/request.ts';
import { checkFunction, checkOptions, type Rule, rules } from '../rules.ts';
import type { RequestPool, RequestTransactionOptions } from './request-scope.ts';

/** Options of `transactional`. */
export interface TransactionalOptions extends Omit<RequestTransactionOptions, 'mode' | 'signal'> {
  /**
   * How it begins.
   * @defaultValue 'immediate'
   */
  readonly mode?: 'immediate' | 'deferred' | 'exclusive' | undefined;

  /**
   * Of PostgreSQL, which has no `mode`: how far it is kept apart from others.
   * @defaultValue the server's
   */
  readonly isolation?: 'read uncommitted' | 'read committed' | 'repeatable read' | 'serializable' | undefined;

  /**
   * Of PostgreSQL: the server refuses writes.
   * @defaultValue false
   */
  readonly readOnly?: boolean | undefined;

  /**
   * Rolls back where the status of the response is this or higher: 400 for every error, 500 for those of the server.
   * Integer from 100.
   * @defaultValue none: it commits whatever the status
   */
  readonly rollbackFrom?: number | undefined;
}

const transactionalRules = {
  mode: rules.oneOf('immediate', 'deferred', 'exclusive'),
  isolation: rules.oneOf('read uncommitted', 'read committed', 'repeatable read', 'serializable'),
  readOnly: rules.boolean,
  label: rules.label,
  timeout: rules.duration,
  priority: rules.finite,
  rollbackFrom: rules.integerFrom(100),
} as const satisfies Record<keyof TransactionalOptions, Rule>;

/** The options of a transaction, and from which status on it is rolled back. */
export interface TransactionalSettings {
  readonly transaction: RequestTransactionOptions;
  readonly rollbackFrom: number;
}

/** @throws OptionsError */
export function transactionalSettings(
  pool: RequestPool,
  options: TransactionalOptions,
  handler: unknown,
): TransactionalSettings {
  checkFunction(handler, 'handler');
  const { rollbackFrom = Infinity, ...transaction } = checkOptions(options, transactionalRules);
  // Now rather than with the first request: they differ with the database.
  pool[checkTransaction]?.(transaction);
  return { transaction, rollbackFrom };
}

/**
 * Runs `fn` in a transaction, which is kept or undone by what `fn` comes to; that is returned either way. Where the client is
 * gone, or the scope ends because the request was answered by somebody else, it is undone at once, not when `fn` gets round to
 * it: until then nobody else could write, and afterwards it would be committed unheard.
 */
export async function transact<Outcome>(
  pool: RequestPool,
  fn: () => Outcome | PromiseLike<Outcome>,
  isKept: (outcome: Outcome) => boolean,
  options: RequestTransactionOptions,
): Promise<Outcome> {
  const open = await pool.openTransaction(options).begun;
  let outcome: Outcome;
  try {
    // Before it is asked to end it can only end by being undone.
    outcome = await Promise.race([open.run(async () => fn()), open.ended as Promise<never>]);
  } catch (error) {
    await open.rollback(error);
    throw error;
  }
  if (isKept(outcome)) await open.commit();
  else await open.rollback();
  return outcome;
}
