import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import test from 'ava';
import type { SqlitePool } from '../../lib/index.ts';
import { gate } from '../support/gate.ts';
import { openItems } from '../support/items.ts';
import {
  allEnded,
  eventually,
  type Framework,
  isIdle,
  rawClient,
  rawRequest,
  rejection,
  watchScopes,
} from './support.ts';

const line = (path: string) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`;

async function* endless(pool: SqlitePool) {
  for (;;) yield pool.db.prepare("SELECT printf('%.*c', 65536, 'x')").pluck().get();
}

/** What must hold of responses that do not come to their end, or not in the usual way, whatever the framework. */
export function responseSuite(framework: Framework): void {
  const { name } = framework;

  test(`${name}: a slow reader that goes away in the middle of a stream ends it and the scope`, async (t) => {
    const pool = await openItems(t, { max: 1 });
    const { watched, scopes } = watchScopes(pool);
    const over = gate();
    const site = await framework.serve(t, watched, { eager: true }, async ({ response }) => {
      await rejection(pipeline(Readable.from(endless(pool)), response));
      over.open();
    });
    const client = await rawRequest(t, site, 'GET', '/');
    await client.read(/200 OK[\s\S]*xxxx/);
    t.like(scopes[0], { ended: false });
    client.abort();
    await over.passed;
    await allEnded(scopes, 1);
    t.true(scopes[0]?.aborted);
    await isIdle(t, pool);
  });

  test(`${name}: a response that is complete and never read gives the connection back, and nothing is aborted`, async (t) => {
    const pool = await openItems(t, { max: 1 });
    const { watched, scopes } = watchScopes(pool);
    const site = await framework.serve(t, watched, { eager: true }, () => 'x'.repeat(2 ** 25));
    const client = await rawRequest(t, site, 'GET', '/');
    await client.read(/200 OK/);
    t.false(scopes[0]?.ended);
    client.abort();
    await allEnded(scopes, 1);
    t.false(scopes[0]?.aborted);
    await isIdle(t, pool);
  });

  test(`${name}: pipelined requests that wait behind another end when the client goes, answered or not`, async (t) => {
    const pool = await openItems(t, { max: 3 });
    const { watched, scopes } = watchScopes(pool);
    const site = await framework.serve(t, watched, { eager: true }, async ({ request: { url } }) => {
      if (url !== '/answered') await new Promise(() => {});
      return 'answered';
    });
    const client = await rawClient(t, site);
    client.send(line('/first') + line('/answered') + line('/hangs'));
    // What has answered gives back what it has: others on its connection may need that before it can be sent.
    await eventually(() => scopes.length === 3 && pool.stats().leased === 2);
    client.abort();
    await allEnded(scopes, 3);
    await isIdle(t, pool);
  });

  test(`${name}: who takes the socket for itself keeps the scope until that is closed`, async (t) => {
    const pool = await openItems(t, { max: 1 });
    const { watched, scopes } = watchScopes(pool);
    const site = await framework.serve(t, watched, { eager: true }, async ({ response }) => {
      const { socket } = response;
      if (socket === null) throw new Error('There is no socket');
      response.detachSocket(socket);
      socket.write(`taken with ${Number(pool.db.prepare('SELECT 1').pluck().get())}`);
      await new Promise(() => {});
    });
    const client = await rawRequest(t, site, 'GET', '/');
    await client.read(/taken with 1/);
    t.false(scopes[0]?.ended);
    client.abort();
    await allEnded(scopes, 1);
    await isIdle(t, pool);
  });

  for (const way of ['destroy', 'closeAllConnections'] as const) {
    test(`${name}: a response that is cut off by ${way} of the server's side ends the scope`, async (t) => {
      const pool = await openItems(t, { max: 1 });
      const { watched, scopes } = watchScopes(pool);
      const begun = gate();
      const site = await framework.serve(t, watched, { eager: true }, async ({ response }) => {
        response.write('begun');
        begun.open();
        if (way === 'destroy') response.destroy();
        await new Promise(() => {});
      });
      await rawRequest(t, site, 'GET', '/');
      await begun.passed;
      if (way === 'closeAllConnections') site.server.closeAllConnections();
      await allEnded(scopes, 1);
      t.true(scopes[0]?.aborted);
      await isIdle(t, pool);
    });
  }

  test(`${name}: a request in the middle of another's context is part of it in no way`, async (t) => {
    const pool = await openItems(t, { max: 2 });
    const { watched, scopes } = watchScopes(pool);
    const site = await framework.serve(t, watched, {}, async () => {
      const db = await pool.connection();
      return String(db.inTransaction);
    });
    const listeners = site.server.listeners('request');
    site.server.removeAllListeners('request');
    const around = gate();
    const left = gate();
    // As where a proxy, or a test, calls a server's listener out of a request of its own.
    site.server.on('request', (...parameters) => {
      const held = pool.withConnection(async (db) => {
        db.exec('BEGIN');
        for (const listener of listeners) listener.apply(site.server, parameters);
        await around.passed;
      });
      held.then(left.open, left.fail);
    });
    t.is(await (await fetch(site.url)).text(), 'false');
    await allEnded(scopes, 1);
    around.open();
    await left.passed;
    t.is(pool.stats().counters.dirty, 1);
    await isIdle(t, pool);
  });
}
