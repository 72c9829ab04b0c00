import test from 'ava';
import { pictureOf } from '../../../lib/inspector/page/picture.ts';
import { conditionOf, deadlocked, spoken, tip } from '../../../lib/inspector/page/words.ts';
import type { PoolState, PoolTick } from '../../../lib/inspector/wire.ts';
import { at, barOf, holderOf, noteOf, poolOf, restOf, tickOf, viewOf } from './reports.ts';

function itemsOf(pool: PoolState, part: Partial<PoolTick> = {}) {
  return pictureOf(viewOf({ ticks: [tickOf(1), tickOf(2, part)], pools: [pool] }), pool).items.flat();
}

function said(pool: PoolState, part: Partial<PoolTick> = {}, now = at(1)): string[] {
  return itemsOf(pool, part).map((item) => spoken(item, now));
}

test('how full a pool is, is said in a word', (t) => {
  const words = [
    poolOf(),
    poolOf({ leased: 3 }),
    poolOf({ leased: 8, full: true }),
    poolOf({ leased: 9, waiting: 12, full: true }),
    // One of these is the connection of the write lane, which takes the place of no other.
    poolOf({ leased: 8 }),
    poolOf({ leased: 8, closed: true }),
  ].map((pool) => Object.values(conditionOf(pool)).join(': '));
  t.deepEqual(words, [
    'quiet: quiet',
    'busy: 5 free',
    'full: full',
    'full: full, 12 waiting',
    'busy: 1 free',
    'closed: closed',
  ]);
});

test('a deadlock is suspected for as long as no lease ends after it was reported', (t) => {
  const stuck = poolOf({ leased: 8, waiting: 3, full: true });
  const reported = tickOf(1, { released: 2, notes: [noteOf({ kind: 'deadlock' })] });
  t.true(deadlocked([reported, tickOf(2), tickOf(3)], stuck));
  t.false(deadlocked([reported, tickOf(2, { released: 1 }), tickOf(3)], stuck));
  t.false(deadlocked([tickOf(1), tickOf(2)], stuck));
  t.false(deadlocked([reported, tickOf(2)], poolOf({ leased: 8, full: true })));
  t.false(deadlocked([reported, tickOf(2)], poolOf({ leased: 7, waiting: 3 })));
  t.false(deadlocked([], stuck));
});

test('a lease is spoken with its label, its connection, and its times', (t) => {
  const bar = barOf({ label: 'GET /orders', connection: 1, to: at(0.12), waited: 4 });
  t.deepEqual(said(poolOf({ lane: undefined }), { bars: [bar] }), [
    'GET /orders, connection 1, held 120 ms, waited 4 ms',
  ]);
});

test('transactions and snapshots are spoken of', (t) => {
  const writes = [[at(0), at(0.5)]] as const;
  const reads = [
    [at(0), at(0.1)],
    [at(0.2), at(0.3)],
  ] as const;
  t.deepEqual(said(poolOf({ lane: undefined }), { bars: [barOf({ label: undefined, writes, reads })] }), [
    'no label, connection 1, held 1 s, did not wait, write transaction, 2 read snapshots',
  ]);
});

test('what goes on is said to do so', (t) => {
  const holders = [holderOf({ from: at(0), writes: [[at(0.5), at(1)]] })];
  t.deepEqual(said(poolOf({ holders }), {}, at(3)), [
    'GET /, write lane, held for 2.5 s so far',
    'GET /, connection 1, held for 3 s so far, did not wait, write transaction',
  ]);
});

test('short leases are told as a share of their tick', (t) => {
  const rest = [restOf({ held: 400, wrote: 100, waited: 30 })];
  t.deepEqual(said(poolOf({ lane: undefined }), { rest }), [
    '10 short leases, mostly GET /, connection 1, held for 80\u00a0% of 500 ms, could write for 20\u00a0%, waited 30 ms in all',
  ]);
});

test('leases on connections that are not told apart are told to be on others', (t) => {
  const [said0] = said(poolOf({ lane: undefined }), { rest: [restOf({ connection: 0 })] });
  t.regex(said0 ?? '', /, other connections, /);
});

test('those who wait are told by what they wait for', (t) => {
  const [queue] = said(poolOf(), { waiting: 3, laneWaiting: 2 });
  t.regex(queue ?? '', /^3 waiting for a connection, 2 waiting for the write lane, \d\d:\d\d:\d\d$/);
});

test('a note is told with its kind first', (t) => {
  const [note] = said(poolOf(), { notes: [noteOf({ kind: 'timeout', message: 'Timed out.\nAfter 5 s.' })] });
  t.regex(note ?? '', /^timeout, GET \/, \d\d:\d\d:\d\d: Timed out\. After 5 s\.$/);
});

test('a stranger in the write lane is told with its pool', (t) => {
  const holder = { pool: 'jobs', label: 'import', kind: 'transaction', age: 10, lease: undefined } as const;
  const pool = poolOf();
  const strangers = new Map([[1, [{ from: at(0), to: at(0.5), holder }]]]);
  const [item] = pictureOf({ ...viewOf({ ticks: [tickOf(2)], pools: [pool] }), strangers }, pool).items.flat();
  t.is(item && spoken(item, at(1)), 'import, transaction of "jobs", held 500 ms');
});

test('beside the pointer nothing from outside is longer than a few lines', (t) => {
  const label = 'a'.repeat(10_000);
  const message = 'b'.repeat(10_000);
  const pool = poolOf({ holders: [holderOf({ label })] });
  const part = { bars: [barOf({ label })], rest: [restOf({ label })], notes: [noteOf({ label, message })] };
  const items = itemsOf(pool, part);
  t.is(items.length, 4);
  for (const item of items) {
    const { title, lines } = tip(item, at(1));
    t.true([title, ...lines].join('').length < 600);
    t.true(spoken(item, at(1)).length < 600);
  }
});
