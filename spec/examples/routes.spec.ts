import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import test from 'ava';
import Database from 'better-sqlite3';
import { temporaryFile } from '../support/files.ts';
import { cards } from './server/payment-service.ts';
import { anOrder, answerOf, placeOrder, poolUntil, post, startDemo } from './support/demo.ts';
import type { Program } from './support/program.ts';

const small = ['--port', '0', '--customers', '50', '--orders', '400'];

// One server for all, which they have to themselves in turn, so that they may look at what its pool counts.
let demo: Program;
let url: string;
/** The server's file, as another process would see it. */
let db: Database.Database;
const cleanUp: (() => unknown)[] = [];

test.before(async () => {
  const all = { teardown: (fn: () => unknown) => void cleanUp.unshift(fn) };
  const file = temporaryFile(all);
  demo = startDemo(all, '--file', file, ...small);
  url = await demo.url();
  db = new Database(file);
  all.teardown(() => db.close());
});

test.after.always(async () => {
  for (const fn of cleanUp) await fn();
});

function single(sql: string): unknown {
  return db.prepare(sql).pluck().get();
}

async function acquired(): Promise<number> {
  return (await poolUntil(url, ({ leases }) => leases.length === 0)).stats.counters.acquired;
}

test.serial('every curl line that is printed works', async (t) => {
  await demo.printed(/curl \S+\/pool\n/);
  const lines = [...demo.output.matchAll(/^ {2}curl (?:-d '(?<body>[^']*)' )?(?<address>\S+)(?: +#.*)?$/gm)];
  t.is(lines.length, 15);
  for (const { groups } of lines) {
    const { address, body } = groups as { address: string; body?: string };
    t.true(address.startsWith(`${url}/`));
    const response = await fetch(address, body === undefined ? {} : { method: 'POST', body });
    const isDeclined = body?.includes(cards.declined) === true;
    t.is(response.status < 300, !isDeclined, `${address} answered ${response.status}`);
    if (isDeclined) t.is(response.status, 402);
    t.true((await response.text()).length > 2);
  }
});

test.serial('customers asked for at the same time come each with what is theirs, at one lease a request', async (t) => {
  const before = await acquired();
  const responses = await Promise.all(Array.from({ length: 50 }, (_, index) => fetch(`${url}/customers/${index + 1}`)));
  const customers = await Promise.all(responses.map((response) => answerOf('customer', response)));
  for (const [index, customer] of customers.entries()) {
    t.is(customer.id, index + 1);
    t.true(customer.email.endsWith(`.${index + 1}@example.com`));
    t.true(customer.latestOrders.every((order) => order.customer_id === index + 1));
  }
  t.is(new Set(customers.map(({ avatar }) => avatar)).size, 50);
  t.true(customers.some(({ latestOrders }) => latestOrders.length === 5));
  // The nested helper took part in what its request held.
  t.is(await acquired(), before + 50);
});

test.serial('an order counts for its customer, and an order for nobody for none', async (t) => {
  // Dearer than all that anybody has ordered so far.
  const productId = single('SELECT id FROM products ORDER BY price_cents DESC') as number;
  t.is((await post(`${url}/products/${productId}/restock`, { quantity: 100 })).status, 200);
  t.is((await placeOrder(url, { customerId: 7, productId, quantity: 100 })).status, 201);
  const top = await answerOf('top', fetch(`${url}/top`));
  t.is(top.length, 10);
  t.is(top[0]?.id, 7);

  const before = single('SELECT count(*) FROM orders');
  const refused = await placeOrder(url, { customerId: 51 });
  t.is(refused.status, 400);
  t.deepEqual(await answerOf('error', refused), { error: 'There is no customer 51.' });
  t.is(single('SELECT count(*) FROM orders'), before);
  t.is(
    single('SELECT sum(spent_cents) FROM customers'),
    single("SELECT sum(total_cents) FROM orders WHERE status <> 'cancelled'"),
  );
});

test.serial('a delivery goes into the stock of its product alone', async (t) => {
  const all = 'SELECT sum(stock) FROM products';
  const before = single(all) as number;
  const product = await answerOf('product', fetch(`${url}/products/5`));
  t.deepEqual(await answerOf('delivery', post(`${url}/products/5/restock`, { quantity: 10_000 })), {
    id: 5,
    delivered: 10_000,
  });
  const restocked = { ...product, stock: product.stock + 10_000 };
  t.deepEqual(await answerOf('product', fetch(`${url}/products/5`)), restocked);
  const products = await answerOf('products', fetch(`${url}/products`));
  t.is(products.length, 100);
  t.deepEqual(products[4], restocked);
  t.is(single(all), before + 10_000);
  t.is((await post(`${url}/products/101/restock`, { quantity: 1 })).status, 404);
  t.is((await post(`${url}/products/5/restock`, { quantity: 10_001 })).status, 400);
});

test.serial('a bad body is refused in JSON, before it costs a connection', async (t) => {
  const bodies: [body: unknown, status: number, error: RegExp][] = [
    ['{"customerId":', 400, /not JSON/],
    ['', 400, /not JSON/],
    ['null', 400, /"customerId"/],
    [{ ...anOrder(), customerId: '1' }, 400, /"customerId" must be a whole number from 1\.$/],
    [{ ...anOrder(), productId: undefined }, 400, /"productId"/],
    [{ ...anOrder(), quantity: 0.5 }, 400, /"quantity"/],
    [{ ...anOrder(), quantity: 101 }, 400, /"quantity" must be a whole number from 1 to 100\.$/],
    [{ ...anOrder(), card: '' }, 400, /"card"/],
    ['x'.repeat(20_000), 413, /16384 bytes/],
  ];
  const before = await acquired();
  for (const [body, status, error] of bodies) {
    const response = await post(`${url}/orders`, body);
    t.is(response.status, status);
    t.regex((await answerOf('error', response)).error ?? '', error);
  }
  t.is(await acquired(), before);
});

test.serial('a body that is too long is dropped, and its socket serves the next request', async (t) => {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname).setEncoding('utf8');
  t.teardown(() => void socket.destroy());
  // More than all buffers on the way hold, so somebody has to read it.
  const length = 16 * 2 ** 20;
  socket.write(`POST /orders HTTP/1.1\r\nHost: demo\r\nContent-Length: ${length}\r\n\r\n`);
  socket.write('x'.repeat(length));
  socket.write('GET /health HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n');
  const statuses = (await text(socket)).match(/^HTTP\/1.1 \d+/gm);
  t.deepEqual(statuses as unknown, ['HTTP/1.1 413', 'HTTP/1.1 200']);
});

