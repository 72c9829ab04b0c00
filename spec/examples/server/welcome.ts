import { pagePath } from './listen.ts';
import { cards } from './payment-service.ts';
import { products, type Size } from './seed.ts';

/** What is printed once the server listens. */
export function welcome(url: string, file: string, { customers, orders }: Size): string {
  return `Serving ${file}: ${customers.toLocaleString('en')} customers, ${orders.toLocaleString('en')} orders, ${products} products.
Listening on ${url} (Ctrl-C ends it).

  ${url}${pagePath}   who holds which connection, who waits, what was slow: open it in a browser

  curl ${url}/
  curl ${url}/customers/1
  curl ${url}/orders/1
  curl ${url}/products
  curl ${url}/products/1
  curl ${url}/top
  curl ${url}/report
  curl -d '{"customerId":1,"productId":1,"quantity":2,"card":"${cards.good}"}' ${url}/orders
  curl -d '{"customerId":1,"productId":1,"quantity":1,"card":"${cards.declined}"}' ${url}/orders   # declined
  curl -d '' ${url}/orders/${orders + 1}/cancel
  curl -d '' ${url}/customers/1/cancel
  curl -d '{"quantity":100}' ${url}/products/1/restock
  curl ${url}/orders
  curl ${url}/health
  curl ${url}/pool
`;
}
