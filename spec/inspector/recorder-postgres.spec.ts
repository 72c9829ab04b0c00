import { setTimeout as later } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import type { Report } from '../../lib/inspector/wire.ts';
import type { PostgresPool, PostgresPoolOptions } from '../../lib/postgres.ts';
import { gate } from '../support/gate.ts';
import { insertion, withItems } from '../support/postgres-items.ts';
import { Reader } from './support/reader.ts';
import { ask, here, inspect } from './support/serve.ts';

// The same of PostgreSQL, by the clock of the system: there is no write lane, and a statement takes time.

async function watched(t: ExecutionContext, options?: PostgresPoolOptions, showSql = false) {
  const { pool } = await withItems(t, options);
  const page = inspect(t, pool, { showSql });
  const reader = new Reader();
  const read = async (): Promise<Reader> => {
    const { after, server } = reader.place;
    const answer = await page(ask(after === undefined ? '/data' : `/data?after=${after}&server=${server}`), here);
    return reader.apply((await answer.json()) as Report);
  };
  await read();
  // The making of the table was before.
  const first = pool.stats().counters.released;
  /** Reads until it holds, which it does after a tick. */
  const until = async (isTold: () => boolean): Promise<Reader> => {
    while (!isTold()) {
      await later(20);
      await read();
    }
    return reader;
  };
  /** Reads until all that has been released is told. */
  const all = () => until(() => reader.sums().released >= pool.stats().counters.released - first);
  return { pool, page, reader, read, until, all };
}

const shapes: Readonly<Record<string, [run: (pool: PostgresPool) => Promise<unknown>, writes: number, reads: number]>> =
  {
    'a transaction': [(pool) => pool.transaction((db) => db.query(insertion, ['a'])), 1, 0],
    'a nested transaction': [
      (pool) => pool.transaction(async () => void (await pool.transaction((db) => db.query(insertion, ['b'])))),
      1,
      0,
    ],
    'a snapshot': [(pool) => pool.read((db) => db.query('SELECT 1')), 0, 1],
    'a statement': [(pool) => pool.query('SELECT 1'), 0, 0],
    'two transactions and a snapshot of one scope': [
      (pool) =>
        pool.withConnection(async () => {
          await pool.transaction((db) => db.query('SELECT 1'));
          await pool.read((db) => db.query('SELECT 1'));
          await pool.transaction((db) => db.query('SELECT 1'));
        }),
      2,
      1,
    ],
  };

for (const [what, [run, writes, reads]] of Object.entries(shapes)) {
  test(`${what} of PostgreSQL: spans of its lease`, async (t) => {
    const { pool, all } = await watched(t);
    await run(pool);
    const reader = await all();
    const [bar, ...others] = reader.bars();
    t.deepEqual(others, []);
    t.deepEqual([bar?.writes.length, bar?.reads.length], [writes, reads]);
    t.is(reader.state().lane, undefined);
  });
}

test('PostgreSQL: holders, waiters and the statement that ran last are told as they are', async (t) => {
  const { pool, read } = await watched(t, { max: 1 }, true);
  const [inside, done] = [gate(), gate()];
  const work = pool.transaction(
    async (db) => {
      await db.query('SELECT $1::text AS marker', ['bound value']);
      inside.open();
      await done.passed;
    },
    { label: 'holds' },
  );
  await inside.passed;
  const waiting = pool.query('SELECT 2', [], { label: 'waits' }).catch(() => {});
  const reader = await read();
  const { holders, waiters, leased } = reader.state();
  t.is(leased, 1);
  t.like(holders, [{ label: 'holds', mode: 'write', inTransaction: true, sql: 'SELECT $1::text AS marker' }]);
  t.is(holders[0]?.writes.length, 1);
  t.is(waiters.length, 1);
  t.false(JSON.stringify(reader.report).includes('bound value'));
  done.open();
  await Promise.all([work, waiting]);
});

test('PostgreSQL: errors that quote values are told without them', async (t) => {
  const secret = 'marker of values';
  const { pool, page, reader, until } = await watched(t, { leakThreshold: 1 });
  pool.on('release', () => {
    throw Object.assign(new Error(`duplicate key (${secret})`), { detail: secret, code: '23505' });
  });
  await pool.query(insertion, [secret]);
  // Key (name)=(marker of values) already exists.
  const error = await t.throwsAsync(pool.query(insertion, [secret]), { code: '23505' });
  t.true(JSON.stringify(error).includes(secret));
  await pool.query('SELECT $1::int', [secret]).catch(() => {});
  await pool.transaction((db) => db.query(insertion, [secret])).catch(() => {});
  await pool.withConnection(async (db) => {
    await db.query('BEGIN');
    await db.query(insertion, [secret]).catch(() => {});
  });
  await pool.withConnection((db) => db.query(`SET application_name = 'none'`));
  await until(() => reader.of().some(({ notes }) => notes.some(({ kind }) => kind === 'error')));
  let all = JSON.stringify(reader.report) + JSON.stringify(reader.ticks);
  for (let lease = 1; lease < 20; lease++)
    all += await (await page(ask(`/lease?pool=${pool.id}&lease=${lease}`), here)).text();
  t.false(all.includes(secret));
  t.regex(all, /"kind":"error"[^}]*Error \(23505\)/);
});

test('PostgreSQL: a connection that is lost while it is held is told, and its lease once', async (t) => {
  const { pool, all, reader } = await watched(t);
  await pool.withConnection(
    async (db) => {
      const { rows } = await db.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
      const end = (other: typeof db) => other.query('SELECT pg_terminate_backend($1)', [rows[0]?.pid]);
      await pool.withConnection(end, { fresh: true, label: 'cuts' });
      await t.throwsAsync(async () => {
        for (;;) await db.query('SELECT 1');
      });
    },
    { label: 'cut off' },
  );
  await all();
  t.is(reader.bars().filter(({ label }) => label === 'cut off').length, 1);
  t.true(reader.of().some(({ notes }) => notes.some(({ kind }) => kind === 'discard')));
  t.is(reader.state().connections.length, pool.stats().size);
});
