import test from 'ava';
import expressFramework from 'express';
import Koa from 'koa';
import { express, transactional as transactionalExpress } from '../../lib/http/express.ts';
import { koa, transactional as transactionalKoa } from '../../lib/http/koa.ts';
import { node, transactional as transactionalNode } from '../../lib/http/node.ts';
import { gate, settled } from '../support/gate.ts';
import { namesIn, openItems } from '../support/items.ts';
import { eventually, expressApp, insertHere, isIdle, labels, rawClient, rawRequest, serve } from './support.ts';

test('node: what answers in place of a handler whose commit failed has none of its headers', async (t) => {
  const pool = await openItems(t);
  await pool.run('CREATE TABLE shelf (id INTEGER PRIMARY KEY)');
  await pool.run('CREATE TABLE book (shelf REFERENCES shelf DEFERRABLE INITIALLY DEFERRED)');
  const listener = transactionalNode(pool, (_, response) => {
    pool.db.prepare('INSERT INTO book VALUES (1)').run();
    // A browser that is told of so many bytes, and gets fewer, waits for the rest.
    response.setHeader('Content-Length', 100).setHeader('Set-Cookie', 'order=1').end('x'.repeat(100));
  });
  const site = await serve(t, (request, response) => void listener(request, response));
  const client = await rawRequest(t, site, 'POST', '/');
  const said = await client.read(/\r\n\r\n/);
  t.regex(said, /^HTTP\/1\.1 503 Service Unavailable\r\n/);
  t.regex(said, /content-length: 20\r\n/i);
  t.notRegex(said, /set-cookie/i);
  await isIdle(t, pool);
});

test('node: an end of the response that Node refuses commits nothing', async (t) => {
  const pool = await openItems(t);
  const inner = transactionalNode(pool, (_, response) => {
    insertHere(pool, 'kept');
    response.end({ id: 1 });
  });
  const { url } = await serve(t, (request, response) => {
    inner(request, response).catch(() => response.writeHead(500).end());
  });
  t.true((await fetch(url)).status >= 500);
  t.deepEqual(await namesIn(pool), []);
  await isIdle(t, pool);
});

test('Express: an end of the response that Node refuses commits nothing', async (t) => {
  const pool = await openItems(t);
  const { app, done } = expressApp();
  const handler: expressFramework.RequestHandler = (_, response) => {
    insertHere(pool, 'kept');
    response.statusCode = 1000;
    response.end('x');
  };
  app.post('/', transactionalExpress(pool, handler));
  done();
  const { url } = await serve(t, app);
  t.is((await fetch(url, { method: 'POST' })).status, 500);
  t.deepEqual(await namesIn(pool), []);
  await isIdle(t, pool);
});

test('Koa: what was answered before the transaction was over is not committed after that', async (t) => {
  const pool = await openItems(t);
  const [begun, released] = [gate(), gate()];
  const app = new Koa();
  app.silent = true;
  app.use((context, next) => Promise.race([next(), begun.passed.then(() => context.throw(504))]));
  app.use(koa(pool)).use(transactionalKoa(pool));
  app.use(async (context) => {
    insertHere(pool, 'late');
    begun.open();
    await released.passed;
    context.body = 'ok';
  });
  const callback = app.callback();
  const { url } = await serve(t, (request, response) => void callback(request, response));
  const response = await fetch(url);
  t.is(response.status, 504);
  await response.text();
  // The scope ends with the response, and is reported with what it left.
  await eventually(() => pool.stats().counters.dirty > 0 || pool.stats().leased === 0);
  released.open();
  await isIdle(t, pool);
  t.deepEqual(await namesIn(pool), []);
});

test('a handler whose transaction was rolled back because its client left commits no part of it by a nested one', async (t) => {
  const pool = await openItems(t);
  const [begun, released, over] = [gate(), gate(), gate()];
  const listener = transactionalNode(pool, async () => {
    await pool.run('INSERT INTO item VALUES (?)', ['order']);
    begun.open();
    await released.passed;
    await pool.transaction(() => pool.run('INSERT INTO item VALUES (?)', ['its line'])).finally(() => over.open());
  });
  const site = await serve(t, (request, response) => void listener(request, response));
  const client = await rawRequest(t, site, 'POST', '/');
  await begun.passed;
  client.abort();
  await isIdle(t, pool);
  await settled();
  released.open();
  await over.passed;
  t.deepEqual(await namesIn(pool), []);
  await isIdle(t, pool);
});

test('requests that have answered, and wait for another on their connection to be answered, hold nothing that it needs', async (t) => {
  const pool = await openItems(t, { max: 1, acquireTimeout: 2000 });
  const answered = gate();
  const eager = node(pool, (_, response) => {
    response.end('second');
    answered.open();
  });
  const first = node(pool, async (_, response) => {
    await answered.passed;
    await settled();
    response.end(JSON.stringify(await pool.all('SELECT 1 AS one').catch((error: Error) => error.name)));
  });
  const bound = node(pool, (request, response) => void eager(request, response), { eager: true });
  const site = await serve(t, (request, response) => void (request.url === '/1' ? first : bound)(request, response));
  const client = await rawClient(t, site);
  for (const path of ['/1', '/2']) client.send(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  t.regex(await client.read(/second/), /\[\{"one":1\}\]/);
  await isIdle(t, pool);
});

test('a connection that was asked for by a label of its own keeps that', async (t) => {
  const pool = await openItems(t);
  const app = expressFramework().use(express(pool));
  app.get('/items', async (_, response) => {
    await pool.connection({ label: 'report' });
    response.send(labels(pool).join());
  });
  const { url } = await serve(t, app);
  t.is(await (await fetch(`${url}/items`)).text(), 'report');
  await isIdle(t, pool);
});
