// A shop on tRPC: node http-trpc.ts [file] [address of the bank]. An order spans an `await`, and others are served meanwhile.
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { initTRPC, TRPCError } from '@trpc/server';
import { createHTTPServer } from '@trpc/server/adapters/standalone';
import { transactional, trpc } from '../../lib/http/trpc.ts'; // in your app: from 'leasehold/trpc'
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

function productName(input: unknown): string {
  if (typeof input === 'string') return input;
  throw new TypeError('The name of a product is wanted');
}

const t = initTRPC.create();
const procedure = t.procedure.use(trpc(pool));

const router = t.router({
  stock: procedure.query(() =>
    pool.all('SELECT name, stock, (SELECT count(*) FROM orders WHERE product = name) AS orders FROM products'),
  ),

  order: procedure.input(productName).mutation(
    transactional(pool, async ({ input: product }) => {
      const taken = pool.db.prepare('UPDATE products SET stock = stock - 1 WHERE name = ? AND stock > 0').run(product);
      if (taken.changes === 0) throw new TRPCError({ code: 'CONFLICT', message: 'Sold out' });
      await charge(product);
      const { lastInsertRowid } = pool.db.prepare('INSERT INTO orders (product) VALUES (?)').run(product);
      return { order: Number(lastInsertRowid) };
    }),
  ),
});

const server = createHTTPServer({ router, onError: ({ error }) => console.error(error.message) });
server.listen(0, '127.0.0.1');
await once(server, 'listening');
console.log(`Listening on http://127.0.0.1:${(server.address() as AddressInfo).port}`);

await stopped(stopping);
server.close();
server.closeIdleConnections();
await pool.close();
