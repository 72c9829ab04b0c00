import type { IncomingMessage, ServerResponse } from 'node:http';
import { Router } from '@koa/router';
import test, { type ExecutionContext } from 'ava';
import Koa, { type Context, type Middleware } from 'koa';
import { koa, transactional } from '../../lib/http/koa.ts';
import type { SqlitePool } from '../../lib/index.ts';
import { Enough, namesIn, openItems, refusal } from '../support/items.ts';
import { insertHere, isIdle, labels, serve } from './support-b.ts';

const post = { method: 'POST' } as const;

async function start(t: ExecutionContext, ...middlewares: Middleware[]): Promise<string> {
  const app = new Koa();
  app.silent = true;
  for (const middleware of middlewares) app.use(middleware);
  const handle = app.callback();
  return (await serve(t, (request, response) => void handle(request, response))).url;
}

/** Makes an answer of an error. */
const rescue: Middleware = async (context, next) => {
  try {
    await next();
  } catch (error) {
    context.status = 422;
    context.body = (error as Error).message;
  }
};

function write(pool: SqlitePool, name: string): Middleware {
  return async (context, next) => {
    insertHere(pool, name);
    context.body = name;
    await next();
  };
}

const fail: Middleware = () => {
  throw new Enough('had enough');
};

test('a transaction spans the middlewares after it, and none before it', async (t) => {
  const pool = await openItems(t);
  const seen: unknown[] = [];
  const look: Middleware = async (_, next) => {
    seen.push(pool.current?.inTransaction);
    await next();
    seen.push(pool.current?.inTransaction);
  };
  const url = await start(t, koa(pool), look, transactional(pool), look, write(pool, 'one'), write(pool, 'two'));
  t.is((await fetch(url, post)).status, 200);
  t.deepEqual(seen, [undefined, true, true, undefined]);
  t.deepEqual(await namesIn(pool), ['one', 'two']);
  await isIdle(t, pool);
});

test('a scope that is registered within a transaction leaves what is in it in the transaction', async (t) => {
  const pool = await openItems(t);
  const look: Middleware = (_, next) => {
    t.true(pool.db.inTransaction);
    return next();
  };
  const url = await start(t, transactional(pool), koa(pool, { eager: true }), look, write(pool, 'undone'), fail);
  t.is((await fetch(url, post)).status, 500);
  t.deepEqual(await namesIn(pool), []);
  t.is(pool.stats().counters.dirty, 0);
  await isIdle(t, pool);
});

test('an error that is made an answer of around the transaction rolls it back, one within does not', async (t) => {
  for (const isAround of [true, false]) {
    const pool = await openItems(t);
    const order = isAround ? [rescue, transactional(pool)] : [transactional(pool), rescue];
    const url = await start(t, ...order, write(pool, 'written'), fail);
    const answer = await fetch(url, post);
    t.is(answer.status, 422);
    t.is(await answer.text(), 'had enough');
    t.deepEqual(await namesIn(pool), isAround ? [] : ['written']);
    await isIdle(t, pool);
  }
});

test('an error that is made an answer of within the transaction rolls it back by its status, where asked', async (t) => {
  const pool = await openItems(t);
  const url = await start(
    t,
    transactional(pool, undefined, { rollbackFrom: 400 }),
    rescue,
    write(pool, 'undone'),
    fail,
  );
  const answer = await fetch(url, post);
  t.is(answer.status, 422);
  t.is(await answer.text(), 'had enough');
  t.deepEqual(await namesIn(pool), []);
  await isIdle(t, pool);
});

test('a request that nobody answers is a 404 for the transaction too', async (t) => {
  const pool = await openItems(t);
  const nobody: Middleware = (_, next) => {
    insertHere(pool, 'undone');
    return next();
  };
  const url = await start(t, transactional(pool, nobody, { rollbackFrom: 404 }));
  t.is((await fetch(url, post)).status, 404);
  t.deepEqual(await namesIn(pool), []);
});

test('transactions within one another are one, of which a part can be undone alone', async (t) => {
  const pool = await openItems(t);
  const inner = transactional(pool, undefined, { rollbackFrom: 400 });
  const refuse: Middleware = (context) => {
    insertHere(pool, 'inner');
    context.status = 400;
  };
  const outer: Middleware = async (context, next) => {
    insertHere(pool, 'outer');
    await next();
    context.body = 'refused, and noted';
    context.status = 200;
  };
  const url = await start(t, transactional(pool), outer, inner, refuse);
  t.is((await fetch(url, post)).status, 200);
  t.deepEqual(await namesIn(pool), ['outer']);
  await isIdle(t, pool);
});

test('a route, and all routes of a router, may be in a transaction', async (t) => {
  const pool = await openItems(t);
  const orders = new Router();
  orders.use(transactional(pool));
  orders.post('/all', write(pool, 'all'), fail);
  const router = new Router();
  router.post('/one/:id', transactional(pool), (context) => {
    insertHere(pool, String(context.params['id']));
    context.status = 204;
  });
  router.get('/none', (context) => {
    context.body = { current: pool.current !== undefined };
  });
  router.use('/orders', orders.routes());
  const url = await start(t, koa(pool), router.routes() as Middleware);
  t.is((await fetch(`${url}/one/7`, post)).status, 204);
  t.is((await fetch(`${url}/orders/all`, post)).status, 500);
  t.deepEqual(await (await fetch(`${url}/none`)).json(), { current: false });
  t.deepEqual(await namesIn(pool), ['7']);
  await isIdle(t, pool);
});

test('after its transaction a middleware does not write by itself', async (t) => {
  const pool = await openItems(t);
  const late: Middleware = async (context, next) => {
    await next();
    context.body = t.throws(() => insertHere(pool, 'late'), refusal('NO_CONNECTION'))?.message;
  };
  const url = await start(t, koa(pool), late, transactional(pool), write(pool, 'kept'));
  t.is((await fetch(url, post)).status, 200);
  t.deepEqual(await namesIn(pool), ['kept']);
});

test('a handler that is no function, and what is no option of a transaction, are refused at once', async (t) => {
  const pool = await openItems(t);
  for (const options of [{ rollbackfrom: 400 }, { rollbackFrom: 'all' }, { mode: 'quick' }, { signal: undefined }]) {
    t.throws(() => transactional(pool, undefined, options as never), refusal('OPTIONS'));
  }
  t.throws(() => transactional(pool, 'handler' as never), { code: 'ERR_LEASEHOLD_OPTIONS' });
});

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
