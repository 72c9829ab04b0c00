import test from 'ava';
import { Query, type QueryConfig } from 'pg';
import { gate } from '../support/gate.ts';
import { postgresUrl } from '../support/postgres.ts';
import { type Asked, firstOf, leavings, pidOf, poolOn, recording } from '../support/postgres-handle.ts';

const url = await postgresUrl();

/** The texts that are prepared on a connection, the oldest first. */
async function preparedOn(db: Asked): Promise<unknown[]> {
  const { rows } = await db.query('SELECT statement FROM pg_prepared_statements ORDER BY prepare_time, name');
  return rows.map((row) => Object.values(row)[0]);
}

/** How often the server has planned anew what is prepared there, and how often it has run it. */
async function runs(db: Asked, text: string): Promise<unknown> {
  return firstOf(db, 'SELECT (generic_plans + custom_plans)::int FROM pg_prepared_statements WHERE statement = $1', [
    text,
  ]);
}

test('what one holder has prepared serves the next, whatever either calls it', async (t) => {
  const pool = poolOn(t, url);
  const said = leavings(pool);
  const text = 'SELECT $1::int * 2 AS n';
  t.deepEqual((await pool.query({ name: 'double', text, values: [1] })).rows, [{ n: 2 }]);
  t.deepEqual((await pool.query({ name: 'twice', text, values: [2] })).rows, [{ n: 4 }]);
  await pool.withConnection(async (db) => {
    t.deepEqual((await db.query({ name: 'double', text }, [3])).rows, [{ n: 6 }]);
    t.deepEqual(await preparedOn(db), [text]);
    t.is(await runs(db, text), 3);
  });
  t.deepEqual(said, []);
});

test('one name may stand for another text with each holder, but not with the same', async (t) => {
  const pool = poolOn(t, url);
  const ask = (n: number) => pool.query({ name: 'same', text: `SELECT ${n} AS n` });
  for (const n of [1, 2, 1, 3]) t.deepEqual((await ask(n)).rows, [{ n }]);
  await pool.withConnection(async () => {
    t.deepEqual((await ask(1)).rows, [{ n: 1 }]);
    await t.throwsAsync(ask(2), { code: 'ERR_LEASEHOLD_OPTIONS', message: /"name"/ });
    t.deepEqual((await ask(1)).rows, [{ n: 1 }]);
  });
});

test('a name alone stands for the text it was given on this lease, as in pg', async (t) => {
  const pool = poolOn(t, url);
  await pool.withConnection(async (db) => {
    await db.query({ name: 'known', text: 'SELECT $1::text AS a', values: ['first'] });
    const named = { name: 'known', values: ['again'] } as unknown as QueryConfig;
    t.deepEqual((await db.query(named)).rows, [{ a: 'again' }]);
  });
  await t.throwsAsync(
    pool.withConnection((db) => db.query({ name: 'known', values: ['next'] } as never)),
    { code: 'ERR_LEASEHOLD_OPTIONS' },
  );
});

test('no more statements are kept than statementCache says; the least recently used goes', async (t) => {
  const pool = poolOn(t, url, { statementCache: 3 });
  await pool.withConnection(async (db) => {
    const ask = (n: number) => db.query({ name: `s${n}`, text: `SELECT ${n} AS n` });
    for (const n of [1, 2, 3, 1, 4]) t.deepEqual((await ask(n)).rows, [{ n }]);
    t.deepEqual(await preparedOn(db), ['SELECT 1 AS n', 'SELECT 3 AS n', 'SELECT 4 AS n']);
    t.deepEqual((await ask(2)).rows, [{ n: 2 }]);
    t.deepEqual(await preparedOn(db), ['SELECT 1 AS n', 'SELECT 4 AS n', 'SELECT 2 AS n']);
  });
});

test('a statement that makes room for another costs neither the connection nor a word of complaint', async (t) => {
  const pool = poolOn(t, url, { statementCache: 2 });
  const said = leavings(pool);
  const pid = await pidOf(pool);
  for (let n = 0; n < 12; n++) {
    t.deepEqual((await pool.query({ name: 'turn', text: `SELECT ${n % 5} AS n` })).rows, [{ n: n % 5 }]);
  }
  t.is(await pidOf(pool), pid);
  t.is((await preparedOn(pool)).length, 2);
  t.deepEqual(said, []);
});

test('many at once take their turns, and each text is prepared once', async (t) => {
  const { Recorder, texts } = recording();
  const pool = poolOn(t, url, { Client: Recorder });
  await pool.withConnection(async (db) => {
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, n) =>
        db.query({ name: `n${n % 5}`, text: `SELECT $1::int + ${n % 5} AS n` }, [n]),
      ),
    );
    t.deepEqual(
      answers.map(({ rows }) => rows[0]?.n),
      Array.from({ length: 50 }, (_, n) => n + (n % 5)),
    );
    t.is((await preparedOn(db)).length, 5);
  });
  t.is(texts.filter((text) => text.startsWith('SELECT $1')).length, 50);
});

