import { closeSync, copyFileSync, openSync, readFileSync, writeSync } from 'node:fs';
import test from 'ava';
import Database from 'better-sqlite3';
import { temporaryFile } from '../../support/files.ts';
import { build, diagnose, manyRows, runDoctor, traceOf } from './support.ts';

/** Writes over a part of a page, as a disk or another program does. */
function overwrite(file: string, page: number, offset: number, bytes: Buffer): void {
  const descriptor = openSync(file, 'r+');
  writeSync(descriptor, bytes, 0, bytes.length, (page - 1) * 4096 + offset);
  closeSync(descriptor);
}

/** Pages of a tree, those of its leaves. */
function leavesOf(file: string, tree: string): number[] {
  const db = new Database(file, { readonly: true });
  const pages = db
    .prepare("SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf' ORDER BY pageno")
    .pluck()
    .all(tree) as number[];
  db.close();
  return pages;
}

const flat = (text: string) => text.replaceAll(/\s+/g, ' ');

const garbage = Buffer.alloc(2000, 0xa5);

for (const wal of [true, false]) {
  const mode = wal ? 'in WAL mode' : 'with a rollback journal';

  test.serial(`garbage in the middle of a page of a table is a problem, and names the table, ${mode}`, async (t) => {
    const file = temporaryFile(t);
    build(file, `${manyRows} CREATE TABLE whole (a); INSERT INTO whole VALUES (1)`, { wal: false });
    const [page = 0] = leavesOf(file, 'item').slice(5);
    if (wal) build(file, '');
    overwrite(file, page, 8, garbage);
    const before = traceOf(file);
    const { code, of, one } = await diagnose(file);
    t.is(code, 3);
    const found = of('content.integrity').filter(({ state }) => state === 'problem');
    t.true(found.length > 0);
    t.true(
      found.some(({ found: text }) => text.startsWith('"item": ')),
      JSON.stringify(found, undefined, 1),
    );
    t.false(found.some(({ found: text }) => text.startsWith('"whole": ')));
    t.true((found.at(-1)?.advice ?? []).some((step) => step.includes('.recover')));
    t.is(one('content.keys').state, 'ok');
    t.deepEqual(traceOf(file), before);
  });
}

test.serial('an index that lacks a row is a problem that REINDEX mends', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows, { wal: false });
  // The page of the index as it was before the row: both are whole, and do not agree.
  const copy = temporaryFile(t);
  copyFileSync(file, copy);
  const db = new Database(file);
  db.exec("UPDATE item SET name = 'item 70000' WHERE id = 7");
  db.close();
  const former = readFileSync(copy);
  for (const page of leavesOf(copy, 'item_name'))
    overwrite(file, page, 0, former.subarray((page - 1) * 4096, page * 4096));
  const { code, of } = await diagnose(file);
  t.is(code, 3);
  const found = of('content.integrity');
  t.true(
    found.some(({ found: text }) => text.includes('missing from index item_name')),
    JSON.stringify(found),
  );
  t.deepEqual(found.at(-1)?.advice, ['`REINDEX;`, then look again.']);
  const mended = new Database(file);
  mended.exec('REINDEX');
  mended.close();
  t.is((await diagnose(file)).of('content.integrity')[0]?.state, 'ok');
  // Which is what the quick one leaves out.
  const ofQuick = await diagnose(file, ['--integrity', 'quick']);
  t.regex(ofQuick.one('content.integrity').found, /without comparing indexes/);
});

