import { setImmediate } from 'node:timers/promises';
import { matchedRoutes } from 'hono/route';
import {
  type Anchor,
  findScope,
  openRequestScope,
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

/** What is used of Hono's context. */
export interface HonoContext {
  /** Of `@hono/node-server`: Node's own request and response. */
  readonly env?: unknown;
  readonly req: { readonly method: string; readonly path: string; readonly routeIndex: number; readonly raw: Request };
  /** What a handler threw, where Hono has made a response of it. */
  readonly error: Error | undefined;
  /** Whether it has a response. */
  readonly finalized: boolean;
  res: Response;
}

/** What `@hono/node-server` passes for an environment. */
interface NodeBindings {
  readonly incoming?: object | undefined;
  readonly outgoing?: ServerResponseLike | undefined;
}

type Next = () => Promise<void>;

/**
 * A scope for each request. What is called within finds the request's connection: `pool.db`, `pool.get` and the like. The
 * scope ends when the body of the response has been sent, streams included, or the client is gone; work of the request
 * that goes on after that is refused.
 *
 * ```ts
 * app.use(hono(pool));
 * ```
 *
 * @throws OptionsError
 */
export function hono(
  pool: RequestPool,
  options: ScopeOfRequestOptions<HonoContext> = {},
): (context: HonoContext, next: Next) => Promise<void> {
  const { eager, label } = requestOptions(options, routeOf);
  return (context, next) =>
    within(
      pool,
      context,
      () => label(context),
      async () => {
        if (eager) await pool.connection();
        await next();
      },
    );
}

/**
 * Runs a handler, and all that it calls by `next()`, in a transaction; without one, all that come after it. It commits when
 * they have come to a response, before that is sent; what a body that is streamed reads after that is not part of it. It
 * rolls back when one of them throws, also where Hono has made a response of that, when the client goes away, and, where
 * asked, by the status of the response.
 *
 * ```ts
 * app.post('/orders', transactional(pool), async (context) => { … });
 * ```
 *
 * @throws OptionsError
 */
// biome-ignore lint/suspicious/noExplicitAny: the compiler passes on the environment, and not what a route knows of its path
export function transactional<Handler extends (context: any, next: Next) => unknown>(
  pool: RequestPool,
  // As a whole, so that it keeps the types of its responses.
  handler: Handler,
  options?: TransactionalOptions,
): Handler;
export function transactional(
  pool: RequestPool,
  handler?: undefined,
  options?: TransactionalOptions,
): ReturnType<typeof hono>;
export function transactional(
  pool: RequestPool,
  handler: (context: never, next: Next) => unknown = passOn,
  options: TransactionalOptions = {},
): unknown {
  const { transaction, rollbackFrom } = transactionalSettings(pool, options, handler);
  return (context: HonoContext, next: Next): Promise<unknown> => {
    const run = async (): Promise<unknown> => handler(context as never, next);
    const isKept = (result: unknown): boolean => {
      // Without a response Hono throws.
      const { status } = responseOf(context, result) ?? { status: 500 };
      return context.error === undefined && status < rollbackFrom;
    };
    const label = (): string => routeOf(context);
    return within(pool, context, label, ({ signal }) => transact(pool, run, isKept, { ...transaction, signal }));
  };
}

async function passOn(_: unknown, next: Next): Promise<void> {
  // Not returned: it comes to the context, which Hono would take for a response.
  await next();
}

/** The response, when a handler has come to `result`. */
function responseOf(context: HonoContext, result: unknown): Response | undefined {
  if (context.finalized) return context.res;
  // What a handler returns becomes the response only afterwards. Not by class: `@hono/node-server` has one of its own, and
  // those of `fetch` are none of it.
  const isResponse = typeof result === 'object' && result !== null && 'status' in result && 'headers' in result;
  return isResponse ? (result as Response) : undefined;
}

/** Runs `fn` in the scope of a request, and opens one where there is none. */
async function within<Result>(
  pool: RequestPool,
  context: HonoContext,
  label: () => string | undefined,
  fn: (until: Pick<RequestScope, 'signal'>) => Promise<Result>,
): Promise<Result> {
  const { incoming, outgoing } = (context.env ?? {}) as NodeBindings;
  if (outgoing !== undefined) {
    // By the request, as adapters of other frameworks find it: one may be mounted in the other.
    const own = scopeOfExchange(pool, (incoming ?? outgoing) as Anchor, outgoing, label);
    const result = await own.run(() => fn(own));
    const response = responseOf(context, result);
    if (response !== undefined) readWithin(own, streamOf(response));
    return result;
  }
  const found = findScope(pool, context as Anchor);
  if (found !== undefined) return found.run(() => fn(found));
  // A call by code that has a connection, such as a test in a transaction or an application that mounts this one.
  if (pool.current !== undefined) return fn(context.req.raw);
  return untilSent(openRequestScope(pool, context as Anchor, label), context, fn);
}

/**
 * The body of a response, as far as it is known to be a stream. A response of `@hono/node-server` that is asked for its body
 * makes another response of itself, which takes longer to send and has other headers. It keeps what it was made of in an
 * array.
 */
function streamOf(response: Response): unknown {
  for (const key of Object.getOwnPropertySymbols(response)) {
    const kept: unknown = (response as unknown as Record<symbol, unknown>)[key];
    if (Array.isArray(kept)) return kept.find((part) => part instanceof ReadableStream);
  }
  return response.body;
}

/** As long as somebody reads the body: no response of Node is there to say when it has been sent. */
async function untilSent<Result>(
  own: RequestScope,
  context: HonoContext,
  fn: (until: Pick<RequestScope, 'signal'>) => Promise<Result>,
): Promise<Result> {
  const { signal } = context.req.raw;
  const over = Promise.withResolvers<void>();
  const end = (): void => {
    signal.removeEventListener('abort', leave);
    own.end();
    over.resolve();
  };
  const leave = (): void => {
    own.abort();
    // What that has interrupted gets time to give back what it has.
    void setImmediate().then(end);
  };
  if (signal.aborted) leave();
  else signal.addEventListener('abort', leave, { once: true });
  try {
    const result = await own.run(() => fn(own));
    const response = responseOf(context, result);
    if (response === undefined || response.body === null || response.body.locked || context.req.method === 'HEAD') {
      end();
      return result;
    }
    const read = untilRead(own, response, response.body, end);
    // A body that is no stream is read by then.
    await Promise.race([over.promise, setImmediate()]);
    if (!context.finalized) return read as Result;
    context.res = read;
    return result;
  } catch (error) {
    end();
    throw error;
  }
}

// A body that is no stream is one piece. So many are read ahead, that it is at its end without a reader: tests often look
// at the status alone.
const piecesAhead = 4;

/** The same response, which tells when its body has been read, or will not be. */
function untilRead(own: RequestScope, response: Response, original: ReadableStream, end: () => void): Response {
  const reader = original.getReader();
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await own.run(() => reader.read());
          if (!done) return controller.enqueue(value);
          controller.close();
        } catch (error) {
          controller.error(error);
        }
        end();
      },
      cancel(reason) {
        end();
        return reader.cancel(reason);
      },
    },
    { highWaterMark: piecesAhead },
  );
  return new Response(body, response);
}

/**
 * The method, and the pattern of the route that answers: the first from where the request has come to that is no middleware.
 * Where there is none, that of the last middleware.
 */
function routeOf(context: HonoContext): string {
  const { method, path, routeIndex } = context.req;
  const routes = matchedRoutes(context as never);
  const route = routes.slice(routeIndex).find((each) => each.method !== 'ALL') ?? routes.at(-1);
  return route === undefined ? pathLabel(method, path) : `${method} ${route.path}`;
}
