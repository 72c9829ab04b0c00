import test, { type ExecutionContext } from 'ava';
import type Database from 'better-sqlite3';
import type { SqlitePool } from '../../lib/index.ts';
import { compare, errorsOf, rawDatabase, sample, temporaryPool } from '../support/sqlite.ts';

const sql = 'SELECT id, name FROM item WHERE id >= ? ORDER BY id';
const plain = [
  { id: 2, name: 'nut' },
  { id: 3, name: 'washer' },
];

/** Everything one user of a statement can do to it. */
const changes: Record<string, (statement: Database.Statement) => unknown> = {
  pluck: (statement) => statement.pluck(),
  expand: (statement) => statement.expand(),
  raw: (statement) => statement.raw(),
  safeIntegers: (statement) => statement.safeIntegers(),
  bind: (statement) => statement.bind(1),
  'raw and safeIntegers': (statement) => statement.raw().safeIntegers(),
  'pluck, then bind': (statement) => statement.pluck().bind(1),
  'bind, then raw': (statement) => statement.bind(1).raw(),
};

async function samplePool(t: ExecutionContext, statementCache = 500): Promise<SqlitePool> {
  const pool = temporaryPool(t, { max: 1, statementCache });
  await pool.withConnection((db) => db.exec(sample));
  return pool;
}

for (const [name, change] of Object.entries(changes)) {
  for (const used of [false, true]) {
    const when = used ? 'after use' : 'unused';
    test(`${name}, ${when}: does not show to the next user of the same SQL in the same lease`, async (t) => {
      const pool = await samplePool(t);
      await pool.withConnection((db) => {
        const first = db.prepare(sql);
        change(first);
        if (used) use(first);
        t.deepEqual(db.prepare(sql).all(2), plain);
        t.deepEqual(pool.db.prepare(sql).all(2), plain);
        t.deepEqual([...db.prepare(sql).iterate(2)], plain);
      });
    });

    test(`${name}, ${when}: does not show to the next lease of the connection`, async (t) => {
      const pool = await samplePool(t);
      const connections: unknown[] = [];
      await pool.withConnection((db) => {
        const first = db.prepare(sql);
        change(first);
        if (used) use(first);
        connections.push(pool.leases()[0]?.connection);
      });
      await pool.withConnection((db) => {
        t.deepEqual(db.prepare(sql).all(2), plain);
        connections.push(pool.leases()[0]?.connection);
      });
      t.is(connections[0], connections[1], 'It is the same connection, so the same kept statement');
    });
  }
}

function use(statement: Database.Statement): void {
  try {
    statement.all(1);
  } catch {
    statement.all();
  }
}

test('users of the same SQL interleave without seeing each other', async (t) => {
  const outcomes = await compare(t, ({ db, step }) => {
    const statements = [
      db.prepare(sql),
      db.prepare(sql).pluck(),
      db.prepare(sql).raw(),
      db.prepare(sql).expand().safeIntegers(),
      db.prepare(sql).safeIntegers(),
    ];
    for (let round = 0; round < 3; round++) {
      for (const statement of statements) step(() => statement.get(round));
      for (const statement of statements.toReversed()) step(() => statement.all(round));
    }
    statements[1]?.raw();
    statements[0]?.pluck();
    for (const statement of statements) step(() => [...statement.iterate(2)]);
    statements[0]?.pluck(false);
    for (const statement of statements) step(() => statement.get(3));
  });
  t.is(errorsOf(outcomes), 0);
});

test('every order of toggles and uses of two wrappers is as with two statements', async (t) => {
  const toggles = ['pluck', 'expand', 'raw', 'safeIntegers'] as const;
  await compare(t, ({ db, step }) => {
    for (const one of toggles) {
      for (const other of toggles) {
        const first = db.prepare(sql);
        const second = db.prepare(sql);
        first[one]();
        step(() => second.get(2));
        second[other]();
        step(() => first.get(2));
        first[one](false);
        step(() => second.get(2));
        step(() => first.get(2));
        second[one](false);
        step(() => second.get(2));
      }
    }
  });
});

test('a statement that is iterated is never handed out again', async (t) => {
  const outcomes = await compare(t, ({ db, step }) => {
    const first = db.prepare(sql);
    const rows = first.iterate(1);
    step(() => rows.next());
    step(() => db.prepare(sql).all(2));
    step(() => db.prepare(sql).pluck().get(3));
    const others = [db.prepare(sql).iterate(2), db.prepare(sql).raw().iterate(2), db.prepare(sql).iterate(3)];
    for (let round = 0; round < 4; round++) for (const other of others) step(() => other.next());
    step(() => rows.next());
    step(() => rows.next());
    step(() => rows.next());
    step(() => first.all(2));
  });
  t.is(errorsOf(outcomes), 0);
});

