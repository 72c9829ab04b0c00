import test from 'ava';
import type { HolderInfo } from '../lib/index.ts';
import { type LeaseObserver, type ObservedLease, Observers, observe } from '../lib/observer.ts';
import { fakePool } from './support/driver.ts';
import { gate, settled } from './support/gate.ts';
import { openItems } from './support/items.ts';

// What who observes a pool is told of its leases, and when.

/** One who writes down what it is told. */
function recorder(): LeaseObserver & { readonly told: string[] } {
  const told: string[] = [];
  return {
    told,
    began: (lease, waited) =>
      void told.push(`began ${lease.id} on ${lease.slot.id}${waited > 0 ? ' after a wait' : ''}`),
    turns: ({ id, mode }) => void told.push(`${id} was ${mode}`),
    ended: ({ id, mode }, label) => void told.push(`ended ${id} as ${mode} of ${label}`),
    waits: (what, waiting) => void told.push(`${waiting} for a ${what}`),
  };
}

test('an observer is told of each lease in the step in which it begins and ends', async (t) => {
  const pool = await openItems(t);
  const observer = recorder();
  pool[observe]().follow(observer);
  const db = await pool.acquire({ label: 'a' });
  const [lease] = pool.leases();
  const { id, connection } = lease as HolderInfo;
  t.deepEqual(observer.told.splice(0), [`began ${id} on ${connection} after a wait`]);
  db.close();
  t.deepEqual(observer.told.splice(0), [`ended ${id} as connection of a`]);
  const again = pool.tryAcquire();
  t.deepEqual(observer.told.splice(0), [`began ${id + 1} on ${connection}`]);
  again?.close();
  t.deepEqual(observer.told.splice(0), [`ended ${id + 1} as connection of undefined`]);
});

test('a change of what a lease is for is told before it, and none that changes nothing', async (t) => {
  const pool = await openItems(t);
  await pool.withConnection(() => {});
  const observer = recorder();
  pool[observe]().follow(observer);
  await pool.withConnection(async () => {
    observer.told.length = 0;
    await pool.transaction(() => pool.transaction(() => {}));
    const [lease] = pool.leases();
    const { id } = lease as HolderInfo;
    t.deepEqual(observer.told.splice(0), [`${id} was connection`, `${id} was write`]);
    await pool.read(() => pool.read(() => {}));
    t.deepEqual(observer.told.splice(0), [`${id} was connection`, `${id} was read`]);
  });
});

test('to be told once more what a lease is for changes nothing', async (t) => {
  const { pool } = fakePool(t);
  const { lease } = await pool.acquire();
  const observer = recorder();
  pool[observe]().follow(observer);
  for (const mode of ['connection', 'write', 'write', 'read', 'read', 'connection'] as const) lease.mode = mode;
  t.deepEqual(observer.told, ['1 was connection', '1 was write', '1 was read']);
  void lease.release();
});

test('who has to queue is told, with how many do', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const observer = recorder();
  const [inside, holder] = [gate(), await pool.acquire()];
  const writer = pool.transaction(() => inside.passed);
  await settled();
  pool[observe]().follow(observer);
  const waiting = [pool.acquire(), pool.acquire(), pool.transaction(() => {})];
  await settled();
  t.deepEqual(observer.told, ['1 for a connection', '2 for a connection', '1 for a write lane']);
  t.is(pool.tryAcquire(), undefined);
  t.is(observer.told.length, 3);
  holder.close();
  inside.open();
  await writer;
  for (const granted of waiting) void granted.then((db) => db?.close());
  await Promise.all(waiting);
});

