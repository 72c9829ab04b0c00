import { randomUUID } from 'node:crypto';
import { type Clock, systemClock, type Timer } from '../clock.ts';
import { describeCause } from '../errors.ts';
import { LoopWatch } from './loop.ts';
import { type InspectedPool, Subject } from './subject.ts';
import type { LeaseDetail, Report, Server, Tick, Trend } from './wire.ts';

/** Milliseconds of a tick: at most two a second are told. */
const interval = 500;
/** For how long ticks are kept. */
const window = 60_000;
const ticksKept = window / interval;

/** Ticks of a trend, and how many trends of a pool are kept: ten minutes. */
const ticksOfTrend = 10;
const trendsKept = 600_000 / (interval * ticksOfTrend);

// Milliseconds by which the time of day may differ from that of the system.
const tolerated = 1000;

/** Who is told of each tick. */
type Viewer = () => void;

/** Watches pools tick by tick, whether anybody looks or not, so that who comes sees the last minute at once. */
export class Monitor {
  readonly #clock: Clock;
  #id = randomUUID();
  readonly #showsSql: boolean;
  readonly #timeOfDay: () => number;
  /** What the system says the time of day is. It may go back, and goes on while the machine sleeps. */
  readonly #systemTime: () => number;
  /** What is to be added to the time of the clock, which does neither, for the time of day. */
  #offset: number;
  readonly #subjects: readonly Subject[];
  readonly #viewers = new Set<Viewer>();
  readonly #ticks: Tick[] = [];
  readonly #trends: Trend[] = [];
  readonly #loop: LoopWatch;
  #number = 0;
  /** What most viewers want: the report of the last tick alone. Made for the first who asks. */
  #latest: string | undefined;
  #timer: Timer | undefined;

  constructor(
    pools: readonly InspectedPool[],
    showsSql: boolean,
    clock: Clock = systemClock,
    systemTime: () => number = clock === systemClock ? Date.now : () => clock.now(),
  ) {
    this.#clock = clock;
    this.#showsSql = showsSql;
    this.#systemTime = systemTime;
    this.#offset = systemTime() - clock.now();
    this.#timeOfDay = () => clock.now() + this.#offset;
    const settings = { showsSql, ticks: ticksKept, timeOfDay: this.#timeOfDay };
    this.#loop = new LoopWatch();
    this.#subjects = pools.map((pool) => new Subject(pool, settings, () => this.#closed()));
    this.#arm();
    if (this.isOver) this.stop();
  }

  /** Whether none of the pools tells anything any more. */
  get isOver(): boolean {
    return this.#subjects.every(({ isOver }) => isOver);
  }

  /** Another one for each monitor, and after the clock was set, so that nobody takes the ticks of one for those of another. */
  get id(): string {
    return this.#id;
  }

  /** Number of the last tick. */
  get number(): number {
    return this.#number;
  }

  /** Ends all that it has begun. What was recorded can be asked for still. */
  stop(): void {
    for (const subject of this.#subjects) subject.stop();
    if (this.#timer === undefined) return;
    this.#clock.cancel(this.#timer);
    this.#timer = undefined;
    this.#tick();
    this.#loop.stop();
  }

  /** Calls `viewer` after each tick, and once when all is over. What is returned ends that. */
  subscribe(viewer: Viewer): () => void {
    this.#viewers.add(viewer);
    return () => {
      this.#viewers.delete(viewer);
    };
  }

  /** A `Report` as JSON: of what came after the tick `after`; complete without one, and where that is not kept any more. */
  report(after = -1): string {
    const first = this.#ticks[0]?.number ?? this.#number + 1;
    if (after < first - 1 || after > this.#number) return this.#write(true, this.#ticks, this.#trends);
    if (after === this.#number - 1) {
      this.#latest ??= this.#after(after);
      return this.#latest;
    }
    return this.#after(after);
  }

  /** All that is known of a lease as JSON, `undefined` where nothing is. */
  detail(pool: number, lease: number): string | undefined {
    const detail: LeaseDetail | undefined = this.#subjects.find(({ id }) => id === pool)?.detail(lease);
    return detail && JSON.stringify(detail, rounded);
  }

  #after(after: number): string {
    const ticks = this.#ticks.filter(({ number }) => number > after);
    const [first] = ticks;
    const trends = first === undefined ? [] : this.#trends.filter(({ at }) => at >= first.at);
    return this.#write(false, ticks, trends);
  }

  #write(complete: boolean, ticks: readonly Tick[], trends: readonly Trend[]): string {
    const pools = this.#subjects.map((subject) => subject.state());
    const report: Report = { protocol: 1, complete, server: this.#server(), ticks, trends, pools };
    return JSON.stringify(report, rounded);
  }

  #server(): Server {
    return {
      id: this.#id,
      now: this.#timeOfDay(),
      pid: process.pid,
      node: process.version,
      uptime: process.uptime() * 1000,
      interval,
      window,
      showsSql: this.#showsSql,
    };
  }

  #arm(): void {
    this.#timer = this.#clock.after(interval, () => {
      this.#arm();
      try {
        this.#tick();
      } catch (error) {
        // A pool of somebody else's class may do that. It must not end the process that is watched.
        process.emitWarning(`The inspector could not record: ${describeCause(error)}`);
      }
    });
    this.#timer.unref();
  }

  /** Records what happened since the last one, and tells of it. */
  #tick(): void {
    if (Math.abs(this.#systemTime() - this.#timeOfDay()) > tolerated) this.#setTime();
    const at = this.#timeOfDay();
    const pools = this.#subjects.flatMap((subject) => subject.tick() ?? []);
    this.#number++;
    this.#ticks.push({ number: this.#number, at, loop: this.#loop.take(), pools });
    if (this.#ticks.length > ticksKept) this.#ticks.shift();
    if (this.#number % ticksOfTrend === 0) this.#addTrends(at);
    this.#latest = undefined;
    this.#tell();
  }

  /** The clock of the system was set, or the machine has slept: what was recorded has times of day that would not fit what comes. */
  #setTime(): void {
    this.#offset = this.#systemTime() - this.#clock.now();
    for (const subject of this.#subjects) subject.setTime();
    this.#ticks.length = 0;
    this.#trends.length = 0;
    this.#id = randomUUID();
    // So that nobody gets less than all that comes.
    this.#number++;
  }

  #addTrends(at: number): void {
    for (const subject of this.#subjects) if (!subject.isOver) this.#trends.push(subject.trend(at));
    const most = trendsKept * this.#subjects.length;
    if (this.#trends.length > most) this.#trends.splice(0, this.#trends.length - most);
  }

  #closed(): void {
    if (this.isOver) this.stop();
  }

  #tell(): void {
    for (const viewer of Array.from(this.#viewers)) viewer();
  }
}

/** A hundredth of a millisecond is enough for people, and halves what is sent. */
function rounded(_key: string, value: unknown): unknown {
  return typeof value === 'number' && Math.abs(value) < 1e15 ? Math.round(value * 100) / 100 : value;
}
