import test, { type ExecutionContext } from 'ava';
import type { LeasedDatabase, SqlitePool } from '../../lib/index.ts';
import { settled } from '../support/gate.ts';
import { insert, namesIn } from '../support/items.ts';
import { temporaryPool } from '../support/sqlite.ts';

async function open(t: ExecutionContext): Promise<SqlitePool> {
  const pool = temporaryPool(t);
  await pool.withConnection((db) =>
    db.exec(`
      CREATE TABLE item (name TEXT UNIQUE);
      CREATE TABLE part (item TEXT REFERENCES item (name) DEFERRABLE INITIALLY DEFERRED);
      CREATE TABLE heap (data BLOB);
      CREATE TRIGGER forbidden BEFORE INSERT ON item WHEN new.name = 'forbidden'
      BEGIN SELECT RAISE (ROLLBACK, 'No such item'); END;
      INSERT INTO item VALUES ('cog')`),
  );
  return pool;
}

const aborted = { code: 'ERR_LEASEHOLD_TRANSACTION_ABORTED' };

function thrownBy(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  return undefined;
}

/** What makes SQLite roll a transaction back by itself, and the code of its error. */
const ends: Record<string, readonly [code: string, end: (db: LeasedDatabase) => unknown]> = {
  'INSERT OR ROLLBACK': [
    'SQLITE_CONSTRAINT_UNIQUE',
    (db) => db.prepare("INSERT OR ROLLBACK INTO item VALUES ('cog')").run(),
  ],
  'INSERT OR ROLLBACK by exec': [
    'SQLITE_CONSTRAINT_UNIQUE',
    (db) => db.exec("INSERT OR ROLLBACK INTO item VALUES ('cog')"),
  ],
  'INSERT OR ROLLBACK RETURNING by get': [
    'SQLITE_CONSTRAINT_UNIQUE',
    (db) => db.prepare("INSERT OR ROLLBACK INTO item VALUES ('cog') RETURNING name").get(),
  ],
  'INSERT OR ROLLBACK RETURNING by iterate': [
    'SQLITE_CONSTRAINT_UNIQUE',
    (db) => [...db.prepare("INSERT OR ROLLBACK INTO item VALUES ('cog') RETURNING name").iterate()],
  ],
  'INSERT OR ROLLBACK in a synchronous transaction function': [
    'SQLITE_CONSTRAINT_UNIQUE',
    (db) => db.transaction(() => db.exec("INSERT OR ROLLBACK INTO item VALUES ('cog')"))(),
  ],
  'RAISE(ROLLBACK) in a trigger': ['SQLITE_CONSTRAINT_TRIGGER', (db) => insert(db, 'forbidden')],
  'a full disk': [
    'SQLITE_FULL',
    (db) => {
      db.pragma(`max_page_count = ${String(db.pragma('page_count', { simple: true }))}`);
      // A statement with nothing to undo of its own: where it has, SQLite undoes only that.
      db.prepare('INSERT INTO heap VALUES (zeroblob(100000))').run();
    },
  ],
};

const settings = {
  bound: (pool: SqlitePool, fn: () => Promise<unknown>) => pool.withConnection(() => fn()),
  unbound: (_: SqlitePool, fn: () => Promise<unknown>) => fn(),
};

