import { once } from 'node:events';
import test from 'ava';
import type { SqlitePool } from '../../lib/index.ts';
import { gate } from '../support/gate.ts';
import { namesIn, openItems } from '../support/items.ts';
import {
  allEnded,
  eventually,
  type Framework,
  insertHere,
  isIdle,
  rawClient,
  rawRequest,
  rejection,
  watchScopes,
} from './support.ts';

const aborted = { name: 'AbortError', code: 'ABORT_ERR' };

/** Nothing was left behind that would be reported. */
function isClean(pool: SqlitePool): boolean {
  return pool.stats().counters.dirty === 0;
}

/** What is to happen at once may take a busy machine seconds. */
const patient = { acquireTimeout: 20_000 };

/** What must hold of a client that goes away, whatever the framework. */
export function abortSuite(framework: Framework): void {
  const { name } = framework;

  test(`${name}: a client that was gone before the scope was opened gets none of the pool's connections`, async (t) => {
    const pool = await openItems(t, { ...patient, max: 1 });
    const { watched, scopes } = watchScopes(pool);
    const [coming, gone, refused] = [gate(), gate(), gate<Error>()];
    const before = () => {
      coming.open();
      return gone.passed;
    };
    const site = await framework.serve(t, watched, { before }, async () => {
      refused.open(await rejection(pool.connection()));
      return 'nobody hears';
    });
    const closed = once(site.server, 'request').then(([, response]) => once(response, 'close'));
    const client = await rawRequest(t, site, 'GET', '/');
    await coming.passed;
    client.abort();
    await closed;
    gone.open();
    t.like(await refused.passed, aborted);
    t.true(scopes[0]?.aborted);
    await allEnded(scopes, 1);
    await isIdle(t, pool);
  });

  for (const eager of [false, true]) {
    test(`${name}: who waits for a connection${eager ? ' before the handler' : ''} waits no longer when its client is gone`, async (t) => {
      const pool = await openItems(t, { ...patient, max: 1 });
      const refused = gate<Error>();
      const site = await framework.serve(t, pool, { eager }, async () => {
        refused.open(await rejection(pool.connection()));
        return 'nobody hears';
      });
      const db = await pool.acquire();
      const client = await rawRequest(t, site, 'GET', '/');
      await eventually(() => pool.stats().waiting === 1);
      client.abort();
      await eventually(() => pool.stats().waiting === 0);
      if (!eager) t.like(await refused.passed, aborted);
      t.is(pool.stats().counters.aborted, 1);
      db.close();
      await isIdle(t, pool);
    });
  }

  test(`${name}: a client that goes away in its own body ends the scope while the handler waits for the rest`, async (t) => {
    const pool = await openItems(t, { ...patient, max: 1 });
    const { watched, scopes } = watchScopes(pool);
    const begun = gate();
    const site = await framework.serve(t, watched, { eager: true }, async ({ request }) => {
      request.on('error', () => {});
      request.once('data', () => begun.open());
      await new Promise(() => {});
    });
    const client = await rawClient(t, site);
    client.send('POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf of');
    await begun.passed;
    client.abort();
    await allEnded(scopes, 1);
    t.true(scopes[0]?.aborted);
    await isIdle(t, pool);
    t.true(isClean(pool));
  });

  test(`${name}: a handler that goes on without its client has neither connection nor transaction`, async (t) => {
    const pool = await openItems(t, { ...patient, max: 1 });
    const [begun, gone, over] = [gate(), gate(), gate()];
    const site = await framework.serve(t, pool, {}, async () => {
      const db = await pool.connection();
      db.exec("BEGIN; INSERT INTO item VALUES ('undone')");
      begun.open();
      await gone.passed;
      t.throws(() => db.prepare('SELECT 1').get());
      t.throws(() => pool.db.exec('COMMIT'));
      await t.throwsAsync(pool.connection());
      over.open();
    });
    const client = await rawRequest(t, site, 'GET', '/');
    await begun.passed;
    client.abort();
    // While the handler hangs.
    await isIdle(t, pool);
    await pool.run("INSERT INTO item VALUES ('next')");
    gone.open();
    await over.passed;
    t.deepEqual(await namesIn(pool), ['next']);
    await isIdle(t, pool);
  });

  test(`${name}: a statement in a transaction throws when the client is gone, so the transaction is rolled back`, async (t) => {
    const pool = await openItems(t, patient);
    const { watched, scopes } = watchScopes(pool);
    const [begun, gone] = [gate(), gate()];
    const outcome = gate<Error>();
    const site = await framework.serve(t, watched, {}, async () => {
      const writing = pool.transaction(async (tx) => {
        tx.prepare("INSERT INTO item VALUES ('undone')").run();
        begun.open();
        await gone.passed;
        tx.prepare("INSERT INTO item VALUES ('late')").run();
      });
      outcome.open(await rejection(writing));
    });
    const client = await rawRequest(t, site, 'POST', '/');
    await begun.passed;
    client.abort();
    await allEnded(scopes, 1);
    gone.open();
    t.true((await outcome.passed) instanceof Error);
    await isIdle(t, pool);
    t.deepEqual(await namesIn(pool), []);
  });

  for (const bound of [true, false]) {
    // Of a scope that has no connection, a transaction has its own, and goes on as long as its function does.
    const where = bound ? 'on the connection of the scope' : 'on a connection of its own';
    test(`${name}: a transaction ${where} whose function hangs is rolled back when the client is gone`, async (t) => {
      const pool = await openItems(t, patient);
      const begun = gate();
      const site = await framework.serve(t, pool, { eager: bound }, () =>
        pool.transaction(async () => {
          insertHere(pool, 'undone');
          begun.open();
          await new Promise(() => {});
        }),
      );
      const client = await rawRequest(t, site, 'POST', '/');
      await begun.passed;
      client.abort();
      await pool.run("INSERT INTO item VALUES ('next')");
      t.deepEqual(await namesIn(pool), ['next']);
      await isIdle(t, pool);
    });
  }

  test(`${name}: a transactional handler that hangs is rolled back at once, and others may write`, async (t) => {
    const pool = await openItems(t, patient);
    const begun = gate();
    const site = await framework.serve(t, pool, { transactional: {} }, async () => {
      insertHere(pool, 'undone');
      begun.open();
      await new Promise(() => {});
    });
    const client = await rawRequest(t, site, 'POST', '/');
    await begun.passed;
    t.is(pool.stats().laneHeld, 1);
    client.abort();
    await pool.run("INSERT INTO item VALUES ('next')");
    t.deepEqual(await namesIn(pool), ['next']);
    await isIdle(t, pool);
    t.true(isClean(pool));
    t.deepEqual(site.errors, []);
  });

  test(`${name}: a transactional handler that fails because its client is gone fails as any other does`, async (t) => {
    const pool = await openItems(t, patient);
    const [begun, gone] = [gate(), gate()];
    const failure = new Error('given up');
    const over = gate();
    const site = await framework.serve(t, pool, { transactional: {} }, async () => {
      begun.open();
      await gone.passed;
      t.throws(() => insertHere(pool, 'late'));
      over.open();
      throw failure;
    });
    const client = await rawRequest(t, site, 'POST', '/');
    await begun.passed;
    client.abort();
    await isIdle(t, pool);
    gone.open();
    await over.passed;
    await eventually(() => site.errors.length > 0);
    t.deepEqual(site.errors, [failure]);
    t.deepEqual(await namesIn(pool), []);
  });

  test(`${name}: a transaction that waits for its turn to write no longer does when its client is gone`, async (t) => {
    const pool = await openItems(t, patient);
    const site = await framework.serve(t, pool, { transactional: {} }, () => t.fail('It has begun'));
    const other = gate();
    const writing = pool.transaction(() => other.passed);
    const client = await rawRequest(t, site, 'POST', '/');
    await eventually(() => pool.stats().laneWaiting === 1);
    client.abort();
    await eventually(() => pool.stats().laneWaiting === 0);
    other.open();
    await writing;
    await isIdle(t, pool);
  });
}
