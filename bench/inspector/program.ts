// The process of one row: a pool that is used at a steady rate for as long as it is told to.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { createPool } from '../../lib/index.ts';
import { inspector } from '../../lib/inspector.ts';
import { type Kind, leasesPerSecond, type Said, type Task } from './kinds.ts';

const [kind, file] = process.argv.slice(2) as [Kind, string];
const pool = createPool(file);
const page = kind === 'none' ? undefined : inspector(pool);
const labels = ['GET /items', 'GET /items/:id', 'POST /orders'];

async function lease(count: number): Promise<void> {
  const label = labels[count % labels.length] ?? '';
  if (count % 10 === 0) {
    await pool.transaction(
      async (tx) => {
        tx.prepare('UPDATE item SET name = name WHERE id = 1').run();
        await setImmediate();
      },
      { label },
    );
    return;
  }
  await pool.withConnection(
    async (db) => {
      db.prepare('SELECT * FROM item WHERE id = ?').get(count % 100);
      await setTimeout(count % 7);
    },
    { label },
  );
}

/** As many leases as are due by now, every 10 ms. */
async function work({ duration }: Task): Promise<Said> {
  const before = process.cpuUsage();
  const start = performance.now();
  const running: Promise<void>[] = [];
  for (let elapsed = 0; elapsed < duration; elapsed = performance.now() - start) {
    while (running.length < (elapsed / 1000) * leasesPerSecond) running.push(lease(running.length));
    await setTimeout(10);
  }
  await Promise.all(running);
  const { user, system } = process.cpuUsage(before);
  return { processor: (user + system) / 1000, elapsed: performance.now() - start };
}

const tell = (said: Said): void => void process.send?.(said);

const server = createServer((request, response) => page?.node(request, response)).listen(0, '127.0.0.1', () =>
  tell({ port: (server.address() as AddressInfo).port }),
);
process.on('message', (task: Task) => void work(task).then(tell));
// However its parent ends.
process.on('disconnect', () => process.exit());
