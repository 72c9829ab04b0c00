// A box office on Fastify: each request in a scope of its own, a booking in a transaction that awaits its payment.
// Options: --file PATH, --port N (3000), --payments URL of a payment service (one of its own).
import { parseArgs } from 'node:util';
import framework, { type FastifyInstance } from 'fastify';
import { fastify, transactional } from '../../lib/http/fastify.ts'; // in your app: from 'leasehold/fastify'
import { createPool } from '../../lib/index.ts'; // in your app: from 'leasehold'
import { complain, DemoError } from './server/failure.ts';
import { listen } from './server/listen.ts';
import { cards, Ledger, paymentRoutes } from './server/payment-service.ts';
import { stopped, stopSignal } from './server/stop.ts';

const { values: options } = parseArgs({
  options: {
    file: { type: 'string', default: 'leasehold-fastify.db' },
    port: { type: 'string', default: '3000' },
    payments: { type: 'string' },
  },
});

const pool = createPool(options.file, { name: 'fastify' });

// Written once; each request runs them on its own connection.
const insert = pool.db.prepare<[string], { id: number }>('INSERT INTO booking (guest) VALUES (?) RETURNING id');
const confirm = pool.db.prepare('UPDATE booking SET paid = 1 WHERE id = ?');
const bookings = pool.db.prepare('SELECT id, guest, paid FROM booking ORDER BY id');

/** Asks somebody else, who takes as long as he likes. */
async function pay(url: string, reference: string, card: string): Promise<void> {
  const body = JSON.stringify({ reference, cents: 900, card });
  const response = await fetch(`${url}/payments`, { method: 'POST', body });
  await response.text();
  // What is thrown undoes the booking. Fastify takes the status from the error.
  if (!response.ok) throw Object.assign(new Error('The payment was refused'), { statusCode: response.status });
}

const bookingSchema = {
  body: {
    type: 'object',
    required: ['guest'],
    properties: { guest: { type: 'string', maxLength: 100 }, card: { type: 'string' } },
  },
};

async function appOf(payments: string): Promise<FastifyInstance> {
  const app = framework({ forceCloseConnections: true });
  await app.register(fastify, { pool });
  app.post<{ Body: { guest: string; card?: string } }>(
    '/bookings',
    { schema: bookingSchema },
    transactional(pool, async ({ body: { guest, card = cards.good } }, reply) => {
      const booking = insert.get(guest);
      await pay(payments, `booking ${booking?.id}`, card);
      confirm.run(booking?.id);
      // Sent when the transaction is committed.
      reply.code(201);
      return booking;
    }),
  );
  app.get('/bookings', async () => {
    await pool.connection();
    return bookings.all();
  });
  app.get('/pool', () => pool.stats());
  return app;
}

async function main(): Promise<void> {
  await using _ = pool;
  const stopping = stopSignal();
  await pool.run(
    'CREATE TABLE IF NOT EXISTS booking (id INTEGER PRIMARY KEY, guest TEXT NOT NULL, paid INTEGER DEFAULT 0)',
  );
  await using payments = await listen(paymentRoutes(new Ledger()), { host: '127.0.0.1', port: 0 });
  const app = await appOf(options.payments ?? payments.url);
  const url = await app
    .listen({ port: Number(options.port), host: '127.0.0.1' })
    .catch((error: Error) => Promise.reject(new DemoError(error.message)));
  console.log(`Listening on ${url}`);
  await stopped(stopping);
  await app.close();
}

await main().catch(complain);
