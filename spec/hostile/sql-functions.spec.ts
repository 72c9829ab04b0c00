import test, { type ExecutionContext } from 'ava';
import { rawDatabase, temporaryPool } from '../support/sqlite.ts';

// Not by its first word, nor by what SQLite says of the statement, does such a query show that it writes.
const queries: Readonly<Record<string, string>> = {
  'a pragma that is read as a table': 'SELECT * FROM pragma_optimize(0x10002)',
  'the same behind a name of the schema and in quotes':
    'WITH o AS (SELECT * FROM main."pragma_optimize"(65538)) SELECT * FROM o',
  'a function of full-text search': 'SELECT optimize(docs) FROM docs LIMIT 1',
};

async function open(t: ExecutionContext) {
  const pool = temporaryPool(t, { busyTimeout: 0 });
  await pool.transaction((tx) => {
    tx.exec(
      'CREATE TABLE item (name); CREATE INDEX item_name ON item (name); CREATE VIRTUAL TABLE docs USING fts4(body)',
    );
    for (let number = 0; number < 100; number++) tx.prepare('INSERT INTO item VALUES (?)').run(`name ${number % 7}`);
  });
  for (const body of ['a b', 'a c']) await pool.run('INSERT INTO docs VALUES (?)', [body]);
  const outside = rawDatabase(t, pool.db.name);
  return { pool, version: () => outside.pragma('data_version', { simple: true }) };
}

for (const [what, sql] of Object.entries(queries)) {
  test(`${what} does not write in a read`, async (t) => {
    const { pool, version } = await open(t);
    const before = version();
    const reading = pool.read((db) => db.prepare(sql).all());
    await reading.catch((error: Error & { code?: string }) => t.is(error.code, 'ERR_LEASEHOLD_READ_ONLY'));
    t.is(version(), before);
  });

  test(`${what} is undone with the transaction it is called in`, async (t) => {
    const { pool, version } = await open(t);
    const before = version();
    const undo = new Error('undo');
    const undone = pool.transaction((tx) => {
      tx.prepare(sql).all();
      throw undo;
    });
    t.is(await t.throwsAsync(undone), undo);
    t.is(version(), before);
  });
}
