import test, { type ExecutionContext } from 'ava';
import { Registry, register } from 'prom-client';
import { SqlitePool } from '../../lib/sqlite/pool.ts';
import { buckets, gauges, timings } from '../../lib/telemetry/figures.ts';
import { instrument } from '../../lib/telemetry/opentelemetry.ts';
import { collect } from '../../lib/telemetry/prometheus.ts';
import { FakeClock } from '../support/clock.ts';
import { temporaryFile } from '../support/files.ts';
import { gate, settled } from '../support/gate.ts';
import { collected } from '../support/gc.ts';
import { figuresOf, metricsSdk } from '../support/opentelemetry.ts';
import { names, of, prefix, type Scraped, served } from '../support/prometheus.ts';
import { temporaryPool } from '../support/sqlite.ts';

const figures = [...gauges, ...timings];

/** Leaves a pool of 2 in a state of which every figure is another number. Returns what ends it. */
async function occupy(t: ExecutionContext, pool: SqlitePool): Promise<() => Promise<void>> {
  await pool.run('CREATE TABLE item (name TEXT)');
  const open = gate();
  const work: Promise<unknown>[] = [pool.transaction(() => open.passed)];
  await settled();
  work.push(...Array.from({ length: 4 }, () => pool.transaction(() => {})));
  const held = [await pool.acquire(), await pool.acquire()];
  await t.throwsAsync(pool.acquire({ timeout: 1 }));
  work.push(...Array.from({ length: 5 }, async () => (await pool.acquire()).close()));
  await settled();
  return async () => {
    open.open();
    for (const db of held) db.close();
    await Promise.all(work);
  };
}

test('Prometheus is told every figure of OpenTelemetry, under its name there, with its help and type', async (t) => {
  const { registry, scrape } = await served(t);
  collect(temporaryPool(t, { name: 'app' }), { registry });
  const { about, contentType } = await scrape();
  t.regex(contentType ?? '', /^text\/plain/);
  t.deepEqual(figures.map(({ name }) => name).toSorted(), Object.keys(names).toSorted());
  const expected = figures.map(({ name, description }) => {
    const [translated = '', type = ''] = names[name] ?? [];
    return [translated, { type, help: description }] as const;
  });
  t.deepEqual(about, new Map(expected));
});

test('while connections are held and waited for, a scrape gives the figures of `stats`', async (t) => {
  const { registry, scrape } = await served(t);
  const pool = temporaryPool(t, { name: 'app', max: 2, min: 1 });
  collect(pool, { registry });
  const end = await occupy(t, pool);
  const { values } = await scrape();
  const at = (name: string, state?: string) => values.get(of(`${prefix}_${name}`, 'app', state));
  const stats = pool.stats();
  t.like(stats, { leased: 3, idle: 0, waiting: 5, laneWaiting: 4, max: 2, min: 1, counters: { timeouts: 1 } });
  t.is(at('count', 'used'), stats.leased);
  t.is(at('count', 'idle'), stats.idle);
  t.is(at('pending_requests'), stats.waiting);
  t.is(at('max'), stats.max);
  t.is(at('idle_max'), stats.max);
  t.is(at('idle_min'), stats.min);
  t.is(at('timeouts_total'), stats.counters.timeouts);
  t.is(values.get(of('leasehold_write_lane_pending_requests', 'app')), stats.laneWaiting);
  await end();
  const after = await scrape();
  t.is(after.values.get(of(`${prefix}_count`, 'app', 'used')), 0);
  t.is(after.values.get(of(`${prefix}_count`, 'app', 'idle')), 3);
  for (const [name, key] of [
    ['wait', 'waitTime'],
    ['use', 'holdTime'],
    ['create', 'openTime'],
  ] as const) {
    const { count, mean } = pool.stats()[key];
    t.is(after.values.get(of(`${prefix}_${name}_time_seconds_count`, 'app')), count, name);
    const sum = after.values.get(of(`${prefix}_${name}_time_seconds_sum`, 'app')) ?? Number.NaN;
    t.true(count > 1 && Math.abs(sum - (mean * count) / 1000) < 1e-9, name);
  }
});

