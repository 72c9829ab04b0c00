import test from 'ava';
import { Kysely, sql } from 'kysely';
import { LeaseholdDialect } from '../../lib/orm/kysely.ts';
import { gate, settled } from '../support/gate.ts';
import { Enough, refusal } from '../support/items.ts';
import { add, type Items, isIdle, namesOf, openKysely } from '../support/kysely.ts';
import { labelledPool } from '../support/labels.ts';

const lastId = sql<{ id: number }>`select last_insert_rowid() as id`;

test('db.connection() keeps one connection for its function, and what is left on it is seen by nobody else', async (t) => {
  const { pool, db } = await openKysely(t, { max: 2 });
  await add(db, 'a', 'b');
  await db.connection().execute(async (kept) => {
    t.is(pool.stats().leased, 0, 'It takes none before it needs one');
    await add(kept, 'c');
    t.deepEqual((await lastId.execute(kept)).rows, [{ id: 3 }]);
    await sql`create temp table mine (x)`.execute(kept);
    await sql`pragma foreign_keys = off`.execute(kept);
    t.deepEqual((await sql`pragma foreign_keys`.execute(kept)).rows, [{ foreign_keys: 0 }]);
    t.deepEqual((await sql`pragma foreign_keys`.execute(db)).rows, [{ foreign_keys: 1 }]);
    t.deepEqual((await sql`select * from mine`.execute(kept)).rows, []);
    await t.throwsAsync(sql`select * from mine`.execute(db), { message: 'no such table: mine' });
    t.is(pool.stats().leased, 1);
  });
  isIdle(t, pool);
  await pool.withConnection((handle) => t.is(handle.pragma('foreign_keys', { simple: true }), 1));
});

test('with a signal, too, and it comes back when the function throws', async (t) => {
  const { pool, db } = await openKysely(t);
  const { signal } = new AbortController();
  const failing = db.connection().execute(
    async (kept) => {
      await add(kept, 'a');
      t.deepEqual((await lastId.execute(kept)).rows, [{ id: 1 }]);
      // Each with a signal of its own.
      await kept.insertInto('item').values({ name: 'b' }).execute({ signal: new AbortController().signal });
      t.deepEqual((await lastId.execute(kept)).rows, [{ id: 2 }]);
      throw new Enough();
    },
    { signal },
  );
  await t.throwsAsync(failing, { instanceOf: Enough });
  isIdle(t, pool);
});

test('a statement with a signal or other options takes a connection just for itself', async (t) => {
  const { pool, db } = await openKysely(t);
  const [begun, end] = [gate(), gate()];
  const holding = db.transaction().execute(async () => {
    begun.open();
    await end.passed;
  });
  await begun.passed;
  const writes = [
    db.insertInto('item').values({ name: 'a' }).execute({ signal: new AbortController().signal }),
    db.insertInto('item').values({ name: 'b' }).execute({ inflightQueryAbortStrategy: 'ignore query' }),
    db.insertInto('item').values({ name: 'c' }).execute({ signal: undefined }),
  ];
  await settled();
  // That of the transaction; those who queue hold none.
  t.like(pool.stats(), { leased: 1, laneWaiting: 3 });
  end.open();
  await Promise.all([holding, ...writes]);
  t.is((await namesOf(db)).split(' ').toSorted().join(), 'a,b,c');
});

test('inside a scope that has a connection it is that one', async (t) => {
  const { pool, db } = await openKysely(t, { max: 1 });
  await pool.withConnection(async (handle) => {
    handle.exec('CREATE TEMP TABLE mine (x)');
    await db.connection().execute(async (kept) => {
      t.deepEqual((await sql`select * from mine`.execute(kept)).rows, []);
      await kept.transaction().execute((trx) => add(trx, 'a'));
      await add(kept, 'b');
    });
    t.true(handle.open);
  });
  await t.throwsAsync(
    db.transaction().execute((trx) =>
      db.connection().execute(async (kept) => {
        await add(kept, 'c');
        t.is(await namesOf(trx), 'a b c');
        throw new Enough();
      }),
    ),
    { instanceOf: Enough },
  );
  t.is(await namesOf(db), 'a b');
});

test('a transaction on it runs on its connection, and the function goes on outside', async (t) => {
  const { pool, db } = await openKysely(t);
  await db.connection().execute(async (kept) => {
    // The very first thing it is used for.
    await kept.transaction().execute(async (trx) => {
      await add(trx, 'a');
      t.is(await namesOf(trx), 'a');
      t.is(await namesOf(db), '');
    });
    t.is(pool.current, undefined);
    t.is(await namesOf(db), 'a');
    await add(db, 'b');
    await add(kept, 'c');
    await sql`create temp table mine (x)`.execute(kept);
    await t.throwsAsync(
      kept.transaction().execute(async (trx) => {
        await sql`insert into mine values (1)`.execute(trx);
        throw new Enough();
      }),
      { instanceOf: Enough },
    );
    const controlled = await kept.startTransaction().execute();
    await sql`insert into mine values (2)`.execute(controlled);
    await controlled.commit().execute();
    t.deepEqual((await sql`select x from mine`.execute(kept)).rows, [{ x: 2 }]);
    t.is(pool.stats().leased, 1);
  });
  t.is(await namesOf(db), 'a b c');
  isIdle(t, pool);
});

