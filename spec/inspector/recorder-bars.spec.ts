import test from 'ava';
import { Monitor } from '../../lib/inspector/monitor.ts';
import { gate, settled } from '../support/gate.ts';
import { collected } from '../support/gc.ts';
import { watchedPool } from './support/watched.ts';

// What is told of leases that have ended, and of those that have not.

test('a lease that ended is a bar: who, on which connection, from when to when', async (t) => {
  const { pool, clock, tick } = await watchedPool(t);
  const db = await pool.acquire({ label: 'GET /a' });
  clock.skip(20);
  db.close();
  const reader = await tick();
  const [{ at } = { at: 0 }] = reader.ticks;
  t.deepEqual(reader.bars(), [
    {
      lease: 2,
      connection: 1,
      label: 'GET /a',
      from: at - 500,
      to: at - 480,
      waited: 0,
      writes: [],
      reads: [],
    },
  ]);
  t.deepEqual(reader.rest(), []);
  t.like(reader.of()[0], { leased: 1, acquired: 1, released: 1 });
});

test('a tick in which nothing happens says so', async (t) => {
  const { pool, tick } = await watchedPool(t);
  const reader = await tick(3);
  t.deepEqual(
    reader.of(),
    Array.from({ length: 3 }, () => ({
      pool: pool.id,
      leased: 0,
      waiting: 0,
      laneWaiting: 0,
      acquired: 0,
      released: 0,
      bars: [],
      rest: [],
      notes: [],
    })),
  );
  t.deepEqual(
    reader.ticks.map(({ number }) => number),
    [1, 2, 3],
  );
});

test('of each connection the longest four of a tick are bars, longest first, and the others summed up', async (t) => {
  const { pool, clock, tick } = await watchedPool(t);
  const hold = async (label: string, time: number) => {
    const db = await pool.acquire({ label });
    clock.skip(time);
    db.close();
  };
  for (const time of [3, 9, 1, 7, 5, 2]) await hold('mostly', time);
  await hold('once', 4);
  await hold('mostly', 8);
  const reader = await tick();
  t.deepEqual(
    reader.bars().map(({ from, to }) => Math.round(to - from)),
    [9, 8, 7, 5],
  );
  t.like(reader.rest(), [{ connection: 1, leases: 4, held: 10, wrote: 0, waited: 0, label: 'mostly' }]);
  t.is(reader.rest().length, 1);
});

test('what is summed up of waiting and writing is of the leases that are no bars, also of those that were for a while', async (t) => {
  const { pool, clock, tick } = await watchedPool(t, { max: 1 });
  const one = await pool.acquire();
  const second = pool.acquire();
  await settled();
  clock.skip(30);
  one.close();
  // It waited for 30, writes for 2, and is the shortest of the first four.
  const writer = await second;
  writer.exec('BEGIN IMMEDIATE');
  clock.skip(2);
  writer.exec('COMMIT');
  writer.close();
  for (const time of [5, 6, 7]) {
    const db = await pool.acquire();
    clock.skip(time);
    db.close();
  }
  const reader = await tick();
  t.deepEqual(
    reader.bars().map(({ from, to }) => Math.round(to - from)),
    [30, 7, 6, 5],
  );
  t.like(reader.rest(), [{ leases: 1, held: 2, wrote: 2, waited: 30 }]);
});

test('who waited is told for how long, also while the lease is held', async (t) => {
  const { pool, clock, tick, read } = await watchedPool(t, { max: 1 });
  const holder = await pool.acquire({ label: 'first' });
  const waiting = pool.acquire({ label: 'second', priority: 3, timeout: 4000 });
  await settled();
  clock.skip(120);
  const { waiters } = read().state();
  t.deepEqual(waiters.length, 1);
  t.like(waiters[0], { for: 'connection', label: 'second', waited: 120, left: 3880, priority: 3 });
  holder.close();
  const db = await waiting;
  clock.skip(10);
  const [present, ...others] = read().state().holders;
  t.deepEqual(others, []);
  t.like(present, { lease: 3, label: 'second', waited: 120, age: 10, writes: [], reads: [], mode: 'connection' });
  db.close();
  const reader = await tick();
  t.like(
    reader.bars().toSorted((a, b) => a.lease - b.lease),
    [
      { lease: 2, waited: 0 },
      { lease: 3, waited: 120 },
    ],
  );
  t.like(reader.of()[0], { leased: 1, waiting: 1, acquired: 2, released: 2 });
});

test('one who waits without a bound is not told when it gives up', async (t) => {
  const { pool, read } = await watchedPool(t, { max: 1, acquireTimeout: Infinity });
  const holder = await pool.acquire();
  const waiting = pool.acquire();
  await settled();
  t.is(read().state().waiters[0]?.left, undefined);
  holder.close();
  (await waiting).close();
});

