import { context } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { type SpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import test from 'ava';
import { Registry } from 'prom-client';
import { acquires, transactions } from '../../lib/channels.ts';
import { instrument } from '../../lib/telemetry/opentelemetry.ts';
import { collect } from '../../lib/telemetry/prometheus.ts';
import { insert, namesIn, openItems } from '../support/items.ts';
import { metricsSdk } from '../support/opentelemetry.ts';
import { temporaryPool } from '../support/sqlite.ts';

// What goes wrong in what watches must not go wrong in what is watched.

context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());

function processor(change: Partial<SpanProcessor>): SpanProcessor {
  return { onStart() {}, onEnd() {}, forceFlush: async () => {}, shutdown: async () => {}, ...change };
}

function fails(): never {
  throw new Error('no room for spans');
}

for (const step of ['onStart', 'onEnd'] as const) {
  test.serial(
    `where ${step} of a span processor throws, transactions and acquires have their own outcomes`,
    async (t) => {
      const pool = await openItems(t, { max: 1 });
      const { meterProvider } = metricsSdk(t);
      const tracerProvider = new TracerProvider({ spanProcessors: [processor({ [step]: fails })] });
      const watch = instrument(pool, { meterProvider, tracerProvider });
      t.is(await pool.transaction((tx) => insert(tx, 'kept')).then(() => 'committed'), 'committed');
      const refused = new Error('refused');
      const failing = pool.transaction((tx) => {
        insert(tx, 'lost');
        throw refused;
      });
      t.is(await t.throwsAsync(failing), refused);
      // Only what waits has a span: the second of these.
      const held = await pool.acquire();
      const waiting = pool.withConnection(() => 'served');
      held.close();
      t.is(await waiting, 'served');
      const late = await pool.acquire();
      await t.throwsAsync(pool.acquire({ timeout: 5 }), { code: 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT' });
      late.close();
      t.deepEqual(await namesIn(pool), ['kept']);
      pool.assertIdle();
      t.is(pool.stats().laneHeld, 0);
      t.notThrows(() => watch.stop());
    },
  );
}

test.serial('a span that can not be ended does not keep its pool from being closed', async (t) => {
  const pool = await openItems(t);
  const { meterProvider } = metricsSdk(t);
  const tracerProvider = new TracerProvider({ spanProcessors: [processor({ onEnd: fails })] });
  instrument(pool, { meterProvider, tracerProvider });
  const open = Promise.withResolvers<void>();
  const running = pool.transaction(() => open.promise);
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  await pool.close({ timeout: 0 });
  open.resolve();
  await t.throwsAsync(running);
  t.false(transactions.isActive || acquires.isActive);
});

test.serial('where there is no tracer to be had, nothing of a pool is reported', async (t) => {
  const pool = await openItems(t);
  const { meterProvider, collect: export_ } = metricsSdk(t);
  t.throws(() => instrument(pool, { meterProvider, tracerProvider: { getTracer: fails } }), {
    message: 'no room for spans',
  });
  t.is((await export_()).size, 0);
});

test.serial('a pool that is closed is not watched any more', async (t) => {
  const pool = temporaryPool(t, { name: 'app' });
  await pool.close();
  const registry = new Registry();
  const { meterProvider } = metricsSdk(t);
  const watches = [instrument(pool, { meterProvider }), collect(pool, { registry })];
  t.false(transactions.isActive || acquires.isActive);
  t.notRegex(await registry.metrics(), /"app"/);
  for (const watch of watches) watch.stop();
});

test('what a pool has counted is counted once, however often it is watched', async (t) => {
  const registry = new Registry();
  const timeouts = async () => {
    const [, value] = /^db_client_connection_timeouts_total\{.*\} (\d+)$/m.exec(await registry.metrics()) ?? [];
    return Number(value);
  };
  const [pool, namesake] = [temporaryPool(t, { name: 'app', max: 1 }), temporaryPool(t, { name: 'app', max: 1 })];
  collect(namesake, { registry });
  let watch = collect(pool, { registry });
  const db = await pool.acquire();
  await t.throwsAsync(pool.acquire({ timeout: 5 }), { code: 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT' });
  t.is(await timeouts(), 1);
  for (let times = 0; times < 3; times++) {
    watch.stop();
    t.is(await timeouts(), 1, 'of one that is gone');
    watch = collect(pool, { registry });
    t.is(await timeouts(), 1, 'of one that is back');
  }
  db.close();
});
