/*
 * What the inspector tells its readers: the page, `leasehold top`, and whoever asks for the JSON. Types alone, since the page is
 * compiled for browsers. Durations are milliseconds; times of day are milliseconds since 1970 by the clock of the server.
 */

/** Version of what is told. A reader that knows another one says so, and shows nothing. */
export type Protocol = 1;

/**
 * One message. The same is an answer to `GET data`, and the data of an event `report` of `GET events`. It adds to what was told
 * before, unless it is `complete`: then whatever was known is to be forgotten first.
 */
export interface Report {
  readonly protocol: Protocol;
  readonly complete: boolean;
  readonly server: Server;
  /** Oldest first, without a gap to the last one told before. Of a complete report all that are kept: those of the last `window`. */
  readonly ticks: readonly Tick[];
  /** Oldest first. Of a complete report those of the last ten minutes. */
  readonly trends: readonly Trend[];
  /** What is the case now. It replaces what was told before. Pools in the order in which they were given. */
  readonly pools: readonly PoolState[];
}

export interface Server {
  /** Another one after a restart, so that nobody takes its ticks for those of the former. */
  readonly id: string;
  /** Time of day of this report. */
  readonly now: number;
  readonly pid: number;
  /** As `process.version`. */
  readonly node: string;
  /** Time since the process began. */
  readonly uptime: number;
  /** Length of a tick, but for one that came late. */
  readonly interval: number;
  /** For how long ticks are kept. */
  readonly window: number;
  /** Whether `sql` may be there. */
  readonly showsSql: boolean;
}

/** What happened from the end of the tick before to `at`. */
export interface Tick {
  /** Counts up by one. */
  readonly number: number;
  /** Time of day of its end. */
  readonly at: number;
  /** Of the event loop: the longest delay, and which share of the time it was busy, 0 to 1. */
  readonly loop: { readonly delay: number; readonly busy: number };
  /** Pools that were open; those in which nothing happened are here too. */
  readonly pools: readonly PoolTick[];
}

export interface PoolTick {
  /** As `PoolState.id`. */
  readonly pool: number;
  /** The most within the tick. */
  readonly leased: number;
  /** The most within the tick. Those that queue for a connection, and those for the write lane. */
  readonly waiting: number;
  readonly laneWaiting: number;
  /** How many leases began and ended. */
  readonly acquired: number;
  readonly released: number;
  /**
   * Leases that ended: of each of at most 64 connections the longest four, whole, also what lies before the tick. A lease that is held
   * still is in `PoolState.holders`.
   */
  readonly bars: readonly Bar[];
  /** The others that ended, summed up for each connection that had any. */
  readonly rest: readonly Rest[];
  /** Oldest first. */
  readonly notes: readonly Note[];
}

/** A lease that has ended. Labels, here and everywhere, are cut at 200 characters. */
export interface Bar {
  /** Number of the lease, unique in its pool. */
  readonly lease: number;
  readonly connection: number;
  readonly label: string | undefined;
  /** Times of day. */
  readonly from: number;
  readonly to: number;
  /** How long it was waited for before `from`. */
  readonly waited: number;
  /** When it was a write transaction, or else held the right to write. Oldest first, at most 20; the last one then stands for the rest. */
  readonly writes: readonly Span[];
  /** When it was a snapshot that is only read. At most 20. */
  readonly reads: readonly Span[];
}

/** `[from, to]`, times of day. */
export type Span = readonly [from: number, to: number];

/** Leases on one connection that ended within a tick, too many or too short to be told one by one. */
export interface Rest {
  /** 0 for all further ones, where more than 256 connections have had leases that ended within the tick. */
  readonly connection: number;
  readonly leases: number;
  /** How long they were held in all; not more than the tick, if the connection was free between them. */
  readonly held: number;
  /** For how much of that they could write. */
  readonly wrote: number;
  /** How long they were waited for in all. */
  readonly waited: number;
  /** One of the frequent labels among them. */
  readonly label: string | undefined;
}

/** Something worth a mark. */
export interface Note {
  readonly at: number;
  readonly kind: 'timeout' | 'leak' | 'dirty' | 'deadlock' | 'discard' | 'replace' | 'error';
  readonly label: string | undefined;
  readonly lease: number | undefined;
  readonly connection: number | undefined;
  /** One sentence or more, for people. At most 2 000 characters. */
  readonly message: string;
}

