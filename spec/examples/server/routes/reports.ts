import { setImmediate } from 'node:timers/promises';
import type { SqlitePool } from '../../../../lib/index.ts';
import type { Exchange, Route } from '../http.ts';

interface Report {
  /** When it was made. */
  readonly at: number;
  readonly sales: unknown[];
  readonly cities: unknown[];
  readonly stock: unknown;
}

// A report is good for this many milliseconds.
const reportLifetime = 1000;

export function reportRoutes(pool: SqlitePool): Route[] {
  const salesByStatus = pool.db.prepare(
    'SELECT status, count(*) AS orders, sum(quantity) AS pieces, sum(total_cents) AS cents FROM orders GROUP BY status',
  );
  const customersByCity = pool.db.prepare(
    'SELECT city, count(*) AS customers, sum(spent_cents) AS cents FROM customers GROUP BY city',
  );
  const stockInAll = pool.db.prepare('SELECT sum(delivered) AS delivered, sum(stock) AS stock FROM products');

  // ---- read: several queries that must agree with each other. ----

  let report: Report | undefined;
  let making: Promise<Report> | undefined;

  function getReport({ label }: Exchange): Report | Promise<Report> {
    // Most requests end here, and have cost no connection.
    if (report !== undefined && (making !== undefined || Date.now() - report.at < reportLifetime)) return report;
    // Without the signal of a client: who has asked for it may go, others wait for the same.
    making ??= pool.read(makeReport, { label }).finally(() => {
      making = undefined;
    });
    return making;
  }

  /**
   * What was sold by status is what was spent by city, and what was delivered is in stock or sold, although orders are
   * placed between the queries: all three see the database as it was at the first.
   */
  async function makeReport(): Promise<Report> {
    const at = Date.now();
    const sales = salesByStatus.all();
    await setImmediate(); // SQLite computes on this thread: let others through between two long queries.
    const cities = customersByCity.all();
    await setImmediate();
    report = { at, sales, cities, stock: stockInAll.get() };
    return report;
  }

  function getTop({ label, signal }: Exchange) {
    const sql = 'SELECT id, name, order_count, spent_cents FROM customers ORDER BY spent_cents DESC LIMIT ?';
    return pool.all(sql, [10], { label, signal });
  }

  return [
    { method: 'GET', path: '/top', about: 'who spent most (pool.all)', handle: getTop },
    { method: 'GET', path: '/report', about: 'sales and stock, kept for a second (pool.read)', handle: getReport },
  ];
}
