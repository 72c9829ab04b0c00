import test from 'ava';
import Database from 'better-sqlite3';
import { compareBoth, kinds, tell } from '../support/drop-in.ts';
import { compare, loosely, type Script, type Subject } from '../support/sqlite.ts';

const rows = 'SELECT id, name FROM item ORDER BY id';
const add = (total: number, next: number) => total + next;
const subtract = (total: number, dropped: number) => total - dropped;

/** What user code throws: errors of every class, and what is no error. */
const thrown: readonly unknown[] = [
  new Error('error'),
  new TypeError('type'),
  new Database.SqliteError('of SQLite', 'SQLITE_CONSTRAINT'),
  Object.freeze(new Error('frozen')),
  ...kinds.map(([, value]) => value),
];

/** Ways to run a query: each has its own path for an error of user code. */
const ways: Record<string, (subject: Subject, sql: string) => unknown> = {
  get: ({ db }, sql) => db.prepare(sql).get(),
  all: ({ db }, sql) => db.prepare(sql).all(),
  run: ({ db }, sql) => db.prepare(sql).run(),
  iterate: ({ db }, sql) => [...db.prepare(sql).iterate()],
  exec: ({ db }, sql) => db.exec(sql),
  transaction: ({ db }, sql) => db.transaction(() => db.prepare(sql).all())(),
};

/** Whether exactly `value` is thrown. */
function throwsSame(value: unknown, call: () => unknown): unknown {
  try {
    return ['returned', call()];
  } catch (error) {
    return Object.is(error, value) || ['threw another', error];
  }
}

test('whatever a user function throws comes out of every way to run it, and leaves the connection usable', async (t) => {
  const outcomes = await compareBoth(t, (subject) => {
    const { db } = subject;
    for (const [index, value] of thrown.entries()) {
      const fail = () => {
        // oxlint-disable-next-line typescript/only-throw-error -- whatever is thrown has to pass
        throw value;
      };
      db.function('fail', fail);
      for (const [way, run] of Object.entries(ways)) {
        tell(subject, `function, ${index}, ${way}`, () => throwsSame(value, () => run(subject, 'SELECT fail()')));
        tell(subject, 'writing', () =>
          throwsSame(value, () => run(subject, 'INSERT INTO item (name) VALUES (fail())')),
        );
      }
      for (const part of ['start', 'step', 'inverse', 'result']) {
        db.aggregate('fails', { start: 0, step: add, inverse: subtract, [part]: fail });
        const windowed = 'SELECT fails(id) OVER (ORDER BY id ROWS 1 PRECEDING) FROM item';
        tell(subject, `${part}, ${index}`, () =>
          throwsSame(value, () => db.prepare('SELECT fails(id) FROM item').get()),
        );
        tell(subject, `${part}, ${index}, windowed`, () => throwsSame(value, () => db.prepare(windowed).all()));
      }
      db.table('failing', {
        columns: ['a'],
        *rows() {
          yield [1];
          fail();
        },
      });
      tell(subject, `table, ${index}`, () => throwsSame(value, () => db.prepare('SELECT * FROM failing').all()));
      loosely(db, 'table', ['made', fail]);
      tell(subject, `factory, ${index}`, () =>
        throwsSame(value, () => db.exec('CREATE VIRTUAL TABLE temp.v USING made')),
      );
      tell(subject, 'usable', () => [db.exec('') === db, db.inTransaction, db.prepare(rows).all()]);
    }
    tell(subject, 'refused', () => db.exec('SELEC'));
  });
  t.true(outcomes.filter((outcome) => 'returned' in outcome && outcome.returned === true).length > 400);
});

test('whatever a user function returns comes out as in better-sqlite3', async (t) => {
  const returned: readonly unknown[] = [
    ...kinds.map(([, value]) => value),
    -0,
    Infinity,
    2 ** 53,
    2n ** 63n - 1n,
    2n ** 63n,
    'a\0b',
    'a\ud800',
    Buffer.alloc(0),
    new Uint8Array([1, 2]).subarray(1),
    new Float64Array([1]),
    new ArrayBuffer(2),
  ];
  await compareBoth(t, (subject) => {
    const { db } = subject;
    for (const [index, value] of returned.entries()) {
      db.function('give', () => value);
      db.aggregate('gives', { start: value, step: () => {} });
      db.aggregate('made', { start: () => value, step: (total: unknown) => total, result: (total: unknown) => total });
      db.table('given', {
        columns: ['v'],
        *rows() {
          yield [value];
          yield { v: value };
        },
      });
      for (const sql of [
        'SELECT give() AS v',
        'SELECT gives() AS v',
        'SELECT made(id) AS v FROM item',
        'SELECT v FROM given',
      ]) {
        tell(subject, `${sql}, ${index}`, () => db.prepare(sql).all());
        tell(subject, `${sql}, ${index}, safe`, () => db.prepare(sql).safeIntegers().raw().all());
        tell(subject, `${sql}, ${index}, type`, () => db.prepare(`SELECT typeof(v) FROM (${sql})`).pluck().all());
      }
    }
  });
});

