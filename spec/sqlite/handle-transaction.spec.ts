import test from 'ava';
import type Database from 'better-sqlite3';
import { compare, errorsOf, temporaryPool, wrong } from '../support/sqlite.ts';

const variants = ['default', 'deferred', 'immediate', 'exclusive'] as const;

/** A transaction function also has its variants' properties, which the published types leave out. */
type WithDatabase = { readonly database: Database.Database };

test('transaction commits what its function did, and returns its result', async (t) => {
  const outcomes = await compare(t, ({ db, step }) => {
    const insert = db.transaction((names: string[]) => {
      for (const name of names) db.prepare('INSERT INTO item (name) VALUES (?)').run(name);
      return `${names.length} inserted, in transaction: ${db.inTransaction}`;
    });
    step(() => insert(['cog', 'cam']));
    step(() => db.inTransaction);
    step(() => db.prepare('SELECT name FROM item ORDER BY id').pluck().all());
  });
  t.deepEqual(outcomes, [
    { returned: '2 inserted, in transaction: true' },
    { returned: false },
    { returned: ['bolt', 'nut', 'washer', 'cog', 'cam'] },
  ]);
});

test('an error rolls the transaction back and passes through unchanged', async (t) => {
  const error = new RangeError('enough');
  const outcomes = await compare(t, ({ db, step }) => {
    for (const thrown of [error, 'a string', undefined, null]) {
      const fail = db.transaction(() => {
        db.exec("INSERT INTO item (name) VALUES ('cog')");
        // oxlint-disable-next-line typescript/only-throw-error -- whatever is thrown has to pass
        throw thrown;
      });
      let caught: unknown = 'nothing';
      try {
        fail();
      } catch (reason) {
        caught = reason;
      }
      step(() => caught === thrown);
      step(() => db.inTransaction);
    }
    step(() => db.prepare('SELECT count(*) FROM item').pluck().get());
  });
  t.deepEqual(outcomes.at(-1), { returned: 3 });
  t.deepEqual(outcomes[0], { returned: true });
});

test('each variant begins as its name says', async (t) => {
  // What a second connection may still do shows how the first has begun.
  const outcomes = await compare(t, async ({ db, directory, step }) => {
    const { default: DatabaseClass } = await import('better-sqlite3');
    const other = new DatabaseClass(`${directory}/app.db`, { timeout: 0 });
    for (const variant of variants) {
      const probe = db.transaction(() => {
        const tries: unknown[] = [db.inTransaction];
        for (const sql of ['SELECT 1 FROM item', 'BEGIN IMMEDIATE; ROLLBACK']) {
          try {
            other.exec(sql);
            tries.push('allowed');
          } catch (error) {
            tries.push((error as Database.SqliteError & { code: string }).code);
          }
        }
        return tries;
      });
      step(() => probe[variant]());
      step(() => db.inTransaction);
    }
    other.close();
  });
  t.deepEqual(outcomes[0], { returned: [true, 'allowed', 'allowed'] });
  t.deepEqual(outcomes[4], { returned: [true, 'allowed', 'SQLITE_BUSY'] });
});

test('a transaction function passes on `this` and all arguments', async (t) => {
  const outcomes = await compare(t, ({ db, step }) => {
    const report = db.transaction(function report(this: unknown, ...values: unknown[]) {
      return [this, ...values];
    });
    for (const variant of variants) {
      step(() => report[variant].call({ is: 'this' } as never, 1, 'two', null, undefined));
      const owner = { method: report[variant], is: 'owner' };
      step(() => owner.method('a').slice(1));
    }
    step(() => report());
    step(() => report.call(wrong(undefined), 1));
  });
  t.deepEqual(outcomes[0], { returned: [{ is: 'this' }, 1, 'two', null, undefined] });
});

test('a transaction function has every variant and its database as properties, and so has each variant', async (t) => {
  const outcomes = await compare(t, ({ db, step }) => {
    const fn = db.transaction(() => {});
    for (const variant of variants) {
      const one = fn[variant] as typeof fn & WithDatabase;
      step(() => one.database);
      step(() => variants.map((other) => one[other] === fn[other]));
      step(() => Object.keys(one));
      step(() => one.length);
    }
    step(() => (fn as unknown) === fn.default);
    step(() => Reflect.set(fn, 'database', null));
  });
  t.deepEqual(outcomes[0], { returned: '<database>' });
  t.deepEqual(outcomes[1], { returned: [true, true, true, true] });
});

