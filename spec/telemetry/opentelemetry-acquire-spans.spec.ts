import { setTimeout } from 'node:timers/promises';
import { SpanStatusCode } from '@opentelemetry/api';
import test, { type ExecutionContext } from 'ava';
import type { SqlitePoolOptions } from '../../lib/index.ts';
import { instrument } from '../../lib/telemetry/opentelemetry.ts';
import { gate, settled } from '../support/gate.ts';
import { namesIn, openItems } from '../support/items.ts';
import { milliseconds, tracingSdk } from '../support/opentelemetry.ts';

const acquire = 'leasehold.acquire';

/** A pool whose connections are open, so that only who waits for others waits. */
async function traced(t: ExecutionContext, options: SqlitePoolOptions) {
  const pool = await openItems(t, options);
  await pool.withConnection(() => {});
  const sdk = tracingSdk(t);
  const watch = instrument(pool, { tracerProvider: sdk.tracerProvider });
  t.teardown(() => watch.stop());
  const acquires = () => sdk.spans().filter(({ name }) => name === acquire);
  return { ...sdk, pool, acquires };
}

test('who gets an idle connection has no span, nor has who does not wait for one', async (t) => {
  const { pool, spans } = await traced(t, { max: 1 });
  await pool.withConnection(() => pool.get('SELECT 1'));
  await pool.all('SELECT 1');
  const db = await pool.acquire();
  t.is(pool.tryAcquire(), undefined);
  db.close();
  t.deepEqual(spans(), []);
});

test('the span of a wait is in that of who waits, not of who releases', async (t) => {
  const { pool, inSpan, paths, acquires } = await traced(t, { name: 'app', max: 1 });
  const db = await pool.acquire();
  const waiting = inSpan('waiter', async () => {
    const mine = await pool.acquire({ label: 'GET /order' });
    await inSpan('after', () => mine.close());
  });
  await settled();
  await inSpan('releaser', () => db.close());
  await waiting;
  t.deepEqual(paths(), ['releaser', `waiter > ${acquire}`, 'waiter > after', 'waiter']);
  const { 'leasehold.wait_time': waited, ...attributes } = acquires()[0]?.attributes ?? {};
  t.deepEqual(attributes, {
    'db.client.connection.pool.name': 'app',
    'leasehold.label': 'GET /order',
    'leasehold.lease': 4,
    'leasehold.connection': 2,
  });
  t.true(Number(waited) > 0);
  t.is(acquires()[0]?.status.code, SpanStatusCode.UNSET);
});

const places = ['acquire', 'withConnection', 'read', 'get'] as const;

for (const place of places) {
  test(`${place} that waits for a connection has one span for that`, async (t) => {
    const { pool, inSpan, paths } = await traced(t, { max: 1 });
    const calls = {
      acquire: async () => (await pool.acquire()).close(),
      withConnection: () => pool.withConnection(() => {}),
      read: () => pool.read(() => {}),
      get: () => pool.get('SELECT 1'),
    };
    const db = await pool.acquire();
    const waiting = inSpan('waiter', calls[place]);
    await settled();
    db.close();
    await waiting;
    const around = place === 'read' ? 'waiter > leasehold.transaction' : 'waiter';
    t.deepEqual(
      paths().filter((path) => path.endsWith(acquire)),
      [`${around} > ${acquire}`],
    );
  });
}

test('the span of a wait begins with it, ends with it, and so is within that of who waits', async (t) => {
  const { pool, inSpan, spans, acquires } = await traced(t, { max: 1 });
  const db = await pool.acquire();
  const waiting = inSpan('waiter', async () => {
    await setTimeout(15);
    (await pool.acquire()).close();
    await setTimeout(15);
  });
  await setTimeout(40);
  db.close();
  await waiting;
  const [span] = acquires();
  const around = spans().find(({ name }) => name === 'waiter');
  if (span === undefined || around === undefined) throw new Error('A span is missing');
  const waited = Number(span.attributes['leasehold.wait_time']) * 1000;
  t.true(waited > 0);
  // Clocks of the system are told in whole milliseconds.
  const tolerance = 2;
  t.true(milliseconds(span.duration) >= waited - tolerance);
  t.true(milliseconds(span.startTime) >= milliseconds(around.startTime) + 15 - tolerance);
  t.true(milliseconds(span.endTime) <= milliseconds(around.endTime) - 15 + tolerance);
});

