import { once } from 'node:events';
import { request as requestOf } from 'node:http';
import { connect as connect2, createServer as createServer2, type OutgoingHttpHeaders } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { getRequestListener } from '@hono/node-server';
import { Router } from '@koa/router';
import test, { type ExecutionContext } from 'ava';
import expressFramework, { Router as ExpressRouter } from 'express';
import fastifyFramework from 'fastify';
import { Hono } from 'hono';
import Koa from 'koa';
import type { Inspector } from '../../lib/inspector.ts';
import { openItems } from '../support/items.ts';
import { inspect, listen, listening, serve } from './support/serve.ts';

// Mounted in each framework as its documentation says, and asked over real sockets.

interface Place {
  readonly port: number;
  /** Where it is mounted, without a slash at the end. */
  readonly base: string;
  /** What the framework was told of as an error. */
  readonly errors: unknown[];
}

type Mount = (t: ExecutionContext, page: Inspector) => Promise<Place>;

const mounts: Readonly<Record<string, Mount>> = {
  'node:http': async (t, page) => ({ ...(await serve(t, page.node)), base: '', errors: [] }),
  Express: async (t, page) => {
    const { app, errors, done } = expressApp();
    app.use('/_pool', page.express);
    done();
    return { ...(await serve(t, app)), base: '/_pool', errors };
  },
  'a nested router of Express': async (t, page) => {
    const { app, errors, done } = expressApp();
    app.use('/admin', ExpressRouter().use('/:team/pools', page.express));
    done();
    return { ...(await serve(t, app)), base: '/admin/a%20team/pools', errors };
  },
  Fastify: async (t, page) => {
    const app = fastifyFramework();
    await app.register(page.fastify, { prefix: '/_pool' });
    await app.listen({ port: 0, host: '127.0.0.1' });
    t.teardown(() => void app.close());
    return { ...(await listening(t, app.server)), base: '/_pool', errors: [] };
  },
  'nested plugins of Fastify': async (t, page) => {
    const app = fastifyFramework();
    await app.register(
      async (inner) => {
        await inner.register(page.fastify, { prefix: '/pools' });
      },
      { prefix: '/admin' },
    );
    await app.listen({ port: 0, host: '127.0.0.1' });
    t.teardown(() => void app.close());
    return { ...(await listening(t, app.server)), base: '/admin/pools', errors: [] };
  },
  Koa: async (t, page) => {
    const app = new Koa();
    app.silent = true;
    const errors: unknown[] = [];
    app.on('error', (error) => errors.push(error));
    app.use(new Router().get('/_pool{/:part}', page.koa).routes());
    const handle = app.callback();
    return { ...(await serve(t, (request, response) => void handle(request, response))), base: '/_pool', errors };
  },
  'a nested router of Koa': async (t, page) => {
    const app = new Koa();
    app.silent = true;
    const errors: unknown[] = [];
    app.on('error', (error) => errors.push(error));
    const inner = new Router().get('/pools{/:part}', page.koa);
    app.use(new Router({ prefix: '/admin' }).use(inner.routes()).routes());
    const handle = app.callback();
    return { ...(await serve(t, (request, response) => void handle(request, response))), base: '/admin/pools', errors };
  },
  Hono: async (t, page) => {
    const errors: unknown[] = [];
    const app = new Hono().get('/_pool/*', page.hono);
    return { ...(await serveHono(t, app, errors)), base: '/_pool', errors };
  },
  'a nested app of Hono': async (t, page) => {
    const errors: unknown[] = [];
    const app = new Hono().route('/admin', new Hono().get('/pools/*', page.hono));
    return { ...(await serveHono(t, app, errors)), base: '/admin/pools', errors };
  },
};

function expressApp() {
  const app = expressFramework();
  const errors: unknown[] = [];
  app.set('env', 'test');
  const keep: expressFramework.ErrorRequestHandler = (error, _, response, _next) => {
    errors.push(error);
    response.status(500).send('failed');
  };
  return { app, errors, done: () => void app.use(keep) };
}

