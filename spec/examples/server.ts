import { createPool } from '../../lib/index.ts'; // in your app: from 'leasehold'
import { inspector } from '../../lib/inspector.ts'; // in your app: from 'leasehold/inspector'
import { complain } from './server/failure.ts';
import { listen } from './server/listen.ts';
import { runLoad } from './server/load.ts';
import { help, parseOptions } from './server/options.ts';
import { Ledger, paymentRoutes } from './server/payment-service.ts';
import { progress } from './server/progress.ts';
import { makeRoutes } from './server/routes.ts';
import { fill, products } from './server/seed.ts';
import { stopped, stopSignal } from './server/stop.ts';
import { welcome } from './server/welcome.ts';

// A small shop on node:http and SQLite. Started by `npm start`; `npm start -- --help` lists its options.

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (options === 'help') {
    process.stdout.write(help);
    return;
  }
  // Aborted by Ctrl-C and by SIGTERM. From then on this function unwinds, and what it has opened is closed.
  const stopping = stopSignal();
  stopping.addEventListener('abort', () => console.log('\nClosing. Once more ends the program at once.'));

  // One pool for the whole program. It opens a connection only when somebody needs one.
  await using pool = createPool(options.file, { name: 'demo', max: options.connections, acquireTimeout: 2000 });
  // What happens on the way back to the pool has no caller who could be told.
  pool.on('error', (error) => console.error(`Pool: ${error.message}`));

  // Fails early where the file cannot be opened at all, with a sentence that says why.
  await pool.ready();
  const size = await fill(pool, options, { signal: stopping, onProgress: progress('Filling') });

  // Somebody else's, as far as the shop knows: it is reached over HTTP alone.
  const ledger = new Ledger();
  await using payments = await listen(paymentRoutes(ledger), { host: '127.0.0.1', port: 0 });

  // Who holds what, and who waits: for a browser on this machine.
  const page = inspector(pool, { showSql: true });

  // Disposed of before pool and payments: the requests in hand still need both.
  const routes = makeRoutes(pool, { url: payments.url, patience: 10_000 });
  await using site = await listen(routes, { ...options, page: page.node });
  console.log(welcome(site.url, options.file, size));

  try {
    if (options.load === undefined) await stopped(stopping);
    else {
      const task = { ...options, ...size, products, url: site.url, seconds: options.load };
      process.exitCode = await runLoad({ pool, site, ledger }, task, stopping);
    }
  } finally {
    // Whoever looks at the page would stay for ever, and the site would wait for him.
    page.close();
  }
}

await main().catch(complain);
