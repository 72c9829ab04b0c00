import test from 'ava';
import Database from 'better-sqlite3';
import { createPool } from '../../../lib/index.ts';
import { temporaryFile } from '../../support/files.ts';
import { build, diagnose, manyRows, runDoctor } from './support.ts';

test.serial('a foreign key without an index is a warning, with the index to make', async (t) => {
  const file = temporaryFile(t);
  build(
    file,
    `${manyRows}
     CREATE TABLE a (id INTEGER PRIMARY KEY, item REFERENCES item);
     CREATE TABLE b (item REFERENCES item, at INTEGER); CREATE INDEX b_item ON b (item, at);
     CREATE TABLE c (item INTEGER PRIMARY KEY REFERENCES item);
     CREATE TABLE d (at INTEGER, item REFERENCES item); CREATE INDEX d_at ON d (at, item);
     CREATE TABLE e (item REFERENCES item); CREATE INDEX e_item ON e (item) WHERE item > 10;
     CREATE TABLE few (item REFERENCES item);
     INSERT INTO a (item) SELECT id FROM item; INSERT INTO b (item) SELECT id FROM item; INSERT INTO c SELECT id FROM item;
     INSERT INTO d (item) SELECT id FROM item; INSERT INTO e SELECT id FROM item; INSERT INTO few VALUES (1)`,
  );
  for (const args of [[], ['--quick']]) {
    const { one, code } = await diagnose(file, args);
    t.is(code, 1);
    t.is(
      one('schema.key-indexes').found,
      'Without one: "a" ("item") → "item", "d" ("item") → "item" and "e" ("item") → "item".',
    );
    t.is(one('schema.key-indexes').advice?.[0], 'CREATE INDEX "a_item" ON "a" ("item");');
  }
  const db = new Database(file);
  for (const sql of (await diagnose(file)).one('schema.key-indexes').advice ?? []) db.exec(sql);
  db.close();
  t.is((await diagnose(file)).one('schema.key-indexes').state, 'ok');
});

test.serial('statistics that are missing, or of another size than the table, are a note', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows);
  const missing = (await diagnose(file)).one('schema.statistics');
  t.regex(missing.found, /^There are none/);
  const pool = createPool(file, {});
  t.teardown(() => pool.close());
  await t.notThrowsAsync(pool.run(/pool\.run\('([^']+)'\)/.exec(missing.advice?.[0] ?? '')?.[1] ?? ''));
  await pool.close();
  build(file, 'ANALYZE');
  t.is((await diagnose(file)).one('schema.statistics').state, 'ok');
  build(
    file,
    "WITH RECURSIVE n (i) AS (SELECT 10000 UNION ALL SELECT i + 1 FROM n WHERE i < 70000) INSERT INTO item SELECT i, 'x' || i, 1 FROM n",
  );
  t.is((await diagnose(file)).one('schema.statistics').found, 'Out of date: "item" (5,000 then, 65,001 now).');
  build(file, 'PRAGMA optimize = 0x10002');
  t.is((await diagnose(file)).one('schema.statistics').state, 'ok');
});

const hostile = [
  'quote"s',
  "apostrophe's",
  '\u001b[41mred',
  'line\nbreak',
  'bell\u0007',
  '100',
  '-1',
  '\u202eturned',
  '',
  'ok',
];

test.serial('tables of any name are examined, and their names are harmless on a terminal', async (t) => {
  const file = temporaryFile(t);
  const names = hostile.map((name) => `"${name.replaceAll('"', '""')}"`);
  build(
    file,
    `PRAGMA foreign_keys = OFF; CREATE TABLE parent (id INTEGER PRIMARY KEY);
     ${names.map((name) => `CREATE TABLE ${name} (id INTEGER PRIMARY KEY, parent REFERENCES parent); INSERT INTO ${name} VALUES (1, 7);`).join('\n')}`,
  );
  const { code, of } = await diagnose(file);
  t.is(code, 3);
  const found = of('content.keys').map((finding) => finding.found);
  t.is(found.length, names.length);
  for (const name of names)
    t.true(
      found.some((text) => text.startsWith(`1 row of ${name} ("parent")`)),
      JSON.stringify(name),
    );
  t.is(of('content.integrity').length, 1);
  const [plain, json, colours] = await Promise.all([
    runDoctor([file]),
    runDoctor([file, '--json']),
    runDoctor([file], { env: { FORCE_COLOR: '1' } }),
  ]);
  const dangerous = ['\u001b[41m', 'line\nbreak', '\u0007', '\u202e'];
  for (const { stdout } of [plain, json, colours])
    t.deepEqual(
      dangerous.filter((text) => stdout.includes(text)),
      [],
    );
  t.false(plain.stdout.includes('\u001b'));
  t.true(colours.stdout.includes('\u001b['));
});

