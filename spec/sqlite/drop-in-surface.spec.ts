import test from 'ava';
import Database from 'better-sqlite3';
import { tell } from '../support/drop-in.ts';
import { compare, errorsOf, loosely, temporaryPool } from '../support/sqlite.ts';

const properties = ['name', 'open', 'inTransaction', 'readonly', 'memory'];

test('a handle is told by its class, and errors by theirs, as with better-sqlite3', async (t) => {
  const outcomes = await compare(t, (subject) => {
    const { db } = subject;
    tell(subject, 'instanceof Database', () => db instanceof Database);
    tell(subject, 'prototype', () => Object.prototype.isPrototypeOf.call(Database.prototype, db));
    tell(subject, 'text', () => [loosely(db, 'toString', []), Object.prototype.toString.call(db)]);
    tell(subject, 'SqliteError', () => (db.constructor as typeof Database).SqliteError === Database.SqliteError);
    for (const sql of ['SELEC 1', "INSERT INTO tag VALUES (1, 'steel')", 'SELECT * FROM missing']) {
      tell(subject, sql, () => {
        try {
          return db.prepare(sql).run();
        } catch (error) {
          const { name, message, code } = error as Error & { code: string };
          return [
            error instanceof Database.SqliteError,
            error instanceof Error,
            Object.keys(error as object),
            [name, message, code, (error as object).constructor === Database.SqliteError],
          ];
        }
      });
    }
  });
  t.deepEqual(outcomes[1], { returned: true });
  t.is(errorsOf(outcomes), 0);
});

test('properties are found, and not to be set, as in better-sqlite3', async (t) => {
  await compare(t, (subject) => {
    const { db } = subject;
    const statement = db.prepare('SELECT 1');
    for (const key of properties) {
      tell(subject, key, () => [key in db, Reflect.set(db, key, 'other'), Reflect.get(db, key)]);
      tell(subject, `${key} in strict code`, () => {
        try {
          Object.assign(db, { [key]: 'other' });
          return 'set';
        } catch (error) {
          return error instanceof TypeError;
        }
      });
    }
    for (const key of ['source', 'reader', 'readonly', 'busy', 'database']) {
      tell(subject, key, () => [key in statement, Reflect.set(statement, key, 'other'), Reflect.get(statement, key)]);
    }
    tell(subject, 'and it still works', () => statement.get());
  });
});

test('a handle, its statements and its transaction functions take properties of others, as in better-sqlite3', async (t) => {
  await compare(t, (subject) => {
    const { db } = subject;
    const mark = Symbol('mark');
    for (const [name, target] of Object.entries({
      db,
      statement: db.prepare('SELECT 1'),
      fn: db.transaction(() => 1),
    })) {
      tell(subject, name, () => {
        Object.assign(target, { extra: 1, [mark]: 2 });
        return [Reflect.get(target, 'extra'), Reflect.get(target, mark), Object.isExtensible(target)];
      });
    }
    let prepared = 0;
    const { prepare } = db;
    // As libraries for tracing do.
    Reflect.set(db, 'prepare', function traced(this: typeof db, sql: string) {
      prepared++;
      return prepare.call(this, sql);
    });
    tell(subject, 'a method that is replaced', () => [db.prepare('SELECT 1 AS a').get(), prepared]);
    tell(subject, 'and put back', () => [
      Reflect.deleteProperty(db, 'prepare'),
      db.prepare('SELECT 2 AS a').get(),
      prepared,
    ]);
  });
});

test('methods chain as in better-sqlite3', async (t) => {
  const outcomes = await compare(t, (subject) => {
    const { db } = subject;
    const calls: Record<string, () => unknown> = {
      exec: () => db.exec(''),
      function: () => db.function('f', () => 1),
      aggregate: () => db.aggregate('a', { step: () => 1 }),
      table: () => db.table('t', { columns: ['a'], *rows() {} }),
      defaultSafeIntegers: () => db.defaultSafeIntegers(false),
      unsafeMode: () => db.unsafeMode(false),
    };
    for (const [name, call] of Object.entries(calls)) tell(subject, name, () => call() === db);
    const statement = db.prepare('SELECT ?');
    for (const method of ['pluck', 'expand', 'raw', 'safeIntegers']) {
      tell(subject, method, () => loosely(statement, method, []) === statement);
    }
    tell(subject, 'bind', () => statement.bind(1) === statement);
    tell(subject, 'database', () => statement.database === db);
    const iterator = statement.iterate();
    tell(subject, 'iterator', () => [iterator[Symbol.iterator]() === iterator, 'throw' in iterator, 'map' in iterator]);
    iterator.return?.();
    const others = [db.prepare('SELECT 1'), db.prepare('SELECT 1')];
    tell(subject, 'each prepare', () => others[0] === others[1]);
  });
  t.is(outcomes.filter((outcome) => 'returned' in outcome && outcome.returned === true).length, 12);
});

test('a transaction function has the properties of that of better-sqlite3', async (t) => {
  await compare(t, (subject) => {
    const { db } = subject;
    const fn = db.transaction((_a: unknown, _b: unknown) => 1);
    for (const key of ['default', 'deferred', 'immediate', 'exclusive', 'database', 'length']) {
      tell(subject, key, () => {
        const { value: _value, ...attributes } = Object.getOwnPropertyDescriptor(fn, key) ?? {};
        return attributes;
      });
      tell(subject, `set ${key}`, () => Reflect.set(fn, key, null));
    }
    tell(subject, 'the same ones', () => fn.immediate === (fn.exclusive as typeof fn).immediate);
    tell(subject, 'of each call another', () => fn === db.transaction(() => 1));
    tell(subject, 'enumerable', () => [Object.keys(fn), Object.keys(fn.deferred)]);
  });
});

test('a handle behind a Proxy does as better-sqlite3 behind one', async (t) => {
  await compare(t, async (subject) => {
    const uses: PropertyKey[] = [];
    const db = new Proxy(subject.db, {
      get(target, key, receiver) {
        uses.push(key);
        return Reflect.get(target, key, receiver) as unknown;
      },
    });
    const statement = db.prepare('SELECT name FROM item WHERE id = ?').pluck();
    tell(subject, 'get', () => [statement.get(1), statement.database === db]);
    tell(subject, 'chain', () => [db.exec('') === db, db.function('f', () => 1) === db, db.unsafeMode(false) === db]);
    tell(subject, 'transaction', () => db.transaction(() => db.inTransaction).immediate());
    tell(subject, 'pragma', () => db.pragma('user_version', { simple: true }));
    tell(subject, 'properties', () => properties.map((key) => Reflect.get(db, key) as unknown));
    tell(subject, 'instanceof', () => db instanceof Database);
    tell(subject, 'serialize', () => db.serialize().length > 0);
    await subject.settle(() => db.backup(`${subject.directory}/copy.db`));
    tell(subject, 'uses', () => [...new Set(uses.filter((key) => typeof key === 'string'))].toSorted());
  });
});

test('getters answer after the release as those of a closed better-sqlite3 do', async (t) => {
  const pool = temporaryPool(t);
  const raw = new Database(pool.db.name);
  raw.close();
  const db = await pool.acquire();
  db.exec('BEGIN');
  db.close();
  for (const key of properties) t.deepEqual(Reflect.get(db, key), Reflect.get(raw, key), key);
  t.is(db.close(), db);
  t.is(raw.close(), raw);
});
