import { getEventListeners } from 'node:events';
import test from 'ava';
import { Cancellations } from '../lib/cancellations.ts';
import { AbortError } from '../lib/errors.ts';
import { pause, within } from '../lib/pause.ts';
import { FakeClock } from './support/clock.ts';
import { settled } from './support/gate.ts';

const uninterrupted = { signal: undefined, ends: [] };

/** What has become of a promise by now. */
async function stateOf(promise: Promise<unknown>): Promise<unknown> {
  return Promise.race([promise.then(() => 'over'), settled().then(() => 'pending')]);
}

const late = () => new Error('late');

test('a pause is over after its delay, and not before', async (t) => {
  const clock = new FakeClock();
  const pausing = pause(clock, 10, uninterrupted);
  clock.advance(9);
  t.is(await stateOf(pausing), 'pending');
  clock.advance(1);
  t.is(await stateOf(pausing), 'over');
});

test('a pause keeps the process alive, and leaves no timer behind', async (t) => {
  const clock = new FakeClock();
  const pausing = pause(clock, 10, uninterrupted);
  t.is(clock.holding, 1);
  clock.advance(10);
  await pausing;
  t.is(clock.pending, 0);
});

test('an abort ends a pause at once, with its reason, and leaves neither timer nor listener', async (t) => {
  const clock = new FakeClock();
  const controller = new AbortController();
  const ends = new Cancellations();
  const pausing = pause(clock, 10, { signal: controller.signal, ends: [ends] });
  const reason = new Error('gone');
  controller.abort(reason);
  const error = await t.throwsAsync(pausing, { instanceOf: AbortError, code: 'ABORT_ERR' });
  t.is(error.cause, reason);
  t.is(clock.pending, 0);
  t.deepEqual(getEventListeners(controller.signal, 'abort'), []);
  ends.cancel(() => {
    t.fail('It is still enlisted');
    return new Error();
  });
});

test('a pause whose signal is aborted already does not begin', async (t) => {
  const clock = new FakeClock();
  const ends = new Cancellations();
  await t.throwsAsync(pause(clock, 10, { signal: AbortSignal.abort(), ends: [ends] }), { instanceOf: AbortError });
  t.is(clock.pending, 0);
  ends.cancel(() => {
    t.fail('It is still enlisted');
    return new Error();
  });
});

test('whatever else ends it gives its own error, and the pause is enlisted nowhere afterwards', async (t) => {
  const clock = new FakeClock();
  const controller = new AbortController();
  const [scope, pool] = [new Cancellations(), new Cancellations()];
  const pausing = pause(clock, 10, { signal: controller.signal, ends: [scope, pool] });
  const closed = new Error('closed');
  pool.cancel(() => closed);
  t.is(await t.throwsAsync(pausing), closed);
  t.is(clock.pending, 0);
  t.deepEqual(getEventListeners(controller.signal, 'abort'), []);
  for (const ends of [scope, pool]) {
    ends.cancel(() => {
      t.fail('It is still enlisted');
      return new Error();
    });
  }
});

test('a pause that is over has no listener left, and nothing that comes later changes its outcome', async (t) => {
  const clock = new FakeClock();
  const controller = new AbortController();
  const ends = new Cancellations();
  const pausing = pause(clock, 10, { signal: controller.signal, ends: [ends] });
  clock.advance(10);
  // In the same step, before whoever waits for it runs.
  controller.abort();
  ends.cancel(() => new Error('over'));
  await t.notThrowsAsync(pausing);
  t.deepEqual(getEventListeners(controller.signal, 'abort'), []);
});

test('of two that end a pause in one step, the first counts', async (t) => {
  const clock = new FakeClock();
  const controller = new AbortController();
  const ends = new Cancellations();
  const pausing = pause(clock, 10, { signal: controller.signal, ends: [ends] });
  const over = new Error('over');
  ends.cancel(() => over);
  controller.abort();
  clock.advance(10);
  t.is(await t.throwsAsync(pausing), over);
});

test('a wait for a promise that is aborted before it begins listens to nothing, and lets nothing go unhandled', async (t) => {
  const clock = new FakeClock();
  const { promise, reject } = Promise.withResolvers<void>();
  const interrupts = { signal: AbortSignal.abort(), ends: [] };
  const unhandled: unknown[] = [];
  const note = (reason: unknown) => void unhandled.push(reason);
  process.on('unhandledRejection', note);
  promise.catch(() => {});
  await t.throwsAsync(within(promise, clock, 10, late, interrupts), { code: 'ABORT_ERR' });
  reject(new Error('failed'));
  await settled();
  process.off('unhandledRejection', note);
  t.deepEqual(unhandled, []);
  t.is(clock.pending, 0);
});

test('a wait for a promise ends with that, or at its deadline', async (t) => {
  const clock = new FakeClock();
  const interrupts = { signal: undefined, ends: [] };
  await t.notThrowsAsync(within(Promise.resolve(), clock, 10, late, interrupts));
  await t.throwsAsync(within(Promise.reject(new Error('failed')), clock, 10, late, interrupts), { message: 'failed' });
  const waiting = t.throwsAsync(within(new Promise(() => {}), clock, 10, late, interrupts), { message: 'late' });
  await clock.pass(10);
  await waiting;
  await t.notThrowsAsync(within(Promise.resolve(), clock, Infinity, late, interrupts));
  t.is(clock.pending, 0);
});
