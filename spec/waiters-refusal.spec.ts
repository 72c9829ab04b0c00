import test from 'ava';
import { type Waiter, WaiterQueue, type WaiterRequest } from '../lib/waiters.ts';
import { FakeClock } from './support/clock.ts';
import { fakePool } from './support/driver.ts';
import { waiterRequest } from './support/requests.ts';

class TimedOut extends Error {}

function harness(timeoutError: () => Error = () => new TimedOut()) {
  const clock = new FakeClock();
  const counts = { timeouts: 0, aborted: 0 };
  const queue = new WaiterQueue<WaiterRequest, string>(clock, {
    timeoutError,
    onTimeout: () => {
      counts.timeouts++;
    },
    onAborted: () => {
      counts.aborted++;
    },
  });
  const add = (options: Partial<WaiterRequest> = {}): Waiter<WaiterRequest, string> =>
    queue.add(waiterRequest(clock, options));
  return { clock, queue, counts, add };
}

test('a waiter whose error can not be made is refused in time all the same, with the reason for that', async (t) => {
  const reason = new Error('The state of the holders can not be told');
  const { clock, queue, counts, add } = harness(() => {
    throw reason;
  });
  const refused = t.throwsAsync(add({ timeout: 100 }).promise as Promise<string>);
  const later = add({ timeout: 500 });
  await clock.pass(100);
  t.is(await refused, reason);
  t.is(counts.timeouts, 1);
  t.is(queue.next(), later, 'the queue goes on');
  later.grant('connection');
});

test('a pool whose driver fails to say what a holder does still refuses a waiter at its deadline', async (t) => {
  const { pool, driver, clock } = fakePool(t, { max: 1 });
  const holder = await pool.acquire();
  const reason = new Error('Not to be asked now');
  const asked = driver.isInTransaction;
  driver.isInTransaction = () => {
    throw reason;
  };
  const refused = t.throwsAsync(pool.acquire({ timeout: 100 }));
  await clock.pass(100);
  t.is(await refused, reason);
  t.like(pool.stats(), { waiting: 0, leased: 1, counters: { timeouts: 1 } });
  driver.isInTransaction = asked;
  await holder.release();
});

test('who was aborted is passed over, though another listener of its signal has the connection handed on first', async (t) => {
  const { queue, counts, add } = harness();
  const controller = new AbortController();
  let served: Waiter<WaiterRequest, string> | undefined;
  // As a holder does that gives its connection back when the same signal is aborted.
  controller.signal.addEventListener('abort', () => {
    served = queue.next();
  });
  const aborted = t.throwsAsync(add({ signal: controller.signal }).promise as Promise<string>, { name: 'AbortError' });
  const next = add();
  controller.abort();
  t.is(served, next);
  await aborted;
  t.is(counts.aborted, 1, 'counted once');
  next.grant('connection');
  t.is(queue.size, 0);
});

test('a request that is aborted while it holds one connection and waits for another gives both up', async (t) => {
  const { pool } = fakePool(t, { max: 1 });
  const controller = new AbortController();
  const { signal } = controller;
  const held = await pool.acquire();
  signal.addEventListener('abort', () => void held.release());
  const aborted = t.throwsAsync(pool.acquire({ signal }), { name: 'AbortError' });
  const next = pool.acquire();
  controller.abort();
  await aborted;
  const db = await next;
  t.is(db.use(), held.connection.id);
  t.like(pool.stats(), { waiting: 0, leased: 1, counters: { acquired: 2, aborted: 1 } });
  await db.release();
});
