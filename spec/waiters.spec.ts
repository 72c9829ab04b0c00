import { getEventListeners } from 'node:events';
import test from 'ava';
import * as fc from 'fast-check';
import { AbortError } from '../lib/errors.ts';
import { ScopeRef } from '../lib/holder.ts';
import { type Waiter, WaiterQueue, type WaiterRequest } from '../lib/waiters.ts';
import { FakeClock } from './support/clock.ts';
import { settled } from './support/gate.ts';
import { collected } from './support/gc.ts';
import { waiterRequest } from './support/requests.ts';

/** What happened to each waiter, by its label, in the order in which it happened. */
type Outcome = readonly [label: string | undefined, what: unknown];

class TimedOut extends Error {}

function harness(clock = new FakeClock()) {
  const log: Outcome[] = [];
  const timeouts: (string | undefined)[] = [];
  let aborted = 0;
  const queue = new WaiterQueue<WaiterRequest, string>(clock, {
    timeoutError: (request) => new TimedOut(request.label),
    onTimeout: (request) => timeouts.push(request.label),
    onAborted: () => {
      aborted++;
    },
  });
  const add = (label: string, options: Partial<WaiterRequest> = {}): Waiter<WaiterRequest, string> => {
    const waiter = queue.add(waiterRequest(clock, { label, ...options }));
    waiter.promise?.then(
      (granted) => log.push([label, granted]),
      (error: unknown) => log.push([label, error]),
    );
    return waiter;
  };
  return { clock, queue, log, timeouts, add, aborted: () => aborted };
}

function scopeRef(id: number, parent?: ScopeRef): ScopeRef {
  return new ScopeRef(id, undefined, undefined, parent);
}

test('waiters come out by priority, equal ones in order of arrival', (t) => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.integer({ min: -3, max: 3 }), fc.double({ noNaN: true }))), (priorities) => {
      const { queue, add } = harness();
      const waiters = priorities.map((priority, index) => ({ priority, waiter: add(`${index}`, { priority }) }));
      const expected = waiters.toSorted((a, b) => (a.priority === b.priority ? 0 : b.priority - a.priority));
      for (const { waiter } of expected) t.is(queue.next(), waiter);
      queue.dispose();
    }),
  );
});

test('whatever their timeouts and priorities, all time out in the order of their deadlines, none early or late', (t) => {
  const requests = fc.record({ timeout: fc.integer({ min: 1, max: 50 }), priority: fc.integer({ min: 0, max: 2 }) });
  fc.assert(
    fc.property(fc.array(requests, { maxLength: 30 }), (given) => {
      const { clock, queue, timeouts, add } = harness();
      for (const [index, request] of given.entries()) add(`${index}`, request);
      const ordered = given.map(({ timeout }) => timeout).toSorted((a, b) => a - b);
      for (let time = 0; time <= 50; time++) {
        const due = ordered.filter((timeout) => timeout <= time);
        t.deepEqual(
          timeouts.map((label) => given[Number(label)]?.timeout),
          due,
        );
        t.is(queue.size, given.length - due.length);
        t.true(clock.pending <= 1);
        clock.advance(1);
      }
      t.is(clock.pending, 0);
    }),
    { numRuns: 50 },
  );
});

test('a waiter whose deadline has passed is refused when its turn comes, though no timer has fired', async (t) => {
  const { clock, queue, log, timeouts, add } = harness();
  add('late', { timeout: 100 });
  add('later', { timeout: 101 });
  const good = add('good', { timeout: 1000 });
  clock.skip(101);
  t.is(queue.next(), good);
  t.deepEqual(timeouts, ['late', 'later']);
  good.grant('connection');
  await settled();
  t.deepEqual(
    log.map(([label]) => label),
    ['late', 'later', 'good'],
  );
  clock.advance(1000);
  t.deepEqual(timeouts, ['late', 'later'], 'and is not timed out a second time by its timer');
});

test('a queue of nothing but late waiters hands out nobody', (t) => {
  const { clock, queue, add } = harness();
  add('late', { timeout: 100 });
  clock.skip(100);
  t.is(queue.next(), undefined);
  t.is(queue.size, 0);
});

