import test, { type ExecutionContext } from 'ava';
import Database from 'better-sqlite3';
import type { PoolEvents } from '../../lib/index.ts';
import { gate, settled } from '../support/gate.ts';
import { Enough, insert, namesIn, openItems, refusal } from '../support/items.ts';
import { temporaryPool, watchDirt } from '../support/sqlite.ts';

/** A `Database` class whose connections fail at the statements that `failing` names, for as long as it does. */
function failingClass(failing: Set<string>): typeof Database {
  class FailingDatabase extends Database {
    override prepare(sql: string): never {
      const statement = super.prepare(sql);
      const { run, get } = statement;
      const check = () => {
        for (const start of failing) if (sql.startsWith(start)) throw new RangeError(`${start} fails`);
      };
      statement.run = (...params) => {
        check();
        return run.apply(statement, params);
      };
      statement.get = (...params) => {
        check();
        return get.apply(statement, params);
      };
      return statement as never;
    }
  }
  return FailingDatabase as unknown as typeof Database;
}

async function openFailing(t: ExecutionContext, ...starts: string[]) {
  const failing = new Set<string>();
  const pool = temporaryPool(t, { Database: failingClass(failing), max: 2 });
  await pool.run('CREATE TABLE item (name TEXT)');
  const errors: PoolEvents['error'][] = [];
  pool.on('error', (event) => void errors.push(event));
  return {
    pool,
    errors,
    fail: () => {
      for (const start of starts) failing.add(start);
    },
    mend: () => failing.clear(),
  };
}

test('a ROLLBACK that fails is reported and never replaces the error of the function; its connection is discarded', async (t) => {
  const { pool, errors, fail, mend } = await openFailing(t, 'ROLLBACK');
  const cause = new Enough();
  const transaction = pool.transaction(async (tx) => {
    insert(tx, 'never');
    await settled();
    fail();
    throw cause;
  });
  t.is(await t.throwsAsync(transaction), cause);
  t.is(errors.length, 1);
  t.like(errors[0], { message: 'ROLLBACK fails' });
  mend();
  t.deepEqual(await namesIn(pool), []);
  await pool.transaction((tx) => insert(tx, 'cog'));
  t.deepEqual(await namesIn(pool), ['cog']);
  t.like(pool.stats(), { leased: 0, laneHeld: 0, laneWaiting: 0 });
  t.is(pool.stats().counters.discarded, 1);
});

test('after a ROLLBACK that failed nothing more runs on that lease, and its slot is not lost', async (t) => {
  const { pool, errors, fail, mend } = await openFailing(t, 'ROLLBACK');
  await pool.withConnection(async (db) => {
    const kept = db.prepare('INSERT INTO item VALUES (?)');
    const failing = pool.transaction((tx) => {
      insert(tx, 'never');
      fail();
      throw new Enough();
    });
    await t.throwsAsync(failing, { instanceOf: Enough });
    mend();
    const attempts = [
      () => insert(db, 'never'),
      () => kept.run('never'),
      () => db.exec('COMMIT'),
      () => db.pragma('user_version = 5'),
      () => db.transaction(() => insert(db, 'never'))(),
      () => pool.db.prepare('SELECT * FROM item').all(),
    ];
    for (const attempt of attempts) {
      t.like(t.throws(attempt, refusal('TRANSACTION_ABORTED')), { cause: { message: 'ROLLBACK fails' } });
    }
    await t.throwsAsync(() => pool.transaction(() => t.fail()), refusal('TRANSACTION_ABORTED'));
    await t.throwsAsync(() => pool.read(() => t.fail()), refusal('TRANSACTION_ABORTED'));
    await t.throwsAsync(() => db.transaction(async () => t.fail())(), refusal('TRANSACTION_ABORTED'));
    await t.throwsAsync(() => pool.run("INSERT INTO item VALUES ('never')"), refusal('TRANSACTION_ABORTED'));
    // Another connection sees nothing of it.
    t.deepEqual(await pool.withConnection((other) => other.prepare('SELECT * FROM item').all(), { fresh: true }), []);
  });
  t.is(errors.length, 1);
  t.is(pool.stats().counters.discarded, 1);
  await Promise.all([1, 2, 3].map((index) => pool.transaction((tx) => insert(tx, `${index}`))));
  t.deepEqual(await namesIn(pool), ['1', '2', '3']);
  const all = await Promise.all([pool.acquire(), pool.acquire()]);
  for (const db of all) db.close();
  t.like(pool.stats(), { leased: 0, laneHeld: 0, laneWaiting: 0 });
});

test('a savepoint that can not be undone takes the whole transaction with it', async (t) => {
  const { pool, errors, fail, mend } = await openFailing(t, 'ROLLBACK TO');
  const outer = pool.transaction(async (tx) => {
    insert(tx, 'never');
    const inner = pool.transaction((nested) => {
      insert(nested, 'never');
      fail();
      throw new Enough();
    });
    await t.throwsAsync(inner, { instanceOf: Enough });
    t.throws(() => insert(tx, 'never'), refusal('TRANSACTION_ABORTED'));
  });
  t.like(await t.throwsAsync(outer), { ...refusal('TRANSACTION_ABORTED'), cause: { message: 'ROLLBACK TO fails' } });
  mend();
  t.is(errors.length, 1);
  t.deepEqual(await namesIn(pool), []);
  t.like(pool.stats(), { leased: 0, laneHeld: 0 });
});

