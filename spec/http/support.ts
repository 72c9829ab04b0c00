import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ExecutionContext } from 'ava';
import expressFramework, { type ErrorRequestHandler, type RequestHandler } from 'express';
import fastifyFramework, { type FastifyReply, type FastifyRequest } from 'fastify';
import { express, transactional as transactionalExpress } from '../../lib/http/express.ts';
import { fastify, transactional as transactionalFastify } from '../../lib/http/fastify.ts';
import { node, transactional as transactionalNode } from '../../lib/http/node.ts';
import type { RequestPool } from '../../lib/http/request-scope.ts';
import type { TransactionalOptions } from '../../lib/http/transactional.ts';
import type { OpenScope, OpenScopeOptions, SqlitePool } from '../../lib/index.ts';
import { eventually, listening, type Site, serve } from './support-b.ts';

export * from './support-b.ts';

/** What handlers of the shared suites get: Node's own. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** Answers with a text or a stream, or by itself and with `undefined`. */
export type Handler = (exchange: Exchange) => unknown;

export interface Setting {
  readonly eager?: boolean;
  /** In a transaction. */
  readonly transactional?: TransactionalOptions;
  /** Comes before the scope. */
  readonly before?: () => Promise<void>;
}

/** A server whose only handler answers every request in a scope. */
export interface Served extends Site {
  /** What error handlers were told. */
  readonly errors: unknown[];
}

export interface Framework {
  readonly name: string;
  /** Of a request for any path. */
  readonly label: string;
  serve(t: ExecutionContext, pool: RequestPool, setting: Setting, handler: Handler): Promise<Served>;
}

async function answer(exchange: Exchange, handler: Handler): Promise<void> {
  const { response } = exchange;
  const made = await handler(exchange);
  if (typeof made === 'string') response.end(made);
  // What becomes of a stream whose client is gone is the scope's affair here.
  else if (made instanceof Readable) await pipeline(made, response).catch(() => {});
}

/** An application of Express that keeps what its handlers fail with. */
export function expressApp(): { readonly app: expressFramework.Express; readonly errors: unknown[]; done(): void } {
  const app = expressFramework();
  const errors: unknown[] = [];
  const keep: ErrorRequestHandler = (error, _, response, next) => {
    errors.push(error);
    if (response.headersSent) next(error);
    else response.status(500).send('failed');
  };
  app.set('env', 'test');
  return { app, errors, done: () => void app.use(keep) };
}

export const withExpress: Framework = {
  name: 'Express',
  label: 'GET /{*any}',
  async serve(t, pool, { eager, transactional, before }, handler) {
    const { app, errors, done } = expressApp();
    if (before !== undefined) {
      app.use(async (_, __, next) => {
        await before();
        next();
      });
    }
    app.use(express(pool, { eager }));
    const handle: RequestHandler = (request, response) => answer({ request, response }, handler);
    app.all('/{*any}', transactional === undefined ? handle : transactionalExpress(pool, handle, transactional));
    done();
    return { ...(await serve(t, app)), errors };
  },
};

export const withNode: Framework = {
  name: 'node:http',
  label: 'GET /',
  async serve(t, pool, { eager, transactional, before }, handler) {
    const errors: unknown[] = [];
    const handle = (request: IncomingMessage, response: ServerResponse) => answer({ request, response }, handler);
    const inner = transactional === undefined ? handle : transactionalNode(pool, handle, transactional);
    const listener = node(pool, inner, { eager });
    const serveOne = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
      await before?.();
      try {
        await listener(request, response);
      } catch (error) {
        errors.push(error);
        if (response.headersSent) response.destroy();
        else response.writeHead(500).end('failed');
      }
    };
    const site = await serve(t, (request, response) => void serveOne(request, response));
    return { ...site, errors };
  },
};

export const withFastify: Framework = {
  name: 'Fastify',
  label: 'GET *',
  async serve(t, pool, { eager, transactional, before }, handler) {
    const app = fastifyFramework();
    const errors: unknown[] = [];
    // Bodies are for the handlers here.
    app.removeAllContentTypeParsers();
    app.addContentTypeParser('*', (_, __, done) => done(null));
    if (before !== undefined) app.addHook('onRequest', before);
    app.setErrorHandler((error, _, reply) => {
      errors.push(error);
      return reply.code(500).send('failed');
    });
    await app.register(fastify, { pool, eager });
    const handle = ({ raw: request }: FastifyRequest, { raw: response }: FastifyReply) =>
      handler({ request, response });
    if (transactional === undefined) app.all('*', handle);
    else app.all('*', transactionalFastify(pool, handle, transactional));
    await app.listen({ port: 0, host: '127.0.0.1' });
    t.teardown(() => void app.close());
    return { ...(await listening(t, app.server)), errors };
  },
};

/** One scope that was opened for a request. */
interface Watched {
  readonly label: string | undefined;
  readonly aborted: boolean;
  readonly ended: boolean;
}

function watch(scope: OpenScope<object>, { label, signal }: OpenScopeOptions = {}): Watched {
  return {
    get label() {
      return typeof label === 'function' ? label() : undefined;
    },
    get aborted() {
      return (typeof signal === 'function' ? signal() : signal)?.aborted === true;
    },
    get ended() {
      return scope.ended;
    },
  };
}

/** A pool that keeps account of the scopes that are opened in it, for adapters. */
export function watchScopes(pool: SqlitePool): { readonly watched: RequestPool; readonly scopes: readonly Watched[] } {
  const scopes: Watched[] = [];
  const watched: RequestPool = {
    name: pool.name,
    get current() {
      return pool.current;
    },
    openScope(options) {
      const scope = pool.openScope(options);
      scopes.push(watch(scope, options));
      return scope;
    },
    connection: () => pool.connection(),
    openTransaction: (options) => pool.openTransaction(options),
  };
  return { watched, scopes };
}

/** Waits until every scope has ended, of which there are so many. */
export async function allEnded(scopes: readonly Watched[], count: number): Promise<void> {
  const isOver = () => scopes.length === count && scopes.every(({ ended }) => ended);
  await eventually(isOver, () => JSON.stringify(scopes.map(({ label, ended }) => ({ label, ended }))));
}
