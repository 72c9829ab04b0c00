/**
 * Runs a PostgreSQL server for its parent, and outlives it: when the parent ends, however it ends, the channel to it closes,
 * the server is ended, and its directory removed. A process of its own, started by postgres-server.ts.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ServerUser } from './postgres-binaries.ts';

/** What can be asked for. */
export type Order =
  | {
      readonly id: number;
      readonly type: 'start';
      readonly program: string;
      readonly args: readonly string[];
      readonly user: ServerUser | undefined;
    }
  | { readonly id: number; readonly type: 'stop'; readonly signal: NodeJS.Signals };

/** The process id of a server that takes connections, or what it has logged where it did not get that far. */
export interface Answer {
  readonly id: number;
  readonly pid?: number;
  readonly error?: string;
}

/** A server that recovers may need long, on a machine that is busy. */
const startPatience = 60_000;
/** A server that is told to quit ends its own processes by force after 5 s. */
const endPatience = 10_000;
const step = 15;

const [directory = ''] = process.argv.slice(2);
const data = join(directory, 'data');
const log = join(directory, 'log');
let server: ChildProcess | undefined;

const isRunning = (child: ChildProcess) => child.exitCode === null && child.signalCode === null;

/** The lines of the file in which a server says who and how it is. */
function readState(): readonly string[] {
  try {
    return readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n');
  } catch {
    return [];
  }
}

async function start(order: Order & { readonly type: 'start' }): Promise<number> {
  const last = performance.now() + startPatience;
  for (;;) {
    const before = readLog().length;
    if (await becomesReady(order, last)) return server?.pid ?? 0;
    const said = readLog().slice(before);
    // Processes of a server that was killed are still about: they end when they notice.
    if (!said.includes('is still in use') || performance.now() > last) throw new Error(said);
    await delay(step);
  }
}

async function becomesReady(order: Order & { readonly type: 'start' }, last: number): Promise<boolean> {
  const file = openSync(log, 'a', 0o600);
  const child = spawn(order.program, order.args, { ...order.user, cwd: directory, stdio: ['ignore', file, file] });
  closeSync(file);
  await once(child, 'spawn');
  server = child;
  while (isRunning(child) && performance.now() < last) {
    const state = readState();
    // Line 1 is its process id, line 8 how far it is.
    if (state[0] === String(child.pid) && state[7]?.trim() === 'ready') return true;
    await delay(step);
  }
  await stop('SIGKILL');
  return false;
}

function readLog(): string {
  try {
    return readFileSync(log, 'utf8');
  } catch {
    return '';
  }
}

async function stop(signal: NodeJS.Signals): Promise<void> {
  if (server === undefined || !isRunning(server)) return;
  const exit = once(server, 'exit');
  server.kill(signal);
  await exit;
}

async function carryOut(order: Order): Promise<void> {
  let answer: Answer = { id: order.id };
  try {
    if (order.type === 'start') answer = { id: order.id, pid: await start(order) };
    else await stop(order.signal);
  } catch (error) {
    answer = { id: order.id, error: error instanceof Error ? error.message : String(error) };
  }
  // The parent may have ended meanwhile.
  if (process.connected) process.send?.(answer, () => {});
}

async function end(): Promise<void> {
  const patience = setTimeout(() => server?.kill('SIGKILL'), endPatience);
  await stop('SIGQUIT');
  clearTimeout(patience);
  // A server that was killed has left its file, and the segment of shared memory that line 7 names.
  const segment = readState()[6]?.trim().split(/\s+/)[1];
  if (segment !== undefined) spawnSync('ipcrm', ['-m', segment], { stdio: 'ignore' });
  // Processes of a server that was killed, and initdb, may write for a moment after that.
  rmSync(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  process.exit();
}

process.on('message', (order: Order) => void carryOut(order));
process.once('disconnect', () => void end());
// Had the parent ended before this was read, nobody would say so any more.
if (!process.connected) await end();
