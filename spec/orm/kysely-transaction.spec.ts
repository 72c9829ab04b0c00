import test from 'ava';
import { type DatabaseConnection, type Kysely, sql } from 'kysely';
import { LeaseholdDialect } from '../../lib/orm/kysely.ts';
import { gate, settled } from '../support/gate.ts';
import { Enough, refusal } from '../support/items.ts';
import { add, isIdle, namesOf, openKysely, type Tables } from '../support/kysely.ts';

test('what the function of a transaction calls is inside, whoever runs the query', async (t) => {
  const { pool, db } = await openKysely(t);
  const failing = db.transaction().execute(async (trx) => {
    await add(trx, 'trx');
    await add(db, 'db');
    await pool.run('INSERT INTO item (name) VALUES (?)', ['pool']);
    pool.db.prepare('INSERT INTO item (name) VALUES (?)').run('handle');
    await pool.transaction(() => add(db, 'nested'));
    await db.transaction().execute((nested) => add(nested, 'kysely'));
    t.is(await namesOf(trx), 'trx db pool handle nested kysely');
    t.like(pool.stats(), { leased: 1, laneHeld: 1 });
    throw new Enough();
  });
  await t.throwsAsync(failing, { instanceOf: Enough });
  t.is(await namesOf(db), '');
  isIdle(t, pool);
});

test('the caller of a transaction is outside, before, during and after it', async (t) => {
  const { pool, db } = await openKysely(t);
  const [begun, end] = [gate(), gate()];
  const running = db.transaction().execute(async (trx) => {
    await add(trx, 'a');
    begun.open();
    await end.passed;
    await add(db, 'b');
  });
  t.is(pool.current, undefined);
  await begun.passed;
  t.is(pool.current, undefined);
  t.is(await namesOf(db), '');
  end.open();
  await running;
  t.is(pool.current, undefined);
  await add(db, 'c');
  t.is(await namesOf(db), 'a b c');
});

test('a transaction in one of the pool is a part of it, undone alone or with all', async (t) => {
  const { pool, db } = await openKysely(t);
  await pool.transaction(async () => {
    await add(db, 'a');
    await t.throwsAsync(
      db.transaction().execute(async (trx) => {
        await add(trx, 'b');
        throw new Enough();
      }),
      { instanceOf: Enough },
    );
    await db.transaction().execute((trx) => add(trx, 'c'));
    t.is(await namesOf(db), 'a c');
  });
  t.is(await namesOf(db), 'a c');
  const failing = pool.transaction(async () => {
    await db.transaction().execute((trx) => add(trx, 'd'));
    throw new Enough();
  });
  await t.throwsAsync(failing, { instanceOf: Enough });
  t.is(await namesOf(db), 'a c');
});

test('of two transactions side by side the second waits, with a connection bound or not', async (t) => {
  const { pool, db } = await openKysely(t, { max: 1 });
  const both = () =>
    Promise.all(
      ['a', 'b'].map((name) =>
        db.transaction().execute(async (trx) => {
          const before = await namesOf(trx);
          await add(trx, name);
          await settled();
          await add(db, name);
          t.is(await namesOf(db), `${before} ${name} ${name}`.trim());
        }),
      ),
    );
  await both();
  await pool.withConnection(both);
  await db.transaction().execute(both);
  t.is(await namesOf(db), 'a a b b a a b b a a b b');
  isIdle(t, pool);
});

test('a function that throws, before its first await or later, leaves nothing', async (t) => {
  const { pool, db } = await openKysely(t);
  await t.throwsAsync(
    db.transaction().execute(() => {
      throw new Enough();
    }),
    { instanceOf: Enough },
  );
  await t.throwsAsync(
    db.transaction().execute(async (trx) => {
      await add(trx, 'a');
      await sql`insert into item (id, name) values (1, 'b')`.execute(trx);
    }),
    { code: 'SQLITE_CONSTRAINT_PRIMARYKEY' },
  );
  t.is(await namesOf(db), '');
  isIdle(t, pool);
});

/** Leaves a tag of no item, which COMMIT refuses. */
async function orphan(trx: Kysely<Tables>): Promise<void> {
  await add(trx, 'a');
  await trx.insertInto('tag').values({ item: 77, name: 'of nothing' }).execute();
}

test('a COMMIT that fails rolls back, and is told as SQLite tells it', async (t) => {
  const { pool, db } = await openKysely(t);
  const failed = { code: 'SQLITE_CONSTRAINT_FOREIGNKEY' };
  await t.throwsAsync(db.transaction().execute(orphan), failed);
  isIdle(t, pool);

  const controlled = await db.startTransaction().execute();
  await orphan(controlled);
  await t.throwsAsync(controlled.commit().execute(), failed);
  isIdle(t, pool);
  await t.throwsAsync(add(controlled, 'b'), refusal('TRANSACTION_ENDED'));
  await controlled.rollback().execute();
  t.true(controlled.isRolledBack);
  t.is(await namesOf(db), '');
});

test('a transaction that is read only waits for no writer, sees one snapshot, and refuses writes', async (t) => {
  const { pool, db } = await openKysely(t);
  const [read, written] = [gate(), gate()];
  const reading = db
    .transaction()
    .setAccessMode('read only')
    .execute(async (trx) => {
      t.is(await namesOf(trx), '');
      read.open();
      await written.passed;
      t.is(await namesOf(trx), '');
      t.is(await namesOf(db), '');
      await t.throwsAsync(add(trx, 'b'), refusal('READ_ONLY'));
      await t.throwsAsync(add(db, 'b'), refusal('READ_ONLY'));
    });
  await read.passed;
  await add(db, 'a');
  written.open();
  await reading;
  t.is(await namesOf(db), 'a');
  isIdle(t, pool);
});

