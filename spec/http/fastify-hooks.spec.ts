import test from 'ava';
import fastifyFramework, { type FastifyInstance, type FastifyRequest } from 'fastify';
import { fastify, transactional } from '../../lib/http/fastify.ts';
import type { LeasedDatabase, SqlitePool } from '../../lib/index.ts';
import { gate } from '../support/gate.ts';
import { namesIn, openItems, refusal } from '../support/items.ts';
import { allEnded, eventually, insertHere, isIdle, labels, listening, rawClient, watchScopes } from './support.ts';

declare module 'fastify' {
  interface FastifyRequest {
    db: LeasedDatabase;
    other: LeasedDatabase;
  }
}

function look(pool: SqlitePool): unknown {
  return pool.db.prepare('SELECT 1').pluck().get();
}

async function started(t: import('ava').ExecutionContext, app: FastifyInstance) {
  await app.listen({ port: 0, host: '127.0.0.1' });
  t.teardown(() => void app.close());
  return listening(t, app.server);
}

test('Fastify: every hook of a request finds its connection, behind a body that comes in pieces as well', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const app = fastifyFramework();
  const seen: string[] = [];
  const note = (hook: string) => seen.push(`${hook} ${Number(look(pool))}`);
  const opened = gate();
  await app.register(fastify, { pool, eager: true });
  app.addHook('onRequest', async () => {
    note('onRequest');
    opened.open();
  });
  app.addHook('preParsing', async (_, __, payload) => {
    note('preParsing');
    return payload;
  });
  app.addContentTypeParser('text/mine', { parseAs: 'string' }, (_, body, done) => {
    note('parser');
    done(null, body);
  });
  app.addHook('preValidation', async () => void note('preValidation'));
  app.addHook('preHandler', (_, __, done) => {
    note('preHandler');
    done();
  });
  app.addHook('preSerialization', async (_, __, payload) => {
    note('preSerialization');
    return payload;
  });
  app.addHook('onSend', async (_, __, payload) => {
    note('onSend');
    return payload;
  });
  const responded = gate<unknown>();
  app.addHook('onResponse', async () => responded.open(await pool.get('SELECT 2 AS two')));
  app.post('/', async (request) => {
    note('handler');
    return { body: request.body };
  });
  const site = await started(t, app);
  const client = await rawClient(t, site);
  client.send('POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/mine\r\nContent-Length: 4\r\n\r\n12');
  await opened.passed;
  client.send('34');
  await client.read(/\{"body":"1234"\}/);
  t.deepEqual(
    seen,
    ['onRequest', 'preParsing', 'parser', 'preValidation', 'preHandler', 'handler', 'preSerialization', 'onSend'].map(
      (hook) => `${hook} 1`,
    ),
  );
  t.deepEqual(await responded.passed, { two: 2 });
  await isIdle(t, pool);
});

test('Fastify: hooks of errors and error handlers find the connection; a scope that can not begin is an error', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const app = fastifyFramework();
  await app.register(fastify, { pool, eager: true });
  const seen: unknown[] = [];
  app.addHook('onError', async (_, __, error) => void seen.push(error.message, look(pool)));
  app.setErrorHandler((error: Error, _, reply) => {
    seen.push(look(pool));
    void reply.code(418).send(error.message);
  });
  app.get('/throw', () => {
    throw new Error('thrown');
  });
  app.get('/send', (_, reply) => void reply.send(new Error('sent')));
  const { url } = await started(t, app);
  t.is((await fetch(`${url}/throw`)).status, 418);
  t.is((await fetch(`${url}/send`)).status, 418);
  t.deepEqual(seen, ['thrown', 1, 1, 'sent', 1, 1]);
  await isIdle(t, pool);
  await pool.close();
  const failing = fastifyFramework();
  await failing.register(fastify, { pool, eager: true });
  failing.get('/', () => 'never');
  const response = await failing.inject('/');
  t.is(response.statusCode, 500);
  t.is(response.json<{ code: string }>().code, 'ERR_LEASEHOLD_CLOSED');
});

test('Fastify: request.db is the connection of the request, and says why there is none', async (t) => {
  const [pool, other] = [await openItems(t, { max: 1 }), await openItems(t, { max: 1 })];
  const app = fastifyFramework();
  app.addHook('onRequest', async (request) => {
    t.throws(() => request.db, refusal('NO_CONNECTION'));
  });
  await app.register(fastify, { pool });
  await app.register(fastify, { pool: other, decorator: 'other', eager: true });
  let kept: FastifyRequest | undefined;
  app.get('/', async (request) => {
    kept = request;
    t.throws(() => request.db, refusal('NO_CONNECTION'));
    t.is<unknown, unknown>(await pool.connection(), request.db);
    t.is<unknown, unknown>(request.other, other.current);
    t.is(await pool.transaction((tx) => request.db === tx), true);
    return request.db.prepare('SELECT 5').pluck().get();
  });
  app.get('/unbound', async (request) => {
    // In a transaction of its own.
    const same = await pool.transaction((tx) => request.db === tx);
    t.throws(() => request.db, refusal('NO_CONNECTION'));
    return same;
  });
  const { url } = await started(t, app);
  t.is(await (await fetch(url)).text(), '5');
  await isIdle(t, pool, other);
  t.throws(() => kept?.db, refusal('SCOPE_ENDED'));
  t.is(await (await fetch(`${url}/unbound`)).text(), 'true');
  await isIdle(t, pool, other);
});

