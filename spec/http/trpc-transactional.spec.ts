import { createTRPCClient, httpBatchLink, httpLink } from '@trpc/client';
import { TRPCError } from '@trpc/server';
import test, { type ExecutionContext } from 'ava';
import Database from 'better-sqlite3';
import { type TrpcTransactionalOptions, transactional, trpc } from '../../lib/http/trpc.ts';
import { createPool, type SqlitePool } from '../../lib/index.ts';
import { temporaryFile } from '../support/files.ts';
import { gate } from '../support/gate.ts';
import { Enough, refusal } from '../support/items.ts';
import { eventually, insertHere, isIdle, labels, rejection } from './support-b.ts';
import { createCallerFactory, middleware, procedure, router, serveRouter } from './trpc-support.ts';

/** A pool, and a connection of somebody else's to the same file. */
async function openShared(t: ExecutionContext) {
  const file = temporaryFile(t);
  const pool = createPool(file, { acquireTimeout: 30_000 });
  t.teardown(() => pool.close({ timeout: 0 }));
  await pool.transaction((tx) => {
    tx.exec('CREATE TABLE item (name TEXT)');
    tx.exec('CREATE TABLE part (whole INTEGER REFERENCES whole (id) DEFERRABLE INITIALLY DEFERRED)');
    tx.exec('CREATE TABLE whole (id INTEGER PRIMARY KEY)');
  });
  const other = new Database(file);
  t.teardown(() => void other.close());
  return { pool, other, names: () => other.prepare('SELECT name FROM item ORDER BY rowid').pluck().all() };
}

const forms = ['resolver', 'middleware'] as const;

const never = (): never => {
  throw new Enough();
};

/** A procedure that runs this in a transaction of either form. */
function inTransaction<Result>(
  form: (typeof forms)[number],
  pool: SqlitePool,
  fn: () => Result,
  options: TrpcTransactionalOptions = {},
) {
  const scoped = procedure.use(trpc(pool));
  return form === 'resolver'
    ? scoped.mutation(transactional(pool, async () => fn(), options))
    : scoped.use(transactional(pool, options)).mutation(async () => fn());
}

for (const form of forms) {
  test(`${form}: what is written is committed when the client hears of it, and not before all is done`, async (t) => {
    const { pool, names } = await openShared(t);
    const [written, answer] = [gate(), gate()];
    const write = async () => {
      insertHere(pool, 'one');
      written.open();
      await answer.passed;
      insertHere(pool, 'two');
      return 'done';
    };
    const routes = router({ write: inTransaction(form, pool, write) });
    const { url } = await serveRouter(t, routes);
    const client = createTRPCClient<typeof routes>({ links: [httpLink({ url })] });
    const coming = client.write.mutate();
    await written.passed;
    t.deepEqual(names(), []);
    answer.open();
    t.is(await coming, 'done');
    t.deepEqual(names(), ['one', 'two']);
    pool.assertIdle();
  });

  test(`${form}: a commit that fails is an error of the call, and nothing is kept`, async (t) => {
    const { pool, names } = await openShared(t);
    const lose = () => {
      insertHere(pool, 'lost');
      pool.db.exec('INSERT INTO part VALUES (404)');
    };
    const routes = router({ lose: inTransaction(form, pool, lose) });
    const { url, errors } = await serveRouter(t, routes);
    const client = createTRPCClient<typeof routes>({ links: [httpLink({ url })] });
    t.like(await rejection(client.lose.mutate()), { data: { code: 'INTERNAL_SERVER_ERROR', httpStatus: 500 } });
    t.like(errors[0], { code: 'SQLITE_CONSTRAINT_FOREIGNKEY' });
    t.deepEqual(names(), []);
    pool.assertIdle();
  });

  test(`${form}: what a resolver that throws has written is undone, and its error is the call's`, async (t) => {
    const { pool, names } = await openShared(t);
    const errors = [new Enough('enough'), new TRPCError({ code: 'CONFLICT' })];
    for (const error of errors) {
      const fail = () => {
        insertHere(pool, 'undone');
        throw error;
      };
      const call = createCallerFactory(router({ fail: inTransaction(form, pool, fail) }))({});
      const told = await rejection(call.fail());
      t.is(told instanceof TRPCError && told.cause instanceof Enough ? told.cause : told, error);
      t.deepEqual(names(), []);
      pool.assertIdle();
    }
  });

  test(`${form}: transactions of a batch have their turns`, async (t) => {
    const { pool, names } = await openShared(t);
    const first = gate();
    const seen: unknown[] = [];
    const write = async () => {
      seen.push(pool.db.prepare('SELECT count(*) FROM item').pluck().get());
      insertHere(pool, 'one');
      if (seen.length === 1) await first.passed;
      insertHere(pool, 'two');
    };
    const routes = router({ write: inTransaction(form, pool, write) });
    const { url } = await serveRouter(t, routes);
    const client = createTRPCClient<typeof routes>({ links: [httpBatchLink({ url })] });
    const calls = Promise.all([client.write.mutate(), client.write.mutate()]);
    await eventually(() => pool.stats().laneWaiting === 1);
    t.deepEqual(seen, [0]);
    first.open();
    await calls;
    t.deepEqual(seen, [0, 2]);
    t.is(names().length, 4);
    pool.assertIdle();
  });

  test(`${form}: a transaction that does not get its turn in time is an error of the call, without the resolver`, async (t) => {
    const { pool } = await openShared(t);
    const routes = router({ write: inTransaction(form, pool, () => t.fail(), { timeout: 20 }) });
    const { url, errors } = await serveRouter(t, routes);
    const client = createTRPCClient<typeof routes>({ links: [httpLink({ url })] });
    const over = gate();
    const writing = pool.transaction(() => over.passed);
    t.like(await rejection(client.write.mutate()), { data: { code: 'INTERNAL_SERVER_ERROR' } });
    t.like(errors[0], refusal('WRITE_TIMEOUT'));
    over.open();
    await writing;
    await isIdle(t, pool);
  });

  test(`${form}: calls within a transaction are part of it, and what is undone of that is undone alone`, async (t) => {
    const { pool, names } = await openShared(t);
    const inner = createCallerFactory(
      router({
        fail: inTransaction(form, pool, () => {
          insertHere(pool, 'inner');
          throw new Enough();
        }),
        write: inTransaction(form, pool, () => insertHere(pool, 'second')),
      }),
    )({});
    const write = async () => {
      insertHere(pool, 'first');
      await rejection(inner.fail());
      await inner.write();
      t.deepEqual(names(), []);
      t.is(pool.stats().leased, 1);
    };
    await createCallerFactory(router({ write: inTransaction(form, pool, write) }))({}).write();
    t.deepEqual(names(), ['first', 'second']);
    pool.assertIdle();
  });

  test(`${form}: it is labelled by type and path, and has the mode and the label that are asked for`, async (t) => {
    const { pool, other } = await openShared(t);
    const begin = () => other.exec('BEGIN IMMEDIATE; ROLLBACK');
    other.pragma('busy_timeout = 0');
    const immediate = () => {
      t.deepEqual(labels(pool), ['mutation write.immediate']);
      t.throws(begin, { code: 'SQLITE_BUSY' });
    };
    const deferred = () => {
      t.deepEqual(labels(pool), ['mine']);
      t.notThrows(begin);
    };
    const write = router({
      immediate: inTransaction(form, pool, immediate),
      deferred: inTransaction(form, pool, deferred, { mode: 'deferred', label: 'mine' }),
    });
    const call = createCallerFactory(router({ write }))({});
    await call.write.immediate();
    await call.write.deferred();
    pool.assertIdle();
  });
}

