// A shop on Hono: node http-hono.ts [file] [address of the bank]. An order spans an `await`, and others are served meanwhile.
import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { HTTPException } from 'hono/http-exception';
import { hono, transactional } from '../../lib/http/hono.ts'; // in your app: from 'leasehold/hono'
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

const app = new Hono();
app.use(hono(pool));
app.onError((error, context) => {
  if (error instanceof HTTPException) return error.getResponse();
  console.error(error.message);
  return context.text('Internal Server Error', 500);
});

app.get('/stock', async (context) =>
  context.json(
    await pool.all('SELECT name, stock, (SELECT count(*) FROM orders WHERE product = name) AS orders FROM products'),
  ),
);

app.post('/orders/:product', transactional(pool), async (context) => {
  const product = context.req.param('product');
  const taken = pool.db.prepare('UPDATE products SET stock = stock - 1 WHERE name = ? AND stock > 0').run(product);
  if (taken.changes === 0) throw new HTTPException(409, { message: 'Sold out' });
  await charge(product);
  const { lastInsertRowid } = pool.db.prepare('INSERT INTO orders (product) VALUES (?)').run(product);
  return context.json({ order: Number(lastInsertRowid) }, 201);
});

const server = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 }) as Server;
if (!server.listening) await once(server, 'listening');
console.log(`Listening on http://127.0.0.1:${(server.address() as AddressInfo).port}`);

await stopped(stopping);
server.close();
server.closeIdleConnections();
await pool.close();
