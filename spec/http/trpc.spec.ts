import { createTRPCClient, httpBatchLink, httpLink, TRPCClientError } from '@trpc/client';
import { lazy, TRPCError } from '@trpc/server';
import test from 'ava';
import { trpc } from '../../lib/http/trpc.ts';
import { gate } from '../support/gate.ts';
import { Enough, namesIn, openItems, refusal } from '../support/items.ts';
import { held, insertHere, isIdle, labels, rejection } from './support-b.ts';
import { createCallerFactory, middleware, procedure, router, serveRouter, text } from './trpc-support.ts';

test('the calls of a batch have a scope and a connection each, and give them back', async (t) => {
  const pool = await openItems(t);
  const both = gate();
  let count = 0;
  const scoped = procedure.use(trpc(pool));
  const routes = router({
    one: scoped.input(text).query(async ({ input }) => {
      const db = await pool.connection();
      if (++count === 3) both.open();
      await both.passed;
      t.is(pool.current, db);
      return { input, held: held(pool).length };
    }),
  });
  const { url } = await serveRouter(t, routes);
  const client = createTRPCClient<typeof routes>({ links: [httpBatchLink({ url })] });
  const answers = await Promise.all(['a', 'b', 'c'].map((input) => client.one.query(input)));
  t.deepEqual(
    answers.map((answer) => [answer.input, answer.held]),
    [
      ['a', 3],
      ['b', 3],
      ['c', 3],
    ],
  );
  // When the result is there, the scope is over: nothing is waited for.
  pool.assertIdle();
});

test('a call that asks for nothing costs no connection, and an eager one has one before its resolver', async (t) => {
  const pool = await openItems(t);
  const { acquired } = pool.stats().counters;
  const call = createCallerFactory(
    router({
      lazy: procedure.use(trpc(pool)).query(() => {
        t.throws(() => pool.db.prepare('SELECT 1').get(), refusal('NO_CONNECTION'));
        return 'none';
      }),
      eager: procedure.use(trpc(pool, { eager: true })).query(() => pool.db.prepare('SELECT 1').pluck().get()),
    }),
  )({});
  t.is(await call.lazy(), 'none');
  t.is(pool.stats().counters.acquired, acquired);
  t.is(await call.eager(), 1);
  pool.assertIdle();
  t.is(pool.stats().counters.acquired, acquired + 1);
});

test('resolvers, and middlewares before and after them, find the connection', async (t) => {
  const pool = await openItems(t);
  const around: unknown[] = [];
  const look = middleware(async ({ next }) => {
    around.push(await pool.connection());
    const result = await next();
    around.push(pool.current);
    return result;
  });
  const call = createCallerFactory(
    router({
      write: procedure
        .use(trpc(pool))
        .use(look)
        .input(text)
        .mutation(async ({ input }) => {
          around.push(pool.current);
          await pool.transaction(() => insertHere(pool, input));
          return pool.get('SELECT name FROM item');
        }),
    }),
  )({});
  t.deepEqual(await call.write('sent'), { name: 'sent' });
  t.is(around.length, 3);
  t.is(new Set(around).size, 1);
  pool.assertIdle();
});

test('registered twice it costs no second connection', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const twice = procedure
    .use(trpc(pool))
    .use(trpc(pool, { eager: true }))
    .use(trpc(pool, { eager: true }));
  const call = createCallerFactory(router({ held: twice.query(() => held(pool).length) }))({});
  t.is(await call.held(), 1);
  pool.assertIdle();
});

test('two pools have a scope each for the same call', async (t) => {
  const [one, two] = [await openItems(t), await openItems(t)];
  const both = procedure.use(trpc(one, { eager: true })).use(trpc(two, { eager: true }));
  const call = createCallerFactory(
    router({
      write: both.mutation(() => {
        insertHere(one, 'one');
        insertHere(two, 'two');
        return [held(one).length, held(two).length];
      }),
    }),
  )({});
  t.deepEqual(await call.write(), [1, 1]);
  one.assertIdle();
  two.assertIdle();
  t.deepEqual([await namesIn(one), await namesIn(two)], [['one'], ['two']]);
});

test('a call within a connection or a transaction is part of it', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const scoped = procedure.use(trpc(pool, { eager: true }));
  const inner = router({
    write: scoped.input(text).mutation(({ input }) => {
      insertHere(pool, input);
      return pool.db.inTransaction;
    }),
  });
  const callInner = createCallerFactory(inner)({});
  const callOuter = createCallerFactory(
    router({ nested: scoped.mutation(async () => [await callInner.write('nested'), held(pool).length]) }),
  )({});
  await t.throwsAsync(
    pool.transaction(async () => {
      t.true(await callInner.write('undone'));
      throw new Enough();
    }),
    { instanceOf: Enough },
  );
  t.deepEqual(await callOuter.nested(), [false, 1]);
  await pool.withConnection(async (db) => {
    await callInner.write('within');
    t.is(pool.current, db);
  });
  t.deepEqual(await namesIn(pool), ['nested', 'within']);
  pool.assertIdle();
});

