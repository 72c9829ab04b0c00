import test from 'ava';
import { watch } from '../support/processes.ts';
import { cards } from './server/payment-service.ts';
import { json, startPaying, statsUntil } from './support/paying.ts';

const quiet = { code: 0, complaints: '' };

for (const name of ['http-express', 'http-node', 'http-fastify']) {
  test(`${name}: while one booking awaits its payment, a reader sees what is committed and another booking waits`, async (t) => {
    const example = await startPaying(t, name);
    const { url, payment } = example;
    const headers = { 'content-type': 'application/json' };
    const book = (body: object) => fetch(`${url}/bookings`, { method: 'POST', headers, body: JSON.stringify(body) });
    //  first                                  others
    //  books, and pays
    const first = watch(book({ guest: 'Ada' }));
    await payment.asked;
    //                                         read: nothing is there yet
    t.deepEqual(await json(fetch(`${url}/bookings`)), []);
    //                                         want to book as well
    const second = watch(book({ guest: 'Grace' }));
    await statsUntil(example, ({ laneWaiting }) => laneWaiting === 1);
    t.false(first.settled || second.settled);
    //  has paid
    payment.answer.open();
    const booked = await first.done;
    t.is(booked.status, 201);
    t.deepEqual(await json(booked), { id: 1 });
    t.is((await second.done).status, 201);
    const kept = [
      { id: 1, guest: 'Ada', paid: 1 },
      { id: 2, guest: 'Grace', paid: 1 },
    ];
    t.deepEqual(await json(fetch(`${url}/bookings`)), kept);
    //  is refused, and leaves nothing
    t.is((await book({ guest: 'Mary', card: cards.declined })).status, 402);
    t.deepEqual(await json(fetch(`${url}/bookings`)), kept);
    await statsUntil(example, ({ laneHeld }) => laneHeld === 0);
    t.deepEqual(await example.stop(), quiet);
  });

  test(`${name}: a client that goes away while its booking is paid has booked nothing, and others book at once`, async (t) => {
    const example = await startPaying(t, name);
    const { url, payment } = example;
    const headers = { 'content-type': 'application/json' };
    const leaving = new AbortController();
    const body = JSON.stringify({ guest: 'Ada' });
    const first = fetch(`${url}/bookings`, { method: 'POST', headers, body, signal: leaving.signal });
    await payment.asked;
    leaving.abort();
    await t.throwsAsync(first, { name: 'AbortError' });
    // While its handler still awaits the payment.
    const second = await fetch(`${url}/bookings`, { method: 'POST', headers, body: '{"guest":"Grace"}' });
    t.is(second.status, 201);
    t.deepEqual(await json(fetch(`${url}/bookings`)), [{ id: 1, guest: 'Grace', paid: 1 }]);
    payment.answer.open();
    t.deepEqual(await example.stop(), quiet);
  });
}
