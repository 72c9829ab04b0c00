import { type ChannelListener, subscribe, unsubscribe } from 'node:diagnostics_channel';
import { existsSync, promises as fs, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import path, { dirname, extname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Kysely, sql } from 'kysely';
import { FileMigrationProvider, type MigrationResultSet, Migrator } from 'kysely/migration';
import { createPool } from '../../lib/index.ts';
import { LeaseholdDialect } from '../../lib/orm/kysely.ts';
import { temporaryDirectory } from '../support/files.ts';
import { refusal } from '../support/items.ts';
import { isIdle } from '../support/kysely.ts';
import { type OtherProcess, startProcess } from '../support/processes.ts';
import { libraryUrl, temporaryPool } from '../support/sqlite.ts';

// Each fails where it is run twice.
const people = `
  export const up = (db) => db.schema.createTable('person').addColumn('id', 'integer', (c) => c.primaryKey()).execute();
  export const down = (db) => db.schema.dropTable('person').execute();`;
const pets = `
  export async function up(db) {
    await db.schema.createTable('pet').addColumn('owner', 'integer', (c) => c.references('person.id').onDelete('cascade')).execute();
    await new Promise((resolve) => setImmediate(resolve));
    await db.insertInto('person').values({ id: 1 }).execute();
    await db.insertInto('pet').values({ owner: 1 }).execute();
  }
  export const down = (db) => db.schema.dropTable('pet').execute();`;
// The way to change a table in SQLite: \`drop table\` deletes what refers to its rows, unless foreign keys are off.
const renewed = (kysely: string) => `
  import { sql } from '${kysely}';
  export async function up(db) {
    await sql\`pragma foreign_keys = off\`.execute(db);
    await db.transaction().execute(async (trx) => {
      await trx.schema.createTable('new').addColumn('id', 'integer', (c) => c.primaryKey()).addColumn('name', 'text').execute();
      await sql\`insert into new (id) select id from person\`.execute(trx);
      await trx.schema.dropTable('person').execute();
      await trx.schema.alterTable('new').renameTo('person').execute();
    });
    await sql\`pragma foreign_keys = on\`.execute(db);
  }`;

/** A folder with these migrations, in which the database is as well. */
function prepare(t: ExecutionContext, ...migrations: string[]): { file: string; folder: string } {
  const directory = temporaryDirectory(t);
  const folder = join(directory, 'migrations');
  mkdirSync(folder);
  for (const [index, text] of migrations.entries()) writeFileSync(join(folder, `${index + 1}.mjs`), text);
  return { file: join(directory, 'app.db'), folder };
}

interface Place {
  readonly file: string;
  readonly folder: string;
  readonly migrationTimeout?: number;
  /** Of the pool. */
  readonly name?: string;
}

/** An instance of its own, on a pool of its own. */
function open(t: ExecutionContext, { file, folder, migrationTimeout, name }: Place) {
  const pool = temporaryPool(t, { name }, file);
  const db = new Kysely<unknown>({ dialect: new LeaseholdDialect({ pool, migrationTimeout }) });
  const provider = new FileMigrationProvider({ fs, path, migrationFolder: folder });
  return { pool, db, migrator: new Migrator({ db, provider }) };
}

const adapterUrl = new URL(`../../lib/orm/kysely${extname(import.meta.url)}`, import.meta.url).href;

/** The same in another process. */
function openElsewhere(t: ExecutionContext, { file, folder }: Place): Promise<OtherProcess> {
  const program = `
    import { promises as fs } from 'node:fs';
    import path from 'node:path';
    import { Kysely } from ${JSON.stringify(import.meta.resolve('kysely'))};
    import { FileMigrationProvider, Migrator } from ${JSON.stringify(import.meta.resolve('kysely/migration'))};
    import { createPool } from ${JSON.stringify(libraryUrl)};
    import { LeaseholdDialect } from ${JSON.stringify(adapterUrl)};
    const [file, migrationFolder] = process.argv.slice(1);
    const db = new Kysely({ dialect: new LeaseholdDialect({ pool: createPool(file) }) });
    const migrator = new Migrator({ db, provider: new FileMigrationProvider({ fs, path, migrationFolder }) });
    const commands = {
      async migrate() {
        const { error, results } = await migrator.migrateToLatest();
        if (error !== undefined) throw error;
        return results.map(({ migrationName, status }) => migrationName + ' ' + status);
      },
    };`;
  return startProcess(t, program, file, folder);
}

function doneBy({ error, results }: MigrationResultSet): string[] {
  if (error !== undefined) throw new Error('The migration failed', { cause: error });
  return (results ?? []).map(({ migrationName, status }) => `${migrationName} ${status}`);
}

const all = ['1 Success', '2 Success'];
const shortestFirst = (done: string[][]) => done.toSorted((one, two) => one.length - two.length);

test('migrations go up and down, and are known afterwards', async (t) => {
  const { pool, db, migrator } = open(t, prepare(t, people, pets));
  t.deepEqual(doneBy(await migrator.migrateUp()), ['1 Success']);
  t.deepEqual(doneBy(await migrator.migrateToLatest()), ['2 Success']);
  t.deepEqual(doneBy(await migrator.migrateToLatest()), []);
  t.deepEqual(
    (await db.introspection.getTables()).map(({ name }) => name),
    ['person', 'pet'],
  );
  t.deepEqual(doneBy(await migrator.migrateDown()), ['2 Success']);
  isIdle(t, pool);
});

test('a migration that fails is told, and the next one can begin', async (t) => {
  const place = prepare(t, people, "export const up = () => { throw new Error('not yet'); }");
  const { pool, migrator } = open(t, place);
  const { error, results } = await migrator.migrateToLatest();
  t.is((error as Error).message, 'not yet');
  t.deepEqual(
    results?.map(({ status }) => status),
    ['Success', 'Error'],
  );
  isIdle(t, pool);
  writeFileSync(join(place.folder, '2.mjs'), pets);
  // In a process that has not imported the one that failed.
  const other = await openElsewhere(t, place);
  t.deepEqual(await other.call('migrate'), ['2 Success']);
});

test('a migration can turn foreign keys off, to make a table anew that others refer to', async (t) => {
  const { pool, db, migrator } = open(t, prepare(t, people, pets, renewed(import.meta.resolve('kysely'))));
  t.deepEqual(doneBy(await migrator.migrateToLatest()), [...all, '3 Success']);
  t.deepEqual((await sql`select owner from pet`.execute(db)).rows, [{ owner: 1 }]);
  t.deepEqual((await sql`pragma foreign_keys`.execute(db)).rows, [{ foreign_keys: 1 }]);
  isIdle(t, pool);
});

test('of instances that migrate at once one does it, and the others find it done', async (t) => {
  const place = prepare(t, people, pets);
  const instances = [open(t, place), open(t, place), open(t, place)];
  const done = await Promise.all(instances.map(async ({ migrator }) => doneBy(await migrator.migrateToLatest())));
  t.deepEqual(shortestFirst(done), [[], [], all]);
  const [{ migrator }] = instances as [ReturnType<typeof open>];
  t.deepEqual((await Promise.all([migrator.migrateDown(), migrator.migrateDown()])).map(doneBy), [
    ['2 Success'],
    ['1 Success'],
  ]);
  for (const { pool } of instances) isIdle(t, pool);
});

test('of processes that migrate at once one does it, and the others find it done', async (t) => {
  const place = prepare(t, people, pets);
  const processes = await Promise.all([openElsewhere(t, place), openElsewhere(t, place), openElsewhere(t, place)]);
  const done = await Promise.all(processes.map((each) => each.call<string[]>('migrate')));
  t.deepEqual(shortestFirst(done), [[], [], all]);
  t.is(statSync(`${place.file}-migration-lock`).size, 0);
  t.false(existsSync(`${place.file}-migration-lock-journal`));
});

test('who waits for a migration is refused by its deadline, and goes on when the process in front is gone', async (t) => {
  const place = prepare(t, people, pets);
  const hanging = prepare(t, 'process.send({ told: "in" }); await new Promise((resolve) => setTimeout(resolve, 1e6));');
  const other = await openElsewhere(t, { file: place.file, folder: hanging.folder });
  void other.call('migrate').catch(() => {});
  await other.hasTold(1);
  const refused = open(t, { ...place, migrationTimeout: 50 });
  t.like((await refused.migrator.migrateToLatest()).error, { ...refusal('WRITE_TIMEOUT'), timeout: 50 });
  isIdle(t, refused.pool);
  // Only migrations wait for it.
  await sql`create table beside (x)`.execute(refused.db);
  const waiting = open(t, place).migrator.migrateToLatest();
  await other.kill();
  t.deepEqual(doneBy(await waiting), all);
});

test('one migration of a file runs at a time, by whatever name the file is reached', async (t) => {
  const { file, folder } = prepare(t, people, pets);
  const directory = temporaryDirectory(t);
  // To a file that is not there yet, too.
  symlinkSync(file, join(directory, 'file.db'));
  symlinkSync(dirname(file), join(directory, 'folder'));
  const names = [file, join(directory, 'file.db'), join(directory, 'folder', 'app.db')];
  const instances = names.map((name) => open(t, { file: name, folder }));
  const done = await Promise.all(instances.map(async ({ migrator }) => doneBy(await migrator.migrateToLatest())));
  t.deepEqual(shortestFirst(done), [[], [], all]);
  t.true(existsSync(`${file}-migration-lock`));
  t.false(existsSync(join(directory, 'file.db-migration-lock')));
});

test('who is refused the lock leaves nothing open on its file', async (t) => {
  const { file, folder } = prepare(t, people);
  const place = { file: join(dirname(file), 'refused.db'), folder, migrationTimeout: 50, name: 'migrated' };
  const holder = createPool(`${place.file}-migration-lock`, { name: 'holder' });
  t.teardown(() => holder.close());
  const held = await holder.openTransaction().begun;
  const opened = { now: 0, ever: 0 };
  const count = (by: number): ChannelListener => {
    return (message) => {
      // Named for its file, as nothing else is here.
      if ((message as { pool: string }).pool !== 'refused') return;
      opened.now += by;
      opened.ever += Math.max(by, 0);
    };
  };
  for (const [name, by] of [
    ['leasehold:connection:open', 1],
    ['leasehold:connection:close', -1],
  ] as const) {
    const listener = count(by);
    subscribe(name, listener);
    t.teardown(() => void unsubscribe(name, listener));
  }
  const { pool, migrator } = open(t, place);
  t.like((await migrator.migrateToLatest()).error, refusal('WRITE_TIMEOUT'));
  t.deepEqual(opened, { now: 0, ever: 1 });
  isIdle(t, pool);
  await held.rollback();
  t.deepEqual(doneBy(await migrator.migrateToLatest()), ['1 Success']);
  t.is(opened.now, 0);
});

test('a private database is migrated without a lock, there being nobody else', async (t) => {
  const { folder } = prepare(t, people, pets);
  const { migrator, pool } = open(t, { file: ':memory:', folder });
  t.deepEqual(doneBy(await migrator.migrateToLatest()), all);
  isIdle(t, pool);
  t.false(existsSync(':memory:-migration-lock'));
});

test('a migration with a pool that is read-only says so', async (t) => {
  const place = prepare(t, people);
  await open(t, place).db.schema.createTable('other').addColumn('x', 'text').execute();
  const pool = createPool(place.file, { readonly: true });
  t.teardown(() => pool.close());
  const db = new Kysely({ dialect: new LeaseholdDialect({ pool }) });
  const provider = new FileMigrationProvider({ fs, path, migrationFolder: place.folder });
  t.like((await new Migrator({ db, provider }).migrateToLatest()).error, { code: 'SQLITE_READONLY' });
  t.false(existsSync(`${place.file}-migration-lock`));
});