test.serial('damage is told of under the name of its table, were that a number', async (t) => {
  const file = temporaryFile(t);
  build(file, `CREATE TABLE "5" (a CHECK (a < 10)); PRAGMA ignore_check_constraints = ON; INSERT INTO "5" VALUES (11)`);
  const { code, of } = await diagnose(file);
  t.is(code, 3);
  t.true(
    of('content.integrity').some(({ found }) => found === '"5": CHECK constraint failed in 5'),
    JSON.stringify(of('content.integrity')),
  );
  t.regex(of('content.integrity').at(-1)?.advice?.[0] ?? '', /^Find the rows/);
});

test.serial('a thousand tables are examined', async (t) => {
  const file = temporaryFile(t);
  const tables = Array.from(
    { length: 1000 },
    (_, n) => `CREATE TABLE t${n} (a, b); CREATE INDEX i${n} ON t${n} (a); INSERT INTO t${n} VALUES (1, 2);`,
  );
  build(file, `BEGIN; ${tables.join('\n')} COMMIT`);
  const { code, one } = await diagnose(file);
  t.is(code, 0);
  t.regex(one('schema.tables').found, /^1,000 tables and 1,000 indexes/);
  t.regex(one('content.integrity').found, /^nothing wrong in 1,001 tables/);
});

test.serial(
  'tables that need a function or a collation of the application are said to be left out, and the others are examined',
  async (t) => {
    const file = temporaryFile(t);
    const db = new Database(file);
    db.pragma('journal_mode = WAL');
    db.function('own', { deterministic: true }, (value) => value);
    db.exec(`${manyRows}
    CREATE TABLE by_expression (a); CREATE INDEX by_expression_own ON by_expression (own(a)); INSERT INTO by_expression VALUES (1);
    CREATE TABLE by_check (a CHECK (own(a) > 0)); INSERT INTO by_check VALUES (1);
    CREATE TABLE by_column (a, b AS (own(a)) STORED); INSERT INTO by_column VALUES (1);
    CREATE TABLE by_collation (a TEXT); CREATE INDEX by_collation_a ON by_collation (a); INSERT INTO by_collation VALUES ('x')`);
    // The driver can not make one; as another program would have.
    db.unsafeMode(true);
    db.pragma('writable_schema = ON');
    db.exec("UPDATE sqlite_schema SET sql = replace(sql, '(a)', '(a COLLATE own)') WHERE name = 'by_collation_a'");
    db.close();
    const { code, of } = await diagnose(file);
    t.is(code, 0, JSON.stringify(of('content.integrity')));
    const [whole, ...rest] = of('content.integrity');
    t.is(whole?.state, 'ok');
    t.true(
      rest.every(({ state, why }) => state === 'note' && /onOpen/.test(why ?? '')),
      JSON.stringify(rest),
    );
    const told = rest.map(({ found }) => found).join('\n');
    t.regex(told, /Not looked at: .*"by_expression" \(unknown function: own\(\)\)/);
    t.regex(told, /"by_collation" \(no such collation sequence: own\)/);
    t.regex(told, /Looked at without CHECK constraints: .*"by_check"/);
  },
);

test.serial('virtual tables and generated columns are examined', async (t) => {
  const file = temporaryFile(t);
  build(
    file,
    `${manyRows}
     CREATE VIRTUAL TABLE word USING fts5 (text); INSERT INTO word SELECT name FROM item;
     CREATE VIRTUAL TABLE area USING rtree (id, x0, x1); INSERT INTO area VALUES (1, 2, 3);
     CREATE TABLE made (a, b AS (a + 1) VIRTUAL, c AS (a * 2) STORED); CREATE INDEX made_b ON made (b); INSERT INTO made VALUES (1)`,
  );
  const { code, one } = await diagnose(file);
  t.is(code, 0);
  t.regex(one('schema.tables').found, /2 virtual tables/);
  t.is(one('content.integrity').state, 'ok');
  const db = new Database(file);
  db.unsafeMode(true);
  db.exec("UPDATE word_data SET block = x'00' WHERE id > 10");
  db.close();
  const damaged = await diagnose(file);
  t.is(damaged.code, 3);
  t.true(damaged.of('content.integrity').some(({ found }) => found.startsWith('"word": ')));
});

test.serial('a virtual table of a module that is not there is said to be left out', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows);
  const db = new Database(file);
  db.unsafeMode(true);
  db.pragma('writable_schema = ON');
  db.exec("INSERT INTO sqlite_schema VALUES ('table', 'far', 'far', 0, 'CREATE VIRTUAL TABLE far USING beyond (a)')");
  db.close();
  const { code, of } = await diagnose(file);
  t.is(code, 0, JSON.stringify(of('content.integrity')));
  t.regex(of('content.integrity').at(-1)?.found ?? '', /"far" \(no such module: beyond\)/);
});
