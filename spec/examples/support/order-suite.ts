import { readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import test from 'ava';
import { watch } from '../../support/processes.ts';
import { cards } from '../server/payment-service.ts';
import { post } from './demo.ts';
import { json, type PayingExample, startPaying, statsUntil } from './paying.ts';

const ordersOf = ({ url }: PayingExample) => json<unknown[]>(fetch(`${url}/orders`));

/** Declares what holds of the examples that take orders: the same for every query builder. */
export function orderSuite(name: string): void {
  test(`${name}: while one request has its transaction open, others read what is committed and wait for their turn to write`, async (t) => {
    const example = await startPaying(t, name);
    const { url, payment } = example;
    const order = post(`${url}/orders`, { item: 'lamp' });
    await payment.asked;
    // The order is in the file by now, in a transaction that awaits its payment.
    t.deepEqual(await ordersOf(example), []);
    const review = watch(json(post(`${url}/reviews`, { words: 'Bright.' })));
    await statsUntil(example, ({ laneHeld, laneWaiting }) => laneHeld === 1 && laneWaiting === 1);
    t.deepEqual(await ordersOf(example), []);
    t.false(review.settled);
    payment.answer.open();
    const answer = await order;
    t.is(answer.status, 201);
    const lamp = { id: 1, item: 'lamp', status: 'paid' };
    t.deepEqual(await json(answer), lamp);
    // It was written after the order, and so has seen it.
    t.deepEqual(await review.done, { id: 1, words: 'Bright.', orders: 1 });
    t.deepEqual(await ordersOf(example), [lamp]);
    t.deepEqual(await example.stop(), { code: 0, complaints: '' });
    // The pool was closed: no log is left beside the file.
    t.deepEqual(readdirSync(dirname(example.file)), ['app.db']);
  });

  test(`${name}: an order that is not paid leaves nothing behind`, async (t) => {
    const example = await startPaying(t, name);
    const { url, payment } = example;
    payment.answer.open();
    t.is((await post(`${url}/orders`, { item: 'lamp', card: cards.declined })).status, 402);
    t.deepEqual(await ordersOf(example), []);
    t.is((await post(`${url}/orders`, { item: 'lamp', card: cards.good })).status, 201);
    t.is((await ordersOf(example)).length, 1);
    t.deepEqual(await example.stop(), { code: 0, complaints: '' });
  });

  test(`${name}: a client that goes away undoes what was ordered, and the next writer gets his turn`, async (t) => {
    const example = await startPaying(t, name);
    const { url, payment } = example;
    const client = new AbortController();
    const order = fetch(`${url}/orders`, {
      method: 'POST',
      body: JSON.stringify({ item: 'lamp' }),
      signal: client.signal,
    });
    await payment.asked;
    const review = json(post(`${url}/reviews`, { words: 'Too slow.' }));
    await statsUntil(example, ({ laneWaiting }) => laneWaiting === 1);
    client.abort();
    await t.throwsAsync(order, { name: 'AbortError' });
    t.deepEqual(await review, { id: 1, words: 'Too slow.', orders: 0 });
    t.deepEqual(await ordersOf(example), []);
    payment.answer.open();
    t.deepEqual(await example.stop(), { code: 0, complaints: '' });
  });
}
