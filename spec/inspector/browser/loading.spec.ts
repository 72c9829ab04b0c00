import type { Server } from 'node:http';
import { serve as serveFetch } from '@hono/node-server';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import express from 'express';
import { Hono } from 'hono';
import { type Inspector, inspector } from '../../../lib/inspector.ts';
import { listening, serve } from '../../http/support-b.ts';
import { browserTests } from '../../support/browser.ts';
import { temporaryPool } from '../../support/sqlite.ts';
import { inspected } from './inspected.ts';

const inBrowser = browserTests(test);

/** Serves an inspector at a path, and gives the address of the server. */
type Mount = (t: ExecutionContext, page: Inspector) => Promise<string>;

const mounts: readonly [name: string, path: string, mount: Mount][] = [
  ['node:http below a prefix', '/admin/pool', async (t, page) => (await serve(t, page.node)).url],
  [
    'Express below a prefix of two parts',
    '/admin/pool',
    async (t, page) => {
      const inner = express().use('/pool', page.express);
      return (await serve(t, express().use('/admin', inner))).url;
    },
  ],
  [
    'Hono below a prefix',
    '/_pool',
    async (t, page) => {
      const app = new Hono().get('/_pool/*', page.hono);
      return (await listening(t, serveFetch({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 }) as Server)).url;
    },
  ],
];

for (const [name, path, mount] of mounts) {
  for (const slash of ['', '/']) {
    inBrowser(
      `by ${name}, ${slash === '' ? 'without' : 'with'} a slash at its end, the page is live and asks only for what is its own`,
      async (t, open) => {
        const pool = temporaryPool(t, { name: 'shop' });
        const page = inspector(pool);
        t.teardown(() => page.close());
        const { page: shown, requests, troubles } = await open(`${await mount(t, page)}${path}${slash}`);
        await shown.locator('#link').getByText('live').waitFor();
        await shown.getByRole('heading', { level: 1, name: 'shop' }).waitFor();
        t.deepEqual(troubles, []);
        t.deepEqual(requests, [`GET ${path}${slash || (path === '' ? '/' : '')}`, `GET ${path}/events`]);
      },
    );
  }
}

inBrowser('at the root of a server it is live, too', async (t, open) => {
  const { pool, page } = await inspected(t);
  const { url } = await serve(t, page.node);
  const { page: shown, requests, troubles } = await open(url);
  await shown.getByRole('heading', { level: 1, name: pool.name }).waitFor();
  t.deepEqual(requests, ['GET /', 'GET /events']);
  t.deepEqual(troubles, []);
});
