import type { PoolState } from '../wire.ts';
import type { View } from './store.ts';

/** A row of the picture. */
export interface Lane {
  readonly key: string;
  /** `others` takes together the connections for which there is no room. */
  readonly kind: 'queue' | 'write' | 'connection' | 'others';
  readonly connection: number | undefined;
  /** Whether the connection is open still; a queue is always so. */
  readonly open: boolean;
}

// A pool that opens a connection for every lease would have thousands that closed within a minute.
const mostConnections = 64;
// Of those that are open, as many as a picture can have.
const mostOpen = 512;

/** The lanes of a pool: who waits, who writes, and its connections, those too that were closed within the window. */
export function lanesOf(view: View, pool: PoolState): readonly Lane[] {
  const open = new Set([...pool.connections, ...pool.holders.map((holder) => holder.connection)]);
  const all = seenIn(view, pool.id);
  // 0 stands for those that were not told one by one.
  const unnamed = all.delete(0);
  const seen = [...all].filter((connection) => !open.has(connection));
  const room = Math.max(0, mostConnections - open.size);
  const closed = seen.toSorted((a, b) => b - a).slice(0, room);
  const shown = [...open].toSorted((a, b) => a - b).slice(0, mostOpen);
  const connections = [...shown, ...closed].toSorted((a, b) => a - b);
  return [
    laneOf('queue', undefined, true),
    ...(pool.lane === undefined ? [] : [laneOf('write', undefined, true)]),
    ...connections.map((connection) => laneOf('connection', connection, open.has(connection))),
    ...(unnamed || closed.length < seen.length || shown.length < open.size ? [laneOf('others', undefined, false)] : []),
  ];
}

function laneOf(kind: Lane['kind'], connection: number | undefined, open: boolean): Lane {
  return { key: kind === 'connection' ? `c${connection}` : kind, kind, connection, open };
}

function seenIn(view: View, pool: number): Set<number> {
  const seen = new Set<number>();
  for (const tick of view.ticks) {
    for (const part of tick.pools) {
      if (part.pool !== pool) continue;
      for (const bar of part.bars) seen.add(bar.connection);
      for (const rest of part.rest) seen.add(rest.connection);
    }
  }
  return seen;
}

/** Finds the lane of a connection by its number. */
export function laneFinder(lanes: readonly Lane[]): (connection: number) => number {
  const byConnection = new Map(lanes.map(({ connection }, index) => [connection, index]));
  const others = lanes.findIndex(({ kind }) => kind === 'others');
  return (connection) => byConnection.get(connection) ?? others;
}

export function laneName({ kind, connection, open }: Lane): string {
  if (kind === 'connection') return `connection ${connection}${open ? '' : ', closed'}`;
  return { queue: 'queue', write: 'write lane', others: 'other connections' }[kind];
}
