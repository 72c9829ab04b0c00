import { createServer } from 'node:http';
import { createSecureServer, createServer as createServer2 } from 'node:http2';
import { createServer as createSecure } from 'node:https';
import { Router } from '@koa/router';
import test from 'ava';
import { expectTypeOf } from 'expect-type';
import expressFramework, { Router as ExpressRouter } from 'express';
import fastifyFramework, { type FastifyInstance, type FastifyPluginCallback } from 'fastify';
import { Hono } from 'hono';
import Koa from 'koa';
import { createPool } from '../../lib/index.ts';
import { type Inspector, inspector, type Peer, type Report } from '../../lib/inspector.ts';
import { postgres } from '../../lib/postgres.ts';
import { openItems } from '../support/items.ts';
import { inspect } from './support/serve.ts';

// That it can be written down as it is documented, by the types of the frameworks themselves.

test('each mount is what its framework takes', async (t) => {
  const page = inspect(t, await openItems(t));
  for (const server of [createServer(page.node), createServer2(page.node), createSecure({}, page.node)]) {
    t.truthy(server);
  }
  createSecureServer({ allowHTTP1: true }, page.node);
  expressFramework().use('/_pool', page.express);
  expressFramework().get('/_pool', page.express);
  ExpressRouter().use(page.express);
  const app = fastifyFramework();
  app.register(page.fastify, { prefix: '/_pool' });
  app.register(page.fastify);
  await app.ready();
  t.true(app.hasRoute({ method: 'GET', url: '/_pool/data' }));
  t.true(app.hasRoute({ method: 'GET', url: '/data' }));
  new Koa().use(page.koa);
  new Router().get('/_pool{/:part}', page.koa);
  new Hono().get('/_pool/*', page.hono);
  new Hono().use('/_pool/*', page.hono);
  expectTypeOf(page.fastify).toExtend<FastifyPluginCallback>();
  expectTypeOf<FastifyInstance>().toExtend<Parameters<typeof page.fastify>[0]>();
});

test('the handler itself is one of the fetch standard, told who asks', async (t) => {
  const page = inspect(t, await openItems(t));
  expectTypeOf(page).toExtend<(request: Request) => Promise<Response>>();
  expectTypeOf(page).parameter(1).toEqualTypeOf<Peer | undefined>();
  const answer = await page(new Request('http://localhost/data', { headers: { host: 'localhost' } }), {
    address: '::1',
  });
  const report = (await answer.json()) as Report;
  t.is(report.protocol, 1);
});

test('any pool is taken, one or several, and nothing else', async (t) => {
  const file = createPool(':memory:');
  const server = createPool(postgres('postgres://user@127.0.0.1:1/app'));
  t.teardown(() => Promise.all([file.close(), server.close()]));
  const pages: Inspector[] = [inspector(file), inspector(server), inspector([file, server] as const)];
  for (const page of pages) page.close();
  // @ts-expect-error not a pool
  t.throws(() => inspector({ name: 'app' }));
  // @ts-expect-error no option of this name
  t.throws(() => inspector(file, { authorise: () => true }));
  // @ts-expect-error neither true nor false
  inspector(file, { authorize: () => 'yes' }).close();
});
