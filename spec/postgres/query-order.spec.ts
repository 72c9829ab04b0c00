import { AsyncLocalStorage } from 'node:async_hooks';
import { execFile } from 'node:child_process';
import { extname } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { postgresUrl } from '../support/postgres.ts';
import { clientOn, firstOf, poolOn, running } from '../support/postgres-handle.ts';

const url = await postgresUrl();

test('calls that are not awaited run in the order they were made, on whichever handle of the connection', async (t) => {
  const pool = poolOn(t, url);
  await pool.query('CREATE TABLE ordered (id serial, n int)');
  await pool.withConnection(async (db) => {
    const calls: Promise<unknown>[] = [];
    for (let n = 0; n < 60; n += 3) {
      calls.push(db.query('INSERT INTO ordered (n) VALUES ($1)', [n]));
      calls.push(pool.db.query({ name: 'insert', text: 'INSERT INTO ordered (n) VALUES ($1)', values: [n + 1] }));
      calls.push(db.query(`INSERT INTO ordered (n) VALUES (${n + 2})`));
    }
    await Promise.all(calls);
    const { rows } = await db.query('SELECT n FROM ordered ORDER BY id');
    t.deepEqual(
      rows.map(({ n }) => n),
      Array.from({ length: 60 }, (_, n) => n),
    );
  });
});

test('one that fails in the middle leaves those around it as they are', async (t) => {
  await poolOn(t, url).withConnection(async (db) => {
    const outcomes = await Promise.allSettled([
      db.query('SELECT 1 AS n'),
      db.query('SELECT nonsense'),
      db.query('SELECT $1::int AS n', ['x']),
      db.query('SELECT 2 AS n; SELECT nonsense'),
      db.query({ name: 'named', text: 'SELECT 3 AS n' }),
    ]);
    t.deepEqual(
      outcomes.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value.rows[0]?.n : outcome.reason.code)),
      [1, '42703', '22P02', '42703', 3],
    );
  });
});

test('what is queued when the lease ends never reaches the server', async (t) => {
  const [client, pool] = [await clientOn(t, url), poolOn(t, url)];
  await client.query('CREATE TABLE never (n int); SELECT pg_advisory_lock(1)');
  const outcomes: Promise<unknown>[] = [];
  await pool.withConnection(async (db) => {
    outcomes.push(t.throwsAsync(db.query('SELECT pg_advisory_xact_lock(1)'), { code: 'ERR_LEASEHOLD_SCOPE_ENDED' }));
    outcomes.push(t.throwsAsync(db.query('INSERT INTO never VALUES (1)'), { code: 'ERR_LEASEHOLD_SCOPE_ENDED' }));
    await running(client, 'SELECT pg_advisory_xact_lock(1)');
  });
  await Promise.all(outcomes);
  await client.query('SELECT pg_advisory_unlock(1)');
  t.is(await firstOf(pool, 'SELECT count(*)::int FROM never'), 0);
});

test('what is asked for after the end of the lease is refused, in every form', async (t) => {
  const pool = poolOn(t, url);
  const db = await pool.acquire();
  db.release();
  const released = { code: 'ERR_LEASEHOLD_RELEASED' };
  await t.throwsAsync(async () => db.query('SELECT 1'), released);
  await t.throwsAsync(async () => db.query({ text: 'SELECT 1' }), released);
  await t.throwsAsync(
    () => new Promise((_, reject) => db.query('SELECT 1', (error) => reject(error as Error))),
    released,
  );
  await t.throwsAsync(async () => db.iterate('SELECT 1').next(), released);
  await t.throwsAsync(db.listen('channel'), released);
  t.throws(() => db.on('notice', () => {}), released);
  t.false(db.open);
  t.false(db.inTransaction);
});

test('promises and callbacks go on in the context of who has asked', async (t) => {
  const storage = new AsyncLocalStorage<string>();
  const seen: (string | undefined)[] = [];
  await poolOn(t, url).withConnection(async (db) => {
    await Promise.all(
      ['a', 'b', 'c'].map((name) =>
        storage.run(name, async () => {
          const { promise, resolve } = Promise.withResolvers<void>();
          db.query('SELECT 1', () => {
            seen.push(storage.getStore());
            resolve();
          });
          await db.query('SELECT 2');
          seen.push(storage.getStore());
          await promise;
        }),
      ),
    );
  });
  t.deepEqual(
    seen.map(String).toSorted((a, b) => a.localeCompare(b)),
    ['a', 'a', 'b', 'b', 'c', 'c'],
  );
});

const extension = extname(import.meta.url);
const library = ['index', 'postgres'].map((name) => new URL(`../../lib/${name}${extension}`, import.meta.url).href);
const program = `
  const { createPool } = await import(process.argv[2]);
  const { postgres } = await import(process.argv[3]);
  const pool = createPool(postgres(process.argv[1]), { max: 1 });
  const caught = [];
  process.on('uncaughtException', (error) => caught.push(error.message));
  await pool.withConnection(async (db) => {
    db.query('SELECT 1', () => { throw new Error('in the first'); });
    db.query('SELECT nonsense', () => { throw new Error('in the second'); });
    const { rows } = await db.query('SELECT 3 AS n');
    caught.push(rows[0].n);
  });
  await pool.close();
  console.log(JSON.stringify(caught));`;

test('what a callback throws is an uncaught exception, as with pg, and harms nobody else', async (t) => {
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--input-type=module',
    '--eval',
    program,
    url,
    ...library,
  ]);
  t.deepEqual(JSON.parse(stdout), ['in the first', 'in the second', 3]);
});
