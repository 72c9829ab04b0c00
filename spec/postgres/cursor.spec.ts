import test from 'ava';
import { type Client, Query } from 'pg';
import Cursor from 'pg-cursor';
import { collected } from '../support/gc.ts';
import { postgresUrl } from '../support/postgres.ts';
import { clientOn, firstOf, leavings, pidOf, poolOn, recording, running } from '../support/postgres-handle.ts';

const url = await postgresUrl();

interface Row {
  readonly n: number;
}

const upTo = (last: number): string => `SELECT n FROM generate_series(1, ${last}) AS n`;

async function numbersOf(rows: AsyncIterable<Row>): Promise<number[]> {
  return (await allOf(rows)).map((row) => (row as Row).n);
}

async function allOf(rows: AsyncIterable<unknown>): Promise<unknown[]> {
  const all: unknown[] = [];
  for await (const row of rows) all.push(row);
  return all;
}

const counted = (last: number): number[] => Array.from({ length: last }, (_, index) => index + 1);

/** Ends the connection that runs for a pool, as its server does when it is stopped. */
async function terminate(client: Client, pid: unknown): Promise<void> {
  await client.query('SELECT pg_terminate_backend($1, 5000)', [pid]);
}

test('all rows come once and in order, whatever the size of the batches', async (t) => {
  await poolOn(t, url).withConnection(async (db) => {
    for (const last of [0, 1, 5, 6, 7, 100]) {
      for (const batch of [1, 3, 6, 100, 1000]) {
        t.deepEqual(await numbersOf(db.iterate<Row>(upTo(last), [], { batch })), counted(last), `${last} by ${batch}`);
      }
    }
    t.deepEqual(await numbersOf(db.iterate<Row>(upTo(250))), counted(250));
  });
});

test('rows are as those of query: values, parsers, arrays', async (t) => {
  await poolOn(t, url).withConnection(async (db) => {
    const text = `SELECT $1::int AS a, $2::text[] AS b, now()::date AS c, NULL AS d, 1 AS a`;
    const values = [7, ['x', null]];
    const rows = await allOf(db.iterate(text, values));
    t.deepEqual(rows, (await db.query(text, values)).rows);
    const arrays = await allOf(db.iterate(text, values, { rowMode: 'array' }));
    t.deepEqual(arrays, (await db.query({ text, values, rowMode: 'array' })).rows);
    t.deepEqual(await allOf(db.iterate('CREATE TABLE IF NOT EXISTS made ()')), []);
    t.deepEqual(await allOf(db.iterate('VALUES (1), (2)', undefined, { batch: 1 })), [{ column1: 1 }, { column1: 2 }]);
  });
});

test('nothing is asked of the server before the first row is, and nothing if it never is', async (t) => {
  const { Recorder, texts } = recording();
  const pool = poolOn(t, url, { Client: Recorder });
  await pool.withConnection(async (db) => {
    const rows = db.iterate('SELECT nonsense');
    await rows.return();
    t.deepEqual(await rows.next(), { done: true, value: undefined });
  });
  t.deepEqual(texts, []);
});

test('to leave the loop closes the cursor, and the connection goes on', async (t) => {
  const pool = poolOn(t, url);
  const said = leavings(pool);
  await pool.withConnection(async (db) => {
    const pid = await pidOf(db);
    for await (const { n } of db.iterate<Row>(upTo(1_000_000), [], { batch: 10 })) if (n === 25) break;
    t.is(await firstOf(db, 'SELECT count(*)::int FROM pg_cursors'), 0);
    await t.throwsAsync(
      async () => {
        for await (const { n } of db.iterate<Row>(upTo(100), [], { batch: 10 }))
          if (n === 10) throw new Error('enough');
      },
      { message: 'enough' },
    );
    t.is(await pidOf(db), pid);
    t.false(db.inTransaction);
  });
  t.deepEqual(said, []);
});

test('an error in the middle comes after the rows before it, and the connection goes on', async (t) => {
  const pool = poolOn(t, url);
  const said = leavings(pool);
  await pool.withConnection(async (db) => {
    const seen: number[] = [];
    const failing = 'SELECT 12 / (7 - n) AS n FROM generate_series(1, 20) AS n';
    const read = async () => {
      for await (const { n } of db.iterate<Row>(failing, [], { batch: 2 })) seen.push(n);
    };
    await t.throwsAsync(read, { code: '22012' });
    t.deepEqual(seen, [2, 2, 3, 4, 6, 12]);
    await t.throwsAsync(numbersOf(db.iterate<Row>('SELECT nonsense')), { code: '42703' });
    await t.throwsAsync(numbersOf(db.iterate<Row>('SELECT $1::int AS n', ['x'])), { code: '22P02' });
    await t.throwsAsync(numbersOf(db.iterate<Row>('SELEC')), { code: '42601' });
    t.is(await firstOf(db, 'SELECT 1'), 1);
  });
  t.deepEqual(said, []);
});

