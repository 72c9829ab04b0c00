import test from 'ava';
import type Database from 'better-sqlite3';
import { compareBoth, tell } from '../support/drop-in.ts';
import { loosely, type Script, type Subject } from '../support/sqlite.ts';

const rows = 'SELECT id, name FROM item ORDER BY id';
type Item = { id: number; name: string };

/** What a connection may do, and what it refuses, while one of its statements is iterated. */
const whileIterating: Record<string, (subject: Subject) => unknown> = {
  exec: ({ db }) => db.exec('SELECT 1'),
  'exec of no string': ({ db }) => db.exec(1 as never),
  pragma: ({ db }) => db.pragma('user_version'),
  'pragma of no string': ({ db }) => db.pragma(1 as never),
  'get of another': ({ db }) => db.prepare('SELECT 2').get(),
  'get of the same SQL': ({ db }) => db.prepare(rows).get(),
  'iterate of the same SQL': ({ db }) => [...db.prepare(rows).iterate()],
  'run of a query': ({ db }) => db.prepare('SELECT 2').run(),
  'run of a write': ({ db }) => db.prepare('DELETE FROM tag').run(),
  'get of a write': ({ db }) => db.prepare("INSERT INTO item (name) VALUES ('cog') RETURNING name").get(),
  'all of a write': ({ db }) => db.prepare("INSERT INTO item (name) VALUES ('cam') RETURNING name").all(),
  'bad SQL': ({ db }) => db.prepare('SELEC').get(),
  BEGIN: ({ db }) => db.prepare('BEGIN').run(),
  transaction: ({ db }) => db.transaction(() => 1)(),
  serialize: ({ db }) => db.serialize(),
  function: ({ db }) => db.function('f', () => 1),
  aggregate: ({ db }) => db.aggregate('a', { step: () => 1 }),
  table: ({ db }) => db.table('t', { columns: ['a'], *rows() {} }),
  loadExtension: ({ db }) => db.loadExtension('/nowhere/at-all'),
  explain: ({ db }) => db.explain('SELECT 1').length > 0,
  inTransaction: ({ db }) => db.inTransaction,
  defaultSafeIntegers: ({ db }) => db.defaultSafeIntegers(false),
  unsafeMode: ({ db }) => db.unsafeMode(false),
};

test('while a statement is iterated its connection allows and refuses what better-sqlite3 does', async (t) => {
  await compareBoth(t, (subject) => {
    for (const [name, attempt] of Object.entries(whileIterating)) {
      const iterator = subject.db.prepare(rows).iterate();
      tell(subject, `first step, then ${name}`, () => iterator.next());
      tell(subject, name, () => attempt(subject));
      tell(subject, `after ${name}`, () => iterator.next());
      iterator.return?.();
      tell(subject, `${name} once more`, () => attempt(subject));
      if (subject.db.inTransaction) subject.db.exec('ROLLBACK');
    }
  });
});

/** Uses statements while they are iterated. */
const useBusy: Script = (subject) => {
  for (const statement of [subject.db.prepare(rows), subject.db.prepare('SELECT ? AS a UNION SELECT 9').bind(1)]) {
    const iterator = statement.iterate();
    const uses = [
      'get',
      'all',
      'run',
      'iterate',
      'bind',
      'pluck',
      'expand',
      'raw',
      'safeIntegers',
      'columns',
      'toString',
    ];
    for (const when of ['before the first step', 'after it']) {
      tell(subject, `busy ${when}`, () => statement.busy);
      for (const use of uses) {
        for (const args of [[], [1], [true]]) {
          tell(subject, `${use}(${args.join()}) ${when}`, () => loosely(statement, use, args));
        }
      }
      iterator.next();
    }
    tell(subject, 'return', () => iterator.return?.('value'));
    tell(subject, 'busy', () => statement.busy);
    tell(subject, 'all', () => statement.all());
    tell(subject, 'toggled', () => statement.pluck().all());
  }
};

