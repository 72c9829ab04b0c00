import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import type { SqlitePool } from '../../../lib/index.ts';
import { type Exchange, HttpError, type Route } from './http.ts';

interface Customer {
  readonly id: number;
  readonly name: string;
  readonly email: string;
  readonly city: string;
}

interface Order {
  readonly id: number;
  readonly customer_id: number;
  readonly status: string;
  readonly placed_at: string;
  readonly total_cents: number;
}

interface NewOrder {
  readonly customerId: number;
  readonly totalCents: number;
}

// A report is good for this many milliseconds.
const reportLifetime = 1000;
// Orders that are sent at a time.
const batch = 200;

/** The routes of the shop. Each shows another way to come by a connection, and how long it is held. */
export function makeRoutes(pool: SqlitePool): Route[] {
  // `pool.db` is whichever connection the current request holds, so statements can be made once, up here,
  // and run in any request: each connection prepares them when it first needs them, and keeps them.
  const customerById = pool.db.prepare<[number], Customer>('SELECT id, name, email, city FROM customers WHERE id = ?');
  const latestOrders = pool.db.prepare<[number], Order>(
    'SELECT * FROM orders WHERE customer_id = ? ORDER BY id DESC LIMIT 5',
  );
  const salesByStatus = pool.db.prepare(
    'SELECT status, count(*) AS orders, sum(total_cents) AS cents FROM orders GROUP BY status',
  );
  const customersByCity = pool.db.prepare(
    'SELECT city, count(*) AS customers, sum(spent_cents) AS cents FROM customers GROUP BY city',
  );

  // ---- withConnection: the usual way. The request holds a connection, and so does all that it calls. ----

  function getCustomer({ params, label, signal }: Exchange) {
    return pool.withConnection(() => profile(params['id'] as number), { label, signal });
  }

  /** Gets no connection passed, and runs on that of whoever called it. */
  async function profile(id: number) {
    const customer = customerById.get(id);
    if (customer === undefined) throw new HttpError(404, `There is no customer ${id}.`);
    // While this is computed on another thread, other requests run, on connections of their own. Afterwards
    // `pool.db` is still ours.
    const avatar = await avatarOf(customer.email);
    return { ...customer, avatar, latestOrders: await history(id) };
  }

  /** Works on its own, too: inside a request this takes part in what the request holds, elsewhere it takes one. */
  function history(customerId: number) {
    return pool.withConnection(() => latestOrders.all(customerId));
  }

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

  // ---- withScope: holds nothing until connection() is called, for requests that may do without. ----

  let report: { readonly at: number; readonly sales: unknown[]; readonly cities: unknown[] } | undefined;
  let refreshing = false;

  function getReport({ label, signal }: Exchange) {
    return pool.withScope(currentReport, { label, signal });
  }

  async function currentReport() {
    // Most requests end here, and have cost no connection.
    if (report !== undefined && (refreshing || Date.now() - report.at < reportLifetime)) return report;
    refreshing = true;
    try {
      await pool.connection(); // From here to its end the scope holds one.
      const sales = salesByStatus.all();
      await setImmediate(); // SQLite computes on this thread: let others through between two long queries.
      report = { at: Date.now(), sales, cities: customersByCity.all() };
      return report;
    } finally {
      refreshing = false;
    }
  }

  function getHealth({ label, signal }: Exchange) {
    return pool.withScope(() => ({ ok: true, uptime: process.uptime() }), { label, signal });
  }

  // ---- A write: everything in one synchronous transaction, and nothing awaited inside. ----

  const addToCustomer = pool.db.prepare(
    'UPDATE customers SET order_count = order_count + 1, spent_cents = spent_cents + ? WHERE id = ?',
  );
  const addOrder = pool.db.prepare<[number, number, string], Order>(
    "INSERT INTO orders (customer_id, total_cents, placed_at, status) VALUES (?, ?, ?, 'paid') RETURNING *",
  );
  // Synchronous transactions of several connections do not collide, because none is open while another runs. The
  // busy timeout is for other processes alone.
  const place = pool.db.transaction(({ customerId, totalCents }: NewOrder) => {
    // A throw rolls back whatever was written before it.
    if (addToCustomer.run(totalCents, customerId).changes === 0) {
      throw new HttpError(400, `There is no customer ${customerId}.`);
    }
    return addOrder.get(customerId, totalCents, new Date().toISOString()) as Order;
  });

  async function postOrder({ body, response, label, signal }: Exchange) {
    // The connection comes after the body: a client that sends slowly holds none.
    const order = checkOrder(await body());
    const placed = await pool.withConnection(() => place.immediate(order), { label, signal });
    response.statusCode = 201;
    response.setHeader('Location', `/orders/${placed.id}`);
    return placed;
  }

  // ---- One statement: the pool takes a connection for it, and gives it back. ----

  function getTop({ label, signal }: Exchange) {
    const sql = 'SELECT id, name, order_count, spent_cents FROM customers ORDER BY spent_cents DESC LIMIT ?';
    return pool.all(sql, [10], { label, signal });
  }

  const routes: Route[] = [
    {
      method: 'GET',
      path: '/',
      about: 'this list',
      handle: () => routes.map(({ method, path, about }) => ({ method, path, about })),
    },
    { method: 'GET', path: '/customers/:id', about: 'a customer (withConnection)', handle: getCustomer },
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
      about: 'place an order {customerId, totalCents} (withConnection, db.transaction)',
      handle: postOrder,
    },
    { method: 'GET', path: '/top', about: 'who spent most (pool.all)', handle: getTop },
    { method: 'GET', path: '/report', about: 'sales, kept for a second (withScope, connection)', handle: getReport },
    {
      method: 'GET',
      path: '/health',
      about: 'whether the server lives (withScope, never a connection)',
      handle: getHealth,
    },
    {
      method: 'GET',
      path: '/pool',
      about: 'figures of the pool, and who holds connections',
      handle: () => ({ stats: pool.stats(), leases: pool.leases() }),
    },
  ];
  return routes;
}

/** Address of a picture, by a hash of the mail address as such services have it. */
async function avatarOf(email: string): Promise<string> {
  const hash = await crypto.subtle.digest('SHA-256', Buffer.from(email));
  return `https://avatars.example.com/${Buffer.from(hash).toString('hex')}`;
}

const mostCents = 100_000_000;

function checkOrder(body: unknown): NewOrder {
  const { customerId, totalCents } = (body ?? {}) as Record<string, unknown>;
  if (!isIntegerBetween(customerId, 1, Number.MAX_SAFE_INTEGER)) {
    throw new HttpError(400, '"customerId" must be a whole number from 1.');
  }
  if (!isIntegerBetween(totalCents, 1, mostCents)) {
    throw new HttpError(400, `"totalCents" must be a whole number from 1 to ${mostCents}.`);
  }
  return { customerId, totalCents };
}

function isIntegerBetween(value: unknown, least: number, most: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most;
}
