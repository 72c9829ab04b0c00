import { setImmediate } from 'node:timers/promises';
import { createGzip } from 'node:zlib';
import test from 'ava';
import { type RequestHandler, type Response, Router } from 'express';
import { express, transactional } from '../../lib/http/express.ts';
import { gate } from '../support/gate.ts';
import { namesIn, openItems } from '../support/items.ts';
import { openFamily, spoilCommit } from './suite-transactional-a.ts';
import { allEnded, expressApp, insertHere, isIdle, rawRequest, serve, watchScopes } from './support.ts';

const post = { method: 'POST' };

test('Express: next() commits before what comes after is called; next(error) rolls back', async (t) => {
  const pool = await openItems(t);
  const { app, errors, done } = expressApp();
  const write = (name: string, argument?: unknown): RequestHandler =>
    transactional(pool, async (_, __, next) => {
      insertHere(pool, name);
      await pool.get('SELECT 1');
      next(argument);
    });
  const tell: RequestHandler = async (_, response) => {
    t.false(pool.current?.inTransaction ?? false);
    response.json(await pool.withConnection(() => namesIn(pool), { fresh: true }));
  };
  app.post('/next', write('next'), tell);
  app.post('/error', write('undone', new Error('passed')), tell);
  app.post('/route', write('route', 'route'), () => t.fail('It was to be skipped'));
  app.post('/route', tell);
  done();
  const { url } = await serve(t, app);
  t.deepEqual(await (await fetch(`${url}/next`, post)).json(), ['next']);
  t.is((await fetch(`${url}/error`, post)).status, 500);
  t.deepEqual(errors.map(String), ['Error: passed']);
  t.deepEqual(await (await fetch(`${url}/route`, post)).json(), ['next', 'route']);
  await isIdle(t, pool);
});

test('Express: a router in a transaction has all its handlers in it, and passes on what it does not answer', async (t) => {
  const pool = await openItems(t);
  const { app, done } = expressApp();
  const router = Router();
  router.use((_, __, next) => {
    insertHere(pool, 'middleware');
    next();
  });
  router.post('/answer', async (_, response) => {
    await setImmediate();
    insertHere(pool, 'handler');
    response.send('answered');
  });
  router.post('/fail', () => Promise.reject(new Error('wrong')));
  app.use(express(pool), transactional(pool, router));
  app.post('/elsewhere', (_, response) => void response.send('elsewhere'));
  done();
  const { url } = await serve(t, app);
  t.is(await (await fetch(`${url}/answer`, post)).text(), 'answered');
  t.is((await fetch(`${url}/fail`, post)).status, 500);
  t.is(await (await fetch(`${url}/elsewhere`, post)).text(), 'elsewhere');
  t.deepEqual(await namesIn(pool), ['middleware', 'handler', 'middleware']);
  await isIdle(t, pool);
});

test('Express: a transactional handler within another is a savepoint of it', async (t) => {
  const pool = await openItems(t);
  const { app, errors, done } = expressApp();
  const inner = Router();
  // Registered again within: still the transaction around it.
  inner.use(express(pool));
  const write = (name: string, status: number): RequestHandler =>
    transactional(
      pool,
      async (_, response) => {
        await pool.run('INSERT INTO item VALUES (?)', [name]);
        response.status(status).send(name);
      },
      { rollbackFrom: 400 },
    );
  inner.post('/kept', write('kept', 200));
  inner.post('/undone', write('undone', 409));
  const around: RequestHandler = (request, response, next) => {
    insertHere(pool, 'around');
    inner(request, response, next);
  };
  app.use(transactional(pool, around));
  done();
  const { url } = await serve(t, app);
  t.is(await (await fetch(`${url}/kept`, post)).text(), 'kept');
  t.is((await fetch(`${url}/undone`, post)).status, 409);
  t.deepEqual(errors, []);
  t.deepEqual(await namesIn(pool), ['around', 'kept', 'around']);
  await isIdle(t, pool);
});

/** As `compression` does: what is written and ended goes through a stream of its own first. */
const compress: RequestHandler = (_, response, next) => {
  const { write, end } = response;
  const stream = createGzip();
  response.setHeader('Content-Encoding', 'gzip');
  stream.on('data', (piece: Buffer) => void write.call(response, piece, 'utf8'));
  stream.on('end', () => void end.call(response, undefined, 'utf8'));
  response.write = ((piece: string) => stream.write(piece)) as Response['write'];
  response.end = ((piece?: string) => {
    if (!response.headersSent) response.removeHeader('Content-Length');
    stream.end(piece ?? '');
    return response;
  }) as Response['end'];
  next();
};

