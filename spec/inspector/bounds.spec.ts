import test from 'ava';
import type { LeasedDatabase } from '../../lib/index.ts';
import { settled } from '../support/gate.ts';
import { collected } from '../support/gc.ts';
import { watchedPool } from './support/watched.ts';

// Whatever happens in a pool, what is kept and told of it stays within a bound.

const megabyte = 1e6;

test('a hundred thousand leases in a tick are four bars and a sum', async (t) => {
  const { pool, clock, monitor, tick } = await watchedPool(t);
  for (let lease = 0; lease < 100_000; lease++) {
    const db = pool.tryAcquire() as LeasedDatabase;
    if (lease % 1000 === 0) clock.skip(0.5);
    db.close();
  }
  const reader = await tick();
  t.is(reader.bars().length, 4);
  t.deepEqual(
    reader.rest().map(({ leases }) => leases),
    [99_996],
  );
  t.true(monitor.report().length < 20_000);
});

test('ten thousand who wait are counted, and the first hundred told', async (t) => {
  const { pool, monitor, read } = await watchedPool(t, { max: 1, maxWaiting: 20_000 });
  const holder = await pool.acquire();
  const end = new AbortController();
  const waiting = Array.from({ length: 10_000 }, (_, at) =>
    pool.acquire({ label: `waiter ${at}`, priority: at % 3, signal: end.signal }).catch(() => {}),
  );
  const writers = Array.from({ length: 200 }, () => pool.transaction(() => {}, { signal: end.signal }).catch(() => {}));
  await settled();
  const { waiters, waiting: count } = read().state();
  t.is(count, 10_000);
  t.deepEqual(
    waiters.slice(0, 3).map(({ label, priority }) => [label, priority]),
    [
      ['waiter 2', 2],
      ['waiter 5', 2],
      ['waiter 8', 2],
    ],
  );
  t.is(waiters.filter((waiter) => waiter.for === 'connection').length, 100);
  t.true(monitor.report().length < 60_000);
  end.abort();
  await Promise.all([...waiting, ...writers]);
  holder.close();
});

test('of five thousand labels the twenty that held for longest are told', async (t) => {
  const { pool, clock, monitor, tick } = await watchedPool(t);
  for (let label = 0; label < 5000; label++) {
    await pool.withConnection(() => clock.skip(label === 700 ? 9 : 0.001), { label: `label ${label}` });
  }
  const reader = await tick(11);
  const { labels } = reader.state();
  t.is(labels.length, 20);
  t.true(labels.some(({ label }) => label === 'label 700'));
  t.true(
    labels.some(({ label }) => label === undefined),
    'all those beyond a thousand together',
  );
  t.true(monitor.report().length < 60_000);
});

for (const [what, unit] of [
  ['letters', 'x'],
  ['controls, each of which takes six in JSON', '\u0000'],
  ['halves of pairs', '\ud83d'],
] as const) {
  test(`labels, names and stacks of a megabyte of ${what} are told in part`, async (t) => {
    const label = unit.repeat(megabyte);
    const { pool, clock, monitor, tick, read } = await watchedPool(t, { name: label, max: 2, leakThreshold: 100 });
    for (let lease = 0; lease < 20; lease++) {
      await pool.withConnection(() => clock.skip(1), { label: `${label}${lease}` });
    }
    const held = [
      await pool.acquire({ label }),
      await pool.acquire({ label, write: true }),
      await pool.acquire({ label }),
    ];
    const waiting = [pool.acquire({ label, timeout: 20 }), pool.transaction(() => {}, { label, timeout: 20 })];
    const refused = Promise.allSettled(waiting);
    await settled();
    t.is(read().state().waiters.length, 2);
    await clock.pass(30);
    await refused;
    await clock.pass(200_000);
    for (const db of held) db.close();
    const reader = await tick();
    t.true(reader.bars().length > 0);
    t.true(monitor.report().length < 200_000, `${monitor.report().length} characters`);
  });
}

test('where each lease has a connection of its own, a tick has a bounded number of bars and sums', async (t) => {
  const { pool, clock, monitor, tick } = await watchedPool(t, { maxUses: 1 });
  for (let lease = 0; lease < 1000; lease++)
    await pool.withConnection(() => clock.skip(0.1), { label: 'GET /some/path' });
  const reader = await tick();
  t.true(reader.bars().length <= 256, `${reader.bars().length} bars`);
  t.true(reader.rest().length <= 257, `${reader.rest().length} sums`);
  t.true(monitor.report().length < 100_000);
});

test('a complete report of the busiest minute there can be has a bound', async (t) => {
  const { pool, clock, monitor } = await watchedPool(t, { max: 64 });
  for (let tick = 0; tick < 120; tick++) {
    for (let round = 0; round < 5; round++) {
      const leases = await Promise.all(Array.from({ length: 64 }, () => pool.acquire({ label: 'y'.repeat(300) })));
      clock.skip(1);
      for (const lease of leases) lease.close();
    }
    await clock.pass(500);
  }
  // 120 ticks of 64 connections: four bars and a sum of each, of less than 400 characters.
  const { length } = monitor.report();
  t.true(length < 120 * 64 * 5 * 400, `${length} characters`);
  t.true(length > megabyte);
});

test('a storm of errors leaves twenty notes of each tick, of two thousand characters', async (t) => {
  const { pool, monitor, tick } = await watchedPool(t, { max: 1 });
  const holder = await pool.acquire({ label: 'z'.repeat(5000) });
  const refused = Array.from({ length: 500 }, () =>
    pool.acquire({ label: 'z'.repeat(5000), timeout: 10 }).catch(() => {}),
  );
  const reader = await tick();
  await Promise.all(refused);
  holder.close();
  const notes = reader.of()[0]?.notes ?? [];
  t.is(notes.length, 20);
  for (const { message, label } of notes) t.true(message.length <= 2001 && (label ?? '').length <= 201);
  t.is(reader.state().counters['timeouts'], 500);
  t.true(monitor.report().length < 100_000);
  // The next tick has room for its own.
  await pool.withConnection((db) => db.discard('again'));
  t.is((await tick()).of().at(-1)?.notes.length, 1);
});

for (const hook of ['onAcquire', 'onRelease'] as const) {
  // Serial: what other tests keep would be counted.
  test.serial(`an ${hook} hook that writes for ever leaves nothing behind`, async (t) => {
    let isOn = false;
    const { pool, tick } = await watchedPool(t, {
      [hook]: (db: LeasedDatabase) => {
        if (isOn) db.transaction(() => {}).immediate();
      },
    });
    isOn = true;
    const measure = async (): Promise<number> => {
      for (let lease = 0; lease < 3000; lease++) await pool.withConnection(() => {});
      await tick();
      await collected(() => true);
      return process.memoryUsage().heapUsed;
    };
    await measure();
    const first = await measure();
    const later = await measure();
    // A track of each lease would be 200 bytes at the least.
    t.true(later - first < 3000 * 150, `${later - first} bytes more`);
  });
}