test('transactions side by side on it come one after the other', async (t) => {
  const { pool, db } = await openKysely(t);
  await db.connection().execute((kept) =>
    Promise.all(
      ['a', 'b'].map((name) =>
        kept.transaction().execute(async (trx) => {
          await add(trx, name);
          await settled();
          await add(trx, name);
        }),
      ),
    ),
  );
  t.is(await namesOf(db), 'a a b b');
  isIdle(t, pool);
});

test('a raw transaction on it is what it says, and rolled back where it is left open', async (t) => {
  const { pool, db } = await openKysely(t);
  await db.connection().execute(async (kept) => {
    await sql`begin immediate`.execute(kept);
    await add(kept, 'a');
    t.is(await namesOf(db), '');
    await sql`commit`.execute(kept);
    t.is(await namesOf(db), 'a');
    await sql`begin`.execute(kept);
    await add(kept, 'b');
  });
  t.is(await namesOf(db), 'a');
  isIdle(t, pool);
});

test('where there is no connection to be had it says so in time, and can be used when there is', async (t) => {
  const { pool, clock } = await labelledPool(t, { max: 1, acquireTimeout: 50 });
  const db: Items['db'] = new Kysely({ dialect: new LeaseholdDialect({ pool }) });
  const held = await pool.acquire({ label: 'somebody' });
  await db.connection().execute(async (kept) => {
    const names = () => kept.selectFrom('item').select('name').execute();
    const late = t.throwsAsync(names(), refusal('ACQUIRE_TIMEOUT'));
    await clock.pass(50);
    t.regex((await late)?.message ?? '', /somebody/);
    held.close();
    t.deepEqual(await names(), []);
  });
  isIdle(t, pool);
});

test('a connection given by the executor is kept from its second statement on', async (t) => {
  const { pool, db } = await openKysely(t);
  const compiled = (text: string) => sql.raw(text).compile(db);
  await db.getExecutor().provideConnection(async (connection) => {
    await connection.executeQuery(compiled('select 1'));
    t.is(pool.stats().leased, 0);
    await connection.executeQuery(compiled('create temp table mine (x)'));
    t.deepEqual((await connection.executeQuery(compiled('select * from mine'))).rows, []);
    t.is(pool.stats().leased, 1);
  });
  isIdle(t, pool);
});

/** What can be done with a connection that `db.connection()` has given. */
const uses: Record<string, (kept: Items['db']) => Promise<unknown>> = {
  'a write': (kept) => add(kept, 'by itself'),
  'a read': namesOf,
  'a stream': (kept) => kept.selectFrom('item').selectAll().stream().next(),
  'a transaction': (kept) => kept.transaction().execute((trx) => add(trx, 'by a transaction')),
};

for (const [name, use] of Object.entries(uses)) {
  test(`in a transaction whose connection was taken away db.connection() is refused, and commits nothing by itself: ${name}`, async (t) => {
    const { pool, db } = await openKysely(t);
    const taken = gate();
    const lost = pool.transaction(async () => {
      await taken.passed;
      await t.throwsAsync(db.connection().execute(use), refusal('RELEASED'));
    });
    await settled();
    t.is(pool.closeOverdue(0), 1);
    taken.open();
    await t.throwsAsync(lost, refusal('RELEASED'));
    t.is(await namesOf(db), '');
    isIdle(t, pool);
  });

  test(`what is left over of a transaction is refused through db.connection(), too: ${name}`, async (t) => {
    const { pool, db } = await openKysely(t);
    const over = gate();
    let left: Promise<unknown> | undefined;
    await db.transaction().execute(async () => {
      left = over.passed.then(() => db.connection().execute(use));
    });
    over.open();
    await t.throwsAsync(left ?? Promise.resolve(), refusal('TRANSACTION_ENDED'));
    t.is(await namesOf(db), '');
    isIdle(t, pool);
  });

  test(`when the function of db.connection() is over its connection is refused, and holds nothing: ${name}`, async (t) => {
    const { pool, db } = await openKysely(t);
    const keep = (fn: (kept: Items['db']) => Promise<unknown>) =>
      db.connection().execute(async (kept) => {
        await fn(kept);
        return kept;
      });
    const { left } = await db.connection().execute(async (kept) => ({ left: use(kept) }));
    await t.throwsAsync(left, refusal('SCOPE_ENDED'));
    for (const fn of [namesOf, async () => {}]) {
      await t.throwsAsync(use(await keep(fn)), refusal('SCOPE_ENDED'));
      // Also where another could be had.
      const kept = await keep(fn);
      await pool.withConnection(() => t.throwsAsync(use(kept), refusal('SCOPE_ENDED')));
    }
    await settled();
    isIdle(t, pool);
    t.is(await namesOf(db), '');
  });

  test(`what db.connection() holds has the label of the scope, and its stack leads to who asked for it: ${name}`, async (t) => {
    const { pool, db } = await openKysely(t, { leakThreshold: 60_000 });
    await pool.withScope(
      () =>
        db.connection().execute(async (kept) => {
          await use(kept);
          const leases = pool.leases();
          t.deepEqual(
            leases.map(({ label }) => label),
            ['GET /items'],
          );
          t.regex(leases[0]?.stack ?? '', /kysely-connection\.spec\./);
        }),
      { label: 'GET /items' },
    );
    isIdle(t, pool);
  });
}
