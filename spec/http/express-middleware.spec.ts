import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import test from 'ava';
import expressFramework, { type RequestHandler, Router } from 'express';
import { express, transactional } from '../../lib/http/express.ts';
import { gate } from '../support/gate.ts';
import { openItems, refusal } from '../support/items.ts';
import { allEnded, expressApp, held, isIdle, labels, rawClient, serve, watchScopes } from './support.ts';

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

const fail = (): string => {
  throw new Error('no label');
};

test('Express: a request is labelled by its method and the pattern of its route', async (t) => {
  const pool = await openItems(t);
  const app = expressFramework();
  const tell: expressFramework.RequestHandler = async (_, response) => {
    await pool.connection();
    response.json(labels(pool));
  };
  const inner = Router().get('/', tell).get('/:id', tell);
  const outer = Router().use('/items', inner).all('/all/*rest', tell);
  app.use(express(pool));
  app.use('/api', outer);
  app.get('/people/:name', tell);
  app.get(/^\/num\/\d+$/, tell);
  app.get(['/a', /^\/b+$/], tell);
  app.route('/route').post(tell);
  app.get('/', tell);
  app.use(tell);
  const { url } = await serve(t, app);
  const labelOf = async (path: string, method = 'GET') =>
    ((await (await fetch(url + path, { method })).json()) as string[])[0];
  t.is(await labelOf('/'), 'GET /');
  t.is(await labelOf('/people/ada?secret=1'), 'GET /people/:name');
  t.is(await labelOf('/num/42'), String.raw`GET /^\/num\/\d+$/`);
  t.is(await labelOf('/bbb'), String.raw`GET /a,/^\/b+$/`);
  t.is(await labelOf('/route', 'POST'), 'POST /route');
  t.is(await labelOf('/api/items'), 'GET /api/items');
  t.is(await labelOf('/api/items/7'), 'GET /api/items/:id');
  t.is(await labelOf('/api/all/of/it', 'PUT'), 'PUT /api/all/*rest');
  // Nowhere: the handler of what has no route.
  t.is(await labelOf('/nowhere'), 'GET /*');
  await isIdle(t, pool);
});

test('Express: what is bound before the route is known has the route for its label as soon as it is', async (t) => {
  const pool = await openItems(t);
  const app = expressFramework();
  const tell: expressFramework.RequestHandler = (_, response) => void response.json(labels(pool));
  app.use('/early', express(pool, { eager: true }), Router().get('/:id', tell));
  app.get('/late/:id', express(pool, { eager: true }), tell);
  const { url } = await serve(t, app);
  t.deepEqual(await (await fetch(`${url}/early/1`)).json(), ['GET /early/:id']);
  t.deepEqual(await (await fetch(`${url}/late/1`)).json(), ['GET /late/:id']);
  await isIdle(t, pool);
});

test('Express: a label is a text or what a function says, and one that throws costs the request nothing', async (t) => {
  const pool = await openItems(t);
  const app = expressFramework();
  const tell: expressFramework.RequestHandler = async (_, response) => {
    await pool.connection();
    const label = labels(pool)[0];
    response.json(label ?? null);
  };
  app.get('/text', express(pool, { label: 'mine' }), tell);
  app.get('/function', express(pool, { label: ({ method }) => `${method} made` }), tell);
  app.get('/nothing', express(pool, { label: () => undefined }), tell);
  app.get('/throws', express(pool, { label: fail }), tell);
  const { url } = await serve(t, app);
  const answers = ['/text', '/function', '/nothing', '/throws'].map(async (path) => (await fetch(url + path)).json());
  t.deepEqual(await Promise.all(answers), ['mine', 'GET made', null, null]);
  await isIdle(t, pool);
});

test('Express: a transaction has the label of its request, or its own', async (t) => {
  const pool = await openItems(t);
  const app = expressFramework();
  const tell: expressFramework.RequestHandler = (_, response) => void response.json(labels(pool));
  app.post('/plain/:id', transactional(pool, tell));
  app.post('/named', transactional(pool, tell, { label: 'mine' }));
  const { url } = await serve(t, app);
  t.deepEqual(await (await fetch(`${url}/plain/1`, { method: 'POST' })).json(), ['POST /plain/:id']);
  t.deepEqual(await (await fetch(`${url}/named`, { method: 'POST' })).json(), ['mine']);
  await isIdle(t, pool);
});

test('Express: options that are wrong are refused where they are given', async (t) => {
  const pool = await openItems(t);
  const wrong = (options: object) => () => express(pool, options);
  t.throws(wrong({ eagre: true }), { code: 'ERR_LEASEHOLD_OPTIONS', message: /eagre/ });
  t.throws(wrong({ eager: 'yes' }), { code: 'ERR_LEASEHOLD_OPTIONS', message: /eager/ });
  t.throws(wrong({ label: 7 }), { code: 'ERR_LEASEHOLD_OPTIONS', message: /label/ });
  t.throws(() => transactional(pool, undefined as never), { code: 'ERR_LEASEHOLD_OPTIONS', message: /handler/ });
  t.throws(() => transactional(pool, () => {}, { rollbackFrom: 99 }), { code: 'ERR_LEASEHOLD_OPTIONS' });
  t.throws(() => transactional(pool, () => {}, { signal: AbortSignal.abort() } as object), {
    code: 'ERR_LEASEHOLD_OPTIONS',
  });
});
