import test from 'ava';
import { accounts } from './bank.ts';
import { type Plan, Plans } from './plans.ts';
import { Random } from './random.ts';

const first = (count: number, plans: Plans): Plan[] => Array.from({ length: count }, () => plans.next());

test('the operations of a worker are a function of seed, worker and incarnation', (t) => {
  const plans = first(500, new Plans(1, 2, 3));
  t.deepEqual(first(500, new Plans(1, 2, 3)), plans);
  for (const others of [new Plans(2, 2, 3), new Plans(1, 3, 3), new Plans(1, 2, 4), new Plans(2, 1, 3)])
    t.notDeepEqual(first(500, others), plans);
});

test('every kind of operation comes, in every place, and no transfer has the number of another', (t) => {
  const plans = first(5000, new Plans(1, 1, 1));
  t.is(new Set(plans.map(({ kind }) => kind)).size, 14);
  t.is(new Set(plans.map(({ place }) => place)).size, 6);
  const parts = plans.flatMap((plan) => plan.parts);
  t.is(new Set(parts.map(({ number }) => number)).size, parts.length);
  t.true(parts.every(({ source, target }) => [source, target].every((id) => id >= 1 && id <= accounts)));
});

test('random numbers are the same everywhere, and spread evenly', (t) => {
  const random = new Random(1, 2, 3);
  const counts = new Map<number, number>();
  for (let draw = 0; draw < 10_000; draw++) {
    const value = random.integer(1, 10);
    counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  t.deepEqual(
    [...counts.keys()].toSorted((a, b) => a - b),
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
  );
  // Four standard deviations.
  t.true([...counts.values()].every((count) => Math.abs(count - 1000) < 120));
  const weights = { often: 99, seldom: 1 };
  const drawn = Array.from({ length: 1000 }, () => random.weighted(weights));
  const seldom = drawn.filter((name) => name === 'seldom').length;
  t.true(seldom > 0 && seldom < 40);
});
