import { closeSync, openSync, writeSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import Database from 'better-sqlite3';
import type { SqlitePoolStats } from '../../lib/index.ts';
import { temporaryFile } from '../support/files.ts';
import { otherDatabase } from '../support/processes.ts';
import { temporaryPool } from '../support/sqlite.ts';
import { accounts, filesBeside, foundBank, integrityFaults, moneyFaults, startBalance, transfersOf } from './bank.ts';
import { deadlineFault, lateness, slack } from './invariants/deadlines.ts';
import { Outcomes } from './invariants/durability.ts';
import { type Circumstances, errorFault, Planned } from './invariants/errors.ts';
import { descriptorBound, growth, heapBound, memoryFaults } from './invariants/memory.ts';
import { Occupancy, type Occupant, Writers } from './invariants/occupancy.ts';
import { counterFaults, gaugeFaults } from './invariants/quiet.ts';
import { type SlowCall, sleptFor, stallFault } from './invariants/stalls.ts';
import { LoopWatch, sleepOf, ThreadClock } from './loop-watch.ts';
import { timedClass } from './timed-database.ts';

function bank(t: ExecutionContext): { readonly file: string; readonly db: Database.Database } {
  const file = temporaryFile(t, 'bank.db');
  foundBank(file);
  const db = new Database(file);
  t.teardown(() => void db.close());
  return { file, db };
}

test('money that appears, and an account that is not what the journal says, are found', (t) => {
  const { db } = bank(t);
  t.deepEqual(moneyFaults(db), []);
  db.exec('INSERT INTO journal VALUES (1, 1, 1, 1, 2, 30); UPDATE account SET balance = balance - 30 WHERE id = 1');
  t.deepEqual(moneyFaults(db), [
    `the accounts hold ${accounts * startBalance - 30} of ${accounts * startBalance}`,
    '1 accounts differ from the journal: account 2 has 1000, which should be 1030',
  ]);
  db.exec('UPDATE account SET balance = balance + 30 WHERE id = 2');
  t.deepEqual(moneyFaults(db), []);
  // The sum is right all the same.
  db.exec('UPDATE account SET balance = balance + CASE id WHEN 3 THEN 5 ELSE -5 END WHERE id IN (3, 4)');
  t.is(moneyFaults(db).length, 1);
});

test('a transfer that is lost, or has risen from the dead, is found; one that was not told of may be either', (t) => {
  const { file, db } = bank(t);
  const note = db.prepare('INSERT INTO journal VALUES (?, ?, ?, 1, 1, 0)');
  for (const number of [1, 2, 9]) note.run(1, 1, number);
  note.run(2, 1, 3);
  const outcomes = new Outcomes();
  outcomes.tell([1, 2], true);
  outcomes.tell([4], false);
  const inFile = transfersOf(file, 1, 1);
  t.deepEqual(inFile, new Set([1, 2, 9]));
  t.deepEqual(outcomes.faults(inFile), []);
  outcomes.tell([3], true);
  outcomes.tell([9], false);
  t.deepEqual(outcomes.faults(inFile), ['1 committed and not in the file: 3', '1 rolled back and in the file: 9']);
  outcomes.tell([1], false);
  t.true(outcomes.faults(inFile).includes('1 told both ways: 1'));
});

test('a reference to nothing, and files that were left behind, are found', (t) => {
  const { file, db } = bank(t);
  t.deepEqual(integrityFaults(db), []);
  db.pragma('foreign_keys = OFF');
  db.exec('INSERT INTO journal VALUES (1, 1, 1, 1, 99, 0)');
  t.deepEqual(integrityFaults(db), ['foreign_key_check: 1 rows']);
  t.deepEqual(filesBeside(file).toSorted(), ['bank.db-shm', 'bank.db-wal']);
  db.close();
  t.deepEqual(filesBeside(file), []);
  t.deepEqual(filesBeside(`${file}x`), ['no bank.dbx']);
});

test('a file that is damaged is found', (t) => {
  const { file, db } = bank(t);
  const page = Number(db.pragma('page_size', { simple: true }));
  db.close();
  const descriptor = openSync(file, 'r+');
  // The end of the first page after the schema, where its last rows are: those come first.
  writeSync(descriptor, Buffer.alloc(40, 0xff), 0, 40, 2 * page - 40);
  closeSync(descriptor);
  const damaged = new Database(file);
  t.teardown(() => void damaged.close());
  t.regex(integrityFaults(damaged).join(), /^integrity_check: /);
});

const occupant = (connection: number, who: string, isLane = false, isHeld = true): Occupant => ({
  connection,
  who,
  isLane,
  pool: 'main',
  isHeld: () => isHeld,
});

test('two holders of one connection, and a connection that became another, are found', (t) => {
  const occupancy = new Occupancy();
  const [first, second] = [occupant(1, 'first'), occupant(1, 'second')];
  t.is(occupancy.enter(first), undefined);
  t.is(occupancy.check(first, 1), undefined);
  t.is(occupancy.check(first, 2), 'first had connection 1 and finds 2');
  t.is(occupancy.enter(second), 'second got connection 1, which first has');
  occupancy.leave(second);
  t.is(occupancy.check(first, 1), undefined, 'who was refused takes nothing with him');
  occupancy.leave(first);
  t.is(occupancy.check(first, 1), 'first has connection 1, and so has nobody');
  t.is(occupancy.enter(second), undefined);
});

test('one lease too many is found, and leases in use go on when max shrinks', (t) => {
  const occupancy = new Occupancy();
  occupancy.limit('main', 2);
  const [a, b, c] = [occupant(1, 'a'), occupant(2, 'b'), occupant(3, 'c')];
  t.is(occupancy.enter(a), undefined);
  t.is(occupancy.enter(b), undefined);
  t.is(occupancy.enter(occupant(10, 'lane', true)), undefined);
  t.is(occupancy.enter(occupant(11, 'another', true)), '2 of 1 lane connections of main are held: lane, another');
  t.is(occupancy.enter(c), '3 of 2 connections of main are held: a, b, c');
  occupancy.limit('main', 1, 3);
  occupancy.leave(c);
  t.is(occupancy.enter(c), '3 of 2 connections of main are held: a, b, c', 'the place of who has left is gone');
  t.is(new Occupancy().enter(a), undefined, 'nothing is known of its pool');
  const taken = new Occupancy();
  taken.limit('main', 1);
  t.is(taken.enter(occupant(1, 'taken away', false, false)), undefined);
  t.is(taken.enter(b), undefined, 'a lease that was taken away does not count');
  taken.limit('main', 1, 2);
  taken.leave(occupant(1, 'taken away', false, false));
  t.is(taken.enter(c), undefined, 'nor does its end');
  t.is(taken.enter(occupant(3, 'next')), 'next got connection 3, which c has');
});

test('two writers at a time are found, unless the first has been rolled back', (t) => {
  const writers = new Writers();
  let isOpen = true;
  const first = { who: 'first', isWriting: () => isOpen };
  t.is(writers.enter(first), undefined);
  t.is(writers.enter({ who: 'second', isWriting: () => false }), 'second may write while first may');
  t.deepEqual(writers.besides('another'), ['first']);
  t.deepEqual(writers.besides('first'), []);
  isOpen = false;
  t.is(writers.enter({ who: 'third', isWriting: () => true }), undefined);
  writers.leave(first);
});

test('what is held or waited for at a quiet point, and counters that do not add up, are found', async (t) => {
  const pool = temporaryPool(t, { max: 2 });
  const none = { leaks: 0, timeouts: 0 };
  await pool.run('CREATE TABLE x (y)');
  t.deepEqual([...gaugeFaults(pool.stats()), ...counterFaults(pool.stats(), none)], []);
  const db = await pool.acquire({ write: true });
  const queued = pool.transaction(() => {});
  t.deepEqual(gaugeFaults(pool.stats()), ['leased is 1', 'laneHeld is 1', 'laneWaiting is 1']);
  t.deepEqual(counterFaults(pool.stats(), none), ['acquired and released: 2 and 1']);
  db.close();
  await queued;
  const stats: SqlitePoolStats = pool.stats();
  t.deepEqual(gaugeFaults({ ...stats, leased: 0, laneHeld: 0, size: 4, idle: 3 }), [
    'size is 4 with max 2',
    '3 of 4 are idle',
  ]);
  const counters = { ...stats.counters, acquired: 2, released: 2, leaks: 1, timeouts: 2, opened: 9 };
  t.deepEqual(counterFaults({ ...stats, counters }, none), [
    `opened less closed, and size: 9 and ${stats.size}`,
    'leaks counted and seen: 1 and 0',
    'timeouts counted and seen: 2 and 0',
  ]);
});

test('an answer after the deadline is found, unless the event loop explains it', (t) => {
  t.is(deadlineFault('op', { waited: 20 + slack, timeout: 20, blocked: 0 }), undefined);
  t.is(deadlineFault('op', { waited: 500, timeout: 20, blocked: 440 }), undefined);
  t.is(
    deadlineFault('op', { waited: 500, timeout: 20, blocked: 400 }),
    'op was answered after 500 ms with a deadline of 20 ms, while the loop was late by 400 ms',
  );
  t.is(lateness({ waited: 5, timeout: 20, blocked: 0 }), 0);
});

test('a loop that is blocked is told to have been late for as long', async (t) => {
  const clock = new ThreadClock();
  const watch = new LoopWatch(clock);
  await new Promise(setImmediate);
  const from = performance.now();
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60);
  const to = performance.now();
  t.true(watch.blocked(from, to) >= to - from - 1, 'also while it is');
  await new Promise((resolve) => {
    setTimeout(resolve, 20);
  });
  t.true(watch.blocked(from, to) >= 50);
  t.is(watch.blocked(from - 10_000, from - 9000), 0);
  t.true(watch.blockedAt(from + 5) >= 40);
  t.is(watch.blockedAt(from - 10_000), 0);
  t.true(watch.worstStall >= 50);
  watch.stop();
  clock.close();
});

