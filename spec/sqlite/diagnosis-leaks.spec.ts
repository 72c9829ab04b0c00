import { statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { LeasedDatabase, PoolEvents, SqlitePoolOptions } from '../../lib/index.ts';
import { SqlitePool } from '../../lib/sqlite/pool.ts';
import { formatBytes } from '../../lib/wording.ts';
import { FakeClock } from '../support/clock.ts';
import { temporaryDirectory } from '../support/files.ts';
import { gate, settled } from '../support/gate.ts';
import { collected } from '../support/gc.ts';
import { type Place, placesOf } from '../support/places.ts';

const placesIn = placesOf(import.meta.filename);

type Leak = PoolEvents['leak'];

/** A pool that reports leases held for half a second, on a file whose WAL is not empty. */
async function watched(t: ExecutionContext, options?: SqlitePoolOptions, link = false) {
  const clock = new FakeClock();
  const directory = temporaryDirectory(t);
  const file = join(directory, 'app.db');
  if (link) symlinkSync(file, join(directory, 'link.db'));
  const path = link ? join(directory, 'link.db') : file;
  const pool = new SqlitePool(path, { name: 'app', leakThreshold: 500, ...options }, clock);
  t.teardown(() => pool.close({ timeout: 0 }));
  const leaks: Leak[] = [];
  pool.on('leak', (event) => leaks.push(event));
  await pool.run('CREATE TABLE item (name)');
  await pool.run("INSERT INTO item VALUES ('bolt'), ('nut')");
  return { clock, pool, leaks, file, walSize: () => statSync(`${file}-wal`).size };
}

/** Ways to keep the WAL from being reclaimed, and how the holder is described. */
type Keep = (pool: SqlitePool, until: Promise<void>) => Promise<void>;

async function bySnapshot(pool: SqlitePool, until: Promise<void>) {
  await pool.read(() => until, { label: 'job' });
}
async function byIterator(pool: SqlitePool, until: Promise<void>) {
  const db = await pool.acquire({ label: 'job' });
  const rows = db.prepare('SELECT * FROM item').iterate();
  rows.next();
  await until;
  rows.return?.();
  db.close();
}
async function byRawTransaction(pool: SqlitePool, until: Promise<void>) {
  const db = await pool.acquire({ label: 'job' });
  db.exec('BEGIN; SELECT * FROM item');
  await until;
  db.exec('COMMIT');
  db.close();
}
async function byTransaction(pool: SqlitePool, until: Promise<void>) {
  await pool.transaction(() => until, { label: 'job' });
}
async function byNothing(pool: SqlitePool, until: Promise<void>) {
  const db = await pool.acquire({ label: 'job' });
  db.prepare('SELECT * FROM item').all();
  await until;
  db.close();
}
async function byWriteScope(pool: SqlitePool, until: Promise<void>) {
  await pool.withConnection(() => until, { label: 'job', write: true });
}

const keepers: readonly { keep: Keep; call: Place['call']; state: string; pins: boolean }[] = [
  { keep: bySnapshot, call: 'read', state: 'snapshot open, ', pins: true },
  { keep: byIterator, call: 'acquire', state: 'transaction open, ', pins: true },
  { keep: byRawTransaction, call: 'acquire', state: 'transaction open, ', pins: true },
  { keep: byTransaction, call: 'transaction', state: 'write transaction open, ', pins: true },
  { keep: byNothing, call: 'acquire', state: '', pins: false },
  { keep: byWriteScope, call: 'withConnection', state: 'may write, ', pins: false },
];

for (const { keep, call, state, pins } of keepers) {
  test(`a lease held too long is reported once, with what it keeps from being reclaimed: ${keep.name}`, async (t) => {
    const { clock, pool, leaks, walSize } = await watched(t);
    const done = gate();
    const keeping = keep(pool, done.passed);
    await settled();
    const id = pool.leases()[0]?.id;
    await clock.pass(499);
    t.deepEqual(leaks, []);
    await clock.pass(60_000);
    t.is(leaks.length, 1);
    const { kind, holder, message } = leaks[0] as Leak;
    t.is(kind, 'overdue');
    t.like(holder, { id, label: 'job', inTransaction: pins, idleFor: holder.age });
    t.true(holder.age >= 500 && holder.age <= 1000, 'by the next housekeeping');
    t.true(walSize() > 0);
    t.is(holder.pinnedBytes, pins ? walSize() : undefined);
    t.is('pinnedBytes' in holder, pins);
    const pinned = pins ? `, keeps ${formatBytes(walSize())} of log from being reclaimed` : '';
    const age = holder.age < 1000 ? `${holder.age} ms` : '1.0 s';
    const sentence = `Lease #${id} "job" of "app" has been held for ${age}: ${state}last used ${age} ago${pinned}. `;
    t.is(message.slice(0, sentence.length), sentence);
    t.true(message.slice(sentence.length).startsWith(`It was acquired at ${keep.name} (`), message);
    t.deepEqual(placesIn(message)[0], { by: keep.name, call });
    t.false('pinnedBytes' in (pool.leases()[0] ?? {}), 'which is looked up for reports alone');
    done.open();
    await keeping;
    t.is(leaks.length, 2);
    t.like(leaks[1], { kind: 'returned', holder: { id, label: 'job', age: 60_499 } });
    t.true(leaks[1]?.message.startsWith(`Lease #${id} "job" of "app" returned after 60.5 s. It was acquired at `));
    t.deepEqual(placesIn(leaks[1]?.message ?? '')[0], { by: keep.name, call });
    await clock.pass(60_000);
    t.is(leaks.length, 2);
    t.is(pool.stats().counters.leaks, 1);
  });
}

test('a lease that comes back with its transaction open still tells what it kept', async (t) => {
  const { clock, pool, leaks, walSize } = await watched(t);
  const db = await pool.acquire();
  db.exec('BEGIN; SELECT * FROM item');
  await clock.pass(1000);
  db.close();
  t.is(leaks.length, 2);
  t.like(leaks[1], { kind: 'returned', holder: { inTransaction: true, pinnedBytes: walSize() } });
});

test('what is kept is told as it is then, not as it was at the beginning', async (t) => {
  const { clock, pool, leaks, walSize } = await watched(t);
  const before = walSize();
  const done = gate();
  const reading = pool.read(() => done.passed);
  await settled();
  await pool.run('INSERT INTO item SELECT randomblob(100000) FROM item');
  await clock.pass(1000);
  t.true(walSize() > before + 100_000);
  t.like(leaks, { 0: { kind: 'overdue', holder: { mode: 'read', pinnedBytes: walSize() } }, length: 1 });
  done.open();
  await reading;
});

test('through a symbolic link it is the log of the file itself that is told', async (t) => {
  const { clock, pool, leaks, walSize } = await watched(t, {}, true);
  const done = gate();
  const keeping = bySnapshot(pool, done.passed);
  await clock.pass(1000);
  t.true(walSize() > 0);
  t.like(leaks, { 0: { holder: { pinnedBytes: walSize() } }, length: 1 });
  done.open();
  await keeping;
});

for (const mode of ['delete', 'truncate', 'persist']) {
  test(`in rollback-journal mode (${mode}) there is no log to keep`, async (t) => {
    const { clock, pool, leaks, file } = await watched(t, { pragmas: { journal_mode: mode } });
    const done = gate();
    const keeping = bySnapshot(pool, done.passed);
    await settled();
    // Of a time when it was in another mode, as far as can be seen.
    writeFileSync(`${file}-wal`, 'left over');
    await clock.pass(1000);
    t.like(leaks, { 0: { kind: 'overdue', holder: { inTransaction: true, mode: 'read' } }, length: 1 });
    t.false('pinnedBytes' in (leaks[0]?.holder ?? {}));
    t.true(leaks[0]?.message.includes(': snapshot open, last used '));
    done.open();
    await keeping;
  });
}

test('a private database has no log either', async (t) => {
  const clock = new FakeClock();
  const pool = new SqlitePool(':memory:', { leakThreshold: 500 }, clock);
  t.teardown(() => pool.close({ timeout: 0 }));
  const leaks: Leak[] = [];
  pool.on('leak', (event) => leaks.push(event));
  const db = await pool.acquire();
  db.exec('BEGIN; CREATE TABLE item (name)');
  await clock.pass(1000);
  t.like(leaks, { 0: { kind: 'overdue', holder: { inTransaction: true } }, length: 1 });
  t.false('pinnedBytes' in (leaks[0]?.holder ?? {}));
  db.close();
});

/** What a forgotten handle leaves open. */
const forgotten: Record<string, { leave: (db: LeasedDatabase) => void; pins: boolean; traces: readonly string[] }> = {
  'a raw transaction': {
    leave: (db) => void db.exec('BEGIN; SELECT * FROM item'),
    pins: true,
    traces: ['open transaction'],
  },
  'an iterator': {
    leave: (db) => void db.prepare('SELECT * FROM item').iterate().next(),
    pins: true,
    traces: ['open iterator'],
  },
  nothing: { leave: (db) => void db.prepare('SELECT * FROM item').all(), pins: false, traces: [] },
};

/** Apart, so that no frame of a test keeps the handle. */
async function lose(pool: SqlitePool, leave: (db: LeasedDatabase) => void): Promise<void> {
  leave(await pool.acquire({ label: 'lost' }));
}

for (const [name, { leave, pins, traces }] of Object.entries(forgotten)) {
  test(`a handle dropped with ${name} open is reported with what it kept, and its connection recovered`, async (t) => {
    const { clock, pool, leaks, walSize } = await watched(t, { max: 1, leakThreshold: 10_000 });
    const dirt: PoolEvents['dirty'][] = [];
    pool.on('dirty', (event) => dirt.push(event));
    await lose(pool, leave);
    await clock.pass(6000);
    t.true(await collected(() => leaks.length > 0));
    t.is(leaks.length, 1);
    const { kind, holder, message } = leaks[0] as Leak;
    t.is(kind, 'dropped');
    t.like(holder, { label: 'lost', inTransaction: pins });
    // It is looked for every 5 s, and may have been collected before it is asked for that.
    const { age } = holder;
    t.true(age === 5000 || age === 6000, `${age}`);
    t.is(holder.pinnedBytes, pins ? walSize() : undefined);
    t.true(
      message.startsWith(
        `Lease #${holder.id} "lost" of "app" was dropped without release after ${age / 1000}.0 s, and its connection recovered: `,
      ),
    );
    t.is(message.includes(' of log from being reclaimed. It was acquired at lose ('), pins, message);
    t.deepEqual(placesIn(message)[0], { by: 'lose', call: 'acquire' });
    t.deepEqual(
      dirt.map((event) => [event.label, event.traces]),
      traces.length === 0 ? [] : [['lost', traces]],
    );
    await using next = await pool.acquire({ timeout: 10 });
    t.false(next.inTransaction);
    t.like(pool.stats(), { leased: 1, counters: { leaks: 1, doubleReleases: 0 } });
  });
}

test('a snapshot whose request hangs for ever is recovered once nobody can end it', async (t) => {
  const { clock, pool, leaks, walSize } = await watched(t, { max: 1, leakThreshold: 10_000 });
  (() => void pool.read(() => new Promise(() => {}), { label: 'hung' }))();
  await clock.pass(6000);
  t.true(await collected(() => leaks.length > 0));
  t.like(leaks, { 0: { kind: 'dropped', holder: { label: 'hung', mode: 'read', pinnedBytes: walSize() } }, length: 1 });
  await using next = await pool.acquire({ timeout: 10 });
  t.false(next.inTransaction);
});
