import { createPool, type SqlitePool } from '../../lib/index.ts';
import { Occupancy, Writers } from './invariants/occupancy.ts';
import { sleptFor, stallFault } from './invariants/stalls.ts';
import type { Invariant } from './invariants/violation.ts';
import { LoopWatch, ThreadClock } from './loop-watch.ts';
import type { Figures, FromWorker, WorkerSettings } from './messages.ts';
import { timedClass } from './timed-database.ts';

export type PoolName = 'main' | 'hooked' | 'quick';

/** Deadline of all that have no shorter one. Milliseconds. */
export const acquireTimeout = 3000;
/** Leases held for longer are taken away from time to time. */
export const overdueAge = 400;
/** Thrown by hooks: an `error` event that is expected. */
class HookRefusal extends Error {}

/** What one worker process has: its pools, and what is noted of their use. */
export class World {
  readonly settings: WorkerSettings;
  readonly pools: Readonly<Record<PoolName, SqlitePool>>;
  readonly occupancy = new Occupancy();
  readonly writers = new Writers();
  readonly watch: LoopWatch;
  readonly counts = {
    operations: 0,
    commits: 0,
    rollbacks: 0,
    aborts: 0,
    timeouts: 0,
    audits: 0,
    quietPoints: 0,
    leaks: 0,
    hitches: 0,
  };
  readonly errors: Record<string, number> = {};
  readonly checks: Partial<Record<Invariant, number>> = {};
  readonly leaks: Record<PoolName, number> = { main: 0, hooked: 0, quick: 0 };
  readonly timeouts: Record<PoolName, number> = { main: 0, hooked: 0, quick: 0 };
  readonly heaps: number[] = [];
  readonly descriptors: number[] = [];
  worstLateness = 0;
  hasFailed = false;
  readonly #clock = new ThreadClock();
  readonly #send: (message: FromWorker) => void;
  #lastConnection = 0;

  constructor(settings: WorkerSettings, send: (message: FromWorker) => void) {
    this.settings = settings;
    this.#send = send;
    this.watch = new LoopWatch(this.#clock);
    const { max } = settings;
    let turn = 0;
    const hook = async (odd: number, bad: number): Promise<boolean | undefined> => {
      turn++;
      if (turn % 3 === 0) await new Promise(setImmediate);
      if (turn % bad === 0) throw new HookRefusal('as planned');
      return turn % odd === 0 ? false : undefined;
    };
    this.pools = {
      // As most use it. Nothing in it writes synchronously, so that whatever waits for a lock in SQLite is a fault.
      main: this.#pool('main', { max, onDeadlock: 'reject' }),
      hooked: this.#pool('hooked', {
        max,
        min: 1,
        order: 'fifo',
        maxUses: 40,
        maxLifetime: 3000,
        idleTimeout: 1000,
        maxWaiting: 30,
        onAcquire: () => hook(29, 67),
        onRelease: () => hook(31, 71),
      }),
      // For synchronous writes, which may wait for the lock of another process.
      quick: this.#pool('quick', { max, busyTimeout: 30 }),
    };
    for (const name of ['main', 'hooked', 'quick'] as const) this.occupancy.limit(name, max);
  }

  #pool(name: PoolName, options: Parameters<typeof createPool>[1]): SqlitePool {
    const Database = timedClass(this.#clock, (call) => {
      if (['disk', 'machine'].includes(sleptFor(call))) this.counts.hitches++;
      if (this.#clock.tellsSleep) this.check('stalls', stallFault(call));
    });
    const pool = createPool(this.settings.file, {
      ...options,
      name,
      acquireTimeout,
      Database,
      onOpen: (db) => {
        const connection = ++this.#lastConnection;
        db.function('soak_connection', () => connection);
      },
    });
    pool.on('error', (error) => {
      const reason = error instanceof HookRefusal ? error : error.cause;
      // A hook that waits for nothing is not settled in time only where the machine stood still.
      if (error.name === 'PatienceError' && this.stoodStill()) return;
      if (!(reason instanceof HookRefusal)) this.violate('errors', `${name} reports ${error.name}: ${error.message}`);
    });
    pool.on('leak', () => {
      this.leaks[name]++;
    });
    pool.on('timeout', () => {
      this.timeouts[name]++;
    });
    return pool;
  }

  /** Whether the event loop has not come round for much of the time that anything is waited for. */
  stoodStill(): boolean {
    const now = performance.now();
    return this.watch.blocked(now - 2 * acquireTimeout, now) > acquireTimeout / 2;
  }

  /** Counts a check, and ends the soak if it found something. */
  check(invariant: Invariant, fault: string | undefined): void {
    this.checks[invariant] = (this.checks[invariant] ?? 0) + 1;
    if (fault !== undefined) this.violate(invariant, fault);
  }

  violate(invariant: Invariant, account: string): void {
    this.hasFailed = true;
    const [line = ''] = account.split('\n');
    this.#send({ type: 'violation', violation: { invariant, account: line } });
  }

  /** Tells the parent what was told to an operation of its transfers. */
  outcome(kept: boolean, numbers: readonly number[]): void {
    this.counts[kept ? 'commits' : 'rollbacks']++;
    this.#send({ type: 'outcome', kept, numbers });
  }

  metError(kind: string, code: string): void {
    const key = `${kind} ${code}`;
    this.errors[key] = (this.errors[key] ?? 0) + 1;
    if (code === 'ABORT_ERR') this.counts.aborts++;
    if (code.endsWith('_TIMEOUT')) this.counts.timeouts++;
  }

  figures(): Figures {
    return {
      ...this.counts,
      checks: this.checks,
      errors: this.errors,
      worstStall: this.watch.worstStall,
      worstSleep: this.watch.worstSleep,
      worstLateness: this.worstLateness,
      heap: this.heaps.at(-1) ?? 0,
      descriptors: this.descriptors.at(-1) ?? 0,
    };
  }

  async close(): Promise<void> {
    this.watch.stop();
    for (const pool of Object.values(this.pools)) await pool.close();
    this.#clock.close();
  }
}
