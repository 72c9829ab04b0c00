import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { LeasedDatabase } from '../../lib/index.ts';
import { temporaryDirectory } from '../support/files.ts';
import { loosely, onlyConnection } from '../support/sqlite.ts';
import { auditedPool } from './fingerprint.ts';

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
