import test from 'ava';
import type { PoolEvents } from '../lib/events.ts';
import { attempt, type FakePool, fakePool } from './support/driver.ts';
import { gate, settled } from './support/gate.ts';

function watched(t: Parameters<typeof fakePool>[0], options?: Parameters<typeof fakePool>[1]) {
  const fake = fakePool(t, options);
  const dirt: PoolEvents['dirty'][] = [];
  fake.pool.on('dirty', (event) => void dirt.push(event));
  return { ...fake, dirt };
}

/** Nobody holds or waits for anything, and as many leases ended as began. */
function isBalanced({ pool }: Pick<FakePool, 'pool'>): boolean {
  pool.assertIdle();
  const { acquired, released } = pool.stats().counters;
  return acquired === released;
}

test('one event at the end of a scope names all that it leaves: on its connection, in the queue, in other hands', async (t) => {
  const { pool, dirt } = watched(t, { max: 3 });
  const open = gate();
  const kept: { release(): unknown }[] = [];
  const waiting: ReturnType<typeof attempt>[] = [];
  const nested: Promise<void>[] = [];
  await pool.withConnection(
    async (db) => {
      db.begin();
      kept.push(await pool.acquire({ label: 'export' }));
      nested.push(pool.withConnection(() => open.passed, { fresh: true, label: 'nested' }));
      await settled();
      waiting.push(attempt(pool.acquire()), attempt(pool.acquire()));
    },
    { label: 'GET /a' },
  );
  t.deepEqual(dirt, [
    {
      lease: 1,
      connection: 1,
      label: 'GET /a',
      scope: 1,
      traces: ['open transaction', '2 queued acquires', 'lease #2 "export"', 'lease #3 "nested"'],
      message:
        'Scope #1 "GET /a" of "fake" left behind: open transaction, 2 queued acquires, lease #2 "export", lease #3 "nested". ' +
        'Await all work before the end, and finish what it began.',
    },
  ]);
  t.is(pool.stats().counters.dirty, 1);
  await settled();
  t.deepEqual(
    waiting.map(({ state, error }) => [state, (error as { code: string }).code]),
    Array.from({ length: 2 }, () => ['refused', 'ERR_LEASEHOLD_SCOPE_ENDED']),
  );
  t.is(pool.stats().leased, 2, 'what is held by others is only reported');
  open.open();
  await Promise.all(nested);
  for (const handle of kept) handle.release();
  await settled();
  t.is(dirt.length, 1);
  t.true(isBalanced({ pool }));
});