/** As `express-session` does: the end waits until something is saved. */
function sessions(saved: string[]): RequestHandler {
  return (request, response, next) => {
    const { end } = response;
    response.end = ((...parameters: Parameters<Response['end']>) => {
      void setImmediate().then(() => {
        saved.push(request.path);
        end.apply(response, parameters);
      });
      return response;
    }) as Response['end'];
    next();
  };
}

for (const [name, middleware] of [
  ['compresses', compress],
  ['saves a session', sessions([])],
] as const) {
  for (const place of ['outside', 'inside'] as const) {
    test(`Express: middleware that ${name} ${place} of the transaction sends the whole answer of each kind of handler`, async (t) => {
      const pool = await openItems(t);
      const { app, errors, done } = expressApp();
      const router = Router();
      if (place === 'inside') router.use(middleware);
      else app.use(middleware);
      router.post('/send', (_, response) => void response.send('x'.repeat(5000)));
      router.post('/write', async (_, response) => {
        response.write('x'.repeat(2500));
        await setImmediate();
        response.end('x'.repeat(2500));
      });
      // Over before it has answered.
      router.post('/later', async (_, response) => {
        void setImmediate().then(() => response.end('x'.repeat(5000)));
      });
      const write: RequestHandler = (request, response, next) => {
        insertHere(pool, request.path);
        router(request, response, next);
      };
      app.use(transactional(pool, write));
      done();
      const { url } = await serve(t, app);
      for (const path of ['/send', '/write', '/later']) {
        t.is(await (await fetch(url + path, post)).text(), 'x'.repeat(5000), path);
      }
      t.deepEqual(await namesIn(pool), ['/send', '/write', '/later']);
      t.deepEqual(errors, []);
      await isIdle(t, pool);
    });
  }
}

test('Express: a session is saved only when the transaction is committed', async (t) => {
  const pool = await openFamily(t);
  const saved: string[] = [];
  const { app, done } = expressApp();
  app.use(sessions(saved));
  app.post(
    '/',
    transactional(pool, async (_, response) => {
      await spoilCommit(pool);
      response.json({ done: true });
      t.deepEqual(saved, []);
    }),
  );
  done();
  const { url } = await serve(t, app);
  const response = await fetch(url, post);
  t.is(`${response.status} ${await response.text()}`, '500 failed');
  // Of the answer that says so.
  t.deepEqual(saved, ['/']);
  await isIdle(t, pool);
});

for (const [name, throwing] of [
  [
    'at once',
    (response: Response) => {
      response.json('answer');
      throw new Error('late');
    },
  ],
  ['in its promise', (response: Response) => Promise.reject(new Error(`late ${typeof response.json('answer')}`))],
] as const) {
  test(`Express: what a handler throws ${name} after its answer reaches the error handler once, and after the answer`, async (t) => {
    const pool = await openItems(t);
    const { app, errors } = expressApp();
    const told = gate<boolean>();
    app.post(
      '/',
      transactional(pool, (_, response) => {
        insertHere(pool, 'kept');
        return throwing(response);
      }),
    );
    app.use(((error, _, response, __) => {
      errors.push(error);
      told.open(response.writableEnded && pool.stats().laneHeld === 0);
    }) as import('express').ErrorRequestHandler);
    const { url } = await serve(t, app);
    const response = await fetch(url, post);
    t.is(`${response.status} ${await response.text()}`, '200 "answer"');
    t.true(await told.passed);
    t.is(errors.length, 1);
    t.deepEqual(await namesIn(pool), ['kept']);
    await isIdle(t, pool);
  });
}

test('Express: a handler that passes a request on whose client is gone does not pass it on as if it were written', async (t) => {
  const pool = await openItems(t);
  const { watched, scopes } = watchScopes(pool);
  const { app, errors, done } = expressApp();
  const [begun, gone, over] = [gate(), gate(), gate()];
  app.post(
    '/',
    transactional(watched, async (_, __, next) => {
      insertHere(pool, 'undone');
      begun.open();
      await gone.passed;
      next();
      over.open();
    }),
    () => t.fail('It was passed on'),
  );
  done();
  const site = await serve(t, app);
  const client = await rawRequest(t, site, 'POST', '/');
  await begun.passed;
  client.abort();
  await allEnded(scopes, 1);
  gone.open();
  await over.passed;
  await setImmediate();
  t.like(errors, [{ name: 'AbortError' }]);
  t.deepEqual(await namesIn(pool), []);
  await isIdle(t, pool);
});
