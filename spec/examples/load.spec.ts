import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import Database from 'better-sqlite3';
import { temporaryFile } from '../support/files.ts';
import { kinds } from './server/load-kinds.ts';
import { poolUntil, startDemo } from './support/demo.ts';

const small = ['--customers', '50', '--orders', '400'];

/** Printed when what was there before the load has been looked at, and all of the load is still to come, or nearly. */
const begun = /^Load: \d+ %$/m;

function value(text = ''): number {
  return Number(text.replaceAll(',', ''));
}

/** The figures of the route table, by route. */
function routesOf(output: string): Map<string, { requests: number; refused: number; errors: number }> {
  const number = '[\\d,.]+';
  const row = new RegExp(
    `^((?:GET|POST) \\S+(?:, hung up)?) +(${number}) +${number} +${number} +${number} +${number} +(${number}) +(${number})$`,
    'gm',
  );
  return new Map(
    [...output.matchAll(row)].map(([, route = '', requests, refused, errors]) => [
      route,
      { requests: value(requests), refused: value(refused), errors: value(errors) },
    ]),
  );
}

/** What the database itself says of stock and orders, and of customers and orders. */
function difference(t: ExecutionContext, file: string): unknown {
  const db = new Database(file, { readonly: true });
  t.teardown(() => void db.close());
  const standing = "FROM orders WHERE status <> 'cancelled'";
  return db
    .prepare(
      `SELECT (SELECT sum(delivered - stock) FROM products) - (SELECT sum(quantity) ${standing}) AS pieces,
         (SELECT sum(order_count) FROM customers) - (SELECT count(*) ${standing}) AS orders,
         (SELECT sum(spent_cents) FROM customers) - (SELECT sum(total_cents) ${standing}) AS cents`,
    )
    .get();
}

const none = { pieces: 0, orders: 0, cents: 0 };

// So many requests that there are orders among them for certain, and some that wait for each other.
const enough = 500;

/** A load of a second, or a longer one where the machine was too busy for it to come to anything in that time. */
async function loaded(t: ExecutionContext) {
  for (const seconds of [1, 4, 20]) {
    const file = temporaryFile(t);
    const demo = startDemo(t, '--load', `${seconds}`, '--clients', '16', '--file', file, ...small);
    t.deepEqual(await demo.ended, { code: 0, signal: null }, demo.complaints);
    t.is(demo.complaints, '');
    const routes = routesOf(demo.output);
    const requests = [...routes.values()].reduce((sum, route) => sum + route.requests, 0);
    if (requests >= enough) return { file, demo, routes };
    t.log(`${requests} requests in ${seconds} s`);
  }
  throw new Error('Hardly any requests were served');
}

test('--load drives reads and writes over HTTP, loses nothing, prints its figures and ends with 0', async (t) => {
  t.timeout(100_000);
  const { file, demo, routes } = await loaded(t);
  t.deepEqual(
    [...routes.keys()],
    kinds.map(({ label }) => label),
  );
  for (const [route, { errors }] of routes) t.is(errors, 0, route);
  // The first order of all is declined, and so is every tenth.
  const orders = routes.get('POST /orders') ?? { requests: 0, refused: 0 };
  const hungUp = routes.get('POST /orders, hung up') ?? { requests: 0, refused: 0 };
  t.true(orders.requests > orders.refused);
  t.true(orders.refused + hungUp.refused + hungUp.requests > 0);
  for (const line of ['connections at most +8 \\+ 1', 'connections opened +\\d', 'timeouts +0', 'dirty leases +0']) {
    t.regex(demo.output, new RegExp(`^${line}$`, 'm'));
  }
  const figures = [
    'reads per second',
    'writes per second',
    'worst stall of the event loop, ms',
    'event loop in use, %',
  ];
  for (const line of figures) {
    t.regex(demo.output, new RegExp(`^${line} +[\\d,.]+$`, 'm'));
  }
  t.regex(demo.output, /^waiting to write, at worst +[1-9]\d*$/m);
  t.regex(demo.output, /^Stock, orders, customers and payments agree\.$/m);

  // What clients were told was placed is there.
  t.deepEqual(readdirSync(join(file, '..')), ['app.db']);
  t.deepEqual(difference(t, file), none);
  const db = new Database(file, { readonly: true });
  t.teardown(() => void db.close());
  const placed = db.prepare('SELECT count(*) FROM orders').pluck().get() as number;
  t.true(placed - 400 >= orders.requests - orders.refused);
  t.true(placed - 400 <= orders.requests - orders.refused + hungUp.requests);
});

test('requests that fail under load are counted and named, and the exit code is 1', async (t) => {
  const file = temporaryFile(t);
  const demo = startDemo(t, '--load', '2', '--clients', '4', '--file', file, ...small);
  await demo.printed(begun);
  const db = new Database(file);
  t.teardown(() => void db.close());
  db.exec('ALTER TABLE customers RENAME COLUMN city TO moved_by_somebody_else');
  t.deepEqual(await demo.ended, { code: 1, signal: null });
  t.true((routesOf(demo.output).get('GET /customers/:id')?.errors ?? 0) > 0);
  t.is(routesOf(demo.output).get('GET /health')?.errors, 0);
  t.regex(demo.complaints, /^\d+ × GET \/customers\/:id answered 500$/m);
});

test('a load after which stock, orders and payments disagree says so, and the exit code is 1', async (t) => {
  const file = temporaryFile(t);
  const demo = startDemo(t, '--load', '2', '--clients', '2', '--file', file, ...small);
  await demo.printed(begun);
  const db = new Database(file);
  t.teardown(() => void db.close());
  db.exec(`
    UPDATE products SET stock = stock + 1, delivered = delivered + 3001 WHERE id = 1;
    UPDATE customers SET spent_cents = spent_cents + 1 WHERE id IN (1, 2);
    WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 3000)
    INSERT INTO orders (customer_id, product_id, quantity, status, placed_at, total_cents, payment)
    SELECT 1, 1, 1, 'paid', '', 7, 'never paid ' || n FROM number`);
  // Clients cancel some of these.
  t.deepEqual(await demo.ended, { code: 1, signal: null });
  for (const line of ['customers and orders disagree for 2 customers', '[\\d,]+ orders have not been paid']) {
    t.regex(demo.complaints, new RegExp(`^${line}\\.$`, 'im'));
  }
  t.notRegex(demo.complaints, /products/);
  t.notRegex(demo.output, /agree\.$/m);
});

test('Ctrl-C ends a load early with 0, and leaves one file in which all agrees', async (t) => {
  const file = temporaryFile(t);
  const demo = startDemo(t, '--load', '3600', '--clients', '16', '--file', file, ...small);
  const url = await demo.url();
  await poolUntil(url, ({ stats }) => stats.laneWaiting > 0);
  demo.kill('SIGINT');
  t.deepEqual(await demo.ended, { code: 0, signal: null });
  t.is(demo.complaints, '');
  t.deepEqual(readdirSync(join(file, '..')), ['app.db']);
  t.deepEqual(difference(t, file), none);
});

test('the load process does not outlive a server that was killed', async (t) => {
  t.timeout(50_000);
  const file = temporaryFile(t);
  const demo = startDemo(t, '--load', '3600', '--clients', '4', '--file', file, ...small);
  await demo.printed(/^Load: 0 %/m);
  demo.kill('SIGKILL');
  // The load process shares the output of the server: it has ended once nobody has that open.
  t.deepEqual(await demo.ended, { code: null, signal: 'SIGKILL' });
  // What was committed is whole.
  t.deepEqual(difference(t, file), none);
});
