import type {
  Bar,
  Holder,
  Note,
  PoolState,
  PoolTick,
  Quantiles,
  Report,
  Span,
  Tick,
} from '../../../../lib/inspector/wire.ts';

export const noTime: Quantiles = { count: 0, p50: 0, p95: 0, p99: 0, max: 0 };

/** A pool of eight in which all is quiet. */
export function poolState(state: Partial<PoolState> = {}): PoolState {
  return {
    id: 1,
    name: 'app',
    closed: false,
    size: 2,
    idle: 2,
    leased: 0,
    waiting: 0,
    max: 8,
    min: 0,
    full: (state.leased ?? 0) >= (state.max ?? 8),
    lane: { holder: undefined, waiting: 0 },
    counters: { acquired: 0 },
    waitTime: noTime,
    holdTime: noTime,
    openTime: noTime,
    connections: [1, 2],
    holders: [],
    waiters: [],
    longest: [],
    labels: [],
    ...state,
  };
}

export function poolTick(tick: Partial<PoolTick> = {}): PoolTick {
  return {
    pool: 1,
    leased: 0,
    waiting: 0,
    laneWaiting: 0,
    acquired: 0,
    released: 0,
    bars: [],
    rest: [],
    notes: [],
    ...tick,
  };
}

export function holder(state: Partial<Holder> = {}): Holder {
  return {
    lease: 1,
    connection: 1,
    label: 'GET /',
    from: start,
    age: 1000,
    idleFor: 0,
    inTransaction: false,
    mode: 'connection',
    scope: undefined,
    waited: 0,
    writes: [],
    reads: [],
    ...state,
  };
}

export function lease(state: Partial<Bar> = {}): Bar {
  return {
    lease: 1,
    connection: 1,
    label: 'GET /',
    from: start,
    to: start + 1000,
    waited: 0,
    writes: [],
    reads: [],
    ...state,
  };
}

export function note(state: Partial<Note> = {}): Note {
  return {
    at: start,
    kind: 'timeout',
    label: undefined,
    lease: undefined,
    connection: undefined,
    message: 'Timed out.',
    ...state,
  };
}

/** A whole minute, so that a picture of it is the same each time. */
export const start = 1_700_000_040_000;

export function report(
  part: Partial<Omit<Report, 'server'>> & { readonly server?: Partial<Report['server']> } = {},
): Report {
  return {
    protocol: 1,
    complete: true,
    ticks: [],
    trends: [],
    pools: [poolState()],
    ...part,
    server: {
      id: 'one',
      now: start,
      pid: 4711,
      node: 'v24.21.0',
      uptime: 754_000,
      interval: 1000,
      window: 120_000,
      showsSql: false,
      ...part.server,
    },
  };
}

/** A server whose pool fills up over a minute: what it has told is known at each tick. */
export class Simulation {
  readonly id: string;
  readonly #from: number;
  readonly #pools: readonly string[];
  #ticks: Tick[] = [];

  constructor({
    id = 'one',
    from = start,
    pools = ['app'],
  }: { id?: string; from?: number; pools?: readonly string[] } = {}) {
    this.id = id;
    this.#from = from;
    this.#pools = pools;
  }

  /** Goes on by a tick of a second. */
  tick(): void {
    const number = this.#ticks.length;
    this.#ticks.push({
      number,
      at: this.#from + (number + 1) * 1000,
      loop: { delay: 2 + (number % 10) * 4, busy: (number % 10) / 10 },
      pools: this.#pools.map((_name, index) => this.#poolTick(number, index + 1)),
    });
  }

  /** What came after a tick, or all. */
  report(after?: { readonly tick: number; readonly server: string }): Report {
    const complete = after === undefined || after.server !== this.id || after.tick < 0;
    return report({
      complete,
      server: { id: this.id, now: this.#now, uptime: this.#ticks.length * 1000 },
      ticks: complete ? this.#ticks.slice(-120) : this.#ticks.filter(({ number }) => number > after.tick),
      pools: this.#pools.map((name, index) => this.#pool(name, index + 1)),
      trends: this.#pools.map((_name, index) => ({
        pool: index + 1,
        at: this.#now,
        wait: { count: 90, p50: 0.4, p95: 12, p99: 40, max: 1200 },
        hold: { count: 90, p50: 3.1, p95: 80, p99: 240, max: 4200 },
      })),
    });
  }

  get #now(): number {
    return this.#from + this.#ticks.length * 1000;
  }

  #poolTick(number: number, pool: number): PoolTick {
    const at = this.#from + (number + 1) * 1000;
    const busy = Math.min(8, Math.floor(number / 6));
    const span = (part: number): Span => [at - 1000 * part, at];
    return poolTick({
      pool,
      leased: busy,
      waiting: Math.max(0, Math.floor(number / 6) - 7),
      acquired: 40,
      released: 40,
      bars: Array.from({ length: busy }, (_, index) => {
        const [from, to] = span(((index * 7 + number * 3) % 10) / 10);
        const writes: Span[] = index === 1 && number % 5 < 2 ? [[from, to]] : [];
        return lease({
          lease: number * 8 + index,
          connection: index + 1,
          label: `GET /items/${index}`,
          from,
          to,
          writes,
        });
      }),
      rest: [{ connection: 1, leases: 30, held: 120, wrote: 0, waited: 0, label: 'GET /' }],
      notes:
        number % 20 === 19
          ? [
              note({
                at,
                message: `Timed out after 5000 ms waiting for a connection of "app" (8 of 8 in use).\n  #1 GET /report`,
              }),
            ]
          : [],
    });
  }

  #pool(name: string, id: number): PoolState {
    const now = this.#now;
    const connections = [1, 2, 3, 4, 5, 6, 7, 8];
    return poolState({
      id,
      name,
      size: 8,
      idle: 0,
      leased: 8,
      waiting: 3,
      connections,
      counters: { acquired: 40 * this.#ticks.length, timeouts: 3, leaks: 1 },
      lane: { holder: { pool: name, label: 'POST /orders', kind: 'transaction', age: 1240, lease: 2 }, waiting: 2 },
      holders: connections.map((connection) =>
        holder({
          lease: 1000 + connection,
          connection,
          label: connection === 2 ? 'POST /orders' : `GET /items/${connection}`,
          from: now - connection * 700,
          age: connection * 700,
          mode: connection === 2 ? 'write' : 'connection',
          writes: connection === 2 ? [[now - 1240, now]] : [],
        }),
      ),
      waiters: [1, 2, 3].map((index) => ({
        for: 'connection' as const,
        label: `GET /waits/${index}`,
        waited: 2000 - index * 400,
        left: 3000 + index * 400,
        priority: 0,
        scope: undefined,
      })),
      longest: [lease({ connection: 3, label: 'GET /report', from: now - 20_000, to: now - 12_000 })],
    });
  }
}
