import type { View } from '../../../lib/inspector/page/store.ts';
import type {
  Bar,
  Holder,
  Note,
  PoolState,
  PoolTick,
  Quantiles,
  Report,
  Rest,
  Tick,
} from '../../../lib/inspector/wire.ts';

/** Noon of some day, for times that read well: `at(3)` is three seconds later. */
export const at = (seconds: number): number => 1_700_000_000_000 + seconds * 1000;

export const none: Quantiles = { count: 0, p50: 0, p95: 0, p99: 0, max: 0 };

export function barOf(bar: Partial<Bar> = {}): Bar {
  const waited = 0;
  return { lease: 1, connection: 1, label: 'GET /', from: at(0), to: at(1), waited, writes: [], reads: [], ...bar };
}

export function restOf(rest: Partial<Rest> = {}): Rest {
  return { connection: 1, leases: 10, held: 250, wrote: 0, waited: 0, label: 'GET /', ...rest };
}

export function noteOf(note: Partial<Note> = {}): Note {
  const message = 'Something went wrong.';
  return { at: at(0), kind: 'leak', label: 'GET /', lease: 1, connection: 1, message, ...note };
}

export function holderOf(holder: Partial<Holder> = {}): Holder {
  return {
    lease: 9,
    connection: 1,
    label: 'GET /',
    from: at(0),
    age: 1000,
    idleFor: 0,
    inTransaction: false,
    mode: 'connection',
    scope: undefined,
    waited: 0,
    writes: [],
    reads: [],
    ...holder,
  };
}

export function tickOf(number: number, part: Partial<PoolTick> = {}): Tick {
  const empty = { pool: 1, leased: 0, waiting: 0, laneWaiting: 0, acquired: 0, released: 0 };
  const pool = { ...empty, bars: [], rest: [], notes: [], ...part };
  return { number, at: at(number / 2), loop: { delay: 1, busy: 0.1 }, pools: [pool] };
}

export function poolOf(pool: Partial<PoolState> = {}): PoolState {
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
    full: false,
    lane: { holder: undefined, waiting: 0 },
    counters: {},
    waitTime: none,
    holdTime: none,
    openTime: none,
    connections: [1, 2],
    holders: [],
    waiters: [],
    longest: [],
    labels: [],
    ...pool,
  };
}

export interface Told {
  readonly complete?: boolean;
  readonly server?: string;
  readonly ticks?: readonly Tick[];
  readonly pools?: readonly PoolState[];
  readonly now?: number;
  readonly window?: number;
}

/** By default told at the end of its last tick. */
export function reportOf({
  complete = false,
  server = 'a',
  ticks = [],
  pools = [poolOf()],
  now,
  window = 60_000,
}: Told): Report {
  return {
    protocol: 1,
    complete,
    ticks,
    trends: [],
    pools,
    server: {
      id: server,
      now: now ?? ticks.at(-1)?.at ?? at(0),
      pid: 1,
      node: 'v24.0.0',
      uptime: 1000,
      interval: 500,
      window,
      showsSql: false,
    },
  };
}

export function viewOf(told: Told): View {
  const { server, ticks, trends, pools } = reportOf({ ...told, complete: true });
  return { epoch: 1, server, ticks, trends, pools, strangers: new Map() };
}