test('any isolation level will do', async (t) => {
  const { db } = await openKysely(t);
  for (const level of ['read uncommitted', 'read committed', 'repeatable read', 'serializable', 'snapshot'] as const) {
    await db
      .transaction()
      .setIsolationLevel(level)
      .execute((trx) => add(trx, 'a'));
  }
  t.is(await namesOf(db), 'a a a a a');
});

test('BEGIN and the like are refused inside, and what they would have done is not', async (t) => {
  const { db } = await openKysely(t);
  await db.transaction().execute(async (trx) => {
    await add(trx, 'a');
    for (const text of ['begin', 'commit', 'rollback', 'savepoint one']) {
      await t.throwsAsync(sql.raw(text).execute(trx), refusal('TRANSACTION_MANAGED'));
      await t.throwsAsync(sql.raw(text).execute(db), refusal('TRANSACTION_MANAGED'));
    }
    await add(trx, 'b');
  });
  t.is(await namesOf(db), 'a b');
});

test('a query after the end is refused by Kysely; one that nobody awaited is never committed by itself', async (t) => {
  const { pool, db } = await openKysely(t);
  const late = gate();
  let kept: Kysely<Tables> = db;
  let left: Promise<unknown> = Promise.resolve();
  let unawaited: Promise<unknown> = Promise.resolve();
  await db.transaction().execute(async (trx) => {
    kept = trx;
    await add(trx, 'a');
    left = late.passed.then(() => add(db, 'b'));
    unawaited = add(trx, 'c').then(
      () => 'in time',
      () => 'refused',
    );
  });
  late.open();
  await t.throwsAsync(add(kept, 'd'), { message: 'Transaction is already committed' });
  await t.throwsAsync(left, refusal('TRANSACTION_ENDED'));
  const isIn = (await namesOf(db)) === 'a c';
  t.is(await unawaited, isIn ? 'in time' : 'refused');
  isIdle(t, pool);
});

test('what reaches the driver when its transaction has ended is refused, where Kysely lets it through', async (t) => {
  const { pool, db } = await openKysely(t);
  const driver = new LeaseholdDialect({ pool }).createDriver();
  const query = db.insertInto('item').values({ name: 'a' }).compile();
  const inTransaction = async (end: (connection: DatabaseConnection) => Promise<void>) => {
    const connection = await driver.acquireConnection();
    await driver.beginTransaction(connection, {});
    await end(connection);
    await t.throwsAsync(connection.executeQuery(query), refusal('TRANSACTION_ENDED'));
    await driver.releaseConnection(connection);
  };
  await inTransaction((connection) => driver.commitTransaction(connection));
  await inTransaction((connection) => driver.rollbackTransaction(connection));
  t.is(await namesOf(db), '');
  isIdle(t, pool);
});

test('a transaction that can not begin in time is refused, and says who holds the lane', async (t) => {
  const { pool, db } = await openKysely(t, { acquireTimeout: 500 });
  const begun = gate();
  const end = gate();
  const holding = pool.withScope(
    () =>
      db.transaction().execute(async () => {
        begun.open();
        await end.passed;
      }),
    { label: 'GET /slow' },
  );
  await begun.passed;
  for (const refused of [db.transaction().execute(() => t.fail()), db.startTransaction().execute(), add(db, 'a')]) {
    const error = await t.throwsAsync(refused, refusal('WRITE_TIMEOUT'));
    t.regex(error?.message ?? '', /GET \/slow/);
  }
  end.open();
  await holding;
  t.is(await namesOf(db), '');
  isIdle(t, pool);
});

test('an aborted scope ends its transaction', async (t) => {
  const { pool, db } = await openKysely(t);
  const controller = new AbortController();
  const running = pool.withScope(
    () =>
      db.transaction().execute(async (trx) => {
        await add(trx, 'a');
        controller.abort();
        await add(trx, 'b');
      }),
    { signal: controller.signal },
  );
  await t.throwsAsync(running, { name: 'AbortError' });
  t.is(await namesOf(db), '');
  isIdle(t, pool);
});

test('a query of a transaction is in it, also where the code around has taken another connection', async (t) => {
  const { pool, db } = await openKysely(t, { acquireTimeout: 1000 });
  await db.transaction().execute(async (trx) => {
    await add(trx, 'a');
    await pool.withConnection(
      async () => {
        t.is(await namesOf(trx), 'a');
        await add(trx, 'b');
        t.is(await namesOf(db), '');
      },
      { fresh: true },
    );
  });
  t.is(await namesOf(db), 'a b');
});

test('a query of a transaction is in it, also when it is made in another context', async (t) => {
  const { db } = await openKysely(t);
  const asked = gate<Kysely<Tables>>();
  const answered = gate();
  // Waits in the context of the test.
  const elsewhere = asked.passed.then(async (trx) => {
    await add(trx, 'b');
    t.is(await namesOf(trx), 'a b');
    t.is(await namesOf(db), '');
    answered.open();
  });
  await t.throwsAsync(
    db.transaction().execute(async (trx) => {
      await add(trx, 'a');
      asked.open(trx);
      await answered.passed;
      throw new Enough();
    }),
    { instanceOf: Enough },
  );
  await elsewhere;
  t.is(await namesOf(db), '');
});
