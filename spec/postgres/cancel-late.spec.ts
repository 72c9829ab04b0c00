import { getEventListeners } from 'node:events';
import test from 'ava';
import { settled } from '../support/gate.ts';
import { postgresUrl } from '../support/postgres.ts';
import { firstOf, leavings, pidOf, poolOn } from '../support/postgres-handle.ts';

const url = await postgresUrl();

test('a cancel that comes too late never hits the query that follows', async (t) => {
  const pool = poolOn(t, url);
  const said = leavings(pool);
  const counts = { cancelled: 0, answered: 0 };
  await pool.withConnection(async (db) => {
    const pid = await pidOf(db);
    for (let round = 0; round < 60; round++) {
      const abort = new AbortController();
      // Queries of about the time that a cancel takes to arrive, so that it comes sometimes before and sometimes after.
      const short = db.query({ text: `SELECT pg_sleep(${(round % 10) / 4000})`, signal: abort.signal });
      const following = [db.query('SELECT $1::int AS n', [round]), db.query('SELECT pg_sleep(0.0005), 1 AS n')];
      abort.abort();
      await short.then(
        () => counts.answered++,
        () => counts.cancelled++,
      );
      const [first, second] = await Promise.all(following);
      t.deepEqual(first?.rows, [{ n: round }]);
      t.is(second?.rows[0]?.n, 1);
    }
    t.is(await pidOf(db), pid);
  });
  t.is(counts.cancelled, 60);
  t.deepEqual(said, []);
});

test('a cancel never hits the next holder', async (t) => {
  const pool = poolOn(t, url, { max: 2 });
  const said = leavings(pool);
  const workers = [1, 2, 3, 4].map(async (worker) => {
    for (let round = 0; round < 20; round++) {
      const abort = new AbortController();
      const call = pool.query(`SELECT pg_sleep(${((round + worker) % 8) / 4000})`, [], { signal: abort.signal });
      if (round % 2 === 0) setImmediate(() => abort.abort());
      else abort.abort();
      await call.catch((error: Error) => t.is(error.name, 'AbortError'));
      t.is(await firstOf(pool, 'SELECT $1::int FROM pg_sleep(0.0005)', [round]), round);
    }
  });
  await Promise.all(workers);
  t.deepEqual(said, []);
  t.like(pool.stats(), { leased: 0, waiting: 0 });
});

test('the timeout of a signal ends the query like any other abort', async (t) => {
  const pool = poolOn(t, url);
  const error = await t.throwsAsync(
    pool.withConnection((db) => db.query({ text: 'SELECT pg_sleep(600)', signal: AbortSignal.timeout(30) })),
    { name: 'AbortError' },
  );
  t.like(error?.cause, { name: 'TimeoutError' });
  t.is(await firstOf(pool, 'SELECT 1'), 1);
});

test('a signal that many queries have shared is left with no listener', async (t) => {
  const pool = poolOn(t, url);
  const { signal } = new AbortController();
  const warned: Error[] = [];
  const note = (warning: Error): unknown => warned.push(warning);
  process.on('warning', note);
  t.teardown(() => void process.off('warning', note));
  await pool.withConnection(async (db) => {
    await Promise.all(Array.from({ length: 40 }, () => db.query({ text: 'SELECT 1', signal })));
    await t.throwsAsync(db.query({ text: 'SELECT nonsense', signal }));
  });
  t.is(getEventListeners(signal, 'abort').length, 0);
  await settled();
  t.false(warned.some(({ name }) => name === 'MaxListenersExceededWarning'));
});