test('an output that is refused rolls back what a middleware spans, and not what the resolver alone does', async (t) => {
  const { pool, names } = await openShared(t);
  const call = createCallerFactory(
    router({
      spanned: procedure
        .use(transactional(pool))
        .output(never)
        .mutation(() => insertHere(pool, 'undone') as never),
      alone: procedure.output(never).mutation(transactional(pool, () => insertHere(pool, 'kept') as never)),
    }),
  )({});
  t.true((await rejection(call.spanned())) instanceof TRPCError);
  t.deepEqual(names(), []);
  t.true((await rejection(call.alone())) instanceof TRPCError);
  t.deepEqual(names(), ['kept']);
});

test('an error that a middleware around the transaction makes a result of rolls it back, within it does not', async (t) => {
  const { pool, names } = await openShared(t);
  const rescue = middleware(async ({ next }) => {
    const result = await next();
    return result.ok ? result : { ...result, ok: true, data: 'rescued' };
  });
  const fail = (name: string) => () => {
    insertHere(pool, name);
    throw new Enough();
  };
  const call = createCallerFactory(
    router({
      around: procedure.use(rescue).use(transactional(pool)).mutation(fail('undone')),
      within: procedure.use(transactional(pool)).use(rescue).mutation(fail('kept')),
    }),
  )({});
  t.deepEqual<unknown, unknown>(await call.around(), 'rescued');
  t.deepEqual<unknown, unknown>(await call.within(), 'rescued');
  t.deepEqual(names(), ['kept']);
  pool.assertIdle();
});

test('what is no option, and what is no resolver, is refused when the router is made', async (t) => {
  const { pool } = await openShared(t);
  for (const options of [{ rollbackFrom: 400 }, { mode: 'quick' }, { signal: undefined }, { timeuot: 1 }]) {
    t.throws(() => transactional(pool, options as never), refusal('OPTIONS'));
    t.throws(() => transactional(pool, () => {}, options as never), refusal('OPTIONS'));
  }
  t.throws(() => transactional(pool, 'resolver' as never), refusal('OPTIONS'));
  t.throws(() => trpc(pool, { eagre: true } as never), refusal('OPTIONS'));
});

test('a call that was answered before its transaction was over does not commit after that', async (t) => {
  const { pool, names } = await openShared(t);
  const [begun, released] = [gate(), gate()];
  // A limit of time, say, that stands between the scope and the transaction.
  const limited = procedure.use(trpc(pool)).use(async ({ next }) => {
    const late = begun.passed.then((): never => {
      throw new TRPCError({ code: 'TIMEOUT' });
    });
    return Promise.race([next(), late]);
  });
  const routes = router({
    write: limited.use(transactional(pool)).mutation(async () => {
      insertHere(pool, 'late');
      begun.open();
      await released.passed;
    }),
  });
  const error = await t.throwsAsync(createCallerFactory(routes)({}).write());
  t.like(error, { code: 'TIMEOUT' });
  await isIdle(t, pool);
  released.open();
  await pool.transaction(() => {});
  t.deepEqual(names(), []);
});