test.serial('what is missing is told from what makes no sense, in JSON', async (t) => {
  const paths: [path: string, status: number][] = [
    ['/customers/51', 404],
    ['/customers/0', 400],
    ['/customers/1%20OR%201', 400],
    ['/orders/99999', 404],
    ['/orders/9007199254740993', 400],
    ['/nothing', 404],
    ['/orders/1/more', 404],
    ['/products/101', 404],
    ['/products/0x1', 400],
    ['//', 404],
    ['/health?deep=1', 200],
  ];
  for (const [path, status] of paths) {
    const response = await fetch(`${url}${path}`);
    t.is(response.status, status, path);
    t.is(response.headers.get('content-type'), 'application/json');
    t.is(typeof (await answerOf('error', response)).error, status === 200 ? 'undefined' : 'string');
  }
  const response = await fetch(`${url}/orders`, { method: 'DELETE' });
  t.is(response.status, 405);
  t.is(response.headers.get('allow'), 'GET, POST');
});

test.serial('a scope that never asks for the database costs no connection', async (t) => {
  const before = await acquired();
  for (let count = 0; count < 20; count++) t.true((await answerOf('health', fetch(`${url}/health`))).ok);
  t.is(await acquired(), before);
  // Unless it does.
  t.true((await answerOf('health', fetch(`${url}/health?deep`))).ok);
  t.is(await acquired(), before + 1);
});

test.serial('a report costs a connection only when it is made', async (t) => {
  const before = await acquired();
  const orders = single('SELECT count(*) FROM orders');
  // One that was made for the curl lines may be there still.
  const { at: atFirst } = await answerOf('report', fetch(`${url}/report`));
  const costOfFirst = (await acquired()) - before;
  t.true(costOfFirst <= 1);
  const made = new Set<number>([atFirst]);
  for (let count = 0; count < 20; count++) {
    const { at, sales } = await answerOf('report', fetch(`${url}/report`));
    made.add(at);
    // Older ones do not know the orders placed a moment ago.
    if (at !== atFirst || costOfFirst === 1) {
      t.is(
        sales.reduce((sum, group) => sum + group.orders, 0),
        orders as number,
      );
    }
  }
  t.is(await acquired(), before + costOfFirst + made.size - 1);
  // Each is good for a second.
  t.true(made.size < 20);
});

test.serial('an error nobody expected becomes a 500 that tells nothing of the inside', async (t) => {
  db.exec('ALTER TABLE orders RENAME TO moved_by_somebody_else');
  const response = await fetch(`${url}/orders/1`);
  db.exec('ALTER TABLE moved_by_somebody_else RENAME TO orders');
  t.is(response.status, 500);
  t.deepEqual(await answerOf('error', response), { error: 'Internal error.' });
  // The log says what the client is not told.
  while (!demo.complaints.includes('no such table: orders')) await poolUntil(url, () => true);
  t.regex(demo.complaints, /^GET \/orders\/1 failed: SqliteError/m);
  t.is((await fetch(`${url}/orders/1`)).status, 200);
});
