import test, { type ExecutionContext } from 'ava';
import Koa, { type Middleware } from 'koa';
import { koa } from '../../lib/http/koa.ts';
import { gate } from '../support/gate.ts';
import { insert, namesIn, openItems, refusal } from '../support/items.ts';
import { withKoa } from './frameworks-b.ts';
import { abortSuite } from './suite-abort-b.ts';
import { streamSuite } from './suite-stream-b.ts';
import { transactionalSuite } from './suite-transactional-b.ts';
import { held, insertHere, isIdle, rejection, serve } from './support-b.ts';

/** An application that complains to nobody, with these middlewares. */
async function start(t: ExecutionContext, ...middlewares: Middleware[]) {
  const app = new Koa();
  app.silent = true;
  for (const middleware of middlewares) app.use(middleware);
  const handle = app.callback();
  return { app, ...(await serve(t, (request, response) => void handle(request, response))) };
}

test('two requests at the same time have a connection each, and give it back', async (t) => {
  const pool = await openItems(t);
  const both = gate();
  const seen: number[] = [];
  const { url } = await start(t, koa(pool), async (context) => {
    const db = await pool.connection();
    if (seen.push(held(pool).length) === 2) both.open();
    await both.passed;
    t.is(await pool.connection(), db);
    t.is(pool.current, db);
    context.body = { ids: held(pool) };
  });
  const answers = await Promise.all([fetch(url), fetch(url)]);
  for (const answer of answers) t.is(((await answer.json()) as { ids: number[] }).ids.length, 2);
  await isIdle(t, pool);
  t.is(pool.stats().counters.dirty, 0);
});

test('a request that asks for nothing costs no connection', async (t) => {
  const pool = await openItems(t);
  const { acquired } = pool.stats().counters;
  const { url } = await start(t, koa(pool), (context) => {
    t.is(pool.current, undefined);
    t.throws(() => pool.db.prepare('SELECT 1').get(), refusal('NO_CONNECTION'));
    context.body = 'none';
  });
  t.is(await (await fetch(url)).text(), 'none');
  t.is(pool.stats().counters.acquired, acquired);
});

test('an eager request has its connection before the handler, one each', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const { acquired } = pool.stats().counters;
  const { url } = await start(t, koa(pool, { eager: true }), (context) => {
    context.body = { one: pool.db.prepare('SELECT 1').pluck().get(), held: held(pool).length };
  });
  t.deepEqual(await (await fetch(url)).json(), { one: 1, held: 1 });
  t.deepEqual(await (await fetch(url)).json(), { one: 1, held: 1 });
  await isIdle(t, pool);
  t.is(pool.stats().counters.acquired, acquired + 2);
});

test('an eager request that gets no connection is answered by Koa, with the error of the pool', async (t) => {
  const pool = await openItems(t, { max: 1, maxWaiting: 0 });
  const { app, url } = await start(t, koa(pool, { eager: true }), () => t.fail());
  const told = gate<unknown>();
  app.on('error', (error) => told.open(error));
  const db = await pool.acquire();
  t.is((await fetch(url)).status, 500);
  t.like(await told.passed, refusal('QUEUE_FULL'));
  db.close();
  await isIdle(t, pool);
});

test('handlers, middleware before and after them, and listeners of theirs find the connection', async (t) => {
  const pool = await openItems(t);
  const around: unknown[] = [];
  const { url } = await start(
    t,
    koa(pool),
    async (_, next) => {
      around.push(await pool.connection());
      await next();
      around.push(pool.current);
    },
    async (context) => {
      const pieces: Buffer[] = [];
      for await (const piece of context.req) pieces.push(piece as Buffer);
      around.push(pool.current);
      await pool.transaction((tx) => insert(tx, Buffer.concat(pieces).toString()));
      context.body = await pool.get('SELECT name FROM item');
    },
  );
  const answer = await fetch(url, { method: 'POST', body: 'sent' });
  t.deepEqual(await answer.json(), { name: 'sent' });
  t.is(new Set(around).size, 1);
  t.is(around.length, 3);
  await isIdle(t, pool);
});

test('registered twice, and around a part of the application once more, it is one scope', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const { url } = await start(t, koa(pool, { eager: true }), koa(pool), koa(pool, { eager: true }), (context) => {
    context.body = { held: held(pool).length, one: pool.db.prepare('SELECT 1').pluck().get() };
  });
  t.deepEqual(await (await fetch(url)).json(), { held: 1, one: 1 });
  await isIdle(t, pool);
});