test('a timer that fires early does not shorten a wait', (t) => {
  class HastyClock extends FakeClock {
    override after(delay: number, callback: () => void) {
      return super.after(delay > 1 ? delay - 0.5 : delay, callback);
    }
  }
  const { clock, timeouts, add } = harness(new HastyClock());
  add('one', { timeout: 100 });
  clock.advance(99.9);
  t.deepEqual(timeouts, []);
  clock.advance(0.1);
  t.deepEqual(timeouts, ['one']);
});

test('a wait without bound holds the process and never times out', (t) => {
  const { clock, queue, timeouts, add } = harness();
  const patient = add('patient', { timeout: Infinity });
  add('hasty', { timeout: 10 });
  t.is(clock.holding, 1);
  clock.advance(1e12);
  t.deepEqual(timeouts, ['hasty']);
  t.is(clock.holding, 1);
  t.is(queue.next(), patient);
});

test('the timer holds the process exactly while somebody waits', (t) => {
  const { clock, queue, add } = harness();
  add('first').grant('connection');
  t.is(clock.holding, 0);
  t.is(clock.pending, 1, 'it is kept for the next waiter');
  const second = add('second');
  t.is(clock.holding, 1);
  second.reject(new Error('refused'));
  t.is(clock.holding, 0);
  clock.advance(1000);
  t.is(clock.pending, 0);
  add('third');
  t.is(clock.holding, 1);
  queue.dispose();
  t.is(clock.pending, 0);
});

test('a shorter wait behind a longer one ends in its own time', (t) => {
  const { clock, timeouts, add } = harness();
  add('long', { timeout: 1000 });
  add('short', { timeout: 10 });
  t.is(clock.next, 10);
  clock.advance(10);
  t.deepEqual(timeouts, ['short']);
  t.is(clock.next, 990);
});

test('the timer ends a wait that somebody began while others timed out', (t) => {
  const clock = new FakeClock();
  const seen: (string | undefined)[] = [];
  const queue = new WaiterQueue<WaiterRequest, string>(clock, {
    timeoutError: () => new TimedOut(),
    onTimeout: ({ label }) => {
      seen.push(label);
      if (label === 'first') add('again', 5);
    },
    onAborted: () => {},
  });
  const add = (label: string, timeout: number): void => {
    queue.add(waiterRequest(clock, { label, timeout })).promise?.catch(() => {});
  };
  add('first', 10);
  add('last', 100);
  clock.advance(15);
  t.deepEqual(seen, ['first', 'again']);
  clock.advance(85);
  t.deepEqual(seen, ['first', 'again', 'last']);
});

test('an aborted waiter is rejected with the reason as cause and is never handed out', async (t) => {
  const { queue, log, add, aborted } = harness();
  const controller = new AbortController();
  add('aborted', { signal: controller.signal });
  const other = add('other');
  const reason = new Error('client gone');
  controller.abort(reason);
  await settled();
  const [[label, error] = []] = log;
  t.is(label, 'aborted');
  t.true(error instanceof AbortError);
  t.is((error as AbortError).cause, reason);
  t.is(aborted(), 1);
  t.is(queue.next(), other);
});

test('between abort and grant in one tick, whichever came first counts', async (t) => {
  const { queue, log, add, aborted } = harness();
  const [early, late] = [new AbortController(), new AbortController()];
  add('aborted', { signal: early.signal });
  const granted = add('granted', { signal: late.signal });
  early.abort();
  t.is(queue.next(), granted);
  granted.grant('connection');
  late.abort();
  await settled();
  t.deepEqual(
    log.map(([label, what]) => [label, typeof what]),
    [
      ['aborted', 'object'],
      ['granted', 'string'],
    ],
  );
  t.is(aborted(), 1);
});

test('however a waiter is settled, its listener leaves the signal', (t) => {
  const { signal } = new AbortController();
  const { clock, queue, add } = harness();
  const listeners = () => getEventListeners(signal, 'abort').length;
  const granted = add('granted', { signal });
  const rejected = add('rejected', { signal });
  add('late', { signal, timeout: 10 });
  add('all', { signal });
  t.is(listeners(), 4);
  granted.grant('connection');
  t.is(listeners(), 3);
  rejected.reject(new Error('refused'));
  t.is(listeners(), 2);
  clock.advance(10);
  t.is(listeners(), 1);
  queue.rejectAll(() => new Error('closed'));
  t.is(listeners(), 0);
});

