import { once } from 'node:events';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  createServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { getRequestListener } from '@hono/node-server';
import test, { type ExecutionContext } from 'ava';
import { Hono } from 'hono';
import Koa from 'koa';
import { hono, transactional as transactionalHono } from '../../lib/http/hono.ts';
import { koa, transactional as transactionalKoa } from '../../lib/http/koa.ts';
import { node, transactional } from '../../lib/http/node.ts';
import type { SqlitePool } from '../../lib/index.ts';
import { gate } from '../support/gate.ts';
import { namesIn, openItems, refusal } from '../support/items.ts';
import { openFamily, spoilCommit } from './suite-transactional-a.ts';
import { allEnded, eventually, held, insertHere, isIdle, rejection, watchScopes } from './support.ts';

type Listener = (request: Http2ServerRequest, response: Http2ServerResponse) => unknown;

async function session(t: ExecutionContext, listener: Listener): Promise<ClientHttp2Session> {
  const server = createServer((request, response) => void listener(request, response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  client.on('error', () => {});
  t.teardown(() => {
    client.destroy();
    server.close();
  });
  return client;
}

async function ask(client: ClientHttp2Session, path: string): Promise<string> {
  const stream = client.request({ ':path': path });
  const [headers] = (await once(stream, 'response')) as [{ ':status': number }];
  return `${headers[':status']} ${await text(stream)}`;
}

test('HTTP/2: streams of one session have a scope and a connection each, which end with their own response', async (t) => {
  const pool = await openItems(t, { max: 2 });
  const { watched, scopes } = watchScopes(pool);
  const first = gate();
  const handler: Listener = async ({ url }, response) => {
    await pool.connection();
    if (url === '/first') await first.passed;
    else await eventually(() => pool.stats().leased === 2);
    response.end(`${pool.leases().length} held, ${Number(pool.db.prepare('SELECT 3').pluck().get())}`);
  };
  const client = await session(t, node(watched, handler));
  const one = ask(client, '/first');
  t.is(await ask(client, '/second'), '200 2 held, 3');
  await eventually(() => scopes.filter(({ ended }) => ended).length === 1);
  first.open();
  t.is(await one, '200 1 held, 3');
  await allEnded(scopes, 2);
  t.false(scopes.some(({ aborted }) => aborted));
  await isIdle(t, pool);
});

test('HTTP/2: a stream that is piped to a slow reader reads in its scope, and a listener of a body is in it', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const handler: Listener = async (request, response) => {
    const heard: unknown[] = [];
    request.on('data', () => heard.push(pool.db.prepare('SELECT 1').pluck().get()));
    await once(request, 'end');
    let left = 40;
    const source = new Readable({
      read() {
        const piece = pool.db.prepare("SELECT printf('%.*c', 65536, 'x')").pluck().get();
        this.push(left-- > 0 ? piece : null);
      },
    });
    response.setHeader('x-heard', heard.join());
    source.pipe(response);
  };
  const client = await session(t, node(pool, handler, { eager: true }));
  const stream = client.request({ ':path': '/', ':method': 'POST' });
  stream.end('body');
  const [headers] = (await once(stream, 'response')) as [Record<string, string>];
  t.is(headers['x-heard'], '1');
  t.is((await text(stream)).length, 40 * 65_536);
  await isIdle(t, pool);
});

for (const [name, leave] of [
  ['resets its stream', (_: ClientHttp2Session, stream: { close(code: number): void }) => stream.close(8)],
  ['drops the session', (client: ClientHttp2Session) => client.destroy()],
] as const) {
  test(`HTTP/2: a client that ${name} ends the scope, and undoes its transaction, while the handler hangs`, async (t) => {
    const pool = await openItems(t);
    const { watched, scopes } = watchScopes(pool);
    const begun = gate();
    const handler = transactional(watched, async (_: Http2ServerRequest, response: Http2ServerResponse) => {
      insertHere(pool, 'undone');
      response.write('begun');
      begun.open();
      await new Promise(() => {});
    });
    const client = await session(t, node(watched, handler));
    const stream = client.request({ ':path': '/', ':method': 'POST' });
    stream.on('error', () => {});
    await begun.passed;
    leave(client, stream);
    await pool.run("INSERT INTO item VALUES ('next')");
    await allEnded(scopes, 1);
    t.true(scopes[0]?.aborted);
    t.deepEqual(await namesIn(pool), ['next']);
    await isIdle(t, pool);
  });
}

test('HTTP/2: who waits for a connection before the handler waits no longer when its stream is reset', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const client = await session(
    t,
    node(pool, () => t.fail('It has begun'), { eager: true }),
  );
  const db = await pool.acquire();
  const stream = client.request({ ':path': '/' });
  stream.on('error', () => {});
  await eventually(() => pool.stats().waiting === 1);
  stream.close(8);
  await eventually(() => pool.stats().waiting === 0);
  db.close();
  await isIdle(t, pool);
});