test('two pools have a scope each for the same request', async (t) => {
  const [one, two] = [await openItems(t), await openItems(t)];
  const { url } = await start(t, koa(one, { eager: true }), koa(two, { eager: true }), async (context) => {
    insertHere(one, 'one');
    insertHere(two, 'two');
    context.body = { held: [held(one).length, held(two).length] };
  });
  t.deepEqual(await (await fetch(url)).json(), { held: [1, 1] });
  await isIdle(t, one, two);
  t.deepEqual([await namesIn(one), await namesIn(two)], [['one'], ['two']]);
});

const failures: readonly [what: string, fail: Middleware, status: number][] = [
  ['context.throw', (context) => context.throw(409, 'taken'), 409],
  ['an error', () => Promise.reject(new Error('wrong')), 500],
  ['an error thrown at once', () => JSON.parse('{') as never, 500],
  ['what is no error', () => Promise.reject('wrong'), 500],
];

for (const [what, fail, status] of failures) {
  test(`a handler that fails with ${what} gives its connection back, and what it left open is undone`, async (t) => {
    const pool = await openItems(t);
    const { url } = await start(t, koa(pool, { eager: true }), (context, next) => {
      pool.db.exec('BEGIN IMMEDIATE');
      insertHere(pool, 'left open');
      return fail(context, next);
    });
    const answer = await fetch(url);
    await answer.text();
    t.is(answer.status, status);
    await isIdle(t, pool);
    t.deepEqual(await namesIn(pool), []);
    t.is(pool.stats().counters.dirty, 1);
  });
}

test('a middleware that makes an answer of an error does so in the scope', async (t) => {
  const pool = await openItems(t);
  const rescue: Middleware = async (context, next) => {
    try {
      await next();
    } catch (error) {
      insertHere(pool, (error as Error).message);
      context.status = 418;
      context.body = 'rescued';
    }
  };
  const { url } = await start(t, koa(pool), rescue, async () => {
    await pool.connection();
    throw new Error('wrong');
  });
  const answer = await fetch(url);
  t.is(answer.status, 418);
  t.is(await answer.text(), 'rescued');
  await isIdle(t, pool);
  t.deepEqual(await namesIn(pool), ['wrong']);
});

test('a response that is taken from Koa ends the scope when it is ended by hand', async (t) => {
  const pool = await openItems(t);
  const [answered, over] = [gate(), gate()];
  const { url } = await start(t, koa(pool), async (context) => {
    context.respond = false;
    await pool.connection();
    const { res } = context;
    void answered.passed.then(() => {
      res.end(String(pool.db.prepare('SELECT 7').pluck().get()));
      over.open();
    });
  });
  const answer = fetch(url);
  while (held(pool).length === 0) await new Promise(setImmediate);
  answered.open();
  t.is(await (await answer).text(), '7');
  await over.passed;
  await isIdle(t, pool);
});

test('no content, HEAD, a redirect and nothing found end the scope too', async (t) => {
  const pool = await openItems(t);
  const { url } = await start(t, koa(pool, { eager: true }), (context) => {
    if (context.path === '/empty') context.body = null;
    if (context.path === '/text') context.body = 'text';
    if (context.path === '/away') context.redirect('/text');
  });
  const statuses: number[] = [];
  for (const [method, path] of [
    ['GET', '/empty'],
    ['HEAD', '/text'],
    ['GET', '/away'],
    ['GET', '/nowhere'],
  ] as const) {
    const answer = await fetch(url + path, { method, redirect: 'manual' });
    await answer.text();
    statuses.push(answer.status);
    await isIdle(t, pool);
  }
  t.deepEqual(statuses, [204, 200, 302, 404]);
});

test('work that outlives its request is refused, and does not hold up the next one', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const answered = gate();
  const leftOver: Promise<Error>[] = [];
  const { url } = await start(t, koa(pool, { eager: true }), (context) => {
    context.body = 'early';
    if (leftOver.length > 0) return;
    leftOver.push(rejection(answered.passed.then(() => pool.db.prepare('SELECT 1').get())));
  });
  await (await fetch(url)).text();
  await isIdle(t, pool);
  answered.open();
  t.like(await leftOver[0], refusal('SCOPE_ENDED'));
  t.is((await fetch(url)).status, 200);
});

test('what is no option, and what is no value of one, is refused when the application is made', async (t) => {
  const pool = await openItems(t);
  for (const options of [{ eagre: true }, { eager: 1 }, { label: 7 }]) {
    t.throws(() => koa(pool, options as never), refusal('OPTIONS'));
  }
});

abortSuite(withKoa);

streamSuite(withKoa);

transactionalSuite(withKoa);
