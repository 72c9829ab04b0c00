import { metrics, trace } from '@opentelemetry/api';
import test from 'ava';
import { instrument } from '../../lib/telemetry/opentelemetry.ts';
import { figuresOf, metricsSdk, tracingSdk } from '../support/opentelemetry.ts';
import { temporaryPool } from '../support/sqlite.ts';

// The providers are those of the process, so this file has one to itself, and its tests go one after the other.

test.serial('where no SDK has been set up, a pool is watched by nobody, at no harm', async (t) => {
  const pool = temporaryPool(t);
  const watch = instrument(pool);
  await pool.run('CREATE TABLE item (name TEXT)');
  await pool.transaction(async (tx) => {
    tx.prepare('INSERT INTO item VALUES (?)').run('bolt');
    await pool.transaction(() => {});
  });
  await t.throwsAsync(
    pool.transaction(() => Promise.reject(new Error('no'))),
    { message: 'no' },
  );
  t.deepEqual(await pool.all('SELECT name FROM item'), [{ name: 'bolt' }]);
  watch.stop();
});

test.serial('without options the global providers are used', async (t) => {
  const { meterProvider, collect } = metricsSdk(t);
  const { tracerProvider, paths, inSpan } = tracingSdk(t);
  metrics.setGlobalMeterProvider(meterProvider);
  trace.setGlobalTracerProvider(tracerProvider);
  t.teardown(() => {
    metrics.disable();
    trace.disable();
  });
  const pool = temporaryPool(t, { name: 'app', max: 3 });
  const watch = instrument(pool);
  await pool.run('CREATE TABLE item (name TEXT)');
  await inSpan('POST /order', () => pool.transaction(() => {}));
  t.deepEqual(paths().slice(-2), ['POST /order > leasehold.transaction', 'POST /order']);
  t.like(figuresOf(await collect(), 'app'), { 'db.client.connection.max': 3, 'db.client.connection.use_time': 2 });
  watch.stop();
});

function poolsOf({ spans }: ReturnType<typeof tracingSdk>): unknown[] {
  return spans().map(({ attributes }) => attributes['db.client.connection.pool.name']);
}

test.serial('a provider that is given is used beside a global one', async (t) => {
  const global = metricsSdk(t);
  const globalTracing = tracingSdk(t);
  metrics.setGlobalMeterProvider(global.meterProvider);
  trace.setGlobalTracerProvider(globalTracing.tracerProvider);
  t.teardown(() => {
    metrics.disable();
    trace.disable();
  });
  const own = metricsSdk(t);
  const ownTracing = tracingSdk(t);
  const pool = temporaryPool(t, { name: 'app' });
  const other = temporaryPool(t, { name: 'other' });
  await pool.run('CREATE TABLE item (name TEXT)');
  await other.run('CREATE TABLE item (name TEXT)');
  const watches = [
    instrument(pool, { meterProvider: own.meterProvider }),
    instrument(other, { tracerProvider: ownTracing.tracerProvider }),
  ];
  await pool.transaction(() => {});
  await other.transaction(() => {});
  const max = 'db.client.connection.max';
  const [ownFigures, globalFigures] = [await own.collect(), await global.collect()];
  t.deepEqual([figuresOf(ownFigures, 'app')[max], figuresOf(ownFigures, 'other')[max]], [8, undefined]);
  t.deepEqual([figuresOf(globalFigures, 'app')[max], figuresOf(globalFigures, 'other')[max]], [undefined, 8]);
  t.deepEqual([poolsOf(ownTracing), poolsOf(globalTracing)], [['other'], ['app']]);
  for (const watch of watches) watch.stop();
});

test.serial('an option that is unknown or no provider is refused by name', (t) => {
  const pool = temporaryPool(t);
  const refused = (options: unknown, option: string) =>
    t.like(
      t.throws(() => instrument(pool, options as never), { code: 'ERR_LEASEHOLD_OPTIONS' }),
      { option },
    );
  refused({ meterprovider: {} }, 'meterprovider');
  for (const value of [null, 1, 'global', {}, { getMeter: true }, { getTracer() {} }]) {
    refused({ meterProvider: value }, 'meterProvider');
  }
  for (const value of [null, 1, 'global', {}, { getTracer: true }, { getMeter() {} }]) {
    refused({ tracerProvider: value }, 'tracerProvider');
  }
  for (const value of [null, 1, [], 'x'])
    t.throws(() => instrument(pool, value as never), { code: 'ERR_LEASEHOLD_OPTIONS' });
  t.notThrows(() => instrument(pool, { meterProvider: undefined, tracerProvider: undefined }).stop());
  t.notThrows(() => instrument(pool, {}).stop());
});