const slow = (call: Partial<SlowCall>): SlowCall => ({
  sql: 'BEGIN IMMEDIATE',
  took: 300,
  asleep: 290,
  turns: 12,
  busyTimeout: 0,
  ...call,
});

test('sleep in a call that touches no disk, or that may wait for a lock for so long, is told to be for a lock', (t) => {
  t.is(sleptFor(slow({})), 'lock');
  t.is(sleptFor(slow({ asleep: 90 })), 'nothing');
  t.is(sleptFor(slow({ turns: 2 })), 'machine');
  t.is(sleptFor(slow({ sql: 'COMMIT' })), 'disk');
  t.is(sleptFor(slow({ sql: '(close)' })), 'disk');
  t.is(sleptFor(slow({ sql: 'COMMIT', busyTimeout: 1000 })), 'lock');
  t.is(sleptFor(slow({ sql: 'COMMIT', busyTimeout: undefined })), 'lock');
  t.is(stallFault(slow({ sql: 'COMMIT' })), undefined);
  t.is(stallFault(slow({})), '"BEGIN IMMEDIATE" took 300 ms, 290 of which the thread slept, with a busy timeout of 0');
});

const canTell = new ThreadClock().tellsSleep;

(canTell ? test : test.skip)('a wait for the lock of another process is told from work', async (t) => {
  const file = temporaryFile(t);
  const other = await otherDatabase(t, file);
  await other.exec('PRAGMA journal_mode = WAL; CREATE TABLE x (y); BEGIN IMMEDIATE');
  const clock = new ThreadClock();
  const calls: SlowCall[] = [];
  const Timed = timedClass(clock, (call) => void calls.push(call));
  const db = new Timed(file, { timeout: 250 });
  t.throws(() => db.exec('BEGIN IMMEDIATE'), { code: 'SQLITE_BUSY' });
  t.like(calls, { 0: { sql: 'BEGIN IMMEDIATE', busyTimeout: 250 }, length: 1 });
  t.truthy(stallFault(calls[0] as SlowCall));
  const count = db.prepare(
    'WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT ?) SELECT count(*) FROM n',
  );
  for (let rows = 1e6; calls.length < 2; rows *= 2) count.get(rows);
  t.is(stallFault(calls[1] as SlowCall), undefined, 'it takes long, and does not sleep');
  db.close();
  clock.close();
});

