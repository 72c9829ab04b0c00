import test from 'ava';
import { compare, errorsOf, loosely, rawDatabase, temporaryPool, wrong } from '../support/sqlite.ts';

const names = 'SELECT name FROM item ORDER BY id';

test('a statement has every method and property of better-sqlite3', async (t) => {
  const raw = rawDatabase(t).prepare('SELECT 1');
  const methods = Object.getOwnPropertyNames(Object.getPrototypeOf(raw)).filter((name) => name !== 'constructor');
  const properties = Object.getOwnPropertyNames(raw);
  t.true(methods.includes('iterate') && properties.includes('reader'));
  const pool = temporaryPool(t);
  await pool.withConnection((db) => {
    for (const statement of [db.prepare('SELECT 1'), pool.db.prepare('SELECT 1')]) {
      for (const name of methods) {
        t.true(Object.hasOwn(Object.getPrototypeOf(statement) as object, name), `${name} is a method of its own`);
      }
      for (const name of properties) t.true(name in statement, `${name} is a property`);
    }
  });
});

test('run, get, all and iterate give what better-sqlite3 gives', async (t) => {
  const outcomes = await compare(t, ({ db, step }) => {
    const all = db.prepare('SELECT * FROM item');
    step(() => all.get());
    step(() => all.all());
    step(() => [...all.iterate()]);
    step(() => all.run());
    const one = db.prepare('SELECT name FROM item WHERE id = ?');
    step(() => one.get(2));
    step(() => one.get(99));
    step(() => one.all(99));
    step(() => [...one.iterate(99)]);
    const insert = db.prepare('INSERT INTO item (name, size, data) VALUES (?, ?, ?)');
    step(() => insert.run('cog', 2.5, Buffer.from([1, 2])));
    step(() => insert.run('cam', 9007199254740993n, null));
    step(() => insert.get('x', 1, null));
    step(() => insert.all('x', 1, null));
    step(() => insert.iterate('x', 1, null));
    step(() => insert.run(null, 1, null));
    step(() => db.prepare('INSERT INTO item (name) VALUES (?) RETURNING id, name').get('returned'));
    step(() => db.prepare('INSERT INTO item (name) VALUES (?) RETURNING id').all('returned'));
    step(() => [...db.prepare('INSERT INTO item (name) VALUES (?) RETURNING id').iterate('returned')]);
    step(() => db.prepare('UPDATE item SET size = 1 WHERE id < 3').run());
    step(() => db.prepare('DELETE FROM tag').run());
    step(() => db.prepare('CREATE TABLE a (x)').run());
    step(() => db.prepare('SELECT count(*) AS n FROM item').get());
  });
  t.deepEqual(outcomes[8], { returned: { changes: 1, lastInsertRowid: 4 } });
  t.is(errorsOf(outcomes), 4);
});

test('parameters are bound, and refused, as by better-sqlite3', async (t) => {
  const outcomes = await compare(t, ({ db, step }) => {
    const positional = db.prepare('SELECT ? AS a, ? AS b');
    const attempts: unknown[][] = [
      [1, 2],
      [[1, 2]],
      [1, [2]],
      [[1], [2]],
      [],
      [1],
      [1, 2, 3],
      [undefined, null],
      [1n, 1.5],
      [10n ** 30n, 1],
      ['text', Buffer.from('bytes')],
      [true, 1],
      [Symbol('x'), 1],
      [{}, 1],
      [new Date(0), 1],
      [() => 1, 1],
      [{ a: 1 }, 2],
    ];
    for (const attempt of attempts) step(() => loosely(positional, 'get', attempt));
    const named = db.prepare('SELECT @a AS a, :b AS b, $c AS c, ? AS d');
    const more: unknown[][] = [
      [{ a: 1, b: 2, c: 3 }, 4],
      [4, { a: 1, b: 2, c: 3 }],
      [{ a: 1, b: 2 }, 4],
      [{ a: 1, b: 2, c: 3, extra: 4 }, 5],
      [{ a: 1, b: 2, c: 3 }],
      [{ a: 1 }, { b: 2, c: 3 }, 4],
      [4],
      [new Map([['a', 1]]), 4],
      [Object.create({ a: 1, b: 2, c: 3 }), 4],
    ];
    for (const attempt of more) step(() => loosely(named, 'all', attempt));
    step(() => positional.all(5, 6));
  });
  t.true(errorsOf(outcomes) >= 15);
  t.deepEqual(outcomes.at(-1), { returned: [{ a: 5, b: 6 }] });
});

