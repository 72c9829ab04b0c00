import { setImmediate } from 'node:timers/promises';
import test from 'ava';
import { expectTypeOf } from 'expect-type';
import knex, { type Knex } from 'knex';
import { createPool } from '../../lib/index.ts';
import { knexClient } from '../../lib/orm/knex.ts';
import { temporaryFile } from '../support/files.ts';
import { refusal } from '../support/items.ts';
import { isIdle, knexOver, names, openKnex, startNow } from '../support/knex.ts';
import { temporaryPool } from '../support/sqlite.ts';

const { KnexTimeoutError } = knex;

test('destroying Knex lets go of the pool and leaves it open, and initialize takes it up again', async (t) => {
  const { pool, db, complaints } = await openKnex(t);
  await db.destroy();
  await t.throwsAsync(async () => db('item'), { message: 'Unable to acquire a connection' });
  await t.throwsAsync(db.transaction(), { message: 'Unable to acquire a connection' });
  await pool.run("INSERT INTO item (name) VALUES ('a')");
  db.initialize();
  t.deepEqual(await db('item').pluck('name'), ['a']);
  await new Promise<void>((resolve) => {
    db.destroy(resolve);
  });
  t.deepEqual(complaints, []);
  t.deepEqual(await names(pool), ['a']);
});

test('a transaction that is open when Knex is destroyed ends as it would', async (t) => {
  const { pool, db } = await openKnex(t);
  const trx = await db.transaction();
  await db.destroy();
  await trx('item').insert({ name: 'a' });
  await trx.commit();
  t.deepEqual(await names(pool), ['a']);
});

test('a pool that is closed refuses queries by its code', async (t) => {
  const { pool, db } = await openKnex(t);
  await pool.close();
  await t.throwsAsync(async () => db('item'), refusal('CLOSED'));
  await t.throwsAsync(async () => db('item').insert({ name: 'a' }), refusal('CLOSED'));
});

test('connections are not for Knex to configure', (t) => {
  const client = knexClient(temporaryPool(t));
  for (const config of [{ connection: { filename: 'x' } }, { pool: { max: 3 } }, { connection: ':memory:' }]) {
    const error = t.throws(() => knex({ client, useNullAsDefault: true, ...config }), refusal('OPTIONS'));
    t.regex(error?.message ?? '', /createPool/);
  }
});

test('the client satisfies the types of Knex', async (t) => {
  const pool = temporaryPool(t);
  const client = knexClient(pool);
  expectTypeOf(client).toExtend<NonNullable<Knex.Config['client']>>();
  const db = knex<{ name: string }, { name: string }[]>({ client, useNullAsDefault: true });
  await db.schema.createTable('item', (table) => void table.string('name'));
  expectTypeOf(await db('item').select('name')).toExtend<{ name: string }[]>();
  t.true(db.client instanceof client);
  t.true(db.client instanceof knex.Client);
});

test('integers are as the pool opens its connections, or as a query asks', async (t) => {
  const pool = createPool(temporaryFile(t), { onOpen: (connection) => void connection.defaultSafeIntegers() });
  t.teardown(() => pool.close());
  const { db } = knexOver(pool);
  t.deepEqual(await db.select(db.raw('1 as one')), [{ one: 1n }]);
  t.deepEqual(await db.select(db.raw('1 as one')).options({ safeIntegers: false }), [{ one: 1 }]);
  t.deepEqual(await db.select(db.raw('1 as one')), [{ one: 1n }]);
});

for (const cancel of [false, true]) {
  test(`a write whose time is over while it waits does not run later (cancel: ${cancel})`, async (t) => {
    const { pool, db } = await openKnex(t);
    const trx = await db.transaction();
    const query = db('item').insert({ name: 'a' }).timeout(20, { cancel });
    const error = await t.throwsAsync(startNow(query), { instanceOf: KnexTimeoutError });
    t.is(error.message, 'Defined query timeout of 20ms exceeded when running query.');
    t.is(pool.stats().laneWaiting, 0);
    await trx.commit();
    // Were it still in the queue, it would come before this one.
    await db('item').insert({ name: 'b' });
    t.deepEqual(await names(pool), ['b']);
    isIdle(t, pool);
  });
}

test('a query is cancelled on a connection that goes on', async (t) => {
  const { pool, db } = await openKnex(t);
  const trx = await db.transaction();
  const connection: unknown = await db.client.acquireConnection();
  const query = db('item').insert({ name: 'a' }).connection(connection).timeout(20, { cancel: true });
  await t.throwsAsync(startNow(query), { instanceOf: KnexTimeoutError });
  t.is(pool.stats().laneWaiting, 0);
  await trx.commit();
  await db('item').insert({ name: 'b' }).connection(connection);
  await db.client.releaseConnection(connection);
  t.deepEqual(await names(pool), ['b']);
  isIdle(t, pool);
});

