import type { SqlitePool } from '../../../../lib/index.ts';
import { type Exchange, HttpError, type Route } from '../http.ts';
import type { Order } from '../orders.ts';

interface Customer {
  readonly id: number;
  readonly name: string;
  readonly email: string;
  readonly city: string;
}

/** withConnection: the usual way. The request holds a connection, and so does all that it calls. */
export function customerRoutes(pool: SqlitePool): Route[] {
  // `pool.db` is whichever connection the current request holds, so statements can be made once, up here,
  // and run in any request: each connection prepares them when it first needs them, and keeps them.
  const customerById = pool.db.prepare<[number], Customer>('SELECT id, name, email, city FROM customers WHERE id = ?');
  const latestOrders = pool.db.prepare<[number], Order>(
    'SELECT * FROM orders WHERE customer_id = ? ORDER BY id DESC LIMIT 5',
  );

  function getCustomer({ params, label, signal }: Exchange) {
    return pool.withConnection(() => profile(params['id'] as number), { label, signal });
  }

  /** Gets no connection passed, and runs on that of whoever called it. */
  async function profile(id: number) {
    const customer = customerById.get(id);
    if (customer === undefined) throw new HttpError(404, `There is no customer ${id}.`);
    // While this is computed on another thread, other requests run, on connections of their own. Afterwards
    // `pool.db` is still ours.
    const avatar = await avatarOf(customer.email);
    return { ...customer, avatar, latestOrders: await history(id) };
  }

  /** Works on its own, too: inside a request this takes part in what the request holds, elsewhere it takes one. */
  function history(customerId: number) {
    return pool.withConnection(() => latestOrders.all(customerId));
  }

  return [{ method: 'GET', path: '/customers/:id', about: 'a customer (withConnection)', handle: getCustomer }];
}

/** Address of a picture, by a hash of the mail address as such services have it. */
async function avatarOf(email: string): Promise<string> {
  const hash = await crypto.subtle.digest('SHA-256', Buffer.from(email));
  return `https://avatars.example.com/${Buffer.from(hash).toString('hex')}`;
}
