import { once } from 'node:events';
import { Agent, get, type IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import test from 'ava';
import type { SqlitePool } from '../../lib/index.ts';
import { gate } from '../support/gate.ts';
import { openItems, refusal } from '../support/items.ts';
import { allEnded, eventually, type Framework, held, isIdle, labels, rawClient, watchScopes } from './support.ts';

const request = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n';

async function* twoPieces(pool: SqlitePool, between: Promise<void>) {
  yield pool.db.prepare("SELECT 'first;'").pluck().get();
  await between;
  yield pool.db.prepare("SELECT 'last;'").pluck().get();
}

/** What must hold of requests whose client stays, whatever the framework. */
export function scopeSuite(framework: Framework): void {
  const { name, label } = framework;

  test(`${name}: two requests at once have a connection each, and neither sees what the other has open`, async (t) => {
    const pool = await openItems(t);
    const [first, second] = [gate(), gate()];
    const site = await framework.serve(t, pool, {}, async ({ request: { url } }) => {
      const db = await pool.connection();
      if (url === '/first') {
        db.exec("BEGIN; INSERT INTO item VALUES ('open')");
        first.open();
        await second.passed;
        db.exec('ROLLBACK');
      } else {
        await first.passed;
        t.is(new Set(held(pool)).size, 2);
        t.false(pool.db.inTransaction);
      }
      return `${Number(pool.db.prepare('SELECT count(*) FROM item').pluck().get())} items`;
    });
    const one = fetch(`${site.url}/first`);
    t.is(await (await fetch(`${site.url}/second`)).text(), '0 items');
    second.open();
    t.is(await (await one).text(), '0 items');
    await isIdle(t, pool);
    t.is(pool.stats().counters.dirty, 0);
  });

  test(`${name}: a request that asks for nothing takes no connection, and has a scope that ends`, async (t) => {
    const pool = await openItems(t);
    const { watched, scopes } = watchScopes(pool);
    const { acquired } = pool.stats().counters;
    const site = await framework.serve(t, watched, {}, () => {
      t.throws(() => pool.db.prepare('SELECT 1').get(), refusal('NO_CONNECTION'));
      return 'nothing';
    });
    t.is(await (await fetch(site.url)).text(), 'nothing');
    await allEnded(scopes, 1);
    t.false(scopes[0]?.aborted);
    t.is(pool.stats().counters.acquired, acquired);
  });

  test(`${name}: an eager scope has its connection before the handler, and its label`, async (t) => {
    const pool = await openItems(t, { max: 1 });
    const site = await framework.serve(t, pool, { eager: true }, () => {
      t.deepEqual(labels(pool), [label]);
      return String(pool.db.prepare('SELECT 42').pluck().get());
    });
    t.is(await (await fetch(site.url)).text(), '42');
    await isIdle(t, pool);
  });

  test(`${name}: get, run and transaction in a handler take a connection only for as long as they need it`, async (t) => {
    const pool = await openItems(t, { max: 1 });
    const site = await framework.serve(t, pool, {}, async () => {
      await pool.run("INSERT INTO item VALUES ('a')");
      await pool.transaction(async (tx) => {
        tx.prepare("INSERT INTO item VALUES ('b')").run();
        await pool.run("INSERT INTO item VALUES ('c')");
        t.deepEqual(labels(pool), [label]);
      });
      t.is(pool.stats().leased, 0);
      return String((await pool.get<{ n: number }>('SELECT count(*) AS n FROM item'))?.n);
    });
    t.is(await (await fetch(site.url)).text(), '3');
    await isIdle(t, pool);
  });

  test(`${name}: a response that is streamed keeps the scope until its last piece`, async (t) => {
    const pool = await openItems(t, { max: 1 });
    const { watched, scopes } = watchScopes(pool);
    const last = gate();
    const site = await framework.serve(t, watched, { eager: true }, () => {
      return Readable.from(twoPieces(pool, last.passed));
    });
    const client = await rawClient(t, site);
    client.send(request);
    await client.read(/first;/);
    t.false(scopes[0]?.ended);
    t.is(held(pool).length, 1);
    last.open();
    await client.read(/last;/);
    await isIdle(t, pool);
    t.like(scopes[0], { ended: true, aborted: false });
  });

  test(`${name}: who writes piece by piece, and waits for a slow reader, finds the connection each time`, async (t) => {
    const pool = await openItems(t, { max: 1 });
    const site = await framework.serve(t, pool, { eager: true }, async ({ response }) => {
      let left = 64;
      const write = (): void => {
        while (left-- > 0) {
          const piece = pool.db.prepare("SELECT printf('%.*c', 65536, 'x')").pluck().get();
          if (!response.write(piece)) return void response.once('drain', write);
        }
        response.end('done');
      };
      write();
      await once(response, 'finish');
    });
    const body = await (await fetch(site.url)).text();
    t.is(body.length, 64 * 65_536 + 4);
    await isIdle(t, pool);
  });

  test(`${name}: what listens to the body of a request finds its scope, also where the socket brings it`, async (t) => {
    const pool = await openItems(t, { max: 2 });
    const heard: unknown[] = [];
    const look = (event: string) => heard.push([event, pool.db.prepare('SELECT 1').pluck().get(), labels(pool).length]);
    const begun = gate();
    const site = await framework.serve(t, pool, { eager: true }, ({ request: incoming, response }) => {
      incoming.on('data', () => {
        look('data');
        begun.open();
      });
      incoming.on('end', () => {
        look('end');
        response.end('over');
      });
      return once(response, 'close').then(() => {});
    });
    const client = await rawClient(t, site);
    client.send('POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n\r\none');
    await begun.passed;
    client.send('two');
    await client.read(/over/);
    t.deepEqual(heard, [
      ['data', 1, 1],
      ['data', 1, 1],
      ['end', 1, 1],
    ]);
    await isIdle(t, pool);
  });

  test(`${name}: pipelined requests each have a scope of their own, which ends when they have answered`, async (t) => {
    const pool = await openItems(t, { max: 4 });
    const { watched, scopes } = watchScopes(pool);
    const first = gate();
    let calls = 0;
    const site = await framework.serve(t, watched, { eager: true }, async () => {
      const own = calls++;
      if (own === 0) await first.passed;
      return `[${own} ${new Set(held(pool)).size}]`;
    });
    const client = await rawClient(t, site);
    client.send(request.repeat(3));
    // Two have answered, and wait for their turn on the wire.
    await eventually(() => calls === 3);
    await eventually(() => scopes.filter(({ ended }) => ended).length === 2);
    t.is(pool.stats().leased, 1);
    first.open();
    await client.read(/\[0 1\][\s\S]*\[1 \d\][\s\S]*\[2 \d\]/);
    await allEnded(scopes, 3);
    t.false(scopes.some(({ aborted }) => aborted));
    await isIdle(t, pool);
  });

  test(`${name}: a socket that serves many requests gathers neither scopes nor listeners`, async (t) => {
    const pool = await openItems(t, { max: 1 });
    const { watched, scopes } = watchScopes(pool);
    const listeners = new Set<number>();
    const site = await framework.serve(t, watched, { eager: true }, ({ request: { socket } }) => {
      listeners.add(socket.listenerCount('close'));
      return `${scopes.length};`;
    });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    t.teardown(() => agent.destroy());
    for (let count = 1; count <= 30; count++) {
      const [response] = (await once(get(site.url, { agent }), 'response')) as [IncomingMessage];
      t.is(await text(response), `${count};`);
    }
    t.is(listeners.size, 1);
    await allEnded(scopes, 30);
    await isIdle(t, pool);
  });

  test(`${name}: a handler that throws or rejects loses nothing, and the framework hears of it`, async (t) => {
    const pool = await openItems(t, { max: 1 });
    const site = await framework.serve(t, pool, { eager: true }, ({ request: { url } }) => {
      pool.db.exec('BEGIN');
      if (url === '/sync') throw new Error('sync');
      return Promise.reject(new Error('async'));
    });
    for (const path of ['sync', 'async']) t.is((await fetch(`${site.url}/${path}`)).status, 500);
    t.deepEqual(site.errors.map(String), ['Error: sync', 'Error: async']);
    await isIdle(t, pool);
  });

  test(`${name}: work that outlives the response is refused the connection, and may take one of its own`, async (t) => {
    const pool = await openItems(t, { max: 1 });
    const { watched, scopes } = watchScopes(pool);
    const over = gate();
    const done = gate<unknown>();
    const late = async () => {
      await over.passed;
      t.throws(() => pool.db.prepare('SELECT 1').get(), refusal('SCOPE_ENDED'));
      await t.throwsAsync(pool.connection(), refusal('SCOPE_ENDED'));
      return pool.get('SELECT 1 AS one');
    };
    const site = await framework.serve(t, watched, { eager: true }, () => {
      late().then(done.open, done.fail);
      return 'answered';
    });
    t.is(await (await fetch(site.url)).text(), 'answered');
    await allEnded(scopes, 1);
    over.open();
    t.deepEqual(await done.passed, { one: 1 });
    await isIdle(t, pool);
  });
}
