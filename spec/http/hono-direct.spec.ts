import test from 'ava';
import { type Context, Hono } from 'hono';
import { stream } from 'hono/streaming';
import { hono, transactional } from '../../lib/http/hono.ts';
import type { SqlitePool } from '../../lib/index.ts';
import { gate } from '../support/gate.ts';
import { Enough, namesIn, openItems, refusal } from '../support/items.ts';
import { held, insertHere, isIdle, rejection } from './support-b.ts';

// Without a server: as tests call an application, or servers that are not Node's.

async function* counting(pool: SqlitePool): AsyncGenerator<Uint8Array> {
  for (let count = 0; count < 100; count++) {
    yield new TextEncoder().encode(`${pool.db.prepare('SELECT 7').pluck().get() as number};`);
  }
}

function pulled(pieces: AsyncGenerator<Uint8Array>): ReadableStream {
  return new ReadableStream(
    {
      async pull(controller) {
        const { done, value } = await pieces.next();
        if (done === true) controller.close();
        else controller.enqueue(value);
      },
      cancel: async () => void (await pieces.return(undefined)),
    },
    { highWaterMark: 0 },
  );
}

const plain: readonly [what: string, answer: (context: Context) => Response | Promise<Response>, body: string][] = [
  ['a text', (context) => context.text('text'), 'text'],
  ['JSON', (context) => context.json({ a: 1 }), '{"a":1}'],
  ['an empty text', (context) => context.text(''), ''],
  ['no content', (context) => context.body(null, 204), ''],
  ['a short stream', (context) => stream(context, async (sent) => void (await sent.write('short'))), 'short'],
  ['an HTTP error', (context) => context.text('teapot', 418), 'teapot'],
];

function withHeader(answer: (context: Context) => Response | Promise<Response>): typeof answer {
  return (context) => {
    context.header('x-before', '1');
    return answer(context);
  };
}

for (const [what, answer, body] of plain) {
  test(`a response that is ${what} has given its connection back when it is there, and is the same`, async (t) => {
    const pool = await openItems(t, { max: 1 });
    const bare = await new Hono().get('/', withHeader(answer)).request('/');
    for (const own of [hono(pool, { eager: true }), transactional(pool)]) {
      const app = new Hono().use(own).get('/', async (context) => {
        await pool.connection();
        return withHeader(answer)(context);
      });
      const response = await app.request('/');
      // Although nobody has read it.
      pool.assertIdle();
      t.is(response.status, bare.status);
      t.is(response.headers.get('x-before'), '1');
      t.is(response.headers.get('content-type'), bare.headers.get('content-type'));
      t.is(await response.text(), body);
    }
  });
}

test('a streamed body holds the connection until it has been read', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const app = new Hono().use(hono(pool)).get('/', async () => {
    await pool.connection();
    return new Response(pulled(counting(pool)));
  });
  const response = await app.request('/');
  t.is(held(pool).length, 1);
  t.is(await response.text(), '7;'.repeat(100));
  pool.assertIdle();
});

test('a Blob that has been read has given the connection back', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const app = new Hono().use(hono(pool, { eager: true })).get('/', () => new Response(new Blob(['blob'])));
  t.is(await (await app.request('/')).text(), 'blob');
  pool.assertIdle();
});

test('a streamed body that is cancelled, or fails, gives the connection back', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const left = gate();
  const failing = async function* failing() {
    try {
      yield* counting(pool);
      throw new Enough();
    } finally {
      left.open();
    }
  };
  const app = new Hono().use(hono(pool, { eager: true })).get('/', () => new Response(pulled(failing())));
  const response = await app.request('/');
  t.is(held(pool).length, 1);
  await response.body?.cancel();
  pool.assertIdle();
  await left.passed;
  await t.throwsAsync((await app.request('/')).text());
  pool.assertIdle();
});

test('a response that somebody has read within gives the connection back', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const app = new Hono().use(hono(pool, { eager: true }));
  const read: string[] = [];
  app.use(async (context, next) => {
    await next();
    read.push(await context.res.text());
  });
  app.get('/', (context) => context.text('read'));
  t.is((await app.request('/')).status, 200);
  t.deepEqual(read, ['read']);
  pool.assertIdle();
});

test('HEAD holds nothing for a body that nobody will read', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const app = new Hono().use(hono(pool, { eager: true })).get('/', () => new Response(pulled(counting(pool))));
  t.is((await app.request('/', { method: 'HEAD' })).status, 200);
  pool.assertIdle();
});

