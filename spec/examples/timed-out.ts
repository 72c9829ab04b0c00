// A shop that runs out of connections: its report awaits somebody else while it holds one. Prints what the pool says.
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createSilentServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AcquireTimeoutError, createPool } from '../../lib/index.ts';

const directory = mkdtempSync(join(tmpdir(), 'timed-out-'));
const pool = createPool(join(directory, 'shop.db'), { max: 2, acquireTimeout: 500, leakThreshold: 10_000 });
await pool.run('CREATE TABLE item (name TEXT)');
await pool.run("INSERT INTO item VALUES ('lamp')");

/** Takes connections and never answers. */
const mailServer = createSilentServer(() => {}).listen(0, '127.0.0.1');
await once(mailServer, 'listening');

async function sendMail(body: string): Promise<void> {
  const { port } = mailServer.address() as AddressInfo;
  await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body, signal: stopping.signal });
}

async function report(): Promise<string> {
  return pool.read(
    async (db) => {
      const rows = JSON.stringify(db.prepare('SELECT * FROM item').all());
      await sendMail(rows); // While nobody else can have this connection.
      return 'sent';
    },
    { label: 'GET /report' },
  );
}

async function items(): Promise<string> {
  return pool.withConnection((db) => JSON.stringify(db.prepare('SELECT * FROM item').all()), { label: 'GET /items' });
}

const stopping = new AbortController();
const server = createServer((request: IncomingMessage, response: ServerResponse) => {
  const route = request.url === '/report' ? report : items;
  route().then(
    (body) => response.end(body),
    (error: unknown) => {
      if (error instanceof AcquireTimeoutError) console.log(error.message);
      response.writeHead(503).end();
    },
  );
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const { port } = server.address() as AddressInfo;
const get = (path: string) => fetch(`http://127.0.0.1:${port}${path}`);

const reports = [get('/report'), get('/report')];
// They are served in the order in which they ask, and the reports asked first.
while (pool.stats().leased < 2) await new Promise((resolve) => setImmediate(resolve));
const response = await get('/items');
console.log(`GET /items: ${response.status}`);

stopping.abort();
await Promise.all(reports);
server.close();
mailServer.close();
await pool.close();
rmSync(directory, { recursive: true });
