import test from 'ava';
import { ScopeRef } from '../../lib/holder.ts';
import { observe } from '../../lib/observer.ts';
import { describeWaiter } from '../../lib/pool/view.ts';
import { SqlitePool } from '../../lib/sqlite/pool.ts';
import { FakeClock } from '../support/clock.ts';
import { fakePool } from '../support/driver.ts';
import { temporaryFile } from '../support/files.ts';
import { gate, settled } from '../support/gate.ts';
import { waiterRequest } from '../support/requests.ts';

// What a pool shows to who observes it.

test('connections are told in the order in which they were opened, those that are closed no more', async (t) => {
  const { pool } = fakePool(t, { max: 4 });
  const view = pool[observe]();
  t.deepEqual(view.connections(), []);
  const handles = await Promise.all([pool.acquire(), pool.acquire(), pool.acquire()]);
  t.deepEqual(view.connections(), [1, 2, 3]);
  handles[1]?.lease.discard('worn');
  for (const handle of handles) void handle.lease.release();
  t.deepEqual(view.connections(), [1, 3]);
  await pool.acquire().then((handle) => handle.lease.release());
  pool.closeIdle();
  t.deepEqual(view.connections(), []);
});

test('holders are those of leases(), oldest first, with when they began', async (t) => {
  const { pool, clock } = fakePool(t, { max: 3 });
  const view = pool[observe]();
  const handles = [];
  for (const label of ['a', 'b', 'c']) {
    handles.push(await pool.acquire({ label }));
    clock.skip(10);
  }
  const holders = view.holders(clock.now());
  t.deepEqual(
    holders.map(({ label, age }) => [label, age]),
    [
      ['a', 30],
      ['b', 20],
      ['c', 10],
    ],
  );
  for (const [index, holder] of pool.leases().entries()) t.like(holders[index], holder);
  for (const handle of handles) void handle.lease.release();
  t.deepEqual(view.holders(clock.now()), []);
});

test('those who wait are told in their turn, up to a limit, with how long and how much longer', async (t) => {
  const { pool, clock } = fakePool(t, { max: 1, acquireTimeout: 100 });
  const view = pool[observe]();
  const holder = await pool.acquire();
  const waiting = [
    pool.acquire({ label: 'a' }),
    pool.acquire({ label: 'b', priority: 2 }),
    pool.acquire({ timeout: Infinity }),
  ];
  clock.skip(40);
  t.deepEqual(view.waiters(10), [
    { for: 'connection', label: 'b', waited: 40, left: 60, priority: 2, scope: undefined },
    { for: 'connection', label: 'a', waited: 40, left: 60, priority: 0, scope: undefined },
    { for: 'connection', label: undefined, waited: 40, left: Infinity, priority: 0, scope: undefined },
  ]);
  t.deepEqual(
    view.waiters(1).map(({ label }) => label),
    ['b'],
  );
  t.is(view.now(), clock.now());
  void holder.lease.release();
  for (const granted of waiting) void granted.then((handle) => handle.lease.release());
  await Promise.all(waiting);
  t.deepEqual(view.waiters(10), []);
});

test('who waits in a scope is told with it, and by its name where he has none', async (t) => {
  const { pool } = fakePool(t, { max: 1 });
  const view = pool[observe]();
  const holder = await pool.acquire();
  const waiting = pool.withScope(() => pool.acquire(), { label: 'of the scope' });
  await settled();
  const [waiter] = view.waiters(10);
  t.is(waiter?.label, 'of the scope');
  t.is(typeof waiter?.scope, 'number');
  void holder.lease.release();
  await waiting.then((handle) => handle.lease.release());
});

test('who waited for something else before is told from then on, and never with less than nothing left', (t) => {
  const clock = new FakeClock();
  const since = clock.now();
  const request = waiterRequest(clock, {
    since: since + 30,
    askedAt: since,
    timeout: 50,
    scope: new ScopeRef(7, 'scope'),
  });
  clock.skip(100);
  t.deepEqual(describeWaiter('write lane', 'own', request, clock.now()), {
    for: 'write lane',
    label: 'own',
    waited: 100,
    left: 0,
    priority: 0,
    scope: 7,
  });
  t.is(describeWaiter('write lane', undefined, request, clock.now()).label, 'scope');
});

test('only a pool with a write lane shows one: who is in, and who waits, up to a limit', async (t) => {
  t.is(fakePool(t).pool[observe]().lane, undefined);
  const clock = new FakeClock();
  const pool = new SqlitePool(temporaryFile(t), { name: 'app' }, clock);
  t.teardown(() => pool.close({ timeout: 0 }));
  const view = pool[observe]();
  t.deepEqual(view.lane?.(10), { holder: undefined, waiting: 0, waiters: [] });
  const inside = gate();
  const work = pool.transaction(() => inside.passed, { label: 'first' });
  const others = ['second', 'third', 'fourth'].map((label) => pool.transaction(() => {}, { label, timeout: 200 }));
  await settled();
  clock.skip(50);
  const lane = view.lane?.(2);
  t.like(lane, { waiting: 3, holder: { pool: 'app', label: 'first', kind: 'transaction', age: 50 } });
  t.deepEqual(
    lane?.waiters.map(({ for: what, label, waited, left }) => [what, label, waited, left]),
    [
      ['write lane', 'second', 50, 150],
      ['write lane', 'third', 50, 150],
    ],
  );
  inside.open();
  await Promise.all([work, ...others]);
  t.deepEqual(view.lane?.(10), { holder: undefined, waiting: 0, waiters: [] });
});
