import test from 'ava';
import { settled } from '../support/gate.ts';
import { postgresUrl } from '../support/postgres.ts';
import { clientOn, firstOf, leavings, pidOf, poolOn, recording, running, until } from '../support/postgres-handle.ts';

const url = await postgresUrl();
const aborted = { name: 'AbortError', code: 'ABORT_ERR' };

const stateOf = 'SELECT state FROM pg_stat_activity WHERE pid = $1';

/** Runs for as long as it is not ended. `mark` tells it from those of other tests. */
const endless = (mark: string): string => `SELECT pg_sleep(600) /* ${mark} */`;

test('a query whose signal is aborted already never reaches the server, and does not wait for its turn', async (t) => {
  const { Recorder, texts } = recording();
  const client = await clientOn(t, url);
  const pool = poolOn(t, url, { Client: Recorder });
  const reason = new Error('enough');
  const abort = new AbortController();
  await pool.withConnection(async (db) => {
    const before = t.throwsAsync(db.query({ text: endless('before'), signal: abort.signal }), aborted);
    await running(client, endless('before'));
    const signal = AbortSignal.abort(reason);
    const error = await t.throwsAsync(db.query({ text: 'SELECT 1', signal }), aborted);
    t.is(error?.cause, reason);
    await t.throwsAsync(db.iterate('SELECT 1', [], { signal }).next());
    abort.abort();
    await before;
    t.is(await firstOf(db, 'SELECT 2'), 2);
  });
  t.deepEqual(texts, [endless('before'), 'SELECT 2']);
});

test('a queued query whose signal is aborted is refused at once, and never reaches the server', async (t) => {
  const { Recorder, texts } = recording();
  const client = await clientOn(t, url);
  const pool = poolOn(t, url, { Client: Recorder });
  const [first, second] = [new AbortController(), new AbortController()];
  await pool.withConnection(async (db) => {
    const before = t.throwsAsync(db.query({ text: endless('queue'), signal: first.signal }), aborted);
    const queued = t.throwsAsync(db.query({ text: 'SELECT 1', signal: second.signal }), aborted);
    const after = firstOf(db, 'SELECT 2');
    await running(client, endless('queue'));
    second.abort();
    await queued;
    first.abort();
    await before;
    t.is(await after, 2);
  });
  t.deepEqual(texts, [endless('queue'), 'SELECT 2']);
});

test('a query under way is ended on the server, and its connection is good for the next one', async (t) => {
  const [client, pool] = [await clientOn(t, url), poolOn(t, url)];
  const said = leavings(pool);
  await pool.withConnection(async (db) => {
    const pid = await pidOf(db);
    for (const form of ['text', 'values', 'name'] as const) {
      const abort = new AbortController();
      const mark = endless(`under way as ${form}`);
      const config = { text: form === 'text' ? mark : mark.replace('600', '$1'), signal: abort.signal };
      const values = form === 'text' ? [] : [600];
      const waiting = t.throwsAsync(
        db.query({ ...config, ...(form === 'name' && { name: 'named' }) }, values),
        aborted,
      );
      t.is(await running(client, config.text), pid as number);
      abort.abort();
      await waiting;
      // Told only when the server has come to its end.
      t.is(await firstOf(client, stateOf, [pid]), 'idle');
      t.is(await pidOf(db), pid);
    }
  });
  t.deepEqual(said, []);
});

test('an abort after the answer changes nothing', async (t) => {
  const pool = poolOn(t, url);
  await pool.withConnection(async (db) => {
    for (let round = 0; round < 20; round++) {
      const abort = new AbortController();
      const { rows } = await db.query({ text: 'SELECT 1 AS n', signal: abort.signal });
      abort.abort();
      t.deepEqual(rows, [{ n: 1 }]);
      t.is(await firstOf(db, 'SELECT 2'), 2);
    }
  });
});

test('the signal of a scope ends what runs in it, on every handle, and the connection goes back clean', async (t) => {
  const [client, pool] = [await clientOn(t, url), poolOn(t, url)];
  const abort = new AbortController();
  const pid = await pidOf(pool);
  const scope = pool.withConnection(
    async (db) => {
      await db.query(`SET work_mem = '1MB'; BEGIN`);
      const calls = [db.query(endless('scope')), db.query('SELECT 1'), pool.query('SELECT 2')];
      const outcomes = await Promise.allSettled(calls);
      for (const outcome of outcomes) t.like(outcome, { status: 'rejected', reason: { name: 'AbortError' } });
      await t.throwsAsync(async () => db.query('SELECT 3'), aborted);
      await db.query('SELECT 4');
    },
    { signal: abort.signal },
  );
  await running(client, endless('scope'));
  abort.abort();
  await t.throwsAsync(scope, aborted);
  t.is(await firstOf(pool, 'SHOW work_mem'), '4MB');
  t.is(await pidOf(pool), pid);
});

