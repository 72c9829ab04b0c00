import { existsSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import Database from 'better-sqlite3';
import { AmbientDatabase } from '../../lib/sqlite/ambient.ts';
import { LeasedDatabase } from '../../lib/sqlite/handle.ts';
import { temporaryDirectory } from '../support/files.ts';
import { gate } from '../support/gate.ts';
import { compare, errorsOf, loosely, rawDatabase, type Script, temporaryPool, wrong } from '../support/sqlite.ts';

test('every method of better-sqlite3 is overridden on both handles', (t) => {
  const known = Reflect.ownKeys(Database.prototype);
  t.true(known.includes('prepare') && known.length > 14);
  for (const key of known) {
    t.true(Object.hasOwn(LeasedDatabase.prototype, key), `LeasedDatabase has its own ${String(key)}`);
    t.true(Object.hasOwn(AmbientDatabase.prototype, key), `AmbientDatabase has its own ${String(key)}`);
  }
});

test('every property of a better-sqlite3 handle is a getter of both handles', (t) => {
  const known = Reflect.ownKeys(rawDatabase(t)).filter((key) => typeof key === 'string');
  t.deepEqual(known.toSorted(), ['inTransaction', 'memory', 'name', 'open', 'readonly']);
  for (const key of known) {
    t.is(typeof Object.getOwnPropertyDescriptor(LeasedDatabase.prototype, key)?.get, 'function', key);
    t.is(typeof Object.getOwnPropertyDescriptor(AmbientDatabase.prototype, key)?.get, 'function', key);
  }
});

test('both handles are instances of Database', async (t) => {
  const pool = temporaryPool(t);
  await using db = await pool.acquire();
  t.true(db instanceof Database);
  t.true(pool.db instanceof Database);
});

test('exec runs a script, returns the handle, and stops at the first error', async (t) => {
  const outcomes = await compare(t, ({ db, step }) => {
    step(() => db.exec('CREATE TABLE a (x); INSERT INTO a VALUES (1); -- done\n;'));
    step(() => db.exec(''));
    step(() => db.exec('INSERT INTO a VALUES (2); INSERT INTO missing VALUES (3); INSERT INTO a VALUES (4)'));
    step(() => db.prepare('SELECT * FROM a').all());
    step(() => db.exec('INSERT INTO tag VALUES (99, NULL)'));
    step(() => db.exec("INSERT INTO tag VALUES (1, 'steel')"));
    step(() => db.exec('SELEC 1'));
    step(() => db.exec(wrong(undefined)));
    step(() => db.exec(wrong(7)));
    step(() => db.exec(wrong(new String('SELECT 1'))));
  });
  t.is(errorsOf(outcomes), 7);
});

test('prepare refuses what is not one statement', async (t) => {
  const texts = [
    'SELEC 1',
    'SELECT * FROM missing',
    'SELECT 1; SELECT 2',
    '',
    ' -- nothing\n /* at all */ ',
    "SELECT 'unterminated",
    'SELECT 1 /* open',
    'SELECT 1; -- and a comment',
    'SELECT 1;\n;\n',
    wrong(undefined),
    wrong(1),
    wrong(['SELECT 1']),
    wrong(Symbol('SELECT 1')),
  ];
  // pool.db prepares where a statement is used, so there the error of the SQL comes then.
  const used = await compare(t, ({ db, step }) => {
    for (const text of texts) step(() => db.prepare(text).all());
  });
  t.is(errorsOf(used), 10);
  const prepared: Script = ({ db, step }) => {
    for (const text of texts) step(() => db.prepare(text));
  };
  t.is(errorsOf(await compare(t, prepared, { ambient: false })), 10);
});

test('pragma returns rows, one value with simple, and checks its arguments', async (t) => {
  const outcomes = await compare(t, ({ db, step }) => {
    step(() => db.pragma('user_version'));
    step(() => db.pragma('user_version', { simple: true }));
    step(() => db.pragma('user_version', { simple: false }));
    step(() => db.pragma('user_version = 4'));
    step(() => db.pragma('user_version = 5', { simple: true }));
    step(() => db.pragma('main.user_version', { simple: true }));
    step(() => db.pragma('table_info(item)'));
    step(() => db.pragma('table_info(item)', { simple: true }));
    step(() => db.pragma('cache_size = 321'));
    step(() => db.pragma('cache_size', { simple: true }));
    step(() => db.pragma('journal_mode'));
    step(() => db.pragma('foreign_keys'));
    step(() => db.pragma('no_such_pragma'));
    step(() => db.pragma('no_such_pragma', { simple: true }));
    step(() => db.pragma('user_version', wrong(null)));
    step(() => db.pragma('user_version', {}));
    step(() => db.pragma('user_version', wrong('simple')));
    step(() => db.pragma('user_version', { simple: wrong(1) }));
    step(() => db.pragma('user_version', { simple: undefined }));
    step(() => db.pragma('user_version; SELECT 1'));
    step(() => db.pragma('= ='));
    step(() => db.pragma(''));
    for (const text of [undefined, null, 1, ['user_version']]) step(() => db.pragma(wrong(text)));
  });
  t.is(errorsOf(outcomes), 10);
});

// Which cannot be put into a text, so it must be refused before it is.
test('pragma refuses a symbol as better-sqlite3 does', async (t) => {
  await compare(t, ({ db, step }) => {
    step(() => db.pragma(wrong(Symbol('user_version'))));
  });
});

test('explain gives the program of a statement, and checks its argument', async (t) => {
  const outcomes = await compare(t, ({ db, step }) => {
    step(() => db.explain('SELECT * FROM item WHERE id = ?'));
    step(() => db.explain('QUERY PLAN SELECT * FROM item WHERE id = ?'));
    step(() => db.explain('INSERT INTO tag VALUES (1, NULL)'));
    step(() => db.prepare('SELECT count(*) FROM tag').pluck().get());
    step(() => db.explain('SELECT * FROM missing'));
    step(() => db.explain(''));
    step(() => db.explain('SELECT 1; SELECT 2'));
    for (const text of [undefined, null, 1]) step(() => db.explain(wrong(text)));
  });
  t.is(errorsOf(outcomes), 6);
});

test('the getters tell of the connection', async (t) => {
  const outcomes = await compare(t, ({ db, step }) => {
    const facts = () => [db.name, db.open, db.readonly, db.memory, db.inTransaction];
    step(facts);
    db.exec('BEGIN');
    step(facts);
    db.exec('SAVEPOINT inner');
    step(facts);
    db.exec('ROLLBACK');
    step(facts);
    db.exec('SAVEPOINT lone');
    step(facts);
    db.exec('RELEASE lone');
    step(facts);
  });
  const inTransaction = outcomes.map((outcome) => 'returned' in outcome && (outcome.returned as unknown[])[4]);
  t.deepEqual(inTransaction, [false, true, true, false, true, false]);
  t.is((outcomes[0] as { returned: unknown[] }).returned[0], '<directory>/app.db');
});

test('the getters tell of a read-only pool and of private databases', async (t) => {
  const file = temporaryPool(t).db.name;
  rawDatabase(t, file).exec('CREATE TABLE a (x)');
  const reading = temporaryPool(t, { readonly: true }, file);
  await reading.withConnection((db) => {
    for (const handle of [db, reading.db]) t.like(handle, { name: file, readonly: true, memory: false, open: true });
    t.throws(() => db.exec('INSERT INTO a VALUES (1)'), { code: 'SQLITE_READONLY' });
  });
  for (const name of ['', ':memory:']) {
    const pool = temporaryPool(t, {}, name);
    const raw = rawDatabase(t, name);
    await pool.withConnection((db) => {
      for (const handle of [db, pool.db]) {
        t.deepEqual([handle.name, handle.memory, handle.readonly], [raw.name, raw.memory, raw.readonly]);
      }
    });
  }
});

test('the getters of a handle cannot be set', async (t) => {
  await compare(t, ({ db, step }) => {
    for (const key of ['name', 'open', 'readonly', 'memory', 'inTransaction'] as const) {
      step(() => Reflect.set(db, key, 'changed'));
    }
  });
});

// To look at the temporary objects of a new connection would open their database, which then is listed.
test('a handle lists the databases that better-sqlite3 lists', async (t) => {
  await compare(t, ({ db, step }) => {
    step(() => db.pragma('database_list'));
  });
});

function fail(): never {
  throw new Error('no progress');
}

/** Enough rows that a copy of them takes more than one step. */
const manyRows = `
  CREATE TABLE big (filler);
  INSERT INTO big WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 300)
    SELECT zeroblob(4000) FROM n;`;

test('backup copies the database, and reports progress', async (t) => {
  const outcomes = await compare(t, async ({ db, directory, step, settle }) => {
    db.exec(manyRows);
    await settle(() => db.backup(`${directory}/plain.db`));
    const progress: unknown[] = [];
    await settle(() =>
      db.backup(`${directory}/stepwise.db`, {
        progress: (info) => {
          progress.push(info);
          return progress.length === 1 ? 0 : 130;
        },
      }),
    );
    step(() => progress);
    await settle(() => db.backup(`${directory}/default.db`, { progress: () => wrong(undefined) }));
    for (const name of ['plain', 'stepwise', 'default']) {
      const copy = new Database(`${directory}/${name}.db`, { readonly: true });
      step(() => copy.prepare('SELECT count(*) FROM big').pluck().get());
      step(() => copy.prepare('SELECT name FROM item').pluck().all());
      copy.close();
    }
  });
  t.is(errorsOf(outcomes), 0);
  t.deepEqual(outcomes.at(-2), { returned: 300 });
});

test('backup copies an attached database', async (t) => {
  const outcomes = await compare(t, async ({ db, directory, step, settle }) => {
    db.exec(`ATTACH '${directory}/second.db' AS second; CREATE TABLE second.a (x); INSERT INTO second.a VALUES (7)`);
    await settle(() => db.backup(`${directory}/copy.db`, wrong({ attached: 'second' })));
    await settle(() => db.backup(`${directory}/none.db`, wrong({ attached: 'third' })));
    const copy = new Database(`${directory}/copy.db`, { readonly: true });
    step(() => copy.prepare('SELECT x FROM a').pluck().all());
    copy.close();
    step(() => db.serialize({ attached: 'second' }).length > 0);
  });
  t.deepEqual(outcomes.slice(-2), [{ returned: [7] }, { returned: true }]);
});

test('backup checks its arguments by rejection', async (t) => {
  const outcomes = await compare(t, async ({ db, directory, settle }) => {
    const attempts: unknown[][] = [
      [],
      [1],
      [''],
      ['  '],
      [':memory:'],
      [`${directory}/missing/copy.db`],
      [`${directory}/copy.db`, 'options'],
      [`${directory}/copy.db`, { attached: '' }],
      [`${directory}/copy.db`, { attached: 1 }],
      [`${directory}/copy.db`, { progress: 1 }],
      [directory],
    ];
    for (const attempt of attempts) {
      await settle(() => loosely(db, 'backup', attempt));
    }
  });
  t.is(errorsOf(outcomes), 11);
});

test('a failing progress callback fails the backup, and leaves no file', async (t) => {
  const outcomes = await compare(t, async ({ db, directory, step, settle }) => {
    db.exec(manyRows);
    await settle(() => db.backup(`${directory}/copy.db`, { progress: fail }));
    await settle(() => db.backup(`${directory}/copy.db`, { progress: () => wrong('fast') }));
    step(() => existsSync(`${directory}/copy.db`));
    step(() => db.exec('DELETE FROM big'));
  });
  t.is(errorsOf(outcomes), 2);
});

test('the connection can be used while a backup is under way, and stays in the pool after it', async (t) => {
  const pool = temporaryPool(t, { max: 1 });
  const target = join(temporaryDirectory(t), 'copy.db');
  const first = await pool.withConnection(async (db) => {
    db.exec(manyRows);
    const half = gate();
    const backup = db.backup(target, {
      progress: () => {
        half.open();
        return 10;
      },
    });
    await half.passed;
    t.is(db.prepare('SELECT count(*) FROM big').pluck().get(), 300);
    await backup;
    return pool.leases()[0]?.connection;
  });
  await pool.withConnection(() => t.is(pool.leases()[0]?.connection, first));
  t.is(pool.stats().counters.dirty, 0);
  const copy = rawDatabase(t, target, { readonly: true });
  t.is(copy.prepare('SELECT count(*) FROM big').pluck().get(), 300);
});

test('serialize returns the same bytes as better-sqlite3, and checks its options', async (t) => {
  const outcomes = await compare(t, ({ db, step }) => {
    const bytes = step(() => db.serialize());
    // Marked as not in WAL mode, which a database in memory cannot be in.
    const copy = new Database(Buffer.from(bytes).fill(1, 18, 20));
    step(() => copy.prepare('SELECT name FROM item').pluck().all());
    copy.close();
    step(() => db.serialize({ attached: 'main' }).equals(bytes));
    step(() => db.serialize({ attached: 'none' }));
    for (const options of ['main', 1, { attached: '' }, { attached: 1 }, null]) {
      step(() => Buffer.isBuffer(db.serialize(wrong(options))));
    }
  });
  t.deepEqual(outcomes[1], { returned: ['bolt', 'nut', 'washer'] });
  t.is(errorsOf(outcomes), 5);
});
