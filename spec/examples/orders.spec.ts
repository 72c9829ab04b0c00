import test from 'ava';
import { cards } from './server/payment-service.ts';
import { answerOf, placeOrder, post } from './support/demo.ts';
import { isSettled, laneWaiting, openShop, type Shop, stockOf, stoppingAt } from './support/shop.ts';

test('an order that is paid takes its pieces from the stock, and can be read back', async (t) => {
  const shop = await openShop(t);
  const stock = await stockOf(shop, 3);
  const placed = await placeOrder(shop.url, { customerId: 7, productId: 3, quantity: 2 });
  t.is(placed.status, 201);
  const order = await answerOf('order', placed);
  const { price_cents: price, stock: left } = await answerOf('product', fetch(`${shop.url}/products/3`));
  t.like(order, { customer_id: 7, product_id: 3, quantity: 2, status: 'paid', total_cents: 2 * price });
  t.is(left, stock - 2);
  t.is(placed.headers.get('location'), `/orders/${order.id}`);
  t.deepEqual(await answerOf('order', fetch(`${shop.url}/orders/${order.id}`)), order);
  t.deepEqual([...shop.ledger.paid], [[order.payment ?? '', { cents: order.total_cents, card: cards.good }]]);
  await isSettled(t, shop);
});

test('a declined card is told by 402, and leaves nothing of the order behind', async (t) => {
  const shop = await openShop(t);
  const stock = await stockOf(shop);
  const declined = await placeOrder(shop.url, { card: cards.declined });
  t.is(declined.status, 402);
  t.deepEqual(await answerOf('error', declined), { error: 'The card was declined. Nothing was ordered.' });
  t.is(await stockOf(shop), stock);
  t.is((await fetch(`${shop.url}/orders/21`)).status, 404);
  // There is nothing to call off.
  t.is(shop.ledger.cancelled.size, 0);
  await isSettled(t, shop);
});

test('who wants more than there is, or what there is not, is told so and never asked for money', async (t) => {
  const shop = await openShop(t);
  const stock = await stockOf(shop);
  t.is((await post(`${shop.url}/products/1/restock`, { quantity: 100 - (stock % 100) })).status, 200);
  const hundreds = (await stockOf(shop)) / 100;
  for (let count = 0; count < hundreds; count++) t.is((await placeOrder(shop.url, { quantity: 100 })).status, 201);
  const paid = shop.ledger.paid.size;
  const refusals: [order: Parameters<typeof placeOrder>[1], status: number, error: string][] = [
    [{}, 409, 'It is sold out.'],
    [{ productId: 101 }, 400, 'There is no product 101.'],
    [{ customerId: 11, productId: 2 }, 400, 'There is no customer 11.'],
  ];
  for (const [order, status, error] of refusals) {
    const refused = await placeOrder(shop.url, order);
    t.is(refused.status, status);
    t.deepEqual(await answerOf('error', refused), { error });
  }
  t.is((await post(`${shop.url}/products/1/restock`, { quantity: 3 })).status, 200);
  t.deepEqual(await answerOf('error', placeOrder(shop.url, { quantity: 4 })), { error: 'Only 3 are left.' });
  t.is(shop.ledger.paid.size, paid);
  await isSettled(t, shop);
});

/** Leaves one piece of product 1. */
async function sellAllButOne({ pool }: Shop): Promise<void> {
  await pool.run('UPDATE products SET delivered = delivered - stock + 1, stock = 1 WHERE id = 1');
}

test('of two clients who want the last piece exactly one gets it', async (t) => {
  const payment = stoppingAt(1);
  const shop = await openShop(t, { think: payment.think });
  await sellAllButOne(shop);
  //  first                           second
  //  takes the piece, is paying
  const first = placeOrder(shop.url, { customerId: 1 });
  await payment.asked;
  //                                  waits for its turn to write, however long that takes
  const second = placeOrder(shop.url, { customerId: 2 });
  await laneWaiting(shop, 1);
  //  has paid
  payment.answer.open();
  t.is((await first).status, 201);
  //                                  sold out, and never asked for money
  t.is((await second).status, 409);
  t.is(payment.calls(), 1);
  t.is(await stockOf(shop), 0);
  await isSettled(t, shop);
});

test('the last piece goes to the second client where the card of the first is declined', async (t) => {
  const payment = stoppingAt(1);
  const shop = await openShop(t, { think: payment.think });
  await sellAllButOne(shop);
  const first = placeOrder(shop.url, { customerId: 1, card: cards.declined });
  await payment.asked;
  const second = placeOrder(shop.url, { customerId: 2 });
  await laneWaiting(shop, 1);
  payment.answer.open();
  t.is((await first).status, 402);
  const placed = await second;
  t.is(placed.status, 201);
  t.like(await answerOf('order', placed), { customer_id: 2 });
  t.is(await stockOf(shop), 0);
  await isSettled(t, shop);
});

test('of twenty clients who want ten pieces ten get one each', async (t) => {
  const shop = await openShop(t);
  await sellAllButOne(shop);
  await post(`${shop.url}/products/1/restock`, { quantity: 9 });
  const orders = Array.from({ length: 20 }, (_, index) => placeOrder(shop.url, { customerId: 1 + (index % 10) }));
  const statuses = (await Promise.all(orders)).map(({ status }) => status);
  t.is(statuses.filter((status) => status === 201).length, 10);
  t.is(statuses.filter((status) => status === 409).length, 10);
  await isSettled(t, shop);
});

test('while an order is being paid others read on, see nothing of it, and only writers wait', async (t) => {
  const payment = stoppingAt(1);
  const shop = await openShop(t, { think: payment.think });
  const stock = await stockOf(shop);
  const order = placeOrder(shop.url);
  await payment.asked;
  t.is(await stockOf(shop), stock);
  for (const path of ['/customers/1', '/orders/1', '/products', '/top', '/report', '/health?deep']) {
    t.is((await fetch(`${shop.url}${path}`)).status, 200, path);
  }
  t.is((await fetch(`${shop.url}/orders/21`)).status, 404);
  const restock = post(`${shop.url}/products/1/restock`, { quantity: 5 });
  await laneWaiting(shop, 1);
  payment.answer.open();
  t.is((await order).status, 201);
  t.is((await restock).status, 200);
  t.is(await stockOf(shop), stock - 1 + 5);
  await isSettled(t, shop);
});

test('a write that finds too many waiting is told to come back', async (t) => {
  const payment = stoppingAt(1);
  const shop = await openShop(t, { think: payment.think, maxWaiting: 1 });
  const first = placeOrder(shop.url);
  await payment.asked;
  const second = placeOrder(shop.url);
  await laneWaiting(shop, 1);
  const third = await placeOrder(shop.url);
  t.is(third.status, 503);
  t.is(third.headers.get('retry-after'), '1');
  payment.answer.open();
  t.deepEqual([(await first).status, (await second).status], [201, 201]);
  await isSettled(t, shop);
});