test('the signal of a transaction rolls it back, and the signal of a call only ends that call', async (t) => {
  const [client, pool] = [await clientOn(t, url), poolOn(t, url)];
  await pool.query('CREATE TABLE noted (n int)');
  const abort = new AbortController();
  const undone = pool.transaction(
    async (tx) => {
      await tx.query('INSERT INTO noted VALUES (1)');
      await tx.query(endless('transaction'));
    },
    { signal: abort.signal },
  );
  await running(client, endless('transaction'));
  abort.abort();
  await t.throwsAsync(undone, aborted);
  await pool.transaction(async (tx) => {
    await tx.query('INSERT INTO noted VALUES (2)');
    const call = new AbortController();
    await t.throwsAsync(
      pool.transaction(async (part) => {
        const waiting = part.query({ text: endless('part'), signal: call.signal });
        await running(client, endless('part'));
        call.abort();
        await waiting;
      }),
      aborted,
    );
    await tx.query('INSERT INTO noted VALUES (3)');
  });
  t.deepEqual((await pool.query('SELECT n FROM noted ORDER BY n')).rows, [{ n: 2 }, { n: 3 }]);
});

test('pool.query passes its signal on to the server', async (t) => {
  const [client, pool] = [await clientOn(t, url), poolOn(t, url)];
  const abort = new AbortController();
  const waiting = t.throwsAsync(pool.query(endless('pool'), [], { signal: abort.signal }), aborted);
  await running(client, endless('pool'));
  abort.abort();
  await waiting;
  t.is(await firstOf(pool, 'SELECT 1'), 1);
  t.like(pool.stats(), { size: 1, idle: 1 });
});

test('a reader of rows is told of the abort, between two batches and in the middle of one', async (t) => {
  const [client, pool] = [await clientOn(t, url), poolOn(t, url)];
  const said = leavings(pool);
  await pool.withConnection(async (db) => {
    const pid = await pidOf(db);
    const between = new AbortController();
    let seen = 0;
    const reading = async () => {
      for await (const _ of db.iterate('SELECT generate_series(1, 1000)', [], { batch: 2, signal: between.signal })) {
        if (++seen === 3) between.abort();
      }
    };
    await t.throwsAsync(reading, aborted);
    t.true(seen <= 4, `${seen}`);
    t.is(await pidOf(db), pid);
    const slowly = new AbortController();
    const reader = async () => {
      for await (const _ of db.iterate('SELECT generate_series(1, 10000)', [], { batch: 50, signal: slowly.signal })) {
        if (++seen < 10) continue;
        slowly.abort();
        await until(async () => (await firstOf(client, stateOf, [pid])) === 'idle');
        await settled();
      }
    };
    seen = 0;
    await t.throwsAsync(reader, aborted);
    t.is(seen, 10);
    const within = new AbortController();
    const rows = db.iterate(endless('rows'), [], { signal: within.signal });
    const next = t.throwsAsync(rows.next(), aborted);
    await running(client, endless('rows'));
    within.abort();
    await next;
    t.is(await pidOf(db), pid);
  });
  t.deepEqual(said, []);
});

test('many connections are freed by one abort, each for its next query', async (t) => {
  const [client, pool] = [await clientOn(t, url), poolOn(t, url, { max: 12 })];
  const abort = new AbortController();
  const scopes = Array.from({ length: 12 }, (_, n) =>
    pool.withConnection(async (db) => {
      const pid = await pidOf(db);
      const calls = [1, 2, 3].map(() => db.query({ text: endless(`many ${n}`), signal: abort.signal }));
      const outcomes = await Promise.allSettled(calls);
      t.true(outcomes.every(({ status }) => status === 'rejected'));
      t.is(await pidOf(db), pid);
    }),
  );
  for (let n = 0; n < 12; n++) await running(client, endless(`many ${n}`));
  abort.abort();
  await Promise.all(scopes);
  t.like(pool.stats(), { size: 12, idle: 12 });
});