const throwing = () => {
  throw new Error('no label');
};

test('the label is the type and the path, in routers within routers too, and may be another', async (t) => {
  const pool = await openItems(t);
  const tell = async () => {
    await pool.connection();
    return labels(pool).join();
  };
  const scoped = procedure.use(trpc(pool));
  const inner = router({ list: scoped.query(tell), add: scoped.mutation(tell) });
  const call = createCallerFactory(
    router({
      orders: inner,
      late: lazy(async () => ({ routes: inner })),
      text: procedure.use(trpc(pool, { label: 'shop' })).query(tell),
      made: procedure.use(trpc(pool, { label: ({ type, path }) => `${path} (${type})` })).query(tell),
      failing: procedure.use(trpc(pool, { label: throwing })).query(tell),
    }),
  )({});
  t.is(await call.orders.list(), 'query orders.list');
  t.is(await call.orders.add(), 'mutation orders.add');
  t.is(await call.late.list(), 'query late.list');
  t.is(await call.text(), 'shop');
  t.is(await call.made(), 'made (query)');
  t.is(await call.failing(), '');
  pool.assertIdle();
});

const failing: readonly [what: string, fail: () => never, code: string][] = [
  [
    'a TRPCError',
    () => {
      throw new TRPCError({ code: 'CONFLICT', message: 'taken' });
    },
    'CONFLICT',
  ],
  ['an error', () => JSON.parse('{') as never, 'INTERNAL_SERVER_ERROR'],
  [
    'what is no error',
    () => {
      // oxlint-disable-next-line typescript/only-throw-error
      throw 'wrong';
    },
    'INTERNAL_SERVER_ERROR',
  ],
];

for (const [what, fail, code] of failing) {
  for (const where of ['resolver', 'middleware'] as const) {
    test(`a ${where} that fails with ${what} gives the connection back, and what it left open is undone`, async (t) => {
      const pool = await openItems(t);
      const leave = () => {
        pool.db.exec('BEGIN IMMEDIATE');
        insertHere(pool, 'left open');
        return fail();
      };
      const scoped = procedure.use(trpc(pool, { eager: true }));
      const routes = router({
        fail: where === 'resolver' ? scoped.query(leave) : scoped.use(middleware(leave)).query(() => 'never'),
      });
      const { url } = await serveRouter(t, routes);
      const client = createTRPCClient<typeof routes>({ links: [httpLink({ url })] });
      const error = await rejection(client.fail.query());
      t.true(error instanceof TRPCClientError);
      t.like(error, { data: { code } });
      pool.assertIdle();
      t.deepEqual(await namesIn(pool), []);
      t.is(pool.stats().counters.dirty, 1);
    });
  }
}

test('input and output that are refused, and what is not found, give the connection back', async (t) => {
  const pool = await openItems(t);
  const scoped = procedure.use(trpc(pool, { eager: true }));
  const routes = router({
    input: scoped.input(text).query(() => t.fail()),
    output: scoped.output(text).query(() => 7 as never),
  });
  const { url, errors } = await serveRouter(t, routes);
  const client = createTRPCClient<typeof routes>({ links: [httpBatchLink({ url })] });
  const refused = await Promise.all([
    rejection(client.input.query(7 as never)),
    rejection(client.output.query()),
    rejection((client as unknown as { nothing: { query(): Promise<void> } }).nothing.query()),
  ]);
  t.deepEqual(
    refused.map((error) => (error as Error & { data: { code: string } }).data.code),
    ['BAD_REQUEST', 'INTERNAL_SERVER_ERROR', 'NOT_FOUND'],
  );
  t.is(errors.length, 3);
  pool.assertIdle();
});

test('a call that gets no connection is answered with the error of the pool', async (t) => {
  const pool = await openItems(t, { max: 1, maxWaiting: 0 });
  const routes = router({ eager: procedure.use(trpc(pool, { eager: true })).query(() => t.fail()) });
  const { url, errors } = await serveRouter(t, routes);
  const client = createTRPCClient<typeof routes>({ links: [httpLink({ url })] });
  const db = await pool.acquire();
  t.like(await rejection(client.eager.query()), { data: { code: 'INTERNAL_SERVER_ERROR' } });
  t.like(errors[0], refusal('QUEUE_FULL'));
  db.close();
  await isIdle(t, pool);
});

test('work that outlives its call is refused', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const answered = gate();
  const leftOver = gate<Promise<Error>>();
  const call = createCallerFactory(
    router({
      early: procedure.use(trpc(pool, { eager: true })).query(() => {
        leftOver.open(rejection(answered.passed.then(() => pool.db.prepare('SELECT 1').get())));
        return 'early';
      }),
    }),
  )({});
  t.is(await call.early(), 'early');
  pool.assertIdle();
  answered.open();
  t.like(await leftOver.passed, refusal('SCOPE_ENDED'));
});
