import { inspect } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import Database from 'better-sqlite3';
import { type LeasedDatabase, ReleasedError, ScopeEndedError, type SqlitePool } from '../../lib/index.ts';
import { SqlitePool as PoolWithClock } from '../../lib/sqlite/pool.ts';
import { FakeClock } from '../support/clock.ts';
import { temporaryFile } from '../support/files.ts';
import { gate } from '../support/gate.ts';
import { loosely, type Outcome, sample, temporaryPool } from '../support/sqlite.ts';

/** A use of every method of a handle, each such that it would change or show the connection. */
const uses: Record<string, (db: LeasedDatabase) => unknown> = {
  prepare: (db) => db.prepare('SELECT 1'),
  transaction: (db) => db.transaction(() => db.exec('DELETE FROM item')),
  pragma: (db) => db.pragma('foreign_keys = 0'),
  explain: (db) => db.explain('SELECT 1'),
  backup: (db) => db.backup('/dev/null/never'),
  serialize: (db) => db.serialize(),
  function: (db) => db.function('stray', () => 1),
  aggregate: (db) => db.aggregate('stray', { start: 0, step: () => 1 }),
  table: (db) => db.table('stray', { columns: ['a'], *rows() {} }),
  loadExtension: (db) => db.loadExtension('/dev/null/never'),
  exec: (db) => db.exec('DELETE FROM item; CREATE TEMP TABLE stray (x)'),
  defaultSafeIntegers: (db) => db.defaultSafeIntegers(),
  unsafeMode: (db) => db.unsafeMode(),
};

/** What a holder may keep for longer than its lease: statements, iterators, transaction functions. */
function keepsakes(db: LeasedDatabase): Record<string, () => unknown> {
  const select = db.prepare('SELECT id FROM item');
  const insert = db.prepare("INSERT INTO item (name) VALUES ('stray')");
  const bound = db.prepare('SELECT ?').bind(1);
  const rows = db.prepare('SELECT id, name FROM item').iterate();
  rows.next();
  const unused = select.iterate();
  const finished = db.prepare('SELECT 1').iterate();
  for (const _ of finished);
  const transaction = db.transaction(() => insert.run());
  return {
    'get()': () => select.get(),
    'all()': () => select.all(),
    'run()': () => insert.run(),
    'iterate()': () => select.iterate(),
    'bind()': () => select.bind(),
    'pluck()': () => select.pluck(),
    'expand()': () => select.expand(),
    'raw()': () => select.raw(),
    'safeIntegers()': () => select.safeIntegers(),
    'columns()': () => select.columns(),
    'toString()': () => loosely(select, 'toString', []),
    'get() of a bound statement': () => bound.get(),
    'next()': () => rows.next(),
    'return()': () => rows.return?.(),
    'a loop': () => [...rows],
    'next() of an unused iterator': () => unused.next(),
    'next() of a finished iterator': () => finished.next(),
    'a transaction function': () => transaction(),
    'its immediate variant': () => transaction.immediate(),
  };
}

async function outcomeOf(call: () => unknown): Promise<Outcome> {
  try {
    return { returned: await call() };
  } catch (error) {
    return { threw: error };
  }
}

async function samplePool(t: ExecutionContext): Promise<SqlitePool> {
  const pool = temporaryPool(t, { max: 1, leakThreshold: 60_000 });
  await pool.withConnection((db) => db.exec(sample));
  return pool;
}

/** A holder of the only connection, whose open transaction shows whatever is done to it. */
async function nextHolder(t: ExecutionContext, pool: SqlitePool): Promise<() => void> {
  const next = await pool.acquire({ label: 'next' });
  next.exec("BEGIN; INSERT INTO item (name) VALUES ('of the next')");
  return () => {
    t.true(next.open);
    t.true(next.inTransaction);
    t.deepEqual(next.prepare('SELECT name FROM item').pluck().all(), ['bolt', 'nut', 'washer', 'of the next']);
    t.deepEqual(next.prepare('SELECT name FROM temp.sqlite_schema').all(), []);
    t.deepEqual(next.prepare('SELECT 1 AS a').get(), { a: 1 });
    t.is(next.pragma('foreign_keys', { simple: true }), 1);
    t.throws(() => next.prepare('SELECT stray()'), { message: /no such function/ });
    next.close();
  };
}

