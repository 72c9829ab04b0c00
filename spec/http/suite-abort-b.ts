import test from 'ava';
import { gate } from '../support/gate.ts';
import { namesIn, openItems } from '../support/items.ts';
import type { Framework } from './frameworks-b.ts';
import { eventually, held, insertHere, isIdle, rawClient, rawRequest, rejection } from './support-b.ts';

/** What statements and waits throw when the client is gone. */
function isAbort(error: unknown): boolean {
  return (error as { code?: unknown }).code === 'ABORT_ERR';
}

/** What is to happen at once may take a busy machine seconds. */
const patient = { acquireTimeout: 20_000 };

/** What must hold of a client that goes away, whatever the framework. */
export function abortSuite(framework: Framework): void {
  const { name } = framework;

  test(`${name}: a client that is gone before the scope is opened costs no connection`, async (t) => {
    const pool = await openItems(t, { ...patient, max: 1 });
    const [coming, gone] = [gate(), gate()];
    const refused = gate<Error>();
    const before = () => {
      coming.open();
      return gone.passed;
    };
    const site = await framework.serve(t, pool, { before }, async () => {
      refused.open(await rejection(pool.connection()));
      return 'nobody hears';
    });
    const closed = site.closed();
    const client = await rawRequest(t, site, 'GET', '/');
    await coming.passed;
    client.abort();
    await closed;
    gone.open();
    t.true(isAbort(await refused.passed));
    await isIdle(t, pool);
  });

  for (const eager of [false, true]) {
    test(`${name}: a client that goes away while its request waits for a connection${eager ? ' before the handler' : ''} no longer waits`, async (t) => {
      const pool = await openItems(t, { ...patient, max: 1 });
      const refused = gate<Error>();
      let calls = 0;
      const site = await framework.serve(t, pool, { eager }, async () => {
        calls++;
        refused.open(await rejection(pool.connection()));
        return 'nobody hears';
      });
      const db = await pool.acquire();
      const client = await rawRequest(t, site, 'GET', '/');
      await eventually(() => pool.stats().waiting === 1);
      client.abort();
      await eventually(() => pool.stats().waiting === 0);
      t.is(pool.stats().leased, 1);
      if (!eager) t.true(isAbort(await refused.passed));
      t.is(calls, eager ? 0 : 1);
      if (eager) await eventually(() => site.errors.some(isAbort));
      db.close();
      await isIdle(t, pool);
    });
  }

  test(`${name}: a client that goes away in the middle of what it sends gives the connection back`, async (t) => {
    const pool = await openItems(t, { ...patient, max: 1 });
    const refused = gate<Error>();
    const site = await framework.serve(t, pool, { eager: true }, async ({ body }) => {
      const error = await rejection(body());
      refused.open(error);
      throw error;
    });
    const client = await rawClient(t, site);
    client.send('POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf of');
    await eventually(() => held(pool).length === 1);
    client.abort();
    t.true((await refused.passed) instanceof Error);
    await isIdle(t, pool);
  });

  test(`${name}: a handler that goes on when its client is gone has no connection any more`, async (t) => {
    const pool = await openItems(t, { ...patient, max: 1 });
    const [begun, gone] = [gate(), gate()];
    const refusals: unknown[] = [];
    const over = gate();
    const site = await framework.serve(t, pool, {}, async () => {
      const db = await pool.connection();
      const insert = pool.db.prepare("INSERT INTO item VALUES ('late')");
      begun.open();
      await gone.passed;
      const attempts = [
        () => db.prepare('SELECT 1').get(),
        () => insert.run(),
        () => pool.db.prepare('SELECT 1').get(),
      ];
      for (const attempt of attempts) refusals.push(t.throws(attempt)?.message);
      refusals.push((await rejection(pool.connection())).message);
      over.open();
      return 'nobody hears';
    });
    const client = await rawRequest(t, site, 'GET', '/');
    await begun.passed;
    client.abort();
    // While the handler hangs.
    await isIdle(t, pool);
    t.is((await pool.get<{ n: number }>('SELECT 1 AS n'))?.n, 1);
    gone.open();
    await over.passed;
    t.is(refusals.length, 4);
    t.deepEqual(await namesIn(pool), []);
    await isIdle(t, pool);
  });

  test(`${name}: the transaction of a client that is gone is undone at once, while its handler hangs`, async (t) => {
    const pool = await openItems(t, patient);
    const [begun, gone] = [gate(), gate()];
    const late = gate<unknown>();
    const site = await framework.serve(t, pool, { transactional: {} }, async () => {
      insertHere(pool, 'undone');
      begun.open();
      await gone.passed;
      late.open(t.throws(() => insertHere(pool, 'late')));
      return 'nobody hears';
    });
    const client = await rawRequest(t, site, 'POST', '/');
    await begun.passed;
    t.is(pool.stats().laneHeld, 1);
    client.abort();
    // Its turn comes although the handler has not moved.
    await pool.run("INSERT INTO item VALUES ('next')");
    await isIdle(t, pool);
    gone.open();
    t.true((await late.passed) instanceof Error);
    t.deepEqual(await namesIn(pool), ['next']);
    await eventually(() => site.errors.some(isAbort));
    await isIdle(t, pool);
  });

  test(`${name}: a transaction that waits for its turn to write no longer does so when its client is gone`, async (t) => {
    const pool = await openItems(t, patient);
    const site = await framework.serve(t, pool, { transactional: {} }, async () => {
      t.fail('It has begun');
      return 'nobody hears';
    });
    const client = gate();
    const writing = pool.transaction(() => client.passed);
    const other = await rawRequest(t, site, 'POST', '/');
    await eventually(() => pool.stats().laneWaiting === 1);
    other.abort();
    await eventually(() => pool.stats().laneWaiting === 0);
    t.is(pool.stats().laneHeld, 1);
    client.open();
    await writing;
    await isIdle(t, pool);
  });

  test(`${name}: a client that stops reading a stream and goes away ends the stream and the scope`, async (t) => {
    const pool = await openItems(t, { ...patient, max: 1 });
    const ended = gate();
    let pieces = 0;
    const endless = async function* endless() {
      try {
        for (;;) {
          pieces++;
          yield pool.db.prepare("SELECT printf('%.*c', 65536, 'x')").pluck().get() as string;
        }
      } finally {
        ended.open();
      }
    };
    const site = await framework.serve(t, pool, { eager: true }, async () => {
      return { pieces: endless() };
    });
    const client = await rawRequest(t, site, 'GET', '/');
    await client.read(/200 OK[\s\S]*xxxx/);
    t.is(held(pool).length, 1);
    client.abort();
    await ended.passed;
    await isIdle(t, pool);
    t.true(pieces > 0);
    t.is(pool.stats().counters.dirty, 0);
  });

  test(`${name}: a client that goes away with a response that is complete but not read gives the connection back`, async (t) => {
    const pool = await openItems(t, { ...patient, max: 1 });
    const site = await framework.serve(t, pool, { eager: true }, async () => 'x'.repeat(2 ** 25));
    const closed = site.closed();
    const client = await rawRequest(t, site, 'GET', '/');
    await client.read(/200 OK/);
    client.abort();
    await closed;
    await isIdle(t, pool);
    t.false(site.errors.some(isAbort));
  });

  test(`${name}: one socket serves request after request, each with a scope of its own`, async (t) => {
    const pool = await openItems(t, { ...patient, max: 1 });
    const { acquired } = pool.stats().counters;
    const site = await framework.serve(t, pool, {}, async () => {
      await pool.connection();
      return `scope ${pool.leases()[0]?.scope};`;
    });
    const client = await rawClient(t, site);
    const line = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n';
    client.send(line);
    await client.read(/scope \d+;/);
    // In one piece.
    client.send(line.repeat(3));
    const all = await client.read(/(?:scope \d+;[\s\S]*){4}/);
    t.is(new Set(all.match(/scope \d+;/g)).size, 4);
    await isIdle(t, pool);
    t.is(pool.stats().counters.acquired, acquired + 4);
  });
}
