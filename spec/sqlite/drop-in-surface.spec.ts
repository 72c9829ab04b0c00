import { copyFileSync, existsSync } from 'node:fs';
import test from 'ava';
import Database from 'better-sqlite3';
import { compareBoth, kinds, tell } from '../support/drop-in.ts';
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

/** Enough rows that a copy of them takes more than one step. */
const manyRows = `
  CREATE TABLE big (filler);
  INSERT INTO big WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 300)
    SELECT zeroblob(4000) FROM n;`;

/** What a file holds. */
function contents(file: string): unknown {
  const copy = new Database(file, { readonly: true });
  try {
    return copy
      .prepare("SELECT name, (SELECT count(*) FROM item) AS items FROM sqlite_schema WHERE name = 'big'")
      .get();
  } finally {
    copy.close();
  }
}

test('the progress callback paces a backup as in better-sqlite3, also by no pages at all', async (t) => {
  const answers: Record<string, (call: number) => unknown> = {
    nothing: () => undefined,
    'all at once': () => Infinity,
    '100 pages': () => 100,
    'a pause of three steps': (call) => (call > 3 ? 1000 : 0),
    'less than none': (call) => (call > 2 ? 1000 : -5),
    'half a page': (call) => (call > 2 ? 1000 : 0.4),
    'more than there is': () => 2 ** 40,
  };
  const outcomes = await compare(t, async ({ db, directory, step, settle }) => {
    db.exec(manyRows);
    for (const [name, answer] of Object.entries(answers)) {
      const file = `${directory}/${name}.db`;
      const seen: unknown[] = [];
      const progress = function progress(this: unknown, ...args: [{ totalPages: number }]) {
        seen.push([this === undefined, args]);
        return answer(seen.length) as number;
      };
      await settle(() => db.backup(file, { progress }));
      step(() => seen);
      step(() => contents(file));
    }
  });
  t.is(errorsOf(outcomes), 0);
});

test('what a progress callback returns or throws fails a backup as in better-sqlite3', async (t) => {
  const outcomes = await compareBoth(t, async ({ db, directory, step, settle }) => {
    db.exec(manyRows);
    for (const [index, [, value]] of kinds.entries()) {
      let calls = 0;
      const answer = () => (calls++ === 0 ? value : 1000) as number;
      await settle(() => db.backup(`${directory}/${index}.db`, { progress: answer }));
      step(() => existsSync(`${directory}/${index}.db`));
      const fail = (): never => {
        // oxlint-disable-next-line typescript/only-throw-error -- whatever is thrown has to pass
        throw value;
      };
      await settle(() => db.backup(`${directory}/fails-${index}.db`, { progress: fail }));
      step(() => existsSync(`${directory}/fails-${index}.db`));
    }
    step(() => db.exec(''));
  });
  t.true(errorsOf(outcomes) > kinds.length);
});

test('a connection works on while it is copied, as in better-sqlite3', async (t) => {
  await compare(t, async ({ db, directory, step, settle }) => {
    db.exec(manyRows);
    const file = `${directory}/copy.db`;
    let calls = 0;
    const progress = () => {
      if (calls++ === 0) {
        step(() => db.prepare("INSERT INTO item (name) VALUES ('during')").run());
        step(() => db.transaction(() => db.prepare("INSERT INTO item (name) VALUES ('as well')").run())());
        step(() => [...db.prepare('SELECT name FROM item').iterate()]);
        step(() => db.serialize().length > 0);
      }
      return 100;
    };
    await settle(() => db.backup(file, { progress }));
    step(() => contents(file));
    const both = [db.backup(`${directory}/one.db`), db.backup(`${directory}/two.db`)];
    await settle(() => Promise.all(both));
    step(() => [contents(`${directory}/one.db`), contents(`${directory}/two.db`)]);
  });
});

test('a backup goes over what is there, as in better-sqlite3', async (t) => {
  const outcomes = await compareBoth(t, async ({ db, directory, step, settle }) => {
    const file = `${directory}/other.db`;
    const other = new Database(file);
    other.exec('CREATE TABLE item (a); CREATE TABLE big (b)');
    other.close();
    await settle(() => db.backup(file));
    step(() => contents(file));
    copyFileSync(import.meta.filename, `${directory}/text.db`);
    await settle(() => db.backup(`${directory}/text.db`));
    await settle(() => db.backup(`${directory}/app.db`));
    db.exec(`ATTACH '${file}' AS other`);
    await settle(() => db.backup(`${directory}/attached.db`, { attached: 'other' } as never));
    await settle(() => db.backup(`${directory}/temp.db`, { attached: 'temp' } as never));
    await settle(() => db.backup(`${directory}/none.db`, { attached: 'none' } as never));
    step(() => existsSync(`${directory}/none.db`));
  });
  t.true(errorsOf(outcomes) >= 2);
});

test('what serialize gives makes a database, as that of better-sqlite3', async (t) => {
  await compareBoth(t, (subject) => {
    const { db, directory } = subject;
    db.exec(manyRows);
    db.exec(`ATTACH '${directory}/more.db' AS more; CREATE TABLE more.only (x); INSERT INTO more.only VALUES (7)`);
    db.exec('CREATE TEMP TABLE passing (x)');
    for (const attached of ['main', 'more', 'temp', 'none']) {
      tell(subject, attached, () => {
        const copy = new Database(db.serialize({ attached }));
        try {
          return copy.prepare('SELECT type, name, sql FROM sqlite_schema').all();
        } finally {
          copy.close();
        }
      });
    }
    tell(subject, 'in a transaction', () =>
      db.transaction(() => {
        db.exec('DELETE FROM item; DELETE FROM tag');
        return db.serialize().length;
      })(),
    );
    tell(subject, 'refused', () => db.serialize({ attached: '' }));
  });
});
