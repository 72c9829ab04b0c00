import test from 'ava';
import { Registry, register } from 'prom-client';
import { SqlitePool } from '../../lib/sqlite/pool.ts';
import { gauges, timings } from '../../lib/telemetry/figures.ts';
import { collect } from '../../lib/telemetry/prometheus.ts';
import { FakeClock } from '../support/clock.ts';
import { temporaryFile } from '../support/files.ts';
import { collected } from '../support/gc.ts';
import { names, of, prefix, type Scraped, served } from '../support/prometheus.ts';
import { temporaryPool } from '../support/sqlite.ts';

// Which pools are in which registry, from when and until when.

const figures = [...gauges, ...timings];

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
  t.true(await collected(() => dropped.deref() === undefined, 400));
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