for (const { name } of timings) {
  test(`the buckets of ${name} are cumulative, and the last has all`, async (t) => {
    const { registry, scrape } = await served(t);
    const pool = temporaryPool(t, { name: 'app', max: 2 });
    collect(pool, { registry });
    await (await occupy(t, pool))();
    const { values } = await scrape();
    const [translated] = names[name] ?? [];
    const counts = [...buckets.map(String), '+Inf'].map((bound) =>
      values.get(`${translated}_bucket{le="${bound}",db_client_connection_pool_name="app"}`),
    );
    t.deepEqual(
      counts,
      counts.toSorted((a = Number.NaN, b = Number.NaN) => a - b),
    );
    t.is(counts.at(-1), values.get(of(`${translated}_count`, 'app')));
    t.true((counts.at(-1) ?? 0) > 1);
  });
}

for (const figure of figures) {
  test(`${figure.name} is the same number as in OpenTelemetry`, async (t) => {
    const { registry, scrape } = await served(t);
    const sdk = metricsSdk(t);
    const pool = temporaryPool(t, { name: 'app', max: 2, min: 1 });
    collect(pool, { registry });
    instrument(pool, { meterProvider: sdk.meterProvider });
    const end = await occupy(t, pool);
    const { values } = await scrape();
    const others = figuresOf(await sdk.collect(), 'app');
    const [translated = '', type] = names[figure.name] ?? [];
    const pairs =
      figure.name === 'db.client.connection.count'
        ? ['idle', 'used'].map((state) => [of(translated, 'app', state), `${figure.name} ${state}`] as const)
        : [[of(type === 'histogram' ? `${translated}_count` : translated, 'app'), figure.name] as const];
    for (const [ours, theirs] of pairs) {
      t.is(typeof values.get(ours), 'number', ours);
      t.is(values.get(ours), others[theirs]);
    }
    await end();
  });
}

test('pools in one registry are told apart by their names, and those of one name are added up', async (t) => {
  const { registry, scrape } = await served(t);
  const held = [];
  for (const [name, leases] of [
    ['app', 1],
    ['app', 2],
    ['reports', 4],
  ] as const) {
    const pool = temporaryPool(t, { name, max: 5 });
    collect(pool, { registry });
    for (let lease = 0; lease < leases; lease++) held.push(await pool.acquire());
  }
  // Each scrape sums anew.
  for (let round = 0; round < 2; round++) {
    const { values } = await scrape();
    t.is(values.get(of(`${prefix}_count`, 'app', 'used')), 3);
    t.is(values.get(of(`${prefix}_count`, 'reports', 'used')), 4);
    t.is(values.get(of(`${prefix}_max`, 'app')), 10);
    t.is(values.get(of(`${prefix}_wait_time_seconds_count`, 'app')), 3);
    t.is(values.get(of(`${prefix}_wait_time_seconds_count`, 'reports')), 4);
  }
  for (const db of held) db.close();
});

test('a name with quotes, backslashes and line breaks is a label still', async (t) => {
  const { registry, scrape } = await served(t);
  collect(temporaryPool(t, { name: 'a "b" \\ c\nd', max: 3 }), { registry });
  const { values } = await scrape();
  t.is(values.get(of(`${prefix}_max`, 'a \\"b\\" \\\\ c\\nd')), 3);
});

// Which pools are in which registry, from when and until when.

test('a registry that was cleared takes pools again', async (t) => {
  const { registry, scrape } = await served(t);
  collect(temporaryPool(t, { name: 'before' }), { registry });
  registry.clear();
  t.is((await scrape()).values.size, 0);
  const pool = temporaryPool(t, { name: 'after' });
  collect(pool, { registry });
  collect(temporaryPool(t, { name: 'later' }), { registry });
  await pool.withConnection(() => {});
  const { values } = await scrape();
  t.is(values.get(of(`${prefix}_use_time_seconds_count`, 'after')), 1);
  t.is(values.get(of(`${prefix}_max`, 'later')), 8);
});

