import { AsyncLocalStorage } from 'node:async_hooks';
import test from 'ava';
import type { AcquireMessage } from '../lib/index.ts';
import { type Told, watchChannel, watchTracing } from './support/channels.ts';
import { attempt, fakePool } from './support/driver.ts';
import { gate, settled } from './support/gate.ts';

const acquires = 'leasehold:acquire';

test.serial('an acquire is told from its call to its lease, in one message that grows', async (t) => {
  const { pool } = fakePool(t);
  const { told, messages } = watchTracing<AcquireMessage>(t, acquires, pool);
  const asked = { pool: 'fake', poolId: pool.id, label: 'GET /a', scope: undefined };
  const granted = { ...asked, waited: 0, lease: 1, connection: 1 };
  const acquiring = pool.acquire({ label: 'GET /a' });
  t.deepEqual(told, [
    { step: 'start', ...asked },
    { step: 'end', ...asked },
  ]);
  const handle = await acquiring;
  t.deepEqual(told.slice(2), [
    { step: 'asyncStart', ...granted, result: undefined },
    { step: 'asyncEnd', ...granted, result: undefined },
  ]);
  t.is(messages.size, 1);
  t.is(handle.use(), 1, 'the caller gets a handle, as ever');
  await handle.release();
  t.is(told.length, 4, 'a release is no step of it');
});

test.serial('an acquire that waits tells for how long, and in which scope it was asked', async (t) => {
  const { pool, clock } = fakePool(t, { max: 1 });
  const { told } = watchTracing<AcquireMessage>(t, acquires, pool);
  const holder = await pool.acquire();
  const open = gate();
  const running = pool.withScope(async () => {
    await pool.connection();
    await open.passed;
  });
  await clock.pass(25);
  void holder.release();
  open.open();
  await running;
  t.deepEqual(
    told.slice(4).map(({ step, scope, waited, lease, connection }) => [step, scope, waited, lease, connection]),
    [
      ['start', 1, undefined, undefined, undefined],
      ['end', 1, undefined, undefined, undefined],
      ['asyncStart', 1, 25, 2, 1],
      ['asyncEnd', 1, 25, 2, 1],
    ],
  );
});

test.serial('every way to a lease is traced, but that which waits for nothing and nobody', async (t) => {
  const { pool } = fakePool(t);
  const { told } = watchTracing<AcquireMessage>(t, acquires, pool);
  const starts = () => told.filter(({ step }) => step === 'start').length;
  await pool.withConnection(() => pool.withConnection(() => {}));
  t.is(starts(), 1, 'the inner one shares the connection');
  await pool.withConnection(() => pool.withConnection(() => {}, { fresh: true }));
  t.is(starts(), 3);
  await pool.withScope(() => pool.connection());
  t.is(starts(), 4);
  await (await pool.acquire()).release();
  t.is(starts(), 5);
  await pool.tryAcquire()?.release();
  t.is(starts(), 5);
  await pool.withScope(() => {});
  t.is(starts(), 5);
});

/** What a failed acquire is told as: that it began, and how it failed. */
function failureOf(told: readonly Told<AcquireMessage>[]): unknown[] {
  return told.map(({ step, error, lease }) => [step, (error as { code?: string } | undefined)?.code, lease]);
}

const failed = (code: string): unknown[] => [
  ['start', undefined, undefined],
  ['end', undefined, undefined],
  ['error', code, undefined],
  ['asyncStart', code, undefined],
  ['asyncEnd', code, undefined],
];

