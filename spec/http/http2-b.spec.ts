import { once } from 'node:events';
import {
  type ClientHttp2Stream,
  connect,
  createServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { getRequestListener } from '@hono/node-server';
import test, { type ExecutionContext } from 'ava';
import { Hono } from 'hono';
import Koa from 'koa';
import { hono, transactional as transactionalHono } from '../../lib/http/hono.ts';
import { koa, transactional as transactionalKoa } from '../../lib/http/koa.ts';
import type { SqlitePool } from '../../lib/index.ts';
import { gate } from '../support/gate.ts';
import { namesIn, openItems } from '../support/items.ts';
import { held, insertHere, isIdle } from './support-b.ts';

type Listener = (request: Http2ServerRequest, response: Http2ServerResponse) => Promise<void>;

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
  const server = createServer((request, response) => void listener(request, response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  t.teardown(() => {
    client.destroy();
    server.close();
  });
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
    const ask = await open(t, make(pool, { read, write: read }));
    t.deepEqual(await Promise.all([text(ask('GET')), text(ask('GET'))]), ['2', '2']);
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
    const ask = await open(t, make(pool, { read, write }));
    const other = text(ask('GET'));
    await reading.passed;
    const left = ask('POST');
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
