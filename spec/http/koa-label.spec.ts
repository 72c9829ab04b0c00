import type { IncomingMessage, ServerResponse } from 'node:http';
import { Router } from '@koa/router';
import test, { type ExecutionContext } from 'ava';
import Koa, { type Context, type Middleware } from 'koa';
import { koa, transactional } from '../../lib/http/koa.ts';
import type { SqlitePool } from '../../lib/index.ts';
import { openItems } from '../support/items.ts';
import { isIdle, labels, serve } from './support-b.ts';

const shorten: Middleware = async (context, next) => {
  context.url = '/short';
  await next();
};

/** Answers with the label that the request's lease has. */
function tell(pool: SqlitePool): Middleware {
  return async (context) => {
    await pool.connection();
    context.body = { label: labels(pool)[0] };
  };
}

interface App {
  callback(): (request: IncomingMessage, response: ServerResponse) => Promise<void>;
}

async function labelsOf(
  t: ExecutionContext,
  pool: SqlitePool,
  app: App,
  ...requests: [method: string, path: string][]
) {
  const handle = app.callback();
  const { url } = await serve(t, (request, response) => void handle(request, response));
  const told: (string | undefined)[] = [];
  for (const [method, path] of requests) {
    const answer = await fetch(url + path, { method });
    told.push(((await answer.json()) as { label?: string }).label);
    await isIdle(t, pool);
  }
  return told;
}

test('the label is the method and the pattern of the route, with those of the routers around it', async (t) => {
  const pool = await openItems(t);
  const app = new Koa();
  const orders = new Router();
  orders.get('/:id', tell(pool)).post('/', tell(pool));
  const router = new Router({ prefix: '/shop' });
  router.use('/customers/:customer/orders', orders.routes(), orders.allowedMethods());
  app.use(koa(pool)).use(router.routes());
  const told = await labelsOf(
    t,
    pool,
    app,
    ['GET', '/shop/customers/7/orders/9?deep=1'],
    ['POST', '/shop/customers/7/orders'],
  );
  t.deepEqual(told, ['GET /shop/customers/:customer/orders/:id', 'POST /shop/customers/:customer/orders']);
});

test('a route that is a pattern of its own is told as it is written', async (t) => {
  const pool = await openItems(t);
  const router = new Router();
  router.get(/^\/files\/(.*)$/, tell(pool));
  const app = new Koa().use(koa(pool)).use(router.routes());
  t.deepEqual(await labelsOf(t, pool, app, ['GET', '/files/a/b']), [String.raw`GET /^\/files\/(.*)$/`]);
});

test('where no route is found, or there is no router, the label is the path without what is asked of it', async (t) => {
  const pool = await openItems(t);
  const router = new Router();
  router.get('/other', tell(pool));
  const app = new Koa().use(koa(pool)).use(router.routes()).use(shorten).use(tell(pool));
  t.deepEqual(await labelsOf(t, pool, app, ['GET', '/no/where?key=secret']), ['GET /no/where']);
});

test('a connection that is bound before the route is known has the route for a label as soon as it is', async (t) => {
  const pool = await openItems(t);
  const router = new Router();
  router.get('/things/:id', tell(pool));
  const seen: unknown[] = [];
  const look: Middleware = (_, next) => {
    seen.push(...labels(pool));
    return next();
  };
  const app = new Koa()
    .use(koa(pool, { eager: true }))
    .use(look)
    .use(router.routes());
  t.deepEqual(await labelsOf(t, pool, app, ['GET', '/things/7']), ['GET /things/:id']);
  t.deepEqual(seen, ['GET /things/7']);
});

const given: readonly [what: string, label: string | ((context: Context) => string | undefined), told: unknown][] = [
  ['a text', 'shop', 'shop'],
  ['a function', (context: Context) => `${context.method} by ${context.get('x-user')}`, 'GET by '],
  ['a function that knows nothing', () => undefined, undefined],
  [
    'a function that throws',
    () => {
      throw new Error('no label');
    },
    undefined,
  ],
];

for (const [what, label, told] of given) {
  test(`the label may be ${what}`, async (t) => {
    const pool = await openItems(t);
    const app = new Koa().use(koa(pool, { label: label as never })).use(tell(pool));
    t.deepEqual(await labelsOf(t, pool, app, ['GET', '/']), [told] as never);
  });
}

test('a transaction has the label of its scope, and that of the route where it is the only one', async (t) => {
  const pool = await openItems(t);
  const router = new Router();
  const answer: Middleware = (context) => {
    context.body = { label: labels(pool)[0] };
  };
  router.post('/orders/:id', transactional(pool, answer));
  const only = new Koa().use(router.routes());
  const within = new Koa().use(koa(pool, { label: 'shop' })).use(router.routes());
  t.deepEqual(await labelsOf(t, pool, only, ['POST', '/orders/7']), ['POST /orders/:id']);
  t.deepEqual(await labelsOf(t, pool, within, ['POST', '/orders/7']), ['shop']);
});
