import type { Cancellations } from '../cancellations.ts';
import { checkFunction, checkOptions, type Rule, rules } from '../options.ts';
import { interruptible } from '../pause.ts';
import type { RequestPool, RequestTransactionOptions } from './request-scope.ts';

/** Options of `transactional`. */
export interface TransactionalOptions extends Omit<RequestTransactionOptions, 'signal'> {
  /**
   * Rolls back where the status of the response is this or higher: 400 for every error, 500 for those of the server.
   * Integer from 100.
   * @defaultValue none: it commits whatever the status
   */
  readonly rollbackFrom?: number | undefined;
}

const transactionalRules = {
  mode: rules.oneOf('immediate', 'deferred', 'exclusive'),
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
export function transactionalSettings(options: TransactionalOptions, handler: unknown): TransactionalSettings {
  checkFunction(handler, 'handler');
  checkOptions(options, transactionalRules);
  const { rollbackFrom = Infinity, ...transaction } = options;
  return { transaction, rollbackFrom };
}

/**
 * Runs `fn` in a transaction, which is kept or undone by what `fn` comes to; that is returned either way. Once `signal` is
 * aborted it is undone at once, not when `fn` gets round to it: until then nobody else could write. The same with the end of
 * anything in `ends`.
 */
export async function transact<Outcome>(
  pool: RequestPool,
  fn: () => PromiseLike<Outcome>,
  isKept: (outcome: Outcome) => boolean,
  options: RequestTransactionOptions,
  ends: readonly Cancellations[] = [],
): Promise<Outcome> {
  let undone: Undone<Outcome> | undefined;
  try {
    return await pool.transaction(async () => {
      const outcome = await interruptible(Promise.resolve(fn()), { signal: options.signal, ends });
      if (isKept(outcome)) return outcome;
      undone = new Undone(outcome);
      throw undone;
    }, options);
  } catch (error) {
    if (undone !== undefined && error === undone) return undone.outcome;
    throw error;
  }
}

/** Thrown in a transaction to have it undone, although nothing went wrong. */
class Undone<Outcome> extends Error {
  readonly outcome: Outcome;

  constructor(outcome: Outcome) {
    super('Rolled back as asked');
    this.outcome = outcome;
  }
}
