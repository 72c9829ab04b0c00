import test from 'ava';
import { compareBoth, tell } from '../support/drop-in.ts';
import { loosely, type Script } from '../support/sqlite.ts';

const variants = ['default', 'deferred', 'immediate', 'exclusive'] as const;
const countItems = 'SELECT count(*) FROM item';
const insertItem = 'INSERT INTO item (name) VALUES (?)';

/** The same script, told after each step how many items there are and whether a transaction is open. */
function transactional(steps: Record<string, (db: Parameters<Script>[0]['db']) => unknown>): Script {
  return (subject) => {
    const { db } = subject;
    for (const [name, call] of Object.entries(steps)) {
      tell(subject, name, () => call(db));
      tell(subject, `after ${name}`, () => [db.inTransaction, db.prepare(countItems).pluck().get()]);
      if (db.inTransaction) db.exec('ROLLBACK');
    }
  };
}

function withThen(descriptor: PropertyDescriptor, target: object = {}): object {
  // oxlint-disable-next-line unicorn/no-thenable -- what has one is refused
  return Object.defineProperty(target, 'then', descriptor);
}

const refused = () => {
  throw new RangeError('refused');
};

test('every variant within every variant commits and rolls back as better-sqlite3 does', async (t) => {
  const steps: Parameters<typeof transactional>[0] = {};
  for (const outer of variants) {
    for (const inner of variants) {
      steps[`${outer} around ${inner}`] = (db) => {
        const insert = db.prepare(insertItem);
        const keep = db.transaction(() => insert.run('kept'));
        const undo = db.transaction(() => {
          insert.run('undone');
          refused();
        });
        const around = db.transaction(() => {
          insert.run('outer');
          keep[inner]();
          try {
            undo[inner]();
          } catch {
            insert.run('after');
          }
          return db.prepare(countItems).pluck().get();
        });
        return around[outer]();
      };
      steps[`${outer} around ${inner}, refused`] = (db) => {
        const fail = db.transaction(refused);
        const around = db.transaction(() => {
          db.prepare(insertItem).run('undone');
          fail[inner]();
        });
        return around[outer]();
      };
    }
  }
  await compareBoth(t, transactional(steps));
});

test('whatever a transaction function returns or throws passes as in better-sqlite3', async (t) => {
  const values = [1, 0, '', 'text', 1n, null, undefined, false, Symbol('s'), [], {}, () => 1, new Error('e')];
  const steps: Parameters<typeof transactional>[0] = {};
  for (const [index, value] of values.entries()) {
    steps[`returns ${index}`] = (db) => db.transaction(() => value)() === value;
    steps[`throws ${index}`] = (db) => {
      try {
        return db.transaction(() => {
          db.prepare(insertItem).run('undone');
          // oxlint-disable-next-line typescript/only-throw-error -- whatever is thrown has to pass
          throw value;
        })();
      } catch (error) {
        return error === value;
      }
    };
  }
  const thenables = {
    'a promise': () => Promise.resolve(1),
    'a thenable': () => withThen({ value: () => {} }),
    'a function with `then`': () => withThen({ value: () => {} }, () => 1),
    'a `then` that is no function': () => withThen({ value: 1 }),
    'a `then` that fails': () => withThen({ get: refused }),
  };
  for (const [name, make] of Object.entries(thenables)) {
    steps[name] = (db) =>
      db.transaction(() => {
        db.prepare(insertItem).run('kept or undone');
        return make();
      })();
  }
  await compareBoth(t, transactional(steps));
});

