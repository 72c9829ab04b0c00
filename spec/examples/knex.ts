// Knex on a pool, behind node:http: orders that are paid for within their transaction, while others read and wait to
// write. Options: --file PATH, --port N (3000), --payments URL of a payment service (one of its own).
import { parseArgs } from 'node:util';
import knex from 'knex';
import { createPool } from '../../lib/index.ts'; // in your app: from 'leasehold'
import { knexClient } from '../../lib/orm/knex.ts'; // in your app: from 'leasehold/knex'
import { textOf } from './server/check.ts';
import { complain } from './server/failure.ts';
import { type Exchange, HttpError, type Route } from './server/http.ts';
import { listen } from './server/listen.ts';
import { cards, Ledger, paymentRoutes } from './server/payment-service.ts';
import { stopped, stopSignal } from './server/stop.ts';

interface Order {
  readonly id: number;
  readonly item: string;
  readonly status: 'new' | 'paid';
}

interface Review {
  readonly id: number;
  readonly words: string;
  /** How many orders there were when it was written. */
  readonly orders: number;
}

const { values: options } = parseArgs({
  options: {
    file: { type: 'string', default: 'leasehold-knex.db' },
    port: { type: 'string', default: '3000' },
    payments: { type: 'string' },
  },
});

const local = { host: '127.0.0.1', port: 0 };

// Made once, as Knex has it. Each request finds its own connection, and its own transaction, by its async context.
const pool = createPool(options.file, { name: 'knex' });
const db = knex({ client: knexClient(pool), useNullAsDefault: true });

async function makeTables(): Promise<void> {
  if (await db.schema.hasTable('orders')) return;
  await db.schema
    .createTable('orders', (table) => {
      table.increments();
      table.string('item').notNullable();
      table.string('status').notNullable();
    })
    .createTable('reviews', (table) => {
      table.increments();
      table.string('words').notNullable();
      table.integer('orders').notNullable();
    });
}

/** Asks somebody else, who takes as long as he likes. */
async function pay(url: string, reference: string, card: string, signal: AbortSignal): Promise<void> {
  const body = JSON.stringify({ reference, cents: 100, card });
  const response = await fetch(`${url}/payments`, { method: 'POST', body, signal });
  await response.text();
  if (!response.ok) throw new HttpError(response.status, 'The payment was refused, and nothing was ordered.');
}

// It knows nothing of transactions, and is part of whatever transaction its caller is in.
async function markPaid(id: number): Promise<Order | undefined> {
  const [order] = await db<Order>('orders').where({ id }).update({ status: 'paid' }).returning('*');
  return order;
}

/** Whose label messages of the pool have, and whose client's going away ends what it waits for. */
function inScope(handle: (exchange: Exchange) => unknown): Route['handle'] {
  return (exchange) => {
    const { label, signal } = exchange;
    return pool.withScope(() => handle(exchange), { label, signal });
  };
}

function routesOf(payments: string): Route[] {
  return [
    {
      method: 'POST',
      path: '/orders',
      about: 'order {item, card}',
      handle: inScope(async ({ body, signal, response }) => {
        const asked = await body();
        const item = textOf(asked, 'item', 100);
        const card = (asked as { card?: string }).card ?? cards.good;
        const placed = await db.transaction(async (trx) => {
          const [id = 0] = await trx<Order>('orders').insert({ item, status: 'new' });
          await pay(payments, `order ${id}`, card, signal);
          return markPaid(id);
        });
        response.statusCode = 201;
        return placed;
      }),
    },
    {
      method: 'GET',
      path: '/orders',
      about: 'all orders',
      handle: inScope(async () => db<Order>('orders').orderBy('id')),
    },
    {
      method: 'POST',
      path: '/reviews',
      about: 'review {words}',
      handle: inScope(async ({ body, response }) => {
        const words = textOf(await body(), 'words', 1000);
        const orders = db('orders').count();
        // Waits for its turn to write, and so counts every order that it follows.
        const [review] = await db<Review>('reviews')
          .insert({ words, orders: orders as never })
          .returning('*');
        response.statusCode = 201;
        return review;
      }),
    },
    { method: 'GET', path: '/pool', about: 'figures of the pool', handle: () => pool.stats() },
  ];
}

async function main(): Promise<void> {
  await using _ = pool;
  const stopping = stopSignal();
  await makeTables();
  await using payments = await listen(paymentRoutes(new Ledger()), local);
  await using site = await listen(routesOf(options.payments ?? payments.url), { ...local, port: Number(options.port) });
  console.log(`Listening on ${site.url}`);
  await stopped(stopping);
}

await main().catch(complain);
