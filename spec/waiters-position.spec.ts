import test from 'ava';
import * as fc from 'fast-check';
import { ScopeRef } from '../lib/holder.ts';
import { WaiterQueue, type WaiterRequest } from '../lib/waiters.ts';
import { FakeClock } from './support/clock.ts';
import { waiterRequest } from './support/requests.ts';

/** A queue that keeps a record of who gave up at which place, and of how many waited then. */
function harness() {
  const clock = new FakeClock();
  const gaveUp: [label: string | undefined, position: number | undefined, of: number][] = [];
  /** Called for each that gives up. */
  const also: { onTimeout?: (label: string | undefined) => void } = {};
  const queue: WaiterQueue<WaiterRequest, string> = new WaiterQueue<WaiterRequest, string>(clock, {
    timeoutError: ({ label }, position) => {
      gaveUp.push([label, position, queue.size]);
      return new Error(label);
    },
    onTimeout: ({ label }) => also.onTimeout?.(label),
    onAborted: () => {},
  });
  const add = (label: string, options: Partial<WaiterRequest> = {}) => {
    const waiter = queue.add(waiterRequest(clock, { label, ...options }));
    waiter.promise?.catch(() => {});
    return waiter;
  };
  return { clock, queue, gaveUp, also, add };
}

test('who gives up is told its place in the order of arrival, from 1', (t) => {
  const { clock, gaveUp, add, queue } = harness();
  add('first');
  add('second', { timeout: 20 });
  add('third', { timeout: 10 });
  clock.advance(10);
  t.deepEqual(gaveUp, [['third', 3, 3]]);
  clock.advance(10);
  t.deepEqual(gaveUp.at(-1), ['second', 2, 2]);
  clock.advance(1000);
  t.deepEqual(gaveUp.at(-1), ['first', 1, 1]);
  t.is(queue.size, 0);
});

test('a higher priority comes before, whenever it came; an equal one that came later does not', (t) => {
  const { clock, gaveUp, add } = harness();
  add('low', { priority: -1 });
  add('ahead');
  add('asked', { timeout: 10 });
  add('behind');
  add('high', { priority: 5 });
  add('a little higher', { priority: 0.5 });
  clock.advance(10);
  t.deepEqual(gaveUp, [['asked', 4, 6]]);
});

test('those who give up at the same time leave one after the other, the first in line not always first', (t) => {
  const { clock, gaveUp, add } = harness();
  add('stays');
  add('a', { timeout: 10 });
  add('b', { timeout: 10, priority: 1 });
  add('c', { timeout: 10 });
  clock.advance(10);
  t.deepEqual(gaveUp, [
    ['a', 3, 4],
    ['b', 1, 3],
    ['c', 2, 2],
  ]);
});

test('those with another timeout that are due in the same moment still count', (t) => {
  const { clock, gaveUp, add } = harness();
  add('long', { timeout: 30 });
  clock.skip(10);
  add('middle', { timeout: 20 });
  add('stays');
  clock.skip(10);
  add('short', { timeout: 10 });
  clock.advance(10);
  t.deepEqual(gaveUp, [
    ['long', 1, 4],
    ['middle', 1, 3],
    ['short', 2, 2],
  ]);
});

test('where the timer comes late, the earlier deadline leaves first and no longer counts', (t) => {
  const { clock, gaveUp, add } = harness();
  add('second to go', { timeout: 20 });
  add('first to go', { timeout: 10 });
  add('stays');
  clock.skip(500);
  clock.advance(0);
  t.deepEqual(gaveUp, [
    ['first to go', 2, 3],
    ['second to go', 1, 2],
  ]);
});

test('whoever has been served, refused, aborted or cancelled no longer counts', (t) => {
  const { clock, queue, gaveUp, add } = harness();
  const scope = new ScopeRef(1);
  const controller = new AbortController();
  add('granted').grant('connection');
  add('refused').reject(new Error('refused'));
  add('aborted', { signal: controller.signal });
  add('of a scope', { scope });
  add('taken out').grant('connection');
  add('stays');
  add('asked', { timeout: 10 });
  controller.abort();
  queue.rejectScope(scope, () => new Error('over'));
  clock.advance(10);
  t.deepEqual(gaveUp, [['asked', 2, 2]]);
});

