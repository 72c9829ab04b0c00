import { cards } from './payment-service.ts';

// What the clients of the load ask for.

/** What a load is about. */
export interface Task {
  readonly url: string;
  readonly seconds: number;
  readonly clients: number;
  /** Customers, orders and products that certainly exist. */
  readonly customers: number;
  readonly orders: number;
  readonly products: number;
}

export interface Kind {
  readonly label: string;
  /** Of 100 requests. */
  readonly share: number;
  readonly method: 'GET' | 'POST';
  /** Status of success. */
  readonly status: number;
  /** Other answers that are in order. */
  readonly refusals?: readonly number[];
  /** Milliseconds after which the client hangs up. */
  readonly patience?: () => number;
  path(task: Task): string;
  body?(task: Task): unknown;
  /** What is wrong with an answer, if anything is. */
  check?(answer: unknown): string | undefined;
}

// Orders that this process has placed, to cancel some of them.
const placed: number[] = [];

let orders = 0;

function newOrder({ customers, products }: Task) {
  return {
    customerId: idUpTo(customers),
    // Some products sell better than others, and sell out.
    productId: Math.min(idUpTo(products), idUpTo(products)),
    quantity: idUpTo(3),
    card: orders++ % 10 === 0 ? cards.declined : cards.good,
  };
}

/** What was sold by status must be what was spent by city, and be missing from the stock. */
function checkReport(answer: unknown): string | undefined {
  const { sales, cities, stock } = answer as {
    sales: { status: string; pieces: number; cents: number }[];
    cities: { cents: number }[];
    stock: { delivered: number; stock: number };
  };
  const standing = sales.filter(({ status }) => status !== 'cancelled');
  const sold = sum(standing.map(({ pieces }) => pieces));
  const earned = sum(standing.map(({ cents }) => cents));
  const agrees = earned === sum(cities.map(({ cents }) => cents)) && sold === stock.delivered - stock.stock;
  return agrees ? undefined : 'its queries disagree';
}

export const kinds: readonly Kind[] = [
  {
    label: 'GET /customers/:id',
    share: 38,
    method: 'GET',
    status: 200,
    path: ({ customers }) => `/customers/${idUpTo(customers)}`,
  },
  {
    label: 'GET /orders/:id',
    share: 24,
    method: 'GET',
    status: 200,
    path: ({ orders: last }) => `/orders/${idUpTo(last)}`,
  },
  {
    label: 'GET /products/:id',
    share: 10,
    method: 'GET',
    status: 200,
    path: ({ products }) => `/products/${idUpTo(products)}`,
  },
  { label: 'GET /top', share: 8, method: 'GET', status: 200, path: () => '/top' },
  { label: 'GET /report', share: 5, method: 'GET', status: 200, path: () => '/report', check: checkReport },
  { label: 'GET /health', share: 8, method: 'GET', status: 200, path: () => '/health' },
  {
    label: 'POST /orders',
    share: 3,
    method: 'POST',
    status: 201,
    refusals: [402, 409],
    path: () => '/orders',
    body: newOrder,
    check: (order) => {
      placed.push((order as { id: number }).id);
      return undefined;
    },
  },
  {
    label: 'POST /orders, hung up',
    share: 1,
    method: 'POST',
    status: 201,
    refusals: [402, 409],
    patience: () => idUpTo(50),
    path: () => '/orders',
    body: newOrder,
  },
  {
    label: 'POST /orders/:id/cancel',
    share: 1,
    method: 'POST',
    status: 200,
    // Of the orders there are from the start, most have been delivered.
    refusals: [409],
    path: ({ orders: last }) => `/orders/${placed.shift() ?? idUpTo(last)}/cancel`,
  },
  {
    label: 'POST /customers/:id/cancel',
    share: 1,
    method: 'POST',
    status: 200,
    path: ({ customers }) => `/customers/${idUpTo(customers)}/cancel`,
  },
  {
    label: 'POST /products/:id/restock',
    share: 1,
    method: 'POST',
    status: 200,
    path: ({ products }) => `/products/${idUpTo(products)}/restock`,
    body: () => ({ quantity: 10 }),
  },
];

function idUpTo(most: number): number {
  return 1 + Math.floor(Math.random() * most);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((left, right) => left + right, 0);
}
