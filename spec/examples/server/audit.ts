import { setImmediate } from 'node:timers/promises';
import type { SqlitePool } from '../../../lib/index.ts';

/** What must come out even, whatever has happened. */
export interface Books {
  /** Products of which not everything that was delivered is in stock or sold. */
  readonly wrongProducts: number;
  /** Customers whose count or sum of orders is not that of their orders. */
  readonly wrongCustomers: number;
  /** Cents of each order that stands and was paid through the payment service, by the reference of its payment. */
  readonly paid: ReadonlyMap<string, number>;
}

const wrongProducts = `
  SELECT count(*) FROM products LEFT JOIN (
    SELECT product_id, sum(quantity) AS sold FROM orders WHERE status <> 'cancelled' GROUP BY product_id
  ) ON product_id = id
  WHERE delivered - coalesce(sold, 0) <> stock`;

const wrongCustomers = `
  SELECT count(*) FROM customers LEFT JOIN (
    SELECT customer_id, count(*) AS orders, sum(total_cents) AS spent
    FROM orders WHERE status <> 'cancelled' GROUP BY customer_id
  ) ON customer_id = id
  WHERE order_count <> coalesce(orders, 0) OR spent_cents <> coalesce(spent, 0)`;

const paid = "SELECT payment, total_cents FROM orders WHERE payment IS NOT NULL AND status <> 'cancelled'";

/** Goes through the whole database, as of one moment. */
export function audit(pool: SqlitePool): Promise<Books> {
  return pool.read(
    async (db) => {
      const count = async (sql: string) => {
        await setImmediate();
        return db.prepare<[], number>(sql).pluck().get() ?? 0;
      };
      return {
        wrongProducts: await count(wrongProducts),
        wrongCustomers: await count(wrongCustomers),
        paid: new Map(db.prepare<[], [string, number]>(paid).raw().all()),
      };
    },
    { label: 'audit' },
  );
}