test('several observers are each told all, and each leaves by itself', async (t) => {
  const pool = await openItems(t);
  const all = [recorder(), recorder(), recorder()];
  const ends = all.map((observer) => pool[observe]().follow(observer));
  const use = () => pool.withConnection(() => {});
  await use();
  for (const { told } of all) t.is(told.splice(0).length, 2);
  ends[1]?.();
  ends[1]?.();
  await use();
  t.deepEqual(
    all.map(({ told }) => told.splice(0).length),
    [2, 0, 2],
  );
  ends[0]?.();
  await use();
  t.deepEqual(
    all.map(({ told }) => told.splice(0).length),
    [0, 0, 2],
  );
  ends[2]?.();
  await use();
  t.deepEqual(
    all.map(({ told }) => told.length),
    [0, 0, 0],
  );
});

test('one that follows twice is told once, until it leaves', async (t) => {
  const pool = await openItems(t);
  const observer = recorder();
  const view = pool[observe]();
  const ends = [view.follow(observer), view.follow(observer)];
  await pool.withConnection(() => {});
  t.is(observer.told.length, 2);
  for (const end of ends) end();
  await pool.withConnection(() => {});
  t.is(observer.told.length, 2);
});

test('an observer is told of a lease without a label, though nobody listens to events', async (t) => {
  const pool = await openItems(t);
  const observer = recorder();
  pool[observe]().follow(observer);
  for (let lease = 0; lease < 5; lease++) await pool.get('SELECT 1');
  t.is(observer.told.length, 10);
});

test('a lease that a hook refused never begins, and what a hook does has no lease that has begun', async (t) => {
  // Not while the table is made.
  let refusals: number | undefined;
  const begun: boolean[] = [];
  const pool = await openItems(t, {
    onAcquire: (db) => {
      if (refusals === undefined) return true;
      db.transaction(() => {}).immediate();
      return --refusals < 0;
    },
  });
  pool[observe]().follow({
    ...recorder(),
    turns: (lease) => void begun.push(lease.slot.lease === lease),
  });
  pool.closeIdle();
  refusals = 1;
  await pool.withConnection(() => {});
  t.deepEqual(begun, [false, false, false, false]);
});

test('several observers at once are told in the order in which they came', (t) => {
  const order: string[] = [];
  const named = (name: string): LeaseObserver => ({
    began: (_, waited) => void order.push(`${name} began ${waited}`),
    turns: () => void order.push(`${name} turns`),
    ended: (_, label, held) => void order.push(`${name} ended ${label} ${held}`),
    waits: (what, waiting) => void order.push(`${name} ${what} ${waiting}`),
  });
  const observers = new Observers([named('a'), named('b')]);
  const lease = {} as ObservedLease;
  observers.began(lease, 1);
  observers.turns(lease);
  observers.ended(lease, 'x', 2);
  observers.waits('connection', 3);
  t.deepEqual(
    order,
    ['began 1', 'turns', 'ended x 2', 'connection 3'].flatMap((what) => [`a ${what}`, `b ${what}`]),
  );
});

test('an observer that throws is told nothing more, and costs nobody a lease or the write lane', async (t) => {
  const failure = new Error('of another version');
  const calls: (keyof LeaseObserver)[] = ['began', 'turns', 'ended', 'waits'];
  for (const failing of calls) {
    const pool = await openItems(t, { max: 1 });
    const errors: Error[] = [];
    pool.on('error', (error) => void errors.push(error));
    const fail = (): void => {
      throw failure;
    };
    pool[observe]().follow({ began() {}, turns() {}, ended() {}, waits() {}, [failing]: fail });
    const sound = recorder();
    pool[observe]().follow(sound);
    for (let time = 0; time < 2; time++) {
      const held = await pool.acquire();
      const waiting = pool.acquire();
      held.close();
      (await waiting).close();
      await pool.run('INSERT INTO item VALUES (?)', [`${failing} ${time}`]);
    }
    t.deepEqual(errors, [failure], failing);
    t.like(pool.stats(), { leased: 0, waiting: 0, laneHeld: 0 });
    t.is(sound.told.filter((line) => line.startsWith('ended')).length, 6, 'others are told all');
  }
});
