import type { HolderInfo } from '../holder.ts';
import { type HolderView, type LaneView, observe, type PoolView, type WaiterView } from '../observer.ts';
import { type ObservablePool, whenClosed } from '../pool/observable.ts';
import type { Durations, LabelStats, PoolStats } from '../stats.ts';
import { longestSql, longestStack } from './ended-lease.ts';
import { excerpt, labelOf, longestLabel } from './excerpt.ts';
import { Notes } from './notes.ts';
import { PoolRecorder, quantilesOf } from './recorder.ts';
import type { Holder, LabelState, Lane, LeaseDetail, PoolState, PoolTick, Trend, Waiter } from './wire.ts';

type Stats = Pick<PoolStats, Exclude<keyof PoolStats, 'counters'>> & {
  readonly counters: object;
  readonly laneWaiting?: number;
};

/** What is needed of a pool to show it. Any pool of Leasehold will do. */
export type InspectedPool = Pick<ObservablePool, 'id' | 'name' | 'on' | 'off' | typeof whenClosed> & {
  readonly closed: boolean;
  stats(): Stats;
  stats(options: { readonly by: 'label' }): LabelStats[];
  [observe](): PoolView;
};

export interface SubjectSettings {
  readonly showsSql: boolean;
  /** How many ticks are kept. */
  readonly ticks: number;
  /** The time of day, as a clock that never goes back. */
  readonly timeOfDay: () => number;
}

/** Of holders, and of those who wait for a connection and for the lane. */
const mostListed = 100;
const mostLabels = 20;

// Milliseconds. Of each label two distributions are summed up, and there may be a thousand: not to be done for every report.
const labelsFor = 5000;

/** One pool that is shown. Records it from its making until it is stopped, or the pool closed. */
export class Subject {
  readonly #pool: InspectedPool;
  readonly #settings: SubjectSettings;
  readonly #view: PoolView;
  readonly #recorder: PoolRecorder;
  readonly #notes: Notes;
  /** What is to be added to a time of the pool's clock. */
  #offset: number;
  readonly #ends: (() => void)[];
  #labels: readonly LabelState[] = [];
  /** By the clock of the pool: one by which it could be earlier would keep them for as long. */
  #labelsAt = -Infinity;
  #isOver: boolean;
  /** Whether what it told last has been taken. */
  #isTold = false;