test('a transaction within a transaction is a savepoint', async (t) => {
  const outcomes = await compare(t, ({ db, step }) => {
    const insert = db.prepare('INSERT INTO item (name) VALUES (?)');
    const inner = db.transaction((name: string, fails: boolean) => {
      insert.run(name);
      if (fails) throw new Error(`no ${name}`);
    });
    const outer = db.transaction(() => {
      insert.run('outer');
      inner('kept', false);
      step(() => inner('undone', true));
      step(() => inner.exclusive('also kept', false));
      step(() => db.inTransaction);
    });
    step(() => outer());
    step(() => db.prepare('SELECT name FROM item WHERE id > 3').pluck().all());
    const failing = db.transaction(() => {
      inner('never', false);
      throw new Error('the outer one fails');
    });
    step(() => failing());
    step(() => db.prepare('SELECT count(*) FROM item').pluck().get());
  });
  t.deepEqual(outcomes[4], { returned: ['outer', 'kept', 'also kept'] });
  t.deepEqual(outcomes.at(-1), { returned: 6 });
});

test('a transaction within BEGIN is a savepoint too', async (t) => {
  await compare(t, ({ db, step }) => {
    db.exec('BEGIN');
    step(() => db.transaction(() => db.exec("INSERT INTO item (name) VALUES ('cog')"))());
    step(() => db.inTransaction);
    db.exec('ROLLBACK');
    step(() => db.prepare('SELECT count(*) FROM item').pluck().get());
  });
});

test('a transaction that SQLite ended meanwhile is not rolled back again', async (t) => {
  const outcomes = await compare(t, ({ db, step }) => {
    const conflict = db.transaction(() => {
      db.exec("INSERT INTO item (name) VALUES ('cog')");
      db.exec("INSERT OR ROLLBACK INTO tag VALUES (1, 'steel')");
    });
    step(() => conflict());
    step(() => db.inTransaction);
    const ended = db.transaction(() => db.exec('ROLLBACK'));
    step(() => ended());
    step(() => db.transaction(() => db.exec('COMMIT'))());
    step(() => db.inTransaction);
  });
  t.is(errorsOf(outcomes), 3);
});

test('a COMMIT that fails rolls back', async (t) => {
  const outcomes = await compare(t, ({ db, step }) => {
    db.exec('CREATE TABLE later (item INTEGER REFERENCES item (id) DEFERRABLE INITIALLY DEFERRED)');
    step(() => db.transaction(() => db.exec('INSERT INTO later VALUES (99)'))());
    step(() => db.inTransaction);
    step(() => db.prepare('SELECT count(*) FROM later').pluck().get());
  });
  t.deepEqual(outcomes.slice(1), [{ returned: false }, { returned: 0 }]);
});

test('a transaction can not begin while a statement is iterated', async (t) => {
  await compare(t, ({ db, step }) => {
    const rows = db.prepare('SELECT * FROM item').iterate();
    rows.next();
    step(() => db.transaction(() => 'ran')());
    rows.return?.();
    step(() => db.transaction(() => 'ran')());
  });
});

test('an iterator left open by its function keeps a transaction from ending', async (t) => {
  await compare(t, ({ db, step }) => {
    const rows = db.prepare('SELECT * FROM item');
    let open: Iterator<unknown> | undefined;
    const leave = db.transaction(() => {
      db.exec("INSERT INTO item (name) VALUES ('cog')");
      open = rows.iterate();
      open.next();
    });
    step(() => leave());
    open?.return?.();
    step(() => db.inTransaction);
    step(() => db.exec('ROLLBACK'));
    step(() => db.prepare('SELECT count(*) FROM item').pluck().get());
  });
});

test('transaction checks its argument', async (t) => {
  const outcomes = await compare(t, ({ db, step }) => {
    for (const fn of [undefined, null, 'BEGIN', {}, [() => {}]]) step(() => db.transaction(wrong(fn)));
  });
  t.is(errorsOf(outcomes), 5);
});

// better-sqlite3's own wrapper ends it with a COMMIT, on a connection that could have a new holder by then.
test('a handle closed within its own transaction function is rolled back before the next lease', async (t) => {
  const pool = temporaryPool(t, { max: 1 });
  await pool.withConnection((db) => db.exec('CREATE TABLE a (x)'));
  const traces: (readonly string[])[] = [];
  pool.on('dirty', (event) => void traces.push(event.traces));
  const db = await pool.acquire();
  const leave = db.transaction(() => {
    db.exec('INSERT INTO a VALUES (1)');
    db.close();
    const next = pool.tryAcquire();
    t.not(next?.inTransaction, true);
    next?.close();
  });
  try {
    leave();
  } catch {
    // It may well be told that its connection is gone.
  }
  t.deepEqual(await pool.all('SELECT * FROM a'), []);
  t.deepEqual(traces, [['open transaction']]);
});
