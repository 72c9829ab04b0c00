import { createAdaptorServer } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import test from 'ava';
import { type Context, Hono, type MiddlewareHandler } from 'hono';
import { compress } from 'hono/compress';
import { setCookie } from 'hono/cookie';
import { stream, streamSSE, streamText } from 'hono/streaming';
import { hono, transactional } from '../../lib/http/hono.ts';
import type { SqlitePool } from '../../lib/index.ts';
import { openItems } from '../support/items.ts';
import { isIdle, listening, said } from './support-b.ts';

const responses: readonly [what: string, answer: (context: Context) => Response | Promise<Response>][] = [
  ['a text', (context) => context.text('text')],
  ['JSON with a status and headers', (context) => context.json({ a: 1 }, 201, { 'x-a': '1' })],
  ['HTML', (context) => context.html('<p>')],
  ['bytes', (context) => context.body(Buffer.from('bytes'))],
  ['a plain Response', () => new Response('plain')],
  ['a Response with an empty body', () => new Response('')],
  ['no content', (context) => context.body(null, 204)],
  ['not modified', (context) => context.body(null, 304)],
  ['a Blob', () => new Response(new Blob(['blob']))],
  ['a form', () => new Response(new URLSearchParams({ a: '1' }))],
  ['a redirect', (context) => context.redirect('/away')],
  [
    'cookies',
    (context) => {
      setCookie(context, 'a', '1');
      setCookie(context, 'b', '2');
      return context.text('cookies');
    },
  ],
  ['a stream', (context) => stream(context, async (sent) => void (await sent.write('stream')))],
  ['a text stream', (context) => streamText(context, async (sent) => void (await sent.write('stream')))],
  ['what a server says that is asked', async () => fetch('data:text/plain,asked')],
];

const after: MiddlewareHandler = async (context, next) => {
  await next();
  context.header('x-after', 'yes');
};

const replace: MiddlewareHandler = async (context, next) => {
  await next();
  context.res = new Response('replaced', { headers: { 'x-replaced': 'yes' } });
};

for (const [what, answer] of responses) {
  for (const method of ['GET', 'HEAD']) {
    test(`${what}, asked for by ${method}, is sent the same with a scope or a transaction and without`, async (t) => {
      const pool = await openItems(t);
      const own = [hono(pool, { eager: true }), transactional(pool)];
      for (const others of [[], [after], [replace]]) {
        const seen = new Set<string>();
        for (const middlewares of [
          others,
          ...own.flatMap((each) => [
            [each, ...others],
            [...others, each],
          ]),
        ]) {
          const app = new Hono();
          for (const each of middlewares) app.use(each);
          app.get('/', answer);
          seen.add(await said(t, await listening(t, createAdaptorServer(app) as never), method));
          await isIdle(t, pool);
        }
        t.regex([...seen].join('\n'), /^HTTP\/1\.1 \d+/);
        t.is(seen.size, 1, [...seen].join('\n'));
      }
    });
  }
}

const rows = 8;

/** Each row by the connection of the request. */
function row(pool: SqlitePool): string {
  return pool.db.prepare("SELECT printf('%.*c', 65536, 'x')").pluck().get() as string;
}

const streams: readonly [what: string, answer: (context: Context, pool: SqlitePool) => Response][] = [
  [
    'stream',
    (context, pool) =>
      stream(context, async (sent) => {
        for (let count = 0; count < rows; count++) await sent.write(row(pool));
      }),
  ],
  [
    'streamText',
    (context, pool) =>
      streamText(context, async (sent) => {
        for (let count = 0; count < rows; count++) await sent.write(row(pool));
      }),
  ],
  [
    'streamSSE',
    (context, pool) =>
      streamSSE(context, async (sent) => {
        for (let count = 0; count < rows; count++) await sent.writeSSE({ data: row(pool) });
      }),
  ],
  ['a ReadableStream', (context, pool) => context.body(pulled(pool))],
  ['a ReadableStream in a Response', (_, pool) => new Response(pulled(pool))],
  [
    'a ReadableStream piped through another',
    (_, pool) => new Response(pulled(pool).pipeThrough(new TransformStream({}, undefined, { highWaterMark: 0 }))),
  ],
];

function pulled(pool: SqlitePool): ReadableStream {
  let count = 0;
  return new ReadableStream({
    pull(controller) {
      if (count++ === rows) controller.close();
      else controller.enqueue(new TextEncoder().encode(row(pool)));
    },
  });
}

const around: readonly [what: string, middleware: MiddlewareHandler][] = [
  ['alone', (_, next) => next()],
  ['compressed', compress()],
  ['with headers set afterwards', after],
  [
    'made again from its body',
    async (context, next) => {
      await next();
      context.res = new Response(context.res.body, context.res);
    },
  ],
  [
    'of which a copy is kept',
    async (context, next) => {
      await next();
      void context.res.clone().arrayBuffer();
    },
  ],
];

// From Node.js 26 on, what copies a response does not ask its body for a reader, by which it would be read in the scope.
const mayCopy = Number.parseInt(process.versions.node, 10) < 26;

for (const [what, answer] of streams) {
  for (const [how, middleware] of around) {
    if (!mayCopy && how === 'of which a copy is kept' && what.startsWith('a ReadableStream')) continue;
    test(`${what} ${how} reads by the connection of its request`, async (t) => {
      const pool = await openItems(t, { max: 1 });
      const app = new Hono();
      app.use(middleware, hono(pool));
      app.get('/', async (context) => {
        await pool.connection();
        return answer(context, pool);
      });
      const { url } = await listening(t, createAdaptorServer(app) as never);
      const text = await (await fetch(url)).text();
      t.is(text.match(/x/g)?.length, rows * 65_536);
      await isIdle(t, pool);
    });
  }
}

test('a response that is sent by hand ends the scope when it is ended', async (t) => {
  const pool = await openItems(t);
  const app = new Hono<{ Bindings: { outgoing: { end(text: string): void } } }>();
  app.use(hono(pool, { eager: true })).get('/', (context) => {
    context.env.outgoing.end(pool.db.prepare("SELECT 'by hand'").pluck().get() as string);
    return RESPONSE_ALREADY_SENT;
  });
  const { url } = await listening(t, createAdaptorServer(app) as never);
  t.is(await (await fetch(url)).text(), 'by hand');
  await isIdle(t, pool);
});
