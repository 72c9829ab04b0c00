import test from 'ava';
import Database from 'better-sqlite3';
import { temporaryFile } from '../support/files.ts';
import { startDemo } from './support/demo.ts';

const small = ['--customers', '50', '--orders', '400'];

function value(text = ''): number {
  return Number(text.replaceAll(',', ''));
}

/** The figures of the route table, by route. */
function routesOf(output: string): Map<string, { requests: number; errors: number }> {
  const number = '[\\d,.]+';
  const row = new RegExp(
    `^((?:GET|POST) \\S+) +(${number}) +${number} +${number} +${number} +${number} +(${number})$`,
    'gm',
  );
  return new Map(
    [...output.matchAll(row)].map(([, route = '', requests, errors]) => [
      route,
      { requests: value(requests), errors: value(errors) },
    ]),
  );
}

test('--load drives the server over HTTP, prints its figures and ends with 0', async (t) => {
  const file = temporaryFile(t);
  const demo = startDemo(t, '--load', '1', '--clients', '16', '--file', file, ...small);
  t.deepEqual(await demo.ended, { code: 0, signal: null }, demo.complaints);
  t.is(demo.complaints, '');
  const routes = routesOf(demo.output);
  t.deepEqual(
    [...routes.keys()],
    ['GET /customers/:id', 'GET /orders/:id', 'GET /top', 'GET /report', 'GET /health', 'POST /orders'],
  );
  for (const [route, { requests, errors }] of routes) {
    t.true(requests > 0, route);
    t.is(errors, 0, route);
  }
  for (const line of ['connections at most +8', 'connections opened +[1-8]', 'timeouts +0', 'dirty leases +0']) {
    t.regex(demo.output, new RegExp(`^${line}$`, 'm'));
  }
  t.regex(demo.output, /^worst stall of the event loop, ms +[\d.]+$/m);

  // What clients were told was placed is there, and was counted once.
  const db = new Database(file, { readonly: true });
  t.teardown(() => void db.close());
  t.is(db.prepare('SELECT count(*) FROM orders').pluck().get(), 400 + (routes.get('POST /orders')?.requests ?? 0));
  const [orders, customers] = ['SELECT sum(total_cents) FROM orders', 'SELECT sum(spent_cents) FROM customers'].map(
    (sql) => db.prepare(sql).pluck().get(),
  );
  t.is(orders, customers);
});

test('requests that fail under load are counted and named, and the exit code is 1', async (t) => {
  const file = temporaryFile(t);
  const demo = startDemo(t, '--load', '2', '--clients', '4', '--file', file, ...small);
  await demo.printed(/^Load: 10 %/m);
  const db = new Database(file);
  t.teardown(() => void db.close());
  db.exec('ALTER TABLE orders RENAME TO moved_by_somebody_else');
  t.deepEqual(await demo.ended, { code: 1, signal: null });
  t.true((routesOf(demo.output).get('GET /orders/:id')?.errors ?? 0) > 0);
  t.is(routesOf(demo.output).get('GET /health')?.errors, 0);
  t.regex(demo.complaints, /^\d+ × GET \/orders\/:id answered 500$/m);
});

test('Ctrl-C ends a load early, with 0', async (t) => {
  const demo = startDemo(t, '--load', '3600', '--clients', '4', '--file', temporaryFile(t), ...small);
  await demo.printed(/^Load: 0 %/m);
  demo.kill('SIGINT');
  t.deepEqual(await demo.ended, { code: 0, signal: null });
  t.is(demo.complaints, '');
});

test('the load process does not outlive a server that was killed', async (t) => {
  t.timeout(30_000);
  const demo = startDemo(t, '--load', '3600', '--clients', '4', '--file', temporaryFile(t), ...small);
  await demo.printed(/^Load: 0 %/m);
  demo.kill('SIGKILL');
  // The load process shares the output of the server: it has ended once nobody has that open.
  t.deepEqual(await demo.ended, { code: null, signal: 'SIGKILL' });
});
