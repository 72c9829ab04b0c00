import { getEventListeners } from 'node:events';
import test from 'ava';
import * as fc from 'fast-check';
import { Cancellations } from '../lib/cancellations.ts';
import { AbortError } from '../lib/errors.ts';
import { deadlineOf, type TurnRequest, Turnstile } from '../lib/turnstile.ts';
import { FakeClock } from './support/clock.ts';
import { settled } from './support/gate.ts';

class TimedOut extends Error {}

interface Wish extends Partial<Omit<TurnRequest<string>, 'holder'>> {
  readonly ends?: readonly Cancellations[];
}

/** A turnstile, and who came in or was refused, in order. */
function harness(clock = new FakeClock()) {
  const turnstile = new Turnstile<string>(clock);
  const log: string[] = [];
  const enter = (holder: string, { ends = [], ...wish }: Wish = {}): Promise<void> => {
    const request: TurnRequest<string> = {
      holder,
      signal: undefined,
      priority: 0,
      timeout: 1000,
      since: clock.now(),
      scope: undefined,
      timeoutError: () => new TimedOut(holder),
      ...wish,
    };
    const entering = turnstile.enter(request, ends);
    entering.then(
      () => log.push(holder),
      (error: Error) => log.push(`${holder}: ${error.name === 'AbortError' ? 'aborted' : error.constructor.name}`),
    );
    return entering;
  };
  return { clock, turnstile, log, enter };
}

test('one at a time is in; another waits until that one leaves', async (t) => {
  const { turnstile, log, enter } = harness();
  await enter('a');
  void enter('b');
  await settled();
  t.deepEqual(log, ['a']);
  t.is(turnstile.holder, 'a');
  t.is(turnstile.waiting, 1);
  t.false(turnstile.tryEnter('c'));
  turnstile.leave('a');
  await settled();
  t.deepEqual(log, ['a', 'b']);
  t.is(turnstile.waiting, 0);
  turnstile.leave('b');
  t.is(turnstile.holder, undefined);
  t.true(turnstile.tryEnter('c'));
});

test('whoever is not in can let nobody in: not one who waits, not one who has left', async (t) => {
  const { turnstile, log, enter } = harness();
  for (const holder of ['a', 'b', 'c']) void enter(holder);
  turnstile.leave('b');
  t.is(turnstile.holder, 'a');
  turnstile.leave('a');
  turnstile.leave('a');
  await settled();
  t.is(turnstile.holder, 'b');
  t.deepEqual(log, ['a', 'b']);
});

test('who waits comes in by priority, equal ones in order of arrival', async (t) => {
  const { turnstile, log, enter } = harness();
  void enter('first');
  for (const [holder, priority] of Object.entries({ b1: 0, c1: -1, a1: 2, b2: 0, a2: 2, c2: -1 })) {
    void enter(holder, { priority });
  }
  while (turnstile.holder !== undefined) {
    turnstile.leave(turnstile.holder);
    await settled();
  }
  t.deepEqual(log, ['first', 'a1', 'a2', 'b1', 'b2', 'c1', 'c2']);
});

test('the next one is in within the step in which the last one leaves, so nobody slips in between', async (t) => {
  const { turnstile, log, enter } = harness();
  void enter('a');
  void enter('b');
  await settled();
  turnstile.leave('a');
  t.is(turnstile.holder, 'b');
  t.false(turnstile.tryEnter('intruder'));
  const late = enter('late');
  await settled();
  t.deepEqual(log, ['a', 'b']);
  turnstile.leave('b');
  await t.notThrowsAsync(late);
});

test('at its deadline one who waits gets the error of its request, and never comes in', async (t) => {
  const { clock, turnstile, log, enter } = harness();
  void enter('a');
  void enter('b', { timeout: 10 }).catch(() => {});
  void enter('c', { timeout: 20 });
  await clock.pass(9);
  t.is(turnstile.waiting, 2);
  await clock.pass(1);
  t.deepEqual(log, ['a', 'b: TimedOut']);
  t.is(turnstile.waiting, 1);
  turnstile.leave('a');
  await settled();
  t.deepEqual(log, ['a', 'b: TimedOut', 'c']);
});

