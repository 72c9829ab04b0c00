import { linkSync, mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Cancellations } from '../../lib/cancellations.ts';
import { systemClock } from '../../lib/clock.ts';
import type { WriteHolder } from '../../lib/holder.ts';
import { ClosedError, type SqlitePoolOptions } from '../../lib/index.ts';
import { identityOf } from '../../lib/sqlite/database-file.ts';
import { type LaneEntry, laneOf, WriteLane } from '../../lib/sqlite/lane.ts';
import { LaneFinder } from '../../lib/sqlite/lane-finder.ts';
import { SqlitePool } from '../../lib/sqlite/pool.ts';
import { FakeClock } from '../support/clock.ts';
import { temporaryDirectory, temporaryFile } from '../support/files.ts';
import { gate, settled } from '../support/gate.ts';
import { collected } from '../support/gc.ts';
import { refusal } from '../support/items.ts';

/** Somebody in a lane, who is over when he says so. */
class Entry implements LaneEntry {
  readonly label: string;
  readonly #lane: WriteLane;
  over = false;

  constructor(label: string, lane: WriteLane) {
    this.label = label;
    this.#lane = lane;
  }

  describe(): WriteHolder {
    return { pool: 'app', label: this.label, kind: 'raw transaction', age: 0, lease: undefined };
  }

  settle(): void {
    if (this.over) this.#lane.leave(this);
  }

  isAround(): boolean {
    return false;
  }
}

function emptyFile(file: string): string {
  writeFileSync(file, '');
  return file;
}

function laneIn(file: string): WriteLane {
  return laneOf(identityOf(file)?.id as string, systemClock);
}

test('every path to a file leads to the same lane: absolute, symbolic link, hard link, through a linked directory', (t) => {
  const directory = temporaryDirectory(t);
  const file = emptyFile(join(directory, 'app.db'));
  symlinkSync(file, join(directory, 'symbolic.db'));
  linkSync(file, join(directory, 'hard.db'));
  mkdirSync(join(directory, 'sub'));
  symlinkSync(directory, join(directory, 'sub', 'back'));
  const lane = laneIn(file);
  for (const path of ['app.db', 'symbolic.db', 'hard.db', 'sub/../app.db', 'sub/back/app.db']) {
    t.is(laneIn(join(directory, path)), lane, path);
  }
});

test('another file has another lane, also one of the same name put in the place of the first', (t) => {
  const directory = temporaryDirectory(t);
  const file = emptyFile(join(directory, 'app.db'));
  const lane = laneIn(file);
  t.not(laneIn(emptyFile(join(directory, 'other.db'))), lane);
  // Moved, not removed: else the new one might get its inode.
  renameSync(file, join(directory, 'old.db'));
  t.not(laneIn(emptyFile(file)), lane);
  t.is(laneIn(join(directory, 'old.db')), lane);
});

test('a lane that nobody uses any more is collected, and its file gets a new one', async (t) => {
  const file = emptyFile(temporaryFile(t));
  const lane = new WeakRef(laneIn(file));
  t.true(await collected(() => lane.deref() === undefined));
  const again = laneIn(file);
  // The first one's finalizer may come only now.
  await collected(() => false, 3);
  t.is(laneIn(file), again);
});

test('who is over without having left is not in any more: the next one is, or the one who asks', async (t) => {
  const lane = new WriteLane(new FakeClock());
  const [first, second, third] = [new Entry('first', lane), new Entry('second', lane), new Entry('third', lane)];
  t.true(lane.tryEnter(first));
  t.false(lane.tryEnter(second));
  first.over = true;
  t.true(lane.tryEnter(second));
  t.is(lane.holder, second);
  const entering = lane.enter(turn(third, 1000), []);
  second.over = true;
  t.is(lane.holder, third);
  await t.notThrowsAsync(entering);
  third.over = true;
  t.is(lane.holder, undefined);
});

test('where one who is over leaves, one is let in and no second one, though the error of a late one looks who is in', async (t) => {
  const clock = new FakeClock();
  const lane = new WriteLane(clock);
  const [over, late, third, fourth] = ['over', 'late', 'third', 'fourth'].map((label) => new Entry(label, lane));
  if (over === undefined || late === undefined || third === undefined || fourth === undefined) throw new Error();
  lane.tryEnter(over);
  const log: string[] = [];
  const enter = (entry: Entry, timeout: number) => {
    const timeoutError = () => new Error(lane.holder?.describe().label ?? 'nobody');
    lane.enter({ ...turn(entry, timeout), since: clock.now(), timeoutError }, []).then(
      () => log.push(entry.label),
      () => log.push(`${entry.label} was refused`),
    );
  };
  enter(late, 10);
  enter(third, 100);
  enter(fourth, 100);
  // Its deadline has passed, and its timer is late.
  clock.skip(10);
  over.over = true;
  void lane.holder;
  await settled();
  t.deepEqual(log.toSorted(), ['late was refused', 'third']);
  t.is(lane.holder, third);
  t.is(lane.waiting, 1);
});

