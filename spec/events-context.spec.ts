import { AsyncLocalStorage } from 'node:async_hooks';
import test, { type ExecutionContext } from 'ava';
import { type PoolEventName, type PoolListener, poolEventNames } from '../lib/events.ts';
import { createPool } from '../lib/index.ts';
import { attempt, type FakeHandle, type FakePool, fakePool } from './support/driver.ts';
import { temporaryFile } from './support/files.ts';
import { gate, settled } from './support/gate.ts';
import { collected } from './support/gc.ts';

const context = new AsyncLocalStorage<string>();

/** Acquires and forgets the handle. Apart, so that no frame of a test keeps it. */
async function lose({ pool }: FakePool): Promise<void> {
  await pool.acquire();
}

async function use({ pool }: FakePool, what: (handle: FakeHandle) => void = () => {}): Promise<void> {
  const handle = await pool.acquire();
  what(handle);
  await handle.release();
}

/** Holds a connection for longer than is reported. */
async function leak(fake: FakePool): Promise<void> {
  const handle = await fake.pool.acquire();
  await fake.clock.pass(5000);
  await handle.release();
}

/** Two who wait for one connection, first served by a release in a context of its own, then refused by a timer. */
async function wait({ pool, clock }: FakePool): Promise<void> {
  const [, holder] = [await pool.acquire({ label: 'kept' }), await pool.acquire()];
  const served = attempt(pool.acquire());
  const late = attempt(pool.acquire({ timeout: 10 }));
  await settled();
  await context.run('releaser', () => holder.release());
  await clock.pass(10);
  if (served.state !== 'granted' || late.state !== 'refused') throw new Error(`${served.state}, ${late.state}`);
  await served.handle?.release();
  pool.closeOverdue(0);
}

/** Two scopes that hold a connection each, and want one more. */
async function deadlock({ pool, clock }: FakePool): Promise<void> {
  const both = gate();
  const request = () =>
    pool.withConnection(async () => {
      await both.passed;
      await pool.withConnection(() => {}, { fresh: true, timeout: 10 }).catch(() => {});
    });
  const requests = [request(), request()];
  await settled();
  both.open();
  await clock.pass(100);
  await Promise.all(requests);
}

/** How each event comes about; some in more ways than one, with other code on the stack. */
const causes: { readonly [Name in PoolEventName]: readonly ((fake: FakePool) => Promise<unknown>)[] } = {
  open: [
    use,
    ({ pool }) => pool.ready(),
    async (fake) => {
      const opened = gate();
      fake.driver.beforeOpen = () => opened.passed;
      const using = use(fake);
      context.run('opener', () => opened.open());
      await using;
    },
  ],
  close: [
    async (fake) => {
      await use(fake);
      fake.pool.closeIdle();
    },
    async (fake) => {
      await use(fake);
      await fake.clock.pass(400_000);
    },
    async (fake) => {
      await use(fake);
      await fake.pool.close();
    },
  ],
  wait: [wait, deadlock],
  acquire: [use, wait, async ({ pool }) => pool.tryAcquire()?.release(), ({ pool }) => pool.withConnection(() => {})],
  release: [use, wait, ({ pool }) => pool.withConnection(() => {}), (fake) => taken(fake, 'overdue')],
  discard: [(fake) => use(fake, (handle) => handle.discard()), (fake) => taken(fake, 'overdue')],
  dirty: [
    (fake) => use(fake, (handle) => handle.soil('pragma')),
    async ({ pool }) => (await pool.withScope(() => pool.acquire())).release(),
    ({ pool }) => pool.withConnection((handle) => handle.begin()),
  ],
  leak: [
    leak,
    async (fake) => {
      await lose(fake);
      await fake.clock.pass(100);
      await collected(() => fake.pool.stats().leased === 0);
    },
  ],
  replace: [
    async (fake) => {
      await use(fake);
      await fake.clock.pass(1000);
      fake.driver.outdated = () => 'gone';
      await use(fake);
    },
  ],
  timeout: [wait, deadlock],
  deadlock: [deadlock],
  error: [
    async (fake) => {
      await use(fake);
      fake.driver.beforeClose = () => {
        throw new Error('close');
      };
      fake.pool.closeIdle();
    },
    async (fake) => {
      fake.pool.once('release', () => {
        throw new Error('listener');
      });
      await use(fake);
    },
  ],
};

async function taken({ pool }: FakePool, how: 'overdue' | 'closed'): Promise<void> {
  await pool.acquire();
  if (how === 'overdue') pool.closeOverdue(0);
  else await pool.close({ timeout: 0 });
}

function newPool(t: ExecutionContext): FakePool {
  return fakePool(t, { leakThreshold: 400 });
}

/** Whether nothing is lost: all leases came back, and whoever comes next is served. */
async function assertWell(t: ExecutionContext, fake: FakePool, message: string): Promise<void> {
  const { pool, driver } = fake;
  await settled();
  pool.assertIdle();
  const { acquired, released, doubleReleases } = pool.stats().counters;
  t.deepEqual([released, doubleReleases], [acquired, 0], message);
  t.deepEqual(driver.faults, [], message);
  if (pool.closed) return;
  const both = [await pool.acquire(), await pool.acquire()];
  const waiting = attempt(pool.acquire());
  await both[0]?.release();
  await settled();
  t.is(waiting.state, 'granted', message);
  await waiting.handle?.release();
  await both[1]?.release();
}

