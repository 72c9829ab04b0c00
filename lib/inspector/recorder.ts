import type { LeaseMode } from '../holder.ts';
import type { LeaseObserver, ObservedLease, WaiterView } from '../observer.ts';
import { DurationRecorder, type Durations } from '../stats.ts';
import { BusyConnection, lengthOf } from './busy-connection.ts';
import { EndedLease, longestSql } from './ended-lease.ts';
import { excerpt, labelOf } from './excerpt.ts';
import { Longest } from './longest.ts';
import { type Track, Tracks } from './track.ts';
import type { Bar, LeaseDetail, PoolTick, Quantiles, Span, Trend } from './wire.ts';

// Off by less than 4 %, in 7 KB, twice a pool.
const precision = 4;

// Where each lease has a connection of its own, there are as many of them as of leases. So many are told apart in a tick, and
// of the first of them some leases one by one.
const mostTold = 64;
const mostApart = 256;
/** Number of a connection that stands for all further ones. */
const others = 0;

/** What a recorder needs to know of whom it records for. */
export interface RecorderContext {
  /** Number of the pool. */
  readonly pool: number;
  /** What it has leased now. */
  readonly leased: number;
  readonly waiting: number;
  readonly laneWaiting: number;
  /** When the recording begins, by the pool's clock. */
  readonly since: number;
  /** Time of the pool's clock. */
  now(): number;
  /** The time of day at a time of the pool's clock. */
  timeOfDay(time: number): number;
  readonly showsSql: boolean;
  /** How many ticks are kept. */
  readonly ticks: number;
}

/**
 * Records what becomes of the leases of one pool, tick by tick. It is called twice a lease: a lease that waited for nobody, was
 * in no transaction and is not among the longest of its tick costs no more than a few additions.
 */
export class PoolRecorder implements LeaseObserver {
  readonly #context: RecorderContext;
  readonly #tracks: Tracks;
  #longest = new Longest();
  /** Of the present tick. */
  readonly #connections = new Map<number, BusyConnection>();
  /** Leases of the present tick that are kept whole, and were some time. */
  #whole: EndedLease[] = [];
  /** What ended in each of the ticks that are kept, oldest first. */
  readonly #ended: (readonly EndedLease[])[] = [];
  #waits = new DurationRecorder(precision);
  #holds = new DurationRecorder(precision);
  #acquired = 0;
  #released = 0;
  #leased: number;
  /** The most of the present tick. */
  #mostLeased: number;
  #most: Record<WaiterView['for'], number>;

  constructor(context: RecorderContext) {
    this.#context = context;
    this.#tracks = new Tracks(context.since);
    this.#leased = context.leased;
    this.#mostLeased = context.leased;
    this.#most = { connection: context.waiting, 'write lane': context.laneWaiting };
  }

