import type { RequestListener } from 'node:http';
import { createAdaptorServer, getRequestListener } from '@hono/node-server';
import test, { type ExecutionContext } from 'ava';
import { Hono } from 'hono';
import { HTTPException } from 'hono/http-exception';
import { hono } from '../../lib/http/hono.ts';
import { node } from '../../lib/http/node.ts';
import { gate } from '../support/gate.ts';
import { namesIn, openItems, refusal } from '../support/items.ts';
import { withHono } from './frameworks-b.ts';
import { abortSuite } from './suite-abort-b.ts';
import { streamSuite } from './suite-stream-b.ts';
import { transactionalSuite } from './suite-transactional-b.ts';
import { held, insertHere, isIdle, labels, listening, rejection, serve } from './support-b.ts';

async function start(t: ExecutionContext, app: Pick<Hono, 'fetch'>): Promise<string> {
  return (await listening(t, createAdaptorServer(app) as never)).url;
}

test('two requests at the same time have a connection each, and give it back', async (t) => {
  const pool = await openItems(t);
  const both = gate();
  let count = 0;
  const app = new Hono().use(hono(pool)).get('/', async (context) => {
    const db = await pool.connection();
    if (++count === 2) both.open();
    await both.passed;
    t.is(await pool.connection(), db);
    t.is(pool.current, db);
    return context.json(held(pool));
  });
  const url = await start(t, app);
  const answers = await Promise.all([fetch(url), fetch(url)]);
  for (const answer of answers) t.is(((await answer.json()) as number[]).length, 2);
  await isIdle(t, pool);
  t.is(pool.stats().counters.dirty, 0);
});

test('a request that asks for nothing costs no connection, and an eager one has one before its handler', async (t) => {
  const pool = await openItems(t);
  const { acquired } = pool.stats().counters;
  const app = new Hono();
  app.get('/lazy', hono(pool), (context) => {
    t.throws(() => pool.db.prepare('SELECT 1').get(), refusal('NO_CONNECTION'));
    return context.text('none');
  });
  app.get('/eager', hono(pool, { eager: true }), (context) => context.json(pool.db.prepare('SELECT 1').pluck().get()));
  const url = await start(t, app);
  t.is(await (await fetch(`${url}/lazy`)).text(), 'none');
  t.is(pool.stats().counters.acquired, acquired);
  t.is(await (await fetch(`${url}/eager`)).json(), 1);
  await isIdle(t, pool);
  t.is(pool.stats().counters.acquired, acquired + 1);
});

test('handlers, middleware before and after them, and what reads a body find the connection', async (t) => {
  const pool = await openItems(t);
  const around: unknown[] = [];
  const app = new Hono();
  app.use(hono(pool));
  app.use(async (_, next) => {
    around.push(await pool.connection());
    await next();
    around.push(pool.current);
  });
  app.post('/', async (context) => {
    const { name } = await context.req.json<{ name: string }>();
    around.push(pool.current);
    await pool.transaction(() => insertHere(pool, name));
    return context.json(await pool.get('SELECT name FROM item'));
  });
  const answer = await fetch(await start(t, app), { method: 'POST', body: '{"name":"sent"}' });
  t.deepEqual(await answer.json(), { name: 'sent' });
  t.is(around.length, 3);
  t.is(new Set(around).size, 1);
  await isIdle(t, pool);
});

test('registered twice, and in an application that is part of another, it is one scope', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const part = new Hono().use(hono(pool, { eager: true })).get('/', (context) => context.json(held(pool).length));
  const mounted = new Hono().use(hono(pool, { eager: true })).get('/', (context) => context.json(held(pool).length));
  const app = new Hono().use(hono(pool, { eager: true })).use(hono(pool));
  app.route('/part', part).mount('/mounted', mounted.fetch);
  const url = await start(t, app);
  t.is(await (await fetch(`${url}/part`)).json(), 1);
  t.is(await (await fetch(`${url}/mounted`)).json(), 1);
  await isIdle(t, pool);
});

