import { createAdaptorServer } from '@hono/node-server';
import test, { type ExecutionContext } from 'ava';
import { Hono } from 'hono';
import { HTTPException } from 'hono/http-exception';
import { stream } from 'hono/streaming';
import { hono, transactional } from '../../lib/http/hono.ts';
import { gate } from '../support/gate.ts';
import { Enough, namesIn, openItems, refusal } from '../support/items.ts';
import { insertHere, isIdle, listening } from './support-b.ts';

const post = { method: 'POST' } as const;

/** How an application is asked: through a server, or not. */
const ways: readonly [
  way: string,
  ask: (t: ExecutionContext, app: Hono) => Promise<(path: string) => Promise<Response>>,
][] = [
  [
    'through a server',
    async (t, app) => {
      const { url } = await listening(t, createAdaptorServer(app) as never);
      return (path) => fetch(url + path, post);
    },
  ],
  ['without a server', async (_, app) => async (path) => app.request(path, post)],
];

for (const [way, start] of ways) {
  test(`${way}: an error that Hono has made an answer of rolls the transaction back`, async (t) => {
    const pool = await openItems(t);
    const part = new Hono();
    part.onError((_, context) => context.text('fine', 200));
    part.post('/', () => {
      insertHere(pool, 'undone within a part');
      throw new Enough();
    });
    const app = new Hono();
    app.onError((error, context) => context.text(error.message, 200));
    app.use(transactional(pool));
    app.route('/part', part);
    app.post('/', () => {
      insertHere(pool, 'undone');
      throw new HTTPException(418, { message: 'teapot' });
    });
    const ask = await start(t, app);
    const answer = await ask('/');
    t.is(answer.status, 200);
    t.is(await answer.text(), 'teapot');
    t.is(await (await ask('/part')).text(), 'fine');
    t.deepEqual(await namesIn(pool), []);
    await isIdle(t, pool);
  });

  test(`${way}: what is thrown that is no error rolls the transaction back`, async (t) => {
    const pool = await openItems(t);
    const app = new Hono();
    app.use(async (context, next) => {
      try {
        await next();
      } catch (error) {
        context.res = new Response(String(error), { status: 500 });
      }
    });
    app.post('/', transactional(pool), () => {
      insertHere(pool, 'undone');
      // oxlint-disable-next-line typescript/only-throw-error
      throw 'no error';
    });
    t.is(await (await (await start(t, app))('/')).text(), 'no error');
    t.deepEqual(await namesIn(pool), []);
    await isIdle(t, pool);
  });

  test(`${way}: a status rolls back where asked, whoever has made the response`, async (t) => {
    const asked: readonly [path: string, make: () => Response | Promise<Response>][] = [
      ['/own', () => new Response('own', { status: 422 })],
      // Of another class than `Response`, once a server has been made.
      ['/made', () => Response.json({ error: 1 }, { status: 400 })],
    ];
    for (const form of ['handler', 'middleware'] as const) {
      const pool = await openItems(t);
      const app = new Hono();
      for (const [path, make] of asked) {
        const handler = () => {
          insertHere(pool, path);
          return make();
        };
        if (form === 'handler') app.post(path, transactional(pool, handler, { rollbackFrom: 400 }));
        else app.post(path, transactional(pool, undefined, { rollbackFrom: 400 }), handler);
        app.post(`${path}/kept`, transactional(pool, handler));
      }
      const ask = await start(t, app);
      for (const [path] of asked) {
        t.true((await ask(path)).status >= 400);
        t.deepEqual(await namesIn(pool), []);
        t.true((await ask(`${path}/kept`)).status >= 400);
        t.deepEqual(await namesIn(pool), [path]);
        await pool.run('DELETE FROM item');
      }
      await isIdle(t, pool);
    }
  });

  test(`${way}: what another server has answered is passed on whole, and its status counts`, async (t) => {
    const pool = await openItems(t);
    const asked = new Hono();
    asked.all('/:status', (context) => context.text('asked', Number(context.req.param('status')) as 200));
    const { url } = await listening(t, createAdaptorServer(asked) as never);
    const app = new Hono();
    const pass = transactional(
      pool,
      async (context) => {
        insertHere(pool, context.req.path);
        return fetch(url + context.req.path);
      },
      { rollbackFrom: 400 },
    );
    app.post('/:status', pass);
    const ask = await start(t, app);
    for (const status of [200, 503]) {
      const answer = await ask(`/${status}`);
      t.is(answer.status, status);
      t.is(await answer.text(), 'asked');
    }
    t.deepEqual(await namesIn(pool), ['/200']);
    await isIdle(t, pool);
  });

  test(`${way}: a scope that is registered within a transaction leaves what is in it in the transaction`, async (t) => {
    const pool = await openItems(t);
    const app = new Hono();
    app.onError((_, context) => context.text('failed', 500));
    app.use(transactional(pool), hono(pool, { eager: true }));
    app.post('/', () => {
      t.true(pool.db.inTransaction);
      insertHere(pool, 'undone');
      throw new Enough();
    });
    t.is((await (await start(t, app))('/')).status, 500);
    t.deepEqual(await namesIn(pool), []);
    t.is(pool.stats().counters.dirty, 0);
    await isIdle(t, pool);
  });

  test(`${way}: transactions within one another are one, of which a part can be undone alone`, async (t) => {
    const pool = await openItems(t);
    const app = new Hono();
    app.use(transactional(pool), async (_, next) => {
      insertHere(pool, 'outer');
      await next();
      insertHere(pool, 'after');
    });
    app.post('/', transactional(pool, undefined, { rollbackFrom: 400 }), (context) => {
      insertHere(pool, 'inner');
      return context.text('refused', 400);
    });
    const answer = await (await start(t, app))('/');
    t.is(answer.status, 400);
    t.is(await answer.text(), 'refused');
    t.deepEqual(await namesIn(pool), ['outer', 'after']);
    await isIdle(t, pool);
  });

  test(`${way}: a request that nobody answers is a 404 for the transaction too`, async (t) => {
    const pool = await openItems(t);
    const app = new Hono();
    app.use(transactional(pool, undefined, { rollbackFrom: 404 }), async (_, next) => {
      insertHere(pool, 'undone');
      await next();
    });
    t.is((await (await start(t, app))('/')).status, 404);
    t.deepEqual(await namesIn(pool), []);
    await isIdle(t, pool);
  });
}

