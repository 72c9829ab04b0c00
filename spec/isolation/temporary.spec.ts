import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { sql as drizzleSql } from 'drizzle-orm';
import { Kysely, sql as kyselySql } from 'kysely';
import type { LeasedDatabase, SqlitePool } from '../../lib/index.ts';
import { drizzle } from '../../lib/orm/drizzle.ts';
import { LeaseholdDialect } from '../../lib/orm/kysely.ts';
import { temporaryDirectory, temporaryFile } from '../support/files.ts';
import { knexOver } from '../support/knex.ts';
import { otherPool } from '../support/processes.ts';
import { loosely, onlyConnection } from '../support/sqlite.ts';
import { compileExtension, entryPoint } from './extension.ts';
import { auditedPool, fingerprint, refuses } from './fingerprint.ts';
import { leavesNothing, statements } from './leavings.ts';
import { judged } from './pragmas.ts';

// The temporary database stays with its connection when everything in it was dropped, and so do its pages.

const secret = 'written to a temporary table';
const fill = `CREATE TEMP TABLE stray (x); INSERT INTO stray VALUES ('${secret}')`;

// Looked at before, so that there is a temporary database on any connection.
const pagesOf = (db: LeasedDatabase) => {
  db.prepare('SELECT * FROM temp.sqlite_schema').all();
  return db.serialize({ attached: 'temp' });
};

const byStatements = (db: LeasedDatabase, script: string) => {
  for (const sql of script.split('; ')) db.prepare(sql).run();
};

const leavings: Readonly<Record<string, (db: LeasedDatabase) => unknown>> = {
  'dropped by a script': (db) => db.exec(`${fill}; DROP TABLE stray`),
  'dropped by statements': (db) => byStatements(db, `${fill}; DROP TABLE stray`),
  'emptied and dropped': (db) => db.exec(`${fill}; DELETE FROM stray; DROP TABLE stray`),
  'dropped by the name of its schema': (db) =>
    db.exec(`CREATE TABLE "temp".stray AS SELECT '${secret}' AS x; DROP TABLE temp.stray`),
  'prepared while an iterator was open, and dropped': (db) => {
    const rows = db.prepare("SELECT 1 AS x UNION SELECT '2'").iterate();
    rows.next();
    const create = db.prepare(`CREATE TEMP TABLE stray AS SELECT '${secret}' AS x`);
    rows.return?.();
    create.run();
    db.exec('DROP TABLE stray');
  },
};

for (const [what, leave] of Object.entries(leavings)) {
  test(`rows of a temporary table that was ${what} can not be read from the pages that it had`, async (t) => {
    const { pool, dirt } = auditedPool(t);
    const connection = await pool.withConnection((db) => {
      leave(db);
      return onlyConnection(pool);
    });
    await pool.withConnection((db) => {
      t.is(onlyConnection(pool), connection, 'It is kept');
      t.false(pagesOf(db).includes(secret));
    });
    t.deepEqual(dirt, []);
  });
}

test('nor can they from a backup of the temporary database', async (t) => {
  const { pool } = auditedPool(t);
  const copy = join(temporaryDirectory(t), 'copy.db');
  await pool.withConnection((db) => db.exec(`${fill}; DROP TABLE stray`));
  await pool.withConnection((db) => {
    db.prepare('SELECT * FROM temp.sqlite_schema').all();
    return loosely(db, 'backup', [copy, { attached: 'temp' }]);
  });
  t.false(readFileSync(copy).includes(secret));
});

test('rows deleted from a temporary table that onOpen has made can not be read from its pages', async (t) => {
  const { pool } = auditedPool(t, { onOpen: (db) => db.exec('CREATE TEMP TABLE kept (x)') });
  const connection = await pool.withConnection((db) => {
    db.prepare('INSERT INTO kept VALUES (?)').run(secret);
    t.true(pagesOf(db).includes(secret));
    db.prepare('DELETE FROM kept').run();
    return onlyConnection(pool);
  });
  await pool.withConnection((db) => {
    t.is(onlyConnection(pool), connection);
    t.false(pagesOf(db).includes(secret));
  });
});

test('rows of a temporary table that was rolled back can not be read from the pages that it had', async (t) => {
  for (const end of [
    '; ROLLBACK',
    '',
    '; INSERT INTO stray VALUES (hex(zeroblob(9000))); ROLLBACK TO probe; RELEASE probe',
  ]) {
    const { pool } = auditedPool(t);
    await pool.withConnection((db) => db.exec(`${end.includes('probe') ? 'SAVEPOINT probe' : 'BEGIN'}; ${fill}${end}`));
    const pages = await pool.withConnection(pagesOf);
    t.false(pages.includes(secret), end);
  }
});

// What is registered with a connection by other ways than the methods that are there for it.

const knowsStray = (db: LeasedDatabase) =>
  !refuses(() => db.exec('CREATE VIRTUAL TABLE temp.stray USING fts3tokenize (stray)'));

