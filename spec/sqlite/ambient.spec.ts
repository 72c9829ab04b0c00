import { setTimeout } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import Database from 'better-sqlite3';
import { createPool, type SqlitePool } from '../../lib/index.ts';
import type { AmbientDatabase } from '../../lib/sqlite/ambient.ts';
import { temporaryFile } from '../support/files.ts';
import { gate } from '../support/gate.ts';
import { loosely, sample, temporaryPool } from '../support/sqlite.ts';

/** A pool whose connections can tell which they are. */
function numberedPool(t: ExecutionContext, max = 4): SqlitePool {
  let opened = 0;
  return temporaryPool(t, {
    max,
    onOpen(db) {
      const number = ++opened;
      db.function('connection_number', () => number);
    },
  });
}

const whichConnection = 'SELECT connection_number()';

/** Every use of an ambient handle that needs a connection. */
const uses: Record<string, (db: AmbientDatabase) => unknown> = {
  'prepare().get()': (db) => db.prepare('SELECT 1').get(),
  'prepare().all()': (db) => db.prepare('SELECT 1').all(),
  'prepare().run()': (db) => db.prepare('SELECT 1').run(),
  'prepare().iterate()': (db) => db.prepare('SELECT 1').iterate(),
  'prepare().columns()': (db) => db.prepare('SELECT 1').columns(),
  'prepare().reader': (db) => db.prepare('SELECT 1').reader,
  'prepare().readonly': (db) => db.prepare('SELECT 1').readonly,
  'prepare().bind().toString()': (db) => loosely(db.prepare('SELECT ?').bind(1), 'toString', []),
  'transaction()()': (db) => db.transaction(() => 1)(),
  'transaction().immediate()': (db) => db.transaction(() => 1).immediate(),
  exec: (db) => db.exec('SELECT 1'),
  pragma: (db) => db.pragma('user_version'),
  explain: (db) => db.explain('SELECT 1'),
  function: (db) => db.function('stray', () => 1),
  aggregate: (db) => db.aggregate('stray', { start: 0, step: () => 1 }),
  table: (db) => db.table('stray', { columns: ['a'], *rows() {} }),
  loadExtension: (db) => db.loadExtension('/dev/null/never'),
  defaultSafeIntegers: (db) => db.defaultSafeIntegers(),
  unsafeMode: (db) => db.unsafeMode(),
  backup: (db) => db.backup('/dev/null/never'),
  serialize: (db) => db.serialize(),
  close: (db) => db.close(),
  discard: (db) => db.discard(),
  inTransaction: (db) => db.inTransaction,
};

