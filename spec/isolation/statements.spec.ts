import test, { type ExecutionContext } from 'ava';
import type Database from 'better-sqlite3';
import type { LeasedDatabase } from '../../lib/index.ts';
import { onlyConnection } from '../support/sqlite.ts';
import { type Audited, auditedPool, isIdle } from './fingerprint.ts';

// What is of a statement, though the statement itself is kept and serves one holder after the other.

const sql = 'SELECT id, name AS "a.b", $a AS c FROM item ORDER BY id';

interface Kept extends Audited {
  /** How the statement answers a holder who has done nothing to it. */
  readonly before: unknown;
  readonly connection: number;
}

const answer = (db: LeasedDatabase) => {
  const statement = db.prepare(sql);
  return [statement.all({ a: 1 }), statement.get({ a: 2 }), [...statement.iterate({ a: 3 })], String(statement.busy)];
};

async function keptStatement(t: ExecutionContext): Promise<Kept> {
  const audited = auditedPool(t);
  const { pool } = audited;
  await pool.withConnection((db) => db.exec("INSERT INTO item (name) VALUES ('one'), ('two')"));
  const before = await pool.withConnection(answer);
  return { ...audited, before, connection: await pool.withConnection(() => onlyConnection(pool)) };
}

type Use = (statement: Database.Statement) => unknown;

const uses: Readonly<Record<string, Use>> = {
  pluck: (statement) => statement.pluck(),
  raw: (statement) => statement.raw(),
  expand: (statement) => statement.expand(),
  safeIntegers: (statement) => statement.safeIntegers(),
  'every toggle, and a use': (statement) => statement.pluck().raw().expand().safeIntegers().all({ a: 7 }),
  'a toggle switched off': (statement) => statement.raw().raw(false).pluck(),
  'a bound value': (statement) => statement.bind({ a: 7 }),
  'a bound value that was used': (statement) => statement.bind({ a: 7 }).all(),
  'a value of one call': (statement) => statement.all({ a: 7 }),
  'a call that lacks its value': (statement) => {
    try {
      statement.all();
    } catch {
      // As intended.
    }
  },
  'a call that binds one value and fails with the next': (statement) => {
    try {
      statement.all({ a: { not: 'a value' } });
    } catch {
      // As intended.
    }
  },
  'a finished iteration': (statement) => [...statement.iterate({ a: 7 })],
  'an iteration that was left early': (statement) => {
    for (const _ of statement.iterate({ a: 7 })) break;
  },
};

for (const [name, use] of Object.entries(uses)) {
  test(`${name} of a kept statement does not show to the next holder, who has the same connection`, async (t) => {
    const { pool, dirt, before, connection } = await keptStatement(t);
    await pool.withConnection((db) => use(db.prepare(sql)));
    await pool.withConnection(() => use(pool.db.prepare(sql)));
    await pool.withConnection((db) => {
      t.deepEqual(answer(db), before);
      t.throws(() => db.prepare(sql).all(), { message: /Missing named parameter/ });
      t.is(onlyConnection(pool), connection);
    });
    t.deepEqual(dirt, []);
  });
}

test('a half-read iterator is returned, and the statement serves the next holder', async (t) => {
  const { pool, dirt, before, connection } = await keptStatement(t);
  const rows = await pool.withConnection((db) => {
    const iterator = db.prepare(sql).raw().bind({ a: 7 }).iterate();
    iterator.next();
    db.prepare(sql).pluck().iterate({ a: 8 }).next();
    return iterator;
  });
  await pool.withConnection((db) => {
    t.throws(() => rows.next(), { code: 'ERR_LEASEHOLD_SCOPE_ENDED' });
    t.deepEqual(answer(db), before);
    t.is(onlyConnection(pool), connection);
  });
  t.deepEqual(
    dirt.map(({ traces }) => traces),
    [['2 open iterators']],
  );
  isIdle(t, pool);
});

test('an iterator that writes and is left half-read has written, and holds nothing for the next holder', async (t) => {
  const { pool } = await keptStatement(t);
  await pool.withConnection((db) =>
    db.prepare("INSERT INTO item (name) VALUES ('three'), ('four') RETURNING id").iterate().next(),
  );
  isIdle(t, pool);
  await pool.withConnection((db) => {
    t.false(db.inTransaction);
    t.is(db.prepare('SELECT count(*) FROM item').pluck().get(), 4);
  });
  await pool.transaction((tx) => tx.exec('DELETE FROM item'));
});

test('what a failed statement said is not said to the next holder', async (t) => {
  const { pool, before } = await keptStatement(t);
  await pool.withConnection((db) => {
    t.throws(() => db.exec("INSERT INTO item (id, name) VALUES (1, 'again')"), {
      code: 'SQLITE_CONSTRAINT_PRIMARYKEY',
    });
    t.throws(() => db.prepare('SELECT * FROM missing'), { code: 'SQLITE_ERROR' });
  });
  await pool.withConnection((db) => {
    t.deepEqual(answer(db), before);
    t.throws(() => db.prepare('SELECT * FROM other'), { message: 'no such table: other' });
  });
});

const fail = (): never => {
  throw new Error('of the first');
};

test('an error thrown by a user function or an aggregate does not hide those of the next holder', async (t) => {
  const { pool } = auditedPool(t, {
    onOpen: (db) => {
      db.function('fail', fail);
      db.aggregate('fail_at_last', { start: 0, step: (total: number) => total, result: fail });
      db.table('fail_on_return', {
        columns: ['a'],
        *rows() {
          try {
            yield [1];
            yield [2];
          } finally {
            fail();
          }
        },
      });
    },
  });
  const failures: readonly ((db: LeasedDatabase) => unknown)[] = [
    (db) => db.prepare('SELECT fail()').all(),
    (db) => db.prepare('SELECT fail_at_last(1)').all(),
    (db) => db.prepare('SELECT fail_at_last(1) OVER (ROWS 1 PRECEDING)').all(),
    (db) => db.prepare('SELECT fail_at_last(1)').iterate().next(),
    (db) => db.prepare('SELECT * FROM fail_on_return').get(),
    (db) => db.prepare('SELECT * FROM fail_on_return').iterate().next(),
    (db) => db.prepare('SELECT * FROM fail_on_return').all(),
  ];
  for (const use of failures) {
    await pool.withConnection(async (db) => use(db)).catch(() => {});
    await pool.withConnection((db) => {
      t.throws(() => db.prepare('SELECT * FROM missing'), { message: 'no such table: missing' });
      t.throws(() => db.exec('SELECT * FROM missing'), { message: 'no such table: missing' });
      t.throws(() => db.prepare("SELECT json('{')").all(), { message: 'malformed JSON' });
    });
  }
});
