import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import test from 'ava';
import expressFramework, { type RequestHandler, Router } from 'express';
import { express } from '../../lib/http/express.ts';
import { gate } from '../support/gate.ts';
import { openItems, refusal } from '../support/items.ts';
import { allEnded, expressApp, held, isIdle, rawClient, serve, watchScopes } from './support.ts';

test('Express: a pool registered on the app, on it again and on a router opens one scope', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const { watched, scopes } = watchScopes(pool);
  const app = expressFramework();
  app.use(express(watched, { label: 'first' }), express(watched, { eager: true }));
  app.use(
    Router()
      .use(express(watched, { label: 'third' }))
      .get('/', (_, response) => void response.json(held(pool).length)),
  );
  const { url } = await serve(t, app);
  t.is(await (await fetch(url)).json(), 1);
  await allEnded(scopes, 1);
  t.is(scopes[0]?.label, 'first');
  await isIdle(t, pool);
});

test('Express: two pools in one app have a scope each', async (t) => {
  const [one, two] = [await openItems(t), await openItems(t)];
  const app = expressFramework();
  app.use(express(one), express(two, { eager: true }));
  app.post('/', expressFramework.json(), async (_, response) => {
    await one.connection();
    one.db.exec("INSERT INTO item VALUES ('one')");
    response.json([
      one.db.prepare('SELECT * FROM item').all().length,
      two.db.prepare('SELECT * FROM item').all().length,
    ]);
  });
  const { url } = await serve(t, app);
  const headers = { 'content-type': 'application/json' };
  t.deepEqual(await (await fetch(url, { method: 'POST', body: '{}', headers })).json(), [1, 0]);
  await isIdle(t, one, two);
});

test('Express: middleware before and after the handler, and error handlers, find the connection of the request', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const seen: string[] = [];
  const look = (who: string) => seen.push(`${who} ${Number(pool.db.prepare('SELECT 1').pluck().get())}`);
  const { app } = expressApp();
  app.use(express(pool));
  app.use(async (_, __, next) => {
    await pool.connection();
    look('before');
    next();
  });
  app.get('/', async (_, __, next) => {
    look('handler');
    await pool.get('SELECT 1');
    next();
  });
  app.use(async () => {
    look('after');
    throw new Error('wrong');
  });
  const handler: expressFramework.ErrorRequestHandler = async (error, _, response, next) => {
    look(String(error));
    await pool.get('SELECT 1');
    if (error instanceof RangeError) response.status(500).send('handled');
    // An error handler may fail as well.
    else next(new RangeError('worse'));
  };
  app.use(handler, handler);
  const { url } = await serve(t, app);
  t.is(await (await fetch(url)).text(), 'handled');
  t.deepEqual(seen, ['before 1', 'handler 1', 'after 1', 'Error: wrong 1', 'RangeError: worse 1']);
  await isIdle(t, pool);
});

/** Middleware of the kind that takes multipart bodies: calls `next` out of an event of the request. */
const callbackParser: RequestHandler = (request, _, next) => {
  const pieces: Buffer[] = [];
  request.on('data', (piece: Buffer) => pieces.push(piece));
  request.on('end', () => {
    request.body = Buffer.concat(pieces).toString();
    next();
  });
};

for (const [name, parser] of [
  ['express.json', expressFramework.json({ type: () => true, strict: false })],
  ['express.text', expressFramework.text({ type: () => true })],
  ['a parser that calls next in an event', callbackParser],
] as const) {
  test(`Express: behind ${name} a handler is in the scope of its request, also where the body comes in pieces`, async (t) => {
    const pool = await openItems(t, { max: 1 });
    const app = expressFramework();
    const opened = gate();
    app.use(express(pool, { eager: true }));
    app.use((_, __, next) => {
      next();
      opened.open();
    });
    app.post('/', parser, (request, response) => {
      response.send(`${JSON.stringify(request.body)} ${Number(pool.db.prepare('SELECT 1').pluck().get())}`);
    });
    const site = await serve(t, app);
    const client = await rawClient(t, site);
    client.send('POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n12');
    await opened.passed;
    client.send('34');
    t.regex(await client.read(/\d+"? 1$/), /"?1234"? 1$/);
    await isIdle(t, pool);
  });
}

test('Express: middleware that loses the context is mended by registering the pool once more behind it', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const app = expressFramework();
  // As a library does that queues callbacks of all requests, and calls them in nobody's context.
  const queued = gate<() => void>();
  const queue = queued.passed.then((next) => next);
  const losing: RequestHandler = (_, __, next) => queued.open(() => next());
  app.use(express(pool, { eager: true }));
  app.use(losing);
  const missing = gate<unknown>();
  app.use((_, __, next) => {
    missing.open(t.throws(() => pool.db.prepare('SELECT 1').get()));
    next();
  });
  app.get('/', express(pool), (_, response) => void response.send(String(pool.db.prepare('SELECT 7').pluck().get())));
  const { url } = await serve(t, app);
  const answer = fetch(url);
  (await queue)();
  t.like(await missing.passed, refusal('NO_CONNECTION'));
  t.is(await (await answer).text(), '7');
  await isIdle(t, pool);
});

test('Express: next("route") and routes of which none answers leave nothing behind', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const app = expressFramework();
  app.use(express(pool, { eager: true }));
  app.get(
    '/skip',
    (_, __, next) => next('route'),
    () => t.fail('It was to be skipped'),
  );
  app.get('/skip', (_, response) => void response.send(String(pool.db.prepare('SELECT 2').pluck().get())));
  const { url } = await serve(t, app);
  t.is(await (await fetch(`${url}/skip`)).text(), '2');
  t.is((await fetch(`${url}/nowhere`)).status, 404);
  await isIdle(t, pool);
});

test('Express: an upgrade is no request, and holds nothing', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const { watched, scopes } = watchScopes(pool);
  const app = expressFramework();
  app.use(express(watched, { eager: true }));
  const site = await serve(t, app);
  const upgraded = once(site.server, 'upgrade') as Promise<[IncomingMessage, NodeJS.WritableStream]>;
  const client = await rawClient(t, site);
  client.send('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
  const [, socket] = await upgraded;
  socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
  await client.read(/101/);
  t.is(scopes.length, 0);
  await isIdle(t, pool);
});

test('Express: a connection that can not be had reaches the error handler', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const { app, errors, done } = expressApp();
  app.use(express(pool, { eager: true }));
  app.get('/', (_, response) => void response.send('never'));
  done();
  const { url } = await serve(t, app);
  await pool.close();
  t.is((await fetch(url)).status, 500);
  t.like(errors, [refusal('CLOSED')]);
});
