import test from 'ava';
import { tell } from '../support/drop-in.ts';
import { compare, errorsOf, temporaryPool } from '../support/sqlite.ts';

const integers = [0, -0, 1, 2 ** 53 - 1, 2 ** 53, 2 ** 63, 0n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n)];
const numbers = [1.5, 1e300, 5e-324, NaN, Infinity, -Infinity];
const strings = ['', '\0', 'a\0b', 'a\ud800b', '\udc00', '😀', '\ufeffx', "it's", 'é'];

test('integers of every size come back alike, safe or not, and by default', async (t) => {
  const outcomes = await compare(t, (subject) => {
    const { db } = subject;
    for (const byDefault of [false, true]) {
      db.defaultSafeIntegers(byDefault);
      for (const value of [...integers, ...numbers]) {
        const sql = 'SELECT ? AS v, typeof(?1) AS type';
        tell(subject, `${value}, by default ${byDefault}`, () => db.prepare('SELECT ? AS v').get(value));
        for (const safe of [false, true]) {
          tell(subject, `${value}, safe ${safe}`, () => db.prepare('SELECT ? AS v').safeIntegers(safe).get(value));
          tell(subject, `${value}, all`, () => db.prepare('SELECT ? AS v').safeIntegers(safe).raw().all(value));
          tell(subject, `${value}, iterate`, () => [...db.prepare('SELECT ? AS v').safeIntegers(safe).iterate(value)]);
        }
        tell(subject, `${value}, named`, () => db.prepare(sql).get({ 1: value }));
      }
    }
  });
  t.true(errorsOf(outcomes) === 0);
});

test('row ids beyond 2 ** 53 come back as better-sqlite3 gives them', async (t) => {
  await compare(t, (subject) => {
    const { db } = subject;
    const sql = 'INSERT INTO item (id, name) VALUES (?, ?)';
    tell(subject, 'as a number', () => db.prepare(sql).run(2n ** 53n + 1n, 'a'));
    tell(subject, 'as a BigInt', () =>
      db
        .prepare(sql)
        .safeIntegers()
        .run(2n ** 53n + 3n, 'b'),
    );
    tell(subject, 'bound', () =>
      db
        .prepare(sql)
        .bind(2n ** 53n + 5n, 'c')
        .safeIntegers()
        .run(),
    );
    tell(subject, 'read as numbers', () => db.prepare('SELECT id FROM item').pluck().all());
    tell(subject, 'read as BigInts', () => db.prepare('SELECT id FROM item').pluck().safeIntegers().all());
    tell(subject, 'twice', () => db.prepare(sql).run(2n ** 53n + 5n, 'd'));
    db.defaultSafeIntegers();
    tell(subject, 'by default', () => db.prepare("INSERT INTO item (name) VALUES ('e')").run());
    tell(subject, 'returning', () => db.prepare("INSERT INTO item (name) VALUES ('f') RETURNING id").get());
    tell(subject, 'of an update', () => db.prepare('UPDATE item SET size = 1').run());
    tell(subject, 'a pragma', () => db.pragma('user_version', { simple: true }));
    tell(subject, 'pragma rows', () => db.pragma('table_info(item)'));
  });
});

test('text of every kind comes back alike', async (t) => {
  await compare(t, (subject) => {
    const { db } = subject;
    for (const value of [...strings, 'x'.repeat(3_000_000)]) {
      const name = JSON.stringify(value.slice(0, 9));
      const sql = 'SELECT v, length(v) AS length, hex(substr(v, 1, 9)) AS hex FROM (SELECT ? AS v)';
      tell(subject, name, () => {
        const row = db.prepare<[string], { v: string; length: number; hex: string }>(sql).get(value);
        return [row?.v === value, row?.v.length, row?.length, row?.hex];
      });
      tell(subject, `${name} bound`, () => db.prepare('SELECT length(?)').pluck().bind(value).get());
    }
    for (const hex of ['ff', 'c0af', 'eda080', '61ff62', '6100ff']) {
      tell(subject, `x'${hex}' as text`, () => db.prepare(`SELECT CAST(x'${hex}' AS TEXT) AS v`).get());
    }
  });
});

test('bytes of every length come back as Buffers', async (t) => {
  await compare(t, (subject) => {
    const { db } = subject;
    for (const value of [Buffer.alloc(0), Buffer.from([0]), Buffer.from('a\0b'), Buffer.alloc(3_000_000, 7)]) {
      tell(subject, `${value.length} bytes`, () => {
        const back = db.prepare<[Buffer], Buffer>('SELECT ?').pluck().get(value);
        return [Buffer.isBuffer(back), back?.length, back?.equals(value)];
      });
    }
    tell(subject, 'stored', () => db.prepare('SELECT data FROM item ORDER BY id').pluck().all());
    tell(subject, 'a zeroblob', () => db.prepare('SELECT zeroblob(5) AS v').get());
  });
});

