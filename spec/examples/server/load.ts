import { fork } from 'node:child_process';
import { once } from 'node:events';
import { extname } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { SqlitePool } from '../../../lib/index.ts';
import { DemoError } from './failure.ts';
import type { Report, Task } from './load-clients.ts';
import { progress } from './progress.ts';
import { table } from './table.ts';

// Seconds the clients get beyond their time, for requests that do not come back.
const overtime = 15;

/**
 * Has a second process drive the server for a while, and prints how it went. Returns the exit code: 1 where a
 * request failed.
 */
export async function runLoad(pool: SqlitePool, task: Task, stopping: AbortSignal): Promise<number> {
  console.log(`Load: ${task.clients} clients for ${task.seconds} s.`);
  const stalls = monitorEventLoopDelay({ resolution: 1 });
  stalls.enable();
  const stopClock = showClock(task.seconds);
  try {
    const report = await driveClients(task, stopping);
    stalls.disable();
    stopClock(1);
    console.log(`\n${routeTable(report)}\n\n${poolTable(pool, stalls.max / 1e6)}\n`);
    for (const [what, times] of Object.entries(report.failures)) console.error(`${times} × ${what}`);
    return report.routes.some(({ errors }) => errors > 0) ? 1 : 0;
  } catch (error) {
    if (!stopping.aborted) throw error;
    return 0;
  } finally {
    stopClock();
  }
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

/** Shows the time that has passed. The function returned stops that, at a last share where one is given. */
function showClock(seconds: number): (last?: number) => void {
  const show = progress('Load');
  const startedAt = performance.now();
  const timer = setInterval(() => show(Math.min((performance.now() - startedAt) / (seconds * 1000), 0.99)), 100);
  return (last) => {
    clearInterval(timer);
    if (last !== undefined) show(last);
  };
}

function routeTable({ seconds, routes }: Report): string {
  const rows = routes.map(({ label, requests, errors, p50, p95, p99 }) => [
    label,
    count(requests),
    count(requests / seconds),
    milliseconds(p50),
    milliseconds(p95),
    milliseconds(p99),
    count(errors),
  ]);
  return table(['route', 'requests', 'per second', 'p50 ms', 'p95 ms', 'p99 ms', 'errors'], rows);
}

function poolTable(pool: SqlitePool, worstStall: number): string {
  const { max, counters, waitTime, holdTime } = pool.stats();
  return table(
    ['pool', ''],
    [
      ['connections at most', count(max)],
      ['connections opened', count(counters.opened)],
      ['leases', count(counters.acquired)],
      ['wait for a lease, p95 ms', milliseconds(waitTime.p95)],
      ['lease held, p95 ms', milliseconds(holdTime.p95)],
      ['timeouts', count(counters.timeouts)],
      ['dirty leases', count(counters.dirty)],
      ['worst stall of the event loop, ms', milliseconds(worstStall)],
    ],
  );
}

function count(number: number): string {
  return Math.round(number).toLocaleString('en');
}

function milliseconds(number: number): string {
  return number.toFixed(2);
}
