import type { LaneHolder, LeaseDetail, PoolState, Tick } from '../wire.ts';
import { clockTime, count, duration, labelOf, oneLine, share } from './format.ts';
import type { Item, LeaseItem, QueueItem, RestItem, WriteItem } from './items.ts';

export type Condition = 'closed' | 'quiet' | 'busy' | 'full';

/** How full a pool is, in one word, and what is said beside it. */
export function conditionOf(pool: PoolState): { readonly condition: Condition; readonly words: string } {
  if (pool.closed) return { condition: 'closed', words: 'closed' };
  if (pool.full) return { condition: 'full', words: pool.waiting > 0 ? `full, ${pool.waiting} waiting` : 'full' };
  if (pool.leased === 0) return { condition: 'quiet', words: 'quiet' };
  // The write lane's own connection is leased without taking the place of another.
  return { condition: 'busy', words: `${Math.max(1, pool.max - pool.leased)} free` };
}

/** Whether a deadlock was reported that lasts: since then no lease has ended, and others wait for one. */
export function deadlocked(ticks: readonly Tick[], pool: PoolState): boolean {
  if (!pool.full || pool.waiting === 0) return false;
  for (const tick of ticks.toReversed()) {
    const part = tick.pools.find((each) => each.pool === pool.id);
    if (part?.notes.some(({ kind }) => kind === 'deadlock') === true) return true;
    if (part === undefined || part.released > 0) return false;
  }
  return false;
}

/** An item in one sentence without its end, as it is spoken. */
export function spoken(item: Item, now: number): string {
  if (item.type === 'rest') return restWords(item).join(', ');
  if (item.type === 'queue') return queueWords(item).join(', ');
  if (item.type === 'write') return writeWords(item, now).join(', ');
  if (item.type === 'lease') {
    return [labelOf(item.label), `connection ${item.connection}`, ...heldWords(item, now), ...kindOf(item)].join(', ');
  }
  const { kind, label, at, message } = item.note;
  return `${kind}, ${labelOf(label)}, ${clockTime(at)}: ${oneLine(message, 300)}`;
}

function writeWords(item: WriteItem, now: number): string[] {
  const held = Number.isFinite(item.to)
    ? `held ${duration(item.to - item.from)}`
    : `held for ${duration(Math.max(0, now - item.from))} so far`;
  return [labelOf(item.label), item.stranger === undefined ? 'write lane' : strangerOf(item.stranger), held];
}

function queueWords({ waiting, laneWaiting, to }: QueueItem): string[] {
  const lane = laneWaiting > 0 ? [`${laneWaiting} waiting for the write lane`] : [];
  return [`${waiting} waiting for a connection`, ...lane, clockTime(to)];
}

function heldWords(item: LeaseItem, now: number): string[] {
  const ended = Number.isFinite(item.to);
  const held = ended
    ? `held ${duration(item.to - item.from)}`
    : `held for ${duration(Math.max(0, now - item.from))} so far`;
  return [held, item.waited > 0 ? `waited ${duration(item.waited)}` : 'did not wait'];
}

function kindOf({ writes, reads }: LeaseItem): string[] {
  const said: string[] = [];
  if (writes.length > 0) said.push(writes.length === 1 ? 'write transaction' : `${writes.length} write transactions`);
  if (reads.length > 0) said.push(reads.length === 1 ? 'read snapshot' : `${reads.length} read snapshots`);
  return said;
}

/** 0 stands for all those for which there was no room. */
function placeOf(connection: number | undefined): string {
  if (connection === undefined) return 'write lane';
  return connection === 0 ? 'other connections' : `connection ${connection}`;
}

function restWords({ rest, from, to }: RestItem): string[] {
  const tick = Math.max(1, to - from);
  const where = placeOf(rest.connection);
  const most = rest.label === undefined ? [] : [`mostly ${labelOf(rest.label, 60)}`];
  const wrote = rest.wrote > 0 ? [`could write for ${share(rest.wrote / tick)}`] : [];
  const held = rest.connection === undefined ? [] : [`held for ${share(rest.held / tick)} of ${duration(tick)}`];
  const waited = rest.waited > 0 ? [`waited ${duration(rest.waited)} in all`] : [];
  return [count(rest.leases, 'short lease'), ...most, where, ...held, ...wrote, ...waited];
}

/** Who holds the write lane, where that is somebody of whom no lease is told. */
export function strangerOf(holder: LaneHolder): string {
  return `${holder.kind} of "${oneLine(holder.pool, 60)}"`;
}

/** What is shown beside the pointer: the title, and a line for each thing worth knowing. */
export function tip(item: Item, now: number): { readonly title: string; readonly lines: readonly string[] } {
  const at = clockTime(item.from);
  if (item.type === 'rest') {
    const [title, ...lines] = restWords(item);
    return { title: title ?? '', lines };
  }
  if (item.type === 'queue') return { title: 'Queue', lines: queueWords(item) };
  if (item.type === 'write') {
    const [title, ...lines] = writeWords(item, now);
    return { title: title ?? '', lines: [at, ...lines] };
  }
  if (item.type === 'lease') {
    const where = `lease ${item.lease}, connection ${item.connection}, ${at}`;
    return { title: labelOf(item.label), lines: [where, heldWords(item, now).join(', '), ...kindOf(item)] };
  }
  const { kind, label, message } = item.note;
  return { title: kind, lines: [`${labelOf(label)}, ${at}`, oneLine(message, 300)] };
}

/** How long a lease was, or is, held, and until when. */
export function detailTimes(detail: LeaseDetail, now: number): { readonly held: string; readonly until: string } {
  const { from, to } = detail;
  return to === undefined
    ? { held: `${duration(Math.max(0, now - from))} so far`, until: 'held still' }
    : { held: duration(to - from), until: clockTime(to) };
}