test('while rows are read the connection does nothing else, on whichever handle and in whichever form', async (t) => {
  const pool = poolOn(t, url);
  const busy = { code: 'ERR_LEASEHOLD_CONNECTION_BUSY' };
  await pool.withConnection(async (db) => {
    for await (const { n } of db.iterate<Row>(upTo(4), [], { batch: 1 })) {
      if (n !== 2) continue;
      await t.throwsAsync(async () => db.query('SELECT 1'), busy);
      await t.throwsAsync(async () => pool.db.query({ name: 'x', text: 'SELECT 1' }), busy);
      await t.throwsAsync(pool.query('SELECT 1'), busy);
      await t.throwsAsync(db.iterate('SELECT 1').next(), busy);
      t.throws(() => db.query(new Cursor('SELECT 1')), busy);
      t.throws(() => db.query(Reflect.construct(Query, ['SELECT 1']) as Query), busy);
      await t.throwsAsync(db.listen('channel'), busy);
      await t.throwsAsync(
        pool.transaction(() => {}),
        { code: 'ERR_LEASEHOLD_TRANSACTION_BUSY' },
      );
    }
    t.is(await firstOf(db, 'SELECT 1'), 1);
  });
});

test('two that are opened at once do not wait for each other’s reader: the second is refused', async (t) => {
  await poolOn(t, url).withConnection(async (db) => {
    const before = db.query('SELECT pg_sleep(0.05)');
    const [first, second] = [1, 2].map(() => db.iterate<Row>(upTo(3), [], { batch: 1 }));
    const outcomes = await Promise.allSettled([first?.next(), second?.next()]);
    t.like(outcomes[0], { value: { value: { n: 1 } } });
    t.like(outcomes[1], { reason: { code: 'ERR_LEASEHOLD_CONNECTION_BUSY' } });
    await first?.return();
    await before;
    t.is(await firstOf(db, 'SELECT 1'), 1);
  });
});

test('a reader is told when the lease ends, between two batches and in the middle of one', async (t) => {
  const pool = poolOn(t, url);
  const client = await clientOn(t, url);
  const said = leavings(pool);
  const db = await pool.acquire();
  const pid = await pidOf(db);
  const rows = db.iterate<Row>(upTo(100), [], { batch: 1 });
  await rows.next();
  await db[Symbol.asyncDispose]();
  await t.throwsAsync(rows.next(), { code: 'ERR_LEASEHOLD_RELEASED' });
  t.is(await pidOf(pool), pid);
  t.deepEqual(said.splice(0), ['open cursor or stream']);
  const next = await pool.acquire();
  const slow = t.throwsAsync(next.iterate('SELECT pg_sleep(600) /* batch */').next(), {
    code: 'ERR_LEASEHOLD_RELEASED',
  });
  await running(client, 'SELECT pg_sleep(600) /* batch */');
  await next[Symbol.asyncDispose]();
  await slow;
  t.is(await firstOf(pool, 'SELECT 1'), 1);
});

test('a reader is told when the connection is lost, between two batches and in the middle of one', async (t) => {
  const [pool, client] = [poolOn(t, url), await clientOn(t, url)];
  const lost = { code: /^(ERR_LEASEHOLD_CONNECTION_LOST|57P01)$/ };
  await pool.withConnection(async (db) => {
    const rows = db.iterate<Row>(upTo(100), [], { batch: 1 });
    const pid = await pidOf(db);
    await rows.next();
    await terminate(client, pid);
    const error = await t.throwsAsync(rows.next());
    t.regex((error as { code?: string }).code ?? '', lost.code);
  });
  await pool.withConnection(async (db) => {
    const reading = t.throwsAsync(db.iterate('SELECT pg_sleep(600) /* lost */').next());
    await terminate(client, await running(client, 'SELECT pg_sleep(600) /* lost */'));
    t.regex(((await reading) as { code?: string }).code ?? '', lost.code);
  });
  t.is(await firstOf(pool, 'SELECT 1'), 1);
});

