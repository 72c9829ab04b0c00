import test from 'ava';
import { compare, errorsOf, rawDatabase, sample, temporaryPool } from '../support/sqlite.ts';

const names = 'SELECT name FROM item ORDER BY id';

test('an iterator has every method and property of better-sqlite3', async (t) => {
  const raw = rawDatabase(t).prepare('SELECT 1').iterate();
  const methods = Reflect.ownKeys(Object.getPrototypeOf(raw)).filter((name) => name !== 'constructor');
  t.true(methods.includes('return') && methods.includes(Symbol.iterator));
  const pool = temporaryPool(t);
  await pool.withConnection((db) => {
    for (const handle of [db, pool.db]) {
      const rows = handle.prepare('SELECT 1').iterate();
      for (const name of methods) t.true(Object.hasOwn(Object.getPrototypeOf(rows) as object, name), String(name));
      t.deepEqual(Object.keys(rows), Object.keys(raw));
      t.is(rows[Symbol.iterator](), rows);
    }
  });
  raw.return?.();
});

test('an iterator steps, ends and returns as that of better-sqlite3', async (t) => {
  const outcomes = await compare(t, ({ db, step }) => {
    const rows = db.prepare(names).pluck().iterate();
    for (let index = 0; index < 5; index++) step(() => rows.next());
    step(() => rows.return?.());
    const early = db.prepare(names).iterate();
    step(() => early.next());
    step(() => early.return?.('value'));
    step(() => early.return?.());
    step(() => early.next());
    const unused = db.prepare(names).iterate();
    step(() => unused.return?.());
    step(() => unused.next());
    step(() => [...db.prepare(names).raw().iterate()]);
    step(() => {
      const [first] = db.prepare(names).pluck().iterate();
      return first;
    });
    step(() => db.exec('DELETE FROM tag'));
  });
  t.is(errorsOf(outcomes), 0);
  t.deepEqual(outcomes[7], { returned: { value: undefined, done: true } });
});

test('the statement of an iterator is the one it came from', async (t) => {
  const pool = temporaryPool(t);
  await pool.withConnection((db) => {
    const statement = db.prepare('SELECT 1');
    const rows = statement.iterate();
    t.is((rows as unknown as { statement: unknown }).statement, statement);
    rows.return?.();
  });
});

test('a loop that is left lets go of the connection', async (t) => {
  const outcomes = await compare(t, ({ db, step }) => {
    const leave: (() => unknown)[] = [
      () => {
        for (const _ of db.prepare(names).iterate()) break;
        return 'break';
      },
      () => {
        for (const _ of db.prepare(names).iterate()) throw new Error('thrown in the loop');
        return 'never';
      },
      () => {
        for (const row of db.prepare(names).iterate()) return row;
        return 'never';
      },
    ];
    for (const one of leave) {
      step(one);
      step(() => db.exec('DELETE FROM tag'));
    }
  });
  t.is(errorsOf(outcomes), 1);
});

test('a step that fails ends the iterator', async (t) => {
  const outcomes = await compare(t, ({ db, step }) => {
    db.function('check_id', (id) => {
      if (id === 2) throw new TypeError('the second');
      return id;
    });
    const statement = db.prepare('SELECT check_id(id) AS id FROM item ORDER BY id');
    const rows = statement.iterate();
    for (let index = 0; index < 4; index++) step(() => rows.next());
    step(() => statement.busy);
    step(() => statement.all());
    step(() => db.exec('DELETE FROM tag'));
  });
  t.is(errorsOf(outcomes), 2);
});

test('within a step the connection is busy, for the iterator too', async (t) => {
  const outcomes = await compare(t, ({ db, step }) => {
    const attempts: (() => unknown)[] = [];
    db.function('reenter', (id) => {
      for (const attempt of attempts) step(attempt);
      return id;
    });
    const rows = db.prepare('SELECT reenter(id) FROM item').pluck().iterate();
    attempts.push(
      () => rows.next(),
      () => rows.return?.(),
      () => db.prepare(names).all(),
    );
    for (let index = 0; index < 4; index++) step(() => rows.next());
    step(() => db.exec('DELETE FROM tag'));
  });
  t.is(errorsOf(outcomes), 9);
});

test('many iterators step side by side', async (t) => {
  await compare(t, ({ db, step }) => {
    const open = Array.from({ length: 20 }, (_, index) => db.prepare(index % 2 ? names : `${names} --`).iterate());
    for (let round = 0; round < 4; round++) for (const rows of open) step(() => rows.next());
    step(() => db.exec('DELETE FROM tag'));
  });
});

test('an iterator that was ended leaves its statement as it was', async (t) => {
  const pool = temporaryPool(t, { max: 1 });
  await pool.withConnection((db) => {
    db.exec(sample);
    const statement = db.prepare(names).pluck();
    for (let round = 0; round < 3; round++) {
      t.deepEqual([...statement.iterate()], ['bolt', 'nut', 'washer']);
      t.is(statement.get(), 'bolt');
      t.deepEqual(db.prepare(names).get(), { name: 'bolt' });
    }
    t.false(statement.busy);
  });
  t.is(pool.stats().counters.dirty, 0);
});
