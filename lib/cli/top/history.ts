import type { Note, PoolState, PoolTick, Report, Server, Tick, Trend } from '../../inspector/wire.ts';

/** How far back the picture looks. */
export const shownPeriod = 60_000;

const trendsShown = 60_000;
const notesKept = 50;
// No screen has more rows.
const connectionsShown = 1000;

/** A note and the pool it is about. */
export interface PoolNote extends Note {
  readonly pool: number;
}

/** What reports have told, as far as it is shown. */
export class History {
  #server: Server | undefined;
  #ticks: Tick[] = [];
  #trends: Trend[] = [];
  #pools: readonly PoolState[] = [];
  #notes: PoolNote[] = [];

  add({ complete, server, ticks, trends, pools }: Report): void {
    if (complete || server.id !== this.#server?.id) {
      this.#ticks = [];
      this.#trends = [];
      this.#notes = [];
    }
    this.#server = server;
    this.#pools = pools.map((pool) => ({ ...pool, connections: pool.connections.slice(0, connectionsShown) }));
    const last = this.#ticks.at(-1)?.number ?? -1;
    const fresh = ticks.filter(({ number }) => number > last);
    // Two periods: the first column may begin before the one that is shown.
    this.#ticks = [...this.#ticks, ...fresh].filter(({ at }) => at > server.now - 2 * shownPeriod);
    this.#trends = [...this.#trends, ...trends].filter(({ at }) => at > server.now - trendsShown);
    const notes = fresh.flatMap((tick) =>
      tick.pools.flatMap((pool) => pool.notes.map((note) => ({ ...note, pool: pool.pool }))),
    );
    this.#notes = [...this.#notes, ...notes].slice(-notesKept);
  }

  get server(): Server | undefined {
    return this.#server;
  }

  get pools(): readonly PoolState[] {
    return this.#pools;
  }

  /** Oldest first. */
  get ticks(): readonly Tick[] {
    return this.#ticks;
  }

  /** What went wrong, the last first. */
  notesOf(pool: number): PoolNote[] {
    return this.#notes.filter((note) => note.pool === pool).toReversed();
  }

  /** The last waits and holds that there were, five seconds of them. */
  trendOf(pool: number): Trend | undefined {
    return this.#trends.findLast((trend) => trend.pool === pool);
  }
}

export function ofPool(tick: Tick, pool: number): PoolTick | undefined {
  return tick.pools.find((candidate) => candidate.pool === pool);
}
