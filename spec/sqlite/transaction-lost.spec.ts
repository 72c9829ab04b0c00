import test from 'ava';
import type { SqlitePool } from '../../lib/index.ts';
import { settled } from '../support/gate.ts';
import { namesIn, openItems, refusal } from '../support/items.ts';

// A transaction that was begun by SQL is rolled back where its lease is taken away. What comes after in that scope was
// meant to be part of it: on another connection it would be committed by itself.

const insert = 'INSERT INTO item VALUES (?)';

const beginnings: Record<string, (pool: SqlitePool) => unknown> = {
  'pool.run': (pool) => pool.run('BEGIN IMMEDIATE'),
  'a deferred pool.run': (pool) => pool.run('BEGIN'),
  'db.exec': (pool) => pool.db.exec('BEGIN'),
  'db.prepare': (pool) => pool.db.prepare('BEGIN IMMEDIATE').run(),
  'a savepoint': (pool) => pool.run('SAVEPOINT before'),
};

const scopes: Record<string, (pool: SqlitePool, fn: () => Promise<void>) => Promise<void>> = {
  withConnection: (pool, fn) => pool.withConnection(fn, { label: 'job' }),
  'connection()': (pool, fn) =>
    pool.withScope(
      async () => {
        await pool.connection();
        await fn();
      },
      { label: 'job' },
    ),
  'a write scope': (pool, fn) => pool.withConnection(fn, { label: 'job', write: true }),
};

const followers: Record<string, (pool: SqlitePool) => Promise<unknown>> = {
  run: (pool) => pool.run(insert, ['lost']),
  'run of COMMIT': (pool) => pool.run('COMMIT'),
  get: (pool) => pool.get('INSERT INTO item VALUES (?) RETURNING name', ['lost']),
  'get that reads': (pool) => pool.get('SELECT name FROM item'),
  all: (pool) => pool.all('INSERT INTO item VALUES (?) RETURNING name', ['lost']),
  transaction: (pool) => pool.transaction((tx) => tx.prepare(insert).run('lost')),
  read: (pool) => pool.read((db) => db.prepare('SELECT name FROM item').all()),
  withConnection: (pool) => pool.withConnection((db) => db.prepare(insert).run('lost')),
  'withConnection to write': (pool) => pool.withConnection((db) => db.prepare(insert).run('lost'), { write: true }),
  connection: (pool) => pool.connection(),
  'connection to write': (pool) => pool.connection({ write: true }),
};

for (const [how, begin] of Object.entries(beginnings)) {
  for (const [where, scoped] of Object.entries(scopes)) {
    test(`after the loss of a transaction begun by ${how} in ${where}, its scope is refused all that may have been part of it`, async (t) => {
      const pool = await openItems(t);
      await scoped(pool, async () => {
        await begin(pool);
        await pool.run(insert, ['before']);
        t.is(pool.closeOverdue(0), 1);
        for (const [name, follow] of Object.entries(followers)) {
          await t.throwsAsync(follow(pool), refusal('RELEASED'), name);
        }
        t.throws(() => pool.db.prepare('SELECT 1').get(), refusal('RELEASED'));
        // A function that awaits goes on in the same scope.
        await settled();
        await t.throwsAsync(pool.run(insert, ['lost']), refusal('RELEASED'));
      });
      t.deepEqual(await namesIn(pool), [], 'nothing is committed');
      t.is(pool.stats().laneHeld, 0);
      await scoped(pool, async () => {
        await pool.run(insert, ['after']);
      });
      await pool.transaction((tx) => void tx.prepare(insert).run('later'));
      t.deepEqual(await namesIn(pool), ['after', 'later']);
      pool.assertIdle();
    });
  }
}

test('an iterator that is open when the lease is taken away does not hide the transaction', async (t) => {
  const pool = await openItems(t);
  await pool.withConnection(async (db) => {
    db.exec("BEGIN; INSERT INTO item VALUES ('a'), ('b')");
    db.prepare('SELECT name FROM item').iterate().next();
    pool.closeOverdue(0);
    await t.throwsAsync(pool.run(insert, ['lost']), refusal('RELEASED'));
  });
  t.deepEqual(await namesIn(pool), []);
});

const ends: Record<string, (pool: SqlitePool) => Promise<unknown>> = {
  committed: (pool) => pool.run('COMMIT'),
  'rolled back': (pool) => pool.run('ROLLBACK'),
};

for (const [how, end] of Object.entries(ends)) {
  test(`a transaction begun by SQL that was ${how} before its lease was taken away refuses nobody`, async (t) => {
    const pool = await openItems(t);
    await pool.withConnection(async () => {
      await pool.run('BEGIN IMMEDIATE');
      await pool.run(insert, ['first']);
      await end(pool);
      t.is(pool.closeOverdue(0), 1);
      await pool.run(insert, ['second']);
      await pool.transaction((tx) => void tx.prepare(insert).run('third'));
      t.truthy(await pool.get('SELECT name FROM item'));
      await pool.withConnection((db) => db.prepare(insert).run('fourth'));
    });
    const kept = how === 'committed' ? ['first'] : [];
    t.deepEqual(await namesIn(pool), [...kept, 'second', 'third', 'fourth']);
  });
}

test('a lease that was taken away without a transaction refuses nobody', async (t) => {
  const pool = await openItems(t);
  await pool.withConnection(async () => {
    await pool.run(insert, ['first']);
    pool.closeOverdue(0);
    await pool.run(insert, ['second']);
  });
  t.deepEqual(await namesIn(pool), ['first', 'second']);
});

test('the loss in one scope is no matter of another, nor of the one around it', async (t) => {
  const pool = await openItems(t);
  await pool.withScope(async () => {
    await pool.withConnection(async () => {
      await pool.run('BEGIN IMMEDIATE');
      pool.closeOverdue(0);
      await t.throwsAsync(pool.run(insert, ['lost']), refusal('RELEASED'));
    });
    await pool.run(insert, ['around']);
  });
  t.deepEqual(await namesIn(pool), ['around']);
});

test('what is left over when a scope that lost its transaction has ended is refused as well', async (t) => {
  const pool = await openItems(t);
  const left: Promise<unknown>[] = [];
  await pool.withConnection(async () => {
    await pool.run('BEGIN IMMEDIATE');
    pool.closeOverdue(0);
    left.push(
      t.throwsAsync(
        settled().then(() => pool.run(insert, ['lost'])),
        refusal('SCOPE_ENDED'),
      ),
    );
  });
  await Promise.all(left);
  t.deepEqual(await namesIn(pool), []);
});

test('what was never part of a transaction that lost its lease goes on in the same scope', async (t) => {
  const pool = await openItems(t);
  await pool.withScope(async () => {
    await pool.connection();
    const inside = pool.transaction(async (tx) => {
      tx.prepare(insert).run('lost');
      pool.closeOverdue(0);
      await settled();
      return pool.run(insert, ['lost too']);
    });
    await t.throwsAsync(inside, refusal('RELEASED'));
    await pool.run(insert, ['next job']);
    t.is(await pool.withConnection((db) => db.prepare('SELECT count(*) FROM item').pluck().get()), 1);
  });
  t.deepEqual(await namesIn(pool), ['next job']);
});

test('who closes his own handle with a transaction open may begin anew in the same scope', async (t) => {
  const pool = await openItems(t);
  await pool.withScope(async () => {
    const db = await pool.connection();
    db.exec('BEGIN');
    db.prepare(insert).run('lost');
    db.close();
    const again = await pool.connection();
    again.prepare(insert).run('second try');
  });
  t.deepEqual(await namesIn(pool), ['second try']);
});