// A statement of pool.db is one for every request, so each use has its own and it is never busy.
test('a statement that is iterated refuses what better-sqlite3 refuses', async (t) => {
  await compareBoth(t, useBusy, { ambient: false });
});

/** Ways to leave a loop over rows. */
const ways: Record<string, (db: Database.Database) => unknown> = {
  'to its end': (db) => Array.from(db.prepare(rows).iterate()),
  break: (db) => {
    for (const row of db.prepare(rows).iterate()) if (row !== undefined) break;
    return db.inTransaction;
  },
  throw: (db) => {
    for (const row of db.prepare(rows).iterate()) throw new RangeError(JSON.stringify(row));
  },
  return: (db) => {
    for (const row of db.prepare(rows).iterate()) return row;
    return 'never';
  },
  continue: (db) => {
    const seen: unknown[] = [];
    outer: for (const a of db.prepare(rows).pluck().iterate()) {
      for (const b of db.prepare(rows).pluck().iterate()) {
        if (b === 2) continue outer;
        seen.push([a, b]);
      }
    }
    return seen;
  },
  destructuring: (db) => {
    const [first, second] = db.prepare(rows).pluck().iterate();
    return [first, second];
  },
  'a Map of raw rows': (db) => [...new Map(db.prepare<[], [number, string]>(rows).raw().iterate())],
  'a generator that is left': (db) => {
    function* names() {
      for (const row of db.prepare<[], Item>(rows).iterate()) yield row.name;
    }
    for (const name of names()) return name;
    return 'never';
  },
  'yield*': (db) => {
    function* all() {
      yield* db.prepare(rows).raw().iterate();
    }
    return [...all()];
  },
  'a failing row': (db) => {
    db.function('fail_at', (id: number) => {
      if (id === 2) throw new TypeError('the second row');
      return id;
    });
    return [...db.prepare('SELECT fail_at(id) FROM item').iterate()];
  },
  'parameters missing': (db) => db.prepare('SELECT ?').iterate(),
  'no rows to give': (db) => db.prepare('DELETE FROM tag').iterate(),
  'a write between': (db) => {
    for (const row of db.prepare<[], Item>(rows).iterate())
      db.prepare('UPDATE item SET size = 1 WHERE id = ?').run(row.id);
  },
  'reads between': (db) => {
    const byId = db.prepare<[number], string>('SELECT name FROM item WHERE id = ?').pluck();
    return [...db.prepare<[], Item>(rows).iterate()].map(({ id }) => byId.get(id));
  },
  'in a transaction': (db) => db.transaction(() => [...db.prepare(rows).pluck().iterate()])(),
  'left in a transaction': (db) =>
    db.transaction(() => {
      for (const row of db.prepare(rows).pluck().iterate()) return row;
      return 'never';
    })(),
};

for (const [name, loop] of Object.entries(ways)) {
  test(`a loop over rows is left as in better-sqlite3: ${name}`, async (t) => {
    await compareBoth(t, (subject) => {
      const { db } = subject;
      for (const round of [1, 2]) {
        tell(subject, `${name}, round ${round}`, () => loop(db));
        tell(subject, 'free again', () => db.exec(''));
        tell(subject, 'and the same SQL serves', () => db.prepare(rows).all());
        tell(subject, 'in transaction', () => db.inTransaction);
      }
      tell(subject, 'refused', () => db.exec('SELEC'));
    });
  });
}

test('unsafeMode allows within a loop what better-sqlite3 then allows', async (t) => {
  await compareBoth(t, (subject) => {
    const { db } = subject;
    db.unsafeMode();
    for (const [name, attempt] of Object.entries(whileIterating)) {
      if (name === 'unsafeMode') continue;
      const iterator = db.prepare(rows).iterate();
      tell(subject, 'first step', () => iterator.next());
      tell(subject, name, () => attempt(subject));
      tell(subject, `next after ${name}`, () => iterator.next());
      iterator.return?.();
      if (db.inTransaction) db.exec('ROLLBACK');
    }
  });
});