test.serial(
  'keys that are twice in a UNIQUE index are told apart from an index that is wrong, which alone REINDEX mends',
  async (t) => {
    const file = temporaryFile(t);
    build(file, 'CREATE TABLE u (a, b); CREATE INDEX u_a ON u (a); INSERT INTO u VALUES (1, 1), (1, 2), (2, 3)', {
      wal: false,
    });
    const db = new Database(file);
    t.teardown(() => void db.close());
    db.unsafeMode(true);
    db.pragma('writable_schema = ON');
    db.exec("UPDATE sqlite_schema SET sql = 'CREATE UNIQUE INDEX u_a ON u (a)' WHERE name = 'u_a'");
    db.close();
    const { code, one } = await diagnose(file);
    t.is(code, 3);
    const { found, advice = [] } = one('content.integrity');
    t.is(found, '"u": non-unique entry in index u_a');
    t.is(advice.length, 1);
    const mended = new Database(file);
    t.teardown(() => void mended.close());
    t.throws(() => mended.exec('REINDEX'), { code: 'SQLITE_CONSTRAINT_UNIQUE' });
    // What it advises does find them.
    const query = /`(SELECT [^`]+)`/.exec(advice[0] ?? '')?.[1] ?? '';
    t.deepEqual(mended.prepare(query.replaceAll('a, b', 'a').replace('FROM t', 'FROM u')).raw().all(), [[1, 2]]);
    mended.exec('DELETE FROM u WHERE b = 2');
    mended.close();
    t.is((await diagnose(file)).one('content.integrity').state, 'ok');
  },
);

test.serial('a page that two tables have is a problem, and names both', async (t) => {
  const file = temporaryFile(t);
  build(
    file,
    `${manyRows} CREATE TABLE other (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO other SELECT id, name FROM item`,
    { wal: false },
  );
  const db = new Database(file);
  db.unsafeMode(true);
  db.pragma('writable_schema = ON');
  db.exec(
    "UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'item') WHERE name = 'other'",
  );
  db.close();
  const { code, one, findings } = await diagnose(file);
  t.is(code, 3);
  t.is(one('content.pages').state, 'problem');
  t.regex(one('content.pages').found, /"item".*"other"|"other".*"item"/);
  // To make a backup now might replace the last one that is well.
  const advice = findings.flatMap((finding) => finding.advice ?? []).join('\n');
  t.regex(advice, /Go back to the last backup/);
  t.notRegex(advice, /take (?:a|the last) backup/i);
});

test.serial('pages that are nobody’s are a warning', async (t) => {
  const file = temporaryFile(t);
  build(file, `${manyRows} CREATE TABLE lost (a); INSERT INTO lost SELECT randomblob(500) FROM item LIMIT 100`, {
    wal: false,
  });
  const db = new Database(file);
  db.unsafeMode(true);
  db.pragma('writable_schema = ON');
  db.exec("DELETE FROM sqlite_schema WHERE name = 'lost'");
  db.close();
  const { code, one, of } = await diagnose(file);
  t.is(code, 1);
  t.is(one('content.pages').state, 'warning');
  t.regex(one('content.pages').found, /^\d+ pages are neither in use nor free/);
  t.true(of('content.integrity').every(({ state }) => state === 'warning'));
});

test.serial('a first page that is nonsense after its beginning is a problem', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows, { wal: false });
  overwrite(file, 1, 100, garbage);
  const { code, findings } = await diagnose(file);
  t.is(code, 3);
  t.true(findings.some(({ id, state }) => id.startsWith('content.failed') && state === 'problem'));
});

test.serial('at most a hundred findings of damage are told', async (t) => {
  const file = temporaryFile(t);
  build(file, `${manyRows} ${manyRows.replaceAll('item', 'more')}`, { wal: false });
  const copy = temporaryFile(t);
  copyFileSync(file, copy);
  const db = new Database(file);
  db.exec("UPDATE item SET name = 'x' || name; UPDATE more SET name = 'x' || name");
  db.close();
  const former = readFileSync(copy);
  for (const tree of ['item_name', 'more_name']) {
    const pages = leavesOf(copy, tree).filter((page) => leavesOf(file, tree).includes(page));
    for (const page of pages) overwrite(file, page, 0, former.subarray((page - 1) * 4096, page * 4096));
  }
  const { code, of } = await diagnose(file);
  t.is(code, 3);
  t.is(of('content.integrity').length, 100);
  t.regex(of('content.integrity').at(-1)?.found ?? '', /and more than these 100/);
});

test.serial('rows without their parents are counted, table by table, with the first of them', async (t) => {
  const file = temporaryFile(t);
  build(
    file,
    `PRAGMA foreign_keys = OFF;
     CREATE TABLE parent (id INTEGER PRIMARY KEY);
     CREATE TABLE "child ""a""" (id INTEGER PRIMARY KEY, parent REFERENCES parent);
     CREATE TABLE other (id INTEGER PRIMARY KEY, one REFERENCES parent, two REFERENCES nowhere (x));
     INSERT INTO parent VALUES (1);
     INSERT INTO "child ""a""" VALUES (1, 1), (2, NULL);
     WITH RECURSIVE n (i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 40)
     INSERT INTO "child ""a""" SELECT i, 99 FROM n;
     INSERT INTO other VALUES (1, 1, NULL)`,
  );
  const { code, of } = await diagnose(file);
  t.is(code, 3);
  const [first, ...others] = of('content.keys').filter(({ state }) => state === 'problem');
  t.is(
    first?.found,
    '31 rows of "child ""a""" ("parent") without a parent in "parent"; the first rowids: 10, 11, 12, 13, 14.',
  );
  t.deepEqual(others, []);
  // What it advises does find them.
  const db = new Database(file);
  t.is(
    db
      .prepare((first?.advice?.[0] ?? '').replace('SELECT *', 'SELECT count(*)'))
      .pluck()
      .get(),
    31,
  );
  db.close();
});

test.serial(
  'rows without their parents are found by what is advised, whatever their table calls its columns',
  async (t) => {
    const file = temporaryFile(t);
    build(
      file,
      `PRAGMA foreign_keys = OFF;
     CREATE TABLE parent (id INTEGER PRIMARY KEY);
     CREATE TABLE a (rowid TEXT, parent REFERENCES parent);
     CREATE TABLE b (RowId, _rowid_, parent REFERENCES parent);
     CREATE TABLE c (rowid, _rowid_, oid, parent REFERENCES parent);
     CREATE TABLE d (id INTEGER PRIMARY KEY, parent REFERENCES parent) WITHOUT ROWID;
     INSERT INTO parent VALUES (1);
     INSERT INTO a VALUES (5, 1), (1, 99);
     INSERT INTO b VALUES (2, 2, 1), (1, 1, 99);
     INSERT INTO c VALUES (1, 1, 1, 99);
     INSERT INTO d VALUES (7, 99)`,
    );
    const { of } = await diagnose(file);
    const advice = of('content.keys').map((finding) => finding.advice?.[0] ?? '');
    const db = new Database(file, { readonly: true });
    t.teardown(() => void db.close());
    t.deepEqual(
      advice.slice(0, 2).map((sql) => db.prepare(sql).raw().all()),
      [[['1', 99]], [[1, 1, 99]]],
    );
    t.deepEqual(advice.slice(2), [
      'Find the rows of "c" ("parent") that have a key which is not in "parent"; mend or delete them.',
      'Find the rows of "d" ("parent") that have a key which is not in "parent"; mend or delete them.',
    ]);
  },
);

test.serial('the text for a person says the same as the JSON', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows, { wal: false });
  overwrite(file, leavesOf(file, 'item')[3] ?? 0, 8, garbage);
  // One after the other: each sees the processes that have the file open.
  const { findings } = await diagnose(file);
  const { stdout, code } = await runDoctor([file]);
  t.is(code, 3);
  // Others write to the disk meanwhile.
  for (const { found, title } of findings.filter(({ id }) => !['content.integrity', 'space.disk'].includes(id))) {
    const text = flat(found).replace(/\(\d[\d.]* m?s\)/, '');
    t.true(flat(stdout).includes(text.slice(0, 60)), `${title}: ${found}`);
  }
});