function turn(holder: LaneEntry, timeout: number) {
  return {
    holder,
    timeout,
    signal: undefined,
    priority: 0,
    since: 1000,
    scope: undefined,
    timeoutError: () => new Error('late'),
  };
}

// Which lane is that of a file is known once the file has been opened, which may take its time.

function open(t: ExecutionContext, options: SqlitePoolOptions = {}) {
  const clock = new FakeClock();
  const pool = new SqlitePool(temporaryFile(t), { name: 'app', ...options }, clock);
  t.teardown(() => pool.close({ timeout: 0 }));
  return { pool, clock };
}

/** Somebody who waits for an opening that does not come to an end, and what he is counted as. */
function waiting({ signal, timeout = 100 }: { readonly signal?: AbortSignal; readonly timeout?: number } = {}) {
  const clock = new FakeClock();
  const ends = new Cancellations();
  const refused: unknown[] = [];
  const finder = new LaneFinder({
    settings: { pool: 'app', ends, onRefused: (error, label, waited) => refused.push([error, label, waited]) },
    clock,
    known: () => undefined,
    open: () => gate().passed,
    openError: () => undefined,
  });
  const request = {
    label: 'order',
    signal,
    priority: 0,
    timeout,
    since: clock.now(),
    scope: undefined,
    site: undefined,
  };
  return { clock, ends, refused, finding: Promise.resolve(finder.find(request)) };
}

test('who waits for an opening that hangs is refused at the deadline, and told what to look for', async (t) => {
  const { clock, refused, finding } = waiting();
  const late = t.throwsAsync(finding, refusal('WRITE_TIMEOUT'));
  await clock.pass(100);
  const error = await late;
  t.regex(
    error?.message ?? '',
    /\n {2}What to do: if this happens without load, find out why opening the file takes so long/,
  );
  t.like(error, { holder: undefined, label: 'order', timeout: 100, cause: undefined });
  t.deepEqual(refused, [[error, 'order', 100]]);
  t.is(clock.pending, 0);
});

test('who waits for an opening that hangs is let go by an abort, and by the end of the pool', async (t) => {
  const controller = new AbortController();
  const aborted = waiting({ signal: controller.signal, timeout: Infinity });
  const gone = t.throwsAsync(aborted.finding, { name: 'AbortError' });
  await settled();
  controller.abort();
  t.deepEqual(aborted.refused, [[await gone, 'order', 0]]);

  const closed = waiting({ timeout: Infinity });
  const ended = t.throwsAsync(closed.finding, refusal('CLOSED'));
  await settled();
  closed.ends.cancel(() => new ClosedError('app'));
  t.deepEqual(closed.refused, [[await ended, 'order', 0]]);
});

test('an abort while `onOpen` has the first connection is told at once, and counted', async (t) => {
  const opening = gate();
  const { pool } = open(t, { onOpen: () => opening.passed });
  const controller = new AbortController();
  const aborted = t.throwsAsync(
    pool.transaction(() => {}, { signal: controller.signal }),
    { name: 'AbortError' },
  );
  await settled();
  controller.abort();
  await aborted;
  t.like(pool.stats(), { laneHeld: 0, laneWaiting: 0, counters: { aborted: 1 } });
  opening.open();
  t.is(await pool.transaction(() => 'next'), 'next');
});

test('a write scope whose time is over before there is the connection it was to share does not queue for the lane', async (t) => {
  const { pool, clock } = open(t, { max: 1 });
  const holder = await pool.acquire({ label: 'holder' });
  const writer = await pool.openTransaction({ label: 'writer' }).begun;
  await pool.withScope(async () => {
    const binding = t.throwsAsync(pool.connection({ timeout: 200 }), refusal('ACQUIRE_TIMEOUT'));
    let ran = false;
    const late = t.throwsAsync(
      pool.withConnection(
        () => {
          ran = true;
        },
        { write: true, timeout: 100 },
      ),
      refusal('ACQUIRE_TIMEOUT'),
    );
    await clock.pass(200);
    await binding;
    t.like(await late, { timeout: 100, holders: [{ label: 'holder' }] });
    t.false(ran);
    t.like(pool.stats(), { laneHeld: 1, laneWaiting: 0, counters: { timeouts: 2 } });
  });
  await writer.rollback();
  holder.close();
});

test('a transaction is not run again in a scope that ends in the step in which its pause is over', async (t) => {
  const { pool, clock } = open(t);
  const scope = pool.openScope();
  let runs = 0;
  const retried = t.throwsAsync(
    scope.run(() =>
      pool.transaction(
        () => {
          runs++;
          throw Object.assign(new Error('database is locked'), { code: 'SQLITE_BUSY_SNAPSHOT' });
        },
        { retries: 3 },
      ),
    ),
    refusal('SCOPE_ENDED'),
  );
  // The timer of housekeeping holds nothing.
  while (clock.holding === 0) await settled();
  clock.advance(clock.next);
  await scope.end();
  await retried;
  t.is(runs, 1);
});
