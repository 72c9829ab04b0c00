import { copyFileSync, existsSync } from 'node:fs';
import test from 'ava';
import Database from 'better-sqlite3';
import { compareBoth, kinds, tell } from '../support/drop-in.ts';
import { compare, errorsOf } from '../support/sqlite.ts';

/** Enough rows that a copy of them takes more than one step. */
const manyRows = `
  CREATE TABLE big (filler);
  INSERT INTO big WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 300)
    SELECT zeroblob(4000) FROM n;`;

/** What a file holds. */
function contents(file: string): unknown {
  const copy = new Database(file, { readonly: true });
  try {
    return copy
      .prepare("SELECT name, (SELECT count(*) FROM item) AS items FROM sqlite_schema WHERE name = 'big'")
      .get();
  } finally {
    copy.close();
  }
}

test('the progress callback paces a backup as in better-sqlite3, also by no pages at all', async (t) => {
  const answers: Record<string, (call: number) => unknown> = {
    nothing: () => undefined,
    'all at once': () => Infinity,
    '100 pages': () => 100,
    'a pause of three steps': (call) => (call > 3 ? 1000 : 0),
    'less than none': (call) => (call > 2 ? 1000 : -5),
    'half a page': (call) => (call > 2 ? 1000 : 0.4),
    'more than there is': () => 2 ** 40,
  };
  const outcomes = await compare(t, async ({ db, directory, step, settle }) => {
    db.exec(manyRows);
    for (const [name, answer] of Object.entries(answers)) {
      const file = `${directory}/${name}.db`;
      const seen: unknown[] = [];
      const progress = function progress(this: unknown, ...args: [{ totalPages: number }]) {
        seen.push([this === undefined, args]);
        return answer(seen.length) as number;
      };
      await settle(() => db.backup(file, { progress }));
      step(() => seen);
      step(() => contents(file));
    }
  });
  t.is(errorsOf(outcomes), 0);
});

test('what a progress callback returns or throws fails a backup as in better-sqlite3', async (t) => {
  const outcomes = await compareBoth(t, async ({ db, directory, step, settle }) => {
    db.exec(manyRows);
    for (const [index, [, value]] of kinds.entries()) {
      let calls = 0;
      const answer = () => (calls++ === 0 ? value : 1000) as number;
      await settle(() => db.backup(`${directory}/${index}.db`, { progress: answer }));
      step(() => existsSync(`${directory}/${index}.db`));
      const fail = (): never => {
        // oxlint-disable-next-line typescript/only-throw-error -- whatever is thrown has to pass
        throw value;
      };
      await settle(() => db.backup(`${directory}/fails-${index}.db`, { progress: fail }));
      step(() => existsSync(`${directory}/fails-${index}.db`));
    }
    step(() => db.exec(''));
  });
  t.true(errorsOf(outcomes) > kinds.length);
});

test('a connection works on while it is copied, as in better-sqlite3', async (t) => {
  await compare(t, async ({ db, directory, step, settle }) => {
    db.exec(manyRows);
    const file = `${directory}/copy.db`;
    let calls = 0;
    const progress = () => {
      if (calls++ === 0) {
        step(() => db.prepare("INSERT INTO item (name) VALUES ('during')").run());
        step(() => db.transaction(() => db.prepare("INSERT INTO item (name) VALUES ('as well')").run())());
        step(() => [...db.prepare('SELECT name FROM item').iterate()]);
        step(() => db.serialize().length > 0);
      }
      return 100;
    };
    await settle(() => db.backup(file, { progress }));
    step(() => contents(file));
    const both = [db.backup(`${directory}/one.db`), db.backup(`${directory}/two.db`)];
    await settle(() => Promise.all(both));
    step(() => [contents(`${directory}/one.db`), contents(`${directory}/two.db`)]);
  });
});

test('a backup goes over what is there, as in better-sqlite3', async (t) => {
  const outcomes = await compareBoth(t, async ({ db, directory, step, settle }) => {
    const file = `${directory}/other.db`;
    const other = new Database(file);
    other.exec('CREATE TABLE item (a); CREATE TABLE big (b)');
    other.close();
    await settle(() => db.backup(file));
    step(() => contents(file));
    copyFileSync(import.meta.filename, `${directory}/text.db`);
    await settle(() => db.backup(`${directory}/text.db`));
    await settle(() => db.backup(`${directory}/app.db`));
    db.exec(`ATTACH '${file}' AS other`);
    await settle(() => db.backup(`${directory}/attached.db`, { attached: 'other' } as never));
    await settle(() => db.backup(`${directory}/temp.db`, { attached: 'temp' } as never));
    await settle(() => db.backup(`${directory}/none.db`, { attached: 'none' } as never));
    step(() => existsSync(`${directory}/none.db`));
  });
  t.true(errorsOf(outcomes) >= 2);
});

test('what serialize gives makes a database, as that of better-sqlite3', async (t) => {
  await compareBoth(t, (subject) => {
    const { db, directory } = subject;
    db.exec(manyRows);
    db.exec(`ATTACH '${directory}/more.db' AS more; CREATE TABLE more.only (x); INSERT INTO more.only VALUES (7)`);
    db.exec('CREATE TEMP TABLE passing (x)');
    for (const attached of ['main', 'more', 'temp', 'none']) {
      tell(subject, attached, () => {
        const copy = new Database(db.serialize({ attached }));
        try {
          return copy.prepare('SELECT type, name, sql FROM sqlite_schema').all();
        } finally {
          copy.close();
        }
      });
    }
    tell(subject, 'in a transaction', () =>
      db.transaction(() => {
        db.exec('DELETE FROM item; DELETE FROM tag');
        return db.serialize().length;
      })(),
    );
    tell(subject, 'refused', () => db.serialize({ attached: '' }));
  });
});
