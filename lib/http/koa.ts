import {
  type Anchor,
  pathLabel,
  type RequestPool,
  type RequestScope,
  requestOptions,
  type ScopeOfRequestOptions,
  type ServerResponseLike,
  scopeOfExchange,
} from './request-scope.ts';
import { readWithin } from './streamed-body.ts';
import { type TransactionalOptions, transact, transactionalSettings } from './transactional.ts';

export type { RequestPool, ScopeOfRequestOptions } from './request-scope.ts';
export type { TransactionalOptions } from './transactional.ts';

/** What is used of Koa's context. */
export interface KoaContext {
  readonly req: object;
  readonly res: ServerResponseLike;
  readonly method: string;
  /** Unlike `url`, not shortened by what mounts an application in another. */
  readonly originalUrl: string;
  readonly status: number;
  readonly body?: unknown;
  /** Set by the routers of Koa. */
  readonly _matchedRoute?: string | RegExp | undefined;
}

type Next = () => Promise<unknown>;

/**
 * A scope for each request. What is called within finds the request's connection: `pool.db`, `pool.get` and the like. The
 * scope ends when the response has been sent, streams included, or the client is gone; work of the request that goes on
 * after that is refused.
 *
 * ```ts
 * app.use(koa(pool));
 * ```
 *
 * @throws OptionsError
 */
export function koa(
  pool: RequestPool,
  options: ScopeOfRequestOptions<KoaContext> = {},
  // Else the application would be one of contexts of this kind from then on.
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters
): <Context extends KoaContext>(context: Context, next: Next) => Promise<unknown> {
  const { eager, label } = requestOptions(options, routeOf);
  return (context, next) =>
    within(
      pool,
      context,
      () => label(context),
      () => (eager ? pool.connection().then(() => next()) : next()),
    );
}

/**
 * Runs a middleware, and all that it calls by `next()`, in a transaction; without one, all that come after it. It commits
 * when they have resolved, before the response is sent; what a body that is streamed reads after that is not part of it. It
 * rolls back when one of them throws, when the client goes away, and, where asked, by the status of the response.
 *
 * ```ts
 * router.post('/orders', transactional(pool), async (context) => { … });
 * ```
 *
 * @throws OptionsError
 */
// biome-ignore lint/suspicious/noExplicitAny: the compiler does not pass on what a router knows of its context
export function transactional<Middleware extends (context: any, next: Next) => unknown>(
  pool: RequestPool,
  middleware: Middleware,
  options?: TransactionalOptions,
): Middleware;
export function transactional(
  pool: RequestPool,
  middleware?: undefined,
  options?: TransactionalOptions,
): ReturnType<typeof koa>;
export function transactional(
  pool: RequestPool,
  middleware: (context: never, next: Next) => unknown = passOn,
  options: TransactionalOptions = {},
): unknown {
  const { transaction, rollbackFrom } = transactionalSettings(pool, options, middleware);
  return (context: KoaContext, next: Next): Promise<unknown> => {
    const run = async (): Promise<unknown> => middleware(context as never, next);
    const isKept = (): boolean => context.status < rollbackFrom;
    const label = (): string => routeOf(context);
    return within(pool, context, label, ({ signal }) => transact(pool, run, isKept, { ...transaction, signal }));
  };
}

/** Runs `fn` in the scope of a request, and has a body that is streamed read in it. */
async function within(
  pool: RequestPool,
  context: KoaContext,
  label: () => string | undefined,
  fn: (own: RequestScope) => Promise<unknown>,
): Promise<unknown> {
  const own = scopeOfExchange(pool, context.req as Anchor, context.res, label);
  const result = await own.run(() => fn(own));
  const { body } = context;
  readWithin(own, body instanceof Response ? body.body : body);
  return result;
}

function passOn(_: unknown, next: Next): Promise<unknown> {
  return next();
}

function routeOf({ method, originalUrl, _matchedRoute: route }: KoaContext): string {
  return route === undefined ? pathLabel(method, originalUrl) : `${method} ${String(route)}`;
}