test.serial('an acquire that fails is told with its error, however it fails', async (t) => {
  const { pool, clock, driver } = fakePool(t, { max: 1, maxWaiting: 1 });
  const holder = await pool.acquire();
  const { told } = watchTracing<AcquireMessage>(t, acquires, pool);
  const next = () => told.splice(0);

  const late = t.throwsAsync(pool.acquire({ timeout: 10 }));
  await clock.pass(10);
  const error = await late;
  t.is(told[2]?.error, error);
  t.deepEqual(failureOf(next()), failed('ERR_LEASEHOLD_ACQUIRE_TIMEOUT'));

  const controller = new AbortController();
  const aborted = attempt(pool.acquire({ signal: controller.signal }));
  next();
  await t.throwsAsync(pool.acquire(), { code: 'ERR_LEASEHOLD_QUEUE_FULL' });
  t.deepEqual(failureOf(next()), failed('ERR_LEASEHOLD_QUEUE_FULL'));
  controller.abort();
  await settled();
  t.is(aborted.state, 'refused');
  t.deepEqual(failureOf(next()), failed('ABORT_ERR').slice(2));
  await t.throwsAsync(pool.acquire({ signal: controller.signal }), { code: 'ABORT_ERR' });
  t.deepEqual(failureOf(next()), failed('ABORT_ERR'));

  await pool.withScope(() => void attempt(pool.connection()));
  await settled();
  t.deepEqual(failureOf(next()), failed('ERR_LEASEHOLD_SCOPE_ENDED'));

  holder.discard();
  await holder.release();
  driver.beforeOpen = () => {
    throw new Error('gone');
  };
  await t.throwsAsync(
    pool.withConnection(() => t.fail()),
    { code: 'ERR_LEASEHOLD_OPEN' },
  );
  t.deepEqual(failureOf(next()), failed('ERR_LEASEHOLD_OPEN'));

  driver.beforeOpen = () => {};
  // The pool does not try again at once.
  const first = attempt(pool.acquire());
  await clock.pass(1000);
  t.is(first.state, 'granted');
  const waiting = attempt(pool.acquire());
  next();
  void pool.close({ timeout: 0 });
  await settled();
  t.is(waiting.state, 'refused');
  t.deepEqual(failureOf(next()), failed('ERR_LEASEHOLD_CLOSED').slice(2));
  await t.throwsAsync(pool.acquire(), { code: 'ERR_LEASEHOLD_CLOSED' });
  t.deepEqual(failureOf(next()), failed('ERR_LEASEHOLD_CLOSED'));
});

test.serial(
  'while acquires are traced the function of a scope runs in the context of its caller, and nested calls share',
  async (t) => {
    const { pool } = fakePool(t);
    const { told } = watchTracing<AcquireMessage>(t, acquires, pool);
    const storage = new AsyncLocalStorage<string>();
    await storage.run('caller', async () => {
      await pool.withConnection(async (db) => {
        t.is(storage.getStore(), 'caller');
        t.is(pool.current, db);
        await settled();
        t.is(await pool.connection(), db);
        t.is(storage.getStore(), 'caller');
      });
      t.is(storage.getStore(), 'caller');
      t.is(pool.current, undefined);
    });
    t.is(told.length, 4);
  },
);

test.serial('no lease is lost while traced, whatever becomes of the acquire in the tick of its hand-off', async (t) => {
  const enders: readonly ((world: {
    pool: ReturnType<typeof fakePool>['pool'];
    controller: AbortController;
    clock: ReturnType<typeof fakePool>['clock'];
  }) => void)[] = [
    () => {},
    ({ controller }) => controller.abort(),
    ({ clock }) => clock.advance(100),
    ({ pool }) => void pool.close({ timeout: 0 }),
    ({ pool }) => void pool.closeOverdue(0),
  ];
  for (const [index, end] of enders.entries()) {
    for (const isFirst of [true, false]) {
      const { pool, clock, driver } = fakePool(t, { max: 1 });
      watchTracing<AcquireMessage>(t, acquires, pool);
      const controller = new AbortController();
      const holder = await pool.acquire();
      const waiting = attempt(pool.acquire({ signal: controller.signal, timeout: 100 }));
      const scoped = pool
        .withScope(() => void attempt(pool.connection()))
        .then(() => pool.withConnection(() => {}, { signal: controller.signal, timeout: 100 }))
        .catch(() => {});
      await settled();
      if (isFirst) end({ pool, controller, clock });
      void holder.release();
      if (!isFirst) end({ pool, controller, clock });
      await settled();
      void waiting.handle?.release();
      await scoped;
      await settled();
      const { leased, counters } = pool.stats();
      t.deepEqual([leased, counters.acquired], [0, counters.released], `way ${index}, ${isFirst}`);
      t.deepEqual(driver.faults, []);
      if (pool.closed) continue;
      const after = await pool.acquire();
      t.true(after.use() > 0);
      await after.release();
    }
  }
});