test('a failing getter of a bound object throws its own error', async (t) => {
  const error = new Error('getter');
  const outcomes = await compare(t, ({ db, step }) => {
    const values = {
      get a(): unknown {
        throw error;
      },
    };
    step(() => db.prepare('SELECT @a').get(values));
    step(() => db.prepare('SELECT @a').bind(values).get());
    step(() => db.prepare('SELECT @a').pluck().get({ a: 1 }));
  });
  t.is(errorsOf(outcomes), 2);
});

test('bind fixes the values for the life of a statement', async (t) => {
  const outcomes = await compare(t, ({ db, step }) => {
    const sql = 'SELECT ? AS a, @b AS b';
    const statement = db.prepare(sql);
    step(() => statement.bind(1, { b: 2 }) === statement);
    step(() => statement.get());
    step(() => statement.all());
    step(() => [...statement.iterate()]);
    step(() => statement.run());
    step(() => statement.get(3, { b: 4 }));
    step(() => statement.bind(5, { b: 6 }));
    step(() => statement.bind());
    step(() => statement.get());
    step(() => loosely(statement, 'toString', []));
    step(() => db.prepare('SELECT 1 AS a').bind().get());
    step(() => db.prepare('SELECT 1 AS a').bind().get(1));
    step(() => db.prepare('INSERT INTO item (name) VALUES (?)').bind('cog').run());
  });
  t.deepEqual(outcomes[8], { returned: { a: 1, b: 2 } });
  t.is(errorsOf(outcomes), 4);
});

test('bind refuses wrong values at once', async (t) => {
  // pool.db binds where a statement is used.
  const outcomes = await compare(
    t,
    ({ db, step }) => {
      const statement = db.prepare('SELECT ? AS a');
      step(() => statement.bind());
      step(() => statement.bind(1, 2));
      step(() => statement.bind({}));
      step(() => statement.bind(7).get());
    },
    { ambient: false },
  );
  t.is(errorsOf(outcomes), 3);
});

test('what was bound does not change with the object it came from', async (t) => {
  const outcomes = await compare(
    t,
    ({ db, step }) => {
      const values = { a: 1, bytes: Buffer.from('before') };
      const statement = db.prepare('SELECT @a AS a, @bytes AS bytes').bind(values);
      values.a = 2;
      values.bytes.fill('x');
      step(() => statement.get());
    },
    { ambient: false },
  );
  t.deepEqual(outcomes, [{ returned: { a: 1, bytes: Buffer.from('before') } }]);
});

test('pluck, expand, raw and safeIntegers shape the rows', async (t) => {
  const outcomes = await compare(t, ({ db, step }) => {
    const sql = 'SELECT item.id, item.name, tag.name, 1 + 1 AS two FROM item LEFT JOIN tag ON tag.item = item.id';
    for (const method of ['get', 'all'] as const) {
      const statement = db.prepare(sql);
      step(() => statement[method]());
      for (const toggle of ['pluck', 'expand', 'raw', 'safeIntegers'] as const) {
        step(() => statement[toggle]() === statement);
        step(() => statement[method]());
        step(() => statement[toggle](false) === statement);
        step(() => statement[method]());
        step(() => statement[toggle](true)[method]());
      }
    }
    step(() => [...db.prepare(sql).raw().iterate()]);
    step(() => [...db.prepare(sql).expand().iterate()]);
  });
  t.is(errorsOf(outcomes), 0);
});

