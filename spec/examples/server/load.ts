import { fork } from 'node:child_process';
import { once } from 'node:events';
import { extname } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { SqlitePool } from '../../../lib/index.ts';
import { audit } from './audit.ts';
import { DemoError } from './failure.ts';
import type { Site } from './listen.ts';
import type { Report } from './load-clients.ts';
import type { Task } from './load-kinds.ts';
import { disagreements, type Observed, routeTable, summaryTable } from './load-report.ts';
import type { Ledger } from './payment-service.ts';
import { progress } from './progress.ts';

// Seconds the clients get beyond their time, for requests that do not come back.
const overtime = 15;

/** What is driven, and what can be seen of it from within. */
export interface Driven {
  readonly pool: SqlitePool;
  readonly site: Site;
  readonly ledger: Ledger;
}

/**
 * Has a second process drive the server for a while, and prints how it went. Returns the exit code: 1 where a
 * request failed, or where stock, orders and payments do not come out even afterwards.
 */
export async function runLoad({ pool, site, ledger }: Driven, task: Task, stopping: AbortSignal): Promise<number> {
  console.log(`Load: ${task.clients} clients for ${task.seconds} s.`);
  const before = await audit(pool);
  const stopWatching = watchServer(pool);
  const stopClock = showClock(task.seconds);
  try {
    const report = await driveClients(task, stopping);
    stopClock();
    const observed = stopWatching();
    // Clients that hung up have left work behind.
    await site.settled();
    const wrong = disagreements(before, await audit(pool), ledger);

    console.log(`\n${routeTable(report)}\n\n${summaryTable(report, observed)}\n`);
    if (wrong.length === 0) console.log('Stock, orders, customers and payments agree.');
    for (const [what, times] of Object.entries(report.failures)) console.error(`${times} × ${what}`);
    for (const line of wrong) console.error(line);
    return wrong.length > 0 || report.routes.some(({ errors }) => errors > 0) ? 1 : 0;
  } catch (error) {
    if (!stopping.aborted) throw error;
    return 0;
  } finally {
    stopClock();
    stopWatching();
  }
}

// Milliseconds between two looks at the write lane.
const lookEvery = 10;

/** Watches the event loop and the write lane, until the function returned is called. */
function watchServer(pool: SqlitePool): () => Observed {
  const stalls = monitorEventLoopDelay({ resolution: 1 });
  stalls.enable();
  const startedAt = performance.now();
  const loopBefore = performance.eventLoopUtilization();
  const cpuBefore = process.cpuUsage();
  let mostInLane = 0;
  const timer = setInterval(() => {
    mostInLane = Math.max(mostInLane, pool.stats().laneWaiting);
  }, lookEvery);
  return () => {
    stalls.disable();
    clearInterval(timer);
    const { user, system } = process.cpuUsage(cpuBefore);
    return {
      stats: pool.stats(),
      mostInLane,
      worstStall: stalls.max / 1e6,
      loopInUse: performance.eventLoopUtilization(loopBefore).utilization,
      cpuTime: (user + system) / 1000 / (performance.now() - startedAt),
    };
  };
}

/** The clients run in a process of their own, so that they take no time from the server's event loop. */
async function driveClients(task: Task, stopping: AbortSignal): Promise<Report> {
  const limit = AbortSignal.timeout((task.seconds + overtime) * 1000);
  const script = new URL(`./load-clients${extname(import.meta.filename)}`, import.meta.url);
  // The signal kills the process; and it ends by itself when this one does.
  const clients = fork(script, { signal: AbortSignal.any([stopping, limit]) });
  // Killing it is an error event, at whatever time.
  clients.on('error', () => {});
  clients.send(task);
  const settled = new AbortController();
  try {
    return await Promise.race([
      once(clients, 'message', { signal: settled.signal }).then(([report]) => report as Report),
      once(clients, 'exit', { signal: settled.signal }).then(() => {
        throw new DemoError('The load process ended without a report.');
      }),
    ]);
  } catch (error) {
    if (limit.aborted) throw new DemoError('The load process did not end in time.');
    throw error;
  } finally {
    settled.abort();
  }
}

/** Shows the time that has passed, until the function returned is called. */
function showClock(seconds: number): () => void {
  const show = progress('Load');
  const startedAt = performance.now();
  const share = () => Math.min((performance.now() - startedAt) / (seconds * 1000), 1);
  const timer = setInterval(() => show(Math.min(share(), 0.99)), 100);
  return () => {
    clearInterval(timer);
    if (share() === 1) show(1);
  };
}
