import { createTRPCClient, httpBatchLink, httpBatchStreamLink } from '@trpc/client';
import { tracked } from '@trpc/server';
import test from 'ava';
import { transactional, trpc } from '../../lib/http/trpc.ts';
import { gate } from '../support/gate.ts';
import { collected } from '../support/gc.ts';
import { Enough, namesIn, openItems, refusal } from '../support/items.ts';
import { held, insertHere, isIdle, rawRequest, rejection } from './support-b.ts';
import { createCallerFactory, gather, procedure, router, serveRouter } from './trpc-support.ts';

test('a subscription reads each of its events by its connection, which it gives back at its end', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const { acquired } = pool.stats().counters;
  const routes = router({
    count: procedure.use(trpc(pool)).subscription(async function* count() {
      await pool.connection();
      for (let id = 1; id <= 100; id++) {
        yield tracked(String(id), { n: pool.db.prepare('SELECT ?').pluck().get(id) as number });
      }
    }),
  });
  const { url } = await serveRouter(t, routes);
  const sent = await (await fetch(`${url}/count`)).text();
  t.is(sent.match(/^data: \{"n":\d+\}\nid: \d+$/gm)?.length, 100);
  await isIdle(t, pool);
  t.is(pool.stats().counters.acquired, acquired + 1);
});

test('a subscription costs no connection until it asks for one, also where calls are eager', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const { acquired } = pool.stats().counters;
  const routes = router({
    wait: procedure.use(trpc(pool, { eager: true })).subscription(async function* wait() {
      yield held(pool).length;
      yield (await pool.get<{ n: number }>('SELECT 7 AS n'))?.n;
      yield held(pool).length;
    }),
  });
  const { url } = await serveRouter(t, routes);
  const sent = await (await fetch(`${url}/wait`)).text();
  t.deepEqual(sent.match(/^data: \d+$/gm) as unknown, ['data: 0', 'data: 7', 'data: 0']);
  await isIdle(t, pool);
  t.is(pool.stats().counters.acquired, acquired + 1);
});

test('a subscription that its client leaves is over, also while it waits for something that never comes', async (t) => {
  for (const hangs of [true, false]) {
    const pool = await openItems(t, { max: 1 });
    const [begun, never, ended] = [gate(), gate(), gate()];
    const routes = router({
      follow: procedure.use(trpc(pool)).subscription(async function* follow() {
        try {
          await pool.connection();
          for (;;) {
            yield pool.db.prepare("SELECT printf('%.*c', 65536, 'x')").pluck().get();
            begun.open();
            if (hangs) await never.passed;
          }
        } finally {
          ended.open();
        }
      }),
    });
    const site = await serveRouter(t, routes);
    const client = await rawRequest(t, site, 'GET', '/follow');
    await client.read(/200 OK[\s\S]*xxxx/);
    await begun.passed;
    t.is(held(pool).length, 1);
    client.abort();
    await isIdle(t, pool);
    never.open();
    await ended.passed;
    t.is(pool.stats().counters.dirty, 0);
  }
});

test('a subscription that fails in the middle gives its connection back', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const routes = router({
    fail: procedure.use(trpc(pool)).subscription(async function* fail() {
      await pool.connection();
      yield 1;
      throw new Enough('had enough');
    }),
  });
  const { url, errors } = await serveRouter(t, routes);
  const sent = await (await fetch(`${url}/fail`)).text();
  t.regex(sent, /event: serialized-error/);
  t.true(errors[0] instanceof Enough);
  await isIdle(t, pool);
});

test('an iterable in a stream of a batch reads by its own connection, beside a call that has its result', async (t) => {
  const pool = await openItems(t);
  const rest = gate();
  const scoped = procedure.use(trpc(pool));
  const routes = router({
    rows: scoped.query(async function* rows() {
      await pool.connection();
      pool.db.exec("CREATE TEMP TABLE mine AS SELECT 'mine' AS name");
      for (let count = 0; count < 50; count++) {
        yield pool.db.prepare('SELECT name FROM temp.mine').pluck().get();
        if (count === 0) await rest.passed;
      }
    }),
    one: scoped.query(async () => {
      await pool.connection();
      return held(pool).length;
    }),
  });
  const { url } = await serveRouter(t, routes);
  const client = createTRPCClient<typeof routes>({ links: [httpBatchStreamLink({ url })] });
  const [rows, one] = await Promise.all([client.rows.query(), client.one.query()]);
  t.true(one >= 1);
  const told: unknown[] = [];
  for await (const row of rows) {
    // That of the other call is back, although the response has not ended.
    if (told.length === 0) t.true(held(pool).length <= 1);
    rest.open();
    told.push(row);
  }
  t.deepEqual(
    told,
    Array.from({ length: 50 }, () => 'mine'),
  );
  await isIdle(t, pool);
});

