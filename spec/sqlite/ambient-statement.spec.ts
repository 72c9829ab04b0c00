import test from 'ava';
import { compare, errorsOf, loosely, recordingClass, sample, temporaryPool, wrong } from '../support/sqlite.ts';

const sql = 'SELECT id, name FROM item WHERE id >= ? ORDER BY id';

test('a statement of pool.db keeps its row mode and its values from scope to scope', async (t) => {
  const pool = temporaryPool(t, { max: 1 });
  const names = pool.db.prepare('SELECT name FROM item ORDER BY id').pluck();
  const raw = pool.db.prepare(sql).raw().safeIntegers();
  const bound = pool.db.prepare(sql).bind(3).expand();
  await pool.withConnection(() => pool.db.exec(sample));
  for (let scope = 0; scope < 2; scope++) {
    await pool.withConnection((db) => {
      t.deepEqual(names.all(), ['bolt', 'nut', 'washer']);
      t.deepEqual(raw.get(2), [2n, 'nut']);
      t.deepEqual(bound.all(), [{ item: { id: 3, name: 'washer' } }]);
      t.throws(() => bound.get(1), { instanceOf: TypeError, message: 'This statement already has bound parameters' });
      t.deepEqual(db.prepare(sql).get(2), { id: 2, name: 'nut' }, 'Nothing of it shows to others');
      t.deepEqual(pool.db.prepare(sql).get(2), { id: 2, name: 'nut' });
    });
  }
  raw.raw(false).safeIntegers(false);
  await pool.withConnection(() => t.deepEqual(raw.get(2), { id: 2, name: 'nut' }));
});

test('a statement of pool.db is prepared once on each connection it is used on', async (t) => {
  const { Database, prepared } = recordingClass();
  const pool = temporaryPool(t, { max: 1, Database });
  const statement = pool.db.prepare(sql).pluck();
  t.deepEqual(prepared, [], 'Nothing is prepared before it is used');
  await pool.withConnection(() => pool.db.exec(sample));
  for (let scope = 0; scope < 3; scope++) await pool.withConnection(() => t.is(statement.get(2), 2));
  t.is(prepared.filter((text) => text === sql).length, 1);
});

test('a statement of pool.db can be used while it is iterated', async (t) => {
  const pool = temporaryPool(t, { max: 1 });
  await pool.withConnection(() => {
    pool.db.exec(sample);
    const statement = pool.db.prepare(sql).pluck();
    const seen: unknown[] = [];
    for (const id of statement.iterate(1)) seen.push([id, statement.get(id), statement.busy]);
    t.deepEqual(seen, [
      [1, 1, false],
      [2, 2, false],
      [3, 3, false],
    ]);
  });
  t.is(pool.stats().counters.dirty, 0);
});

test('an error in the SQL of pool.db.prepare() comes with the first use, as better-sqlite3 words it', async (t) => {
  const outcomes = await compare(t, ({ db, step }) => {
    for (const text of ['SELEC 1', 'SELECT * FROM missing', '', 'SELECT 1; SELECT 2']) {
      step(() => db.prepare(text).get());
      step(() => db.prepare(text).columns());
      step(() => db.prepare(text).reader);
    }
  });
  t.is(errorsOf(outcomes), 12);
  const pool = temporaryPool(t);
  t.notThrows(() => pool.db.prepare('SELEC 1'));
});

test('a module may prepare for tables that do not exist yet', async (t) => {
  const pool = temporaryPool(t);
  const late = pool.db.prepare('SELECT * FROM late');
  await pool.withConnection(() => {
    t.throws(() => late.all(), { message: 'no such table: late' });
    pool.db.exec('CREATE TABLE late (x)');
    t.deepEqual(late.all(), []);
  });
});

test('pool.db checks what it can without a connection', (t) => {
  const pool = temporaryPool(t);
  for (const text of [undefined, null, 7, {}]) {
    t.throws(() => pool.db.prepare(wrong(text)), {
      instanceOf: TypeError,
      message: 'Expected first argument to be a string',
    });
    t.throws(() => pool.db.transaction(wrong(text)), {
      instanceOf: TypeError,
      message: 'Expected first argument to be a function',
    });
  }
  const statement = pool.db.prepare(sql);
  for (const toggle of ['pluck', 'expand', 'raw', 'safeIntegers'] as const) {
    t.throws(() => statement[toggle](wrong(1)), {
      instanceOf: TypeError,
      message: 'Expected first argument to be a boolean',
    });
    t.is(statement[toggle](), statement);
  }
  t.is(statement.bind(1), statement);
  t.throws(() => statement.bind(2), { message: 'The bind() method can only be invoked once per statement object' });
});

test('toString() shows the values that are bound', async (t) => {
  const pool = temporaryPool(t);
  const statement = pool.db.prepare('SELECT ?, @a').bind('x', { a: 1 });
  await pool.withConnection((db) => {
    const expected = loosely(db.prepare('SELECT ?, @a').bind('x', { a: 1 }), 'toString', []);
    t.is(expected, "SELECT 'x', 1.0");
    t.is(loosely(statement, 'toString', []), expected);
  });
});

test('what was bound to a statement of pool.db does not change with the object it came from', async (t) => {
  await compare(t, ({ db, step }) => {
    const values = { a: 1, bytes: Buffer.from('before') };
    const list = [1];
    const named = db.prepare('SELECT @a AS a, @bytes AS bytes').bind(values);
    const listed = db.prepare('SELECT ? AS a').bind(list);
    values.a = 2;
    values.bytes.fill('x');
    list[0] = 2;
    step(() => named.get());
    step(() => listed.get());
  });
});
