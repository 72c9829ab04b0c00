import { AsyncLocalStorage } from 'node:async_hooks';
import test from 'ava';
import type { Notification } from 'pg';
import type { Inbox } from '../../lib/postgres.ts';
import { settled } from '../support/gate.ts';
import { postgresUrl } from '../support/postgres.ts';
import { clientOn, firstOf, leavings, pidOf, poolOn, until } from '../support/postgres-handle.ts';

const url = await postgresUrl();

async function payloads(inbox: Inbox, count: number): Promise<(string | undefined)[]> {
  const seen: (string | undefined)[] = [];
  while (seen.length < count) seen.push((await inbox.next()).value?.payload);
  return seen;
}

test('what is sent on a channel comes in, in order, with all that pg tells of it', async (t) => {
  const [client, pool] = [await clientOn(t, url), poolOn(t, url)];
  await pool.withConnection(async (db) => {
    const inbox = await db.listen('orders');
    t.is(inbox.channel, 'orders');
    await client.query(`NOTIFY orders; NOTIFY orders, 'a'; NOTIFY orders, 'ünï'; NOTIFY others, 'b'`);
    for (let n = 0; n < 100; n++) await client.query('SELECT pg_notify($1, $2)', ['orders', `${n}`]);
    t.deepEqual(await payloads(inbox, 3), ['', 'a', 'ünï']);
    t.deepEqual(
      await payloads(inbox, 100),
      Array.from({ length: 100 }, (_, n) => `${n}`),
    );
    await client.query(`NOTIFY orders, 'last'`);
    const { value } = await inbox.next();
    t.like(value, { channel: 'orders', payload: 'last', processId: (await pidOf(client)) as number });
  });
});

test('what the same connection sends comes in, too, once its transaction has committed', async (t) => {
  await poolOn(t, url).withConnection(async (db) => {
    const inbox = await db.listen('own');
    await db.query('BEGIN');
    await db.query(`NOTIFY own, 'undone'`);
    await db.query('ROLLBACK');
    await db.query(`NOTIFY own, 'done'`);
    t.deepEqual(await payloads(inbox, 1), ['done']);
  });
});

test('names of channels are taken as they are', async (t) => {
  const [client, pool] = [await clientOn(t, url), poolOn(t, url)];
  await pool.withConnection(async (db) => {
    for (const name of ['Upper', 'with blank', 'quote"d', '; DROP', 'ünï', 'x'.repeat(63)]) {
      const inbox = await db.listen(name);
      await client.query(`NOTIFY ${client.escapeIdentifier(name)}, 'x'`);
      t.deepEqual(await payloads(inbox, 1), ['x'], name);
      await inbox.return();
    }
    for (const wrong of ['', 'x'.repeat(64), 'ü'.repeat(32), 7, undefined]) {
      await t.throwsAsync(db.listen(wrong as string), { code: 'ERR_LEASEHOLD_OPTIONS' }, String(wrong));
    }
  });
});

test('two channels are two inboxes, and two inboxes of one channel each get everything', async (t) => {
  const [client, pool] = [await clientOn(t, url), poolOn(t, url)];
  await pool.withConnection(async (db) => {
    const [a, b, again] = [await db.listen('a'), await db.listen('b'), await db.listen('a')];
    await client.query(`NOTIFY a, '1'; NOTIFY b, '2'; NOTIFY a, '3'`);
    t.deepEqual(await payloads(b, 1), ['2']);
    t.deepEqual(await payloads(a, 2), ['1', '3']);
    t.deepEqual(await payloads(again, 2), ['1', '3']);
    await a.return();
    await client.query(`NOTIFY a, '4'; NOTIFY b, '5'`);
    t.deepEqual(await payloads(again, 1), ['4']);
    t.deepEqual(await payloads(b, 1), ['5']);
    await again.return();
    t.deepEqual(await firstOf(db, 'SELECT array_agg(c) FROM pg_listening_channels() AS c'), ['b']);
  });
});

test('several readers of one inbox share what comes in', async (t) => {
  const [client, pool] = [await clientOn(t, url), poolOn(t, url)];
  await pool.withConnection(async (db) => {
    const inbox = await db.listen('shared');
    const reading = Promise.all([1, 2, 3].map(() => inbox.next()));
    await client.query(`NOTIFY shared, '1'; NOTIFY shared, '2'; NOTIFY shared, '3'; NOTIFY shared, '4'`);
    t.deepEqual(
      (await reading).map(({ value }) => value?.payload),
      ['1', '2', '3'],
    );
    t.deepEqual(await payloads(inbox, 1), ['4']);
  });
});

test('to leave the loop ends the listening on the server, also for a second reader', async (t) => {
  const [client, pool] = [await clientOn(t, url), poolOn(t, url)];
  await pool.withConnection(async (db) => {
    const inbox = await db.listen('leaving');
    await client.query(`NOTIFY leaving, 'go'; NOTIFY leaving, 'stop'`);
    const seen: string[] = [];
    for await (const { payload = '' } of inbox) {
      seen.push(payload);
      if (payload === 'stop') break;
    }
    t.deepEqual(seen, ['go', 'stop']);
    t.is(await firstOf(db, 'SELECT count(*)::int FROM pg_listening_channels()'), 0);
    t.deepEqual(await inbox.next(), { done: true, value: undefined });
    const second = await db.listen('leaving');
    const waiting = second.next();
    await second[Symbol.asyncDispose]();
    t.deepEqual(await waiting, { done: true, value: undefined });
    await second.return();
  });
});

