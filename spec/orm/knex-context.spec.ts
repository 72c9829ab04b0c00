import test from 'ava';
import { gate } from '../support/gate.ts';
import { Enough, refusal } from '../support/items.ts';
import { isIdle, knexOver, names, openKnex } from '../support/knex.ts';

test('queries and transactions of Knex take part in a transaction of the pool', async (t) => {
  const { pool, db } = await openKnex(t);
  const failing = pool.transaction(async (tx) => {
    tx.prepare("INSERT INTO item (name) VALUES ('a')").run();
    t.deepEqual(await db('item').pluck('name'), ['a']);
    await db('item').insert({ name: 'b' });
    await db.transaction(async (trx) => trx('item').insert({ name: 'c' }));
    const trx = await db.transaction();
    await trx('item').insert({ name: 'd' });
    await trx.commit();
    t.is(pool.stats().leased, 1);
    throw new Enough();
  });
  await t.throwsAsync(failing, { instanceOf: Enough });
  t.deepEqual(await names(pool), []);
  isIdle(t, pool);
});

test('a transaction of the pool takes part in one of Knex', async (t) => {
  const { pool, db } = await openKnex(t);
  await db.transaction(async (trx) => {
    await trx('item').insert({ name: 'a' });
    await pool.run("INSERT INTO item (name) VALUES ('b')");
    const nested = pool.transaction(async () => {
      await trx('item').insert({ name: 'c' });
      throw new Enough();
    });
    await t.throwsAsync(nested, { instanceOf: Enough });
    pool.db.prepare("INSERT INTO item (name) VALUES ('d')").run();
  });
  t.deepEqual(await names(pool), ['a', 'b', 'd']);
});

test('within a connection of the pool, queries run on that one', async (t) => {
  const { pool, db } = await openKnex(t);
  await pool.withConnection(async (connection) => {
    connection.exec('CREATE TEMP TABLE own (value)');
    await db('own').insert({ value: 1 });
    await db.transaction(async (trx) => trx('own').insert({ value: 2 }));
    t.deepEqual(await db('own').pluck('value'), [1, 2]);
    t.is(pool.stats().leased, 1);
  });
  isIdle(t, pool);
});

test('a scope that only asks briefly holds no connection in between', async (t) => {
  const { pool, db } = await openKnex(t);
  await pool.withScope(async () => {
    await db('item').insert({ name: 'a' });
    t.is(pool.stats().leased, 0);
    t.deepEqual(await db('item').pluck('name'), ['a']);
    t.is(pool.stats().leased, 0);
  });
});

test('in a snapshot of the pool, queries see the snapshot and can not write', async (t) => {
  const { pool, db } = await openKnex(t);
  const read = gate();
  const written = gate();
  const reading = pool.read(async () => {
    t.deepEqual(await db('item'), []);
    read.open();
    await written.passed;
    t.deepEqual(await db('item'), []);
    await t.throwsAsync(async () => db('item').insert({ name: 'b' }), refusal('READ_ONLY'));
  });
  await read.passed;
  await db('item').insert({ name: 'a' });
  written.open();
  await reading;
  t.deepEqual(await names(pool), ['a']);
});

test('what is left over of a transaction is refused, also where Knex would take a connection of its own', async (t) => {
  const { pool, db } = await openKnex(t);
  const over = gate();
  let left: Promise<void> | undefined;
  await pool.transaction(() => {
    left = (async () => {
      await over.passed;
      await t.throwsAsync(async () => db('item').insert({ name: 'a' }), refusal('TRANSACTION_ENDED'));
      await t.throwsAsync(async () => db.schema.dropTable('item'), refusal('TRANSACTION_ENDED'));
      await t.throwsAsync(async () => db.raw('PRAGMA foreign_keys = OFF'), refusal('TRANSACTION_ENDED'));
    })();
  });
  over.open();
  await left;
  t.deepEqual(await names(pool), []);
});

test('two of Knex on one pool share its transactions', async (t) => {
  const { pool, db } = await openKnex(t);
  const { db: other } = knexOver(pool);
  await db.transaction(async (trx) => {
    await trx('item').insert({ name: 'a' });
    await other('item').insert({ name: 'b' });
    await other.transaction(async (inner) => {
      await inner('item').insert({ name: 'c' });
      await db('item').insert({ name: 'd' });
    });
  });
  t.deepEqual(await names(pool), ['a', 'b', 'c', 'd']);
  await other.destroy();
  t.is((await db('item')).length, 4);
  isIdle(t, pool);
});

test('a connection that was asked for by hand is the same for all who name it, until it is released', async (t) => {
  const { pool, db } = await openKnex(t);
  const connection: unknown = await db.client.acquireConnection();
  t.is(pool.stats().leased, 0);
  await db.raw('CREATE TEMP TABLE own (value)').connection(connection);
  t.is(pool.stats().leased, 1);
  await db('own').insert({ value: 1 }).connection(connection);
  await db.transaction(async (trx) => trx('own').insert({ value: 2 }), { connection });
  t.deepEqual(await db('own').connection(connection).pluck('value'), [1, 2]);
  await t.throwsAsync(async () => db('own'), { message: /no such table/ });
  await db.client.releaseConnection(connection);
  t.is(pool.stats().leased, 0);
  await t.throwsAsync(async () => db('own').connection(connection));
});

test('queries that name a connection are on one, whatever they do', async (t) => {
  const { pool, db } = await openKnex(t);
  await db('item').insert({ id: 41, name: 'a' });
  const connection: unknown = await db.client.acquireConnection();
  await db('item').insert({ name: 'b' }).connection(connection);
  await db('item').insert({ name: 'c' });
  const last = db.raw('SELECT last_insert_rowid() AS id');
  t.deepEqual(await last.connection(connection), [{ id: 42 }]);
  await db.client.releaseConnection(connection);
  isIdle(t, pool);
});

test('a handle of the pool may be named as the connection of a query, not of a transaction', async (t) => {
  const { pool, db } = await openKnex(t);
  const lease = await pool.acquire();
  lease.exec('CREATE TEMP TABLE own (value)');
  t.deepEqual(await db('own').insert({ value: 7 }).connection(lease), [1]);
  t.deepEqual(await db('own').connection(lease).pluck('value'), [7]);
  await t.throwsAsync(
    db.transaction(async () => {}, { connection: lease }),
    refusal('OPTIONS'),
  );
  lease.close();
  isIdle(t, pool);
});

test('statements that change a connection run on one, and leave nothing for others', async (t) => {
  const { pool, db } = await openKnex(t, { max: 1 });
  await db.raw('PRAGMA foreign_keys = OFF');
  t.deepEqual(await db.raw('PRAGMA foreign_keys'), [{ foreign_keys: 1 }]);
  await db.schema.raw('PRAGMA foreign_keys = OFF').raw('CREATE TABLE seen AS SELECT * FROM pragma_foreign_keys');
  t.deepEqual(await db('seen'), [{ foreign_keys: 0 }]);
  t.deepEqual(await db.raw('PRAGMA foreign_keys'), [{ foreign_keys: 1 }]);
  isIdle(t, pool);
});

test('a transaction begun by SQL is rolled back, not left to the next', async (t) => {
  const { pool, db } = await openKnex(t);
  await db.schema.raw('BEGIN').raw("INSERT INTO item (name) VALUES ('a')");
  await db('item').insert({ name: 'b' });
  t.deepEqual(await names(pool), ['b']);
  await t.throwsAsync(
    db.transaction(async (trx) => trx.raw('COMMIT')),
    refusal('TRANSACTION_MANAGED'),
  );
  isIdle(t, pool);
});
