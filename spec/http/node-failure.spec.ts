import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import test from 'ava';
import { node, transactional } from '../../lib/http/node.ts';
import { gate } from '../support/gate.ts';
import { namesIn, openItems, refusal } from '../support/items.ts';
import {
  allEnded,
  insertHere,
  isIdle,
  labels,
  listening,
  rawRequest,
  rejection,
  serve,
  watchScopes,
} from './support.ts';

type Listener = (request: IncomingMessage, response: ServerResponse) => unknown;

/** Serves with a listener whose promise is looked at. */
async function observed(t: import('ava').ExecutionContext, listener: Listener) {
  const results: unknown[] = [];
  const server = createServer((request, response) => void results.push(listener(request, response)));
  return { site: await listening(t, server), results };
}

test('node: a request is labelled by method and path, without what is asked of it, or by its own label', async (t) => {
  const pool = await openItems(t);
  const tell: Listener = (_, response) => response.end(labels(pool).join());
  const plain = node(pool, tell, { eager: true });
  const own = node(pool, tell, { eager: true, label: ({ method }) => `${method} made` });
  const { url } = await serve(t, (request, response) => void (request.url === '/own' ? own : plain)(request, response));
  t.is(await (await fetch(`${url}/items/7?secret=1`)).text(), 'GET /items/7');
  t.is(await (await fetch(`${url}/own`)).text(), 'GET made');
  await isIdle(t, pool);
});

test('node: what a handler returns and throws passes through, and a handler that fails ends its scope at once', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const { watched, scopes } = watchScopes(pool);
  const wrong = new Error('wrong');
  const returning = node(watched, (_, response) => response.end('x') && 42);
  const failing = node(watched, async () => {
    await pool.connection();
    throw wrong;
  });
  const throwing = node(watched, () => {
    throw wrong;
  });
  const { site } = await observed(t, async (request, response) => {
    if (request.url === '/return') {
      t.is(returning(request, response), 42);
      return;
    }
    if (request.url === '/async') t.is(await rejection(Promise.resolve(failing(request, response))), wrong);
    else t.throws(() => throwing(request, response), { is: wrong });
    // Before anybody has answered.
    t.true(scopes.at(-1)?.ended);
    response.writeHead(500).end();
  });
  await (await fetch(`${site.url}/return`)).text();
  t.is((await fetch(`${site.url}/async`)).status, 500);
  t.is((await fetch(`${site.url}/sync`)).status, 500);
  await allEnded(scopes, 3);
  await isIdle(t, pool);
});

test('node: a request for which there is no connection is answered with 503, and the handler is not called', async (t) => {
  const pool = await openItems(t, { max: 1, maxWaiting: 0 });
  const listener = node(pool, () => t.fail('It was called'), { eager: true });
  const { site, results } = await observed(t, listener);
  const db = await pool.acquire();
  const response = await fetch(site.url);
  t.is(`${response.status} ${await response.text()}`, '503 Service Unavailable\n');
  t.is(response.headers.get('retry-after'), '1');
  t.deepEqual(await Promise.all(results), [undefined]);
  db.close();
  await isIdle(t, pool);
});

for (const kind of ['plain', 'transactional'] as const) {
  test(`node: a ${kind} handler that fails only because its client is gone fails for nobody; one with another reason does`, async (t) => {
    const pool = await openItems(t);
    const { watched, scopes } = watchScopes(pool);
    const [begun, gone] = [gate(), gate()];
    const handler = async (request: IncomingMessage) => {
      if (kind === 'plain') await pool.connection();
      begun.open();
      await gone.passed;
      try {
        insertHere(pool, 'late');
      } catch (cause) {
        if (request.url === '/wrapped') throw new Error('The order was not placed', { cause });
        if (request.url === '/direct') throw cause;
      }
      throw new RangeError('other');
    };
    const listener = node(watched, kind === 'plain' ? handler : transactional(watched, handler));
    const { site, results } = await observed(t, listener);
    const paths = ['/direct', '/wrapped', '/other'];
    for (const path of paths) {
      const client = await rawRequest(t, site, 'POST', path);
      await begun.passed;
      client.abort();
      if (kind === 'transactional') await pool.run("INSERT INTO item VALUES ('next')");
    }
    await allEnded(scopes, 3);
    gone.open();
    const outcomes = await Promise.allSettled(results);
    t.deepEqual(
      outcomes.map((outcome) => (outcome.status === 'rejected' ? String(outcome.reason) : outcome.status)),
      ['fulfilled', 'fulfilled', 'RangeError: other'],
    );
    t.false((await namesIn(pool)).includes('late'));
    await isIdle(t, pool);
  });
}

test('node: what a transactional handler throws is thrown on, and what keeps it from being committed is answered', async (t) => {
  const pool = await openItems(t);
  const wrong = new Error('wrong');
  const listener = transactional(pool, async ({ url }: IncomingMessage, response: ServerResponse) => {
    insertHere(pool, 'undone');
    if (url === '/throw') throw wrong;
    pool.db.exec('CREATE TABLE parent (id INTEGER PRIMARY KEY)');
    pool.db.exec('CREATE TABLE child (p INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED)');
    pool.db.exec('INSERT INTO child VALUES (1)');
    response.setHeader('x-told', 'yes');
    response.end('done');
  });
  const { site, results } = await observed(t, async (request, response) => {
    try {
      await listener(request, response);
      return 'resolved';
    } catch (error) {
      response.writeHead(500).end();
      return error;
    }
  });
  t.is((await fetch(`${site.url}/throw`)).status, 500);
  const response = await fetch(`${site.url}/commit`);
  t.is(response.status, 503);
  t.deepEqual(await Promise.all(results), [wrong, 'resolved']);
  t.deepEqual(await namesIn(pool), []);
  await isIdle(t, pool);
});

test('node: transactional within transactional is a savepoint, and options that are wrong are refused', async (t) => {
  const pool = await openItems(t);
  const inner = transactional(
    pool,
    (_: IncomingMessage, response: ServerResponse) => {
      insertHere(pool, 'inner');
      response.statusCode = 409;
      response.end('told');
    },
    { rollbackFrom: 400 },
  );
  const outer = transactional(pool, async (request: IncomingMessage, response: ServerResponse) => {
    insertHere(pool, 'outer');
    await inner(request, response);
  });
  const { url } = await serve(t, (request, response) => void outer(request, response));
  const response = await fetch(url);
  t.is(`${response.status} ${await response.text()}`, '409 told');
  t.deepEqual(await namesIn(pool), ['outer']);
  await isIdle(t, pool);
  t.throws(() => node(pool, undefined as never), refusal('OPTIONS'));
  t.throws(() => node(pool, () => {}, { eager: 1 } as never), refusal('OPTIONS'));
  t.throws(() => transactional(pool, () => {}, { rollbackFrom: 'no' } as never), refusal('OPTIONS'));
});
