import type { SqlitePool } from '../../../lib/index.ts';
import { HttpError } from './http.ts';
import { Payment, type PaymentService } from './payment.ts';

export interface Order {
  readonly id: number;
  readonly customer_id: number;
  readonly product_id: number;
  readonly quantity: number;
  readonly status: string;
  readonly placed_at: string;
  readonly total_cents: number;
  /** Reference of its payment, `null` for those that the shop was begun with. */
  readonly payment: string | null;
}

export interface NewOrder {
  readonly customerId: number;
  readonly productId: number;
  readonly quantity: number;
  readonly card: string;
}

/**
 * Milliseconds for which a write waits for its turn. Whoever looks at a page is told sooner to come back than whoever
 * has filled in a form.
 */
export const patience = 10_000;
// Orders of one call that are cancelled at most, since others wait for as long.
const mostCancelled = 20;

/** Of a request: how its transaction is called, and what ends it early. */
interface Asked {
  readonly label: string;
  readonly signal: AbortSignal;
}

/** Orders are placed and cancelled in transactions that span the call of the payment service. */
export function makeOrders(pool: SqlitePool, payments: PaymentService) {
  const take = pool.db.prepare<[number, number, number], { price_cents: number }>(
    'UPDATE products SET stock = stock - ? WHERE id = ? AND stock >= ? RETURNING price_cents',
  );
  const putBack = pool.db.prepare('UPDATE products SET stock = stock + ? WHERE id = ?');
  const stockOf = pool.db.prepare<[number], number>('SELECT stock FROM products WHERE id = ?').pluck();
  const addToCustomer = pool.db.prepare<[number, number, number]>(
    'UPDATE customers SET order_count = order_count + ?, spent_cents = spent_cents + ? WHERE id = ?',
  );
  const add = pool.db.prepare<[number, number, number, string, number, string], Order>(
    `INSERT INTO orders (customer_id, product_id, quantity, status, placed_at, total_cents, payment)
     VALUES (?, ?, ?, 'paid', ?, ?, ?) RETURNING *`,
  );
  const markCancelled = pool.db.prepare<[number], Order>(
    "UPDATE orders SET status = 'cancelled' WHERE id = ? AND status = 'paid' RETURNING *",
  );
  const statusOf = pool.db.prepare<[number], string>('SELECT status FROM orders WHERE id = ?').pluck();
  const openOrders = pool.db
    .prepare<[number, number], number>("SELECT id FROM orders WHERE customer_id = ? AND status = 'paid' LIMIT ?")
    .pluck();

  /**
   * Takes the pieces from the stock, enters the order, and has it paid: all of it, or nothing. Whatever is thrown
   * rolls back what was written, whether it is about the card, the stock, or a client who has gone away.
   *
   * The payment comes last, because it is the one step that SQLite can not undo. It is made while the transaction is
   * open, and others who want to write wait for its end; readers wait for nobody. That is fair for a service that
   * answers in a few milliseconds. With a slow one, do not keep the lane that long: reserve the pieces in one
   * transaction (order `'pending'`), pay outside of any, and confirm or give back in a second; and have something
   * clean up after a process that died between the two.
   */
  async function place(order: NewOrder, { label, signal }: Asked): Promise<Order> {
    const payment = new Payment(payments);
    try {
      return await pool.transaction(
        async () => {
          const entered = enter(order, payment.reference);
          await payment.pay(entered.total_cents, order.card, signal);
          return entered;
        },
        { label, signal, timeout: patience },
      );
    } catch (error) {
      // Also where COMMIT has failed, or the client has gone before we heard whether it was paid.
      await payment.undo();
      throw error;
    }
  }

  /** What an order writes. Nothing is awaited here, and `pool.db` is the transaction's connection. */
  function enter({ customerId, productId, quantity }: NewOrder, payment: string): Order {
    const product = take.get(quantity, productId, quantity);
    if (product === undefined) {
      const left = stockOf.get(productId);
      if (left === undefined) throw new HttpError(400, `There is no product ${productId}.`);
      throw new HttpError(409, left === 0 ? 'It is sold out.' : `Only ${left} are left.`);
    }
    const cents = product.price_cents * quantity;
    if (addToCustomer.run(1, cents, customerId).changes === 0) {
      throw new HttpError(400, `There is no customer ${customerId}.`);
    }
    return add.get(customerId, productId, quantity, new Date().toISOString(), cents, payment) as Order;
  }

  /**
   * Takes an order back: in a transaction, or, inside another, as a part of it that can fail alone.
   *
   * Takes no signal: what has been paid back is not undone by a client who goes away. Where the answer of the service
   * is lost, or COMMIT fails after it, the order stands and can be cancelled again: to pay back twice is to do it once.
   */
  function cancel(id: number, label: string): Promise<Order> {
    return pool.transaction(
      async () => {
        const order = markCancelled.get(id);
        if (order === undefined) {
          const status = statusOf.get(id);
          if (status === undefined) throw new HttpError(404, `There is no order ${id}.`);
          throw new HttpError(409, `Order ${id} is ${status}.`);
        }
        putBack.run(order.quantity, order.product_id);
        addToCustomer.run(-1, -order.total_cents, order.customer_id);
        if (order.payment !== null) await new Payment(payments, order.payment).payBack();
        return order;
      },
      { label, timeout: patience },
    );
  }

  /**
   * Cancels what a customer has ordered and is not sent yet. An order that can not be paid back is kept, and the others
   * are cancelled all the same: each is a nested transaction. Started side by side, they run one after the other.
   */
  function cancelAll(customerId: number, label: string): Promise<{ cancelled: number[]; kept: number[] }> {
    return pool.transaction(
      async () => {
        const ids = openOrders.all(customerId, mostCancelled);
        const outcomes = await Promise.allSettled(ids.map((id) => cancel(id, label)));
        const kept: number[] = [];
        for (const [index, outcome] of outcomes.entries()) {
          if (outcome.status === 'fulfilled') continue;
          // Whatever is not between the shop and its customer undoes the whole.
          if (!(outcome.reason instanceof HttpError)) throw outcome.reason;
          kept.push(ids[index] as number);
        }
        return { cancelled: ids.filter((id) => !kept.includes(id)), kept };
      },
      { label, timeout: patience },
    );
  }

  return { place, cancel, cancelAll };
}
