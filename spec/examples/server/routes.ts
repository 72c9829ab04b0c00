import type { SqlitePool } from '../../../lib/index.ts';
import type { Route } from './http.ts';
import type { PaymentService } from './payment.ts';
import { customerRoutes } from './routes/customers.ts';
import { operationRoutes } from './routes/operations.ts';
import { orderRoutes } from './routes/orders.ts';
import { productRoutes } from './routes/products.ts';
import { reportRoutes } from './routes/reports.ts';

/** The routes of the shop. Each shows another way to come by a connection, and how long it is held. */
export function makeRoutes(pool: SqlitePool, payments: PaymentService): Route[] {
  const routes: Route[] = [
    {
      method: 'GET',
      path: '/',
      about: 'this list',
      handle: () => routes.map(({ method, path, about }) => ({ method, path, about })),
    },
    ...customerRoutes(pool),
    ...productRoutes(pool),
    ...orderRoutes(pool, payments),
    ...reportRoutes(pool),
    ...operationRoutes(pool),
  ];
  return routes;
}