test('there is a use of every method of better-sqlite3', (t) => {
  const methods = Object.keys(Database.prototype).filter((name) => name !== 'close');
  t.deepEqual(Object.keys(uses).toSorted(), methods.toSorted());
});

test('after release every method throws, and none reaches the next holder', async (t) => {
  const pool = await samplePool(t);
  const db = await pool.acquire({ label: 'first' });
  db.close();
  const check = await nextHolder(t, pool);
  for (const [name, use] of Object.entries(uses)) {
    const outcome = await outcomeOf(() => use(db));
    const error = 'threw' in outcome ? outcome.threw : undefined;
    t.true(error instanceof ReleasedError, `${name} throws`);
    t.like(error, { code: 'ERR_LEASEHOLD_RELEASED', pool: 'app', label: 'first', end: 'released' });
  }
  check();
});

test('after release every statement, iterator and transaction function throws, and none reaches the next holder', async (t) => {
  const pool = await samplePool(t);
  const db = await pool.acquire();
  const kept = Object.entries(keepsakes(db));
  db.close();
  const check = await nextHolder(t, pool);
  for (const [name, use] of kept) {
    const outcome = await outcomeOf(use);
    t.true('threw' in outcome && outcome.threw instanceof ReleasedError, `${name} throws`);
  }
  check();
});

test('after its scope a handle and all that came from it throw ERR_LEASEHOLD_SCOPE_ENDED', async (t) => {
  const pool = await samplePool(t);
  const { db, kept } = await pool.withConnection((handle) => ({ db: handle, kept: keepsakes(handle) }), {
    label: 'job',
  });
  const check = await nextHolder(t, pool);
  const calls = [...Object.entries(kept), ...Object.entries(uses).map(([name, use]) => [name, () => use(db)] as const)];
  for (const [name, use] of calls) {
    const outcome = await outcomeOf(use);
    t.true('threw' in outcome && outcome.threw instanceof ScopeEndedError, `${name} throws`);
    t.like('threw' in outcome ? outcome.threw : undefined, { code: 'ERR_LEASEHOLD_SCOPE_ENDED', label: 'job' });
  }
  check();
});

test('work that outlives its scope is refused by the handle it kept', async (t) => {
  const pool = await samplePool(t);
  const ended = gate();
  let late: Promise<unknown> | undefined;
  await pool.withConnection((db) => {
    late = (async () => {
      await ended.passed;
      return db.prepare('SELECT 1').get();
    })();
  });
  ended.open();
  await t.throwsAsync(late ?? Promise.resolve(), { code: 'ERR_LEASEHOLD_SCOPE_ENDED' });
});

test('transaction() and backup() refuse at once and by rejection', async (t) => {
  const pool = await samplePool(t);
  const db = await pool.acquire();
  db.close();
  t.throws(() => db.transaction(() => 1), { code: 'ERR_LEASEHOLD_RELEASED' });
  await t.throwsAsync(db.backup('never.db'), { code: 'ERR_LEASEHOLD_RELEASED' });
});

test('after release the getters still answer', async (t) => {
  const pool = await samplePool(t);
  const db = await pool.acquire();
  const statement = db.prepare('SELECT ?').bind(1);
  const facts = () => [db.name, db.open, db.readonly, db.memory, db.inTransaction];
  db.close();
  t.deepEqual(facts(), [pool.db.name, false, false, false, false]);
  const check = await nextHolder(t, pool);
  t.deepEqual(facts(), [pool.db.name, false, false, false, false], 'The transaction of the next holder does not show');
  t.deepEqual(
    [statement.source, statement.reader, statement.readonly, statement.busy],
    ['SELECT ?', true, true, false],
  );
  t.is(statement.database, db);
  t.regex(inspect(db), /open: false/);
  t.regex(inspect(statement), /SELECT \?/);
  check();
  await pool.close();
  t.deepEqual(facts(), [pool.db.name, false, false, false, false], 'Nor does a closed file');
  t.false(statement.busy);
});

