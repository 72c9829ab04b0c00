import test, { type ExecutionContext } from 'ava';
import type { LeasedDatabase, SqlitePool, TransactionBusyError, TransactionBusyReason } from '../../lib/index.ts';
import { gate, settled } from '../support/gate.ts';
import { Enough, insert, namesIn, openItems } from '../support/items.ts';
import { rawDatabase } from '../support/sqlite.ts';

const managed = { code: 'ERR_LEASEHOLD_TRANSACTION_MANAGED' };

async function isBusy(
  t: ExecutionContext,
  reason: TransactionBusyReason,
  attempt: () => Promise<unknown>,
): Promise<void> {
  const error = await t.throwsAsync<TransactionBusyError>(attempt, { code: 'ERR_LEASEHOLD_TRANSACTION_BUSY' });
  t.is(error?.reason, reason);
}

const control = [
  'BEGIN',
  'BEGIN IMMEDIATE',
  'begin exclusive transaction',
  'COMMIT',
  'COMMIT TRANSACTION',
  'END',
  'ROLLBACK',
  'ROLLBACK TO leasehold_1',
  'SAVEPOINT mine',
  'SAVEPOINT "leasehold_1"',
  'RELEASE leasehold_1',
  'RELEASE SAVEPOINT leasehold_1',
  '-- an end\nCOMMIT;',
  '/* an end */ COMMIT',
  ' \t\r\n;COMMIT',
  '\ufeffCOMMIT',
];

for (const nested of [false, true]) {
  test(`SQL can neither begin nor end anything in a ${nested ? 'nested' : 'managed'} transaction, however it is run`, async (t) => {
    const pool = await openItems(t);
    await pool.withConnection(async (db) => {
      // Prepared where they are allowed, to be run where they are not.
      const kept = ['BEGIN', 'COMMIT', 'ROLLBACK', 'SAVEPOINT mine'].map((sql) => db.prepare(sql));
      const ambient = control.map((sql) => pool.db.prepare(sql.replace(/^[ \t\r\n;]*/, '')));
      const refuseAll = async () => {
        for (const sql of control) {
          const single = sql.replace(/^[ \t\r\n;]*/, '');
          t.throws(() => db.prepare(single), managed, `prepare ${sql}`);
          t.throws(() => db.exec(sql), managed, `exec ${sql}`);
          t.throws(() => db.exec(`INSERT INTO item VALUES ('never'); ${sql}`), managed, `script ${sql}`);
          t.throws(() => pool.db.exec(sql), managed, `pool.db.exec ${sql}`);
          await t.throwsAsync(() => pool.run(single), managed, `pool.run ${sql}`);
        }
        for (const statement of kept) t.throws(() => statement.run(), managed, statement.source);
        for (const statement of ambient) t.throws(() => statement.run(), managed, statement.source);
        t.true(db.inTransaction);
      };
      await pool.transaction(
        async (tx) => {
          insert(tx, 'cog');
          if (nested) await pool.transaction(refuseAll);
          else await refuseAll();
          t.like(
            t.throws(() => tx.exec('COMMIT'), managed),
            { pool: 'app', label: 'payment' },
          );
        },
        { label: 'payment' },
      );
      await t.throwsAsync(() => pool.read(() => db.exec('COMMIT')), managed);
      // Afterwards it is allowed again.
      for (const statement of kept.slice(0, 2)) statement.run();
    });
    t.deepEqual(await namesIn(pool), ['cog']);
  });
}

test('words that only look like transaction control are let through', async (t) => {
  const pool = await openItems(t);
  await pool.transaction((tx) => {
    tx.exec('CREATE TABLE "commit" (rollback TEXT); INSERT INTO "commit" VALUES (\'BEGIN; COMMIT\')');
    tx.exec('CREATE TRIGGER ended AFTER INSERT ON item BEGIN DELETE FROM "commit"; END; SELECT 1 -- COMMIT');
    tx.exec("/* ROLLBACK; */ INSERT INTO item VALUES ('ROLLBACK')");
    tx.prepare('INSERT OR ROLLBACK INTO item VALUES (?)').run('COMMIT');
  });
  t.deepEqual(await namesIn(pool), ['ROLLBACK', 'COMMIT']);
});

test('a managed transaction does not begin inside one that was begun by SQL', async (t) => {
  const pool = await openItems(t);
  const never = () => t.fail();
  for (const begin of ['BEGIN', 'BEGIN IMMEDIATE', 'SAVEPOINT mine']) {
    await pool.withConnection(async (db) => {
      db.exec(begin);
      insert(db, begin);
      await isBusy(t, 'occupied', () => pool.transaction(never));
      await isBusy(t, 'occupied', () => pool.transaction(never, { nesting: 'join' }));
      await isBusy(t, 'occupied', () => pool.read(never));
      await isBusy(t, 'occupied', () => db.transaction(async () => never())());
      t.deepEqual(await pool.read((other) => other !== db, { nesting: 'separate' }), true);
      t.true(db.inTransaction);
      db.exec(begin === 'SAVEPOINT mine' ? 'RELEASE mine' : 'COMMIT');
      await pool.transaction((tx) => insert(tx, `managed after ${begin}`));
    });
  }
  t.deepEqual(await namesIn(pool), [
    'BEGIN',
    'managed after BEGIN',
    'BEGIN IMMEDIATE',
    'managed after BEGIN IMMEDIATE',
    'SAVEPOINT mine',
    'managed after SAVEPOINT mine',
  ]);
  t.is(pool.stats().counters.dirty, 0);
});

