// Servers are given handlers that return promises here, whose types are the subject.
/* oxlint-disable typescript/no-misused-promises */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createServer2, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2';
import test from 'ava';
import { expectTypeOf } from 'expect-type';
import expressFramework, { type Request, type Response, Router } from 'express';
import fastifyFramework, { type FastifyInstance } from 'fastify';
import { express, transactional as transactionalExpress } from '../../lib/http/express.ts';
import { fastify, transactional as transactionalFastify } from '../../lib/http/fastify.ts';
import { node, transactional as transactionalNode } from '../../lib/http/node.ts';
import { openItems } from '../support/items.ts';

test('Express: a handler in a transaction has the parameters of its route', async (t) => {
  const pool = await openItems(t);
  const app = expressFramework();
  app.use(express(pool), express(pool, { label: ({ method }) => method, eager: true }));
  app.get('/', express(pool));
  app.post(
    '/:id',
    transactionalExpress(pool, async (request, response, next) => {
      expectTypeOf(request.params).toEqualTypeOf<{ id: string }>();
      expectTypeOf(response).toExtend<Response>();
      expectTypeOf(next).toBeCallableWith('route');
    }),
  );
  app.use(transactionalExpress(pool, (request) => expectTypeOf(request).toExtend<Request>()));
  app.use(transactionalExpress(pool, Router(), { mode: 'deferred', rollbackFrom: 500 }));
  const annotated = transactionalExpress(pool, async (_: Request<{ name: string }>, response: Response<number>) => {
    response.send(1);
  });
  app.put('/:name', annotated);
  // @ts-expect-error no option of this name
  t.throws(() => express(pool, { eagre: true }));
  // @ts-expect-error not a pool
  t.notThrows(() => express({}));
});

test('node: a handler has the request and the response of its server', async (t) => {
  const pool = await openItems(t);
  createServer(
    node(pool, (request, response) => {
      expectTypeOf(request).toExtend<IncomingMessage>();
      expectTypeOf(response).toExtend<ServerResponse>();
    }),
  );
  createServer(
    node(
      pool,
      transactionalNode(pool, async (_, response) => void response.end('done')),
      { eager: true },
    ),
  );
  createServer2(
    node(pool, (request, response) => {
      expectTypeOf(request).toExtend<Http2ServerRequest>();
      expectTypeOf(response).toExtend<Http2ServerResponse>();
    }),
  );
  createServer2(transactionalNode(pool, (_, response) => void response.end('done')));
  // @ts-expect-error a handler is missing
  t.throws(() => node(pool));
});

test('Fastify: a handler in a transaction has the types of its route, and answers with what the route may', async (t) => {
  const pool = await openItems(t);
  const app = fastifyFramework();
  app.register(fastify, { pool });
  app.register(fastify, { pool, decorator: 'other', eager: true, label: 'mine', prefix: '/api' });
  app.post<{ Body: { x: number }; Params: { id: string }; Reply: { ok: boolean } }>(
    '/:id',
    transactionalFastify(pool, async function answer(request, reply) {
      expectTypeOf(request.body).toEqualTypeOf<{ x: number }>();
      expectTypeOf(request.params).toEqualTypeOf<{ id: string }>();
      expectTypeOf(this).toExtend<FastifyInstance>();
      reply.code(200);
      return { ok: true };
    }),
  );
  app.post<{ Reply: { ok: boolean } }>(
    '/callback',
    transactionalFastify(pool, (_, reply) => {
      reply.send({ ok: true });
    }),
  );
  app.post<{ Reply: { ok: boolean } }>(
    '/wrong',
    // @ts-expect-error the route does not answer so
    transactionalFastify(pool, async () => ({ ok: 1 })),
  );
  // @ts-expect-error no pool
  fastify(app, { eager: true }, (error) => t.like(error, { code: 'ERR_LEASEHOLD_OPTIONS' }));
});
