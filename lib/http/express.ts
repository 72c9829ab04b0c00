import { transactExchange } from './exchange.ts';
import type { EndableResponse } from './held-end.ts';
import {
  type Anchor,
  type RequestPool,
  requestOptions,
  type ScopeOfRequestOptions,
  type ServerResponseLike,
  scopeOfExchange,
} from './request-scope.ts';
import { type TransactionalOptions, transactionalSettings } from './transactional.ts';

export type { RequestPool, ScopeOfRequestOptions } from './request-scope.ts';
export type { TransactionalOptions } from './transactional.ts';

type RoutePath = string | RegExp;

/** What is used of Express's request. */
export interface ExpressRequest {
  readonly method: string;
  readonly baseUrl: string;
  readonly route?: { readonly path: RoutePath | readonly RoutePath[] } | undefined;
}

type Next = (error?: unknown) => void;

/** A handler of requests. Not of errors. Its parameters are those of the route it is given to. */
// biome-ignore lint/suspicious/noExplicitAny: what is inferred for it must not be narrowed by anything said here
export type ExpressHandler = (request: any, response: any, next: any) => unknown;

/**
 * A scope for each request. What is called within finds the request's connection: `pool.db`, `pool.get` and the like. The
 * scope ends when the response has been sent or the client is gone; work of the request that goes on after that is refused.
 *
 * ```ts
 * app.use(express(pool));
 * ```
 *
 * @throws OptionsError
 */
export function express(
  pool: RequestPool,
  options: ScopeOfRequestOptions<ExpressRequest> = {},
): (request: ExpressRequest, response: ServerResponseLike, next: Next) => void {
  const { eager, label } = requestOptions(options, routeOf);
  return (request, response, next) => {
    scopeOfExchange(pool, request as Anchor, response, () => label(request)).enter(eager, next);
  };
}

/**
 * Runs a handler, or a router, in a transaction. It commits when the handler ends the response, calls `next()`, or has
 * returned a promise that resolves, whichever is first. It rolls back when the handler throws or rejects, when it calls
 * `next(error)`, when the client goes away, and, where asked, by the status of the response. The end of the response waits
 * for the commit, so that nobody is told of what was not kept. Inside another it is a savepoint of that.
 *
 * ```ts
 * app.post('/orders', transactional(pool, async (request, response) => { … }));
 * ```
 *
 * @throws OptionsError
 */
export function transactional<Handler extends ExpressHandler>(
  pool: RequestPool,
  handler: Handler,
  options: TransactionalOptions = {},
): Handler {
  const settings = transactionalSettings(pool, options, handler);
  const transacted = (request: ExpressRequest, response: EndableResponse, next: Next): Promise<void> => {
    const own = scopeOfExchange(pool, request as Anchor, response, () => routeOf(request));
    const run = (passed: Next): unknown => handler(request, response, passed);
    return own.run(() => transactExchange(own, response, run, settings, next, next)).catch(next);
  };
  return transacted as Handler;
}

/** The method and the route's pattern. Before a route is found, where it is looked for. */
function routeOf({ method, baseUrl, route }: ExpressRequest): string {
  if (route === undefined) return `${method} ${baseUrl}/*`;
  // A path, a pattern, or a list of them.
  const pattern = String(route.path);
  return `${method} ${pattern === '/' && baseUrl !== '' ? baseUrl : baseUrl + pattern}`;
}
