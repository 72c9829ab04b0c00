import { AsyncLocalStorage } from 'node:async_hooks';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { temporaryDirectory } from '../support/files.ts';
import { Enough, refusal } from '../support/items.ts';
import { impatient, isIdle, names, openKnex, startNow } from '../support/knex.ts';

const loadExtensions = ['.mjs'];

/** A directory of migrations or seeds: names, and the bodies of their functions. */
function makeFiles(t: ExecutionContext, files: Readonly<Record<string, string>>): string {
  const directory = join(temporaryDirectory(t), 'files');
  mkdirSync(directory);
  for (const [name, code] of Object.entries(files)) writeFileSync(join(directory, name), code);
  return directory;
}

function migration(up: string, down = '', config = '{}'): string {
  return `export const config = ${config};
    export async function up(knex) { ${up} }
    export async function down(knex) { ${down} }`;
}

const people = {
  '1_people.mjs': migration(
    "await knex.schema.createTable('person', (table) => { table.increments(); table.string('name'); });",
    "await knex.schema.dropTable('person');",
  ),
  '2_ages.mjs': migration(
    `await knex('person').insert({ name: 'Ada' });
     await knex.schema.alterTable('person', (table) => { table.integer('age'); });
     await knex.schema.alterTable('person', (table) => { table.string('name', 50).notNullable().alter(); });`,
    "await knex.schema.alterTable('person', (table) => { table.dropColumn('age'); });",
  ),
};

for (const disableTransactions of [false, true]) {
  test(`migrations go up and down (disableTransactions: ${disableTransactions})`, async (t) => {
    const { pool, db, complaints } = await openKnex(t);
    const config = { directory: makeFiles(t, people), loadExtensions, disableTransactions };
    const [batch, done] = (await db.migrate.latest(config)) as [number, string[]];
    t.is(batch, 1);
    t.deepEqual(done, Object.keys(people));
    t.like(await db('person').first(), { name: 'Ada', age: null });
    t.like(await db('knex_migrations_lock').first(), { is_locked: 0 });
    t.deepEqual((await db.migrate.latest(config))[1], []);
    await db.migrate.rollback(config);
    t.false(await db.schema.hasTable('person'));
    await db.migrate.up(config);
    t.is(await db.migrate.currentVersion(config), '1');
    t.deepEqual(complaints, []);
    isIdle(t, pool);
  });
}

test('a migration that fails is undone with its batch, or alone where each has its own transaction', async (t) => {
  const { pool, db } = await openKnex(t);
  const failing = { '3_fails.mjs': migration("await knex('person').insert({ name: 'Eve' }); await knex('nowhere');") };
  const all = { directory: makeFiles(t, { ...people, ...failing }), loadExtensions };
  await t.throwsAsync(db.migrate.latest(all), { message: /no such table: nowhere/ });
  t.false(await db.schema.hasTable('person'));
  const alone = {
    directory: makeFiles(t, { ...people, ...failing, '4_none.mjs': migration('', '', '{ transaction: false }') }),
    loadExtensions,
  };
  await t.throwsAsync(db.migrate.latest(alone), { message: /no such table: nowhere/ });
  t.deepEqual(await db('person').pluck('name'), ['Ada']);
  t.like(await db('knex_migrations_lock').first(), { is_locked: 0 });
  isIdle(t, pool);
});

test('of two who migrate at the same time, one does it and the other is refused or has nothing to do', async (t) => {
  const { pool, db } = await openKnex(t);
  const config = { directory: makeFiles(t, people), loadExtensions };
  const results = await Promise.allSettled([db.migrate.latest(config), db.migrate.latest(config)]);
  t.true(results.some(({ status }) => status === 'fulfilled'));
  t.deepEqual(await db('knex_migrations').pluck('name'), Object.keys(people));
  t.deepEqual(await db('person').pluck('name'), ['Ada']);
  isIdle(t, pool);
});

test('seeds are run', async (t) => {
  const { db } = await openKnex(t);
  const directory = makeFiles(t, {
    '1.mjs': "export async function seed(knex) { await knex('item').del(); await knex('item').insert({ name: 'a' }); }",
    '2.mjs': `export async function seed(knex) {
      await knex.transaction(async (trx) => { await trx('item').insert({ name: 'b' }); });
    }`,
  });
  await db.seed.run({ directory, loadExtensions });
  t.deepEqual(await db('item').pluck('name'), ['a', 'b']);
});