test('a scope that holds nothing reports what was begun in it', async (t) => {
  const { pool, dirt } = watched(t, { max: 1 });
  const open = gate();
  const nested: Promise<void>[] = [];
  await pool.withScope(
    async () => {
      nested.push(pool.withConnection(() => open.passed, { label: 'nested' }));
      nested.push(pool.withConnection(() => t.fail('after the end of its scope')));
      await settled();
    },
    { label: 'job' },
  );
  t.deepEqual(
    dirt.map(({ lease, connection, label, scope, traces }) => ({ lease, connection, label, scope, traces })),
    [
      {
        lease: undefined,
        connection: undefined,
        label: 'job',
        scope: 1,
        traces: ['1 queued acquire', 'lease #1 "nested"'],
      },
    ],
  );
  t.regex(dirt[0]?.message ?? '', /^Scope #1 "job" of "fake" left behind: /);
  open.open();
  await nested[0];
  await t.throwsAsync(nested[1] as Promise<void>, { code: 'ERR_LEASEHOLD_SCOPE_ENDED' });
  t.is(dirt.length, 1);
  t.true(isBalanced({ pool }));
});

test('a lease without a label is named by its number', async (t) => {
  const { pool, dirt } = watched(t);
  const kept = await pool.withScope(() => pool.acquire());
  t.deepEqual(dirt[0]?.traces, ['lease #1']);
  t.is(dirt[0]?.message.split('.')[0], 'Scope #1 of "fake" left behind: lease #1');
  await kept.release();
});

test('a label can not break out of the line', async (t) => {
  const { pool, dirt } = watched(t);
  const kept = await pool.withScope(() => pool.acquire({ label: 'a\nb\u202ec' }));
  t.deepEqual(dirt[0]?.traces, ['lease #1 "a\\u000ab\\u202ec"']);
  t.false(dirt[0]?.message.includes('\n'));
  await kept.release();
});

test('a lease is named by the scope in whose scopes it was taken, however deep, and by no other', async (t) => {
  const { pool, dirt } = watched(t, { max: 4 });
  const open = gate();
  const running: Promise<unknown>[] = [];
  const fresh = { fresh: true };
  const held = await pool.acquire({ label: 'elsewhere' });
  await pool.withScope(
    async () => {
      await pool.withScope(() => pool.withScope(() => {}, fresh), { ...fresh, label: 'sibling' });
      running.push(
        pool.withScope(
          () => pool.withScope(() => pool.withConnection(() => open.passed, { label: 'deep' }), fresh),
          fresh,
        ),
      );
      await settled();
    },
    { label: 'outer' },
  );
  t.deepEqual(
    dirt.map(({ label, traces }) => [label, traces]),
    [['outer', ['lease #2 "deep"']]],
  );
  open.open();
  await Promise.all(running);
  t.is(dirt.length, 1, 'what outlives its scope has nothing to answer for itself');
  await held.release();
});

test('what one scope has reported, those around it do not report again', async (t) => {
  const { pool, dirt } = watched(t);
  const kept: { release(): unknown }[] = [];
  await pool.withScope(
    () => pool.withScope(async () => void kept.push(await pool.acquire()), { fresh: true, label: 'inner' }),
    { label: 'outer' },
  );
  t.deepEqual(
    dirt.map(({ label, traces }) => [label, traces]),
    [['inner', ['lease #1 "inner"']]],
  );
  kept[0]?.release();
  t.true(isBalanced({ pool }));
});

test('a scope that failed names what it leaves, too, and its error passes through', async (t) => {
  const { pool, dirt } = watched(t);
  const failure = new Error('enough');
  const kept: { release(): unknown }[] = [];
  const thrown = await t.throwsAsync(
    pool.withConnection(async () => {
      kept.push(await pool.acquire());
      throw failure;
    }),
  );
  t.is(thrown, failure);
  t.deepEqual(dirt[0]?.traces, ['lease #2']);
  kept[0]?.release();
});

test('connection() that nobody awaits is a queued acquire', async (t) => {
  const { pool, dirt } = watched(t, { max: 1 });
  const holder = await pool.acquire();
  const waiting: ReturnType<typeof attempt>[] = [];
  await pool.withScope(async () => void waiting.push(attempt(pool.connection())));
  await settled();
  t.deepEqual(
    dirt.map(({ lease, traces }) => [lease, traces]),
    [[undefined, ['1 queued acquire']]],
  );
  t.like(waiting[0]?.error, { code: 'ERR_LEASEHOLD_SCOPE_ENDED' });
  await holder.release();
  t.true(isBalanced({ pool }));
});

test('who waits in a scope within is cancelled by that, and not counted by the one around', async (t) => {
  const { pool, dirt } = watched(t, { max: 1 });
  const open = gate();
  const holder = await pool.acquire();
  const inner: Promise<unknown>[] = [];
  await pool.withScope(async () => {
    inner.push(
      pool.withScope(
        async () => {
          const waiting = attempt(pool.acquire());
          await open.passed;
          return waiting;
        },
        { fresh: true, label: 'inner' },
      ),
    );
    await settled();
  });
  t.deepEqual(dirt, [], 'nothing is held in it');
  t.is(pool.stats().waiting, 1);
  open.open();
  await inner[0];
  t.deepEqual(
    dirt.map(({ label, traces }) => [label, traces]),
    [['inner', ['1 queued acquire']]],
  );
  await holder.release();
  t.true(isBalanced({ pool }));
});

test('a clean-up that takes its time, or fails, keeps nothing from being told in one event', async (t) => {
  for (const failure of [undefined, new Error('broken')]) {
    const { pool, driver, dirt } = watched(t);
    const open = gate();
    driver.beforeReclaim = async () => {
      await open.passed;
      if (failure !== undefined) throw failure;
    };
    const kept: { release(): unknown }[] = [];
    const errors: Error[] = [];
    pool.on('error', (error) => void errors.push(error));
    const running = pool.withConnection(async (db) => {
      db.begin();
      kept.push(await pool.acquire());
    });
    await settled();
    t.deepEqual(dirt, []);
    open.open();
    await running;
    t.deepEqual(
      dirt.map(({ traces }) => traces),
      [failure === undefined ? ['open transaction', 'lease #2'] : ['lease #2']],
    );
    t.deepEqual(errors, failure === undefined ? [] : [failure]);
    kept[0]?.release();
    await settled();
    t.true(isBalanced({ pool }));
  }
});

test('a scope whose connection was given back before its end still names the rest, as one that holds none', async (t) => {
  const { pool, dirt } = watched(t);
  const kept: { release(): unknown }[] = [];
  await pool.withConnection(
    async (db) => {
      kept.push(await pool.acquire({ label: 'kept' }));
      await db.release();
    },
    { label: 'early' },
  );
  t.deepEqual(
    dirt.map(({ lease, connection, label, traces }) => [lease, connection, label, traces]),
    [[undefined, undefined, 'early', ['lease #2 "kept"']]],
  );
  kept[0]?.release();
  t.true(isBalanced({ pool }));
});

test('nothing is named where all was awaited and given back, in every outcome', async (t) => {
  const { pool, clock, dirt } = watched(t, { max: 2 });
  const controller = new AbortController();
  const fresh = { fresh: true };
  await pool.withConnection(async () => {
    const handle = await pool.acquire();
    const late = t.throwsAsync(pool.acquire({ timeout: 10 }), { code: 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT' });
    const aborted = t.throwsAsync(pool.acquire({ signal: controller.signal }), { code: 'ABORT_ERR' });
    await clock.pass(10);
    controller.abort();
    await Promise.all([late, aborted]);
    await handle.release();
    await pool.withConnection(() => pool.withScope(() => {}), fresh);
    await pool.withScope(() => pool.connection(), fresh);
    await t.throwsAsync(
      pool.withConnection(() => {
        throw new Error('inner');
      }, fresh),
    );
    await Promise.all([pool.withConnection(() => settled(), fresh), pool.withConnection(() => {}, fresh)]);
  });
  t.deepEqual(dirt, []);
  t.true(isBalanced({ pool }));
});

test('nothing is named of leases that were taken away or given back early', async (t) => {
  const { pool, dirt } = watched(t, { max: 4 });
  await pool.withScope(async () => {
    await pool.acquire();
    await pool.connection();
    pool.closeOverdue(0);
  });
  await pool.withConnection(async (db) => {
    await db.release();
    const bound = await pool.connection();
    await bound.release();
  });
  await pool.withScope(async () => {
    const handle = await pool.acquire();
    handle.discard();
    await handle.release();
    await handle.release();
  });
  t.deepEqual(dirt, []);
  t.true(isBalanced({ pool }));
});

test('the end of the pool leaves nothing to name at the end of a scope', async (t) => {
  const { pool, dirt } = watched(t, { max: 4 });
  const open = gate();
  const running = pool.withConnection(async () => {
    await pool.acquire();
    await open.passed;
  });
  await settled();
  await pool.close({ timeout: 0 });
  open.open();
  await running;
  t.deepEqual(dirt, []);
  t.is(pool.stats().counters.dirty, 0);
  t.true(isBalanced({ pool }));
});

test('a call that its scope makes in its last step is named as well', async (t) => {
  for (const idle of [0, 1]) {
    const { pool, dirt } = watched(t);
    if (idle === 1) await pool.withConnection(() => {});
    const open = gate();
    const nested: Promise<void>[] = [];
    await pool.withScope(() => void nested.push(pool.withConnection(() => open.passed, { label: 'nested' })), {
      label: 'short',
    });
    t.is(pool.stats().leased, 1);
    t.deepEqual(
      dirt.map(({ label, traces }) => [label, traces]),
      [['short', [`lease #${1 + idle} "nested"`]]],
    );
    open.open();
    await Promise.all(nested);
    t.true(isBalanced({ pool }));
  }
});