test('the statement that is iterated itself is busy', async (t) => {
  // A statement of pool.db is a new one at each use, so it is never busy.
  const outcomes = await compare(
    t,
    ({ db, step }) => {
      const statement = db.prepare(sql);
      const rows = statement.iterate(1);
      step(() => statement.busy);
      const attempts = [
        () => statement.get(1),
        () => statement.all(1),
        () => statement.run(1),
        () => statement.iterate(1),
        () => statement.bind(1),
        () => statement.pluck(),
        () => statement.expand(),
        () => statement.raw(),
        () => statement.safeIntegers(),
      ];
      for (const attempt of attempts) step(attempt);
      rows.next();
      for (const attempt of attempts) step(attempt);
      step(() => statement.columns().length);
      step(() => statement.source);
      rows.return?.();
      step(() => statement.busy);
      step(() => statement.all(2));
    },
    { ambient: false },
  );
  t.deepEqual([outcomes[0], outcomes.at(-2)], [{ returned: true }, { returned: false }]);
  t.is(errorsOf(outcomes), 18);
});

test('while a statement is iterated the connection is busy for what would change it', async (t) => {
  const outcomes = await compare(t, ({ db, step }) => {
    const rows = db.prepare(sql).iterate(1);
    rows.next();
    const attempts = [
      () => db.exec('SELECT 1'),
      () => db.pragma('user_version'),
      () => db.prepare("UPDATE item SET name = 'x'").run(),
      () => db.prepare('SELECT 1').run(),
      () => db.prepare('SELECT 1').get(),
      () => db.prepare("INSERT INTO item (name) VALUES ('cog') RETURNING id").get(),
      () => db.serialize(),
      () => db.function('one', () => 1),
      () => db.aggregate('sum_of', { step: (total: number, next: number) => total + next, start: 0 }),
      () => db.inTransaction,
    ];
    for (const attempt of attempts) step(attempt);
    rows.return?.();
    for (const attempt of attempts) step(attempt);
  });
  t.true(errorsOf(outcomes) >= 6);
});

test('a bound statement is iterated on its own', async (t) => {
  await compare(t, ({ db, step }) => {
    const bound = db.prepare(sql).bind(2);
    const rows = bound.iterate();
    step(() => rows.next());
    step(() => db.prepare(sql).all(3));
    step(() => rows.next());
    step(() => rows.next());
    step(() => bound.all());
  });
});

test('a change of the schema by another connection shows in the rows of a kept statement', async (t) => {
  const pool = await samplePool(t);
  const other = rawDatabase(t, pool.db.name);
  await pool.withConnection((db) => {
    const everything = 'SELECT * FROM tag ORDER BY rowid LIMIT 1';
    const kept = db.prepare(everything);
    t.deepEqual(kept.get(), { item: 1, name: 'steel' });
    other.exec("ALTER TABLE tag ADD COLUMN colour TEXT DEFAULT 'grey'");
    t.deepEqual(kept.get(), { item: 1, name: 'steel', colour: 'grey' });
    other.exec('ALTER TABLE tag RENAME COLUMN colour TO paint');
    t.deepEqual(kept.get(), { item: 1, name: 'steel', paint: 'grey' });
    t.deepEqual(kept.raw().get(), [1, 'steel', 'grey']);
    t.deepEqual(db.prepare(everything).expand().get(), { tag: { item: 1, name: 'steel', paint: 'grey' } });
    other.exec('DROP TABLE tag');
    t.throws(() => kept.get(), { message: 'no such table: tag', code: 'SQLITE_ERROR' });
    t.throws(() => db.prepare(everything).get(), { message: 'no such table: tag' });
    other.exec('CREATE TABLE tag (only INTEGER); INSERT INTO tag VALUES (7)');
    t.deepEqual(db.prepare(everything).get(), { only: 7 });
  });
});

test('columns() of a kept statement is that of a statement prepared now', async (t) => {
  const pool = await samplePool(t);
  const other = rawDatabase(t, pool.db.name);
  await pool.withConnection((db) => {
    const kept = db.prepare('SELECT * FROM tag');
    t.is(kept.columns().length, 2);
    other.exec('ALTER TABLE tag ADD COLUMN colour TEXT');
    // SQLite itself finds out about the new schema when it runs something, not when it prepares.
    db.prepare('SELECT count(*) FROM item').get();
    t.deepEqual(
      kept.columns().map(({ name, type }) => [name, type]),
      [
        ['item', 'INTEGER'],
        ['name', 'TEXT'],
        ['colour', 'TEXT'],
      ],
    );
    t.deepEqual(db.prepare('SELECT * FROM tag').columns(), other.prepare('SELECT * FROM tag').columns());
  });
});

test('with statementCache: 0 every statement is one of its own', async (t) => {
  const pool = await samplePool(t, 0);
  await pool.withConnection((db) => {
    const pluck = db.prepare(sql).pluck();
    const rows = db.prepare(sql).iterate(2);
    t.is(pluck.get(2), 2);
    t.deepEqual(rows.next().value, plain[0]);
    t.deepEqual(db.prepare(sql).all(2), plain);
    t.deepEqual([...rows], [plain[1]]);
    t.deepEqual(db.prepare(sql).all(2), plain);
  });
});
