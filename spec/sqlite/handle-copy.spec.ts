import { existsSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import Database from 'better-sqlite3';
import { temporaryDirectory } from '../support/files.ts';
import { gate } from '../support/gate.ts';
import { compare, errorsOf, loosely, rawDatabase, temporaryPool, wrong } from '../support/sqlite.ts';

function fail(): never {
  throw new Error('no progress');
}

/** Enough rows that a copy of them takes more than one step. */
const manyRows = `
  CREATE TABLE big (filler);
  INSERT INTO big WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 300)
    SELECT zeroblob(4000) FROM n;`;

test('backup copies the database, and reports progress', async (t) => {
  const outcomes = await compare(t, async ({ db, directory, step, settle }) => {
    db.exec(manyRows);
    await settle(() => db.backup(`${directory}/plain.db`));
    const progress: unknown[] = [];
    await settle(() =>
      db.backup(`${directory}/stepwise.db`, {
        progress: (info) => {
          progress.push(info);
          return progress.length === 1 ? 0 : 130;
        },
      }),
    );
    step(() => progress);
    await settle(() => db.backup(`${directory}/default.db`, { progress: () => wrong(undefined) }));
    for (const name of ['plain', 'stepwise', 'default']) {
      const copy = new Database(`${directory}/${name}.db`, { readonly: true });
      step(() => copy.prepare('SELECT count(*) FROM big').pluck().get());
      step(() => copy.prepare('SELECT name FROM item').pluck().all());
      copy.close();
    }
  });
  t.is(errorsOf(outcomes), 0);
  t.deepEqual(outcomes.at(-2), { returned: 300 });
});

test('backup copies an attached database', async (t) => {
  const outcomes = await compare(t, async ({ db, directory, step, settle }) => {
    db.exec(`ATTACH '${directory}/second.db' AS second; CREATE TABLE second.a (x); INSERT INTO second.a VALUES (7)`);
    await settle(() => db.backup(`${directory}/copy.db`, wrong({ attached: 'second' })));
    await settle(() => db.backup(`${directory}/none.db`, wrong({ attached: 'third' })));
    const copy = new Database(`${directory}/copy.db`, { readonly: true });
    step(() => copy.prepare('SELECT x FROM a').pluck().all());
    copy.close();
    step(() => db.serialize({ attached: 'second' }).length > 0);
  });
  t.deepEqual(outcomes.slice(-2), [{ returned: [7] }, { returned: true }]);
});

test('backup checks its arguments by rejection', async (t) => {
  const outcomes = await compare(t, async ({ db, directory, settle }) => {
    const attempts: unknown[][] = [
      [],
      [1],
      [''],
      ['  '],
      [':memory:'],
      [`${directory}/missing/copy.db`],
      [`${directory}/copy.db`, 'options'],
      [`${directory}/copy.db`, { attached: '' }],
      [`${directory}/copy.db`, { attached: 1 }],
      [`${directory}/copy.db`, { progress: 1 }],
      [directory],
    ];
    for (const attempt of attempts) {
      await settle(() => loosely(db, 'backup', attempt));
    }
  });
  t.is(errorsOf(outcomes), 11);
});

test('a failing progress callback fails the backup, and leaves no file', async (t) => {
  const outcomes = await compare(t, async ({ db, directory, step, settle }) => {
    db.exec(manyRows);
    await settle(() => db.backup(`${directory}/copy.db`, { progress: fail }));
    await settle(() => db.backup(`${directory}/copy.db`, { progress: () => wrong('fast') }));
    step(() => existsSync(`${directory}/copy.db`));
    step(() => db.exec('DELETE FROM big'));
  });
  t.is(errorsOf(outcomes), 2);
});

test('the connection can be used while a backup is under way, and stays in the pool after it', async (t) => {
  const pool = temporaryPool(t, { max: 1 });
  const target = join(temporaryDirectory(t), 'copy.db');
  const first = await pool.withConnection(async (db) => {
    db.exec(manyRows);
    const half = gate();
    const backup = db.backup(target, {
      progress: () => {
        half.open();
        return 10;
      },
    });
    await half.passed;
    t.is(db.prepare('SELECT count(*) FROM big').pluck().get(), 300);
    await backup;
    return pool.leases()[0]?.connection;
  });
  await pool.withConnection(() => t.is(pool.leases()[0]?.connection, first));
  t.is(pool.stats().counters.dirty, 0);
  const copy = rawDatabase(t, target, { readonly: true });
  t.is(copy.prepare('SELECT count(*) FROM big').pluck().get(), 300);
});

test('serialize returns the same bytes as better-sqlite3, and checks its options', async (t) => {
  const outcomes = await compare(t, ({ db, step }) => {
    const bytes = step(() => db.serialize());
    // Marked as not in WAL mode, which a database in memory cannot be in.
    const copy = new Database(Buffer.from(bytes).fill(1, 18, 20));
    step(() => copy.prepare('SELECT name FROM item').pluck().all());
    copy.close();
    step(() => db.serialize({ attached: 'main' }).equals(bytes));
    step(() => db.serialize({ attached: 'none' }));
    for (const options of ['main', 1, { attached: '' }, { attached: 1 }, null]) {
      step(() => Buffer.isBuffer(db.serialize(wrong(options))));
    }
  });
  t.deepEqual(outcomes[1], { returned: ['bolt', 'nut', 'washer'] });
  t.is(errorsOf(outcomes), 5);
});
