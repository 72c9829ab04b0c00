import type { Size } from './seed.ts';

/** What is printed once the server listens. */
export function welcome(url: string, file: string, { customers, orders }: Size): string {
  return `Serving ${file}: ${customers.toLocaleString('en')} customers, ${orders.toLocaleString('en')} orders.
Listening on ${url} (Ctrl-C ends it).

  curl ${url}/
  curl ${url}/customers/1
  curl ${url}/orders/1
  curl ${url}/top
  curl ${url}/report
  curl -d '{"customerId":1,"totalCents":1999}' ${url}/orders
  curl ${url}/orders
  curl ${url}/health
  curl ${url}/pool
`;
}
