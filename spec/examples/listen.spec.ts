import { once } from 'node:events';
import { connect } from 'node:net';
import test from 'ava';
import { placeOrder } from './support/demo.ts';
import { openShop, stoppingAt } from './support/shop.ts';

test('a server that closes drops sockets kept in reserve at once, and lets the request in hand finish', async (t) => {
  const payment = stoppingAt(1);
  const { url, site } = await openShop(t, { think: payment.think });
  const order = placeOrder(url);
  await payment.asked;
  const { hostname, port } = new URL(url);
  const reserve = connect(Number(port), hostname);
  // The server knows of it once it has answered somebody who came later.
  await once(reserve, 'connect');
  t.is((await fetch(`${url}/health`)).status, 200);
  const closing = site[Symbol.asyncDispose]();
  await once(reserve, 'close');
  payment.answer.open();
  t.is((await order).status, 201);
  await closing;
});

test('a server has closed only when the work of clients who hung up is undone', async (t) => {
  // The call that takes the order's payment back.
  const undoing = stoppingAt(2);
  const payment = stoppingAt(1);
  const think = (signal: AbortSignal) => Promise.all([payment.think(signal), undoing.think(signal)]).then(() => {});
  const { url, site, ledger } = await openShop(t, { think });
  const client = new AbortController();
  const order = fetch(`${url}/orders`, {
    method: 'POST',
    body: JSON.stringify({ customerId: 1, productId: 1, quantity: 1, card: '1' }),
    signal: client.signal,
  });
  await payment.asked;
  client.abort();
  await t.throwsAsync(order, { name: 'AbortError' });
  await undoing.asked;
  let isClosed = false;
  const closing = Promise.resolve(site[Symbol.asyncDispose]()).then(() => {
    isClosed = true;
  });
  payment.answer.open();
  await t.throwsAsync(fetch(`${url}/health`));
  t.false(isClosed);
  undoing.answer.open();
  await closing;
  t.is(ledger.cancelled.size, 1);
});