test('what the callback of a stream does after the transaction that it was begun in is no part of it, and is refused', async (t) => {
  const pool = await openItems(t);
  const committed = gate();
  const app = new Hono();
  app.use(hono(pool), async (_, next) => {
    await next();
    committed.open();
  });
  app.post('/', transactional(pool), (context) =>
    stream(context, async (sent) => {
      insertHere(pool, 'kept');
      await committed.passed;
      t.throws(() => insertHere(pool, 'late'), refusal('TRANSACTION_ENDED'));
      await t.throwsAsync(pool.all('SELECT name FROM item'), refusal('TRANSACTION_ENDED'));
      await sent.write('refused');
    }),
  );
  const { url } = await listening(t, createAdaptorServer(app) as never);
  t.is(await (await fetch(url, post)).text(), 'refused');
  t.deepEqual(await namesIn(pool), ['kept']);
  await isIdle(t, pool);
});

test('a handler that makes no response is an error of the server for the transaction too', async (t) => {
  const pool = await openItems(t);
  const app = new Hono();
  app.onError((_, context) => context.text('failed', 500));
  app.use(async (_, next) => {
    await next();
  });
  const nothing = async () => insertHere(pool, 'undone');
  app.post('/', transactional(pool, nothing as never, { rollbackFrom: 500 }));
  t.is((await app.request('/', post)).status, 500);
  t.deepEqual(await namesIn(pool), []);
  await isIdle(t, pool);
});

test('a handler that is no function, and what is no option, are refused at once', async (t) => {
  const pool = await openItems(t);
  for (const options of [{ rollbackfrom: 400 }, { rollbackFrom: 'all' }, { mode: 'quick' }, { signal: undefined }]) {
    t.throws(() => transactional(pool, undefined, options as never), refusal('OPTIONS'));
  }
  for (const options of [{ eagre: true }, { eager: 1 }, { label: 7 }]) {
    t.throws(() => hono(pool, options as never), refusal('OPTIONS'));
  }
  t.throws(() => transactional(pool, 'handler' as never), refusal('OPTIONS'));
});
