import type { SqlitePool } from '../../../../lib/index.ts';
import { integersOf } from '../check.ts';
import { type Exchange, HttpError, type Route } from '../http.ts';
import { patience } from '../orders.ts';

interface Product {
  readonly id: number;
  readonly name: string;
  readonly price_cents: number;
  /** Pieces that are there. */
  readonly stock: number;
}

const columns = 'id, name, price_cents, stock';
// Pieces in one delivery.
const largestDelivery = 10_000;

/** get, all, run: one statement. The pool takes a connection for it, and gives it back. */
export function productRoutes(pool: SqlitePool): Route[] {
  function getProducts({ label, signal }: Exchange) {
    return pool.all<Product>(`SELECT ${columns} FROM products ORDER BY id`, [], { label, signal });
  }

  async function getProduct({ params, label, signal }: Exchange) {
    const id = params['id'] as number;
    const product = await pool.get<Product>(`SELECT ${columns} FROM products WHERE id = ?`, [id], { label, signal });
    if (product === undefined) throw new HttpError(404, `There is no product ${id}.`);
    return product;
  }

  /** A write of one statement: waits for its turn as a transaction does, and needs none. */
  async function restock({ params, body, label, signal }: Exchange) {
    const { quantity } = integersOf(await body(), { quantity: largestDelivery });
    const id = params['id'] as number;
    const sql = 'UPDATE products SET stock = stock + ?, delivered = delivered + ? WHERE id = ?';
    const { changes } = await pool.run(sql, [quantity, quantity, id], { label, signal, timeout: patience });
    if (changes === 0) throw new HttpError(404, `There is no product ${id}.`);
    return { id, delivered: quantity };
  }

  return [
    { method: 'GET', path: '/products', about: 'all products and their stock (pool.all)', handle: getProducts },
    { method: 'GET', path: '/products/:id', about: 'a product (pool.get)', handle: getProduct },
    { method: 'POST', path: '/products/:id/restock', about: 'deliver {quantity} (pool.run)', handle: restock },
  ];
}
