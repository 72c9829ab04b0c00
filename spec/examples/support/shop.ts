import { setImmediate } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { createPool, type SqlitePool } from '../../../lib/index.ts';
import { temporaryFile } from '../../support/files.ts';
import { gate } from '../../support/gate.ts';
import { audit } from '../server/audit.ts';
import type { Route } from '../server/http.ts';
import { listen, type Site } from '../server/listen.ts';
import { disagreements } from '../server/load-report.ts';
import { Ledger, paymentRoutes } from '../server/payment-service.ts';
import { makeRoutes } from '../server/routes.ts';
import { fill } from '../server/seed.ts';
import { answerOf } from './demo.ts';

/** The shop within the test's own process, so that a test can hold its payment service at a chosen point. */
export interface Shop {
  readonly url: string;
  readonly file: string;
  readonly pool: SqlitePool;
  readonly site: Site;
  readonly ledger: Ledger;
}

interface ShopOptions {
  /** What the payment service does before each answer. */
  readonly think?: (signal: AbortSignal) => Promise<void>;
  /** Another payment service altogether. */
  readonly payments?: (ledger: Ledger) => Route[];
  /** Milliseconds that it gets to answer. */
  readonly patience?: number;
  readonly max?: number;
  readonly maxWaiting?: number;
}

const local = { host: '127.0.0.1', port: 0 };

/** Opens a shop with 10 customers and 20 orders of theirs. */
export async function openShop(
  t: ExecutionContext,
  { think, payments, patience = 60_000, max = 4, maxWaiting = 100 }: ShopOptions = {},
): Promise<Shop> {
  const file = temporaryFile(t);
  const pool = createPool(file, { max, maxWaiting });
  t.teardown(() => pool.close());
  await fill(pool, { customers: 10, orders: 20 });
  const ledger = new Ledger();
  const service = await listen(payments?.(ledger) ?? paymentRoutes(ledger, think), local);
  t.teardown(() => service[Symbol.asyncDispose]() as Promise<void>);
  const site = await listen(makeRoutes(pool, { url: service.url, patience }), local);
  t.teardown(() => site[Symbol.asyncDispose]() as Promise<void>);
  return { url: site.url, file, pool, site, ledger };
}

/** What a payment service does that stops at one of its calls, until the gate opens. */
export function stoppingAt(call: number) {
  const asked = gate<AbortSignal>();
  const answer = gate();
  let calls = 0;
  const think = async (signal: AbortSignal) => {
    if (++calls !== call) return;
    asked.open(signal);
    await answer.passed;
  };
  return { think, asked: asked.passed, answer, calls: () => calls };
}

export async function stockOf({ url }: Shop, product = 1): Promise<number> {
  return (await answerOf('product', fetch(`${url}/products/${product}`))).stock;
}

/** Looks at the write lane until so many wait for it. */
export async function laneWaiting({ pool }: Shop, count: number): Promise<void> {
  while (pool.stats().laneWaiting !== count) await setImmediate();
}

const nothing = { wrongProducts: 0, wrongCustomers: 0, paid: new Map() };

/** Asserts that nobody writes any more, and that stock, orders, customers and payments agree. */
export async function isSettled(t: ExecutionContext, { pool, site, ledger }: Shop): Promise<void> {
  await site.settled();
  t.like(pool.stats(), { laneHeld: 0, laneWaiting: 0, leased: 0, waiting: 0, counters: { dirty: 0 } });
  t.deepEqual(disagreements(nothing, await audit(pool), ledger), []);
}
