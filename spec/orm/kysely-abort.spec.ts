import test, { type ExecutionContext } from 'ava';
import { gate, settled } from '../support/gate.ts';
import { Enough } from '../support/items.ts';
import { add, isIdle, namesOf, openKysely } from '../support/kysely.ts';

// Kysely tells of failures behind an abort on the console. These tests want none.
const complaints: unknown[] = [];
const { error: original } = console;
test.before(() => {
  console.error = (...told: unknown[]) => void complaints.push(told);
});
test.after.always((t) => {
  console.error = original;
  t.deepEqual(complaints, []);
});

/** Holds the write lane until it is let go. */
async function holdLane({ pool }: Awaited<ReturnType<typeof openKysely>>): Promise<() => Promise<void>> {
  const [begun, end] = [gate(), gate()];
  const holding = pool.transaction(async () => {
    begun.open();
    await end.passed;
  });
  await begun.passed;
  return () => {
    end.open();
    return holding;
  };
}

const reason = new Enough();
const isReason = { is: reason };

async function hasLeft(t: ExecutionContext, items: Awaited<ReturnType<typeof openKysely>>): Promise<void> {
  // A turn for what goes on behind an abort.
  await settled();
  isIdle(t, items.pool);
}

test('a query whose signal is aborted already runs nothing', async (t) => {
  const items = await openKysely(t);
  const signal = AbortSignal.abort(reason);
  const { acquired } = items.pool.stats().counters;
  await t.throwsAsync(items.db.insertInto('item').values({ name: 'a' }).execute({ signal }), isReason);
  await t.throwsAsync(items.db.selectFrom('item').selectAll().stream({ signal }).next(), isReason);
  await t.throwsAsync(
    items.db.connection().execute(() => t.fail(), { signal }),
    isReason,
  );
  t.is(items.pool.stats().counters.acquired, acquired);
  await hasLeft(t, items);
});

for (const inflightQueryAbortStrategy of ['ignore query', 'cancel query'] as const) {
  test(`a write that waits for its turn is taken back by its signal: ${inflightQueryAbortStrategy}`, async (t) => {
    const items = await openKysely(t);
    const letGo = await holdLane(items);
    const controller = new AbortController();
    const { signal } = controller;
    const write = items.db.insertInto('item').values({ name: 'a' }).execute({ signal, inflightQueryAbortStrategy });
    while (items.pool.stats().laneWaiting === 0) await settled();
    controller.abort(reason);
    await t.throwsAsync(write, isReason);
    t.is(items.pool.stats().laneWaiting, 0);
    await letGo();
    t.is(await namesOf(items.db), '');
    await hasLeft(t, items);
  });
}

test('there is no session to kill, and Kysely says so', async (t) => {
  const items = await openKysely(t);
  const { signal } = new AbortController();
  const query = items.db.selectFrom('item').selectAll();
  await t.throwsAsync(query.execute({ signal, inflightQueryAbortStrategy: 'kill session' }), {
    message: /doesn't support .* "kill session"/,
  });
  await hasLeft(t, items);
});

test('a read that waits for a connection is taken back by its signal, as is a stream', async (t) => {
  const items = await openKysely(t, { max: 1 });
  const { pool, db } = items;
  await add(db, 'a');
  const held = await pool.acquire();
  const controller = new AbortController();
  const { signal } = controller;
  const query = db.selectFrom('item').selectAll();
  const waiting = [query.execute({ signal }), query.stream({ signal }).next()];
  while (pool.stats().waiting < 2) await settled();
  controller.abort(reason);
  for (const each of waiting) await t.throwsAsync(each as Promise<unknown>, isReason);
  held.close();
  await hasLeft(t, items);
  t.is(await namesOf(db), 'a');
});

test('a stream stops at its signal, in the loop and between two rows', async (t) => {
  const items = await openKysely(t);
  const { db } = items;
  await add(db, 'a', 'b', 'c');
  const places = [
    (run: () => Promise<void>) => run(),
    (run: () => Promise<void>) => items.pool.withConnection(run),
    (run: () => Promise<void>) => db.transaction().execute(run),
  ];
  for (const within of places) {
    await within(async () => {
      const controller = new AbortController();
      const { signal } = controller;
      const seen: string[] = [];
      const reading = async () => {
        for await (const { name } of db.selectFrom('item').selectAll().stream({ chunkSize: 1, signal })) {
          seen.push(name);
          controller.abort(reason);
        }
      };
      await t.throwsAsync(reading(), isReason);
      t.deepEqual(seen, ['a']);
      await add(db, 'd');
    });
    await hasLeft(t, items);
  }
});

test('a query that is aborted in a transaction does not end it', async (t) => {
  const items = await openKysely(t);
  const { db } = items;
  await db.transaction().execute(async (trx) => {
    await add(trx, 'a');
    const controller = new AbortController();
    const write = trx.insertInto('item').values({ name: 'b' }).execute({ signal: controller.signal });
    controller.abort(reason);
    await t.throwsAsync(write, isReason);
    await add(trx, 'c');
  });
  t.is((await namesOf(db)).replace(' b', ''), 'a c');
  await hasLeft(t, items);
});

test('a query of a scope that is aborted is told so, whatever signal it has itself', async (t) => {
  const items = await openKysely(t);
  const controller = new AbortController();
  await items.pool.withScope(
    async () => {
      controller.abort();
      const aborted = { name: 'AbortError', code: 'ABORT_ERR' };
      await t.throwsAsync(add(items.db, 'a'), aborted);
      const { signal } = new AbortController();
      await t.throwsAsync(items.db.insertInto('item').values({ name: 'a' }).execute({ signal }), aborted);
      await t.throwsAsync(items.db.selectFrom('item').selectAll().stream({ signal }).next(), aborted);
    },
    { signal: controller.signal },
  );
  t.is(await namesOf(items.db), '');
  await hasLeft(t, items);
});