test('queries go on beside it', async (t) => {
  const pool = poolOn(t, url);
  await pool.withConnection(async (db) => {
    const inbox = await db.listen('beside');
    const reading = payloads(inbox, 20);
    for (let n = 0; n < 20; n++) await db.query('SELECT pg_notify($1, $2)', ['beside', `${n}`]);
    t.is((await reading).length, 20);
    await pool.transaction((tx) => tx.query(`NOTIFY beside, 'committed'`));
    t.deepEqual(await payloads(inbox, 1), ['committed']);
  });
});

test('the end of the lease ends the loop with an error, after what had come in', async (t) => {
  const pool = poolOn(t, url);
  const said = leavings(pool);
  const db = await pool.acquire();
  const pid = await pidOf(db);
  const [read, waiting] = [await db.listen('read'), await db.listen('waiting')];
  const released = { code: 'ERR_LEASEHOLD_RELEASED' };
  const next = t.throwsAsync(waiting.next(), released);
  await db.query(`NOTIFY read, 'before'`);
  await db[Symbol.asyncDispose]();
  await next;
  t.deepEqual(await payloads(read, 1), ['before']);
  await t.throwsAsync(read.next(), released);
  await read.return();
  await pool.withConnection(async (other) => {
    t.is(await pidOf(other), pid);
    t.is(await firstOf(other, 'SELECT count(*)::int FROM pg_listening_channels()'), 0);
  });
  t.deepEqual(said, []);
});

test('the loss of the connection ends the loop with an error', async (t) => {
  const [client, pool] = [await clientOn(t, url), poolOn(t, url)];
  const db = await pool.acquire();
  const inbox = await db.listen('lost');
  const reading = t.throwsAsync(inbox.next(), { code: 'ERR_LEASEHOLD_CONNECTION_LOST' });
  await client.query('SELECT pg_terminate_backend($1)', [await pidOf(db)]);
  await reading;
  await t.throwsAsync(inbox.next(), { code: 'ERR_LEASEHOLD_CONNECTION_LOST' });
  db.release();
  t.is(await firstOf(pool, 'SELECT 1'), 1);
});

test('notices and notifications are told to listeners in the context they were added in', async (t) => {
  const storage = new AsyncLocalStorage<string>();
  const pool = poolOn(t, url);
  const seen: unknown[] = [];
  await pool.withConnection(async (db) => {
    const note = ({ payload }: Notification): unknown => seen.push([storage.getStore(), payload]);
    storage.run('first', () => db.on('notification', note));
    storage.run('second', () =>
      pool.db.on('notification', note).on('notice', (n) => seen.push([storage.getStore(), n.message])),
    );
    await storage.run('sender', async () => {
      await db.query('LISTEN told');
      await db.query(`NOTIFY told, 'x'`);
      await db.query(`DO $$ BEGIN RAISE NOTICE 'careful'; END $$`);
    });
    t.deepEqual(seen.splice(0), [
      ['first', 'x'],
      ['second', 'x'],
      ['second', 'careful'],
    ]);
    db.off('notification', note);
    await db.query(`NOTIFY told, 'y'`);
    t.deepEqual(seen.splice(0), [['first', 'y']]);
    db.off('notification', () => {});
  });
});

test('listeners go with the lease: the next holder’s notices are nobody else’s', async (t) => {
  const [client, pool] = [await clientOn(t, url), poolOn(t, url)];
  const seen: unknown[] = [];
  const pid = await pool.withConnection(async (db) => {
    db.on('notice', (notice) => seen.push(notice.message));
    db.on('notification', ({ payload }) => seen.push(payload));
    await db.query('LISTEN once');
    return pidOf(db);
  });
  const others: unknown[] = [];
  await pool.withConnection(async (db) => {
    t.is(await pidOf(db), pid);
    db.on('notification', ({ payload }) => others.push(payload));
    await db.query('LISTEN once');
    await client.query(`NOTIFY once, 'second'`);
    await db.query(`DO $$ BEGIN RAISE NOTICE 'mine'; END $$`);
    await until(() => others.length > 0);
  });
  await settled();
  t.deepEqual(seen, []);
  t.deepEqual(others, ['second']);
});

test('LISTEN needs a connection that stays: without one it is refused', async (t) => {
  const pool = poolOn(t, url);
  const none = { code: 'ERR_LEASEHOLD_NO_CONNECTION' };
  await t.throwsAsync(pool.query('LISTEN nowhere'), none);
  await t.throwsAsync(pool.db.listen('nowhere'), none);
  t.throws(() => pool.db.on('notification', () => {}), none);
});

test('a listening that the server refuses is over, and leaves nothing', async (t) => {
  const pool = poolOn(t, url);
  await pool.withConnection(async (db) => {
    await db.query('BEGIN');
    await t.throwsAsync(db.query('SELECT nonsense'));
    await t.throwsAsync(db.listen('refused'));
    await db.query('ROLLBACK');
    t.is(await firstOf(db, 'SELECT count(*)::int FROM pg_listening_channels()'), 0);
  });
});