test('the peaks of a tick are told, though all is over at its end, and the next begins where it ended', async (t) => {
  const { pool, tick } = await watchedPool(t, { max: 3 });
  const all = await Promise.all([pool.acquire(), pool.acquire(), pool.acquire()]);
  const waiting = [pool.acquire(), pool.acquire()];
  await settled();
  for (const db of all) db.close();
  const [kept, done] = await Promise.all(waiting);
  done?.close();
  const reader = await tick(2);
  t.like(reader.of()[0], { leased: 3, waiting: 2, acquired: 5, released: 4 });
  t.like(reader.of()[1], { leased: 1, waiting: 0, acquired: 0, released: 0 });
  kept?.close();
});

test('the label is the one at the end: of a scope that learns its name while it holds', async (t) => {
  const { pool, tick, read } = await watchedPool(t);
  let route: string | undefined;
  const scope = pool.openScope({ label: () => route });
  await scope.run(() => pool.connection());
  t.is(read().state().holders[0]?.label, undefined);
  route = 'GET /:id';
  t.is(read().state().holders[0]?.label, 'GET /:id');
  await scope.end();
  t.is((await tick()).bars()[0]?.label, 'GET /:id');
});

for (const [how, end] of [
  ['closeOverdue', async (pool: { closeOverdue(age: number): number }) => pool.closeOverdue(0)],
  ['drain', async (pool: { drain(): Promise<void> }) => void pool.drain()],
] as const) {
  test(`a lease whose connection is taken by ${how} is told once`, async (t) => {
    const { pool, clock, tick } = await watchedPool(t);
    const db = await pool.acquire({ label: 'taken' });
    clock.skip(40);
    await end(pool);
    if (db.open) db.close();
    const reader = await tick(2);
    t.like(reader.bars(), [{ label: 'taken', connection: 1 }]);
    t.is(reader.bars().length, 1);
    t.like(reader.sums(), { acquired: 1, released: 1 });
    t.deepEqual(reader.state().holders, []);
    t.deepEqual(reader.state().connections, []);
  });
}

test('a lease that began before the inspector is a holder from the start, and whole when it ends', async (t) => {
  const { pool, clock } = await watchedPool(t);
  const db = await pool.acquire({ label: 'before' });
  clock.skip(100);
  const monitor = new Monitor([pool], false, clock);
  t.teardown(() => monitor.stop());
  const [first] = JSON.parse(monitor.report()).pools[0].holders;
  t.like(first, { lease: 2, label: 'before', age: 100, waited: 0 });
  clock.skip(50);
  db.close();
  await clock.pass(500);
  const [{ leased, acquired, released, bars }] = JSON.parse(monitor.report()).ticks[0].pools;
  t.deepEqual({ leased, acquired, released }, { leased: 1, acquired: 0, released: 1 });
  t.is(bars[0].to - bars[0].from, 150);
});

test('a handle that is dropped without release is a leak that names its lease, and a lease that ended', async (t) => {
  const { pool, clock, tick, detail } = await watchedPool(t);
  const handles: unknown[] = [];
  await (async () => void handles.push(await pool.acquire({ label: 'forgotten' })))();
  // Old enough for housekeeping to let go of the handle; dropped earlier, it might be found in a tick that is forgotten by now.
  await clock.pass(700_000);
  handles.length = 0;
  const gone = await collected(() => pool.stats().leased === 0);
  t.true(gone);
  const reader = await tick();
  const note = reader
    .of()
    .flatMap(({ notes }) => notes)
    .find(({ kind }) => kind === 'leak');
  t.like(note, { label: 'forgotten', lease: 2, connection: 1 });
  t.like(reader.sums(), { released: 1 });
  t.like(detail(2), { label: 'forgotten', notes: [{ kind: 'leak' }] });
});

test('a connection that is discarded is told, and goes from those that are open', async (t) => {
  const { pool, tick } = await watchedPool(t);
  await pool.withConnection((db) => db.discard('worn out'), { label: 'worn' });
  await pool.withConnection(() => {});
  const reader = await tick();
  t.deepEqual(reader.state().connections, [2]);
  const notes = reader.of().flatMap((each) => each.notes);
  t.like(notes, [{ kind: 'discard', connection: 1 }]);
  t.regex(notes[0]?.message ?? '', /Connection 1 .*worn out/);
  t.deepEqual(
    reader.bars().map(({ connection }) => connection),
    [1, 2],
  );
});

test('hooks that throw and refuse leave no lease that nobody had', async (t) => {
  let isStrict = false;
  const { pool, tick } = await watchedPool(t, {
    acquireTimeout: 60_000,
    onAcquire: () => {
      if (!isStrict) return true;
      isStrict = false;
      throw new Error('not this one');
    },
    onRelease: () => {
      throw new Error('nor this one');
    },
  });
  isStrict = true;
  const held = gate();
  const work = pool.withConnection(() => held.passed, { label: 'served' });
  let reader = await tick();
  while (pool.stats().leased === 0) reader = await tick();
  t.is(reader.state().holders.length, 1);
  held.open();
  await work;
  reader = await tick();
  t.deepEqual(
    reader.bars().map(({ label }) => label),
    ['served'],
  );
  t.like(reader.sums(), { acquired: 1, released: 1 });
  const kinds = reader.of().flatMap(({ notes }) => notes.map(({ kind }) => kind));
  t.true(kinds.includes('error') && kinds.includes('discard'), kinds.join(' '));
});
