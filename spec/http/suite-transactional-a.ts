import { once } from 'node:events';
import { Readable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import test from 'ava';
import type { SqlitePool } from '../../lib/index.ts';
import { gate } from '../support/gate.ts';
import { namesIn, openItems } from '../support/items.ts';
import { eventually, type Framework, insertHere, isIdle, rawRequest } from './support.ts';

/** Leaves something that only COMMIT refuses. */
export async function spoilCommit(pool: SqlitePool): Promise<void> {
  await pool.run('INSERT INTO child VALUES (0)');
}

/** A pool with a table of which `spoilCommit` makes use. */
export async function openFamily(...parameters: Parameters<typeof openItems>): Promise<SqlitePool> {
  const pool = await openItems(...parameters);
  await pool.run('CREATE TABLE parent (id INTEGER PRIMARY KEY)');
  await pool.run('CREATE TABLE child (parent INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED)');
  return pool;
}

const post = { method: 'POST' };

/** What must hold of handlers in a transaction, whatever the framework. */
export function transactionalSuite(framework: Framework): void {
  const { name } = framework;

  test(`${name}: a transaction is committed before the client hears of it`, async (t) => {
    const pool = await openItems(t);
    let committed = 0;
    const site = await framework.serve(t, pool, { transactional: {} }, async () => {
      insertHere(pool, 'a');
      await pool.transaction((tx) => tx.prepare("INSERT INTO item VALUES ('b')").run());
      t.is((await pool.withConnection(() => namesIn(pool), { fresh: true })).length, committed);
      return 'kept';
    });
    for (let round = 1; round <= 5; round++) {
      const response = await fetch(site.url, post);
      // The headers have come, and perhaps no more.
      committed = (await namesIn(pool)).length;
      t.is(committed, 2 * round);
      t.is(await response.text(), 'kept');
    }
    await isIdle(t, pool);
  });

  test(`${name}: a handler that fails is rolled back, and the client hears of the failure`, async (t) => {
    const pool = await openItems(t);
    const site = await framework.serve(t, pool, { transactional: {} }, async ({ request: { url } }) => {
      insertHere(pool, 'undone');
      if (url === '/async') await pool.run("INSERT INTO item VALUES ('too')");
      throw new Error('wrong');
    });
    for (const path of ['sync', 'async']) t.is((await fetch(`${site.url}/${path}`, post)).status, 500);
    t.is(site.errors.length, 2);
    t.deepEqual(await namesIn(pool), []);
    await isIdle(t, pool);
  });

  for (const how of ['returned', 'ended'] as const) {
    test(`${name}: where the commit fails the client gets the failure, not the answer (${how})`, async (t) => {
      const pool = await openFamily(t);
      const site = await framework.serve(t, pool, { transactional: {} }, async ({ response }) => {
        insertHere(pool, 'undone');
        await spoilCommit(pool);
        if (how === 'returned') return 'done';
        response.statusCode = 201;
        response.setHeader('X-Answer', 'done');
        response.end('done');
        return undefined;
      });
      const response = await fetch(site.url, post);
      t.true(response.status >= 500, `${response.status}`);
      t.not(await response.text(), 'done');
      t.deepEqual(await namesIn(pool), []);
      await isIdle(t, pool);
    });
  }

  for (const [rollbackFrom, kept] of [
    [undefined, ['200', '404', '500']],
    [500, ['200', '404']],
    [400, ['200']],
  ] as const) {
    test(`${name}: rollbackFrom ${rollbackFrom} keeps what is answered with ${kept.join(', ')}`, async (t) => {
      const pool = await openItems(t);
      const site = await framework.serve(t, pool, { transactional: { rollbackFrom } }, ({ request, response }) => {
        const status = (request.url as string).slice(1);
        insertHere(pool, status);
        response.statusCode = Number(status);
        return Promise.resolve(`told ${status}`);
      });
      for (const status of ['200', '404', '500']) {
        const response = await fetch(`${site.url}/${status}`, post);
        t.is(`${response.status} ${await response.text()}`, `${status} told ${status}`);
      }
      t.deepEqual(await namesIn(pool), [...kept]);
      t.deepEqual(site.errors, []);
      await isIdle(t, pool);
    });
  }

  test(`${name}: a handler that answers in a callback, without a promise, is over when it has answered`, async (t) => {
    const pool = await openItems(t);
    const site = await framework.serve(t, pool, { transactional: {} }, ({ response }) => {
      insertHere(pool, 'kept');
      setImmediate(() => {
        response.setHeader('X-In', String(pool.db.inTransaction));
        response.end('later');
      });
      return once(response, 'close').then(() => {});
    });
    const response = await fetch(site.url, post);
    t.deepEqual(await namesIn(pool), ['kept']);
    t.is(response.headers.get('x-in'), 'true');
    t.is(await response.text(), 'later');
    await isIdle(t, pool);
  });

  test(`${name}: a handler may await the end of its own response`, async (t) => {
    const pool = await openItems(t);
    const site = await framework.serve(t, pool, { transactional: {} }, async ({ request: { url }, response }) => {
      insertHere(pool, url as string);
      if (url === '/callback') await new Promise<void>((resolve) => void response.end('done', resolve));
      if (url === '/finished') await finished(response.end('done'));
      if (url === '/pipeline') await pipeline(Readable.from(['do', 'ne']), response);
      return undefined;
    });
    const paths = ['/callback', '/finished', '/pipeline'];
    for (const path of paths) t.is(await (await fetch(site.url + path, post)).text(), 'done');
    t.deepEqual(await namesIn(pool), paths);
    await isIdle(t, pool);
  });

  test(`${name}: a body that was begun before a commit that fails is seen to be incomplete`, async (t) => {
    const pool = await openFamily(t);
    const site = await framework.serve(t, pool, { transactional: {} }, async ({ response }) => {
      response.write('begun');
      await spoilCommit(pool);
      response.end('over');
      return undefined;
    });
    await t.throwsAsync(async () => (await fetch(site.url, post)).text());
    await isIdle(t, pool);
  });

  test(`${name}: the second answer of a handler is refused, as without a transaction`, async (t) => {
    // Codes of errors, of which one is not the same in every Node.
    const told: unknown[] = [];
    for (const transactional of [undefined, {}]) {
      const pool = await openItems(t);
      const site = await framework.serve(
        t,
        pool,
        transactional === undefined ? {} : { transactional },
        ({ response }) => {
          response.end('first');
          t.true(response.headersSent);
          t.true(response.writableEnded);
          response.statusCode = 418;
          response.flushHeaders();
          t.throws(() => response.setHeader('Content-Length', 100), { code: 'ERR_HTTP_HEADERS_SENT' });
          t.throws(() => response.writeHead(500), { code: 'ERR_HTTP_HEADERS_SENT' });
          // Word for word what Node says, and when it says it.
          const late = gate<NodeJS.ErrnoException>();
          response.once('error', late.open);
          response.write('second');
          const again = gate<{ code?: string } | undefined>();
          response.end(again.open as () => void);
          return Promise.all([late.passed, again.passed]).then((errors) => {
            told.push(errors.map((error) => error?.code));
          });
        },
      );
      const response = await fetch(site.url, post);
      t.is(`${response.status} ${await response.text()}`, '200 first');
      await isIdle(t, pool);
    }
    await eventually(() => told.length === 2);
    t.deepEqual(told[1], told[0]);
  });

  test(`${name}: what a handler throws after its answer leaves answer and transaction alone`, async (t) => {
    const pool = await openItems(t);
    const { counters } = pool.stats();
    const site = await framework.serve(t, pool, { transactional: {} }, async ({ response }) => {
      insertHere(pool, 'kept');
      await new Promise<void>((resolve) => void response.end('answer', resolve));
      t.throws(() => insertHere(pool, 'late'), { code: 'ERR_LEASEHOLD_TRANSACTION_ENDED' });
      return undefined;
    });
    t.is(await (await fetch(site.url, post)).text(), 'answer');
    t.deepEqual(await namesIn(pool), ['kept']);
    t.is(pool.stats().counters.dirty, counters.dirty);
    await isIdle(t, pool);
  });

  test(`${name}: a write lane that does not come free in time is told, and the next request is served`, async (t) => {
    const pool = await openItems(t);
    const transactional = { timeout: 1 };
    const site = await framework.serve(t, pool, { transactional }, () => {
      insertHere(pool, 'kept');
      return Promise.resolve('done');
    });
    const [writing, other] = [gate(), gate()];
    const holder = pool.transaction(() => {
      writing.open();
      return other.passed;
    });
    await writing.passed;
    const refused = await fetch(site.url, post);
    t.is(refused.status, name === 'node:http' ? 503 : 500);
    await refused.text();
    other.open();
    await holder;
    const transactionless = await pool.all('SELECT * FROM item');
    t.deepEqual(transactionless, []);
    await isIdle(t, pool);
  });

  test(`${name}: a client that is gone when the handler answers takes nothing with it that others wait for`, async (t) => {
    const pool = await openItems(t);
    const [begun, gone] = [gate(), gate()];
    const site = await framework.serve(t, pool, { transactional: {} }, async ({ response }) => {
      insertHere(pool, 'undone');
      begun.open();
      await gone.passed;
      response.end('nobody hears');
      return undefined;
    });
    const client = await rawRequest(t, site, 'POST', '/');
    await begun.passed;
    client.abort();
    await eventually(() => pool.stats().laneHeld === 0);
    gone.open();
    t.deepEqual(await namesIn(pool), []);
    await isIdle(t, pool);
    t.deepEqual(site.errors, []);
  });
}
