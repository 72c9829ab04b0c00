import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import type { SqlitePool } from '../../../../lib/index.ts';
import { integersOf, textOf } from '../check.ts';
import { type Exchange, HttpError, type Route } from '../http.ts';
import { makeOrders, type Order } from '../orders.ts';
import type { PaymentService } from '../payment.ts';

const mostPieces = 100;
// Rows of an export that are sent at a time.
const batch = 200;

export function orderRoutes(pool: SqlitePool, payments: PaymentService): Route[] {
  const orders = makeOrders(pool, payments);

  // ---- acquire: an explicit lease that ends with the block. ----

  async function getOrder({ params, label, signal }: Exchange) {
    await using db = await pool.acquire({ label, signal });
    const order = db.prepare<[number], Order>('SELECT * FROM orders WHERE id = ?').get(params['id'] as number);
    if (order === undefined) throw new HttpError(404, `There is no order ${params['id']}.`);
    return order;
  }

  /**
   * All orders as lines of JSON. They are those of one moment, however long it takes and whatever is written
   * meanwhile; the price is that a client which reads slowly holds a connection for as long.
   */
  async function exportOrders({ label, signal, response }: Exchange) {
    await using db = await pool.acquire({ label, signal });
    const rows = db.prepare<[], Order>(
      'SELECT orders.*, name, city FROM orders JOIN customers ON customers.id = customer_id',
    );
    response.writeHead(200, { 'Content-Type': 'application/x-ndjson' });
    let lines = '';
    let count = 0;
    for (const row of rows.iterate()) {
      lines += `${JSON.stringify(row)}\n`;
      if (++count % batch > 0) continue;
      if (!response.write(lines)) await once(response, 'drain', { signal });
      lines = '';
      await setImmediate(); // A client that reads fast must not keep the others waiting.
    }
    response.end(lines);
  }

  // ---- transaction: writes that belong together, whatever is awaited between them. ----

  async function postOrder({ body, response, label, signal }: Exchange) {
    // The transaction comes after the body: a client that sends slowly keeps nobody waiting.
    const asked = await body();
    const ids = integersOf(asked, {
      customerId: Number.MAX_SAFE_INTEGER,
      productId: Number.MAX_SAFE_INTEGER,
      quantity: mostPieces,
    });
    const placed = await orders.place({ ...ids, card: textOf(asked, 'card', 20) }, { label, signal });
    response.statusCode = 201;
    response.setHeader('Location', `/orders/${placed.id}`);
    return placed;
  }

  return [
    { method: 'GET', path: '/orders/:id', about: 'an order (acquire)', handle: getOrder },
    {
      method: 'GET',
      path: '/orders',
      about: 'all orders as lines of JSON (acquire, held while the client reads)',
      handle: exportOrders,
    },
    {
      method: 'POST',
      path: '/orders',
      about: 'place an order {customerId, productId, quantity, card} (transaction)',
      handle: postOrder,
    },
    {
      method: 'POST',
      path: '/orders/:id/cancel',
      about: 'cancel an order (transaction)',
      handle: ({ params, label }) => orders.cancel(params['id'] as number, label),
    },
    {
      method: 'POST',
      path: '/customers/:id/cancel',
      about: 'cancel all orders of a customer that are not sent yet (nested transactions)',
      handle: ({ params, label }) => orders.cancelAll(params['id'] as number, label),
    },
  ];
}
