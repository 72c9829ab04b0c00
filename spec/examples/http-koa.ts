// A shop on Koa: node http-koa.ts [file] [address of the bank]. An order spans an `await`, and others are served meanwhile.
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { Router } from '@koa/router';
import Koa from 'koa';
import { koa, transactional } from '../../lib/http/koa.ts'; // in your app: from 'leasehold/koa'
import { createPool } from '../../lib/index.ts'; // in your app: from 'leasehold'
import { stopped, stopSignal } from './server/stop.ts';

const [file = 'shop.db', bank] = process.argv.slice(2);
const stopping = stopSignal();
const pool = createPool(file, { name: 'shop' });
await pool.transaction((tx) => {
  tx.exec('CREATE TABLE IF NOT EXISTS products (name TEXT PRIMARY KEY, stock INTEGER NOT NULL) STRICT');
  tx.exec(
    'CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, product TEXT NOT NULL REFERENCES products) STRICT',
  );
  tx.exec("INSERT INTO products VALUES ('lamp', 3) ON CONFLICT DO NOTHING");
});

/** Somebody else's word, which takes its time. */
async function charge(product: string): Promise<void> {
  if (bank === undefined) await setTimeout(500);
  else if (!(await fetch(bank, { method: 'POST', body: product })).ok) throw new Error('The bank refuses');
}

const router = new Router();

router.get('/stock', async (context) => {
  context.body = await pool.all(
    'SELECT name, stock, (SELECT count(*) FROM orders WHERE product = name) AS orders FROM products',
  );
});

router.post('/orders/:product', transactional(pool), async (context) => {
  const product = context.params['product'] as string;
  const taken = pool.db.prepare('UPDATE products SET stock = stock - 1 WHERE name = ? AND stock > 0').run(product);
  if (taken.changes === 0) context.throw(409, 'Sold out');
  await charge(product);
  const { lastInsertRowid } = pool.db.prepare('INSERT INTO orders (product) VALUES (?)').run(product);
  context.status = 201;
  context.body = { order: lastInsertRowid };
});

const app = new Koa();
app.on('error', (error: Error) => console.error(error.message));
const server = app.use(koa(pool)).use(router.routes()).listen(0, '127.0.0.1');
await once(server, 'listening');
console.log(`Listening on http://127.0.0.1:${(server.address() as AddressInfo).port}`);

await stopped(stopping);
server.close();
server.closeIdleConnections();
await pool.close();