test('an iterable that its reader leaves early gives the connection back', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const ended = gate();
  const routes = router({
    rows: procedure.use(trpc(pool, { eager: true })).query(async function* rows() {
      try {
        for (;;) yield pool.db.prepare('SELECT 7').pluck().get();
      } finally {
        // What it does on leaving is still part of it.
        t.is(pool.db.prepare('SELECT 8').pluck().get(), 8);
        ended.open();
      }
    }),
  });
  const call = createCallerFactory(routes)({});
  for await (const row of await call.rows()) {
    t.is(row, 7);
    t.is(held(pool).length, 1);
    break;
  }
  await ended.passed;
  pool.assertIdle();
  const thrown = await call.rows();
  await thrown.next();
  await t.throwsAsync(thrown.throw(new Enough()), { instanceOf: Enough });
  pool.assertIdle();
});

function iterable(next: () => Promise<IteratorResult<unknown>>): AsyncIterable<unknown> {
  return { [Symbol.asyncIterator]: () => ({ next }) };
}

test('an iterable that is no generator is followed too, and fails as it would', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const scoped = procedure.use(trpc(pool, { eager: true }));
  const routes = router({
    plain: scoped.query(() => {
      let left = 2;
      return iterable(async () => ({ done: left-- === 0, value: pool.db.prepare('SELECT 7').pluck().get() }));
    }),
    broken: scoped.query(() => iterable(() => Promise.reject(new Enough()))),
    none: scoped.query(() => ({
      [Symbol.asyncIterator]: () => {
        throw new Enough();
      },
    })),
  });
  const call = createCallerFactory(routes)({});
  t.deepEqual(await gather(await call.plain()), [7, 7]);
  pool.assertIdle();
  const left = (await call.plain())[Symbol.asyncIterator]();
  await left.next();
  await left.return?.();
  pool.assertIdle();
  await t.throwsAsync(gather(await call.broken()), { instanceOf: Enough });
  pool.assertIdle();
  t.true((await rejection(call.none())).cause instanceof Enough);
  pool.assertIdle();
});

test('an iterable that nobody begins to read, as where a client cannot, gives its connection back when it is dropped', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const routes = router({
    rows: procedure.use(trpc(pool, { eager: true })).query(async function* rows() {
      yield pool.db.prepare('SELECT 7').pluck().get();
    }),
  });
  const { url } = await serveRouter(t, routes);
  const client = createTRPCClient<typeof routes>({ links: [httpBatchLink({ url })] });
  t.like(await rejection(client.rows.query()), { data: { code: 'UNSUPPORTED_MEDIA_TYPE' } });
  t.true(await collected(() => pool.stats().leased === 0));
  await isIdle(t, pool);
});

test('what an iterable reads is no part of the transaction that has made it', async (t) => {
  const pool = await openItems(t);
  const routes = router({
    rows: procedure.use(trpc(pool)).mutation(
      transactional(pool, async function* rows() {
        t.is(pool.stats().laneHeld, 0);
        t.throws(() => insertHere(pool, 'never'), refusal('NO_CONNECTION'));
        yield* await pool.all<{ name: string }>('SELECT name FROM item');
      }),
    ),
    written: procedure
      .use(trpc(pool))
      .use(transactional(pool))
      .mutation(() => {
        insertHere(pool, 'kept');
        const names = async function* names() {
          yield* await pool.all<{ name: string }>('SELECT name FROM item');
        };
        return names();
      }),
  });
  const call = createCallerFactory(routes)({});
  t.deepEqual(await gather(await call.written()), [{ name: 'kept' }]);
  t.deepEqual(await gather(await call.rows()), [{ name: 'kept' }]);
  t.deepEqual(await namesIn(pool), ['kept']);
  pool.assertIdle();
});
