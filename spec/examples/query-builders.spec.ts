import { readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import test from 'ava';
import { temporaryFile } from '../support/files.ts';
import { watch } from '../support/processes.ts';
import { cards } from './server/payment-service.ts';
import { post } from './support/demo.ts';
import { orderSuite } from './support/order-suite.ts';
import { json, startPaying, statsUntil } from './support/paying.ts';

orderSuite('drizzle');

orderSuite('knex');

const quiet = { code: 0, complaints: '' };

test('while one request has its transaction open, others read what is committed and wait for their turn to write', async (t) => {
  const example = await startPaying(t, 'kysely');
  const { url, payment } = example;
  t.deepEqual(await json(post(`${url}/shows`, { title: 'Hamlet', seats: 1 })), { id: 1, title: 'Hamlet', seats: 1 });
  //  first                                  others
  //  takes the last seat, and pays
  const first = post(`${url}/shows/1/bookings`, { guest: 'Ada' });
  await payment.asked;
  //                                         see it free yet
  t.deepEqual(await json(fetch(`${url}/shows/1`)), { left: 1 });
  t.is(await (await fetch(`${url}/bookings`)).text(), '');
  //                                         want it as well, or write something else
  const second = watch(post(`${url}/shows/1/bookings`, { guest: 'Grace' }));
  await statsUntil(example, ({ laneWaiting }) => laneWaiting === 1);
  const announced = watch(post(`${url}/shows`, { title: 'Macbeth', seats: 2 }));
  await statsUntil(example, ({ laneWaiting }) => laneWaiting === 2);
  t.false(second.settled || announced.settled);
  t.deepEqual(await json(fetch(`${url}/shows/1`)), { left: 1 });
  //  has paid
  payment.answer.open();
  const booked = await first;
  t.is(booked.status, 201);
  t.deepEqual(await json(booked), { booking: 1 });
  //                                         are told what is true by now
  t.is((await second.done).status, 409);
  t.is((await announced.done).status, 201);
  t.is(payment.calls(), 1);
  t.deepEqual(await json(fetch(`${url}/shows/1`)), { left: 0 });
  t.is(await (await fetch(`${url}/bookings`)).text(), 'Ada\n');
  t.deepEqual(await example.stop(), quiet);
  // The pool was closed: no log is left beside the file.
  t.deepEqual(readdirSync(dirname(example.file)), ['app.db', 'app.db-migration-lock']);
});

test('a seat that is not paid is free again, also where the client goes away meanwhile', async (t) => {
  const example = await startPaying(t, 'kysely');
  const { url, payment } = example;
  await post(`${url}/shows`, { title: 'Hamlet', seats: 1 });
  const client = new AbortController();
  const body = JSON.stringify({ guest: 'Ada' });
  const gone = fetch(`${url}/shows/1/bookings`, { method: 'POST', body, signal: client.signal });
  await payment.asked;
  const declined = post(`${url}/shows/1/bookings`, { guest: 'Grace', card: cards.declined });
  await statsUntil(example, ({ laneWaiting }) => laneWaiting === 1);
  client.abort();
  await t.throwsAsync(gone, { name: 'AbortError' });
  t.is((await declined).status, 402);
  t.deepEqual(await json(fetch(`${url}/shows/1`)), { left: 1 });
  t.is((await post(`${url}/shows/1/bookings`, { guest: 'Mary' })).status, 201);
  t.is((await fetch(`${url}/shows/2`)).status, 404);
  t.is(await (await fetch(`${url}/bookings`)).text(), 'Mary\n');
  payment.answer.open();
  t.deepEqual(await example.stop(), quiet);
});

test('two that are started at once on a new file migrate it once', async (t) => {
  const file = temporaryFile(t);
  const [one, two] = await Promise.all([startPaying(t, 'kysely', file), startPaying(t, 'kysely', file)]);
  t.deepEqual(await json(post(`${one.url}/shows`, { title: 'Hamlet', seats: 3 })), {
    id: 1,
    title: 'Hamlet',
    seats: 3,
  });
  t.deepEqual(await json(fetch(`${two.url}/shows/1`)), { left: 3 });
  t.deepEqual(await Promise.all([one.stop(), two.stop()]), [quiet, quiet]);
});
