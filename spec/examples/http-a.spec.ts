import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { temporaryFile } from '../support/files.ts';
import { watch } from '../support/processes.ts';
import { cards } from './server/payment-service.ts';
import { json, startPaying, statsUntil } from './support/paying.ts';
import { startProgram } from './support/program.ts';

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

interface Stock {
  readonly name: string;
  readonly stock: number;
  readonly orders: number;
}

/** A shop as a process of its own, as its clients see it. */
interface Shop {
  readonly name: string;
  /** What it answers when it is asked for its stock. */
  stock(url: string): Promise<Stock[]>;
  order(url: string, signal?: AbortSignal): Promise<Response>;
}

const overPaths: Omit<Shop, 'name'> = {
  stock: async (url) => (await (await fetch(`${url}/stock`)).json()) as Stock[],
  order: (url, signal) => fetch(`${url}/orders/lamp`, { method: 'POST', signal: signal ?? null }),
};

const shops: readonly Shop[] = [
  { name: 'koa', ...overPaths },
  { name: 'hono', ...overPaths },
  {
    name: 'trpc',
    stock: async (url) => {
      const answer = (await (await fetch(`${url}/stock`)).json()) as { result: { data: Stock[] } };
      return answer.result.data;
    },
    order: (url, signal) => {
      const headers = { 'content-type': 'application/json' };
      return fetch(`${url}/order`, { method: 'POST', body: '"lamp"', headers, signal: signal ?? null });
    },
  },
];

/** A bank that answers when the test says so. */
async function openBank(t: ExecutionContext) {
  const asked: ServerResponse[] = [];
  const server = createServer((_, response) => void asked.push(response)).listen(0, '127.0.0.1');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    /** Resolves with the answer to be given, when somebody asks for one. */
    async next(): Promise<(status: number) => void> {
      while (asked.length === 0) await once(server, 'request');
      const response = asked.shift() as ServerResponse;
      return (status) => void response.writeHead(status).end();
    },
  };
}

async function startShop(t: ExecutionContext, name: string, bank: string) {
  const program = startProgram(t, `http-${name}`, temporaryFile(t), bank);
  const stop = async () => {
    program.kill('SIGTERM');
    return { ...(await program.ended), complaints: program.complaints };
  };
  return { url: await program.url(), stop };
}

const [before, after] = [[{ name: 'lamp', stock: 3, orders: 0 }], [{ name: 'lamp', stock: 2, orders: 1 }]] as const;

for (const { name, stock, order } of shops) {
  test(`the shop on ${name} answers others while an order is in its transaction, and shows nothing of it before its end`, async (t) => {
    const bank = await openBank(t);
    const { url, stop } = await startShop(t, name, bank.url);
    const ordering = order(url);
    const charged = await bank.next();
    // It has taken a lamp out of the stock, and waits for the bank.
    t.deepEqual(await stock(url), [...before]);
    charged(200);
    t.true((await ordering).ok);
    t.deepEqual(await stock(url), [...after]);
    t.like(await stop(), { code: 0, complaints: '' });
  });

  test(`the shop on ${name} undoes an order that is not paid, serves orders in turn, and sells no more than there is`, async (t) => {
    const bank = await openBank(t);
    const { url, stop } = await startShop(t, name, bank.url);
    const refused = order(url);
    (await bank.next())(402);
    t.is((await refused).status, 500);
    t.deepEqual(await stock(url), [...before]);
    const orders = [1, 2, 3, 4].map(() => order(url));
    for (let sold = 0; sold < 3; sold++) {
      const charged = await bank.next();
      t.deepEqual(await stock(url), [{ name: 'lamp', stock: 3 - sold, orders: sold }]);
      charged(200);
    }
    const statuses = (await Promise.all(orders)).map(({ status }) => (status < 300 ? 'sold' : status));
    t.deepEqual(statuses.map(String).toSorted(), ['409', 'sold', 'sold', 'sold']);
    t.deepEqual(await stock(url), [{ name: 'lamp', stock: 0, orders: 3 }]);
    const { code, complaints } = await stop();
    t.is(code, 0);
    t.regex(complaints, /The bank refuses/);
  });

  test(`the shop on ${name} undoes an order whose client goes away, and serves others before its bank has answered`, async (t) => {
    const bank = await openBank(t);
    const { url, stop } = await startShop(t, name, bank.url);
    const leaving = new AbortController();
    const left = order(url, leaving.signal);
    const late = await bank.next();
    leaving.abort();
    await t.throwsAsync(left, { name: 'AbortError' });
    const ordering = order(url);
    const charged = await bank.next();
    charged(200);
    t.true((await ordering).ok);
    late(200);
    t.deepEqual(await stock(url), [...after]);
    t.is((await stop()).code, 0);
  });
}