  constructor(pool: InspectedPool, settings: SubjectSettings, onClosed: () => void) {
    this.#pool = pool;
    this.#settings = settings;
    this.#isOver = pool.closed;
    this.#notes = new Notes(settings.timeOfDay);
    const view = pool[observe]();
    const since = view.now();
    this.#view = view;
    this.#offset = settings.timeOfDay() - since;
    this.#recorder = new PoolRecorder({
      pool: pool.id,
      ...gaugesOf(pool.stats()),
      since,
      now: () => view.now(),
      timeOfDay: (time) => time + this.#offset,
      showsSql: settings.showsSql,
      ticks: settings.ticks,
    });
    const closed = (): void => {
      this.stop();
      onClosed();
    };
    this.#ends = [view.follow(this.#recorder), this.#notes.follow(pool), pool[whenClosed](closed)];
  }

  get id(): number {
    return this.#pool.id;
  }

  /** Whether the pool tells nothing any more. */
  get isOver(): boolean {
    return this.#isOver;
  }

  stop(): void {
    this.#isOver = true;
    for (const end of this.#ends.splice(0)) end();
  }

  /** The time of day is another by now. What was told of former ones is forgotten. */
  setTime(): void {
    this.#offset = this.#settings.timeOfDay() - this.#view.now();
    this.#recorder.forget();
  }

  /** What happened since the tick before, once more after the pool has been closed; then `undefined`. */
  tick(): PoolTick | undefined {
    if (this.#isTold) return undefined;
    this.#isTold = this.#isOver;
    return { ...this.#recorder.tick(gaugesOf(this.#pool.stats())), notes: this.#notes.take() };
  }

  trend(at: number): Trend {
    return this.#recorder.trend(at);
  }

  #byLabel(): readonly LabelState[] {
    const now = this.#view.now();
    if (now - this.#labelsAt < labelsFor) return this.#labels;
    this.#labelsAt = now;
    const all = this.#pool.stats({ by: 'label' });
    this.#labels = all.slice(0, mostLabels).map(({ label, waitTime, holdTime, ...counts }) => ({
      label: labelOf(label),
      ...counts,
      waitTime: quantilesOf(waitTime),
      holdTime: quantilesOf(holdTime),
    }));
    return this.#labels;
  }

  state(): PoolState {
    const { id, name } = this.#pool;
    const { size, idle, leased, waiting, max, min, counters, ...times } = this.#pool.stats();
    const lane = this.#view.lane?.(mostListed);
    const now = this.#view.now();
    const holders = this.#view.holders(now);
    const waiters = [...this.#view.waiters(mostListed), ...(lane?.waiters ?? [])];
    return {
      id,
      name: excerpt(name, longestLabel),
      closed: this.isOver,
      size,
      idle,
      leased,
      waiting,
      max,
      min,
      full: this.#view.isFull(),
      lane: lane && this.#laneOf(lane, holders),
      counters: counters as Readonly<Record<string, number>>,
      ...quantilesOfAll(times),
      connections: this.#view.connections(),
      holders: holders.slice(0, mostListed).map((holder) => this.#holderOf(holder, now)),
      waiters: waiters.map(waiterOf),
      longest: this.#recorder.longest(),
      labels: this.#byLabel(),
    };
  }

  /** All that is known of a lease, `undefined` where nothing is, any more or yet. */
  detail(lease: number): LeaseDetail | undefined {
    const notes = this.#notes.of(lease);
    const now = this.#view.now();
    const holder = this.#view.holders(now).find(({ id }) => id === lease);
    if (holder === undefined) {
      const ended = this.#recorder.find(lease);
      return ended && { ...ended, notes };
    }
    const { connection, label, scope, from, waited, writes, reads, stack, sql } = this.#holderOf(holder, now);
    const pool = this.#pool.id;
    return { pool, lease, connection, label, scope, from, to: undefined, waited, writes, reads, stack, sql, notes };
  }

  #holderOf({ id, startedAt, label, stack, lastSql, ...holder }: HolderView, now: number): Holder {
    const sql = this.#settings.showsSql ? lastSql : undefined;
    return {
      ...holder,
      lease: id,
      label: labelOf(label),
      from: startedAt + this.#offset,
      ...this.#recorder.present(id, holder.mode, now),
      ...(stack !== undefined && { stack: excerpt(stack, longestStack) }),
      ...(sql !== undefined && { sql: excerpt(sql, longestSql) }),
    };
  }

  #laneOf({ holder, waiting }: LaneView, holders: readonly HolderInfo[]): Lane {
    if (holder === undefined) return { holder, waiting };
    const { pool, label, kind, age, lease } = holder;
    // Another pool of the same name may hold it.
    const isOurs = ({ id, connection, mode }: HolderInfo): boolean =>
      id === lease?.id && connection === lease.connection && mode === 'write';
    const own = pool === this.#pool.name ? holders.find(isOurs)?.id : undefined;
    const name = excerpt(pool, longestLabel);
    return { holder: { pool: name, label: labelOf(label), kind, age, lease: own }, waiting };
  }
}

function gaugesOf({ leased, waiting, laneWaiting = 0 }: Stats): {
  leased: number;
  waiting: number;
  laneWaiting: number;
} {
  return { leased, waiting, laneWaiting };
}

function quantilesOfAll(times: Record<'waitTime' | 'holdTime' | 'openTime', Durations>) {
  const { waitTime, holdTime, openTime } = times;
  return { waitTime: quantilesOf(waitTime), holdTime: quantilesOf(holdTime), openTime: quantilesOf(openTime) };
}

function waiterOf({ label, left, ...waiter }: WaiterView): Waiter {
  return { ...waiter, label: labelOf(label), left: left === Infinity ? undefined : left };
}
