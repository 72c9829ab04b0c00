import { setTimeout as sleep } from 'node:timers/promises';
import type { LeasedDatabase, SqlitePool } from '../../lib/index.ts';
import { sql } from './bank.ts';
import { deadlineFault, lateness } from './invariants/deadlines.ts';
import { codeOf, errorFault, Planned } from './invariants/errors.ts';
import type { Occupant } from './invariants/occupancy.ts';
import type { Part, Plan } from './plans.ts';
import { acquireTimeout, overdueAge, type PoolName, type World } from './world.ts';

/** What of a handle an operation needs: of a lease, or of whatever the scope holds. */
export type Handle = Pick<LeasedDatabase, 'prepare' | 'open'>;

interface Options {
  readonly label: string;
  readonly signal: AbortSignal;
  readonly priority: number;
  readonly timeout?: number;
}

/** One operation under way: a plan, and what all kinds of them do. */
export class Operation {
  readonly world: World;
  readonly plan: Plan;
  /** Whether a part that has joined its transaction has failed. */
  joinFailed = false;
  readonly #start = performance.now();
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout | undefined;

  constructor(world: World, plan: Plan) {
    this.world = world;
    this.plan = plan;
    const { abortAfter } = plan;
    if (abortAfter !== undefined) this.#timer = setTimeout(() => this.#controller.abort(), abortAfter);
  }

  get pool(): SqlitePool {
    return this.world.pools[this.plan.pool];
  }

  /** Who it is, in accounts of what went wrong. */
  get name(): string {
    return `${this.plan.kind} ${this.plan.number}`;
  }

