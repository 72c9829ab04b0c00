import { debuglog } from 'node:util';
import type { PoolEmitter } from './events.ts';
import { formatDuration, printable } from './wording.ts';

const log = debuglog('leasehold');

const by = (label: string | undefined): string => (label === undefined ? '' : ` "${printable(label)}"`);

/**
 * Writes a line to stderr for each event of a pool, if the process was started with `NODE_DEBUG=leasehold`. Without it
 * the pool has no listener, and pays nothing.
 */
export function logEvents(events: PoolEmitter, pool: string, id: number): void {
  if (!log.enabled) return;
  const write = (line: string): void => log('%s', `${printable(pool)}/${id}: ${line}`);
  events.on('open', ({ connection, took }) => write(`connection ${connection} opened in ${formatDuration(took)}`));
  events.on('close', ({ connection, reason }) => write(`connection ${connection} closed: ${printable(reason)}`));
  events.on('discard', ({ connection, reason }) => write(`connection ${connection} discarded: ${printable(reason)}`));
  events.on('wait', (event) => write(`waiting for a ${event.for}${by(event.label)}, ${event.waiting} in the queue`));
  events.on('acquire', ({ lease, connection, label, waited }) =>
    write(`connection ${connection} acquired as lease ${lease}${by(label)} after ${formatDuration(waited)}`),
  );
  events.on('release', ({ lease, connection, label, held }) =>
    write(`connection ${connection} released from lease ${lease}${by(label)} after ${formatDuration(held)}`),
  );
  events.on('dirty', ({ message }) => write(message));
  events.on('leak', ({ message }) => write(message));
  events.on('replace', ({ message }) => write(message));
  events.on('deadlock', ({ message }) => write(message));
  events.on('timeout', ({ error }) => write(error.message));
  events.on('error', (error) => write(`error: ${printable(error.message)}`));
}