test('one that was handed a connection at the head of the queue no longer counts, nor one refused there', (t) => {
  const { clock, queue, gaveUp, add } = harness();
  add('late', { timeout: 5 });
  const served = add('served');
  add('asked', { timeout: 10 });
  clock.skip(5);
  t.is(queue.next(), served);
  served.grant('connection');
  t.deepEqual(gaveUp, [['late', 1, 3]], 'whose turn it was, and so at its head');
  clock.advance(5);
  t.deepEqual(gaveUp.at(-1), ['asked', 1, 1]);
});

test('those who come while others give up count from then on, by their priority', (t) => {
  const { clock, gaveUp, also, add } = harness();
  add('first', { timeout: 10 });
  add('second', { timeout: 10 });
  also.onTimeout = (label) => {
    if (label !== 'first') return;
    add('urgent', { priority: 1 });
    add('patient');
  };
  clock.advance(10);
  t.deepEqual(gaveUp, [
    ['first', 1, 2],
    ['second', 2, 3],
  ]);
});

test('a place is told in a queue of 5000, and in a longer one only when it has become shorter', (t) => {
  const { clock, gaveUp, add } = harness();
  for (let index = 0; index < 4999; index++) add('others', { timeout: 2000 });
  add('last of 5000', { timeout: 10 });
  clock.advance(10);
  t.deepEqual(gaveUp, [['last of 5000', 5000, 5000]]);
  add('in between');
  const gone = add('one too many', { timeout: 500 });
  add('last of 5002', { timeout: 20 });
  add('head of 5003', { timeout: 30, priority: 1 });
  clock.advance(30);
  t.deepEqual(gaveUp.slice(1), [
    ['last of 5002', undefined, 5003],
    ['head of 5003', undefined, 5002],
  ]);
  gone.reject(new Error('refused'));
  add('last of 5001', { timeout: 5 });
  clock.advance(5);
  t.deepEqual(gaveUp.at(-1), ['last of 5001', undefined, 5001]);
});

test('of more than 5000 that give up at once, the last 5000 are told their place', (t) => {
  const { clock, gaveUp, add } = harness();
  for (let index = 0; index < 5002; index++) add(`${index}`, { timeout: 10 });
  clock.advance(10);
  t.deepEqual(
    gaveUp.slice(0, 3).map(([, position, of]) => [position, of]),
    [
      [undefined, 5002],
      [undefined, 5001],
      [1, 5000],
    ],
  );
  t.is(gaveUp.length, 5002);
  t.true(
    gaveUp.slice(2).every(([, position]) => position === 1),
    'each is the first of those who are left',
  );
});

test('whatever comes, goes and gives up, a place is one more than those who would be served before', (t) => {
  const step = fc.oneof(
    fc.record({
      do: fc.constant('add' as const),
      timeout: fc.integer({ min: 1, max: 20 }),
      priority: fc.integer({ min: 0, max: 2 }),
    }),
    fc.record({ do: fc.constant('serve' as const) }),
    fc.record({ do: fc.constant('refuse' as const), index: fc.nat(30) }),
    fc.record({ do: fc.constant('pass' as const), time: fc.integer({ min: 1, max: 8 }) }),
    fc.record({ do: fc.constant('skip' as const), time: fc.integer({ min: 1, max: 8 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { clock, queue, gaveUp, add, also } = harness();
      /** Who waits, in the order of service. */
      let line: { label: string; priority: number; waiter: ReturnType<typeof add> }[] = [];
      let expected = 0;
      also.onTimeout = (label) => {
        const [, position, of] = gaveUp.at(-1) ?? [];
        t.is(of, line.length);
        t.is(position, line.findIndex((one) => one.label === label) + 1);
        line = line.filter((one) => one.label !== label);
        expected++;
      };
      for (const [index, given] of steps.entries()) {
        if (given.do === 'add') {
          const { timeout, priority } = given;
          const label = `${index}`;
          const waiter = add(label, { timeout, priority });
          line = [...line, { label, priority, waiter }].toSorted((a, b) => b.priority - a.priority);
        } else if (given.do === 'pass') clock.advance(given.time);
        else if (given.do === 'skip') clock.skip(given.time);
        else if (given.do === 'serve') {
          const waiter = queue.next();
          t.is(waiter, line[0]?.waiter);
          waiter?.grant('connection');
          line = line.slice(1);
        } else {
          const one = line[given.index];
          one?.waiter.reject(new Error('refused'));
          line = line.filter((other) => other !== one);
        }
      }
      clock.advance(100);
      t.is(queue.size, 0);
      t.is(gaveUp.length, expected);
      queue.dispose();
    }),
    { numRuns: 200 },
  );
});
