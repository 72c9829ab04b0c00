import { createAdaptorServer } from '@hono/node-server';
import test, { type ExecutionContext } from 'ava';
import { type Handler, Hono } from 'hono';
import { type HonoContext, hono, transactional } from '../../lib/http/hono.ts';
import type { SqlitePool } from '../../lib/index.ts';
import { openItems } from '../support/items.ts';
import { isIdle, labels, listening } from './support-b.ts';

/** Answers with the label that the request's lease has. */
function tell(pool: SqlitePool): Handler {
  return async (context) => {
    await pool.connection();
    return context.text(labels(pool).join(', '));
  };
}

async function labelsOf(
  t: ExecutionContext,
  pool: SqlitePool,
  app: Pick<Hono, 'fetch'>,
  ...requests: [method: string, path: string][]
): Promise<string[]> {
  const { url } = await listening(t, createAdaptorServer(app) as never);
  const told: string[] = [];
  for (const [method, path] of requests) {
    told.push(await (await fetch(url + path, { method })).text());
    await isIdle(t, pool);
  }
  return told;
}

test('the label is the method and the pattern of the route, with the paths of the applications around it', async (t) => {
  const pool = await openItems(t);
  const orders = new Hono().get('/:id', tell(pool)).post('/', tell(pool));
  const shop = new Hono().basePath('/shop');
  shop.route('/customers/:customer/orders', orders);
  shop.get('/files/:name{.+\\.txt}', tell(pool));
  const app = new Hono().use(hono(pool)).route('/', shop);
  const told = await labelsOf(
    t,
    pool,
    app,
    ['GET', '/shop/customers/7/orders/9?deep=1'],
    ['POST', '/shop/customers/7/orders'],
    ['GET', '/shop/files/a.txt'],
  );
  t.deepEqual(told, [
    'GET /shop/customers/:customer/orders/:id',
    'POST /shop/customers/:customer/orders',
    'GET /shop/files/:name{.+\\.txt}',
  ]);
});

test('an eager connection has the route for a label before any handler has run', async (t) => {
  const pool = await openItems(t);
  const seen: unknown[] = [];
  const app = new Hono();
  app.use(hono(pool, { eager: true }));
  app.use('/things/*', async (_, next) => {
    seen.push(...labels(pool));
    await next();
  });
  app.get('/things/:id', (context) => context.text(labels(pool).join()));
  t.deepEqual(await labelsOf(t, pool, app, ['GET', '/things/7']), ['GET /things/:id']);
  t.deepEqual(seen, ['GET /things/:id']);
});

test('a route for everything else does not give its name to the route that answers', async (t) => {
  const pool = await openItems(t);
  const app = new Hono().use(hono(pool));
  app.get('/things/:id', tell(pool)).get('*', tell(pool));
  app.all('/any', tell(pool));
  const told = await labelsOf(t, pool, app, ['GET', '/things/7'], ['GET', '/else'], ['PUT', '/any']);
  t.deepEqual(told, ['GET /things/:id', 'GET /*', 'PUT /any']);
});

test('where only middleware matches, the label is the path of the last one', async (t) => {
  const pool = await openItems(t);
  const app = new Hono();
  app.use(hono(pool)).use('/api/*', async (context) => tell(pool)(context, async () => {}) as Promise<Response>);
  app.notFound(async (context) => (await tell(pool)(context, async () => {})) as Response);
  const told = await labelsOf(t, pool, app, ['GET', '/api/secret/7'], ['DELETE', '/nowhere/7']);
  t.deepEqual(told, ['GET /api/*', 'DELETE /*']);
});

test('an application that is mounted has the label of where it is mounted', async (t) => {
  const pool = await openItems(t);
  const part = new Hono().get('/things/:id', tell(pool));
  const app = new Hono().use(hono(pool)).mount('/part', part.fetch);
  t.deepEqual(await labelsOf(t, pool, app, ['GET', '/part/things/7']), ['GET /part/*']);
});

const given: readonly [what: string, label: string | ((context: HonoContext) => string | undefined), told: string][] = [
  ['a text', 'shop', 'shop'],
  ['a function', ({ req }) => `${req.method} by path ${req.path}`, 'GET by path /'],
  ['a function that knows nothing', () => undefined, ''],
  [
    'a function that throws',
    () => {
      throw new Error('no label');
    },
    '',
  ],
];

for (const [what, label, told] of given) {
  test(`the label may be ${what}`, async (t) => {
    const pool = await openItems(t);
    const app = new Hono().use(hono(pool, { label })).get('/', tell(pool));
    t.deepEqual(await labelsOf(t, pool, app, ['GET', '/']), [told]);
  });
}

test('a transaction has the label of its scope, and that of the route where it is the only one', async (t) => {
  const pool = await openItems(t);
  const answer = transactional(pool, (context) => context.text(labels(pool).join()));
  const only = new Hono().post('/orders/:id', answer);
  const within = new Hono().use(hono(pool, { label: 'shop' })).post('/orders/:id', answer);
  t.deepEqual(await labelsOf(t, pool, only, ['POST', '/orders/7']), ['POST /orders/:id']);
  t.deepEqual(await labelsOf(t, pool, within, ['POST', '/orders/7']), ['shop']);
});
