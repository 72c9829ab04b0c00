import { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import test from 'ava';
import fastifyFramework from 'fastify';
import { fastify, transactional } from '../../lib/http/fastify.ts';
import { gate } from '../support/gate.ts';
import { namesIn, openItems } from '../support/items.ts';
import { openFamily, spoilCommit } from './suite-transactional-a.ts';
import { insertHere, isIdle } from './support.ts';

const post = (url: string) => ({ method: 'POST', url }) as const;

test('Fastify: each way to reply is committed before the reply, and sent whole', async (t) => {
  const pool = await openItems(t);
  const app = fastifyFramework();
  await app.register(fastify, { pool });
  const seen: [number, boolean][] = [];
  app.addHook('onSend', async (_, __, payload) => {
    // Others may look at what is sent for as long as they like.
    await setImmediate();
    seen.push([(await namesIn(pool)).length, pool.current?.inTransaction ?? false]);
    return payload;
  });
  app.post(
    '/return',
    transactional(pool, async () => {
      insertHere(pool, 'return');
      return { sent: 1 };
    }),
  );
  app.post(
    '/send',
    transactional(pool, async (_, reply) => {
      insertHere(pool, 'send');
      return reply.code(201).send({ sent: 2 });
    }),
  );
  app.post(
    '/callback',
    transactional(pool, (_, reply) => {
      insertHere(pool, 'callback');
      void setImmediate().then(() => reply.header('x-late', '1').send({ sent: 3 }));
    }),
  );
  app.post(
    '/wait',
    transactional(pool, async (_, reply) => {
      insertHere(pool, 'wait');
      void setImmediate().then(() => reply.send({ sent: 4 }));
      return reply;
    }),
  );
  app.post(
    '/redirect',
    transactional(pool, async (_, reply) => {
      insertHere(pool, 'redirect');
      return reply.redirect('/x', 303);
    }),
  );
  app.post(
    '/empty',
    transactional(pool, (_, reply) => {
      insertHere(pool, 'empty');
      reply.code(204).send();
    }),
  );
  app.post(
    '/nothing',
    transactional(pool, async () => insertHere(pool, 'nothing')),
  );
  app.post(
    '/stream',
    transactional(pool, async () => {
      insertHere(pool, 'stream');
      return Readable.from(['str', 'eam']);
    }),
  );
  app.post(
    '/missing',
    transactional(pool, async (_, reply) => {
      insertHere(pool, 'missing');
      return reply.callNotFound();
    }),
  );
  app.post(
    '/raw',
    transactional(pool, async (_, reply) => {
      insertHere(pool, 'raw');
      reply.hijack();
      reply.raw.end('raw');
    }),
  );
  const answers = [
    ['/return', 200, '{"sent":1}'],
    ['/send', 201, '{"sent":2}'],
    ['/callback', 200, '{"sent":3}'],
    ['/wait', 200, '{"sent":4}'],
    ['/redirect', 303, ''],
    ['/empty', 204, ''],
    ['/nothing', 200, ''],
    ['/stream', 200, 'stream'],
    ['/missing', 404, undefined],
    ['/raw', 200, 'raw'],
  ] as const;
  for (const [path, status, body] of answers) {
    const response = await app.inject(post(path));
    t.is(response.statusCode, status, path);
    if (body !== undefined) t.is(response.body, body, path);
    t.is((await namesIn(pool)).at(-1), path.slice(1));
    await isIdle(t, pool);
  }
  // Hooks have seen each committed. What is hijacked goes by them.
  t.deepEqual(
    seen,
    answers.slice(0, -1).map((_, index) => [index + 1, false]),
  );
});

test('Fastify: an error that is sent rolls back, and so does a status, by code or by error', async (t) => {
  const pool = await openItems(t);
  const app = fastifyFramework();
  app.post(
    '/error',
    transactional(pool, (_, reply) => {
      insertHere(pool, 'undone');
      reply.send(new Error('sent'));
    }),
  );
  app.post(
    '/returned',
    transactional(pool, async () => {
      insertHere(pool, 'undone');
      return new Error('returned');
    }),
  );
  const options = { rollbackFrom: 400 };
  app.post(
    '/code',
    transactional(
      pool,
      async (_, reply) => {
        insertHere(pool, 'undone');
        return reply.code(409).send('no');
      },
      options,
    ),
  );
  app.post(
    '/ok',
    transactional(
      pool,
      async () => {
        insertHere(pool, 'kept');
        return 'yes';
      },
      options,
    ),
  );
  t.is((await app.inject(post('/error'))).json<{ message: string }>().message, 'sent');
  t.is((await app.inject(post('/returned'))).statusCode, 500);
  t.is((await app.inject(post('/code'))).body, 'no');
  t.is((await app.inject(post('/ok'))).body, 'yes');
  t.deepEqual(await namesIn(pool), ['kept']);
  await isIdle(t, pool);
});

test('Fastify: schemas, preSerialization and this work as without a transaction', async (t) => {
  const pool = await openItems(t);
  const app = fastifyFramework();
  app.decorate('greeting', 'hello');
  app.addHook('preSerialization', async (_, __, payload) => ({ ...(payload as object), seen: true, hidden: true }));
  const schema = {
    body: { type: 'object', required: ['name'], properties: { name: { type: 'string' } } },
    response: { 200: { type: 'object', properties: { name: { type: 'string' }, seen: { type: 'boolean' } } } },
  };
  app.post<{ Body: { name: string } }>(
    '/',
    { schema },
    transactional(pool, async function greet(request) {
      insertHere(pool, request.body.name);
      return { name: `${(this as unknown as { greeting: string }).greeting} ${request.body.name}` };
    }),
  );
  t.deepEqual((await app.inject({ ...post('/'), payload: { name: 'ada' } })).json(), { name: 'hello ada', seen: true });
  t.is((await app.inject({ ...post('/'), payload: {} })).statusCode, 400);
  t.deepEqual(await namesIn(pool), ['ada']);
  await isIdle(t, pool);
});

test('Fastify: what is not committed is not sent, whichever way it was to be', async (t) => {
  const pool = await openFamily(t);
  const app = fastifyFramework();
  app.post(
    '/return',
    transactional(pool, async () => {
      await spoilCommit(pool);
      return 'done';
    }),
  );
  app.post(
    '/send',
    transactional(pool, async (_, reply) => {
      await spoilCommit(pool);
      return reply.code(201).send('done');
    }),
  );
  app.post(
    '/raw',
    transactional(pool, async (_, reply) => {
      await spoilCommit(pool);
      reply.raw.end('done');
    }),
  );
  for (const path of ['/return', '/send', '/raw']) {
    const response = await app.inject(post(path));
    t.is(response.json<{ code: string }>().code, 'SQLITE_CONSTRAINT_FOREIGNKEY', path);
    t.is(response.statusCode, 500, path);
  }
  await isIdle(t, pool);
});

test('Fastify: a transactional handler within another is a savepoint of it, and is sent with that', async (t) => {
  const pool = await openItems(t);
  const app = fastifyFramework();
  await app.register(fastify, { pool });
  const inner = transactional(pool, async (_: unknown, reply: import('fastify').FastifyReply) => {
    await pool.run("INSERT INTO item VALUES ('inner')");
    t.false(reply.sent);
    void reply.send('sent');
    t.true(reply.sent);
    return reply;
  });
  app.post(
    '/',
    transactional(pool, async (request, reply) => {
      insertHere(pool, 'outer');
      await inner(request, reply);
      return reply;
    }),
  );
  t.is((await app.inject(post('/'))).body, 'sent');
  t.deepEqual(await namesIn(pool), ['outer', 'inner']);
  await isIdle(t, pool);
});

test('Fastify: a second reply, and an error after the reply, change nothing of it', async (t) => {
  const pool = await openItems(t);
  const logged: string[] = [];
  const log = {
    level: 'warn',
    stream: { write: (line: string) => void logged.push((JSON.parse(line) as { msg: string }).msg) },
  };
  const app = fastifyFramework({ logger: log });
  const late = gate();
  app.post(
    '/twice',
    transactional(pool, (_, reply) => {
      insertHere(pool, 'twice');
      reply.send('first');
      reply.code(500).send('second');
    }),
  );
  app.post(
    '/throws',
    transactional(pool, async (_, reply) => {
      insertHere(pool, 'throws');
      reply.send('answer');
      await late.passed;
      throw new Error('late');
    }),
  );
  const twice = await app.inject(post('/twice'));
  t.is(`${twice.statusCode} ${twice.body}`, '200 first');
  t.regex(logged.join(), /already sent/);
  logged.length = 0;
  const throwing = await app.inject(post('/throws'));
  t.is(`${throwing.statusCode} ${throwing.body}`, '200 answer');
  late.open();
  await setImmediate();
  t.regex(logged.join(), /Promise errored/);
  t.deepEqual(await namesIn(pool), ['twice', 'throws']);
  await isIdle(t, pool);
});

test('Fastify: a function laid over reply.send in a handler is called once, also where it sends when nothing is held', async (t) => {
  const pool = await openItems(t);
  const app = fastifyFramework();
  const go = gate();
  app.post(
    '/:when',
    transactional(pool, async (request, reply) => {
      const { send } = reply;
      reply.send = (payload) => send.call(reply, `${String(payload)}!`);
      if ((request.params as { when: string }).when === 'now') return reply.send('x');
      // By hand, when the transaction is over.
      reply.hijack();
      void go.passed.then(() => reply.raw.end('later'));
      return undefined;
    }),
  );
  t.is((await app.inject(post('/now'))).body, 'x!');
  const later = app.inject(post('/later'));
  await isIdle(t, pool);
  go.open();
  t.is((await later).body, 'later');
});