test('rows are shaped alike whatever their columns are called', async (t) => {
  const queries = [
    'SELECT 1 AS a, 2 AS A, 3 AS a',
    'SELECT 1 AS "", 2 AS "a b", 3 AS "0", 4 AS "1"',
    'SELECT 1 AS __proto__, 2 AS constructor, 3 AS hasOwnProperty',
    'SELECT item.id, tag.item, item.name, tag.name, count(*) AS n FROM item, tag',
    'SELECT id FROM item UNION SELECT item FROM tag',
    'SELECT * FROM item JOIN tag ON tag.item = item.id JOIN item AS other ON other.id = item.id',
    'SELECT 1 WHERE 0',
    'SELECT NULL',
  ];
  await compare(t, (subject) => {
    for (const sql of queries) {
      for (const shape of ['pluck', 'expand', 'raw', 'safeIntegers'] as const) {
        for (const on of [false, true]) {
          tell(subject, `${sql}: ${shape}(${on})`, () => {
            const statement = subject.db.prepare(sql)[shape](on);
            const row = statement.get();
            const isRow = typeof row === 'object' && row !== null;
            return [
              row,
              statement.all(),
              [...statement.iterate()],
              isRow && [Object.keys(row), Object.getPrototypeOf(row) === Object.prototype, Array.isArray(row)],
            ];
          });
        }
      }
      tell(subject, `${sql}: columns`, () => subject.db.prepare(sql).columns());
    }
  });
});

test('a schema that changes is met as by better-sqlite3', async (t) => {
  await compare(t, (subject) => {
    const { db } = subject;
    const kept = db.prepare('SELECT * FROM item LIMIT 1');
    const raw = db.prepare('SELECT * FROM item LIMIT 1').raw();
    tell(subject, 'before', () => [kept.get(), raw.get()]);
    db.exec('ALTER TABLE item ADD COLUMN extra DEFAULT 5');
    tell(subject, 'a new column', () => [kept.get(), raw.all(), [...kept.iterate()]]);
    db.exec('ALTER TABLE item RENAME COLUMN name TO title');
    tell(subject, 'a new name', () => [kept.get(), db.prepare('SELECT title FROM item').all()]);
    tell(subject, 'an old name', () => db.prepare('SELECT name FROM item').all());
    const shadowed = db.prepare('SELECT * FROM tag');
    tell(subject, 'not yet shadowed', () => shadowed.all());
    db.exec('CREATE TEMP TABLE tag (only)');
    tell(subject, 'shadowed', () => [shadowed.all(), db.prepare('SELECT * FROM tag').all()]);
    db.exec('DROP TABLE temp.tag; DROP TABLE main.tag');
    tell(subject, 'gone', () => shadowed.all());
    tell(subject, 'still telling', () => [shadowed.reader, shadowed.readonly, shadowed.source]);
  });
});

// Here the handle says what is so: better-sqlite3 answers with what was so when the statement was prepared.
test('columns() tells of the schema as it is', async (t) => {
  const pool = temporaryPool(t);
  await pool.withConnection((db) => {
    db.exec('CREATE TABLE a (x)');
    for (const handle of [db, pool.db]) {
      const statement = handle.prepare('SELECT * FROM a');
      const before = statement.columns().length;
      handle.exec(`ALTER TABLE a ADD COLUMN y${before}`);
      t.is(statement.columns().length, before + 1);
    }
  });
});

const safeByDefault = { onOpen: (db: { defaultSafeIntegers(): unknown }) => void db.defaultSafeIntegers() };

test('where onOpen makes integers safe, every handle begins so', async (t) => {
  const pool = temporaryPool(t, { max: 1, ...safeByDefault });
  for (let round = 0; round < 2; round++) {
    await pool.withConnection((db) => {
      t.is(db.prepare('SELECT 1').pluck().get(), 1n);
      t.is(pool.db.prepare('SELECT 1').pluck().get(), 1n);
      t.is(db.prepare('SELECT 1').pluck().safeIntegers(false).get(), 1);
    });
    t.deepEqual(await pool.get('SELECT 1 AS one'), { one: 1n });
  }
});

// The mend is in lib/sqlite/connection.ts: `settle` compares what it reads of `busy_timeout` with 0, and that is 0n then.
test('where onOpen makes integers safe, busyTimeout still holds', async (t) => {
  const pool = temporaryPool(t, { busyTimeout: 77, ...safeByDefault });
  await pool.withConnection((db) => {
    db.exec('');
    t.is(Number(db.pragma('busy_timeout', { simple: true })), 77);
  });
});

// The mend is in lib/sqlite/connection.ts: `checkpoint` gives on what the pragma gives.
test('where onOpen makes integers safe, a checkpoint still tells numbers', async (t) => {
  const pool = temporaryPool(t, safeByDefault);
  await pool.run('CREATE TABLE a (x)');
  t.deepEqual(await pool.checkpoint('truncate'), { busy: false, log: 0, checkpointed: 0 });
});
