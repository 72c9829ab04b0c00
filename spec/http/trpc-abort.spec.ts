import { createTRPCClient, httpBatchLink } from '@trpc/client';
import test from 'ava';
import { transactional, trpc } from '../../lib/http/trpc.ts';
import { gate } from '../support/gate.ts';
import { namesIn, openItems, refusal } from '../support/items.ts';
import { eventually, held, insertHere, isIdle, rawClient, rawRequest, rejection } from './support-b.ts';
import { createCallerFactory, procedure, router, serveRouter, text } from './trpc-support.ts';

const aborted = { name: 'AbortError', code: 'ABORT_ERR' } as const;

for (const eager of [false, true]) {
  test(`a client that goes away while its call waits for a connection${eager ? ' before the resolver' : ''} no longer waits`, async (t) => {
    const pool = await openItems(t, { max: 1 });
    let calls = 0;
    const routes = router({
      wait: procedure.use(trpc(pool, { eager })).query(async () => {
        calls++;
        await pool.connection();
      }),
    });
    const site = await serveRouter(t, routes);
    const db = await pool.acquire();
    const client = await rawRequest(t, site, 'GET', '/wait');
    await eventually(() => pool.stats().waiting === 1);
    client.abort();
    await eventually(() => site.errors.length === 1);
    t.is(pool.stats().waiting, 0);
    t.like(site.errors[0], aborted);
    t.is(calls, eager ? 0 : 1);
    db.close();
    await isIdle(t, pool);
  });
}

test('a resolver that goes on when its client is gone has no connection any more', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const [begun, gone] = [gate(), gate()];
  const refused = gate<unknown[]>();
  const routes = router({
    hang: procedure.use(trpc(pool)).query(async ({ signal }) => {
      const db = await pool.connection();
      begun.open();
      await gone.passed;
      t.true(signal?.aborted);
      refused.open([
        t.throws(() => db.prepare('SELECT 1').get()),
        t.throws(() => pool.db.prepare('SELECT 1').get()),
        await rejection(pool.connection()),
      ]);
    }),
  });
  const site = await serveRouter(t, routes);
  const client = await rawRequest(t, site, 'GET', '/hang');
  await begun.passed;
  client.abort();
  // While the resolver hangs.
  await isIdle(t, pool);
  gone.open();
  t.is((await refused.passed).filter(Boolean).length, 3);
  await isIdle(t, pool);
});

test('a client that goes away in the middle of what it sends leaves nothing behind', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const routes = router({
    send: procedure
      .use(trpc(pool, { eager: true }))
      .input(text)
      .mutation(() => t.fail()),
  });
  const site = await serveRouter(t, routes);
  const client = await rawClient(t, site);
  client.send(
    'POST /send HTTP/1.1\r\nHost: localhost\r\ncontent-type: application/json\r\nContent-Length: 99\r\n\r\n"h',
  );
  // The scope is opened before the input is read.
  await eventually(() => held(pool).length === 1);
  client.abort();
  await isIdle(t, pool);
});

for (const form of ['resolver', 'middleware'] as const) {
  test(`the transaction of a client that is gone is undone at once, as a ${form}, while its resolver hangs`, async (t) => {
    const pool = await openItems(t);
    const [begun, gone] = [gate(), gate()];
    const late = gate<unknown>();
    const hang = async () => {
      insertHere(pool, 'undone');
      begun.open();
      await gone.passed;
      late.open(t.throws(() => insertHere(pool, 'late')));
    };
    const routes = router({
      write:
        form === 'resolver'
          ? procedure.mutation(transactional(pool, hang))
          : procedure.use(transactional(pool)).mutation(hang),
    });
    const site = await serveRouter(t, routes);
    const client = await rawRequest(t, site, 'POST', '/write');
    await begun.passed;
    t.is(pool.stats().laneHeld, 1);
    client.abort();
    await pool.run("INSERT INTO item VALUES ('next')");
    await isIdle(t, pool);
    await eventually(() => site.errors.length === 1);
    t.like(site.errors[0], aborted);
    gone.open();
    t.truthy(await late.passed);
    t.deepEqual(await namesIn(pool), ['next']);
    t.is(pool.stats().counters.dirty, 0);
  });
}

test('a transaction that waits for its turn to write no longer does so when its client is gone', async (t) => {
  const pool = await openItems(t);
  const routes = router({ write: procedure.use(trpc(pool)).mutation(transactional(pool, () => t.fail())) });
  const site = await serveRouter(t, routes);
  const over = gate();
  const writing = pool.transaction(() => over.passed);
  const client = await rawRequest(t, site, 'POST', '/write');
  await eventually(() => pool.stats().laneWaiting === 1);
  client.abort();
  await eventually(() => pool.stats().laneWaiting === 0);
  t.is(pool.stats().laneHeld, 1);
  over.open();
  await writing;
  await isIdle(t, pool);
});

test('calls of a batch whose client is gone are all over', async (t) => {
  const pool = await openItems(t);
  const [begun, over] = [gate(), gate()];
  let count = 0;
  const routes = router({
    hang: procedure.use(trpc(pool, { eager: true })).query(async () => {
      if (++count === 3) begun.open();
      await over.passed;
    }),
  });
  const { url } = await serveRouter(t, routes);
  const client = createTRPCClient<typeof routes>({ links: [httpBatchLink({ url })] });
  const leaving = new AbortController();
  const { signal } = leaving;
  const calls = [1, 2, 3].map(() => rejection(client.hang.query(undefined, { signal })));
  await begun.passed;
  t.is(held(pool).length, 3);
  leaving.abort();
  await isIdle(t, pool);
  over.open();
  for (const call of calls) t.truthy(await call);
});

test('a call on the server ends by its signal, and one that is aborted before never begins', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const [begun, over] = [gate(), gate()];
  const reason = new Error('no longer wanted');
  const routes = router({
    hang: procedure.use(trpc(pool, { eager: true })).query(async () => {
      begun.open();
      await over.passed;
      pool.db.prepare('SELECT 1').get();
    }),
  });
  const leaving = new AbortController();
  const call = createCallerFactory(routes)({}, { signal: leaving.signal });
  const error = rejection(call.hang());
  await begun.passed;
  leaving.abort(reason);
  await isIdle(t, pool);
  over.open();
  t.like((await error).cause, refusal('SCOPE_ENDED'));
  t.like((await rejection(call.hang())).cause, aborted);
  t.is(((await rejection(call.hang())).cause as Error).cause, reason);
  await isIdle(t, pool);
});