for (const name of ['fts3_tokenizer', '"FTS3_Tokenizer"', '[fts3_tokenizer] /* ( */ ']) {
  for (const before of ['SELECT', 'WITH stray AS (SELECT 1) SELECT', '/* of the first */ SELECT']) {
    test(`a tokenizer set by a query, ${before} ${name}, does not reach the next holder`, async (t) => {
      const { pool, dirt } = auditedPool(t);
      t.false(await pool.withConnection(knowsStray));
      await pool.withConnection((db) => {
        const pointer = db.prepare(`${before} ${name}(?)`).pluck().get('simple');
        db.prepare(`${before} ${name}(?, ?)`).get('stray', pointer);
        t.true(knowsStray(db));
        db.exec('DROP TABLE stray');
      });
      t.false(await pool.withConnection(knowsStray));
      t.deepEqual(dirt[0]?.traces, ['tokenizer']);
    });
  }
}

// SQLite has unloaded it by then, so that to call the function ends the process. It is enough to see that it is there.
test('what an extension has registered before it failed does not reach the next holder', async (t) => {
  const extension = compileExtension(t, 'SQLITE_ERROR');
  if (extension === undefined) {
    t.pass();
    return;
  }
  const { pool, dirt } = auditedPool(t);
  const before = await pool.withConnection(fingerprint);
  await pool.withConnection((db) => {
    t.true(refuses(() => loosely(db, 'loadExtension', [extension, entryPoint])));
    t.notDeepEqual(fingerprint(db), before, 'It was there');
  });
  t.deepEqual(await pool.withConnection(fingerprint), before);
  t.deepEqual(dirt[0]?.traces, ['extension']);
});

// What a pragma sets for the whole process, no new connection undoes: a documented limit. In a process of its own,
// because it would stay set in this one.

const commands = `
  set: (name, value) => pool.withConnection((db) => void db.pragma(name + ' = ' + value), { label: 'setter' }),
  read: (name) => pool.withConnection((db) => db.pragma(name, { simple: true }) ?? null),
  readByLane: (name) => pool.transaction((db) => db.pragma(name, { simple: true }) ?? null),
  size: () => pool.withConnection((db) => db.prepare('SELECT hex(zeroblob(100000)) AS a').pluck().get().length),
  opened: () => pool.stats().counters.opened`;

for (const [name, { value }] of judged('process')) {
  test(`documented limit: ${name} is of the process, so every later holder sees what one has set`, async (t) => {
    const other = await otherPool(t, temporaryFile(t), { max: 1 }, commands);
    const given = name === 'temp_store_directory' ? `'${temporaryDirectory(t)}'` : value;
    const before = await other.call<unknown>('read', name);
    await other.call('set', name, given);
    t.is(await other.call<unknown>('opened'), 1, 'The connection has gone');
    const after = await other.call<unknown>('read', name);
    t.is(await other.call<unknown>('opened'), 2);
    t.not(after, before);
    t.is(after, typeof given === 'string' ? given.slice(1, -1) : given);
    t.is(await other.call<unknown>('readByLane', name), after, "Also on the lane's own connection");
  });
}

test('documented limit: a hard heap limit can not be taken back, and this build enforces none', async (t) => {
  const other = await otherPool(t, temporaryFile(t), { max: 1 }, commands);
  await other.call('set', 'hard_heap_limit', 1000);
  await other.call('set', 'hard_heap_limit', 0);
  await other.call('set', 'hard_heap_limit', 2_000_000_000);
  t.is(await other.call<unknown>('read', 'hard_heap_limit'), 1000);
  t.is(await other.call<unknown>('size'), 200_000);
});

const kyselyOn = (pool: SqlitePool) => new Kysely<object>({ dialect: new LeaseholdDialect({ pool }) });

/** The same through libraries, each of which has a way to pass on SQL as it is. */
const libraries: Readonly<Record<string, (pool: SqlitePool, sql: string) => unknown>> = {
  Kysely: (pool, sql) => kyselySql.raw(sql).execute(kyselyOn(pool)),
  'a transaction of Kysely': (pool, sql) =>
    kyselyOn(pool)
      .transaction()
      .execute((tx) => kyselySql.raw(sql).execute(tx)),
  'a connection of Kysely': (pool, sql) =>
    kyselyOn(pool)
      .connection()
      .execute((db) => kyselySql.raw(sql).execute(db)),
  Knex: (pool, sql) => knexOver(pool).db.raw(sql),
  'a transaction of Knex': (pool, sql) => knexOver(pool).db.transaction(async (tx) => void (await tx.raw(sql))),
  Drizzle: (pool, sql) => drizzle(pool).run(drizzleSql.raw(sql)),
  'a transaction of Drizzle': (pool, sql) => drizzle(pool).transaction((tx) => tx.run(drizzleSql.raw(sql))),
};

for (const [name, way] of Object.entries(libraries)) {
  test(`what is left through ${name} does not reach the next holder`, async (t) => {
    for (const [sql, trace] of Object.entries(statements)) await leavesNothing(t, (pool) => way(pool, sql), [trace]);
  });
}
