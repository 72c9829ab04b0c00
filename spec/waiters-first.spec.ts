import test from 'ava';
import * as fc from 'fast-check';
import { WaiterQueue, type WaiterRequest } from '../lib/waiters.ts';
import { FakeClock } from './support/clock.ts';
import { waiterRequest } from './support/requests.ts';

// Who is told of those that wait: the first, in the order of their turn, without taking anybody out.

function harness() {
  const clock = new FakeClock();
  const queue: WaiterQueue<WaiterRequest, string> = new WaiterQueue<WaiterRequest, string>(clock, {
    timeoutError: () => new Error('late'),
    onTimeout: () => {},
    onAborted: () => {},
  });
  const add = (label: string, options: Partial<WaiterRequest> = {}) => {
    const waiter = queue.add(waiterRequest(clock, { label, ...options }));
    waiter.promise?.catch(() => {});
    return waiter;
  };
  const first = (limit: number) => queue.first(limit).map(({ label }) => label);
  return { clock, queue, add, first };
}

test('the first are told in the order of their turn: by priority, then arrival', (t) => {
  const { add, first, queue } = harness();
  add('a');
  add('b', { priority: 1 });
  add('c', { timeout: 5 });
  add('d', { priority: -1, timeout: Infinity });
  add('e', { priority: 1 });
  t.deepEqual(first(10), ['b', 'e', 'a', 'c', 'd']);
  t.deepEqual(first(5), ['b', 'e', 'a', 'c', 'd']);
  t.deepEqual(first(2), ['b', 'e']);
  t.deepEqual(first(1), ['b']);
  t.deepEqual(first(0), []);
  t.is(queue.size, 5);
});

test('nobody waits in an empty queue', (t) => {
  t.deepEqual(harness().first(3), []);
});

test('who has been served, has given up or was refused is not told', (t) => {
  const { add, first, queue, clock } = harness();
  const end = new AbortController();
  add('served');
  add('late', { timeout: 10 });
  add('aborted', { signal: end.signal });
  const refused = add('refused');
  add('waits');
  queue.next()?.grant('');
  clock.advance(10);
  end.abort();
  refused.reject(new Error('no'));
  t.deepEqual(first(10), ['waits']);
});

test('who is late but has not been told so yet is still told of', (t) => {
  const { add, first, clock } = harness();
  add('late', { timeout: 10 });
  clock.skip(20);
  t.deepEqual(first(10), ['late']);
});

test('whoever waits, the first told are those who are served first', (t) => {
  const step = fc.oneof(
    fc.record({
      do: fc.constant('add' as const),
      priority: fc.integer({ min: -2, max: 2 }),
      timeout: fc.constantFrom(50, 100, Infinity),
    }),
    fc.record({ do: fc.constantFrom('serve' as const, 'pass') }),
  );
  const property = fc.property(fc.array(step, { maxLength: 60 }), fc.nat(8), (steps, limit) => {
    const { add, queue, first, clock } = harness();
    for (const [index, each] of steps.entries()) {
      if (each.do === 'add') add(`${index}`, each);
      else if (each.do === 'serve') queue.next()?.grant('');
      else clock.advance(9);
    }
    const told = first(limit);
    const served: (string | undefined)[] = [];
    for (let next = queue.next(); next !== undefined; next = queue.next()) {
      served.push(next.request.label);
      next.grant('');
    }
    return JSON.stringify(told) === JSON.stringify(served.slice(0, limit));
  });
  t.notThrows(() => fc.assert(property, { numRuns: 300 }));
});

test('the first of very many are found in one pass, though those that come last are first', (t) => {
  const { add, queue } = harness();
  let asked = 0;
  for (let index = 0; index < 20_000; index++) {
    const waiter = add(`${index}`);
    const { request } = waiter;
    Object.defineProperty(waiter, 'request', {
      configurable: true,
      get: () => {
        asked++;
        return request;
      },
    });
  }
  t.is(queue.first(100).length, 100);
  // Each is compared a few times, not with all others.
  t.true(asked < 20_000 * 10, `${asked} looks`);
});
