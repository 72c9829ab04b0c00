import { PassThrough, Readable, Transform } from 'node:stream';
import { createGunzip, createGzip } from 'node:zlib';
import test, { type ExecutionContext } from 'ava';
import Koa, { type Middleware } from 'koa';
import { koa } from '../../lib/http/koa.ts';
import type { SqlitePool } from '../../lib/index.ts';
import { openItems } from '../support/items.ts';
import { isIdle, serve } from './support-b.ts';

// So many that no buffer on the way holds them.
const [count, size] = [40, 65_536];
const all = Array.from({ length: count }, (_, row) => String(row % 10).repeat(size)).join('');

/** What `row` is, by the connection of the request. */
function piece(pool: SqlitePool, row: number): string {
  return pool.db
    .prepare(`SELECT printf('%.*c', ${size}, ?)`)
    .pluck()
    .get(String(row % 10)) as string;
}

async function* pieces(pool: SqlitePool): AsyncGenerator<string> {
  for (let row = 0; row < count; row++) yield piece(pool, row);
}

function webStream(pool: SqlitePool): ReadableStream {
  let row = 0;
  return new ReadableStream({
    pull(controller) {
      if (row === count) controller.close();
      else controller.enqueue(Buffer.from(piece(pool, row++)));
    },
  });
}

async function answers(t: ExecutionContext, ...middlewares: Middleware[]): Promise<Response> {
  const app = new Koa();
  app.silent = true;
  for (const middleware of middlewares) app.use(middleware);
  const handle = app.callback();
  const { url } = await serve(t, (request, response) => void handle(request, response));
  return fetch(url);
}

const bodies: readonly [what: string, body: (pool: SqlitePool) => unknown][] = [
  ['an async generator as a Readable', (pool) => Readable.from(pieces(pool), { objectMode: false })],
  [
    'a Readable with a method that reads',
    (pool) => {
      let row = 0;
      return new Readable({
        read() {
          this.push(row === count ? null : piece(pool, row++));
        },
      });
    },
  ],
  ['a ReadableStream', webStream],
  ['a Response', (pool) => new Response(webStream(pool))],
  ['a stream that is piped through another', (pool) => Readable.from(pieces(pool)).pipe(new PassThrough())],
  [
    'a stream that is changed on its way',
    (pool) =>
      Readable.from(Array.from({ length: count }).keys()).pipe(
        new Transform({
          writableObjectMode: true,
          transform(row: number, _, done) {
            done(null, piece(pool, row));
          },
        }),
      ),
  ],
];

for (const [what, body] of bodies) {
  test(`a body that is ${what} reads by the connection of its request`, async (t) => {
    const pool = await openItems(t, { max: 1 });
    const answer = await answers(t, koa(pool), async (context) => {
      await pool.connection();
      context.body = body(pool);
    });
    t.is(answer.status, 200);
    t.true((await answer.text()) === all);
    await isIdle(t, pool);
  });
}

const compress: Middleware = async (context, next) => {
  await next();
  context.body = (context.body as Readable).pipe(createGzip());
};

for (const where of ['around', 'within'] as const) {
  test(`a body that is compressed by a middleware ${where} the scope reads by the connection of its request`, async (t) => {
    const pool = await openItems(t, { max: 1 });
    const scope = koa(pool, { eager: true });
    const order = where === 'around' ? [compress, scope] : [scope, compress];
    const answer = await answers(t, ...order, (context) => {
      context.body = Readable.from(pieces(pool));
    });
    const unpacked = Readable.fromWeb(answer.body as never).pipe(createGunzip());
    t.true(Buffer.concat(await unpacked.toArray()).toString() === all);
    await isIdle(t, pool);
  });
}

const plain: readonly [what: string, body: unknown][] = [
  ['a text', 'text'],
  ['HTML', '<p>'],
  ['bytes', Buffer.from('bytes')],
  ['JSON', { a: [1] }],
  ['nothing', null],
  ['a Blob', new Blob(['blob'], { type: 'text/x' })],
];

const made: readonly [what: string, body: () => unknown][] = [
  ['a stream', () => Readable.from(['1,2'])],
  ['a Response', () => new Response('made', { status: 203, headers: { 'x-made': 'yes' } })],
  ['a ReadableStream', () => new Blob(['web']).stream()],
];

for (const [what, body] of [...plain.map(([name, value]) => [name, () => value] as const), ...made]) {
  test(`a response that is ${what} is the same with a scope and without`, async (t) => {
    const pool = await openItems(t);
    const seen = [];
    for (const middlewares of [[], [koa(pool, { eager: true })]]) {
      const answer = await answers(t, ...middlewares, (context) => {
        context.append('set-cookie', ['a=1', 'b=2']);
        context.body = body();
      });
      const headers = [...answer.headers].filter(([name]) => name !== 'date');
      seen.push({ status: answer.status, headers, body: await answer.text() });
    }
    t.deepEqual(seen[1], seen[0]);
    await isIdle(t, pool);
  });
}
