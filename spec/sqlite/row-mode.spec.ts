import { isDeepStrictEqual } from 'node:util';
import test from 'ava';
import * as fc from 'fast-check';
import { flatRows, type RowToggle, switchRows, toggled } from '../../lib/sqlite/row-mode.ts';
import { rawDatabase, sample } from '../support/sqlite.ts';

const toggles: fc.Arbitrary<[RowToggle, boolean][]> = fc.array(
  fc.tuple(fc.constantFrom<RowToggle>('pluck', 'expand', 'raw', 'safeIntegers'), fc.boolean()),
  { maxLength: 8 },
);

const modeAfter = (calls: [RowToggle, boolean][]) =>
  calls.reduce((mode, [toggle, on]) => toggled(mode, toggle, on), flatRows);

test('a mode brings a statement where the calls would have brought it', (t) => {
  const db = rawDatabase(t);
  db.exec(sample);
  const prepare = () => db.prepare('SELECT item.id, tag.name FROM item JOIN tag ON tag.item = item.id');
  t.notThrows(() =>
    fc.assert(
      fc.property(toggles, (calls) => {
        const called = prepare();
        for (const [toggle, on] of calls) called[toggle](on);
        const switched = prepare();
        switchRows(switched, flatRows, modeAfter(calls));
        return isDeepStrictEqual(switched.get(), called.get());
      }),
    ),
  );
});

test('a statement goes from any mode to any other and back', (t) => {
  const db = rawDatabase(t);
  db.exec(sample);
  const prepare = () => db.prepare('SELECT item.id, tag.name FROM item JOIN tag ON tag.item = item.id');
  const statement = prepare();
  let mode = flatRows;
  t.notThrows(() =>
    fc.assert(
      fc.property(toggles, (calls) => {
        const next = modeAfter(calls);
        switchRows(statement, mode, next);
        mode = next;
        const called = prepare();
        for (const [toggle, on] of calls) called[toggle](on);
        return isDeepStrictEqual(statement.get(), called.get());
      }),
    ),
  );
  switchRows(statement, mode, flatRows);
  t.deepEqual(statement.get(), prepare().get());
});

test('a statement that returns no rows can be switched to safe integers and back', (t) => {
  const db = rawDatabase(t);
  db.exec(sample);
  const insert = db.prepare("INSERT INTO item (name) VALUES ('cog')");
  const safe = toggled(flatRows, 'safeIntegers', true);
  switchRows(insert, flatRows, safe);
  t.is(insert.run().lastInsertRowid, 4n);
  switchRows(insert, safe, flatRows);
  t.is(insert.run().lastInsertRowid, 5);
});
