// A box office on node:http alone: each request in a scope of its own, a booking in a transaction that awaits its payment.
// Options: --file PATH, --port N (3000), --payments URL of a payment service (one of its own).
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { node, transactional } from '../../lib/http/node.ts'; // in your app: from 'leasehold/node'
import { createPool } from '../../lib/index.ts'; // in your app: from 'leasehold'
import { complain, DemoError } from './server/failure.ts';
import { listen } from './server/listen.ts';
import { cards, Ledger, paymentRoutes } from './server/payment-service.ts';
import { stopped, stopSignal } from './server/stop.ts';

const { values: options } = parseArgs({
  options: {
    file: { type: 'string', default: 'leasehold-node.db' },
    port: { type: 'string', default: '3000' },
    payments: { type: 'string' },
  },
});

const pool = createPool(options.file, { name: 'node' });

// Written once; each request runs them on its own connection.
const insert = pool.db.prepare<[string], { id: number }>('INSERT INTO booking (guest) VALUES (?) RETURNING id');
const confirm = pool.db.prepare('UPDATE booking SET paid = 1 WHERE id = ?');

/** Asks somebody else, who takes as long as he likes. */
async function isPaid(url: string, reference: string, card: string): Promise<boolean> {
  const body = JSON.stringify({ reference, cents: 900, card });
  const response = await fetch(`${url}/payments`, { method: 'POST', body });
  await response.text();
  return response.ok;
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.statusCode = status;
  response.setHeader('Content-Type', 'application/json');
  response.end(JSON.stringify(body));
}

function handlerOf(payments: string): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  const book = transactional(
    pool,
    async (request: IncomingMessage, response: ServerResponse) => {
      const { guest, card = cards.good } = (await json(request)) as { guest: string; card?: string };
      const booking = insert.get(guest);
      if (!(await isPaid(payments, `booking ${booking?.id}`, card))) {
        // By its status: nothing of the booking is kept.
        answer(response, 402, { error: 'The payment was refused' });
        return;
      }
      confirm.run(booking?.id);
      // Goes out when the transaction is committed.
      answer(response, 201, booking);
    },
    { rollbackFrom: 400 },
  );
  return async (request, response) => {
    try {
      const asked = `${request.method} ${request.url}`;
      if (asked === 'POST /bookings') await book(request, response);
      else if (asked === 'GET /bookings') answer(response, 200, await pool.all('SELECT id, guest, paid FROM booking'));
      else if (asked === 'GET /pool') answer(response, 200, pool.stats());
      else answer(response, 404, { error: 'There is no such page' });
    } catch (error) {
      console.error(error);
      if (!response.headersSent) answer(response, 500, { error: 'Something went wrong' });
    }
  };
}

async function main(): Promise<void> {
  await using _ = pool;
  const stopping = stopSignal();
  await pool.run(
    'CREATE TABLE IF NOT EXISTS booking (id INTEGER PRIMARY KEY, guest TEXT NOT NULL, paid INTEGER DEFAULT 0)',
  );
  await using payments = await listen(paymentRoutes(new Ledger()), { host: '127.0.0.1', port: 0 });
  const handle = node(pool, handlerOf(options.payments ?? payments.url));
  const server = createServer((request, response) => void handle(request, response));
  server.listen(Number(options.port), '127.0.0.1');
  await once(server, 'listening').catch((error: Error) => Promise.reject(new DemoError(error.message)));
  console.log(`Listening on http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  await stopped(stopping);
  server.close();
  server.closeAllConnections();
}

await main().catch(complain);