test.serial('the duration of a wait is right though the clock of the system is set meanwhile', async (t) => {
  const { pool, acquires } = await traced(t, { max: 1 });
  const { now } = Date;
  t.teardown(() => {
    Date.now = now;
  });
  for (const shift of [-60_000, 60_000]) {
    const db = await pool.acquire();
    const waiting = pool.acquire();
    await setTimeout(5);
    Date.now = () => now() + shift;
    db.close();
    (await waiting).close();
    Date.now = now;
    const span = acquires().at(-1);
    const waited = Number(span?.attributes['leasehold.wait_time']) * 1000;
    const took = milliseconds(span?.duration ?? [0, 0]);
    t.true(took >= waited - 0.001 && took < waited + 30_000, `${took} of ${waited} ms`);
  }
});

test('a wait for the turn to write is in the span of what waits, from its beginning', async (t) => {
  const { pool, inSpan, paths, spans, acquires } = await traced(t, {});
  const open = gate();
  const first = pool.transaction(() => open.passed);
  await settled();
  const queued = inSpan('waiter', () => pool.transaction(() => {}));
  const statement = inSpan('statement', () => pool.run("INSERT INTO item VALUES ('bolt')"));
  await setTimeout(20);
  open.open();
  await Promise.all([first, queued, statement]);
  t.deepEqual(
    paths().filter((path) => path.endsWith(acquire)),
    [`waiter > leasehold.transaction > ${acquire}`, `statement > ${acquire}`],
  );
  const around = spans().find(({ parentSpanContext, name }) => name !== acquire && parentSpanContext !== undefined);
  for (const span of acquires()) {
    t.true(Number(span.attributes['leasehold.wait_time']) >= 0.018);
    t.true(milliseconds(span.duration) >= 18 - 2);
    t.true(milliseconds(span.startTime) >= milliseconds(around?.startTime ?? [Infinity, 0]) - 2);
  }
  t.deepEqual(await namesIn(pool), ['bolt']);
});

test('who waits in vain has a span that says why, in the span of the caller', async (t) => {
  const { pool, inSpan, paths, acquires } = await traced(t, { max: 1, maxWaiting: 1 });
  const db = await pool.acquire();
  const refused = (name: string, options?: Parameters<typeof pool.acquire>[0]) =>
    inSpan(name, () => t.throwsAsync(pool.acquire(options)));
  await refused('late', { timeout: 1 });
  const controller = new AbortController();
  const aborted = refused('aborted', { signal: controller.signal });
  await settled();
  await refused('full');
  controller.abort();
  await aborted;
  const closed = refused('closed');
  await settled();
  await pool.close({ timeout: 0 });
  await closed;
  t.false(db.open);
  t.deepEqual(
    paths().filter((path) => path.endsWith(acquire)),
    ['late', 'full', 'aborted', 'closed'].map((name) => `${name} > ${acquire}`),
  );
  t.deepEqual(
    acquires().map(({ attributes }) => attributes['error.type']),
    ['ERR_LEASEHOLD_ACQUIRE_TIMEOUT', 'ERR_LEASEHOLD_QUEUE_FULL', 'ABORT_ERR', 'ERR_LEASEHOLD_CLOSED'],
  );
  for (const { status, events } of acquires()) {
    t.is(status.code, SpanStatusCode.ERROR);
    t.is(events[0]?.name, 'exception');
  }
});

const writes = ['acquire', 'run'] as const;

for (const place of writes) {
  test(`${place} that waits in vain for its turn to write has a span that says why`, async (t) => {
    const { pool, inSpan, acquires, paths } = await traced(t, {});
    const open = gate();
    const first = pool.transaction(() => open.passed);
    await settled();
    await inSpan('late', () =>
      t.throwsAsync(
        place === 'run' ? pool.run('DELETE FROM item', [], { timeout: 1 }) : pool.acquire({ write: true, timeout: 1 }),
        { code: 'ERR_LEASEHOLD_WRITE_TIMEOUT' },
      ),
    );
    open.open();
    await first;
    t.deepEqual(
      acquires().map(({ attributes }) => attributes['error.type']),
      ['ERR_LEASEHOLD_WRITE_TIMEOUT'],
    );
    t.true(paths().includes(`late > ${acquire}`));
  });
}
