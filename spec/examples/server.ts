import { createServer } from 'node:http';
import { createPool } from '../../lib/index.ts'; // in your app: from 'leasehold'
import { complain } from './server/failure.ts';
import { answer } from './server/http.ts';
import { listen } from './server/listen.ts';
import { runLoad } from './server/load.ts';
import { help, parseOptions } from './server/options.ts';
import { progress } from './server/progress.ts';
import { makeRoutes } from './server/routes.ts';
import { fill } from './server/seed.ts';
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

  // Disposed of before the pool: the requests in hand still need their connections.
  await using site = await listen(createServer(answer(makeRoutes(pool))), options);
  console.log(welcome(site.url, options.file, size));

  if (options.load === undefined) await stopped(stopping);
  else process.exitCode = await runLoad(pool, { ...options, ...size, url: site.url, seconds: options.load }, stopping);
}

await main().catch(complain);
