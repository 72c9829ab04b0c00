import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { getRequestListener } from '@hono/node-server';
import type { ExecutionContext } from 'ava';
import { Hono } from 'hono';
import Koa from 'koa';
import { hono, transactional as transactionalHono } from '../../lib/http/hono.ts';
import { koa, transactional as transactionalKoa } from '../../lib/http/koa.ts';
import type { TransactionalOptions } from '../../lib/http/transactional.ts';
import type { SqlitePool } from '../../lib/index.ts';
import { type Site, serve } from './support-b.ts';

/** One request, as the handlers of the shared suites see it. */
export interface Exchange {
  /** What the client sends, when all of it has come. */
  body(): Promise<string>;
}

/** What a handler answers with: a text, with another status than 200 or not, or pieces. */
export type Answer = string | { readonly status: number } | { readonly pieces: AsyncIterator<string> };

export interface Setting {
  readonly eager?: boolean;
  /** In a transaction. */
  readonly transactional?: TransactionalOptions;
  /** Comes before the scope. */
  readonly before?: () => Promise<void>;
}

/** A server whose only handler answers every request in a scope. */
export interface Served extends Site {
  /** What the framework has been told of as an error. */
  readonly errors: unknown[];
  /** Resolves when the response that is next to be begun, or one begun already, is over. */
  closed(): Promise<void>;
}

export type Handler = (exchange: Exchange) => Promise<Answer>;

export interface Framework {
  readonly name: string;
  serve(t: ExecutionContext, pool: SqlitePool, setting: Setting, handler: Handler): Promise<Served>;
}

export const withKoa: Framework = {
  name: 'Koa',
  async serve(t, pool, { eager, transactional, before }, handler) {
    const app = new Koa();
    app.silent = true;
    const errors: unknown[] = [];
    app.on('error', (error) => errors.push(error));
    if (before !== undefined) {
      app.use(async (_, next) => {
        await before();
        await next();
      });
    }
    app.use(koa(pool, { eager }));
    const answer: Koa.Middleware = async (context) => {
      const made = await handler({ body: () => text(context.req) });
      if (typeof made === 'object' && 'status' in made) context.status = made.status;
      else context.body = typeof made === 'string' ? made : Readable.from(iterable(made.pieces), { objectMode: false });
    };
    app.use(transactional === undefined ? answer : transactionalKoa(pool, answer, transactional));
    const handle = app.callback();
    const site = await serve(t, (request, response) => void handle(request, response));
    return { ...site, errors, closed: watchClose(site) };
  },
};

export const withHono: Framework = {
  name: 'Hono',
  async serve(t, pool, { eager, transactional, before }, handler) {
    const app = new Hono();
    const errors: unknown[] = [];
    app.onError((error, context) => {
      errors.push(error);
      return context.text('failed', 500);
    });
    if (before !== undefined) {
      app.use(async (_, next) => {
        await before();
        await next();
      });
    }
    app.use(hono(pool, { eager }));
    const answer = async (request: { text(): Promise<string> }): Promise<Response> => {
      const made = await handler({ body: () => request.text() });
      if (typeof made === 'string') return new Response(made);
      if ('status' in made) return new Response(null, { status: made.status });
      return new Response(pulledFrom(made.pieces));
    };
    if (transactional === undefined) app.all('*', (context) => answer(context.req));
    else
      app.all(
        '*',
        transactionalHono(pool, (context) => answer(context.req.raw), transactional),
      );
    const handle = getRequestListener(app.fetch);
    const site = await serve(t, (request, response) => void handle(request, response));
    return { ...site, errors, closed: watchClose(site) };
  },
};

function watchClose({ server }: Site): () => Promise<void> {
  const responses: ServerResponse[] = [];
  server.prependListener('request', (_, response) => void responses.push(response));
  return async () => {
    if (responses.length === 0) await once(server, 'request');
    const response = responses.shift() as ServerResponse;
    if (!response.closed) await once(response, 'close');
  };
}

function iterable(pieces: AsyncIterator<string>): AsyncIterable<string> {
  return { [Symbol.asyncIterator]: () => pieces };
}

/** A stream that makes a piece only when it is asked for one. */
function pulledFrom(pieces: AsyncIterator<string>): ReadableStream {
  return new ReadableStream(
    {
      async pull(controller) {
        const { done, value } = await pieces.next();
        if (done) controller.close();
        else controller.enqueue(Buffer.from(value));
      },
      cancel: async () => void (await pieces.return?.()),
    },
    { highWaterMark: 0 },
  );
}
