import type { IncomingMessage, ServerResponse } from 'node:http';
import { AbortError, isError, LeaseholdError } from '../errors.ts';
import { isPromiseLike } from '../events.ts';
import { checkFunction } from '../rules.ts';
import { transactExchange } from './exchange.ts';
import type { EndableResponse } from './held-end.ts';
import {
  type Anchor,
  pathLabel,
  type RequestPool,
  type RequestScope,
  requestOptions,
  type ScopeOfRequestOptions,
  scopeOfExchange,
} from './request-scope.ts';
import { type TransactionalOptions, transactionalSettings } from './transactional.ts';

export type { RequestPool, ScopeOfRequestOptions } from './request-scope.ts';
export type { TransactionalOptions } from './transactional.ts';

/** What is used of `IncomingMessage`, of HTTP/1 and HTTP/2. */
export interface NodeRequest {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
}

/** What is used of a response to answer it. */
export interface AnsweredResponse extends EndableResponse {
  readonly headersSent: boolean;
  setHeader(name: string, value: string): unknown;
  getHeaderNames(): string[];
  removeHeader(name: string): void;
  destroy(): unknown;
  /** Of HTTP/2. */
  readonly stream?: { close(code: number): unknown } | undefined;
}

/**
 * Runs each request of `http.createServer` in a scope of its own. What is called within finds the request's connection:
 * `pool.db`, `pool.get` and the like. The scope ends when the response has been sent, the client is gone, or the handler has
 * failed; work of the request that goes on after that is refused. What the handler returns or throws passes through unchanged,
 * but for what it throws because the client is gone: nobody would catch that, and it would end the process. Where `eager` and there is no connection, the request is answered with 503.
 *
 * ```ts
 * createServer(node(pool, async (request, response) => { … }));
 * ```
 *
 * @throws OptionsError
 */
export function node<
  Request extends NodeRequest = IncomingMessage,
  Response extends AnsweredResponse = ServerResponse,
  Result = unknown,
>(
  pool: RequestPool,
  handler: (request: Request, response: Response) => Result,
  options: ScopeOfRequestOptions<Request> = {},
): (request: Request, response: Response) => Result | Promise<Awaited<Result>> {
  checkFunction(handler, 'handler');
  const { eager, label } = requestOptions(options, labelOf);
  return (request, response) => {
    const own = scopeOfExchange(pool, request as Anchor, response, () => label(request));
    const run = (): Result => endingWith(own, () => handler(request, response));
    if (!eager) return own.run(run);
    const refused = (): Awaited<Result> => refuse(own, response) as Awaited<Result>;
    return own.run(() => pool.connection().then(run as () => Awaited<Result>, refused));
  };
}

/**
 * Runs a handler in a transaction. It commits when the handler ends the response, or has returned a promise that resolves,
 * whichever is first. It rolls back when the handler throws or rejects, when the client goes away, and, where asked, by the
 * status of the response. The end of the response waits for the commit, so that nobody is told of what was not kept.
 *
 * What the handler throws passes through unchanged. Where the transaction can not begin or not be committed, the request is
 * answered with 503.
 *
 * @throws OptionsError
 */
export function transactional<
  Request extends NodeRequest = IncomingMessage,
  Response extends AnsweredResponse = ServerResponse,
>(
  pool: RequestPool,
  handler: (request: Request, response: Response) => unknown,
  options: TransactionalOptions = {},
): (request: Request, response: Response) => Promise<void> {
  const settings = transactionalSettings(pool, options, handler);
  return async (request, response) => {
    const own = scopeOfExchange(pool, request as Anchor, response, () => labelOf(request));
    let failure: { readonly error: unknown } | undefined;
    const fail = (error: unknown): never => {
      failure = { error };
      throw error;
    };
    const run = (): unknown => {
      try {
        const result = handler(request, response);
        return isPromiseLike(result) ? result.then(undefined, fail) : result;
      } catch (error) {
        return fail(error);
      }
    };
    const late = (error: unknown): void => {
      if (!isOfLeaving(own, error)) void raise(error);
    };
    try {
      await own.run(() => transactExchange(own, response, run, settings, () => {}, late));
    } catch (error) {
      if (failure === undefined || failure.error !== error) return refuse(own, response);
      own.end();
      if (!isOfLeaving(own, error)) throw error;
    }
  };
}

/** Ends the scope where a handler fails: nobody else is going to answer. */
function endingWith<Result>(own: RequestScope, run: () => Result): Result {
  const failed = (error: unknown): Result => {
    own.end();
    if (isOfLeaving(own, error)) return undefined as Result;
    throw error;
  };
  try {
    const result = run();
    return isPromiseLike(result) ? (result.then(undefined, failed) as Result) : result;
  } catch (error) {
    return failed(error);
  }
}

/** Whether a handler has failed only because the client is gone, by itself or by what makes an error of that error. */
function isOfLeaving(own: RequestScope, error: unknown): boolean {
  if (!own.signal.aborted) return false;
  for (let cause = error; isError(cause); { cause } = cause) {
    if (cause instanceof AbortError || cause instanceof LeaseholdError) return true;
  }
  return false;
}

/** What HTTP/2 calls it. One that is only destroyed looks complete. */
const internalError = 2;

const unavailable = 'Service Unavailable\n';

/** Answers in place of a handler that could not do its work: the pool's listeners know why. */
function refuse(own: RequestScope, response: AnsweredResponse): void {
  own.end();
  if (response.destroyed === true) return;
  if (response.headersSent) {
    // What is missing shall be seen to be missing.
    if (response.stream === undefined) response.destroy();
    else response.stream.close(internalError);
    return;
  }
  // What the handler has set is of an answer that will not be given.
  for (const name of response.getHeaderNames()) response.removeHeader(name);
  if (Object.hasOwn(response, 'statusMessage')) response.statusMessage = '';
  response.statusCode = 503;
  response.setHeader('Retry-After', '1');
  // Node does not say it by itself where it was said before and taken back.
  response.setHeader('Content-Length', String(unavailable.length));
  response.end(unavailable);
}

/** A handler that fails when it has ended the response is the process's to hear of, as where it is not in a transaction. */
async function raise(error: unknown): Promise<never> {
  throw error;
}

function labelOf({ method, url }: NodeRequest): string {
  return pathLabel(method, url);
}