test('a handler that fails, is not found, or makes no response gives the connection back as without a scope', async (t) => {
  const pool = await openItems(t, { max: 1 });
  for (const own of [[], [hono(pool, { eager: true })], [transactional(pool)]]) {
    const app = new Hono();
    const errors: unknown[] = [];
    app.onError((error, context) => {
      errors.push(error.message);
      return context.text('failed', 500);
    });
    app.use(async (_, next) => {
      await next();
    });
    for (const each of own) app.use(each);
    app.get('/error', () => {
      throw new Enough('enough');
    });
    app.get('/other', () => {
      // oxlint-disable-next-line typescript/only-throw-error
      throw 'no error';
    });
    app.get('/nothing', (() => {}) as never);
    t.is((await app.request('/error')).status, 500);
    t.is((await app.request('/nowhere')).status, 404);
    t.is((await app.request('/nothing')).status, 500);
    t.deepEqual<unknown, unknown>(await rejection(app.request('/other') as Promise<Response>), 'no error');
    t.is(errors.length, 2);
    t.regex(String(errors[1]), /not finalized/);
    await isIdle(t, pool);
  }
});

test('a request that is aborted gives up its place, its connection and its transaction', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const [begun, over] = [gate(), gate()];
  const app = new Hono();
  app.onError((error, context) => context.text((error as Error & { code?: string }).code ?? '', 500));
  app.get('/scope', hono(pool), async (context) => {
    await pool.connection();
    begun.open();
    await over.passed;
    return context.text(t.throws(() => pool.db.prepare('SELECT 1').get())?.name ?? '');
  });
  app.post('/transaction', transactional(pool), async (context) => {
    insertHere(pool, 'undone');
    begun.open();
    await over.passed;
    return context.text('late');
  });
  for (const path of ['/scope', '/transaction']) {
    const client = new AbortController();
    const method = path === '/scope' ? 'GET' : 'POST';
    const coming = app.request(path, { method, signal: client.signal });
    await begun.passed;
    client.abort();
    await isIdle(t, pool);
    over.open();
    const response = await coming;
    t.is(await response.text(), path === '/scope' ? 'ScopeEndedError' : 'ABORT_ERR');
  }
  t.deepEqual(await namesIn(pool), []);
  const gone = await app.request('/transaction', { method: 'POST', signal: AbortSignal.abort() });
  t.is(await gone.text(), 'ABORT_ERR');
  await isIdle(t, pool);
});

test('an application that is called within a transaction or a connection is part of it', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const app = new Hono();
  app.use(hono(pool, { eager: true }));
  app.post('/', transactional(pool), (context) => {
    insertHere(pool, 'tried');
    return context.json(pool.db.prepare('SELECT count(*) FROM item').pluck().get() as number);
  });
  await t.throwsAsync(
    pool.transaction(async () => {
      t.is(await (await app.request('/', { method: 'POST' })).json(), 1);
      t.is(await (await app.request('/', { method: 'POST' })).json(), 2);
      throw new Enough();
    }),
    { instanceOf: Enough },
  );
  t.deepEqual(await namesIn(pool), []);
  await pool.withConnection(async (db) => {
    await app.request('/', { method: 'POST' });
    t.is(pool.current, db);
  });
  t.deepEqual(await namesIn(pool), ['tried']);
  await isIdle(t, pool);
});

test('applications that are mounted or registered twice are one scope', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const part = new Hono().use(hono(pool, { eager: true })).get('/', (context) => context.json(held(pool).length));
  const app = new Hono()
    .use(hono(pool, { eager: true }))
    .use(hono(pool))
    .mount('/part', part.fetch);
  app.get('/', (context) => context.json(held(pool).length));
  for (const path of ['/part', '/']) {
    t.is(await (await app.request(path)).json(), 1);
    await isIdle(t, pool);
  }
});

test('what outlives a response without a server is refused', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const answered = gate();
  const leftOver = gate<Promise<Error>>();
  const app = new Hono().use(hono(pool, { eager: true })).get('/', (context) => {
    leftOver.open(rejection(answered.passed.then(() => pool.db.prepare('SELECT 1').get())));
    return context.text('early');
  });
  await app.request('/');
  answered.open();
  t.like(await leftOver.passed, refusal('SCOPE_ENDED'));
});
