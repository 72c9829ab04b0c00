import { AsyncLocalStorage } from 'node:async_hooks';
import test from 'ava';
import { isPromiseLike, PoolEmitter, poolEventNames } from '../lib/events.ts';
import { settled } from './support/gate.ts';

const event = { connection: 1, took: 2 };
const pool = { pool: 'app', poolId: 1 };
const idle = () => {};

/** An asynchronous function where a listener is asked for: what JavaScript allows, and TypeScript does not stop. */
function listenerOf(run: () => unknown): () => void {
  return run;
}

function thenable(value: unknown): object {
  // oxlint-disable-next-line unicorn/no-thenable -- the subject of the test
  const key = 'then';
  return { [key]: value };
}

test('listeners are called in the order in which they were added, with the event', (t) => {
  const emitter = new PoolEmitter(pool);
  const seen: unknown[] = [];
  emitter.on('open', (payload) => seen.push(['first', payload]));
  emitter.on('open', (payload) => seen.push(['second', payload]));
  emitter.on('close', () => t.fail());
  emitter.emit('open', event);
  t.deepEqual(seen, [
    ['first', event],
    ['second', event],
  ]);
});

test('has tells whether anybody listens', (t) => {
  const emitter = new PoolEmitter(pool);
  t.false(emitter.has('open'));
  emitter.on('open', idle);
  emitter.on('open', idle);
  t.true(emitter.has('open'));
  t.false(emitter.has('close'));
  emitter.off('open', idle);
  t.true(emitter.has('open'));
  emitter.off('open', idle);
  t.false(emitter.has('open'));
});

test('off removes one registration of a listener, the last one', (t) => {
  const emitter = new PoolEmitter(pool);
  const calls: string[] = [];
  const twice = () => calls.push('twice');
  emitter.on('open', twice);
  emitter.on('open', () => calls.push('between'));
  emitter.on('open', twice);
  emitter.off('open', twice);
  emitter.off('open', () => {});
  emitter.off('close', twice);
  emitter.emit('open', event);
  t.deepEqual(calls, ['twice', 'between']);
});

test('a listener for one event is called once, and beside it the same function stays as it was', (t) => {
  const emitter = new PoolEmitter(pool);
  let calls = 0;
  const listener = () => {
    calls++;
    // Emitted again from within, it is gone already.
    if (calls === 1) emitter.emit('open', event);
  };
  emitter.on('open', listener, true);
  emitter.emit('open', event);
  t.is(calls, 1);
  t.false(emitter.has('open'));

  let both = 0;
  const counter = () => both++;
  emitter.on('open', counter, true);
  emitter.on('open', counter);
  for (let round = 0; round < 3; round++) emitter.emit('open', event);
  t.is(both, 4);
});

test('a listener for one event is called once even if an earlier listener emits it again', (t) => {
  const emitter = new PoolEmitter(pool);
  const seen: number[] = [];
  emitter.on('open', ({ took }) => {
    if (took === 1) emitter.emit('open', { connection: 1, took: 2 });
  });
  emitter.on('open', ({ took }) => seen.push(took), true);
  emitter.emit('open', { connection: 1, took: 1 });
  t.deepEqual(seen, [2], 'by the one that reaches it first');
});

test('off removes a listener for one event before it came', (t) => {
  const emitter = new PoolEmitter(pool);
  const listener = () => t.fail();
  emitter.on('open', listener, true);
  emitter.off('open', listener);
  emitter.emit('open', event);
  t.false(emitter.has('open'));
});

test('who is added or removed during an event is not concerned by it', (t) => {
  const emitter = new PoolEmitter(pool);
  const seen: string[] = [];
  const second = () => seen.push('second');
  emitter.on('open', () => {
    seen.push('first');
    emitter.off('open', second);
    emitter.on('open', () => seen.push('late'));
  });
  emitter.on('open', second);
  emitter.emit('open', event);
  t.deepEqual(seen, ['first', 'second']);
});

test('a listener that throws harms neither the emitter nor the listeners after it', (t) => {
  const emitter = new PoolEmitter(pool);
  const errors: Error[] = [];
  let reached = false;
  const failure = new Error('listener');
  emitter.on('error', (error) => errors.push(error));
  emitter.on('open', () => {
    throw failure;
  });
  emitter.on('open', () => {
    reached = true;
  });
  t.notThrows(() => emitter.emit('open', event));
  t.true(reached);
  t.deepEqual(errors, [failure]);
});

test('a listener that rejects is reported, and what it threw is wrapped where it is no error', async (t) => {
  const emitter = new PoolEmitter(pool);
  const errors: Error[] = [];
  emitter.on('error', (error) => errors.push(error));
  const failure = new Error('later');
  emitter.on(
    'open',
    listenerOf(() => Promise.reject(failure)),
  );
  emitter.on(
    'close',
    // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- any value can be one
    listenerOf(() => Promise.reject('text')),
  );
  emitter.emit('open', event);
  emitter.emit('close', { connection: 1, reason: 'drain' });
  await settled();
  t.is(errors[0], failure);
  t.like(errors[1], { message: 'A listener of "close" failed', cause: 'text' });
  t.is(errors.length, 2);
});

test('an error without a listener, and a listener of errors that fails, are silent', async (t) => {
  const emitter = new PoolEmitter(pool);
  t.notThrows(() => emitter.error(new Error('nobody listens'), 'context'));
  let calls = 0;
  emitter.on('error', () => {
    calls++;
    throw new Error('listener');
  });
  emitter.on(
    'error',
    listenerOf(() => {
      calls++;
      return Promise.reject(new Error('listener'));
    }),
  );
  t.notThrows(() => emitter.error('not an error', 'context'));
  await settled();
  t.is(calls, 2);
});

test('each listener runs in the async context in which it was added', async (t) => {
  const storage = new AsyncLocalStorage<string>();
  const emitter = new PoolEmitter(pool);
  const seen: (string | undefined)[] = [];
  storage.run('first', () => emitter.on('open', () => seen.push(storage.getStore())));
  storage.run('second', () => emitter.on('open', () => seen.push(storage.getStore()), true));
  emitter.on('open', () => seen.push(storage.getStore()));
  await storage.run('emitter', async () => emitter.emit('open', event));
  t.deepEqual(seen, ['first', 'second', undefined]);
});

test('clear removes every listener', (t) => {
  const emitter = new PoolEmitter(pool);
  for (const name of poolEventNames) emitter.on(name, () => t.fail());
  emitter.clear();
  for (const name of poolEventNames) t.false(emitter.has(name));
  emitter.emit('open', event);
  emitter.error(new Error('x'), 'context');
  t.pass();
});

test('a listener for one event survives that another cleared them all', (t) => {
  const emitter = new PoolEmitter(pool);
  let calls = 0;
  emitter.on('open', () => emitter.clear());
  emitter.on('open', () => calls++, true);
  emitter.emit('open', event);
  emitter.emit('open', event);
  t.is(calls, 1);
});

test('every event has a name', (t) => {
  t.is(poolEventNames.join(' '), 'open close wait acquire release discard dirty leak replace timeout deadlock error');
});

test('a promise is told by its then', (t) => {
  t.true(isPromiseLike(Promise.resolve()));
  t.true(isPromiseLike(thenable(() => {})));
  t.true(
    isPromiseLike(
      Object.assign(
        () => {},
        thenable(() => {}),
      ),
    ),
  );
  for (const value of [undefined, null, 5, 'then', {}, thenable(true), () => {}]) t.false(isPromiseLike(value));
});