for (const { name } of figures) {
  test(`a registry from which somebody took ${name} takes pools again`, async (t) => {
    const { registry, scrape } = await served(t);
    collect(temporaryPool(t, { name: 'before' }), { registry });
    const [translated = ''] = names[name] ?? [];
    registry.removeSingleMetric(translated);
    collect(temporaryPool(t, { name: 'after' }), { registry });
    const { about, values } = await scrape();
    t.true(about.has(translated));
    t.is(values.get(of(`${prefix}_max`, 'after')), 8);
  });
}

test('without a registry it is the default one of prom-client', async (t) => {
  t.teardown(() => register.clear());
  const { scrape } = await served(t, register);
  const pool = temporaryPool(t, { name: 'app', max: 7 });
  const watch = collect(pool);
  t.is((await scrape()).values.get(of(`${prefix}_max`, 'app')), 7);
  watch.stop();
  collect(pool, {}).stop();
  collect(pool, { registry: undefined }).stop();
});

const own = (values: Scraped['values'], pool: string): string[] =>
  [...values.keys()].filter((key) => key.includes(`"${pool}"`));

const isHistogram = (key: string): boolean => key.includes('_time_seconds');

const goings: Readonly<Record<string, (pool: SqlitePool, watch: ReturnType<typeof collect>) => unknown>> = {
  'is closed': (pool) => pool.close(),
  'is stopped': (_, watch) => {
    watch.stop();
    watch.stop();
  },
  'leaves the block of its watch': (_, watch) => {
    using ending = watch;
    void ending;
  },
};

for (const [what, go] of Object.entries(goings)) {
  test(`a pool that ${what} goes away from the gauges and counters, and no other with it`, async (t) => {
    const { registry, scrape } = await served(t);
    const pool = temporaryPool(t, { name: 'gone' });
    const watch = collect(pool, { registry });
    collect(temporaryPool(t, { name: 'app' }), { registry });
    await pool.withConnection(() => {});
    t.true(own((await scrape()).values, 'gone').length > 10);
    await go(pool, watch);
    if (!pool.closed) await pool.withConnection(() => {});
    const { values } = await scrape();
    t.deepEqual(
      own(values, 'gone').filter((key) => !isHistogram(key)),
      [],
    );
    t.is(values.get(of(`${prefix}_use_time_seconds_count`, 'gone')) ?? 1, 1, 'nothing more is recorded');
    t.is(values.get(of(`${prefix}_max`, 'app')), 8);
  });

  test(`a pool that ${what} goes away from the histograms, so that pools without end need no memory`, async (t) => {
    const { registry, scrape } = await served(t);
    const pool = temporaryPool(t, { name: 'gone' });
    const watch = collect(pool, { registry });
    await pool.withConnection(() => {});
    t.true(own((await scrape()).values, 'gone').some(isHistogram));
    await go(pool, watch);
    t.deepEqual(own((await scrape()).values, 'gone').filter(isHistogram), []);
  });
}

test('a pool that is dropped without close is collected, and goes away', async (t) => {
  const { registry, scrape } = await served(t);
  const clock = new FakeClock();
  const dropped = await (async () => {
    const pool = new SqlitePool(temporaryFile(t), { name: 'gone', acquireTimeout: 50 }, clock);
    collect(pool, { registry });
    await pool.withConnection(() => {});
    t.is((await scrape()).values.get(of(`${prefix}_max`, 'gone')), 8);
    return new WeakRef(pool);
  })();
  // Its timers refer to it for as long as one may wait.
  await clock.pass(50);
  t.true(await collected(() => dropped.deref() === undefined));
  t.is((await scrape()).values.get(of(`${prefix}_max`, 'gone')), undefined);
  await clock.pass(1000);
  t.is(clock.pending, 0, 'No timer is left of it');
});

test('an option that is unknown or no registry is refused by name', (t) => {
  const pool = temporaryPool(t);
  const refused = (options: unknown, option: string) =>
    t.like(
      t.throws(() => collect(pool, options as never), { code: 'ERR_LEASEHOLD_OPTIONS' }),
      { option },
    );
  refused({ registri: new Registry() }, 'registri');
  for (const value of [null, 1, 'default', {}, [], new Map()]) refused({ registry: value }, 'registry');
  for (const value of [null, 1, 'x', []]) {
    t.throws(() => collect(pool, value as never), { code: 'ERR_LEASEHOLD_OPTIONS' });
  }
});