for (const cancel of [false, true]) {
  test(`to give up one query of a named connection leaves the others alone (cancel: ${cancel})`, async (t) => {
    const { pool, db } = await openKnex(t);
    const writer = await pool.openTransaction().begun;
    const connection: unknown = await db.client.acquireConnection();
    const add = (name: string) => db('item').insert({ name }).connection(connection);
    const patient = [startNow(add('a')), startNow(add('b').timeout(60_000, { cancel }))];
    await t.throwsAsync(startNow(add('c').timeout(10, { cancel })), { instanceOf: KnexTimeoutError });
    t.is(pool.stats().laneWaiting, 2);
    await writer.commit();
    await Promise.all(patient);
    t.deepEqual(await names(pool), ['a', 'b']);
    await db.client.releaseConnection(connection);
    isIdle(t, pool);
  });
}

test('who gives up first on a named connection leaves it to those that wait for it as well', async (t) => {
  const { pool, db } = await openKnex(t, { max: 1 });
  const lease = await pool.acquire();
  const connection: unknown = await db.client.acquireConnection();
  const limited = startNow(db('item').connection(connection).timeout(10, { cancel: true }));
  const patient = startNow(db('item').connection(connection));
  await t.throwsAsync(limited, { instanceOf: KnexTimeoutError });
  lease.close();
  t.deepEqual(await patient, []);
  await db.client.releaseConnection(connection);
  isIdle(t, pool);
});

test('a named connection that is released before there is one holds none, and its queries reject', async (t) => {
  const { pool, db } = await openKnex(t, { max: 1 });
  const lease = await pool.acquire();
  const connection: unknown = await db.client.acquireConnection();
  const waiting = startNow(db('item').connection(connection));
  await setImmediate();
  t.is(pool.stats().waiting, 1);
  await db.client.releaseConnection(connection);
  t.is(pool.stats().waiting, 0);
  await t.throwsAsync(waiting, { name: 'AbortError' });
  lease.close();
  isIdle(t, pool);
});

test('a named connection that was released before its first query holds none', async (t) => {
  const { pool, db } = await openKnex(t);
  const connection: unknown = await db.client.acquireConnection();
  await db.client.releaseConnection(connection);
  await t.throwsAsync(async () => db('item').connection(connection), refusal('SCOPE_ENDED'));
  isIdle(t, pool);
});

test('a schema change whose time is over while it waits does not run later', async (t) => {
  const { pool, db } = await openKnex(t, { max: 1 });
  const lease = await pool.acquire();
  const query = db.raw('DROP TABLE item').timeout(20);
  await t.throwsAsync(startNow(query), { instanceOf: KnexTimeoutError });
  t.is(pool.stats().waiting, 0);
  lease.close();
  t.deepEqual(await db('item'), []);
  isIdle(t, pool);
});

test('a query that is done in time is not disturbed by its timeout', async (t) => {
  const { db } = await openKnex(t);
  t.deepEqual(await db('item').insert({ name: 'a' }).timeout(10_000, { cancel: true }), [1]);
  await db.transaction(async (trx) => {
    await trx('item').insert({ name: 'b' }).timeout(10_000, { cancel: true });
    await trx('item').insert({ name: 'c' });
  });
  t.is((await db('item')).length, 3);
});

test('Knex works over a database in memory', async (t) => {
  const pool = createPool(':memory:');
  t.teardown(() => pool.close());
  const { db } = knexOver(pool);
  await db.schema.createTable('item', (table) => void table.string('name'));
  await db.transaction(async (trx) => {
    await trx('item').insert({ name: 'a' });
    await db('item').insert({ name: 'b' });
  });
  await db.schema.alterTable('item', (table) => void table.string('name', 9).notNullable().alter());
  t.deepEqual(await db('item').pluck('name'), ['a', 'b']);
  isIdle(t, pool);
});

test('Knex reads from a pool that is only for reading, and is told of writes', async (t) => {
  const file = temporaryFile(t);
  const writing = temporaryPool(t, {}, file);
  await writing.run("CREATE TABLE item AS SELECT 'a' AS name");
  const { db } = knexOver(temporaryPool(t, { readonly: true }, file));
  t.deepEqual(await db('item').pluck('name'), ['a']);
  t.deepEqual(await db.transaction(async (trx) => trx('item').pluck('name'), { readOnly: true }), ['a']);
  await t.throwsAsync(db.transaction(), refusal('READ_ONLY'));
  await t.throwsAsync(async () => db('item').insert({ name: 'b' }), { code: 'SQLITE_READONLY' });
});
