import test from 'ava';
import { type Deadlined, Deadlines } from '../lib/deadlines.ts';

class Item implements Deadlined {
  readonly deadline: number;
  settled = false;

  constructor(deadline: number) {
    this.deadline = deadline;
  }
}

/** Adds an item at time `now`. */
function add(deadlines: Deadlines<Item>, now: number, timeout: number): Item {
  const item = new Item(now + timeout);
  deadlines.add(item, timeout);
  return item;
}

test('what is due comes earliest first, whatever its timeout, and once', (t) => {
  const deadlines = new Deadlines<Item>();
  const long = add(deadlines, 0, 100);
  const short = add(deadlines, 10, 50);
  const late = add(deadlines, 30, 100);
  t.deepEqual(deadlines.due(59), { items: [], next: 60 });
  t.deepEqual(deadlines.due(60), { items: [short], next: 100 });
  add(deadlines, 70, 50);
  t.deepEqual(
    deadlines.due(125).items.map(({ deadline }) => deadline),
    [100, 120],
  );
  t.deepEqual(deadlines.due(125), { items: [], next: 130 });
  t.deepEqual(deadlines.due(130), { items: [late], next: Infinity });
  t.is(long.deadline, 100);
});

test('what is settled is never due', (t) => {
  const deadlines = new Deadlines<Item>();
  const items = [1, 2, 3].map((now) => add(deadlines, now, 10));
  for (const item of items.slice(0, 2)) item.settled = true;
  t.deepEqual(deadlines.due(100), { items: items.slice(2), next: Infinity });
});

test('what never gives up is never due', (t) => {
  const deadlines = new Deadlines<Item>();
  add(deadlines, 0, Infinity);
  t.deepEqual(deadlines.due(Number.MAX_VALUE), { items: [], next: Infinity });
});

test('a sweep loses nobody who waits', (t) => {
  const deadlines = new Deadlines<Item>();
  const waiting: Item[] = [];
  for (let now = 0; now < 5000; now++) {
    const item = add(deadlines, now, now % 3 === 0 ? 10_000 : 20_000);
    if (now % 50 === 0) waiting.push(item);
    else item.settled = true;
    deadlines.settled(waiting.length);
    if (now === 2500) t.deepEqual(deadlines.due(now).items, []);
  }
  const due = deadlines.due(100_000).items;
  t.deepEqual(
    due,
    waiting.toSorted((a, b) => a.deadline - b.deadline),
  );
});

test('a sweep after some have been passed over skips nobody', (t) => {
  const deadlines = new Deadlines<Item>();
  const items = Array.from({ length: 100 }, (_, now) => add(deadlines, now, 1000));
  const waiting = items.slice(90);
  for (const item of items.slice(0, 90)) item.settled = true;
  t.deepEqual(deadlines.due(500), { items: [], next: 1090 });
  deadlines.settled(waiting.length);
  t.deepEqual(deadlines.due(5000).items, waiting);
});