test('a read whose snapshot can not be taken, nor be given up, leaves nothing to the next holder', async (t) => {
  const { pool, fail, mend } = await openFailing(t, 'SELECT 1 FROM sqlite_schema', 'ROLLBACK');
  fail();
  await t.throwsAsync(() => pool.read(() => t.fail()));
  mend();
  await pool.withConnection((db) => t.false(db.inTransaction));
  t.is(await pool.read(() => 'fine'), 'fine');
  await pool.transaction((tx) => insert(tx, 'cog'));
  t.deepEqual(await namesIn(pool), ['cog']);
});

test('a BEGIN that fails gives back the lane and the connection', async (t) => {
  const { pool, fail, mend } = await openFailing(t, 'BEGIN');
  fail();
  await t.throwsAsync(() => pool.transaction(() => t.fail()), { message: 'BEGIN fails' });
  await pool.withConnection(async (db) => {
    await t.throwsAsync(() => pool.transaction(() => t.fail()), { message: 'BEGIN fails' });
    t.is(pool.stats().laneHeld, 0);
    insert(db, 'cog');
  });
  t.like(pool.stats(), { leased: 0, laneHeld: 0, laneWaiting: 0 });
  mend();
  await pool.transaction((tx) => insert(tx, 'cam'));
  t.deepEqual(await namesIn(pool), ['cog', 'cam']);
});

test('a lease that ends in the middle rolls back, and is reported', async (t) => {
  const pool = await openItems(t);
  const dirt = watchDirt(pool);
  const closing = pool.transaction(async (tx) => {
    insert(tx, 'never');
    tx.close();
    t.throws(() => insert(tx, 'never'), refusal('RELEASED'));
    await settled();
  });
  await t.throwsAsync(closing, refusal('RELEASED'));
  const db = await pool.acquire();
  const nested = db.transaction(async () => {
    insert(db, 'never');
    await db.transaction(async () => {
      db.close();
      await settled();
    })();
  });
  await t.throwsAsync(() => nested(), refusal('RELEASED'));
  const failing = pool.transaction((tx) => {
    insert(tx, 'never');
    tx.close();
    throw new Enough();
  });
  await t.throwsAsync(failing, { instanceOf: Enough });
  t.deepEqual(
    dirt.map(({ traces }) => traces),
    [['open transaction'], ['open transaction'], ['open transaction']],
  );
  t.deepEqual(await namesIn(pool), []);
  t.like(pool.stats(), { leased: 0, laneHeld: 0, laneWaiting: 0 });
});

test('a scope that ends in the middle rolls back what is open and refuses what waits', async (t) => {
  const pool = await openItems(t);
  const dirt = watchDirt(pool);
  const done = gate();
  const left: Promise<unknown>[] = [];
  await pool.withConnection(
    async () => {
      const transaction = pool.transaction(async (tx) => {
        insert(tx, 'never');
        left.push(
          t.throwsAsync(
            pool.transaction(() => done.passed),
            refusal('SCOPE_ENDED'),
          ),
        );
        left.push(
          t.throwsAsync(
            pool.transaction(() => t.fail()),
            refusal('SCOPE_ENDED'),
          ),
        );
        await done.passed;
        t.throws(() => insert(tx, 'never'), refusal('SCOPE_ENDED'));
      });
      left.push(t.throwsAsync(transaction, refusal('SCOPE_ENDED')));
      left.push(
        t.throwsAsync(
          pool.transaction(() => t.fail()),
          refusal('SCOPE_ENDED'),
        ),
      );
      await settled();
    },
    { label: 'request' },
  );
  t.like(dirt, [{ traces: ['open transaction'] }]);
  t.like(pool.stats(), { leased: 0, laneHeld: 0, laneWaiting: 0 });
  done.open();
  await Promise.all(left);
  t.deepEqual(await namesIn(pool), []);
});

test('a pool that closes takes the connection of an open transaction away, and nothing of it is kept', async (t) => {
  for (const bound of [false, true]) {
    const pool = await openItems(t);
    const [begun, done] = [gate(), gate()];
    const run = () =>
      pool.transaction(async (tx) => {
        insert(tx, 'never');
        begun.open();
        await done.passed;
      });
    const running = bound ? pool.withConnection(run) : run();
    await begun.passed;
    const waiting = t.throwsAsync(
      pool.transaction(() => t.fail()),
      refusal('CLOSED'),
    );
    await pool.close({ timeout: 0 });
    await waiting;
    done.open();
    await t.throwsAsync(running, refusal('RELEASED'));
    const again = temporaryPool(t, {}, pool.db.name);
    t.deepEqual(await namesIn(again), []);
  }
});

test('a pool that closes waits for an open transaction', async (t) => {
  const pool = await openItems(t);
  const begun = gate();
  const running = pool.transaction(async (tx) => {
    begun.open();
    await settled();
    insert(tx, 'cog');
    await pool.transaction((inner) => insert(inner, 'cam'));
    return 'committed';
  });
  await begun.passed;
  await pool.close({ timeout: Infinity });
  t.is(await running, 'committed');
  t.deepEqual(await namesIn(temporaryPool(t, {}, pool.db.name)), ['cog', 'cam']);
});