test('the toggles override each other as in better-sqlite3, in every order', async (t) => {
  const toggles = ['pluck', 'expand', 'raw', 'safeIntegers'] as const;
  await compare(t, ({ db, step }) => {
    for (const first of toggles) {
      for (const second of toggles) {
        for (const third of toggles) {
          for (const states of [
            [true, true, false],
            [true, false, true],
            [false, true, true],
            [true, true, true],
          ]) {
            const statement = db.prepare('SELECT id, name FROM item LIMIT 1');
            step(() => statement[first](states[0])[second](states[1])[third](states[2]).get());
          }
        }
      }
    }
  });
});

test('the toggles check their argument, and that the statement returns rows', async (t) => {
  const toggles = ['pluck', 'expand', 'raw', 'safeIntegers'] as const;
  const outcomes = await compare(t, ({ db, step }) => {
    for (const toggle of toggles) {
      for (const state of [undefined, null, 1, 'true']) step(() => db.prepare(names)[toggle](wrong(state)));
      step(() => db.prepare(names)[toggle](true).get());
    }
    step(() => db.prepare("INSERT INTO item (name) VALUES ('cog')").safeIntegers().run());
  });
  t.is(errorsOf(outcomes), 16);
  t.deepEqual(outcomes.at(-1), { returned: { changes: 1, lastInsertRowid: 4n } });
  // A statement of pool.db does not know before it is used whether it returns rows.
  const refused = await compare(
    t,
    ({ db, step }) => {
      for (const toggle of toggles) step(() => db.prepare('DELETE FROM tag')[toggle]());
      step(() => db.prepare('DELETE FROM tag').columns());
    },
    { ambient: false },
  );
  t.is(errorsOf(refused), 4);
  const used = await compare(t, ({ db, step }) => {
    for (const toggle of toggles) step(() => db.prepare('DELETE FROM tag')[toggle]().run());
    step(() => db.prepare('DELETE FROM tag').columns());
  });
  t.is(errorsOf(used), 4);
});

test('a failing toggle changes nothing', async (t) => {
  await compare(t, ({ db, step }) => {
    const statement = db.prepare(names).raw();
    step(() => statement.pluck(wrong('yes')));
    step(() => statement.get());
    step(() => db.prepare(names).get());
  });
});

test('columns describes the rows', async (t) => {
  const outcomes = await compare(t, ({ db, step }) => {
    step(() => db.prepare('SELECT *, 1 + 1, size AS alias FROM item').columns());
    step(() => db.prepare('SELECT name FROM tag').pluck().columns());
    step(() => db.prepare('INSERT INTO item (name) VALUES (?) RETURNING id').columns());
    step(() => db.prepare('PRAGMA user_version').columns());
    step(() => db.prepare('SELECT ? AS a').bind(1).columns());
    const rows = db.prepare(names);
    const iterator = rows.iterate();
    iterator.next();
    step(() => rows.columns());
    iterator.return?.();
  });
  t.is(errorsOf(outcomes), 0);
});

test('source, reader, readonly, busy, database and toString tell of the statement', async (t) => {
  await compare(t, ({ db, step }) => {
    for (const sql of [
      ' SELECT 1 -- with a comment',
      'INSERT INTO item (name) VALUES (?)',
      'INSERT INTO item (name) VALUES (?) RETURNING id',
      'BEGIN',
      'BEGIN IMMEDIATE',
      'PRAGMA user_version',
      'PRAGMA user_version = 1',
      'CREATE TABLE a (x)',
      "ATTACH ':memory:' AS more",
    ]) {
      const statement = db.prepare(sql);
      step(() => [
        statement.source,
        statement.reader,
        statement.readonly,
        statement.busy,
        loosely(statement, 'toString', []),
      ]);
      step(() => statement.database);
    }
    step(() => loosely(db.prepare('SELECT ?, @a').bind("it's", { a: 7 }), 'toString', []));
  });
});
