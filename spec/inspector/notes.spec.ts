import { rmSync } from 'node:fs';
import test from 'ava';
import type { Note } from '../../lib/inspector/wire.ts';
import { FakeClock } from '../support/clock.ts';
import { temporaryFile } from '../support/files.ts';
import { settled } from '../support/gate.ts';
import type { Reader } from './support/reader.ts';
import { stillPool, watch, watchedPool } from './support/watched.ts';

// What went wrong, each with whom it concerns.

function notesIn(reader: Reader, kind: Note['kind']): Note[] {
  return reader.of().flatMap(({ notes }) => notes.filter((note) => note.kind === kind));
}

test('who gave up is told by name, with the message he got', async (t) => {
  const { pool, clock, tick } = await watchedPool(t, { max: 1 });
  const holder = await pool.acquire({ label: 'holder' });
  const late = pool.acquire({ label: 'late', timeout: 50 });
  const writer = pool.acquire({ write: true });
  const lateWriter = pool.run('SELECT 1', [], { label: 'late writer', timeout: 60 });
  const refused = Promise.allSettled([late, lateWriter]);
  await settled();
  await clock.pass(100);
  const [first] = await refused;
  holder.close();
  const notes = notesIn(await tick(), 'timeout');
  t.like(notes[0], { label: 'late', lease: undefined, connection: undefined });
  t.is(notes[0]?.message, (first as PromiseRejectedResult).reason.message);
  t.regex(notes[0]?.message ?? '', /^Timed out after 50 ms .*holder/s);
  (await writer).close();
});

test('what was left behind is told with its lease, in its tick and in its detail', async (t) => {
  const { pool, clock, tick, detail } = await watchedPool(t);
  await pool.withConnection((db) => db.exec('BEGIN'), { label: 'careless' });
  clock.skip(10);
  const reader = await tick();
  const [note, ...others] = notesIn(reader, 'dirty');
  t.deepEqual(others, []);
  t.like(note, { label: 'careless', lease: 2, connection: 1 });
  t.regex(note?.message ?? '', /"careless".*left behind: open transaction/);
  t.deepEqual(detail(2)?.notes, [note]);
  const [{ at } = { at: 0 }] = reader.ticks;
  t.is(at - (note?.at ?? 0), 500);
});

test('a lease that is held for too long is told when it is found, and when it comes back', async (t) => {
  const { pool, clock, tick, detail } = await watchedPool(t, { leakThreshold: 1000 });
  const db = await pool.acquire({ label: 'slow' });
  await clock.pass(5000);
  db.close();
  const leaks = notesIn(await tick(), 'leak');
  t.is(leaks.length, 2);
  for (const leak of leaks) t.like(leak, { label: 'slow', lease: 2, connection: 1 });
  t.regex(leaks[0]?.message ?? '', /has been held for/);
  t.regex(leaks[1]?.message ?? '', /returned after 5\.0 s/);
  t.deepEqual(detail(2)?.notes, leaks);
});

test('a suspected deadlock is told by the name of who completed the ring', async (t) => {
  const { pool, clock, tick } = await watchedPool(t, { max: 1, onDeadlock: 'reject' });
  await t.throwsAsync(
    pool.withConnection(() => pool.acquire({ label: 'inner' }), { label: 'outer' }),
    { code: 'ERR_LEASEHOLD_DEADLOCK' },
  );
  clock.skip(1);
  const [note, ...others] = notesIn(await tick(), 'deadlock');
  t.deepEqual(others, []);
  t.is(note?.label, 'inner');
  t.regex(note?.message ?? '', /outer/);
});

test('a file that was replaced is told', async (t) => {
  const clock = new FakeClock();
  const file = temporaryFile(t);
  const pool = await stillPool(t, {}, clock, file);
  const { tick } = watch(t, [pool], clock);
  for (const end of ['', '-wal', '-shm']) rmSync(file + end, { force: true });
  const other = await stillPool(t, {}, clock, file);
  await other.withConnection(() => {});
  await clock.pass(2000);
  await pool.withConnection(() => {});
  const [note] = notesIn(await tick(), 'replace');
  t.regex(note?.message ?? '', /app\.db/);
});

test('what failed that no caller can be told of is an error, of which name and code are told', async (t) => {
  const { pool, tick } = await watchedPool(t);
  const failures = [new RangeError('details'), Object.assign(new Error('details'), { code: 'E_ODD' }), 'a text'];
  pool.on('release', () => {
    // oxlint-disable-next-line typescript/only-throw-error
    throw failures.shift();
  });
  for (let lease = 0; lease < 3; lease++) await pool.withConnection(() => {});
  t.deepEqual(
    notesIn(await tick(), 'error').map(({ message }) => message),
    ['RangeError', 'Error (E_ODD)', 'Error'],
  );
});

test('errors whose fields throw or are no texts are told as well as can be', async (t) => {
  const { pool, tick } = await watchedPool(t);
  const odd = [
    Object.defineProperty(new Error('x'), 'code', {
      get: () => {
        throw new Error('no');
      },
    }),
    Object.assign(new Error('x'), { code: 42, name: 7 }),
    Object.assign(new Error('x'), { code: 'y'.repeat(1e6) }),
    Object.assign(new Error('hidden'), { code: 'ERR_LEASEHOLD_FORGED' }),
  ];
  pool.on('release', () => {
    throw odd.shift() as Error;
  });
  for (let lease = 0; lease < 4; lease++) await pool.withConnection(() => {});
  const notes = notesIn(await tick(), 'error');
  t.is(notes.length, 4);
  for (const { message } of notes) t.true(typeof message === 'string' && message.length <= 2001);
});

test('notes are told oldest first, each in the tick in which it came, and once', async (t) => {
  const { pool, clock, tick } = await watchedPool(t);
  for (const label of ['one', 'two', 'three']) {
    await pool.withConnection((db) => db.exec('BEGIN'), { label });
    await clock.pass(200);
  }
  const reader = await tick(2);
  t.deepEqual(
    reader.of().map(({ notes }) => notes.map(({ label }) => label)),
    [['one', 'two', 'three'], [], []].slice(0, reader.ticks.length),
  );
});
