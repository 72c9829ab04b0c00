import { once } from 'node:events';
import { connect as connect2, createServer as createServer2 } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { setTimeout as later } from 'node:timers/promises';
import { getRequestListener } from '@hono/node-server';
import { Router } from '@koa/router';
import test, { type ExecutionContext } from 'ava';
import expressFramework from 'express';
import fastifyFramework from 'fastify';
import { Hono } from 'hono';
import Koa from 'koa';
import type { Inspector } from '../../lib/inspector.ts';
import { eventually } from '../http/support-b.ts';
import { gate } from '../support/gate.ts';
import { openItems } from '../support/items.ts';
import { ask, here, inspect, type Listener, listen, listening, type Site, serve } from './support/serve.ts';

// How many may listen to events, and that each place is given back.

/** Whether another one finds a place. */
async function hasRoom(page: Inspector): Promise<boolean> {
  const { status, body } = await page(ask('/events'), here);
  await body?.cancel();
  return status === 200;
}

test.serial(
  'fifty may listen, the next is told to ask for the data instead, and one that goes makes room',
  async (t) => {
    const pool = await openItems(t);
    const page = inspect(t, pool);
    const site = await serve(t, page.node);
    const listeners: Listener[] = [];
    for (let count = 0; count < 50; count++) listeners.push(await listen(t, site));
    for (const { response } of listeners) t.is(response.statusCode, 200);
    const refused = await fetch(`${site.url}/events`);
    t.is(refused.status, 503);
    t.is(refused.headers.get('retry-after'), '5');
    t.regex(await refused.text(), /^Already 50 .*"data"/);
    t.is((await fetch(`${site.url}/data`)).status, 200);
    t.is((await fetch(`${site.url}/events`, { method: 'HEAD' })).status, 503);
    listeners[7]?.abort();
    while (!(await hasRoom(page))) await later(1);
    // Each of the others still hears of the next tick.
    for (const listener of listeners.filter((_, index) => index !== 7)) await listener.until(2);
  },
);

test.serial('a HEAD request of events takes no place', async (t) => {
  const page = inspect(t, await openItems(t));
  for (let count = 0; count < 60; count++) t.is((await page(ask('/events', {}, 'HEAD'), here)).status, 200);
  t.true(await hasRoom(page));
});

type Mount = (t: ExecutionContext, page: Inspector) => Promise<Site & { readonly path: string }>;

const mounts: Readonly<Record<string, Mount>> = {
  'node:http': async (t, page) => ({ ...(await serve(t, page.node)), path: '/events' }),
  Express: async (t, page) => {
    const app = expressFramework().use('/_pool', page.express);
    return { ...(await serve(t, app)), path: '/_pool/events' };
  },
  Fastify: async (t, page) => {
    const app = fastifyFramework();
    await app.register(page.fastify, { prefix: '/_pool' });
    await app.listen({ port: 0, host: '127.0.0.1' });
    t.teardown(() => void app.close());
    return { ...(await listening(t, app.server)), path: '/_pool/events' };
  },
  Koa: async (t, page) => {
    const router = new Router().get('/_pool{/:part}', page.koa);
    const app = new Koa();
    // Clients that go away are nothing to print.
    app.silent = true;
    const handle = app.use(router.routes()).callback();
    return { ...(await serve(t, (request, response) => void handle(request, response))), path: '/_pool/events' };
  },
  Hono: async (t, page) => {
    const handle = getRequestListener(new Hono().get('/_pool/*', page.hono).fetch);
    return { ...(await serve(t, (request, response) => void handle(request, response))), path: '/_pool/events' };
  },
};

for (const [name, mount] of Object.entries(mounts)) {
  test.serial(`${name}: clients that go away without a word leave no stream behind`, async (t) => {
    const page = inspect(t, await openItems(t));
    const site = await mount(t, page);
    const listeners = await Promise.all(Array.from({ length: 50 }, () => listen(t, site, site.path)));
    for (const { response } of listeners) t.is(response.statusCode, 200);
    for (const listener of listeners) listener.abort();
    t.true(await allFree(page));
  });

  test.serial(
    `${name}: a client that goes away while it is asked whether he may look leaves no stream behind`,
    async (t) => {
      const { passed, open } = gate<boolean>();
      let asked = 0;
      const page = inspect(t, await openItems(t), {
        authorize: () => {
          asked++;
          return passed;
        },
      });
      const site = await mount(t, page);
      const clients = Array.from({ length: 50 }, () => new AbortController());
      const answers = clients.map(({ signal }) => fetch(site.url + site.path, { signal }).catch(() => {}));
      await eventually(() => asked === 50);
      for (const client of clients) client.abort();
      await Promise.all(answers);
      // A request of another connection that comes after the goodbyes of all is answered after them.
      let closed = 0;
      await eventually(() => {
        site.server.getConnections((_, count) => {
          closed = 50 - count;
        });
        return closed === 50;
      });
      open(true);
      t.true(await allFree(page));
    },
  );
}

/** Whether all fifty places can be had, now or in a moment. */
async function allFree(page: Inspector): Promise<boolean> {
  for (const startedAt = performance.now(); performance.now() - startedAt < 10_000; await later(5)) {
    const answers = await Promise.all(Array.from({ length: 50 }, () => page(ask('/events'), here)));
    await Promise.all(answers.map(async ({ body }) => body?.cancel()));
    if (answers.every(({ status }) => status === 200)) return true;
  }
  return false;
}

test.serial(
  'HTTP/2: streams that are reset, also while it is asked who may look, give their places back',
  async (t) => {
    let verdict: Promise<boolean> | boolean = true;
    let asked = 0;
    const page = inspect(t, await openItems(t), {
      authorize: () => {
        asked++;
        return verdict;
      },
    });
    const server = createServer2(page.node).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client = connect2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    t.teardown(() => {
      client.destroy();
      server.close();
    });
    const open = () => {
      const stream = client.request({ ':path': '/events' });
      stream.on('error', () => {});
      return stream;
    };
    const streams = Array.from({ length: 50 }, open);
    for (const stream of streams) await once(stream, 'data');
    for (const stream of streams) stream.close(8);
    t.true(await allFree(page));
    const held = gate<boolean>();
    verdict = held.passed;
    asked = 0;
    const pending = Array.from({ length: 50 }, open);
    await eventually(() => asked === 50);
    for (const stream of pending) stream.close(8);
    await Promise.all(pending.map(async (stream) => stream.closed || once(stream, 'close')));
    // An answer on the same connection comes after what was told before it.
    await new Promise((resolve) => {
      client.ping(resolve);
    });
    held.open(true);
    verdict = true;
    t.true(await allFree(page));
  },
);