test('two pools have a scope each for the same request', async (t) => {
  const [one, two] = [await openItems(t), await openItems(t)];
  const app = new Hono();
  app.use(hono(one, { eager: true })).use(hono(two, { eager: true }));
  app.post('/', (context) => {
    insertHere(one, 'one');
    insertHere(two, 'two');
    return context.json([held(one).length, held(two).length]);
  });
  t.deepEqual(await (await fetch(await start(t, app), { method: 'POST' })).json(), [1, 1]);
  await isIdle(t, one, two);
  t.deepEqual([await namesIn(one), await namesIn(two)], [['one'], ['two']]);
});

test('in a server of another adapter it is the scope of that', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const app = new Hono().use(hono(pool, { eager: true })).get('/', (context) => context.json(labels(pool)));
  const listener = node(pool, getRequestListener(app.fetch) as RequestListener, { eager: true, label: 'outer' });
  const { url } = await serve(t, (request, response) => void listener(request, response));
  t.deepEqual(await (await fetch(url)).json(), ['outer']);
  await isIdle(t, pool);
});

const failures: readonly [what: string, fail: () => never, status: number][] = [
  [
    'an HTTPException',
    () => {
      throw new HTTPException(409, { message: 'taken' });
    },
    409,
  ],
  ['an error', () => JSON.parse('{') as never, 500],
  [
    'what is no error',
    () => {
      // oxlint-disable-next-line typescript/only-throw-error
      throw 'wrong';
    },
    500,
  ],
];

for (const [what, fail, status] of failures) {
  for (const hasOnError of [false, true]) {
    test(`a handler that fails with ${what} ${hasOnError ? 'for which there is an answer ' : ''}gives its connection back`, async (t) => {
      const pool = await openItems(t);
      const app = new Hono();
      if (hasOnError) app.onError((_, context) => context.text(`held: ${held(pool).length}`, status as 500));
      app.use(hono(pool, { eager: true }));
      app.get('/', () => {
        pool.db.exec('BEGIN IMMEDIATE');
        insertHere(pool, 'left open');
        return fail();
      });
      const answer = await fetch(await start(t, app));
      t.is(answer.status, status);
      const isAnswered = hasOnError && what !== 'what is no error';
      if (isAnswered) t.is(await answer.text(), 'held: 1');
      await isIdle(t, pool);
      t.deepEqual(await namesIn(pool), []);
      t.is(pool.stats().counters.dirty, 1);
    });
  }
}

test('nothing found, no content, HEAD and a redirect end the scope too', async (t) => {
  const pool = await openItems(t);
  const app = new Hono();
  app.notFound((context) => context.text(`held: ${held(pool).length}`, 404));
  app.use(hono(pool, { eager: true }));
  app.get('/empty', (context) => context.body(null, 204));
  app.get('/same', (context) => context.body(null, 304));
  app.get('/text', (context) => context.text('text'));
  app.get('/away', (context) => context.redirect('/text'));
  const url = await start(t, app);
  const answers: unknown[] = [];
  for (const [method, path] of [
    ['GET', '/empty'],
    ['GET', '/same'],
    ['HEAD', '/text'],
    ['GET', '/away'],
    ['GET', '/nowhere'],
  ] as const) {
    const answer = await fetch(url + path, { method, redirect: 'manual' });
    answers.push([answer.status, await answer.text()]);
    await isIdle(t, pool);
  }
  t.deepEqual(answers, [
    [204, ''],
    [304, ''],
    [200, ''],
    [302, ''],
    [404, 'held: 1'],
  ]);
});

test('work that outlives its request is refused, and does not hold up the next one', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const answered = gate();
  const leftOver = gate<Promise<Error>>();
  const app = new Hono();
  app.use(hono(pool, { eager: true }));
  app.get('/early', (context) => {
    leftOver.open(rejection(answered.passed.then(() => pool.db.prepare('SELECT 1').get())));
    return context.text('early');
  });
  app.get('/next', (context) => context.text('next'));
  const url = await start(t, app);
  await (await fetch(`${url}/early`)).text();
  await isIdle(t, pool);
  answered.open();
  t.like(await leftOver.passed, refusal('SCOPE_ENDED'));
  t.is(await (await fetch(`${url}/next`)).text(), 'next');
});

abortSuite(withHono);

streamSuite(withHono);

transactionalSuite(withHono);