test('one whose deadline has passed is refused when its turn comes, however late the timer is', async (t) => {
  const { clock, turnstile, log, enter } = harness();
  void enter('a');
  void enter('late', { timeout: 10 }).catch(() => {});
  void enter('c', { timeout: 20 });
  await settled();
  clock.skip(10);
  turnstile.leave('a');
  t.is(turnstile.holder, 'c');
  await settled();
  t.deepEqual(log.toSorted(), ['a', 'c', 'late: TimedOut']);
});

test('where all who wait have passed their deadline, it is free again', async (t) => {
  const { clock, turnstile, enter } = harness();
  void enter('a');
  const late = enter('late', { timeout: 10 });
  clock.skip(10);
  turnstile.leave('a');
  await t.throwsAsync(late, { instanceOf: TimedOut });
  t.is(turnstile.holder, undefined);
  t.true(turnstile.tryEnter('b'));
});

test('an abort refuses one who waits at once, and one who comes even where it is free', async (t) => {
  const { turnstile, enter } = harness();
  const controller = new AbortController();
  await t.throwsAsync(enter('early', { signal: AbortSignal.abort() }), { instanceOf: AbortError });
  t.is(turnstile.holder, undefined);
  void enter('a');
  const waiting = enter('b', { signal: controller.signal });
  const reason = new Error('gone');
  controller.abort(reason);
  t.is(turnstile.waiting, 0);
  t.is((await t.throwsAsync(waiting, { instanceOf: AbortError })).cause, reason);
  turnstile.leave('a');
  t.is(turnstile.holder, undefined);
});

test('one whose abort makes the other leave is not let in by that', async (t) => {
  const { turnstile, log, enter } = harness();
  const controller = new AbortController();
  void enter('a');
  // Comes before the listener of the one who waits.
  controller.signal.addEventListener('abort', () => turnstile.leave('a'));
  void enter('aborted', { signal: controller.signal }).catch(() => {});
  void enter('c');
  await settled();
  controller.abort();
  t.is(turnstile.holder, 'c');
  await settled();
  t.deepEqual(log.toSorted(), ['a', 'aborted: aborted', 'c']);
});

test('any of its ends refuses one who waits, with an error made for it', async (t) => {
  const { turnstile, enter } = harness();
  const [lease, pool] = [new Cancellations(), new Cancellations()];
  void enter('a');
  const [b, c, d] = [enter('b', { ends: [lease, pool] }), enter('c', { ends: [pool] }), enter('d')];
  const [ended, closed] = [new Error('ended'), new Error('closed')];
  lease.cancel(() => ended);
  pool.cancel(() => closed);
  t.is(turnstile.waiting, 1);
  t.is(await t.throwsAsync(b), ended);
  t.is(await t.throwsAsync(c), closed);
  turnstile.leave('a');
  await t.notThrowsAsync(d);
});

test('an abort or an end that comes in the step of its turn changes nothing: it is in', async (t) => {
  const { turnstile, enter } = harness();
  const controller = new AbortController();
  const ends = new Cancellations();
  void enter('a');
  const b = enter('b', { signal: controller.signal, ends: [ends] });
  await settled();
  turnstile.leave('a');
  controller.abort();
  ends.cancel(() => new Error('over'));
  await t.notThrowsAsync(b);
  t.is(turnstile.holder, 'b');
});

test('one who is in or was refused is enlisted nowhere any more', async (t) => {
  const { turnstile, enter } = harness();
  const controller = new AbortController();
  const ends = [new Cancellations(), new Cancellations()];
  void enter('a');
  const granted = enter('b', { signal: controller.signal, ends });
  const refused = enter('c', { signal: controller.signal, ends, timeout: 0 });
  turnstile.leave('a');
  await granted;
  turnstile.leave('b');
  await t.throwsAsync(refused);
  t.deepEqual(getEventListeners(controller.signal, 'abort'), []);
  for (const end of ends) {
    end.cancel(() => {
      t.fail('It is still enlisted');
      return new Error();
    });
  }
});

