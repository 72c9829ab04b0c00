import test from 'ava';
import { Client } from 'pg';
import { postgresUrl } from '../support/postgres.ts';
import { firstOf, pidOf, poolOn, running } from '../support/postgres-handle.ts';

// The whole process is held up, so one at a time.

const url = await postgresUrl();

const limit = 500;

/** Blocks the event loop for longer than the server has to answer in: when it goes on, the answer is there, and the deadline has passed. */
function standStill(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3 * limit);
}

/** A class of clients whose process stands still as soon as such a text was sent. */
function stallingAfter(expected: RegExp): typeof Client {
  return class extends Client {
    override query(...params: unknown[]): never {
      const [first] = params;
      const text = typeof first === 'string' ? first : (first as { readonly text?: unknown }).text;
      const result = Reflect.apply(super.query, this, params) as never;
      if (typeof text === 'string' && expected.test(text)) standStill();
      return result;
    }
  };
}

test.serial('a rollback that was answered while the process stood still does not cost the connection', async (t) => {
  const pool = poolOn(t, url, { cancelTimeout: limit, Client: stallingAfter(/^ROLLBACK TO/) });
  await pool.transaction(async (tx) => {
    const part = pool.transaction((inner) => inner.query('SELECT nonsense'));
    await t.throwsAsync(part, { code: '42703' });
    t.is(await firstOf(tx, 'SELECT 1'), 1);
  });
});

test.serial('a query that was ended while the process stood still does not cost the connection', async (t) => {
  const pool = poolOn(t, url, { cancelTimeout: limit });
  const client = new Client(url);
  await client.connect();
  t.teardown(() => client.end());
  await pool.withConnection(async (db) => {
    const pid = await pidOf(db);
    const abort = new AbortController();
    const sleeping = t.throwsAsync(db.query({ text: 'SELECT pg_sleep(600) /* still */', signal: abort.signal }), {
      code: 'ABORT_ERR',
    });
    await running(client, 'SELECT pg_sleep(600) /* still */');
    abort.abort();
    standStill();
    await sleeping;
    t.is(await pidOf(db), pid);
  });
});

test.serial('a connection that was made while the process stood still is used', async (t) => {
  class Connecting extends Client {
    override connect(...params: unknown[]): never {
      const result = Reflect.apply(super.connect, this, params) as never;
      this.connection.stream.once('connect', standStill);
      return result;
    }
  }
  const pool = poolOn(t, url, { connectTimeout: limit, Client: Connecting });
  t.is(await firstOf(pool, 'SELECT 1'), 1);
  t.is(pool.stats().counters.openErrors, 0);
});

test.serial('a connection that said while the process stood still that it is there is not opened anew', async (t) => {
  const pool = poolOn(t, url, { validateAfter: 1, Client: stallingAfter(/^$/) });
  const pid = await pidOf(pool);
  // Longer than it is trusted without being asked.
  standStill();
  t.is(await pidOf(pool), pid);
});
