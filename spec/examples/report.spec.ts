import test from 'ava';
import Database from 'better-sqlite3';
import { answerOf } from './support/demo.ts';
import { openShop } from './support/shop.ts';

function sum(numbers: number[]): number {
  return numbers.reduce((left, right) => left + right, 0);
}

test('the queries of a report agree with each other, whatever is written between them', async (t) => {
  const { url, file } = await openShop(t);
  // Sells one piece of product 1 in every turn of the event loop, as another process would.
  const db = new Database(file);
  t.teardown(() => void db.close());
  const sell = db.transaction(() => {
    db.exec(`
      UPDATE products SET delivered = delivered + 1 WHERE id = 1;
      UPDATE customers SET order_count = order_count + 1, spent_cents = spent_cents + 7 WHERE id = 1;
      INSERT INTO orders (customer_id, product_id, quantity, status, placed_at, total_cents)
      VALUES (1, 1, 1, 'paid', '', 7)`);
  });
  let sold = 0;
  let selling: NodeJS.Immediate | undefined;
  const goOn = () => {
    sell.immediate();
    sold++;
    selling = setImmediate(goOn);
  };
  t.teardown(() => clearImmediate(selling));
  goOn();
  const { sales, cities, stock } = await answerOf('report', fetch(`${url}/report`));
  clearImmediate(selling);
  t.true(sold >= 3);
  t.is(sum(sales.map(({ cents }) => cents)), sum(cities.map(({ cents }) => cents)));
  t.is(sum(sales.map(({ pieces }) => pieces)), stock.delivered - stock.stock);
});

test('requests that come while a report is made share it, and who goes away leaves it to the others', async (t) => {
  const { url, pool } = await openShop(t, { max: 1 });
  // Each of them is behind whatever was sent before it.
  const roundTrips = async () => {
    for (let count = 0; count < 10; count++) t.is((await fetch(`${url}/health`)).status, 200);
  };
  const lease = await pool.acquire();
  const before = pool.stats().counters.acquired;
  const hasty = new AbortController();
  const gone = fetch(`${url}/report`, { signal: hasty.signal });
  while (pool.stats().waiting === 0) await roundTrips();
  const others = Array.from({ length: 5 }, () => answerOf('report', fetch(`${url}/report`)));
  await roundTrips();
  hasty.abort();
  await t.throwsAsync(gone, { name: 'AbortError' });
  await roundTrips();
  t.is(pool.stats().waiting, 1);
  lease.close();
  const reports = await Promise.all(others);
  t.is(new Set(reports.map(({ at }) => at)).size, 1);
  t.is(pool.stats().counters.acquired, before + 1);
});