async function codeOf(use: () => unknown): Promise<unknown> {
  try {
    await use();
    return 'no error';
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
}

test('there is a use of every method of better-sqlite3', (t) => {
  for (const method of Object.keys(Database.prototype)) {
    t.true(
      Object.keys(uses).some((name) => name.split(/\W/)[0] === method),
      method,
    );
  }
});

test('outside every scope each use throws ERR_LEASEHOLD_NO_CONNECTION, and takes no connection', async (t) => {
  const pool = temporaryPool(t);
  for (const [name, use] of Object.entries(uses)) {
    t.is(await codeOf(() => use(pool.db)), 'ERR_LEASEHOLD_NO_CONNECTION', name);
  }
  t.like(pool.stats().counters, { opened: 0, acquired: 0 });
  const error = t.throws(() => pool.db.exec('SELECT 1'));
  t.regex(error?.message ?? '', /withConnection|acquire/, 'The message says what to write instead');
});

test('in a scope that holds nothing each use throws the same, until one is bound', async (t) => {
  const pool = temporaryPool(t);
  await pool.withScope(async () => {
    for (const [name, use] of Object.entries(uses)) {
      t.is(await codeOf(() => use(pool.db)), 'ERR_LEASEHOLD_NO_CONNECTION', name);
    }
    t.regex(t.throws(() => pool.db.exec(''))?.message ?? '', /connection\(\)/);
    await pool.get('SELECT 1');
    t.is(
      await codeOf(() => pool.db.exec('')),
      'ERR_LEASEHOLD_NO_CONNECTION',
      'A connection for one call binds nothing',
    );
    await pool.connection();
    t.is(pool.db.prepare('SELECT 1').pluck().get(), 1);
  });
});

test('after its scope has ended each use throws ERR_LEASEHOLD_SCOPE_ENDED', async (t) => {
  const pool = temporaryPool(t, { max: 1 });
  const ended = gate();
  let late: Promise<void> | undefined;
  await pool.withConnection(() => {
    const kept = pool.db.prepare('SELECT 1');
    const rows = kept.iterate();
    late = (async () => {
      await ended.passed;
      for (const [name, use] of Object.entries(uses)) {
        t.is(await codeOf(() => use(pool.db)), 'ERR_LEASEHOLD_SCOPE_ENDED', name);
      }
      t.is(await codeOf(() => kept.get()), 'ERR_LEASEHOLD_SCOPE_ENDED');
      t.is(await codeOf(() => rows.next()), 'ERR_LEASEHOLD_SCOPE_ENDED');
      t.false(pool.db.open);
    })();
  });
  await pool.withConnection(async (db) => {
    db.exec('BEGIN');
    ended.open();
    await late;
    t.true(db.open && db.inTransaction);
  });
});

test('after the connection of a scope was given back early, each use throws ERR_LEASEHOLD_RELEASED', async (t) => {
  const pool = temporaryPool(t, { max: 1 });
  await pool.withConnection(async () => {
    const statement = pool.db.prepare('SELECT 1');
    t.is(pool.db.close(), pool.db);
    t.false(pool.db.open);
    t.is(pool.stats().leased, 0);
    for (const [name, use] of Object.entries(uses)) {
      t.is(await codeOf(() => use(pool.db)), 'ERR_LEASEHOLD_RELEASED', name);
    }
    t.is(await codeOf(() => statement.get()), 'ERR_LEASEHOLD_RELEASED');
  });
});

test('the getters that need no connection answer everywhere', async (t) => {
  const pool = temporaryPool(t);
  const facts = () => [pool.db.name.endsWith('/app.db'), pool.db.readonly, pool.db.memory, pool.db.open];
  t.deepEqual(facts(), [true, false, false, false]);
  await pool.withScope(() => t.deepEqual(facts(), [true, false, false, false]));
  await pool.withConnection(() => t.deepEqual(facts(), [true, false, false, true]));
  const statement = pool.db.prepare('SELECT ? AS a');
  t.deepEqual(
    [statement.source, statement.busy, loosely(statement, 'toString', [])],
    ['SELECT ? AS a', false, 'SELECT ? AS a'],
  );
  t.is(statement.database, pool.db);
});

test('statements prepared once run on the connection of each scope', async (t) => {
  const pool = numberedPool(t);
  const which = pool.db.prepare<[], number>(whichConnection).pluck();
  const report = pool.db.transaction(() => which.get());
  const all = gate();
  let inside = 0;
  const request = () =>
    pool.withConnection(async (db) => {
      const own = db.prepare<[], number>(whichConnection).pluck().get();
      if (++inside === 4) all.open();
      await all.passed;
      t.is(which.get(), own);
      t.deepEqual(which.all(), [own]);
      t.deepEqual([...which.iterate()], [own]);
      t.is(report(), own);
      await setTimeout(1);
      t.is(which.get(), own);
      t.is(pool.db.prepare(whichConnection).pluck().get(), own);
      return own;
    });
  const seen = await Promise.all([request(), request(), request(), request()]);
  t.is(new Set(seen).size, 4, 'Four scopes at once, four connections');
});

test('an iterator stays with the connection it began on', async (t) => {
  const pool = numberedPool(t);
  await pool.withConnection(() => pool.db.exec(sample));
  const rows = pool.db.prepare('SELECT connection_number() FROM item').pluck();
  await pool.withConnection(async () => {
    const iterator = rows.iterate();
    const own = iterator.next().value;
    await pool.withConnection(
      () => {
        t.not(rows.get(), own);
        t.deepEqual(iterator.next().value, own);
      },
      { fresh: true },
    );
    t.deepEqual([...iterator], [own]);
  });
});

test('a nested scope with a connection of its own is what counts within it', async (t) => {
  const pool = numberedPool(t);
  const which = pool.db.prepare(whichConnection).pluck();
  await pool.withConnection(async () => {
    const outer = which.get();
    await pool.withConnection(() => t.is(which.get(), outer));
    await pool.withConnection(() => t.not(which.get(), outer), { fresh: true });
    await pool.withScope(() => t.throws(() => which.get(), { code: 'ERR_LEASEHOLD_NO_CONNECTION' }), { fresh: true });
    t.is(which.get(), outer);
  });
});

test('two pools do not see each other', async (t) => {
  const one = createPool(temporaryFile(t, 'one.db'), { acquireTimeout: 30_000 });
  const two = createPool(temporaryFile(t, 'two.db'), { acquireTimeout: 30_000 });
  t.teardown(() => Promise.all([one.close(), two.close()]));
  await one.withConnection(async () => {
    one.db.exec('CREATE TABLE of_one (x)');
    t.throws(() => two.db.exec(''), { code: 'ERR_LEASEHOLD_NO_CONNECTION' });
    await two.withConnection(() => {
      t.throws(() => two.db.prepare('SELECT * FROM of_one').all(), { message: /no such table/ });
      t.deepEqual(one.db.prepare('SELECT * FROM of_one').all(), []);
    });
  });
});

test('a transaction function of pool.db commits, rolls back and nests on the connection of the scope', async (t) => {
  const pool = temporaryPool(t, { max: 2 });
  const insert = pool.db.prepare('INSERT INTO item (name) VALUES (?)');
  const count = pool.db.prepare('SELECT count(*) FROM item').pluck();
  const add = pool.db.transaction((names: string[], fails = false) => {
    for (const name of names) insert.run(name);
    if (fails) throw new Error('rolled back');
    return pool.db.inTransaction;
  });
  await pool.withConnection(() => {
    pool.db.exec(sample);
    t.true(add(['cog', 'cam']));
    t.throws(() => add.exclusive(['x'], true), { message: 'rolled back' });
    const outer = pool.db.transaction(() => {
      add(['kept']);
      t.throws(() => add(['undone'], true));
    });
    outer.immediate();
    t.is(count.get(), 6);
    t.false(pool.db.inTransaction);
  });
  await pool.withConnection(() => t.is(count.get(), 6));
  t.is(pool.stats().counters.dirty, 0);
});

test('a block that ends with pool.db gives the connection of its scope back, where there is one', async (t) => {
  const pool = numberedPool(t);
  await pool.withScope(async () => {
    {
      using db = pool.db;
      await pool.connection();
      t.is(db.prepare(whichConnection).pluck().get(), 1);
    }
    t.like(pool.stats(), { leased: 0, counters: { doubleReleases: 0 } });
  });
  await pool.withConnection(async () => {
    {
      await using db = pool.db;
      t.true(db.open);
    }
    t.is(pool.stats().leased, 0);
  });
  using outside = pool.db;
  t.false(outside.open);
});