test('a second close() is counted, and never releases another lease', async (t) => {
  const pool = await samplePool(t);
  const db = await pool.acquire();
  db.close();
  const check = await nextHolder(t, pool);
  t.is(db.close(), db);
  t.is(db.close(), db);
  t.is(pool.stats().counters.doubleReleases, 2);
  t.is(pool.stats().leased, 1);
  check();
});

test('discard() after release does not touch the connection of the next holder', async (t) => {
  const pool = await samplePool(t);
  const db = await pool.acquire();
  db.close();
  const check = await nextHolder(t, pool);
  await outcomeOf(() => db.discard('too late'));
  check();
  t.is(pool.stats().counters.discarded, 0);
});

test('the error of a late use has the stacks of acquire and use, and that of what took the lease away', async (t) => {
  const pool = await samplePool(t);
  const db = await (async function acquireIt() {
    return pool.acquire();
  })();
  (function takeItAway() {
    pool.closeOverdue(0);
  })();
  const error = t.throws<ReleasedError>(function useIt() {
    db.exec('SELECT 1');
  });
  t.regex(error?.acquireStack ?? '', /acquireIt/);
  t.regex(error?.releaseStack ?? '', /takeItAway/);
  t.regex(error?.stack ?? '', /useIt/);
});

test('a pool that was closed by force takes away handles and statements', async (t) => {
  const pool = await samplePool(t);
  const db = await pool.acquire();
  const kept = keepsakes(db);
  await pool.close({ timeout: 0 });
  for (const [name, use] of Object.entries(kept)) {
    const outcome = await outcomeOf(use);
    t.like('threw' in outcome ? outcome.threw : undefined, { code: 'ERR_LEASEHOLD_RELEASED', end: 'closed' }, name);
  }
});

test('after the abort of its signal every use throws AbortError, and the connection comes back clean', async (t) => {
  const pool = await samplePool(t);
  const controller = new AbortController();
  const reason = new Error('the client went away');
  const dirty: unknown[] = [];
  pool.on('dirty', (event) => void dirty.push(event.traces));
  await t.throwsAsync(
    pool.withConnection(
      async (db) => {
        db.exec("BEGIN; INSERT INTO item (name) VALUES ('undone')");
        const kept = keepsakes(db);
        controller.abort(reason);
        for (const [name, use] of Object.entries(kept)) {
          const outcome = await outcomeOf(use);
          // To stop is what the signal asks for, and a loop that is left must be able to.
          if (name === 'return()') t.deepEqual(outcome, { returned: { value: undefined, done: true } });
          else t.like('threw' in outcome ? outcome.threw : undefined, { name: 'AbortError', code: 'ABORT_ERR' }, name);
        }
        for (const [name, use] of Object.entries(uses)) {
          const outcome = await outcomeOf(() => use(db));
          t.is('threw' in outcome ? (outcome.threw as Error).cause : undefined, reason, name);
        }
        db.exec('SELECT 1');
      },
      { signal: controller.signal },
    ),
    { code: 'ABORT_ERR' },
  );
  t.deepEqual(dirty, [['open transaction']], 'The iterators have ended themselves');
  t.is((await nextHolder(t, pool))(), undefined);
});

test('every use of a handle, statement or iterator counts as use of the lease', async (t) => {
  const clock = new FakeClock();
  const pool = new PoolWithClock(temporaryFile(t), { max: 1 }, clock);
  const db = await pool.acquire();
  db.exec(sample);
  const statement = db.prepare('SELECT id FROM item').pluck();
  const rows = db.prepare('SELECT id FROM item').iterate();
  const run = db.transaction(() => 1);
  const idleFor = () => pool.leases()[0]?.idleFor;
  for (const use of [
    () => statement.get(),
    () => statement.columns(),
    () => statement.raw(),
    () => rows.next(),
    () => {
      rows.return?.();
      db.exec('');
    },
    () => db.pragma('user_version'),
    () => run(),
    () => db.serialize(),
  ]) {
    clock.advance(30);
    t.is(idleFor(), 30);
    use();
    t.is(idleFor(), 0);
  }
  clock.advance(40);
  t.true(db.open && !db.inTransaction && db.name !== '');
  t.truthy(db.prepare('SELECT 1'));
  t.is(idleFor(), 40, 'Neither a getter nor prepare() is a use');
  db.close();
  await pool.close();
});