for (const reset of ['DEALLOCATE ALL', 'DISCARD ALL', 'deallocate /* all */ all']) {
  test(`statements work again after ${reset}, also those asked for in the same breath`, async (t) => {
    const pool = poolOn(t, url);
    const config = { name: 'known', text: 'SELECT 1 AS n' };
    await pool.withConnection(async (db) => {
      await db.query(config);
      const [, { rows }] = await Promise.all([db.query(reset), db.query(config)]);
      t.deepEqual(rows, [{ n: 1 }]);
      t.deepEqual(await preparedOn(db), [config.text]);
    });
    t.deepEqual((await pool.query(config)).rows, [{ n: 1 }]);
  });
}

test('statements work again after the reset of a connection that comes back', async (t) => {
  const pool = poolOn(t, url);
  const config = { name: 'known', text: 'SELECT 1 AS n' };
  await pool.withConnection(async (db) => {
    await db.query(config);
    await db.query(`SET work_mem = '1MB'`);
  });
  t.deepEqual(await preparedOn(pool), []);
  t.deepEqual((await pool.query(config)).rows, [{ n: 1 }]);
});

test('a statement that went without being seen fails once, and works again', async (t) => {
  const pool = poolOn(t, url);
  const said = leavings(pool);
  const config = { name: 'known', text: 'SELECT 1 AS n' };
  await pool.query('CREATE FUNCTION forget() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DEALLOCATE ALL; END $$');
  const pid = await pidOf(pool);
  await pool.query(config);
  await pool.query('SELECT forget()');
  await t.throwsAsync(pool.query(config), { code: '26000' });
  t.deepEqual((await pool.query(config)).rows, [{ n: 1 }]);
  t.is(await pidOf(pool), pid);
  t.deepEqual(said, []);
});

test('a statement whose plan no longer fits its table fails once, and works again with the new columns', async (t) => {
  const pool = poolOn(t, url);
  const said = leavings(pool);
  const config = { name: 'all', text: 'SELECT * FROM changing' };
  await pool.query('CREATE TABLE changing (a int); INSERT INTO changing VALUES (1)');
  t.deepEqual((await pool.query(config)).rows, [{ a: 1 }]);
  await pool.query('ALTER TABLE changing ADD b int DEFAULT 2');
  await t.throwsAsync(pool.query(config), { code: '0A000' });
  t.deepEqual((await pool.query(config)).rows, [{ a: 1, b: 2 }]);
  t.deepEqual(await preparedOn(pool), [config.text]);
  t.deepEqual(said, []);
});

test('in a transaction that has failed nothing is prepared, and nothing is taken for prepared', async (t) => {
  const pool = poolOn(t, url, { statementCache: 1 });
  const [first, second] = ['SELECT 1 AS n', 'SELECT 2 AS n'].map((text) => ({ name: text, text }));
  await t.throwsAsync(
    pool.transaction(async (tx) => {
      await tx.query(first as { text: string });
      await t.throwsAsync(tx.query('SELECT nonsense'));
      await t.throwsAsync(tx.query(second as { text: string }), { code: 'ERR_LEASEHOLD_TRANSACTION_ABORTED' });
      throw new Error('undo');
    }),
    { message: 'undo' },
  );
  t.deepEqual((await pool.query(second as { text: string })).rows, [{ n: 2 }]);
  t.deepEqual((await pool.query(first as { text: string })).rows, [{ n: 1 }]);
});

test('a statement that does not parse, or whose value can not be sent, does not stand in the way of the next', async (t) => {
  const pool = poolOn(t, url);
  await t.throwsAsync(pool.query({ name: 'bad', text: 'SELECT * FROM later' }), { code: '42P01' });
  await pool.query('CREATE TABLE later (a int)');
  t.deepEqual((await pool.query({ name: 'bad', text: 'SELECT * FROM later' })).rows, []);
  const config = { name: 'text', text: 'SELECT $1::text AS a' };
  const unsendable = {
    toPostgres: () => {
      throw new Error('never sent');
    },
  };
  await t.throwsAsync(pool.query(config, [unsendable]), { message: 'never sent' });
  t.deepEqual((await pool.query(config, ['sent'])).rows, [{ a: 'sent' }]);
});

test('two connections each prepare for themselves', async (t) => {
  const pool = poolOn(t, url, { max: 2 });
  const both = gate();
  let count = 0;
  const counts = await Promise.all(
    [1, 2].map(() =>
      pool.withConnection(async (db) => {
        if (++count === 2) both.open();
        await both.passed;
        await db.query({ name: 'mine', text: 'SELECT 1 AS n' });
        return (await preparedOn(db)).length;
      }),
    ),
  );
  t.deepEqual(counts, [1, 1]);
});

test('a query object of pg with a name is one of them', async (t) => {
  const pool = poolOn(t, url);
  const run = (text: string) =>
    pool.withConnection(async (db) => {
      const query = new Query({ name: 'mine', text } as never);
      const { promise, resolve, reject } = Promise.withResolvers<unknown[]>();
      query.on('end', ({ rows }) => resolve(rows));
      query.on('error', reject);
      db.query(query);
      return await promise;
    });
  t.deepEqual(await run('SELECT 1 AS n'), [{ n: 1 }]);
  t.deepEqual(await run('SELECT 2 AS n'), [{ n: 2 }]);
  await t.throwsAsync(pool.query('EXECUTE mine'), { code: '26000' });
});