test('time that a thread neither runs nor wants to is sleep', (t) => {
  t.is(sleepOf(300, { running: 10, queued: 5, turns: 1 }, { running: 110, queued: 55, turns: 9 }), 150);
  t.is(sleepOf(10, { running: 0, queued: 0, turns: 0 }, { running: 11, queued: 0, turns: 0 }), 0);
});

test('memory and descriptors that grow are found once there are looks enough', (t) => {
  const flat = Array.from({ length: 20 }, () => 1000);
  const grown = (by: number) => flat.map((value, index) => value + (index >= 15 ? by : 0));
  t.is(growth(flat.slice(0, 7)), undefined);
  t.is(growth([9e9, 9e9, ...flat]), 0, 'the first looks count for nothing');
  t.is(growth([...flat.slice(0, 18), 9e9, 1000]), 0, 'nor does a single one');
  t.deepEqual(memoryFaults(grown(heapBound), grown(descriptorBound)), []);
  t.deepEqual(memoryFaults(grown(2 * heapBound), grown(descriptorBound + 1)), [
    'the heap grew by 6.0 MB over 20 quiet points',
    '2 more descriptors are open after 20 quiet points',
  ]);
});

const usual: Circumstances = {
  kind: 'transfer',
  throws: false,
  aborted: false,
  overdue: false,
  bounded: false,
  joinFailed: false,
  stoodStill: false,
  isOpenTransaction: false,
};
const coded = (code: string): Error => Object.assign(new Error('told\nmore'), { code });