test('functions of every kind run in a transaction as in better-sqlite3', async (t) => {
  await compareBoth(
    t,
    transactional({
      'a generator function': (db) => {
        const generator = db.transaction(function* () {
          yield db.inTransaction;
          db.prepare(insertItem).run('after');
        })();
        return [...generator];
      },
      'a class': (db) => loosely({ call: db.transaction(Map as never) }, 'call', []),
      'a bound function': (db) => db.transaction(((...values: unknown[]) => values).bind(null, 5))(6),
      'a function behind a Proxy': (db) => db.transaction(new Proxy(() => db.inTransaction, {}))(),
      'a method': (db) => {
        const owner = {
          name: 'owner',
          call: db.transaction(function call(this: { name: string } | undefined, ...values: unknown[]) {
            return [this?.name, ...values];
          }),
        };
        const { call } = owner;
        return [owner.call(1), call(2), call.call({ name: 'another' }, 3), call(4, 5)];
      },
      'one that calls itself': (db) => {
        const nest = db.transaction((depth: number): unknown => {
          db.prepare(insertItem).run(`level ${depth}`);
          return depth === 0 ? db.prepare(countItems).pluck().get() : nest(depth - 1);
        });
        return nest(5);
      },
      'one that makes one': (db) => db.transaction(() => db.transaction(() => db.inTransaction))()(),
      'one that fails': (db) => db.transaction(refused)(),
    }),
  );
});

// The mend is in lib/sqlite/transaction-function.ts: `types.isAsyncFunction` says yes to async generator functions too.
test('an async generator function runs in a transaction as in better-sqlite3', async (t) => {
  await compareBoth(
    t,
    transactional({
      'an async generator function': (db) => {
        const generator = db.transaction(async function* () {
          yield 1;
        })() as object;
        return ['then' in generator, 'next' in generator];
      },
      'one that fails': (db) => db.transaction(refused)(),
    }),
  );
});

/** Runs SQL that begins and ends something within a transaction function. */
function inside(...texts: string[]): Parameters<typeof transactional>[0][string] {
  return (db) => {
    const run = db.transaction(() => {
      db.prepare(insertItem).run('inside');
      for (const text of texts) db.exec(text);
      return db.inTransaction;
    });
    return run();
  };
}

test('SQL that begins and ends transactions inside and around is taken as by better-sqlite3', async (t) => {
  await compareBoth(
    t,
    transactional({
      COMMIT: inside('COMMIT'),
      ROLLBACK: inside('ROLLBACK'),
      'ROLLBACK and BEGIN': inside('ROLLBACK', 'BEGIN'),
      BEGIN: inside('BEGIN'),
      SAVEPOINT: inside('SAVEPOINT a', 'DELETE FROM item', 'ROLLBACK TO a', 'RELEASE a'),
      'SAVEPOINT left open': inside('SAVEPOINT a'),
      'RELEASE of none': inside('RELEASE a'),
      'ROLLBACK, then an error': inside('ROLLBACK', 'SELEC 1'),
      'BEGIN around': (db) => {
        db.exec('BEGIN');
        return [db.transaction(() => db.prepare(insertItem).run('inside'))(), db.inTransaction];
      },
      'SAVEPOINT around': (db) => {
        db.exec('SAVEPOINT a');
        const result = db.transaction(() => db.prepare(insertItem).run('inside'))();
        db.exec('RELEASE a');
        return result;
      },
      'a COMMIT that fails': (db) => {
        db.exec('CREATE TABLE child (item REFERENCES item (id) DEFERRABLE INITIALLY DEFERRED)');
        return db.transaction(() => db.exec('INSERT INTO child VALUES (999)'))();
      },
      'ON CONFLICT ROLLBACK': (db) =>
        db.transaction(() => {
          db.prepare(insertItem).run('undone');
          try {
            db.exec("INSERT OR ROLLBACK INTO tag VALUES (1, 'steel')");
          } catch {
            return db.inTransaction;
          }
          return 'never';
        })(),
      'pragmas inside': (db) => db.transaction(() => [db.pragma('foreign_keys = OFF'), db.pragma('foreign_keys')])(),
      'VACUUM inside': (db) => db.transaction(() => db.exec('VACUUM'))(),
    }),
  );
});