for (const name of poolEventNames) {
  test(`a listener of "${name}" runs in the context it was registered in, whoever causes the event`, async (t) => {
    for (const [index, cause] of causes[name].entries()) {
      for (const way of ['on', 'once'] as const) {
        const fake = newPool(t);
        const seen: (string | undefined)[] = [];
        context.run('registrant', () => fake.pool[way](name, () => void seen.push(context.getStore())));
        fake.pool.on(name, () => void seen.push(context.getStore()));
        await context.run('causer', () => cause(fake));
        await settled();
        t.true(seen.length > 1, `cause ${index}`);
        const expected = seen.map((_, at) => ((way === 'on' ? at % 2 === 0 : at === 0) ? 'registrant' : undefined));
        t.deepEqual(seen, expected, `cause ${index}, ${way}`);
      }
    }
  });

  for (const [manner, failing] of [
    [
      'throws',
      (error: Error) => () => {
        throw error;
      },
    ],
    [
      'rejects',
      (error: Error) => async () => {
        throw error;
      },
    ],
  ] as const) {
    test(`a listener of "${name}" that ${manner} harms no lease, and is one error each time`, async (t) => {
      for (const [index, cause] of causes[name].entries()) {
        const fake = newPool(t);
        const failure = new Error('of a listener');
        let events = 0;
        const errors: Error[] = [];
        const listener = failing(failure) as PoolListener<typeof name>;
        fake.pool.on(name, listener);
        fake.pool.on(name, () => void events++);
        fake.pool.on('error', (error) => void (error === failure && errors.push(error)));
        await cause(fake);
        await settled();
        t.true(events > 0, `cause ${index}`);
        t.is(errors.length, name === 'error' ? 0 : events, `cause ${index}`);
        await assertWell(t, fake, `cause ${index}`);
      }
    });
  }
}

test('what a listener throws that is no error becomes the cause of one', async (t) => {
  const { pool } = newPool(t);
  const errors: Error[] = [];
  pool.on('error', (error) => void errors.push(error));
  pool.on('acquire', () => {
    // oxlint-disable-next-line typescript/only-throw-error -- the subject of the test
    throw 'words';
  });
  await pool.withConnection(() => {});
  t.is(errors.length, 1);
  t.true(errors[0] instanceof Error);
  t.is(errors[0]?.cause, 'words');
  t.regex(errors[0]?.message ?? '', /"acquire"/);
});

test('failing listeners of every event at once leave a pool that works', async (t) => {
  for (const cause of new Set(Object.values(causes).flat())) {
    const fake = newPool(t);
    for (const name of poolEventNames) {
      fake.pool.on(name, () => {
        throw new Error(name);
      });
    }
    await cause(fake);
    await assertWell(t, fake, cause.name);
  }
});

test('hooks run in the context in which the pool was made, whoever acquires, releases or makes room', async (t) => {
  const seen: [string, string | undefined][] = [];
  const look = (hook: string) => async () => {
    seen.push([hook, context.getStore()]);
    await settled();
    seen.push([`${hook} later`, context.getStore()]);
  };
  const hooks = { onOpen: look('onOpen'), onAcquire: look('onAcquire'), onRelease: look('onRelease') };
  const fake = context.run('maker', () => fakePool(t, { max: 1, ...hooks }));
  const { pool } = fake;
  await context.run('user', async () => {
    await pool.withConnection(async () => {
      t.is(context.getStore(), 'user');
      await settled();
      t.is(context.getStore(), 'user');
    });
    const holder = await pool.acquire();
    const waiting = context.run('waiter', () => pool.withConnection(() => context.getStore()));
    holder.discard();
    await context.run('releaser', () => holder.release());
    t.is(await waiting, 'waiter');
  });
  pool.closeIdle();
  await context.run('warmer', () => pool.ready());
  t.is(new Set(seen.map(([hook]) => hook)).size, 6);
  t.deepEqual(
    seen.filter(([, where]) => where !== 'maker'),
    [],
  );
});

test('the same holds for a pool of SQLite, its hooks and the wait for its write lane', async (t) => {
  const seen: [string, string | undefined][] = [];
  const look = (what: string) => () => void seen.push([what, context.getStore()]);
  const pool = context.run('maker', () =>
    createPool(temporaryFile(t), {
      onOpen: look('onOpen'),
      onAcquire: look('onAcquire'),
      onRelease: look('onRelease'),
    }),
  );
  t.teardown(() => pool.close({ timeout: 0 }));
  context.run('maker', () => {
    for (const name of ['open', 'wait', 'acquire', 'release', 'timeout', 'dirty'] as const) pool.on(name, look(name));
  });
  await context.run('causer', async () => {
    await pool.run('CREATE TABLE item (name TEXT)');
    const open = gate();
    const holding = pool.transaction(() => open.passed);
    await settled();
    const late = pool.transaction(() => t.fail(), { timeout: 5 });
    const waiting = context.run('waiter', () => pool.transaction(() => context.getStore()));
    await t.throwsAsync(late, { code: 'ERR_LEASEHOLD_WRITE_TIMEOUT' });
    open.open();
    await holding;
    t.is(await waiting, 'waiter');
    await pool.withConnection((db) => void db.exec('BEGIN'));
  });
  t.deepEqual([...new Set(seen.map(([what]) => what))].toSorted(), [
    'acquire',
    'dirty',
    'onAcquire',
    'onOpen',
    'onRelease',
    'open',
    'release',
    'timeout',
    'wait',
  ]);
  t.deepEqual(
    seen.filter(([, where]) => where !== 'maker'),
    [],
  );
});

test('the first to write is told to wait for nobody, where nobody is there', async (t) => {
  const pool = createPool(temporaryFile(t));
  t.teardown(() => pool.close({ timeout: 0 }));
  const waits: unknown[] = [];
  pool.on('wait', (event) => void waits.push(event));
  await pool.run('CREATE TABLE item (name TEXT)');
  t.deepEqual(waits, []);
});
