import test from 'ava';
import * as fc from 'fast-check';
import type { Durations } from '../../lib/index.ts';
import { EndedLease } from '../../lib/inspector/ended-lease.ts';
import { Longest } from '../../lib/inspector/longest.ts';
import type { Quantiles } from '../../lib/inspector/wire.ts';
import { labelledPool } from '../support/labels.ts';
import { watch, watchedPool } from './support/watched.ts';

// What is told of a pool as it is now: its figures, its labels, and what was longest.

const quantiles = ({ count, p50, p95, p99, max }: Durations): Quantiles => ({ count, p50, p95, p99, max });

const cut = (value: number) => Math.round(value * 100) / 100;

function rounded({ count, p50, p95, p99, max }: Quantiles): Quantiles {
  return { count, p50: cut(p50), p95: cut(p95), p99: cut(p99), max: cut(max) };
}

test('the figures are those of the pool itself', async (t) => {
  const { pool, clock, read } = await watchedPool(t, { max: 4, min: 1 });
  for (const time of [3, 5, 8]) await pool.withConnection(() => clock.skip(time));
  const held = [await pool.acquire(), await pool.acquire()];
  pool.resize({ max: 5 });
  const { size, idle, leased, waiting, max, min, counters, waitTime, holdTime, openTime } = pool.stats();
  const state = read().state();
  t.like(state, { id: pool.id, name: 'app', closed: false, size, idle, leased, waiting, max, min });
  t.deepEqual({ ...state.counters }, { ...counters });
  t.deepEqual(
    [state.waitTime, state.holdTime, state.openTime],
    [waitTime, holdTime, openTime].map((durations) => rounded(quantiles(durations))),
  );
  for (const db of held) db.close();
});

test('labels are told by how long their leases were held in all, and again after five seconds', async (t) => {
  const { pool, clock } = await labelledPool(t);
  const { read, tick } = watch(t, [pool], clock);
  const use = (label: string, time: number) => pool.withConnection(() => clock.skip(time), { label });
  await use('short', 1);
  await use('long', 30);
  await use('often', 20);
  await use('often', 20);
  t.deepEqual(
    read()
      .state()
      .labels.map(({ label, acquired, leased, holdTime }) => [label, acquired, leased, holdTime.count]),
    [
      ['often', 2, 0, 2],
      ['long', 1, 0, 1],
      ['short', 1, 0, 1],
    ],
  );
  await use('short', 100);
  const reader = await tick(11);
  t.is(reader.state().labels[0]?.label, 'short');
});

test('the longest leases are told, longest first, whichever tick they ended in', async (t) => {
  const { pool, clock, tick } = await watchedPool(t);
  const times = Array.from({ length: 30 }, (_, index) => ((index * 7) % 30) + 1);
  for (const time of times) {
    await pool.withConnection(() => clock.skip(time), { label: `${time}` });
    if (time % 3 === 0) await tick();
  }
  const { longest } = (await tick()).state();
  t.deepEqual(
    longest.map(({ label }) => Number(label)),
    Array.from({ length: 20 }, (_, index) => 30 - index),
  );
});

interface Ended {
  readonly at: number;
  readonly held: number;
}

function leaseOf({ at, held }: Ended, id: number): EndedLease {
  const bar = { lease: id, connection: 1, label: undefined, from: at - held, to: at, waited: 0, writes: [], reads: [] };
  return new EndedLease(bar, undefined, undefined, undefined);
}

/** What it tells of leases that were given to it, each when it ended. */
function told(ended: readonly Ended[], now: number): number[] {
  const longest = new Longest();
  for (const [id, each] of ended.entries())
    if (longest.takes(each.held, each.at)) longest.add(leaseOf(each, id), each.at);
  return longest.list(now).map(({ held }) => held);
}

test('the longest are the longest of the last ten minutes, whenever they ended', (t) => {
  const step = fc.record({ after: fc.oneof(fc.nat(100), fc.nat(90_000)), held: fc.integer({ min: 1, max: 1e6 }) });
  const property = fc.property(fc.array(step, { maxLength: 200 }), fc.nat(60_000), (steps, wait) => {
    let at = 0;
    const ended = steps.map(({ after, held }) => {
      at += after;
      return { at, held };
    });
    const now = at + wait;
    const recent = ended.filter((each) => now - each.at < 600_000).map(({ held }) => held);
    const expected = recent.toSorted((a, b) => b - a).slice(0, 20);
    return JSON.stringify(told(ended, now)) === JSON.stringify(expected);
  });
  t.notThrows(() => fc.assert(property, { numRuns: 500 }));
});

test('one that ended just less than ten minutes ago is among the longest still', (t) => {
  const minutes = Array.from({ length: 10 }, (_, index) => ({ at: 60_000 * (index + 1), held: 1 }));
  const ended = [{ at: 0, held: 2 }, { at: 59_000, held: 5000 }, ...minutes];
  t.is(told(ended, 600_000)[0], 5000);
  t.is(told(ended, 658_999)[0], 5000);
  t.is(told(ended, 659_000)[0], 1);
});