  /** What it calls itself in the pool, which keeps figures for each label. A lease that is dropped must be told from others. */
  get label(): string {
    return this.plan.kind === 'leak' ? this.name : this.plan.kind;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  end(): void {
    clearTimeout(this.#timer);
  }

  async pause(index: 0 | 1 | 2): Promise<void> {
    const pause = this.plan.pauses[index];
    if (pause === 'turn') await new Promise(setImmediate);
    else if (pause !== 'none') await sleep(pause);
  }

  /**
   * Makes a call that waits, and holds it to its deadline: `granted` is to be called as soon as it has what it waited for.
   */
  async waits<Result>(call: (options: Options, granted: () => void) => Promise<Result>): Promise<Result> {
    const { priority, timeout } = this.plan;
    const start = performance.now();
    const bound = timeout ?? acquireTimeout;
    let isAnswered = false;
    const answered = (): void => {
      if (isAnswered) return;
      isAnswered = true;
      const now = performance.now();
      const { watch } = this.world;
      // What keeps the loop right after the call may keep the pool from seeing it: some calls come to it a microtask later.
      const blocked = watch.blockedAt(start) + watch.blocked(start + bound, now);
      const wait = { waited: now - start, timeout: bound, blocked };
      this.world.worstLateness = Math.max(this.world.worstLateness, lateness(wait));
      this.world.check('deadlines', deadlineFault(this.name, wait));
    };
    const options = { label: this.label, signal: this.signal, priority, ...(timeout !== undefined && { timeout }) };
    try {
      return await call(options, answered);
    } catch (error) {
      // Of what was called, or of something in it that has had its own deadline.
      if (codeOf(error).endsWith('_TIMEOUT')) answered();
      throw error;
    }
  }

  /** Runs `fn` with a connection that nobody else may have meanwhile. `check` looks once more. */
  async occupy<Result>(
    pool: PoolName,
    db: Handle,
    isLane: boolean,
    fn: (check: () => void) => Promise<Result>,
  ): Promise<Result> {
    const { occupancy } = this.world;
    const isHeld = (): boolean => db.open;
    const occupant: Occupant = { connection: connectionOf(db), who: this.name, isLane, pool, isHeld };
    this.world.check('exclusive', occupancy.enter(occupant));
    const check = (): void => {
      if (db.open && !this.signal.aborted) this.world.check('exclusive', occupancy.check(occupant, connectionOf(db)));
    };
    try {
      const result = await fn(check);
      check();
      return result;
    } finally {
      occupancy.leave(occupant);
    }
  }

  /** Runs `fn` as the only one in this process who may write. */
  async writes<Result>(db: Handle, fn: () => Promise<Result>): Promise<Result> {
    const { writers } = this.world;
    const writer = { who: this.name, isWriting: () => db.open && !this.signal.aborted };
    this.world.check('exclusive', writers.enter(writer));
    try {
      return await fn();
    } finally {
      writers.leave(writer);
    }
  }

  /** Moves money by values that were read before, so that whoever comes between is found out. */
  async move(db: Handle, part: Part): Promise<void> {
    const balance = db.prepare<[number], number>(sql.balance).pluck();
    const source = balance.get(part.source) ?? Number.NaN;
    const target = balance.get(part.target) ?? Number.NaN;
    await this.pause(0);
    this.write(db, part, source, target);
    await this.pause(1);
  }

  /** The same in one synchronous step. */
  moveAtOnce(db: Handle, part: Part): void {
    const balance = db.prepare<[number], number>(sql.balance).pluck();
    this.write(db, part, balance.get(part.source) ?? Number.NaN, balance.get(part.target) ?? Number.NaN);
  }

  /**
   * Makes a synchronous call that may meet a lock. If one of this process is open, that is whose it was: no other process
   * can have it then, and what waits for it here can never get it.
   */
  direct<Result>(call: () => Result): Result {
    try {
      return call();
    } catch (error) {
      const own = codeOf(error) === 'SQLITE_BUSY' ? this.world.writers.besides(this.name) : [];
      this.world.check('stalls', own[0] && `${this.name} waited in SQLite for ${own.join(', ')} of its own process`);
      throw error;
    }
  }

  write(db: Handle, part: Part, source: number, target: number): void {
    this.direct(() => this.#write(db, part, source, target));
  }

  #write(db: Handle, { number, source: from, target: to, amount }: Part, source: number, target: number): void {
    const moved = from !== to && source >= amount ? amount : 0;
    const set = db.prepare(sql.setBalance);
    if (moved > 0) {
      set.run(source - moved, from);
      set.run(target + moved, to);
    }
    db.prepare(sql.note).run(...this.note({ number, source: from, target: to, amount: moved }));
  }

  /** Values of a row of the journal. */
  note({ number, source, target, amount }: Pick<Part, 'number' | 'source' | 'target' | 'amount'>): number[] {
    const { worker, incarnation } = this.world.settings;
    return [worker, incarnation, number, source, target, amount];
  }

  /** Waits for what decides about transfers, and tells the parent what it was told. */
  async settles<Result>(numbers: readonly number[], deciding: Promise<Result>): Promise<Result> {
    try {
      const result = await deciding;
      this.world.outcome(true, numbers);
      return result;
    } catch (error) {
      this.world.outcome(false, numbers);
      throw error;
    }
  }

  throwIfPlanned(throws = this.plan.throws): void {
    if (throws) throw new Planned('as planned');
  }

  /** Looks at an error that the operation has met. */
  judge(error: unknown): void {
    const { kind, throws, parts, pool, place } = this.plan;
    if (!(error instanceof Planned)) this.world.metError(kind, codeOf(error));
    this.world.check(
      'errors',
      errorFault(error, {
        kind,
        throws: throws || parts.some((part) => part.throws),
        aborted: this.signal.aborted,
        // A timer of the pool may be ahead of this clock by a rounding.
        overdue: performance.now() - this.#start >= overdueAge - 5,
        bounded: pool === 'hooked',
        joinFailed: this.joinFailed,
        stoodStill: this.world.stoodStill(),
        isOpenTransaction: kind === 'transfer' && place === 'open',
      }),
    );
  }

  /** Judges all that went wrong in several things that were started side by side. */
  async all(started: readonly Promise<unknown>[]): Promise<void> {
    for (const outcome of await Promise.allSettled(started))
      if (outcome.status === 'rejected') this.judge(outcome.reason);
  }

  /** Something must be refused; says so with one of `codes`, or as any operation may. */
  async refused(what: string, call: () => unknown, codes: readonly string[]): Promise<void> {
    try {
      await call();
    } catch (error) {
      if (codes.includes(codeOf(error))) this.world.check('errors', undefined);
      else this.judge(error);
      return;
    }
    this.world.violate('errors', `${this.name}: ${what} was not refused`);
  }
}

/** Number of a connection, as it tells itself. */
export function connectionOf(db: Handle): number {
  return db.prepare<[], number>('SELECT soak_connection()').pluck().get() ?? Number.NaN;
}
