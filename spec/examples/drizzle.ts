// Drizzle on a pool, behind node:http: orders that are paid for within their transaction, while others read and wait to
// write. Options: --file PATH, --port N (3000), --payments URL of a payment service (one of its own).
import { parseArgs } from 'node:util';
import { count, eq } from 'drizzle-orm';
import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import { createPool } from '../../lib/index.ts'; // in your app: from 'leasehold'
import { drizzle } from '../../lib/orm/drizzle.ts'; // in your app: from 'leasehold/drizzle'
import { textOf } from './server/check.ts';
import { complain } from './server/failure.ts';
import { HttpError, type Route } from './server/http.ts';
import { listen } from './server/listen.ts';
import { cards, Ledger, paymentRoutes } from './server/payment-service.ts';
import { stopped, stopSignal } from './server/stop.ts';

const orders = sqliteTable('orders', {
  id: integer().primaryKey(),
  item: text().notNull(),
  status: text({ enum: ['new', 'paid'] }).notNull(),
});

const reviews = sqliteTable('reviews', {
  id: integer().primaryKey(),
  words: text().notNull(),
  /** How many orders there were when it was written. */
  orders: integer().notNull(),
});

const tables = `
  CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, item TEXT NOT NULL, status TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS reviews (id INTEGER PRIMARY KEY, words TEXT NOT NULL, orders INTEGER NOT NULL);`;

const { values: options } = parseArgs({
  options: {
    file: { type: 'string', default: 'leasehold-drizzle.db' },
    port: { type: 'string', default: '3000' },
    payments: { type: 'string' },
  },
});

const local = { host: '127.0.0.1', port: 0 };

// Made once, as Drizzle has it. Each request finds its own connection, and its own transaction, by its async context.
const pool = createPool(options.file, { name: 'drizzle' });
const db = drizzle(pool, { schema: { orders, reviews } });

/** Asks somebody else, who takes as long as he likes. */
async function pay(url: string, reference: string, card: string, signal: AbortSignal): Promise<void> {
  const body = JSON.stringify({ reference, cents: 100, card });
  const response = await fetch(`${url}/payments`, { method: 'POST', body, signal });
  await response.text();
  if (!response.ok) throw new HttpError(response.status, 'The payment was refused, and nothing was ordered.');
}

// It knows nothing of transactions, and is part of whatever transaction its caller is in.
async function markPaid(id: number) {
  return db.update(orders).set({ status: 'paid' }).where(eq(orders.id, id)).returning().get();
}

function routesOf(payments: string): Route[] {
  return [
    {
      method: 'POST',
      path: '/orders',
      about: 'order {item, card}',
      async handle({ body, label, signal, response }) {
        const asked = await body();
        const item = textOf(asked, 'item', 100);
        const card = (asked as { card?: string }).card ?? cards.good;
        const placed = await db.transaction(
          async (tx) => {
            const { id } = await tx.insert(orders).values({ item, status: 'new' }).returning().get();
            await pay(payments, `order ${id}`, card, signal);
            return markPaid(id);
          },
          { label, signal },
        );
        response.statusCode = 201;
        return placed;
      },
    },
    {
      method: 'GET',
      path: '/orders',
      about: 'all orders',
      handle: ({ label, signal }) => pool.withScope(() => db.query.orders.findMany(), { label, signal }),
    },
    {
      method: 'POST',
      path: '/reviews',
      about: 'review {words}',
      async handle({ body, label, signal, response }) {
        const words = textOf(await body(), 'words', 1000);
        const written = await db.transaction(
          async (tx) => {
            const [row] = await tx.select({ number: count() }).from(orders);
            return tx
              .insert(reviews)
              .values({ words, orders: row?.number ?? 0 })
              .returning()
              .get();
          },
          { label, signal },
        );
        response.statusCode = 201;
        return written;
      },
    },
    { method: 'GET', path: '/pool', about: 'figures of the pool', handle: () => pool.stats() },
  ];
}

async function main(): Promise<void> {
  await using _ = pool;
  const stopping = stopSignal();
  await pool.withConnection((connection) => connection.exec(tables), { write: true });
  await using payments = await listen(paymentRoutes(new Ledger()), local);
  await using site = await listen(routesOf(options.payments ?? payments.url), { ...local, port: Number(options.port) });
  console.log(`Listening on ${site.url}`);
  await stopped(stopping);
}

await main().catch(complain);