test('an operation may meet only what its kind and its circumstances explain', (t) => {
  const cases: readonly (readonly [code: string, circumstances: Partial<Circumstances>])[] = [
    ['ABORT_ERR', { aborted: true }],
    ['ERR_LEASEHOLD_QUEUE_FULL', { bounded: true }],
    ['ERR_LEASEHOLD_RELEASED', { overdue: true }],
    ['ERR_LEASEHOLD_TRANSACTION_ENDED', { overdue: true }],
    ['ERR_LEASEHOLD_TRANSACTION_ENDED', { aborted: true, isOpenTransaction: true }],
    ['ERR_LEASEHOLD_TRANSACTION_ABORTED', { joinFailed: true }],
    ['ERR_LEASEHOLD_TRANSACTION_BUSY', { stoodStill: true }],
    ['ERR_LEASEHOLD_DEADLOCK', { kind: 'reading' }],
    ['SQLITE_BUSY', { kind: 'synchronous' }],
  ];
  for (const [code, circumstances] of cases) {
    t.is(errorFault(coded(code), { ...usual, ...circumstances }), undefined, code);
    t.is(errorFault(coded(code), usual), `transfer met ${code}: Error: told`);
  }
  t.is(errorFault(coded('ERR_LEASEHOLD_WRITE_TIMEOUT'), usual), undefined);
  t.is(errorFault(new Planned(), { ...usual, throws: true }), undefined);
  t.truthy(errorFault(new Planned(), usual));
  t.is(
    errorFault(new TypeError('busy'), { ...usual, throws: true, aborted: true, overdue: true }),
    'transfer met none: TypeError: busy',
  );
  t.is(errorFault(7, usual), 'transfer met none: 7');
});
