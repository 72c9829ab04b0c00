import { createTRPCClient, httpBatchLink, httpBatchStreamLink, httpLink } from '@trpc/client';
import { initTRPC } from '@trpc/server';
import { createExpressMiddleware } from '@trpc/server/adapters/express';
import { fetchRequestHandler } from '@trpc/server/adapters/fetch';
import { createHTTPServer } from '@trpc/server/adapters/standalone';
import test, { type ExecutionContext } from 'ava';
import createExpress from 'express';
import { Hono } from 'hono';
import { express } from '../../lib/http/express.ts';
import { hono } from '../../lib/http/hono.ts';
import { transactional, trpc } from '../../lib/http/trpc.ts';
import type { SqlitePool } from '../../lib/index.ts';
import { gate } from '../support/gate.ts';
import { Enough, namesIn, openItems } from '../support/items.ts';
import { held, insertHere, isIdle, listening, rejection, serve } from './support-b.ts';
import { procedure, router, text } from './trpc-support.ts';

function makeRoutes(pool: SqlitePool) {
  const scoped = procedure.use(trpc(pool, { eager: true }));
  return router({
    read: scoped.query(() => pool.db.prepare('SELECT count(*) FROM item').pluck().get() as number),
    held: scoped.query(() => held(pool).length),
    write: scoped.input(text).mutation(transactional(pool, async ({ input }) => insertHere(pool, input))),
    fail: scoped.input(text).mutation(
      transactional(pool, async ({ input }): Promise<string> => {
        insertHere(pool, input);
        throw new Enough('had enough');
      }),
    ),
    rows: scoped.query(async function* rows() {
      yield* await pool.all<{ name: string }>('SELECT name FROM item');
      stillHeld(pool);
    }),
  });
}

/** The connection of the call is there to the end of what it yields. */
function stillHeld(pool: SqlitePool): void {
  pool.db.prepare('SELECT 1').get();
}

type Routes = ReturnType<typeof makeRoutes>;

const adapters: readonly [name: string, start: (t: ExecutionContext, routes: Routes) => Promise<string>][] = [
  ['standalone', async (t, routes) => (await listening(t, createHTTPServer({ router: routes }))).url],
  [
    'Express',
    async (t, routes) => {
      const app = createExpress();
      app.use('/trpc', createExpressMiddleware({ router: routes }));
      return `${(await serve(t, app)).url}/trpc`;
    },
  ],
];

for (const [name, start] of adapters) {
  test(`${name}: calls read, write and stream in a scope each, and give all back`, async (t) => {
    const pool = await openItems(t);
    const url = await start(t, makeRoutes(pool));
    const client = createTRPCClient<Routes>({ links: [httpBatchLink({ url })] });
    await Promise.all([client.write.mutate('one'), client.write.mutate('two')]);
    t.like(await rejection(client.fail.mutate('undone')), { message: 'had enough' });
    t.is(await client.read.query(), 2);
    t.deepEqual(await namesIn(pool), ['one', 'two']);
    pool.assertIdle();
    const streaming = createTRPCClient<Routes>({ links: [httpBatchStreamLink({ url })] });
    const names: string[] = [];
    for await (const row of await streaming.rows.query()) names.push(row.name);
    t.deepEqual(names, ['one', 'two']);
    await isIdle(t, pool);
  });
}

test('fetch: calls read, write and stream in a scope each, and give all back', async (t) => {
  const pool = await openItems(t);
  const routes = makeRoutes(pool);
  const handle = (input: unknown, init: unknown) =>
    fetchRequestHandler({ endpoint: '', req: new Request(input as string, init as RequestInit), router: routes });
  const url = 'http://localhost';
  const client = createTRPCClient<Routes>({ links: [httpLink({ url, fetch: handle as never })] });
  await client.write.mutate('one');
  t.like(await rejection(client.fail.mutate('undone')), { message: 'had enough' });
  t.is(await client.read.query(), 1);
  pool.assertIdle();
  const streaming = createTRPCClient<Routes>({ links: [httpBatchStreamLink({ url, fetch: handle as never })] });
  const names: string[] = [];
  for await (const row of await streaming.rows.query()) names.push(row.name);
  t.deepEqual(names, ['one']);
  await isIdle(t, pool);
});

test('in the scope of an Express request that has a connection all calls of a batch are part of that, else each has its own', async (t) => {
  const pool = await openItems(t);
  for (const eager of [true, false]) {
    const [all, seen] = [gate(), [] as number[]];
    const routes = router({
      held: procedure.use(trpc(pool)).query(async () => {
        await pool.connection();
        if (seen.push(held(pool).length) === 2) all.open();
        await all.passed;
        return held(pool).length;
      }),
    });
    const app = createExpress();
    app.use(express(pool, { eager }), createExpressMiddleware({ router: routes }));
    const { url } = await serve(t, app);
    const client = createTRPCClient<typeof routes>({ links: [httpBatchLink({ url })] });
    const counts = await Promise.all([client.held.query(), client.held.query()]);
    t.deepEqual(counts, eager ? [1, 1] : [2, 2]);
    await isIdle(t, pool);
  }
});

test('in the scope of a Hono request it works as in that of any other', async (t) => {
  const pool = await openItems(t);
  const routes = makeRoutes(pool);
  const app = new Hono().use(hono(pool, { eager: true }));
  app.all('/trpc/*', ({ req }) => fetchRequestHandler({ endpoint: '/trpc', req: req.raw, router: routes }));
  const client = createTRPCClient<Routes>({
    links: [
      httpLink({
        url: 'http://localhost/trpc',
        fetch: ((url: string, init: RequestInit) => app.request(url, init)) as never,
      }),
    ],
  });
  t.is(await client.held.query(), 1);
  await client.write.mutate('one');
  t.is(await client.read.query(), 1);
  await isIdle(t, pool);
});

test('an error formatter sees the error of the pool, and its calls give all back', async (t) => {
  const pool = await openItems(t, { max: 1, maxWaiting: 0 });
  const { router: makeRouter, procedure: plain } = initTRPC.create({
    errorFormatter: ({ shape, error }) => ({ ...shape, pool: (error.cause as { code?: string } | undefined)?.code }),
  });
  const routes = makeRouter({ wait: plain.use(trpc(pool, { eager: true })).query(() => 'never') });
  const { url } = await listening(t, createHTTPServer({ router: routes }));
  const client = createTRPCClient<typeof routes>({ links: [httpLink({ url })] });
  const db = await pool.acquire();
  t.like(await rejection(client.wait.query()), { shape: { pool: 'ERR_LEASEHOLD_QUEUE_FULL' } });
  db.close();
  t.is(await client.wait.query(), 'never');
  pool.assertIdle();
});