test('HTTP/2: a client that was gone before the scope was opened gets a scope that is over', async (t) => {
  const pool = await openItems(t);
  const { watched, scopes } = watchScopes(pool);
  const [coming, refused] = [gate(), gate<Error>()];
  const handler = node<Http2ServerRequest, Http2ServerResponse>(watched, async () => {
    refused.open(await rejection(pool.connection()));
  });
  const client = await session(t, async (request, response) => {
    coming.open();
    await once(response, 'close');
    await handler(request, response);
  });
  const stream = client.request({ ':path': '/' });
  stream.on('error', () => {});
  await coming.passed;
  stream.close(8);
  t.like(await refused.passed, { name: 'AbortError' });
  await allEnded(scopes, 1);
  await isIdle(t, pool);
});

test('HTTP/2: the answer waits for the commit, and is 503 where that fails or there is no connection', async (t) => {
  const pool = await openFamily(t);
  const write = transactional(pool, async ({ url }: Http2ServerRequest, response: Http2ServerResponse) => {
    insertHere(pool, 'a');
    if (url === '/spoilt') await spoilCommit(pool);
    response.writeHead(201);
    response.end('done');
    t.true(response.writableEnded);
    t.throws(() => response.setHeader('x', 'y'), { code: 'ERR_HTTP_HEADERS_SENT' });
  });
  const client = await session(t, (request, response) => {
    if (request.url === '/closed') return node(pool, write, { eager: true })(request, response);
    return write(request, response);
  });
  t.is(await ask(client, '/'), '201 done');
  t.deepEqual(await namesIn(pool), ['a']);
  const spoilt = client.request({ ':path': '/spoilt' });
  spoilt.on('error', () => {});
  // Its head was sent by the handler itself.
  t.true((await rejection(pipeline(spoilt, async (source) => void (await text(source))))) instanceof Error);
  t.deepEqual(await namesIn(pool), ['a']);
  await isIdle(t, pool);
  await pool.close();
  t.is(await ask(client, '/closed'), '503 Service Unavailable\n');
  t.throws(() => pool.tryAcquire(), refusal('CLOSED'));
});

interface Handlers {
  read(): Promise<string>;
  write(): Promise<string>;
}

const frameworks: readonly [name: string, listener: (pool: SqlitePool, handlers: Handlers) => Listener][] = [
  [
    'Koa',
    (pool, { read, write }) => {
      const app = new Koa();
      app.silent = true;
      app.use(koa(pool));
      const writing = transactionalKoa(pool, async (context) => {
        context.body = await write();
      });
      return app
        .use(async (context) => {
          if (context.method === 'POST') await writing(context);
          else context.body = await read();
        })
        .callback();
    },
  ],
  [
    'Hono',
    (pool, { read, write }) => {
      const app = new Hono();
      app.onError((_, context) => context.text('failed', 500));
      app.use(hono(pool)).get('/', async (context) => context.text(await read()));
      app.post('/', transactionalHono(pool), async (context) => context.text(await write()));
      return getRequestListener(app.fetch);
    },
  ],
];

async function open(t: ExecutionContext, listener: Listener) {
  const client = await session(t, listener);
  return (method: string): ClientHttp2Stream => client.request({ ':method': method, ':path': '/' }).end();
}

for (const [name, make] of frameworks) {
  test(`${name}: streams of one HTTP/2 connection have a scope and a connection each`, async (t) => {
    const pool = await openItems(t);
    const both = gate();
    const read = async () => {
      await pool.connection();
      if (held(pool).length === 2) both.open();
      await both.passed;
      return String(held(pool).length);
    };
    const fetchFrom = await open(t, make(pool, { read, write: read }));
    t.deepEqual(await Promise.all([text(fetchFrom('GET')), text(fetchFrom('GET'))]), ['2', '2']);
    await isIdle(t, pool);
  });

  test(`${name}: the transaction of an HTTP/2 stream that is reset is undone at once, beside one that goes on`, async (t) => {
    const pool = await openItems(t);
    const [begun, reading, over] = [gate(), gate(), gate()];
    const read = async () => {
      await pool.connection();
      reading.open();
      await over.passed;
      return String(pool.db.prepare('SELECT count(*) FROM item').pluck().get());
    };
    const write = async () => {
      insertHere(pool, 'undone');
      begun.open();
      await over.passed;
      return 'nobody hears';
    };
    const fetchFrom = await open(t, make(pool, { read, write }));
    const other = text(fetchFrom('GET'));
    await reading.passed;
    const left = fetchFrom('POST');
    left.on('error', () => {});
    await begun.passed;
    left.destroy();
    await pool.run("INSERT INTO item VALUES ('next')");
    t.is(held(pool).length, 1);
    over.open();
    t.is(await other, '1');
    t.deepEqual(await namesIn(pool), ['next']);
    await isIdle(t, pool);
  });
}