test('a managed transaction does not begin inside a synchronous one', async (t) => {
  const pool = await openItems(t);
  const never = () => t.fail();
  const beginnings: ((db: LeasedDatabase) => Promise<unknown>)[] = [
    () => pool.transaction(never),
    () => pool.read(never),
    (db) => db.transaction(async () => never())(),
  ];
  await pool.withConnection(async (db) => {
    for (const begin of beginnings) {
      let begun: Promise<unknown> | undefined;
      db.transaction(() => {
        insert(db, 'cog');
        begun = begin(db);
      })();
      await isBusy(t, 'occupied', () => begun as Promise<unknown>);
    }
  });
  t.deepEqual(await namesIn(pool), ['cog', 'cog', 'cog']);
});

test('no number of managed transactions begins inside a synchronous one', async (t) => {
  const pool = await openItems(t);
  let outcomes: Promise<PromiseSettledResult<void>[]> | undefined;
  const begin = () => pool.transaction((tx) => insert(tx, 'never'));
  await pool.withConnection(async (db) => {
    const failing = db.transaction(() => {
      outcomes = Promise.allSettled([begin(), begin(), begin()]);
      throw new Enough();
    });
    t.throws(() => failing(), { instanceOf: Enough });
    await outcomes;
  });
  t.deepEqual(await namesIn(pool), []);
});

test('a managed transaction does not begin while rows are iterated on its connection', async (t) => {
  const pool = await openItems(t);
  const never = () => t.fail();
  await pool.withConnection(async (db) => {
    const rows = db.prepare('VALUES (1), (2)').pluck().iterate();
    t.is(rows.next().value, 1);
    await isBusy(t, 'occupied', () => pool.transaction(never));
    await isBusy(t, 'occupied', () => pool.read(never));
    t.is(rows.next().value, 2, 'The iterator goes on');
    rows.return?.();
    await pool.transaction(async (tx) => {
      insert(tx, 'cog');
      const inside = tx.prepare('VALUES (1), (2)').pluck().iterate();
      inside.next();
      await isBusy(t, 'occupied', () => pool.transaction(never));
      inside.return?.();
      await pool.transaction((inner) => insert(inner, 'cam'));
    });
  });
  t.deepEqual(await namesIn(pool), ['cog', 'cam']);
});

for (const meanwhile of ['a raw transaction', 'an iterator'] as const) {
  test(`a transaction that waited for another process finds out that ${meanwhile} was begun meanwhile`, async (t) => {
    const pool = await openItems(t);
    const other = rawDatabase(t, pool.db.name);
    await pool.withConnection(async (db) => {
      other.exec('BEGIN IMMEDIATE');
      const waiting = pool.transaction(() => t.fail());
      let rows: Iterator<unknown> | undefined;
      if (meanwhile === 'an iterator') {
        rows = db.prepare('VALUES (1), (2)').iterate();
        rows.next();
      } else db.exec('BEGIN');
      other.exec('COMMIT');
      await isBusy(t, 'occupied', () => waiting);
      rows?.return?.();
      if (meanwhile === 'a raw transaction') db.exec('COMMIT');
      await pool.transaction((tx) => insert(tx, 'cog'));
    });
    t.deepEqual(await namesIn(pool), ['cog']);
  });
}

/** What a function may leave unfinished when it returns. */
const loose: Record<string, (pool: SqlitePool, tx: LeasedDatabase, work: () => Promise<void>) => unknown> = {
  'a nested transaction': (pool, _, work) => pool.transaction(work),
  'a nested transaction of the handle': (_, tx, work) => tx.transaction(async () => work())(),
  'a nested read': (pool, _, work) => pool.read(work),
  'a function that joins': (pool, _, work) => pool.transaction(work, { nesting: 'join' }),
  'a read that joins': (pool, _, work) => pool.read(work, { nesting: 'join' }),
  'an iterator': (_, tx) => tx.prepare('VALUES (1), (2)').iterate().next(),
};

for (const [what, leave] of Object.entries(loose)) {
  for (const depth of [0, 1]) {
    test(`${depth === 0 ? 'a transaction' : 'a nested transaction'} that leaves ${what} unfinished is rolled back rather than half committed`, async (t) => {
      const pool = await openItems(t);
      const done = gate();
      const left: Promise<unknown>[] = [];
      const unfinished = () =>
        pool.transaction(async (tx) => {
          insert(tx, 'never');
          const leaving = leave(pool, tx, async () => {
            await done.passed;
            t.throws(() => tx.prepare('SELECT 1').get(), { code: 'ERR_LEASEHOLD_TRANSACTION_ENDED' });
            throw new Enough();
          });
          if (leaving instanceof Promise) left.push(t.throwsAsync(leaving, { instanceOf: Enough }));
          await settled();
        });
      if (depth === 0) await isBusy(t, 'unfinished', unfinished);
      else {
        await pool.transaction(async (tx) => {
          await isBusy(t, 'unfinished', unfinished);
          insert(tx, 'the outer one goes on');
          done.open();
          await Promise.all(left);
        });
      }
      done.open();
      await Promise.all(left);
      t.deepEqual(await namesIn(pool), depth === 0 ? [] : ['the outer one goes on']);
      t.like(pool.stats(), { leased: 0, laneHeld: 0, laneWaiting: 0 });
      t.is(pool.stats().counters.dirty, 0);
    });
  }
}