/** How long waits and holds of one pool took that ended within five seconds. */
export interface Trend {
  readonly pool: number;
  /** Time of day of the end of the five seconds. */
  readonly at: number;
  readonly wait: Quantiles;
  readonly hold: Quantiles;
}

/** All 0 while `count` is. */
export interface Quantiles {
  readonly count: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

/** A pool now. */
export interface PoolState {
  /** Number of the pool, unique in the process. */
  readonly id: number;
  readonly name: string;
  /** It tells nothing any more. */
  readonly closed: boolean;
  readonly size: number;
  readonly idle: number;
  /** The write lane's own connection counts too, and may be one more than `max`. */
  readonly leased: number;
  readonly waiting: number;
  readonly max: number;
  readonly min: number;
  /** Whether who comes now for a connection has to wait until another gives one back. */
  readonly full: boolean;
  /** Of SQLite: the write lane of the file, shared by all pools of the process on it. `undefined` where there is none. */
  readonly lane: Lane | undefined;
  /** As `pool.stats().counters`. */
  readonly counters: Readonly<Record<string, number>>;
  /** Since the pool was made. */
  readonly waitTime: Quantiles;
  readonly holdTime: Quantiles;
  readonly openTime: Quantiles;
  /** Numbers of the connections that are open, in the order in which they were opened. */
  readonly connections: readonly number[];
  /** Leases held now, oldest first; at most 100, `leased` counts all. */
  readonly holders: readonly Holder[];
  /** Those who wait, first those for a connection, then those for the lane, each in the order of their turn; at most 100 of each. */
  readonly waiters: readonly Waiter[];
  /** The longest leases that ended in the last ten minutes, longest first; at most 20. */
  readonly longest: readonly Bar[];
  /** What was held for longest in all since the pool was made, first; at most 20. Leases without a label are not in it. */
  readonly labels: readonly LabelState[];
}

export interface Lane {
  /** Who may write now. */
  readonly holder: LaneHolder | undefined;
  readonly waiting: number;
}

export interface LaneHolder {
  /** Name of its pool. */
  readonly pool: string;
  readonly label: string | undefined;
  readonly kind: 'transaction' | 'write scope' | 'raw transaction' | 'statement';
  readonly age: number;
  /** Its lease, where that is of the pool it is told with. */
  readonly lease: number | undefined;
}

export interface Holder {
  readonly lease: number;
  readonly connection: number;
  readonly label: string | undefined;
  /** Time of day at which it began. */
  readonly from: number;
  readonly age: number;
  readonly idleFor: number;
  readonly inTransaction: boolean;
  readonly mode: 'connection' | 'read' | 'write';
  /** Number of its scope. */
  readonly scope: number | undefined;
  readonly waited: number;
  readonly writes: readonly Span[];
  readonly reads: readonly Span[];
  /** Where it was acquired, as V8 writes it. While the pool has a finite `leakThreshold`. */
  readonly stack?: string | undefined;
  /** The statement that ran last, without its values. Only where `Server.showsSql`. */
  readonly sql?: string | undefined;
}

export interface Waiter {
  readonly for: 'connection' | 'write lane';
  readonly label: string | undefined;
  /** For how long already. */
  readonly waited: number;
  /** Time until it gives up; `undefined` where it never does. */
  readonly left: number | undefined;
  readonly priority: number;
  /** Number of the scope it is asked in. */
  readonly scope: number | undefined;
}

export interface LabelState {
  /** `undefined` for all those together that came when 1 000 others were known. */
  readonly label: string | undefined;
  readonly leased: number;
  readonly acquired: number;
  readonly timeouts: number;
  readonly waitTime: Quantiles;
  readonly holdTime: Quantiles;
}

/** All that is known of one lease: answer to `GET lease?pool=1&lease=42`. 404 where it is not known any more. */
export interface LeaseDetail {
  readonly pool: number;
  readonly lease: number;
  readonly connection: number;
  readonly label: string | undefined;
  readonly scope: number | undefined;
  readonly from: number;
  /** `undefined` while it is held. */
  readonly to: number | undefined;
  readonly waited: number;
  readonly writes: readonly Span[];
  readonly reads: readonly Span[];
  readonly stack?: string | undefined;
  /** The statement that ran last. Only where `Server.showsSql`. */
  readonly sql?: string | undefined;
  /** Those that name the lease. */
  readonly notes: readonly Note[];
}
