import test, { type ExecutionContext } from 'ava';
import { acquires, transactions } from '../../lib/channels.ts';
import { createPool } from '../../lib/index.ts';
import { instrument } from '../../lib/telemetry/opentelemetry.ts';
import { temporaryFile } from '../support/files.ts';
import { gate, settled } from '../support/gate.ts';
import { collected } from '../support/gc.ts';
import { figuresOf, metricsSdk, tracingSdk } from '../support/opentelemetry.ts';
import { temporaryPool } from '../support/sqlite.ts';

// When the watching of a pool ends. One test after the other, for the channels are those of the process.

function sdk(t: ExecutionContext) {
  const metrics = metricsSdk(t);
  const tracing = tracingSdk(t);
  const options = { meterProvider: metrics.meterProvider, tracerProvider: tracing.tracerProvider };
  return { ...metrics, ...tracing, options };
}

/** Whether anybody listens to what any pool of the process does. */
function isTraced(): boolean {
  return acquires.isActive || transactions.isActive;
}

const max = 'db.client.connection.max';
const useTime = 'db.client.connection.use_time';
const table = 'CREATE TABLE IF NOT EXISTS item (name TEXT)';

const ends = {
  'stop()': (watch: ReturnType<typeof instrument>) => watch.stop(),
  'the end of its block': (watch: ReturnType<typeof instrument>) => {
    using ending = watch;
    void ending;
  },
};

for (const [how, end] of Object.entries(ends)) {
  test.serial(`after ${how} nothing more of the pool is told, and ending it twice harms nobody`, async (t) => {
    const { options, collect, spans, inSpan } = sdk(t);
    const pool = temporaryPool(t, { name: 'app' });
    const other = temporaryPool(t, { name: 'other' });
    const watch = instrument(pool, options);
    const otherWatch = instrument(other, options);
    await pool.run(table);
    await pool.transaction(() => {});
    const told = figuresOf(await collect(), 'app');
    t.like(told, { [max]: 8, [useTime]: 2 });
    const before = spans().length;
    t.true(before > 0);
    end(watch);
    end(watch);
    await pool.transaction(() => {});
    await t.throwsAsync(pool.transaction(() => Promise.reject(new Error('no'))));
    pool.resize({ max: 3 });
    const { [useTime]: used, [max]: most } = figuresOf(await collect(), 'app');
    t.is(used, told[useTime]);
    // The SDK goes on to export what it was told last.
    t.true([undefined, 0, told[max]].includes(most), `${most}`);
    t.is(spans().length, before);
    t.true(isTraced(), 'by the watch of the other pool');
    await inSpan('GET /', () => other.transaction(() => {}));
    t.true(spans().length > before);
    t.is(figuresOf(await collect(), 'other')['db.client.connection.max'], 8);
    end(otherWatch);
    t.false(isTraced());
  });
}

test.serial('a pool may be watched again, and by several', async (t) => {
  const { options, collect, spans } = sdk(t);
  const second = sdk(t);
  const pool = temporaryPool(t, { name: 'app' });
  instrument(pool, options).stop();
  const watches = [instrument(pool, options), instrument(pool, second.options)];
  await pool.run(table);
  await pool.transaction(() => {});
  const named = (name: string) => spans().filter((span) => span.name === name).length;
  t.is(named('leasehold.transaction'), 1);
  t.is(second.spans().filter((span) => span.name === 'leasehold.transaction').length, 1);
  for (const from of [collect, second.collect]) {
    t.like(figuresOf(await from(), 'app'), { 'db.client.connection.wait_time': 2, 'db.client.connection.max': 8 });
  }
  for (const watch of watches) watch.stop();
});

test.serial('the span of a transaction that is under way at stop() is ended by then or with it', async (t) => {
  const { options, spans } = sdk(t);
  const pool = temporaryPool(t);
  await pool.run(table);
  const watch = instrument(pool, options);
  const open = gate();
  const running = pool.transaction(() => open.passed);
  await settled();
  watch.stop();
  open.open();
  await running;
  t.deepEqual(
    spans().map(({ name }) => name),
    ['leasehold.transaction'],
  );
});

test.serial('a closed pool has no figures any more', async (t) => {
  const { options, collect } = sdk(t);
  const pool = temporaryPool(t, { name: 'app' });
  const watch = instrument(pool, options);
  await pool.run(table);
  await pool.close();
  const figures = figuresOf(await collect(), 'app');
  t.deepEqual(Object.keys(figures).toSorted(), [
    'db.client.connection.create_time',
    'db.client.connection.use_time',
    'db.client.connection.wait_time',
  ]);
  t.is(figures['db.client.connection.use_time'], 1, 'the last release too');
  watch.stop();
});

test.serial(
  'a closed pool counts no connections and nobody who waits, though it had some when it was last asked',
  async (t) => {
    const { options, collect } = sdk(t);
    const pool = temporaryPool(t, { name: 'app', max: 1 });
    const watch = instrument(pool, options);
    await pool.acquire();
    const refused = t.throwsAsync(pool.acquire());
    t.like(figuresOf(await collect(), 'app'), {
      'db.client.connection.count used': 1,
      'db.client.connection.pending_requests': 1,
    });
    await pool.close({ timeout: 0 });
    await refused;
    const figures = figuresOf(await collect(), 'app');
    for (const name of ['count idle', 'count used', 'pending_requests']) {
      t.true([0, undefined].includes(figures[`db.client.connection.${name}`]), name);
    }
    watch.stop();
  },
);

test.serial('the close of a pool ends its watch: no other pool is traced for it any more', async (t) => {
  const { options } = sdk(t);
  const pool = temporaryPool(t);
  const watch = instrument(pool, options);
  t.true(isTraced());
  await pool.close();
  const wasTraced = isTraced();
  watch.stop();
  t.false(wasTraced);
});

test.serial('a pool that is dropped without close is collected, though it is watched', async (t) => {
  const { options, collect } = sdk(t);
  const { pool, watch } = await dropped(t, options);
  // Its timers refer to it for as long as one may wait.
  t.true(await collected(() => pool.deref() === undefined));
  t.is(figuresOf(await collect(), 'app')['db.client.connection.max'], undefined);
  watch.deref()?.stop();
});

test.serial('the watch of a pool that is dropped without close ends', async (t) => {
  const { options } = sdk(t);
  await dropped(t, options);
  t.true(await collected(() => !isTraced()));
});

/** A pool that was watched and used, and that nobody but its watch can know of any more. */
async function dropped(t: ExecutionContext, options: Parameters<typeof instrument>[1]) {
  const pool = createPool(temporaryFile(t), { name: 'app', acquireTimeout: 500 });
  const watch = instrument(pool, options);
  await pool.run(table);
  await pool.transaction(() => {});
  return { pool: new WeakRef(pool), watch: new WeakRef(watch) };
}
