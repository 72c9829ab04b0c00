import type { OpenScope } from '../index.ts';
import { checkOptions, type Rule, rules } from '../rules.ts';
import { type RequestPool, requestOptions, type ScopeOfRequestOptions } from './request-scope.ts';
import { type TransactionalOptions, transact, transactionalSettings } from './transactional.ts';

export type { RequestPool, ScopeOfRequestOptions } from './request-scope.ts';
export type { TransactionalOptions } from './transactional.ts';

/** What is used of a call of a procedure. */
export interface TrpcCall {
  readonly path: string;
  readonly type: string;
  readonly signal?: AbortSignal | undefined;
}

/** What is used of what a procedure comes to. */
interface TrpcResult {
  readonly ok: boolean;
}

/** What a middleware of tRPC is passed. */
interface MiddlewareCall<Result> extends TrpcCall {
  next(): Promise<Result>;
}

type Middleware = <Result extends TrpcResult>(call: MiddlewareCall<Result>) => Promise<Result>;

/**
 * A scope for each call of a procedure: those of one batch have one each. What is called within finds the connection of the
 * call: `pool.db`, `pool.get` and the like. A call inside a scope that has a connection is part of that. The scope ends when
 * the call has its result, or the client is gone. Where the result is an async iterable, as of a subscription, it ends when
 * that is at its end or is left; promises and iterables within a result are not waited for.
 *
 * ```ts
 * const procedure = t.procedure.use(trpc(pool));
 * ```
 *
 * @throws OptionsError
 */
export function trpc(pool: RequestPool, options: ScopeOfRequestOptions<TrpcCall> = {}): Middleware {
  const { eager, label } = requestOptions(options, procedureOf);
  return async (call) => {
    if (pool.current !== undefined) return call.next();
    const own = new CallScope(pool, call, () => label(call));
    let isOver = true;
    try {
      const result = await own.scope.run(async () => {
        // A subscription may take hours, and seldom needs the connection.
        if (eager && call.type !== 'subscription') await pool.connection();
        return call.next();
      });
      const { data } = result as { readonly data?: unknown };
      if (!isAsyncIterable(data)) return result;
      const followed = { ...result, data: followedBy(own, data) };
      isOver = false;
      return followed;
    } finally {
      if (isOver) await own.end();
    }
  };
}

/** Options of `transactional`. There is no status: a call has a result, or an error. */
export type TrpcTransactionalOptions = Omit<TransactionalOptions, 'rollbackFrom'>;

const transactionalRules = {
  mode: rules.oneOf('immediate', 'deferred', 'exclusive'),
  isolation: rules.oneOf('read uncommitted', 'read committed', 'repeatable read', 'serializable'),
  readOnly: rules.boolean,
  label: rules.label,
  timeout: rules.duration,
  priority: rules.finite,
} as const satisfies Record<keyof TrpcTransactionalOptions, Rule>;

/**
 * Runs a resolver in a transaction; without one, it is a middleware, and the transaction spans all that comes after it. It
 * commits when they have come to a result. It rolls back when one of them throws, which tRPC makes a result of, and when the
 * client goes away. What an async iterable reads after that is not part of it.
 *
 * ```ts
 * const order = t.procedure.mutation(transactional(pool, async ({ input }) => { … }));
 * const transacted = t.procedure.use(transactional(pool));
 * ```
 *
 * @throws OptionsError
 */
export function transactional(pool: RequestPool, options?: TrpcTransactionalOptions): Middleware;
export function transactional<Call, Result>(
  pool: RequestPool,
  resolver: (call: Call) => Result,
  options?: TrpcTransactionalOptions,
): (call: Call) => Promise<Awaited<Result>>;
export function transactional(
  pool: RequestPool,
  first: ((call: never) => unknown) | TrpcTransactionalOptions = {},
  second: TrpcTransactionalOptions = {},
): unknown {
  const [resolver, options] = typeof first === 'function' ? [first, second] : [undefined, first];
  const { transaction } = transactionalSettings(pool, checkOptions(options, transactionalRules), resolver ?? isOk);
  return (call: MiddlewareCall<TrpcResult>): Promise<unknown> => {
    const asked = { label: procedureOf(call), ...transaction, signal: call.signal };
    if (resolver === undefined) return transact(pool, () => call.next(), isOk, asked);
    const resolve = async (): Promise<unknown> => resolver(call as never);
    return transact(pool, resolve, () => true, asked);
  };
}

function isOk({ ok }: TrpcResult): boolean {
  return ok;
}

function procedureOf({ type, path }: TrpcCall): string {
  return `${type} ${path}`;
}

/**
 * The scope of one call.
 *
 * Invariant: it ends when `end` is called or the call is aborted, whichever comes first. A resolver that hangs keeps no
 * connection from others.
 */
class CallScope {
  readonly scope: OpenScope<object>;
  readonly #gone = new AbortController();
  readonly #signal: AbortSignal | undefined;
  readonly #leave = (): void => {
    this.#gone.abort(this.#signal?.reason);
    // What that has interrupted gets time to give back what it has.
    setImmediate(() => void this.end());
  };

  constructor(pool: RequestPool, { signal }: TrpcCall, label: () => string | undefined) {
    this.#signal = signal;
    this.scope = pool.openScope({ label, signal: this.#gone.signal });
    if (signal?.aborted) this.#leave();
    else signal?.addEventListener('abort', this.#leave, { once: true });
  }

  end(): Promise<void> {
    this.#signal?.removeEventListener('abort', this.#leave);
    return this.scope.end();
  }
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}

/** The same iterable, each step of which runs in the scope, and which ends it when it is over. */
function followedBy(own: CallScope, iterable: AsyncIterable<unknown>): AsyncIterableIterator<unknown> {
  const iterator = own.scope.run(() => iterable[Symbol.asyncIterator]());
  const step = async (run: () => Promise<IteratorResult<unknown>> | undefined): Promise<IteratorResult<unknown>> => {
    let isOver = true;
    try {
      const result = (await own.scope.run(run)) ?? { done: true, value: undefined };
      isOver = result.done === true;
      return result;
    } finally {
      if (isOver) await own.end();
    }
  };
  const followed: AsyncIterableIterator<unknown> = {
    next: () => step(() => iterator.next()),
    return: (value) => step(() => iterator.return?.(value)),
    throw: (error) => step(() => (iterator.throw === undefined ? iterator.return?.() : iterator.throw(error))),
    // Not `this`: a step under way keeps what it refers to, and so this from being taken for dropped.
    [Symbol.asyncIterator]: () => followed,
  };
  dropped.register(followed, own);
  return followed;
}

/** Ends the scope of an iterable that nobody has read to its end: tRPC drops one that its client cannot take. */
const dropped = new FinalizationRegistry<CallScope>((own) => void own.end());
