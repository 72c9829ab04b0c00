import { linkSync, mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { systemClock } from '../../lib/clock.ts';
import type { WriteHolder } from '../../lib/holder.ts';
import { identityOf } from '../../lib/sqlite/database-file.ts';
import { type LaneEntry, laneOf, WriteLane } from '../../lib/sqlite/lane.ts';
import { FakeClock } from '../support/clock.ts';
import { temporaryDirectory, temporaryFile } from '../support/files.ts';
import { settled } from '../support/gate.ts';
import { collected } from '../support/gc.ts';

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