test('rows that were read can be collected while the rest is still to come', async (t) => {
  await poolOn(t, url).withConnection(async (db) => {
    let first: WeakRef<object> | undefined;
    for await (const row of db.iterate<Row>(upTo(50), [], { batch: 1 })) {
      first ??= new WeakRef(row);
      if (row.n < 40) continue;
      t.true(await collected(() => first?.deref() === undefined));
      break;
    }
  });
});

test('in a transaction rows are read like any others, and one that is left open undoes it', async (t) => {
  const pool = poolOn(t, url);
  await pool.query('CREATE TABLE copied (n int)');
  await pool.transaction(async (tx) => {
    const numbers = await numbersOf(tx.iterate<Row>(upTo(5), [], { batch: 2 }));
    await tx.query('INSERT INTO copied SELECT unnest($1::int[])', [numbers]);
  });
  t.is(await firstOf(pool, 'SELECT sum(n)::int FROM copied'), 15);
  const leaving = pool.transaction(async (tx) => {
    await tx.query('INSERT INTO copied VALUES (100)');
    await tx.iterate<Row>(upTo(5), [], { batch: 2 }).next();
  });
  await t.throwsAsync(leaving, { code: 'ERR_LEASEHOLD_TRANSACTION_BUSY' });
  const throwing = pool.transaction(async (tx) => {
    await tx.query('INSERT INTO copied VALUES (100)');
    for await (const { n } of tx.iterate<Row>(upTo(5), [], { batch: 1 })) if (n === 2) throw new Error('undo');
  });
  await t.throwsAsync(throwing, { message: 'undo' });
  t.is(await firstOf(pool, 'SELECT sum(n)::int FROM copied'), 15);
  t.like(pool.stats(), { size: 1, idle: 1 });
});

test('a reader that outlives its transaction is told so, rather than that there are no more rows', async (t) => {
  const pool = poolOn(t, url);
  await pool.withConnection(async () => {
    let rows: AsyncGenerator<Row> | undefined;
    const undone = pool.transaction(async (tx) => {
      rows = tx.iterate<Row>(upTo(100), [], { batch: 1 });
      await rows.next();
      throw new Error('undo');
    });
    await t.throwsAsync(undone, { message: 'undo' });
    await t.throwsAsync(async () => rows?.next(), { code: 'ERR_LEASEHOLD_TRANSACTION_ENDED' });
  });
  t.is(await firstOf(pool, 'SELECT 1'), 1);
});

test('a cursor of pg-cursor itself is read as with pg', async (t) => {
  await poolOn(t, url).withConnection(async (db) => {
    const cursor = db.query(new Cursor<Row>(upTo(3)));
    t.deepEqual(await cursor.read(2), [{ n: 1 }, { n: 2 }]);
    await t.throwsAsync(async () => db.query('SELECT 1'), { code: 'ERR_LEASEHOLD_CONNECTION_BUSY' });
    t.deepEqual(await cursor.read(2), [{ n: 3 }]);
    t.deepEqual(await cursor.read(2), []);
    t.is(await firstOf(db, 'SELECT 1'), 1);
    const closed = db.query(new Cursor<Row>(upTo(3)));
    await closed.read(1);
    await closed.close();
    t.is(await firstOf(db, 'SELECT 2'), 2);
  });
});

test('a cursor that has failed, or is being closed, does not need its reader any more', async (t) => {
  await poolOn(t, url).withConnection(async (db) => {
    await t.throwsAsync(db.query(new Cursor('SELECT nonsense')).read(1), { code: '42703' });
    t.is(await firstOf(db, 'SELECT 1'), 1);
    const closing = db.query(new Cursor<Row>(upTo(3)));
    await closing.read(1);
    const closed = closing.close();
    t.is(await firstOf(db, 'SELECT 2'), 2);
    await closed;
  });
});

test('wrong arguments are refused with a code', async (t) => {
  await poolOn(t, url).withConnection(async (db) => {
    const options = { code: 'ERR_LEASEHOLD_OPTIONS' };
    for (const wrong of [{ batch: 0 }, { batch: 1.5 }, { rowMode: 'object' }, { signal: 'none' }, { size: 5 }]) {
      t.throws(() => db.iterate('SELECT 1', [], wrong as never), options, JSON.stringify(wrong));
    }
    t.throws(() => db.iterate({ text: 'SELECT 1' } as never), options);
    await t.throwsAsync(async () => db.iterate('SELECT $1', 'hunter2' as never).next(), {
      ...options,
      message: /^((?!hunter2).)*$/s,
    });
    t.is(await firstOf(db, 'SELECT 1'), 1);
  });
});