test('all who wait can be refused at once; who is in stays in, and the next comes as ever', async (t) => {
  const { turnstile, log, enter } = harness();
  void enter('a');
  const refused = [enter('b'), enter('c')];
  let made = 0;
  turnstile.refuseAll(() => new RangeError(`${++made}`));
  for (const [index, waiting] of refused.entries()) await t.throwsAsync(waiting, { message: `${index + 1}` });
  t.is(turnstile.holder, 'a');
  t.is(turnstile.waiting, 0);
  void enter('d');
  turnstile.leave('a');
  await settled();
  t.deepEqual(log, ['a', 'b: RangeError', 'c: RangeError', 'd']);
});

test('nothing keeps the process alive but one who waits', async (t) => {
  const { clock, turnstile, enter } = harness();
  await enter('a');
  t.is(clock.pending, 0);
  const b = enter('b');
  t.is(clock.holding, 1);
  turnstile.leave('a');
  await b;
  t.is(clock.holding, 0);
});

type Step =
  | { readonly kind: 'enter'; readonly priority: number; readonly timeout: number }
  | { readonly kind: 'leave' | 'abort' | 'end' | 'settle' }
  | { readonly kind: 'late' | 'pass'; readonly by: number };

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constant('enter' as const),
      priority: fc.integer({ min: 0, max: 2 }),
      timeout: fc.constantFrom(0, 5, 10, 100),
    }),
    fc.record({ kind: fc.constantFrom('leave', 'leave', 'abort', 'end', 'settle') }),
    fc.record({ kind: fc.constantFrom('late', 'pass'), by: fc.integer({ min: 1, max: 8 }) }),
  ),
  { maxLength: 60 },
);

test('whatever happens, each is let in or refused once, one at a time is in, and nobody waits while none is', async (t) => {
  await fc.assert(
    fc.asyncProperty(steps, async (script) => {
      const { clock, turnstile, log, enter } = harness();
      const waiting: { readonly controller: AbortController; readonly ends: Cancellations }[] = [];
      const letIn: string[] = [];
      let entered = 0;
      let last: string | undefined;
      const look = () => {
        const { holder } = turnstile;
        if (holder !== undefined && holder !== last) letIn.push(holder);
        last = holder;
        if (holder === undefined && turnstile.waiting > 0) throw new Error('Somebody waits in front of nobody');
      };
      const act = async (step: Step): Promise<void> => {
        if (step.kind === 'enter') {
          const controller = new AbortController();
          const ends = new Cancellations();
          waiting.push({ controller, ends });
          const { priority, timeout } = step;
          void enter(`${++entered}`, { priority, timeout, signal: controller.signal, ends: [ends] }).catch(() => {});
        } else if (step.kind === 'leave') turnstile.leave(turnstile.holder ?? 'nobody');
        else if (step.kind === 'abort') waiting.shift()?.controller.abort();
        else if (step.kind === 'end') waiting.pop()?.ends.cancel(() => new RangeError('over'));
        else if (step.kind === 'late') clock.skip(step.by);
        else if (step.kind === 'pass') clock.advance(step.by);
        else await settled();
      };
      for (const step of script) {
        await act(step);
        look();
      }
      while (turnstile.holder !== undefined) {
        turnstile.leave(turnstile.holder);
        look();
      }
      await settled();
      const cameIn = log.filter((entry) => !entry.includes(':'));
      t.is(log.length, entered);
      t.deepEqual(cameIn.toSorted(), letIn.toSorted());
      t.is(turnstile.waiting, 0);
      t.is(clock.holding, 0);
    }),
    { numRuns: 200 },
  );
});

test('a request that is queued when it is made keeps its timeout, a later one has what is left of it', (t) => {
  const clock = new FakeClock();
  const now = clock.now();
  t.deepEqual(deadlineOf(now, 10, clock), { since: now, timeout: 10 });
  t.deepEqual(deadlineOf(now - 5, 10, clock), { since: now, timeout: 5 });
  t.deepEqual(deadlineOf(now - 20, 10, clock), { since: now, timeout: 0 });
  t.deepEqual(deadlineOf(now - 20, Infinity, clock), { since: now, timeout: Infinity });
});