test('Fastify: without a decorator there is none; a name that is taken is refused by Fastify', async (t) => {
  const pool = await openItems(t);
  const { watched, scopes } = watchScopes(pool);
  const app = fastifyFramework();
  await app.register(fastify, { pool: watched, decorator: false });
  app.register(fastify, { pool: watched, decorator: false, eager: true });
  await app.ready();
  t.false(app.hasRequestDecorator('db'));
  app.server.close();
  t.is(scopes.length, 0);
  const twice = fastifyFramework();
  twice.register(fastify, { pool });
  twice.register(fastify, { pool });
  await t.throwsAsync(async () => twice.ready(), {
    any: true,
    code: 'FST_ERR_DEC_ALREADY_PRESENT',
  });
  const wrong = fastifyFramework();
  wrong.register(fastify, { pool, eagre: true } as never);
  await t.throwsAsync(async () => wrong.ready(), refusal('OPTIONS'));
});

test('Fastify: registered in an app it is for all its routes, in a plugin for those of the plugin, twice it is one scope', async (t) => {
  const pool = await openItems(t);
  const { watched, scopes } = watchScopes(pool);
  const app = fastifyFramework();
  const tell = () => `${scopes.length} ${labels(pool).length}`;
  await app.register(
    async (child) => {
      await child.register(fastify, { pool: watched });
      await child.register(fastify, { pool: watched, decorator: false, eager: true });
      child.get('/in', tell);
      await child.register(async (grandchild) => void grandchild.get('/deep', tell));
    },
    { prefix: '/child' },
  );
  app.get('/out', tell);
  t.is((await app.inject('/child/in')).body, '1 1');
  await allEnded(scopes, 1);
  t.is((await app.inject('/child/deep')).body, '2 1');
  await allEnded(scopes, 2);
  t.is((await app.inject('/out')).body, '2 0');
  await isIdle(t, pool);
});

test('Fastify: a request is labelled by the pattern of its route, prefix included', async (t) => {
  const pool = await openItems(t);
  const app = fastifyFramework();
  const tell = () => JSON.stringify(labels(pool));
  await app.register(fastify, { pool, eager: true });
  app.get('/items/:id', tell);
  app.get('/all/*', tell);
  await app.register(async (child) => void child.get('/:name', tell), { prefix: '/api/:version' });
  app.setNotFoundHandler(tell);
  t.is((await app.inject('/items/7?x=1')).body, '["GET /items/:id"]');
  t.is((await app.inject('/all/of/it')).body, '["GET /all/*"]');
  t.is((await app.inject('/api/v1/ada')).body, '["GET /api/:version/:name"]');
  t.is((await app.inject({ method: 'PUT', url: '/nowhere' })).body, '["PUT *"]');
  const own = fastifyFramework();
  await own.register(fastify, { pool, eager: true, label: ({ routeOptions }) => `at ${routeOptions.url}` });
  own.get('/:x', tell);
  t.is((await own.inject('/1')).body, '["at /:x"]');
  await isIdle(t, pool);
});

test('Fastify: a reply that is hijacked keeps the scope until the response is over, and an injected request ends too', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const { watched, scopes } = watchScopes(pool);
  const app = fastifyFramework();
  const last = gate();
  await app.register(fastify, { pool: watched, eager: true });
  app.get('/', (_, reply) => {
    reply.hijack();
    reply.raw.write('first;');
    void last.passed.then(() => reply.raw.end(`last ${Number(look(pool))}`));
  });
  const site = await started(t, app);
  const client = await rawClient(t, site);
  client.send('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await client.read(/first;/);
  t.false(scopes[0]?.ended);
  last.open();
  await client.read(/last 1/);
  await allEnded(scopes, 1);
  t.is((await app.inject('/')).body, 'first;last 1');
  await allEnded(scopes, 2);
  await isIdle(t, pool);
});

test('Fastify: closing the app waits for the request in hand, and its scope ends with it', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const app = fastifyFramework();
  const go = gate();
  await app.register(fastify, { pool, eager: true });
  app.get('/', async () => {
    await go.passed;
    return look(pool);
  });
  const { url } = await started(t, app);
  const answer = fetch(url);
  await eventually(() => pool.stats().leased === 1);
  const closing = app.close();
  go.open();
  t.is(await (await answer).text(), '1');
  await closing;
  await isIdle(t, pool);
});

test('Fastify: a handler that is no async function is committed or rolled back by what it returns or throws', async (t) => {
  const pool = await openItems(t);
  const app = fastifyFramework();
  await app.register(fastify, { pool });
  app.post(
    '/returns',
    transactional(pool, () => {
      insertHere(pool, 'returned');
      return { sent: 1 };
    }),
  );
  app.post(
    '/throws',
    transactional(pool, () => {
      insertHere(pool, 'thrown');
      throw Object.assign(new Error('no such item'), { statusCode: 404 });
    }),
  );
  const returned = await app.inject({ method: 'POST', url: '/returns' });
  t.deepEqual([returned.statusCode, returned.json()], [200, { sent: 1 }]);
  const thrown = await app.inject({ method: 'POST', url: '/throws' });
  t.is(thrown.statusCode, 404);
  t.like(thrown.json(), { message: 'no such item' });
  t.deepEqual(await namesIn(pool), ['returned']);
  await isIdle(t, pool);
  await app.close();
});
