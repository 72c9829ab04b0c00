import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import type { NewOrder } from '../server/orders.ts';
import { cards } from '../server/payment-service.ts';
import { type Program, startProgram, type TestContext } from './program.ts';

/** Starts the demo with these arguments; ends it for certain after the test. */
export function startDemo(t: TestContext, ...args: string[]): Program {
  return startProgram(t, 'server', ...args);
}

/** What the tests look at in answers. */
interface Answers {
  error: { error?: string };
  customer: { id: number; email: string; avatar: string; latestOrders: { customer_id: number }[] };
  order: { id: number; total_cents: number; status: string; payment: string | null };
  product: { id: number; price_cents: number; stock: number };
  top: { id: number }[];
  report: {
    at: number;
    sales: { status: string; orders: number; pieces: number; cents: number }[];
    cities: { cents: number }[];
    stock: { delivered: number; stock: number };
  };
  products: { id: number; price_cents: number; stock: number }[];
  delivery: { id: number; delivered: number };
  cancelled: { cancelled: number[]; kept: number[] };
  health: { ok: boolean };
}

/** The JSON of an answer, taken to be of this kind. */
export async function answerOf<Kind extends keyof Answers>(
  _kind: Kind,
  response: Response | Promise<Response>,
): Promise<Answers[Kind]> {
  return (await (await response).json()) as Answers[Kind];
}

/** What `GET /pool` shows, as far as tests look. */
interface PoolView {
  readonly stats: {
    readonly leased: number;
    readonly idle: number;
    readonly size: number;
    readonly waiting: number;
    readonly laneWaiting: number;
    readonly counters: Readonly<Record<'acquired' | 'released' | 'dirty' | 'aborted' | 'timeouts', number>>;
  };
  readonly leases: readonly { readonly connection: number; readonly label: string }[];
}

// Milliseconds after which what has not happened never will.
const longestLook = 20_000;

/** Looks at the pool until what it sees will do. */
export async function poolUntil(url: string, enough: (view: PoolView) => boolean): Promise<PoolView> {
  for (const startedAt = performance.now(); ; ) {
    const view = (await (await fetch(`${url}/pool`)).json()) as PoolView;
    if (enough(view)) return view;
    if (performance.now() - startedAt > longestLook) throw new Error(`The pool stays ${JSON.stringify(view)}`);
  }
}

/** A download of which nothing is read beyond the headers, so that the server holds a connection for it. */
export async function openExport(url: string): Promise<{ rest(): Promise<string[]>; abort(): void }> {
  const request = get(`${url}/orders`);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  // Whoever reads the rest sees the error; nobody else needs to.
  response.on('error', () => {});
  return {
    rest: async () => (await text(response)).trimEnd().split('\n'),
    abort: () => void response.destroy(),
  };
}

/** Sends this body, as JSON if it is not a text. */
export function post(address: string, body: unknown = ''): Promise<Response> {
  return fetch(address, { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body) });
}

/** An order of one piece, but for the fields given. */
export const anOrder = (fields: Partial<NewOrder> = {}): NewOrder => ({
  customerId: 1,
  productId: 1,
  quantity: 1,
  card: cards.good,
  ...fields,
});

export function placeOrder(url: string, fields: Partial<NewOrder> = {}): Promise<Response> {
  return post(`${url}/orders`, anOrder(fields));
}
