import { isPromiseLike } from '../events.ts';
import { type EndableResponse, HeldEnd } from './held-end.ts';
import type { RequestScope } from './request-scope.ts';
import { type TransactionalSettings, transact } from './transactional.ts';

/** How a handler that ends its response itself came to its end. */
type Outcome =
  | { readonly how: 'ended' | 'returned' }
  /** It has called `next`. */
  | { readonly how: 'passed'; readonly to: unknown };

/** Hands the request on, or an error. */
type Next = (error?: unknown) => void;

/**
 * Runs a handler in a transaction, which is over when the handler ends the response, calls `next` or has returned a promise
 * that is settled. Only when it is committed does the end of the response go out, or `next` go on.
 *
 * Rejects with what the handler throws and with what keeps it from being committed. What it throws after it has ended the
 * response goes to `late`, once that has been told. If the client goes away, the transaction is rolled back at once, and what
 * is told is what the handler comes to by itself.
 */
export async function transactExchange(
  own: RequestScope,
  response: EndableResponse,
  handler: (next: Next) => unknown,
  { transaction, rollbackFrom }: TransactionalSettings,
  next: Next,
  late: (error: unknown) => void,
): Promise<void> {
  let run: Run | undefined;
  const start = (): Promise<Outcome> => {
    run = new Run(response, handler, late);
    return run.outcome;
  };
  const isKept = (outcome: Outcome): boolean =>
    outcome.how === 'passed' ? !isError(outcome.to) : (run as Run).held.status < rollbackFrom;
  let outcome: Outcome;
  try {
    outcome = await transact(own.pool, start, isKept, { ...transaction, signal: own.signal });
  } catch (error) {
    run?.held.drop();
    run?.told();
    if (run === undefined || !own.signal.aborted) throw error;
    // Who handles errors shall hear of this request once, and not at all of one that only came too late.
    outcome = await run.outcome;
    if (outcome.how === 'passed') next(isError(outcome.to) ? outcome.to : error);
    return;
  }
  run?.held.release();
  if (outcome.how === 'passed') next(outcome.to);
  run?.told();
}

/** One run of a handler. */
class Run {
  readonly held: HeldEnd;
  readonly outcome: Promise<Outcome>;
  readonly #late: (error: unknown) => void;
  /** What the handler throws when it has come to its end, until that is told: else the error would be answered instead. */
  #errors: unknown[] | undefined = [];

  constructor(response: EndableResponse, handler: (next: Next) => unknown, late: (error: unknown) => void) {
    this.#late = late;
    const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
    this.outcome = promise;
    let isOver = false;
    const over = (outcome: Outcome): void => {
      isOver = true;
      resolve(outcome);
    };
    const failed = (error: unknown): void => {
      if (isOver) this.#fail(error);
      else reject(error);
      isOver = true;
    };
    this.held = new HeldEnd(response, () => over({ how: 'ended' }));
    try {
      const result = handler((to) => over({ how: 'passed', to }));
      if (isPromiseLike(result)) result.then(() => over({ how: 'returned' }), failed);
    } catch (error) {
      failed(error);
    }
  }

  /** The outcome is known outside. */
  told(): void {
    const errors = this.#errors ?? [];
    this.#errors = undefined;
    for (const error of errors) this.#late(error);
  }

  #fail(error: unknown): void {
    if (this.#errors === undefined) this.#late(error);
    else this.#errors.push(error);
  }
}

/** Whether what `next` was called with is an error: Express has two words to skip handlers with. */
function isError(argument: unknown): boolean {
  return Boolean(argument) && argument !== 'route' && argument !== 'router';
}