/** What a user function was given, in words. */
function told(value: unknown): string {
  return Buffer.isBuffer(value) ? `bytes ${value.toString('hex')}` : `${typeof value} ${String(value)}`;
}

test('user functions are given values as by better-sqlite3', async (t) => {
  await compare(t, (subject) => {
    const { db } = subject;
    for (const byDefault of [false, true]) {
      for (const safe of [undefined, false, true]) {
        db.defaultSafeIntegers(byDefault);
        const options = safe === undefined ? { varargs: true } : { varargs: true, safeIntegers: safe };
        db.function('given', options, (...values: unknown[]) => values.map(told).join());
        db.aggregate('all_given', {
          ...options,
          start: '',
          step: (total: string, ...next: unknown[]) => total + next.map(told).join(),
        });
        db.defaultSafeIntegers(false);
        const values = "1, 1.5, 'x', NULL, x'00', x'', 9007199254740993, -9223372036854775808, 'a' || char(0), ?";
        for (const name of ['given', 'all_given']) {
          tell(subject, `${name}: ${byDefault}, ${safe}`, () => db.prepare(`SELECT ${name}(${values}) AS v`).get(5n));
        }
      }
    }
    db.function('this_of', function thisOf(this: unknown) {
      return String(this);
    });
    tell(subject, 'this', () => db.prepare('SELECT this_of()').get());
  });
});

test('options of user functions do as in better-sqlite3', async (t) => {
  await compareBoth(t, (subject) => {
    const { db } = subject;
    db.function('sure', { deterministic: true }, (x: unknown) => x);
    db.function('unsure', (x: unknown) => x);
    tell(subject, 'an index on a deterministic one', () => db.exec('CREATE INDEX a ON item (sure(id)); DROP INDEX a'));
    tell(subject, 'an index on another', () => db.exec('CREATE INDEX b ON item (unsure(id))'));
    db.function('direct', { directOnly: true }, () => 1);
    db.function('any', () => 1);
    db.exec('CREATE TEMP VIEW with_direct AS SELECT direct(); CREATE TEMP VIEW with_any AS SELECT any()');
    for (const view of ['with_direct', 'with_any'])
      tell(subject, view, () => db.prepare(`SELECT * FROM ${view}`).get());
    for (const length of [0, 1, 100, 101, -1, 1.5, NaN]) {
      const fn = Object.defineProperty(() => 'called', 'length', { value: length });
      tell(subject, `length ${length}`, () => db.function('sized', fn));
      tell(subject, 'an aggregate', () => db.aggregate('sized_all', { step: fn }));
    }
    db.function('overloaded', { varargs: true }, () => 'many');
    const overloaded = 'SELECT overloaded() AS a, overloaded(1) AS b, overloaded(1, 2) AS c';
    tell(subject, 'one for all', () => db.prepare(overloaded).get());
    db.function('overloaded', (_a: unknown) => 'one');
    tell(subject, 'and one for one argument', () => db.prepare(overloaded).get());
    tell(subject, 'a wrong number of arguments', () => db.prepare('SELECT any(1)').get());
  });
});