for (const [what, [code, end]] of Object.entries(ends)) {
  for (const [where, within] of Object.entries(settings)) {
    test(`after ${what} nothing of the transaction runs by itself, ${where}`, async (t) => {
      const pool = await open(t);
      let cause: unknown;
      const transaction = within(pool, () =>
        pool.transaction(async (tx) => {
          const kept = tx.prepare('INSERT INTO item VALUES (?)');
          insert(tx, 'before');
          cause = thrownBy(() => end(tx));
          t.like(cause, { code });
          const attempts = [
            () => insert(tx, 'never'),
            () => kept.run('never'),
            () => tx.exec("INSERT INTO item VALUES ('never')"),
            () => tx.pragma('user_version = 5'),
            () => [...tx.prepare('SELECT * FROM item').iterate()],
            () => tx.transaction(() => insert(tx, 'never'))(),
            () => pool.db.prepare('SELECT * FROM item').all(),
          ];
          for (const attempt of attempts) t.is(t.throws(attempt, aborted)?.cause, cause);
          await settled();
          for (const attempt of [
            () => pool.run("INSERT INTO item VALUES ('never')"),
            () => pool.get('SELECT 1'),
            () => pool.transaction(() => t.fail()),
            () => pool.read(() => t.fail()),
            () => pool.transaction(() => t.fail(), { nesting: 'join' }),
          ]) {
            t.is((await t.throwsAsync<Error>(attempt, aborted))?.cause, cause);
          }
        }),
      );
      t.is((await t.throwsAsync<Error>(transaction, aborted))?.cause, cause);
      t.deepEqual(await namesIn(pool), ['cog']);
      t.like(pool.stats(), { leased: 0, laneHeld: 0, laneWaiting: 0 });
    });
  }

  test(`${what} in a nested transaction ends those around it too`, async (t) => {
    const pool = await open(t);
    const caught: unknown[] = [];
    const outer = pool.transaction(async (tx) => {
      insert(tx, 'before');
      for (const swallows of [true, false]) {
        await pool
          .transaction(async (inner) => {
            caught.push(thrownBy(() => end(inner)));
            await settled();
            if (!swallows) throw caught[0];
          })
          .catch((error: unknown) => caught.push(error));
      }
    });
    const error = await t.throwsAsync<Error>(outer, aborted);
    const [cause, ...rest] = caught;
    t.is(error?.cause, cause);
    t.deepEqual(
      rest.map((reason) => (reason as { code?: string }).code),
      // The first one was told when it was to be committed; the second could not begin.
      [aborted.code, aborted.code],
    );
    t.deepEqual(await namesIn(pool), ['cog']);
  });

  test(`the error of ${what} passes unchanged through a function that throws it`, async (t) => {
    const pool = await open(t);
    let cause: unknown;
    const pass = (tx: LeasedDatabase) => {
      try {
        end(tx);
      } catch (error) {
        cause = error;
        throw error;
      }
    };
    for (const attempt of [() => pool.transaction(pass), () => pool.transaction(() => pool.transaction(pass))]) {
      await attempt().then(
        () => t.fail(),
        (error: unknown) => t.is(error, cause),
      );
    }
    t.deepEqual(await namesIn(pool), ['cog']);
  });
}

test('a scope whose transaction was aborted goes on when that is over', async (t) => {
  const pool = await open(t);
  await pool.withConnection(async (db) => {
    await t.throwsAsync(() => pool.transaction((tx) => void thrownBy(() => insert(tx, 'forbidden'))), aborted);
    insert(db, 'cam');
    await pool.transaction((tx) => insert(tx, 'nut'));
    t.false(db.inTransaction);
  });
  t.deepEqual(await namesIn(pool), ['cog', 'cam', 'nut']);
  t.is(pool.stats().counters.discarded, 0);
});

const violate = async (tx: LeasedDatabase) => {
  tx.prepare("INSERT INTO part VALUES ('none')").run();
  await settled();
  return 'never';
};

test('a COMMIT that SQLite refuses rolls back, and rejects with its error', async (t) => {
  const pool = await open(t);
  const code = 'SQLITE_CONSTRAINT_FOREIGNKEY';
  await t.throwsAsync(() => pool.transaction(violate), { code });
  await pool.withConnection(async (db) => {
    await t.throwsAsync(() => pool.transaction(violate), { code });
    t.false(db.inTransaction);
    t.deepEqual(db.prepare('SELECT * FROM part').all(), []);
    insert(db, 'cam');
    await t.throwsAsync(() => db.transaction(violate)(db), { code });
  });
  // A savepoint does not look at them: the violation may be mended before COMMIT.
  await pool.transaction(async (tx) => {
    await pool.transaction(violate);
    insert(tx, 'none');
  });
  t.deepEqual(await namesIn(pool), ['cog', 'cam', 'none']);
  t.like(pool.stats(), { leased: 0, laneHeld: 0 });
});

test('a failure while rows are iterated is found when the iterator is done', async (t) => {
  const pool = await open(t);
  await pool.run("INSERT INTO item VALUES ('cam'), ('nut')");
  const transaction = pool.transaction(async (tx) => {
    const rows = tx.prepare('SELECT name FROM item').iterate();
    rows.next();
    const cause = thrownBy(() => [
      ...tx.prepare("INSERT OR ROLLBACK INTO item VALUES ('cog') RETURNING name").iterate(),
    ]);
    t.truthy(cause);
    rows.return?.();
    await settled();
    if ((cause as { code: string }).code === 'SQLITE_CONSTRAINT_UNIQUE') {
      t.is(t.throws(() => insert(tx, 'never'), aborted)?.cause, cause);
    } else {
      // better-sqlite3 does not let it run beside the iterator, and so nothing has been aborted.
      t.true(cause instanceof TypeError);
      throw new RangeError('nothing to commit');
    }
  });
  await t.throwsAsync(transaction);
  t.deepEqual(await namesIn(pool), ['cog', 'cam', 'nut']);
});