test('a waiter is settled once', async (t) => {
  const { log, add } = harness();
  const granted = add('granted');
  granted.grant('first');
  granted.grant('second');
  t.false(granted.reject(new Error('too late')));
  const rejected = add('rejected');
  const error = new Error('refused');
  t.true(rejected.reject(error));
  t.false(rejected.reject(new Error('again')));
  rejected.grant('too late');
  t.true(granted.settled && rejected.settled);
  await settled();
  t.deepEqual(log, [
    ['granted', 'first'],
    ['rejected', error],
  ]);
});

test('rejectAll gives each an error of its own and leaves an empty queue', async (t) => {
  const { clock, queue, log, add } = harness();
  for (let index = 0; index < 300; index++) add(`${index}`, { timeout: index < 250 ? 10 : 1000 });
  clock.advance(10);
  let made = 0;
  queue.rejectAll(() => new Error(`closed ${++made}`));
  t.is(made, 50);
  t.is(queue.size, 0);
  t.is(queue.next(), undefined);
  await settled();
  t.is(new Set(log.map(([, error]) => error)).size, 300);
  t.is(clock.holding, 0);
});

test('rejectScope rejects what waits in that scope and nothing else', async (t) => {
  const { queue, log, add, aborted } = harness();
  const outer = scopeRef(1);
  const inner = scopeRef(2, outer);
  add('outer', { scope: outer });
  add('inner', { scope: inner });
  add('second inner', { scope: inner });
  const free = add('free');
  t.deepEqual([outer.waiting, inner.waiting], [3, 2]);
  queue.rejectScope(inner, () => new Error('ended'));
  t.deepEqual([outer.waiting, inner.waiting], [1, 0]);
  t.is(aborted(), 2);
  queue.rejectScope(outer, () => new Error('ended'));
  queue.rejectScope(outer, () => new Error('ended twice'));
  t.is(outer.waiting, 0);
  await settled();
  t.deepEqual(
    log.map(([label]) => label),
    ['inner', 'second inner', 'outer'],
  );
  t.is(queue.next(), free);
});

test('settled waiters do not pile up behind one that waits on', async (t) => {
  const { queue, add } = harness();
  // First in both orders, so that nothing behind it ever reaches a head.
  add('patient', { priority: 1, timeout: 500 });
  const refs: WeakRef<Waiter<WaiterRequest, string>>[] = [];
  for (let index = 0; index < 5000; index++) {
    const waiter = add(`${index}`);
    refs.push(new WeakRef(waiter));
    waiter.reject(new Error('refused'));
  }
  t.is(queue.size, 1);
  const kept = () => refs.filter((ref) => ref.deref() !== undefined).length;
  t.true(await collected(() => kept() <= 150), `${kept()} are kept`);
  queue.dispose();
});

test('a settled waiter that stays queued keeps nothing of its caller alive', async (t) => {
  const { queue, add } = harness();
  add('patient', { priority: 1, timeout: 500 });
  const scopes = Array.from({ length: 10 }, (_, index) => {
    const scope = scopeRef(index);
    add(`${index}`, { scope, signal: new AbortController().signal, site: new Error() }).reject(new Error('refused'));
    return new WeakRef(scope);
  });
  t.true(await collected(() => scopes.every((ref) => ref.deref() === undefined)));
  t.is(queue.size, 1);
  queue.dispose();
});

test('a queue that marks no scopes leaves their count alone, and yet rejects what waits in one', async (t) => {
  const clock = new FakeClock();
  const hooks = { timeoutError: () => new TimedOut(), onTimeout: () => {}, onAborted: () => {} };
  const queue = new WaiterQueue<WaiterRequest, string>(clock, hooks, false);
  const scope = scopeRef(1);
  const { promise } = queue.add(waiterRequest(clock, { scope }));
  t.is(scope.waiting, 0);
  queue.rejectScope(scope, () => new Error('over'));
  await t.throwsAsync(promise as Promise<string>, { message: 'over' });
  t.is(scope.waiting, 0);
  queue.dispose();
});