// A kept statement would go on with what it was prepared with, where SQLite does not notice that there is something new.
test('a function or table that is defined anew is found by the next prepare, as in better-sqlite3', async (t) => {
  const outcomes = await compareBoth(t, (subject) => {
    const { db } = subject;
    // Each text is prepared once before, and so is kept.
    const twice = (name: string, sql: string, change: () => unknown) => {
      tell(subject, `${name}: before`, () => db.prepare(sql).all());
      tell(subject, `${name}: change`, change);
      tell(subject, `${name}: after`, () => db.prepare(sql).all());
    };
    const table = (value: string) => () =>
      db.table('numbers', {
        columns: [value],
        *rows() {
          yield [value];
        },
      });
    twice('none', 'SELECT * FROM numbers', table('a'));
    twice('a table', 'SELECT * FROM numbers', table('b'));
    twice('a built-in one', 'SELECT coalesce(1, 2) AS v', () => db.function('coalesce', (_a, _b) => 'mine'));
    twice('a built-in aggregate', 'SELECT max(id, 2) AS v FROM item', () => db.function('max', (_a, _b) => 'mine'));
    twice('a function', 'SELECT coalesce(1, 2) AS v', () => db.function('coalesce', (_a, _b) => 'mine again'));
    db.function('loose', { varargs: true }, () => 'any number');
    twice('an overload', 'SELECT loose(1) AS v', () => db.function('loose', (_a) => 'one'));
    db.aggregate('loose_all', { varargs: true, start: 'any number', step: () => {} });
    twice('an aggregate', 'SELECT loose_all(id) AS v FROM item', () =>
      db.aggregate('loose_all', { start: 'one', step: (_total: string, _next: unknown) => {} }),
    );
  });
  const last = outcomes.at(-1);
  t.deepEqual(last, { returned: [{ v: 'one' }] });
});

test('within a user function its connection refuses what better-sqlite3 refuses', async (t) => {
  const attempts: Record<string, (subject: Subject) => unknown> = {
    exec: ({ db }) => db.exec(''),
    'get of what is kept': ({ db }) => db.prepare(rows).get(),
    'prepare of what is new': ({ db }) => db.prepare('SELECT 1 AS something_new'),
    pragma: ({ db }) => db.pragma('user_version'),
    transaction: ({ db }) => db.transaction(() => 1)(),
    function: ({ db }) => db.function('f', () => 1),
    aggregate: ({ db }) => db.aggregate('a', { step: add }),
    table: ({ db }) => db.table('t', { columns: ['a'], *rows() {} }),
    loadExtension: ({ db }) => db.loadExtension('/nowhere/at-all'),
    serialize: ({ db }) => db.serialize(),
    explain: ({ db }) => db.explain('SELECT 1'),
    getters: ({ db }) => [db.open, db.inTransaction, db.memory, db.readonly],
    defaultSafeIntegers: ({ db }) => db.defaultSafeIntegers(false),
    unsafeMode: ({ db }) => db.unsafeMode(false),
  };
  await compareBoth(t, (subject) => {
    const { db, step } = subject;
    const kept = db.prepare(rows);
    kept.all();
    db.function('again', () => {
      for (const [name, attempt] of Object.entries(attempts)) tell(subject, name, () => attempt(subject));
      for (const use of ['get', 'all', 'run', 'iterate', 'columns', 'toString']) {
        tell(subject, use, () => loosely(kept, use, []));
      }
      return 'done';
    });
    for (const [way, run] of Object.entries(ways)) tell(subject, way, () => run(subject, 'SELECT again()'));
    step(() => kept.all());
  });
});

/** Tries to change a statement within a user function, in every way to run that. */
const changeWithin: Script = (subject) => {
  const { db, step } = subject;
  const kept = db.prepare(rows);
  db.function('again', () => {
    for (const use of ['pluck', 'expand', 'raw', 'safeIntegers', 'bind'])
      tell(subject, use, () => loosely(kept, use, []));
    return 'done';
  });
  for (const [way, run] of Object.entries(ways)) tell(subject, way, () => run(subject, 'SELECT again()'));
  step(() => kept.all());
};

// A statement of pool.db is none of its connection: what is asked of it holds for the next use.
test('within a user function a statement of its connection can not be changed, as in better-sqlite3', async (t) => {
  await compareBoth(t, changeWithin, { ambient: false });
});

/** Has statements tell their text at every time. */
const tellTexts: Script = (subject) => {
  const { db } = subject;
  const [iterated, other] = [db.prepare(rows), db.prepare(rows)];
  const bound = db.prepare('SELECT ?').bind(1);
  const texts = () => [iterated, other, bound].map((statement) => loosely(statement, 'toString', []));
  db.function('ask', () => {
    tell(subject, 'within a user function', texts);
    return 1;
  });
  tell(subject, 'before', texts);
  // The other has to do without what it shared with the one that is iterated.
  const iterator = iterated.iterate();
  db.prepare('SELECT ask()').get();
  tell(subject, 'while one is iterated', texts);
  iterator.return?.();
  tell(subject, 'after', texts);
};

// One of pool.db that is bound is prepared to tell its text, which a busy connection refuses.
test('the text of a statement can be told at any time, as in better-sqlite3', async (t) => {
  await compare(t, tellTexts, { ambient: false });
});
