import test, { type ExecutionContext } from 'ava';
import type { SqlitePool } from '../../lib/index.ts';
import { buckets, gauges, timings } from '../../lib/telemetry/figures.ts';
import { instrument } from '../../lib/telemetry/opentelemetry.ts';
import { collect } from '../../lib/telemetry/prometheus.ts';
import { gate, settled } from '../support/gate.ts';
import { figuresOf, metricsSdk } from '../support/opentelemetry.ts';
import { names, of, prefix, served } from '../support/prometheus.ts';
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