async function serveHono(t: ExecutionContext, app: Hono, errors: unknown[]) {
  app.onError((error, context) => {
    errors.push(error);
    return context.text('failed', 500);
  });
  const handle = getRequestListener(app.fetch);
  return serve(t, (request, response) => void handle(request, response));
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

/** Asks by a path that nobody makes neat on the way. */
async function get({ port }: Pick<Place, 'port'>, path: string, method = 'GET', headers = {}): Promise<Answer> {
  const request = requestOf({ port, host: '127.0.0.1', path, method, headers, agent: false }).end();
  const [response] = await once(request, 'response');
  return { status: response.statusCode, headers: response.headers, body: await text(response) };
}

for (const [name, mount] of Object.entries(mounts)) {
  test(`${name}: page, data, lease and events are where it is mounted`, async (t) => {
    const pool = await openItems(t, { name: 'mounted' });
    const place = await mount(t, inspect(t, pool));
    const page = await get(place, `${place.base}/`);
    t.is(page.status, 200);
    t.regex(page.body, /^<!doctype html>/);
    t.is(page.headers['content-type'], 'text/html; charset=utf-8');
    t.regex(String(page.headers['content-security-policy']), /default-src 'none'/);
    const bare = await get(place, place.base || '/');
    t.is(bare.body, page.body, 'also without a slash at the end');
    const data = await get(place, `${place.base}/data?after=99`);
    t.is(data.status, 200);
    const report = JSON.parse(data.body);
    t.like(report, { protocol: 1, complete: true, pools: [{ name: 'mounted' }] });
    const { id } = report.server;
    t.false(JSON.parse((await get(place, `${place.base}/data?after=0&server=${id}`)).body).complete);
    const holder = await pool.acquire({ label: 'asked for' });
    const { lease } = JSON.parse((await get(place, `${place.base}/data`)).body).pools[0].holders[0];
    const detail = await get(place, `${place.base}/lease?pool=${pool.id}&lease=${lease}`);
    t.like(JSON.parse(detail.body), { label: 'asked for', pool: pool.id });
    holder.close();
    t.is((await get(place, `${place.base}/lease`)).status, 400);
    const listener = await listen(t, place, `${place.base}/events`);
    t.is(listener.response.headers['content-type'], 'text/event-stream; charset=utf-8');
    t.deepEqual(
      (await listener.until(2)).map(({ complete }) => complete),
      [true, false],
    );
    listener.abort();
    t.deepEqual(place.errors, []);
  });

  test(`${name}: HEAD has the headers and no body`, async (t) => {
    const place = await mount(t, inspect(t, await openItems(t)));
    for (const part of ['/', '/data', '/events']) {
      const { status, headers, body } = await get(place, place.base + part, 'HEAD');
      t.deepEqual([status, body], [200, ''], part);
      t.is(headers['cache-control'], 'no-store, no-transform');
      t.truthy(headers['content-type']);
    }
  });

  test(`${name}: who may not see it is told so, with the headers of security`, async (t) => {
    const place = await mount(t, inspect(t, await openItems(t)));
    const refusals: readonly [headers: Record<string, string>, RegExp][] = [
      [{ host: 'evil.com' }, /host .* no loopback address/],
      [{ 'x-forwarded-for': '8.8.8.8' }, /"x-forwarded-for"/],
      [{ 'sec-fetch-site': 'cross-site' }, /for the page of the inspector/],
    ];
    for (const [headers, sentence] of refusals) {
      const answer = await get(place, `${place.base}/data`, 'GET', headers);
      t.is(answer.status, 403);
      t.regex(answer.body, sentence);
      t.like(answer.headers, { 'cache-control': 'no-store, no-transform', 'x-content-type-options': 'nosniff' });
    }
  });

  test(`${name}: a Response of authorize is sent as it is, with all its cookies`, async (t) => {
    const place = await mount(
      t,
      inspect(t, await openItems(t), {
        authorize: () => {
          const headers = new Headers({ location: '/login' });
          headers.append('set-cookie', 'a=1; Path=/');
          headers.append('set-cookie', 'b=2');
          return new Response('Log in', { status: 302, headers });
        },
      }),
    );
    for (const part of ['/', '/data', '/events']) {
      const { status, headers, body } = await get(place, place.base + part);
      t.deepEqual([status, body, headers['location']], [302, 'Log in', '/login']);
      t.deepEqual(headers['set-cookie'], ['a=1; Path=/', 'b=2']);
    }
  });
}

// Listened to here, and not to be read by whoever runs the specs.
process.removeAllListeners('warning');

const viaNode = new Set(['node:http', 'Fastify', 'nested plugins of Fastify']);

for (const [name, mount] of Object.entries(mounts)) {
  test.serial(`${name}: what authorize throws is a 500 that tells nothing of it`, async (t) => {
    const failure = new Error('the session store said s3cret');
    const place = await mount(t, inspect(t, await openItems(t), { authorize: () => Promise.reject(failure) }));
    const warned = viaNode.has(name) ? once(process, 'warning') : undefined;
    const { status, body } = await get(place, `${place.base}/data`);
    t.is(status, 500);
    t.notRegex(body, /s3cret|session/);
    if (warned === undefined) t.deepEqual(place.errors, [failure]);
    else t.regex((await warned)[0].message, /could not say who may see it: the session store/);
    // The next one is answered too.
    t.is((await get(place, `${place.base}/`)).status, 500);
  });
}

test('HTTP/2: page, data and events, by GET and HEAD', async (t) => {
  const pool = await openItems(t, { name: 'two' });
  const page = inspect(t, pool);
  const server = createServer2(page.node).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  t.teardown(() => {
    client.destroy();
    server.close();
  });
  const ask = async (headers: OutgoingHttpHeaders) => {
    const stream = client.request(headers);
    const [head] = await once(stream, 'response');
    return { status: head[':status'], headers: head, body: await text(stream) };
  };
  t.like(JSON.parse((await ask({ ':path': '/data' })).body), { complete: true, pools: [{ name: 'two' }] });
  t.regex((await ask({ ':path': '/_pool/' })).body, /^<!doctype html>/);
  const head = await ask({ ':path': '/data', ':method': 'HEAD' });
  t.like(head, { status: 200, body: '' });
  t.is(head.headers['x-content-type-options'], 'nosniff');
  t.is((await ask({ ':path': '/data', ':method': 'POST' })).status, 405);
  t.is((await ask({ ':path': '/data', ':authority': 'evil.com' })).status, 403);
  t.is((await ask({ ':path': '/data', 'x-forwarded-for': '8.8.8.8' })).status, 403);
  const stream = client.request({ ':path': '/events' }).setEncoding('utf8');
  const [first] = await once(stream, 'data');
  t.regex(first, /^retry: \d+\n\n/);
  page.close();
  await text(stream);
});
