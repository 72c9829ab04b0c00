// A box office on Express: each request in a scope of its own, a booking in a transaction that awaits its payment.
// Options: --file PATH, --port N (3000), --payments URL of a payment service (one of its own).
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';
import framework, { type ErrorRequestHandler } from 'express';
import { express, transactional } from '../../lib/http/express.ts'; // in your app: from 'leasehold/express'
import { createPool } from '../../lib/index.ts'; // in your app: from 'leasehold'
import { complain, DemoError } from './server/failure.ts';
import { listen } from './server/listen.ts';
import { cards, Ledger, paymentRoutes } from './server/payment-service.ts';
import { stopped, stopSignal } from './server/stop.ts';

const { values: options } = parseArgs({
  options: {
    file: { type: 'string', default: 'leasehold-express.db' },
    port: { type: 'string', default: '3000' },
    payments: { type: 'string' },
  },
});

const pool = createPool(options.file, { name: 'express' });

// Written once; each request runs them on its own connection.
const insert = pool.db.prepare<[string], { id: number }>('INSERT INTO booking (guest) VALUES (?) RETURNING id');
const confirm = pool.db.prepare('UPDATE booking SET paid = 1 WHERE id = ?');
const bookings = pool.db.prepare('SELECT id, guest, paid FROM booking ORDER BY id');

/** Asks somebody else, who takes as long as he likes. */
async function pay(url: string, reference: string, card: string): Promise<void> {
  const body = JSON.stringify({ reference, cents: 900, card });
  const response = await fetch(`${url}/payments`, { method: 'POST', body });
  await response.text();
  // What is thrown undoes the booking. Express takes the status from the error.
  if (!response.ok) throw Object.assign(new Error('The payment was refused'), { status: response.status });
}

const failed: ErrorRequestHandler = (error: { status?: number; message: string }, _, response, next) => {
  if (response.headersSent) next(error);
  else response.status(error.status ?? 500).json({ error: error.message });
};

function appOf(payments: string): framework.Express {
  const app = framework();
  app.use(framework.json(), express(pool));
  app.post(
    '/bookings',
    transactional(pool, async (request, response) => {
      const { guest, card = cards.good } = request.body as { guest: string; card?: string };
      const booking = insert.get(guest);
      await pay(payments, `booking ${booking?.id}`, card);
      confirm.run(booking?.id);
      // Goes out when the transaction is committed.
      response.status(201).json(booking);
    }),
  );
  app.get('/bookings', async (_, response) => {
    await pool.connection();
    response.json(bookings.all());
  });
  app.get('/pool', (_, response) => void response.json(pool.stats()));
  app.use(failed);
  return app;
}

async function main(): Promise<void> {
  await using _ = pool;
  const stopping = stopSignal();
  await pool.run(
    'CREATE TABLE IF NOT EXISTS booking (id INTEGER PRIMARY KEY, guest TEXT NOT NULL, paid INTEGER DEFAULT 0)',
  );
  await using payments = await listen(paymentRoutes(new Ledger()), { host: '127.0.0.1', port: 0 });
  const server = appOf(options.payments ?? payments.url).listen(Number(options.port), '127.0.0.1');
  await once(server, 'listening').catch((error: Error) => Promise.reject(new DemoError(error.message)));
  console.log(`Listening on http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  await stopped(stopping);
  server.close();
  server.closeAllConnections();
}

await main().catch(complain);
