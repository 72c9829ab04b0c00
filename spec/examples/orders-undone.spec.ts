import test from 'ava';
import { gate } from '../support/gate.ts';
import { HttpError, type Route } from './server/http.ts';
import { cards, type Ledger, paymentRoutes } from './server/payment-service.ts';
import { anOrder, answerOf, placeOrder, post } from './support/demo.ts';
import { isSettled, laneWaiting, openShop, type Shop, stockOf, stoppingAt } from './support/shop.ts';

// Orders that come to nothing, or are taken back.

/** An order whose client may hang up. */
function hastyOrder({ url }: Shop) {
  const client = new AbortController();
  const sent = fetch(`${url}/orders`, { method: 'POST', body: JSON.stringify(anOrder()), signal: client.signal });
  return {
    hangUp: () => client.abort(),
    answer: sent.then(({ status }) => status).catch((error: Error) => error.name),
  };
}

/** A payment service that takes the money and then says that it is out of order. */
function takingAndFailing(ledger: Ledger): Route[] {
  const [pay, cancel] = paymentRoutes(ledger, async () => {}) as [Route, Route];
  const handle: Route['handle'] = async (exchange) => {
    await pay.handle(exchange);
    throw new HttpError(503, 'Out of order.');
  };
  return [{ ...pay, handle }, cancel];
}

async function statusOf({ url }: Shop, order: number): Promise<string> {
  return (await answerOf('order', fetch(`${url}/orders/${order}`))).status;
}

test('a client that goes away in the middle of the payment has ordered nothing and pays nothing', async (t) => {
  const payment = stoppingAt(1);
  const shop = await openShop(t, { think: payment.think });
  const stock = await stockOf(shop);
  const { answer, hangUp } = hastyOrder(shop);
  const atService = await payment.asked;
  hangUp();
  t.is(await answer, 'AbortError');
  // Without an answer of the service: its call is cancelled, the order undone, and the payment called off.
  await shop.site.settled();
  t.is(shop.ledger.cancelled.size, 1);
  t.true(atService.aborted);
  // The service goes on all the same, and finds that nobody wants it any more.
  payment.answer.open();
  t.is(await stockOf(shop), stock);
  t.is((await placeOrder(shop.url)).status, 201);
  t.is(shop.ledger.paid.size, 1);
  await isSettled(t, shop);
});

test('a client that goes away after the service took the money gets it back', async (t) => {
  const taken = gate();
  const never = gate();
  // Takes the money at once, and then does not come to answer.
  const payments = (ledger: Ledger): Route[] => {
    const [pay, cancel] = paymentRoutes(ledger, async () => {}) as [Route, Route];
    const handle: Route['handle'] = async (exchange) => {
      await pay.handle(exchange);
      taken.open();
      await never.passed;
    };
    return [{ ...pay, handle }, cancel];
  };
  const shop = await openShop(t, { payments });
  t.teardown(() => never.open());
  const { answer, hangUp } = hastyOrder(shop);
  await taken.passed;
  t.is(shop.ledger.paid.size, 1);
  hangUp();
  await answer;
  await isSettled(t, shop);
  t.is(shop.ledger.paid.size, 0);
  t.is((await fetch(`${shop.url}/orders/21`)).status, 404);
});

test('a client that goes away while it waits for its turn to write never gets to pay', async (t) => {
  const payment = stoppingAt(1);
  const shop = await openShop(t, { think: payment.think });
  const first = placeOrder(shop.url);
  await payment.asked;
  const { answer, hangUp } = hastyOrder(shop);
  await laneWaiting(shop, 1);
  hangUp();
  await answer;
  await laneWaiting(shop, 0);
  payment.answer.open();
  t.is((await first).status, 201);
  await isSettled(t, shop);
  t.is(payment.calls(), 1);
});

test('a payment service that does not answer in time is given up, and the order with it', async (t) => {
  const payment = stoppingAt(1);
  const shop = await openShop(t, { think: payment.think, patience: 1000 });
  t.teardown(() => payment.answer.open());
  const stock = await stockOf(shop);
  const failed = await placeOrder(shop.url);
  t.is(failed.status, 502);
  t.deepEqual(await answerOf('error', failed), { error: 'The payment service does not answer. Try again later.' });
  t.is(await stockOf(shop), stock);
  t.is(shop.ledger.cancelled.size, 1);
  await isSettled(t, shop);
});

test('a payment service that fails may have been paid all the same, so the payment is called off', async (t) => {
  const shop = await openShop(t, { payments: takingAndFailing });
  t.is((await placeOrder(shop.url)).status, 502);
  t.is(shop.ledger.paid.size, 0);
  t.is(shop.ledger.cancelled.size, 1);
  await isSettled(t, shop);
});

test('an order that is cancelled is paid back and goes back into the stock, once', async (t) => {
  const shop = await openShop(t);
  const stock = await stockOf(shop);
  await placeOrder(shop.url, { quantity: 3 });
  t.is(await stockOf(shop), stock - 3);
  const cancelled = await post(`${shop.url}/orders/21/cancel`);
  t.is(cancelled.status, 200);
  t.like(await answerOf('order', cancelled), { id: 21, status: 'cancelled' });
  t.is(await stockOf(shop), stock);
  t.is(shop.ledger.paid.size, 0);

  const again = await post(`${shop.url}/orders/21/cancel`);
  t.is(again.status, 409);
  t.deepEqual(await answerOf('error', again), { error: 'Order 21 is cancelled.' });
  t.is((await post(`${shop.url}/orders/22/cancel`)).status, 404);
  t.is(await stockOf(shop), stock);
  await isSettled(t, shop);
});

test('an order that can not be paid back stands', async (t) => {
  const shop = await openShop(t);
  await placeOrder(shop.url, { card: cards.final });
  const stock = await stockOf(shop);
  t.is((await post(`${shop.url}/orders/21/cancel`)).status, 409);
  t.is(await statusOf(shop, 21), 'paid');
  t.is(await stockOf(shop), stock);
  await isSettled(t, shop);
});

test('of all orders of a customer those that can not be paid back are kept, and only those', async (t) => {
  const shop = await openShop(t);
  const before = await answerOf('cancelled', post(`${shop.url}/customers/3/cancel`));
  t.deepEqual(before.kept, []);
  for (const card of [cards.good, cards.final, cards.good]) await placeOrder(shop.url, { customerId: 3, card });
  const stock = await stockOf(shop);
  const { cancelled, kept } = await answerOf('cancelled', post(`${shop.url}/customers/3/cancel`));
  t.deepEqual(cancelled, [21, 23]);
  t.deepEqual(kept, [22]);
  t.is(await statusOf(shop, 22), 'paid');
  t.is(await stockOf(shop), stock + 2);
  await isSettled(t, shop);
});

test('a client that goes away does not stop the cancelling it has begun', async (t) => {
  // Three payments, then one that is paid back, and in the middle of the next the client goes.
  const payment = stoppingAt(5);
  const shop = await openShop(t, { think: payment.think });
  for (let count = 0; count < 3; count++) await placeOrder(shop.url, { customerId: 3 });
  const client = new AbortController();
  const cancelling = fetch(`${shop.url}/customers/3/cancel`, { method: 'POST', signal: client.signal });
  await payment.asked;
  client.abort();
  await t.throwsAsync(cancelling, { name: 'AbortError' });
  payment.answer.open();
  await isSettled(t, shop);
  for (const order of [21, 22, 23]) t.is(await statusOf(shop, order), 'cancelled');
  t.is(shop.ledger.paid.size, 0);
});
