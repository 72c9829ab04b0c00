import { Router, type RouterContext } from '@koa/router';
import { createTRPCClient, httpBatchLink } from '@trpc/client';
import { initTRPC, tracked } from '@trpc/server';
import test from 'ava';
import { expectTypeOf } from 'expect-type';
import { Hono } from 'hono';
import { hc } from 'hono/client';
import { validator } from 'hono/validator';
import Koa from 'koa';
import { hono, transactional as transactionalHono } from '../../lib/http/hono.ts';
import { koa, transactional as transactionalKoa } from '../../lib/http/koa.ts';
import { transactional as transactionalTrpc, trpc } from '../../lib/http/trpc.ts';
import { createPool } from '../../lib/index.ts';

// What these say is said to the compiler.

const pool = createPool(':memory:');

interface State {
  readonly user: string;
}

test('a Koa application keeps its types with a scope, and a handler after a transaction has those of its route', async (t) => {
  const app = new Koa<State>();
  const scoped = app.use(koa(pool, { label: ({ method }) => method }));
  expectTypeOf(scoped).toEqualTypeOf<Koa<State>>();
  app.use(transactionalKoa(pool));
  const router = new Router<State>();
  router.post('/orders/:id', transactionalKoa(pool), async (context) => {
    expectTypeOf(context.params['id']).toEqualTypeOf<string | undefined>();
    expectTypeOf(context.state.user).toEqualTypeOf<string>();
    context.body = context.request.method;
  });
  const typed = transactionalKoa(pool, async (context: RouterContext<State>) => {
    context.body = context.params['id'];
  });
  expectTypeOf(typed).parameter(0).toEqualTypeOf<RouterContext<State>>();
  router.post('/orders/:id/lines', typed);
  router.post(
    '/lines',
    transactionalKoa(pool, async (context) => {
      context.body = context.params.id;
    }),
  );
  app.use(async (context, next) => {
    expectTypeOf(context.state.user).toEqualTypeOf<string>();
    await next();
  });
  app.use(router.routes());
  t.pass();
});

interface Env {
  Variables: { user: string };
}

test('a Hono application keeps its types with a scope, and so does its client', async (t) => {
  const app = new Hono<Env>()
    .use(hono(pool, { label: ({ req }) => req.path }))
    .get('/orders/:id', (context) => {
      expectTypeOf(context.req.param('id')).toEqualTypeOf<string>();
      expectTypeOf(context.get('user')).toEqualTypeOf<string>();
      return context.json({ id: 7 });
    })
    .post(
      '/orders/:customer',
      validator('json', () => ({ quantity: 3 })),
      transactionalHono(pool),
      async (context) => {
        expectTypeOf(context.req.param('customer')).toEqualTypeOf<string>();
        expectTypeOf(context.req.valid('json')).toEqualTypeOf<{ quantity: number }>();
        expectTypeOf(context.get('user')).toEqualTypeOf<string>();
        if (context.req.valid('json').quantity > 9) return context.json({ error: 'too many' }, 400);
        return context.json({ placed: 'yes' as const }, 201);
      },
    )
    .put(
      '/orders/:id',
      transactionalHono(pool, async (context) => {
        expectTypeOf(context.get('user')).toEqualTypeOf<string>();
        expectTypeOf(context.req.param('id')).toEqualTypeOf<string | undefined>();
        return context.json({ changed: 1 });
      }),
    );
  const client = hc<typeof app>('http://localhost');
  expectTypeOf(client.orders[':id'].$get).parameter(0).toExtend<{ param: { id: string } }>();
  type Placed = Awaited<ReturnType<(typeof client.orders)[':customer']['$post']>>;
  expectTypeOf<Placed['status']>().toEqualTypeOf<201 | 400>();
  type Body = Awaited<ReturnType<Placed['json']>>;
  expectTypeOf<Body>().toEqualTypeOf<{ error: string } | { placed: 'yes' }>();
  type Changed = Awaited<ReturnType<(typeof client.orders)[':id']['$put']>>;
  expectTypeOf<Awaited<ReturnType<Changed['json']>>>().toEqualTypeOf<{ changed: number }>();
  new Hono<Env>().use(transactionalHono(pool)).use('/admin/*', hono(pool, { eager: true }));
  t.pass();
});

const text = (value: unknown): string => String(value);

test('a tRPC procedure keeps its context, input and output with a scope, and in a transaction of either form', (t) => {
  const { procedure, router, middleware } = initTRPC.context<{ user: string }>().create();
  const named = procedure.use(({ next }) => next({ ctx: { role: 'admin' as const } }));
  const scoped = named.use(trpc(pool, { label: ({ path }) => path }));
  middleware(trpc(pool));
  const routes = router({
    read: scoped.input(text).query(({ ctx, input }) => {
      expectTypeOf(ctx).toEqualTypeOf<{ user: string; role: 'admin' }>();
      return { read: input.length };
    }),
    write: scoped.input(text).mutation(
      transactionalTrpc(pool, async ({ ctx, input, path, signal }) => {
        expectTypeOf(ctx).toEqualTypeOf<{ user: string; role: 'admin' }>();
        expectTypeOf(input).toEqualTypeOf<string>();
        expectTypeOf(path).toEqualTypeOf<string>();
        expectTypeOf(signal).toEqualTypeOf<AbortSignal | undefined>();
        return { written: input };
      }),
    ),
    spanned: scoped
      .use(transactionalTrpc(pool, { mode: 'deferred' }))
      .input(text)
      .mutation(({ ctx, input }) => {
        expectTypeOf(ctx).toEqualTypeOf<{ user: string; role: 'admin' }>();
        return { spanned: input };
      }),
    follow: scoped.input(text).subscription(async function* follow({ input }) {
      yield tracked('1', { followed: input });
    }),
  });
  const client = createTRPCClient<typeof routes>({ links: [httpBatchLink({ url: 'http://localhost' })] });
  expectTypeOf(client.read.query).returns.resolves.toEqualTypeOf<{ read: number }>();
  expectTypeOf(client.write.mutate).parameter(0).toEqualTypeOf<string>();
  expectTypeOf(client.write.mutate).returns.resolves.toEqualTypeOf<{ written: string }>();
  expectTypeOf(client.spanned.mutate).returns.resolves.toEqualTypeOf<{ spanned: string }>();
  t.pass();
});

test('what is no option is refused by the types too', (t) => {
  // @ts-expect-error
  t.throws(() => koa(pool, { eagre: true }));
  // @ts-expect-error
  t.throws(() => hono(pool, { label: 7 }));
  // @ts-expect-error
  t.throws(() => transactionalTrpc(pool, { rollbackFrom: 400 }));
  // @ts-expect-error
  t.throws(() => transactionalKoa(pool, undefined, { mode: 'quick' }));
});