test.serial('a scope that ends in the tick of the hand-off gives back what connection() got', async (t) => {
  const { pool, driver } = fakePool(t, { max: 1 });
  watchTracing<AcquireMessage>(t, acquires, pool);
  const holder = await pool.acquire();
  const attempts: ReturnType<typeof attempt>[] = [];
  const running = pool.withScope(async () => {
    attempts.push(attempt(pool.connection()));
    await settled();
    void holder.release();
  });
  await running;
  await settled();
  t.like(attempts[0]?.error, { code: 'ERR_LEASEHOLD_SCOPE_ENDED' });
  pool.assertIdle();
  t.deepEqual(driver.faults, []);
});

test.serial('who unsubscribes is told nothing more, also of what is under way', async (t) => {
  const { pool } = fakePool(t, { max: 1 });
  const { told, stop } = watchTracing<AcquireMessage>(t, acquires, pool);
  const holder = await pool.acquire();
  const waiting = attempt(pool.acquire());
  t.is(told.length, 6);
  stop();
  void holder.release();
  await settled();
  t.is(waiting.state, 'granted');
  await waiting.handle?.release();
  await (await pool.acquire()).release();
  t.is(told.length, 6);
});

test.serial('a subscriber who comes while an acquire waits does not disturb it', async (t) => {
  const { pool } = fakePool(t, { max: 1 });
  const holder = await pool.acquire();
  const waiting = attempt(pool.acquire());
  const { told } = watchTracing<AcquireMessage>(t, acquires, pool);
  void holder.release();
  await settled();
  t.is(waiting.state, 'granted');
  t.deepEqual(told, []);
  await waiting.handle?.release();
});

test.serial(
  'connections are told of when they open, are discarded and close, with no listener on the pool',
  async (t) => {
    const { pool, clock, driver } = fakePool(t, { max: 1 });
    const opens = watchChannel(t, 'leasehold:connection:open', pool);
    const closes = watchChannel(t, 'leasehold:connection:close', pool);
    const discards = watchChannel(t, 'leasehold:connection:discard', pool);
    const from = { pool: 'fake', poolId: pool.id };
    driver.beforeOpen = async () => clock.skip(3);
    const handle = await pool.acquire();
    t.deepEqual(opens, [{ ...from, connection: 1, took: 3 }]);
    handle.discard('worn out');
    await handle.release();
    t.deepEqual(discards, [{ ...from, connection: 1, reason: 'worn out' }]);
    t.deepEqual(closes, [{ ...from, connection: 1, reason: 'worn out' }]);
    await (await pool.acquire()).release();
    await pool.close();
    t.is(opens.length, 2);
    t.is(discards.length, 1);
    t.like(closes[1], { ...from, connection: 2 });
  },
);

test.serial('leaks are told of with who holds what', async (t) => {
  const { pool, clock } = fakePool(t, { leakThreshold: 50 });
  const leaks = watchChannel(t, 'leasehold:lease:leak', pool);
  const handle = await pool.acquire({ label: 'slow' });
  await clock.pass(5000);
  await handle.release();
  t.is(leaks.length, 2);
  for (const [index, kind] of ['overdue', 'returned'].entries()) {
    t.like(leaks[index], { pool: 'fake', poolId: pool.id, kind, holder: { id: 1, label: 'slow' } });
    t.regex((leaks[index] as { message: string }).message, /^Lease #1 "slow" of "fake" /);
  }
});

test.serial('point channels and listeners of the pool get the same, each once', async (t) => {
  const { pool } = fakePool(t);
  const published = watchChannel(t, 'leasehold:connection:open', pool);
  const emitted: object[] = [];
  pool.on('open', (event) => void emitted.push(event));
  await (await pool.acquire()).release();
  t.deepEqual(
    published,
    emitted.map((event) => ({ pool: 'fake', poolId: pool.id, ...event })),
  );
  t.is(emitted.length, 1);
});

test.serial('two pools of one name are told apart by their number', async (t) => {
  const [a, b] = [fakePool(t).pool, fakePool(t).pool];
  t.is(a.name, b.name);
  t.not(a.id, b.id);
  const told = watchTracing<AcquireMessage>(t, acquires, a).told;
  await b.withConnection(() => {});
  t.deepEqual(told, []);
});