  began(lease: ObservedLease, waited: number): void {
    this.#acquired++;
    if (++this.#leased > this.#mostLeased) this.#mostLeased = this.#leased;
    this.#waits.record(waited);
    this.#tracks.began(lease, waited);
  }

  turns(lease: ObservedLease): void {
    // Not in a hook, nor in the clean-up, when what there was to tell of it has been told.
    if (lease.slot.lease === lease) this.#tracks.turns(lease, this.#context.now());
  }

  ended(lease: ObservedLease, label: string | undefined, held: number): void {
    this.#released++;
    this.#leased--;
    this.#holds.record(held);
    const now = lease.startedAt + held;
    const track = this.#tracks.end(lease, now);
    const connection = this.#connectionOf(lease.slot.id);
    const to = this.#context.timeOfDay(now);
    const isKept = connection.keeps(held);
    const isLong = this.#longest.takes(held, to);
    if (isKept || isLong) {
      const whole = this.#wholeOf(lease, label, to - held, to, track);
      if (isLong) this.#longest.add(whole, to);
      if (isKept) connection.keep(whole);
    }
    if (!isKept) connection.sum(label, held, track?.waited ?? 0, track === undefined ? 0 : lengthOf(track.writes));
  }

  waits(what: WaiterView['for'], waiting: number): void {
    if (waiting > this.#most[what]) this.#most[what] = waiting;
  }

  /** What happened since the tick before. The gauges are those of now. */
  tick({
    leased,
    waiting,
    laneWaiting,
  }: Pick<RecorderContext, 'leased' | 'waiting' | 'laneWaiting'>): Omit<PoolTick, 'notes'> {
    for (const lease of this.#whole) lease.settle();
    this.#whole = [];
    const connections = [...this.#connections.values()];
    const ended = connections.flatMap(({ kept }) => kept);
    const tick = {
      pool: this.#context.pool,
      leased: Math.max(this.#mostLeased, leased),
      waiting: Math.max(this.#most.connection, waiting),
      laneWaiting: Math.max(this.#most['write lane'], laneWaiting),
      acquired: this.#acquired,
      released: this.#released,
      bars: ended.map(({ bar }) => bar),
      rest: connections.flatMap(({ rest }) => rest ?? []),
    };
    this.#ended.push(ended);
    if (this.#ended.length > this.#context.ticks) this.#ended.shift();
    this.#connections.clear();
    this.#acquired = 0;
    this.#released = 0;
    this.#leased = leased;
    this.#mostLeased = leased;
    this.#most = { connection: waiting, 'write lane': laneWaiting };
    return tick;
  }

  /** The waits and holds since the trend before. */
  trend(at: number): Trend {
    const trend = {
      pool: this.#context.pool,
      at,
      wait: quantilesOf(this.#waits.summary()),
      hold: quantilesOf(this.#holds.summary()),
    };
    this.#waits = new DurationRecorder(precision);
    this.#holds = new DurationRecorder(precision);
    return trend;
  }

  /** Forgets what has ended. What goes on, and what is counted, stays. */
  forget(): void {
    this.#longest = new Longest();
    this.#ended.length = 0;
    this.#connections.clear();
    this.#whole = [];
  }

  longest(): Bar[] {
    const { now, timeOfDay } = this.#context;
    return this.#longest.list(timeOfDay(now())).map(({ bar }) => bar);
  }

  /** What is known of a lease that is held, beside what it tells of itself. */
  present(lease: number, mode: LeaseMode, now: number): Pick<Bar, 'waited' | 'writes' | 'reads'> {
    const track = this.#tracks.get(lease, mode);
    if (track === undefined) return { waited: 0, writes: [], reads: [] };
    const { writes, reads } = track.present(mode, now);
    return { waited: track.waited, writes: this.#timesOfDay(writes), reads: this.#timesOfDay(reads) };
  }

  /** One that has ended and is still known. */
  find(id: number): Omit<LeaseDetail, 'notes'> | undefined {
    const { now, timeOfDay, pool } = this.#context;
    const isIt = ({ bar }: EndedLease): boolean => bar.lease === id;
    const fresh = this.#whole.find(isIt);
    fresh?.settle();
    const found = fresh ?? this.#longest.list(timeOfDay(now())).find(isIt) ?? this.#ended.flat().find(isIt);
    return found?.detail(pool);
  }

  #connectionOf(id: number): BusyConnection {
    const { size } = this.#connections;
    const told = this.#connections.has(id) || size < mostApart ? id : others;
    let connection = this.#connections.get(told);
    if (connection === undefined) {
      connection = new BusyConnection(told, size < mostTold);
      this.#connections.set(told, connection);
    }
    return connection;
  }

  #wholeOf(
    { id, slot, scope, site, lastSql }: ObservedLease,
    label: string | undefined,
    from: number,
    to: number,
    track: Track | undefined,
  ): EndedLease {
    const { waited = 0, writes = [], reads = [] } = track ?? {};
    const spans = { writes: this.#timesOfDay(writes), reads: this.#timesOfDay(reads) };
    const bar = { lease: id, connection: slot.id, label: labelOf(label), from, to, waited, ...spans };
    const sql = this.#context.showsSql && lastSql !== undefined ? excerpt(lastSql, longestSql) : undefined;
    const whole = new EndedLease(bar, scope?.id, site, sql);
    this.#whole.push(whole);
    return whole;
  }

  #timesOfDay(spans: readonly Span[]): readonly Span[] {
    const { timeOfDay } = this.#context;
    return spans.map(([from, to]) => [timeOfDay(from), timeOfDay(to)]);
  }
}

export function quantilesOf({ count, p50, p95, p99, max }: Durations): Quantiles {
  return { count, p50, p95, p99, max };
}
