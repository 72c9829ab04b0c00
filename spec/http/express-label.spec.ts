import test from 'ava';
import expressFramework, { Router } from 'express';
import { express, transactional } from '../../lib/http/express.ts';
import { openItems } from '../support/items.ts';
import { isIdle, labels, serve } from './support.ts';

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
