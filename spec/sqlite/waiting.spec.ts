import test from 'ava';
import { Cancellations } from '../../lib/cancellations.ts';
import type { WriteHolder } from '../../lib/holder.ts';
import { type LaneEntry, WriteLane } from '../../lib/sqlite/lane.ts';
import { enterLane } from '../../lib/sqlite/waiting.ts';
import { FakeClock } from '../support/clock.ts';
import { settled } from '../support/gate.ts';
import { temporaryPool } from '../support/sqlite.ts';

// What a wait in the lane does beside waiting. Who comes first is in the specs of the lane.

class Entry implements LaneEntry {
  describe(): WriteHolder {
    return { pool: 'app', label: undefined, kind: 'transaction', age: 0, lease: undefined };
  }

  settle(): void {}

  isAround(): boolean {
    return false;
  }
}

function harness() {
  const clock = new FakeClock();
  const lane = new WriteLane(clock);
  const refused: unknown[] = [];
  const settings = {
    pool: 'app',
    maxWaiting: 10,
    onWait: () => {},
    onEntered: () => {},
    onRefused: (error: unknown) => void refused.push(error),
  };
  const ends = new Cancellations();
  const request = {
    label: undefined,
    signal: undefined,
    priority: 0,
    timeout: 1000,
    scope: undefined,
    site: undefined,
  };
  /** Has one wait behind another who leaves at once. Says when it is through. */
  const pass = () => {
    const [first, second] = [new Entry(), new Entry()];
    lane.tryEnter(first);
    const state = { isThrough: false, entry: second };
    const entering = enterLane(lane, second, { ...request, since: clock.now() }, settings, clock, [ends]).then(() => {
      state.isThrough = true;
    });
    lane.leave(first);
    return { state, entering };
  };
  return { clock, lane, refused, ends, pass };
}

test('the lane hands on without a rest while no other process has been met', async (t) => {
  const { lane, pass } = harness();
  for (let turn = 0; turn < 3; turn++) {
    const { state, entering } = pass();
    await entering;
    lane.leave(state.entry);
  }
  t.is(lane.holder, undefined);
});

test('once another process has been met, the lane rests for 10 ms in every 100, with its next holder in it', async (t) => {
  const { clock, lane, pass } = harness();
  await clock.pass(1000);
  lane.metOthersAt = clock.now();
  const resting = pass();
  await settled();
  t.false(resting.state.isThrough);
  t.is(lane.holder, resting.state.entry);
  await clock.pass(10);
  t.true(resting.state.isThrough);
  lane.leave(resting.state.entry);

  const soon = pass();
  await soon.entering;
  lane.leave(soon.state.entry);

  await clock.pass(100);
  const later = pass();
  await settled();
  t.false(later.state.isThrough);
  await clock.pass(10);
  await later.entering;
  lane.leave(later.state.entry);

  await clock.pass(10_000);
  const forgotten = pass();
  await forgotten.entering;
  lane.leave(forgotten.state.entry);
  t.is(clock.pending, 0);
});

test('what ends while the lane rests leaves it', async (t) => {
  const { clock, lane, refused, ends, pass } = harness();
  await clock.pass(1000);
  lane.metOthersAt = clock.now();
  const { entering } = pass();
  const error = new Error('over');
  await settled();
  ends.cancel(() => error);
  t.is(await t.throwsAsync(entering), error);
  t.deepEqual(refused, [error]);
  t.is(lane.holder, undefined);
  t.is(clock.pending, 0);
});

test('pragmas that need the file for themselves fail at a lock of this process at once', async (t) => {
  // Were they to wait, the test would take a minute.
  const pool = temporaryPool(t, { busyTimeout: 60_000 });
  await pool.run('CREATE TABLE item (name TEXT)');
  const db = await pool.acquire();
  await pool.read(async () => {
    await pool.transaction((tx) => tx.exec("INSERT INTO item VALUES ('x')"), { nesting: 'separate' });
    t.like(db.pragma('wal_checkpoint(TRUNCATE)'), [{ busy: 1 }]);
    t.like(db.prepare('PRAGMA wal_checkpoint(RESTART)').get(), { busy: 1 });
    t.throws(() => db.pragma('journal_mode = DELETE'), { code: 'SQLITE_BUSY' });
  });
  t.is(db.pragma('busy_timeout', { simple: true }), 60_000);
  db.close();
});
