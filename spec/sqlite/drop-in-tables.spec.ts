import { inspect } from 'node:util';
import test from 'ava';
import { compareBoth, tell } from '../support/drop-in.ts';
import { loosely } from '../support/sqlite.ts';

test('a factory makes virtual tables as in better-sqlite3', async (t) => {
  await compareBoth(t, (subject) => {
    const { db } = subject;
    const calls: unknown[] = [];
    const factory = function factory(this: object, ...args: string[]) {
      calls.push([{ ...this }, args]);
      return {
        columns: ['x', 'y'],
        parameters: ['p'],
        *rows(p: unknown) {
          yield { x: p, y: args.length };
          yield [typeof p, args.join()];
        },
      };
    };
    tell(subject, 'table', () => loosely(db, 'table', ['made', factory]));
    tell(subject, 'CREATE', () => db.exec("CREATE VIRTUAL TABLE temp.one USING made(a, 'b c', 1)"));
    tell(subject, 'CREATE in the file', () => db.exec('CREATE VIRTUAL TABLE two USING made'));
    tell(subject, 'calls', () => calls);
    for (const sql of [
      'SELECT * FROM one',
      'SELECT x, y, p FROM one WHERE p = 7',
      "SELECT * FROM one('z')",
      'SELECT * FROM two(1) UNION ALL SELECT * FROM one(2)',
      'SELECT * FROM made',
      'SELECT item.name, one.x FROM item JOIN one ON one.p = item.id',
      'INSERT INTO one VALUES (1, 2)',
      'DROP TABLE one',
      'SELECT * FROM one',
      'DROP TABLE two',
    ]) {
      tell(subject, `columns of ${sql}`, () => db.prepare(sql).columns());
      tell(subject, sql, () => (db.prepare(sql).reader ? db.prepare(sql).all() : db.prepare(sql).run()));
    }
  });
});

test('a definition is a table of its own name, as in better-sqlite3', async (t) => {
  await compareBoth(t, (subject) => {
    const { db } = subject;
    let closed = 0;
    db.table('count_up', {
      columns: ['value'],
      parameters: ['from_value', 'by'],
      *rows(from: unknown, by: unknown) {
        try {
          for (let value = Number(from ?? 0); ; value += Number(by ?? 1)) yield [value];
        } finally {
          closed++;
        }
      },
    });
    db.table('typed', {
      columns: ['type'],
      safeIntegers: true,
      *rows(value) {
        yield [typeof value];
      },
    });
    db.table('untyped', {
      columns: ['type'],
      *rows(value) {
        yield [typeof value];
      },
    });
    db.table('direct', {
      columns: ['a'],
      directOnly: true,
      *rows() {
        yield [1];
      },
    });
    db.exec('CREATE TEMP VIEW of_direct AS SELECT * FROM direct');
    for (const sql of [
      'SELECT value FROM count_up LIMIT 3',
      'SELECT value FROM count_up(5, 10) LIMIT 3',
      'SELECT value FROM count_up WHERE from_value = 2 LIMIT 2',
      'SELECT * FROM typed(1)',
      'SELECT * FROM untyped(1)',
      'SELECT * FROM typed',
      'SELECT * FROM typed(1, 2)',
      'SELECT * FROM direct',
      'SELECT * FROM of_direct',
      'CREATE VIRTUAL TABLE other USING typed',
      'UPDATE typed SET type = 1',
    ]) {
      tell(subject, sql, () => (db.prepare(sql).reader ? db.prepare(sql).all() : db.prepare(sql).run()));
      tell(subject, 'generators closed', () => closed);
    }
    tell(subject, 'a loop that is left', () => {
      for (const row of db.prepare('SELECT value FROM count_up').iterate()) return row;
      return 'never';
    });
    tell(subject, 'generators closed', () => closed);
  });
});

function* rows() {
  yield [1];
}

test('rows and definitions that do not fit are refused as by better-sqlite3', async (t) => {
  const badRows = [
    [1, 2],
    [],
    {},
    { v: 1, w: 2 },
    { w: 1 },
    null,
    1,
    'x',
    undefined,
    new Map(),
    Object.create({ v: 1 }),
  ];
  const definitions: unknown[] = [
    undefined,
    null,
    1,
    'text',
    {},
    { columns: ['a'] },
    { rows },
    { columns: ['a'], rows: () => [] },
    { columns: [], rows },
    { columns: ['a', 'a'], rows },
    { columns: [1], rows },
    { columns: ['a'], parameters: ['a'], rows },
    { columns: ['a'], parameters: ['p', 'p'], rows },
    { columns: ['a'], safeIntegers: 1, rows },
    { columns: ['a'], directOnly: null, rows },
    Object.create({ columns: ['a'], rows }),
    { columns: ['a'], rows },
  ];
  await compareBoth(t, (subject) => {
    const { db } = subject;
    for (const row of badRows) {
      db.table('bad', {
        columns: ['v'],
        *rows() {
          yield row;
        },
      });
      tell(subject, `a row ${inspect(row)}`, () => db.prepare('SELECT * FROM bad').all());
    }
    for (const [index, definition] of definitions.entries()) {
      tell(subject, `definition ${index}`, () => loosely(db, 'table', [`defined_${index}`, definition]));
      tell(subject, 'its rows', () => db.prepare(`SELECT * FROM defined_${index}`).all());
      tell(subject, `factory of ${index}`, () => loosely(db, 'table', [`made_${index}`, () => definition]));
      tell(subject, 'its table', () => db.exec(`CREATE VIRTUAL TABLE temp.table_${index} USING made_${index}`));
    }
  });
});