test('a table with children is altered without touching them, and only on a connection of its own', async (t) => {
  const { pool, db, complaints } = await openKnex(t, { max: 2 });
  await db.schema.createTable('child', (table) => {
    table.integer('item').references('item.id').onDelete('CASCADE');
    table.string('note');
  });
  await db('item').insert([{ name: 'a' }, { name: 'b' }]);
  await db('child').insert([{ item: 1 }, { item: 2 }]);
  const outside = AsyncLocalStorage.snapshot();
  const orphan = () => outside(() => startNow(db('child').insert({ item: 99 })));
  const refusals: Promise<unknown>[] = [];
  // Others go on meanwhile, and for them foreign keys are on.
  db.on('query', ({ sql }: { sql: string }) => {
    if (/^(?:PRAGMA foreign_keys = OFF|DROP TABLE|COMMIT)/.test(sql)) {
      refusals.push(t.throwsAsync(orphan(), { code: 'SQLITE_CONSTRAINT_FOREIGNKEY' }));
    }
  });
  await db.schema.alterTable('item', (table) => void table.string('name', 30).notNullable().alter());
  await db.schema.alterTable('child', (table) => void table.dropColumn('note'));
  await db.schema.alterTable('item', (table) => void table.dropUnique(['name'], 'none')).catch(() => {});
  t.true(refusals.length >= 5);
  await Promise.all(refusals);
  db.removeAllListeners('query');
  t.deepEqual(await db('child').pluck('item'), [1, 2]);
  await t.throwsAsync(orphan(), { code: 'SQLITE_CONSTRAINT_FOREIGNKEY' });
  t.deepEqual(await db.raw('PRAGMA foreign_key_check'), []);
  t.deepEqual(complaints, []);
  isIdle(t, pool);
});

test('a table is altered within a connection of the pool, and foreign keys are on again afterwards', async (t) => {
  const { pool, db, complaints } = await openKnex(t, { max: 1 });
  await db('item').insert({ name: 'a' });
  await pool.withConnection(async () => {
    await db.schema.alterTable('item', (table) => void table.string('name', 30).alter());
    await db.schema.alterTable('item', (table) => void table.string('extra'));
    await db.schema.alterTable('item', (table) => void table.dropColumn('extra'));
    t.deepEqual(await db.raw('PRAGMA foreign_keys'), [{ foreign_keys: 1 }]);
    t.is(pool.stats().leased, 1);
  });
  t.deepEqual(await names(pool), ['a']);
  t.deepEqual(complaints, []);
  isIdle(t, pool);
});

test('a table is altered in a transaction, and that is undone with it', async (t) => {
  const { pool, db } = await openKnex(t);
  await db('item').insert({ name: 'a' });
  const altering = db.transaction(async (trx) => {
    await trx.schema.alterTable('item', (table) => void table.string('name', 30).alter());
    await db.schema.alterTable('item', (table) => void table.renameColumn('name', 'title'));
    t.deepEqual(await trx('item').pluck('title'), ['a']);
    throw new Enough();
  });
  await t.throwsAsync(altering, { instanceOf: Enough });
  t.deepEqual(await names(pool), ['a']);
  isIdle(t, pool);
});

test('a transaction may be had without foreign keys, which are checked at its end', async (t) => {
  const { pool, db, complaints } = await openKnex(t);
  await pool.run('CREATE TABLE child (item INTEGER REFERENCES item (id))');
  const off = { enforceForeignCheck: false };
  await db.transaction(async (trx) => {
    await trx('child').insert({ item: 1 });
    await trx('item').insert({ id: 1, name: 'a' });
  }, off);
  const violating = db.transaction(async (trx) => void (await trx('child').insert({ item: 2 })), off);
  await t.throwsAsync(violating, { message: /1 foreign key violations/ });
  t.deepEqual(await db('child').pluck('item'), [1]);
  await t.throwsAsync(async () => db('child').insert({ item: 3 }), { code: 'SQLITE_CONSTRAINT_FOREIGNKEY' });
  t.deepEqual(complaints, []);
  isIdle(t, pool);
});

test('a schema change waits for its turn to write, while others read', async (t) => {
  const { pool, db } = await openKnex(t);
  const trx = await db.transaction();
  const altering = startNow(db.schema.alterTable('item', (table) => void table.string('name', 30).alter()));
  const creating = startNow(db.schema.createTable('other', (table) => void table.increments()));
  while (pool.stats().laneWaiting < 2) await setImmediate();
  await trx('item').insert({ name: 'a' });
  t.deepEqual(await db('item'), []);
  await trx.commit();
  await Promise.all([altering, creating]);
  t.deepEqual(await names(pool), ['a']);
  t.true(await db.schema.hasTable('other'));
  isIdle(t, pool);
});

test('a schema change that can not have its turn is refused by the deadline', async (t) => {
  const { pool, db } = await openKnex(t);
  const trx = await db.transaction();
  const alter = () => startNow(impatient(pool).schema.alterTable('item', (table) => void table.dropColumn('name')));
  await t.throwsAsync(alter(), refusal('WRITE_TIMEOUT'));
  await trx.rollback();
  isIdle(t, pool);
});
