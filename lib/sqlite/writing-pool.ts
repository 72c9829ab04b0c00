import { acquires } from '../channels.ts';
import type { Clock } from '../clock.ts';
import { frames } from '../context.ts';
import { ClosedError } from '../errors.ts';
import type { ScopeRef, WaitRequest } from '../holder.ts';
import { Lease } from '../lease.ts';
import { type LaneView, observe, type PoolView, type WaiterView } from '../observer.ts';
import {
  type AcquireOptions,
  type CloseOptions,
  checkAcquireOptions,
  checkScopeOptions,
  checkStatsOptions,
  type ScopeOptions,
  type StatsOptions,
} from '../options.ts';
import { endsOf } from '../pause.ts';
import type { Entry } from '../pool/request.ts';
import { handleOf, type SlotLease } from '../pool/slot.ts';
import { traceAcquire } from '../pool/trace.ts';
import { describeWaiter } from '../pool/view.ts';
import { checkFunction } from '../rules.ts';
import { DurationRecorder, type Durations, type LabelStats, type PoolStats } from '../stats.ts';
import type { Transactions } from '../transaction.ts';
import { ReadOnlyError, WriteLockedError } from '../transaction-errors.ts';
import { TransactionalPool } from '../transactional-pool.ts';
import type { SqliteConnection } from './connection.ts';
import { SqliteDriver } from './driver.ts';
import { type LeasedDatabase, sessionOf } from './handle.ts';
import type { LaneWaiter, WriteLane } from './lane.ts';
import { LaneFinder } from './lane-finder.ts';
import type { NormalizedOptions } from './options.ts';
import { type Claim, WritePermit } from './permit.ts';
import { checkWrite, mentionsWrite, type SqliteRequest, type WriteOption } from './transaction-options.ts';
import { claimLane, transactionsOf } from './verbs.ts';
import { enterLane, isInside, isLockFailure, refusalOf } from './waiting.ts';

type SqliteLease = SlotLease<SqliteConnection, LeasedDatabase>;

/** Gauges, counters and durations of a SQLite pool. The lane's own connection counts in `size`, `idle` and `leased`. */
export interface SqlitePoolStats extends PoolStats {
  /** 1 while somebody in this process holds the write lane of the file, else 0. */
  readonly laneHeld: number;
  /** How many in this process wait for the write lane of the file. */
  readonly laneWaiting: number;
  /** From the call to its turn, of those in this pool that had to queue for the write lane and got in. */
  readonly laneWaitTime: Durations;
}

/** A pool of one SQLite file whose writers queue in the file's write lane. */
export abstract class WritingPool extends TransactionalPool<SqliteConnection, LeasedDatabase, SqliteRequest> {
  readonly #driver: SqliteDriver;
  readonly #settings: NormalizedOptions['sqlite'];
  readonly #laneWaits = new DurationRecorder();
  readonly #lanes: LaneFinder;
  /** Those that wait for the lane without a connection, or for the file to be opened. */
  #queued = 0;

  constructor(
    { pool, sqlite }: NormalizedOptions,
    hooks: ConstructorParameters<typeof TransactionalPool<SqliteConnection, LeasedDatabase, SqliteRequest>>[2],
    clock: Clock,
  ) {
    const settings: NormalizedOptions['sqlite'] = {
      ...sqlite,
      onWait: (waiter, waiting) => {
        this.ledger.waits('write lane', waiter.label, waiting);
        this.waitsBeside(waiter);
      },
      onCloseError: (error) => this.events.error(error, 'Closing a connection failed'),
      onEntered: (waited) => this.#laneWaits.record(waited),
      onRefused: (error, label, waited) => {
        const kind = refusalOf(error);
        if (kind !== undefined) this.ledger.refused(kind, label, waited, error);
      },
    };
    const driver = new SqliteDriver(settings, clock);
    super(driver, pool, hooks, clock);
    this.#driver = driver;
    this.#settings = settings;
    this.#lanes = new LaneFinder({
      settings,
      clock,
      known: () => driver.latest?.lane,
      open: () => this.reserve.fill(),
      openError: () => this.reserve.inventory.lastOpenError,
    });
  }

  override withConnection<Result>(
    fn: (db: LeasedDatabase) => Result,
    options?: ScopeOptions & WriteOption,
  ): Promise<Awaited<Result>> {
    if (!mentionsWrite(options)) return super.withConnection(fn, options);
    try {
      checkFunction(fn, 'fn');
      const { write, rest } = checkWrite(options);
      return write ? this.#withWriter(fn, checkScopeOptions(rest)) : super.withConnection(fn, rest);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  override acquire(options?: AcquireOptions & WriteOption): Promise<LeasedDatabase> {
    if (!mentionsWrite(options)) return super.acquire(options);
    return this.#acquireWriter(options);
  }

  override tryAcquire(options?: Pick<AcquireOptions, 'label' | 'signal'> & WriteOption): LeasedDatabase | undefined {
    if (!mentionsWrite(options)) return super.tryAcquire(options);
    const { write, rest } = checkWrite(options);
    return write ? this.#tryAcquireWriter(rest) : super.tryAcquire(rest);
  }

  override async connection(options?: AcquireOptions & WriteOption): Promise<LeasedDatabase> {
    if (!mentionsWrite(options)) return super.connection(options);
    const { write, rest } = checkWrite(options);
    const checked = checkAcquireOptions(rest);
    if (!write) return super.connection(checked);
    const request = this.waitRequest(checked, this.connection);
    const take = (ref: ScopeRef, isLate: boolean) =>
      this.takeWriter(request, 'write scope', this.connection, ref, isLate, ref);
    const db = await this.bindHere(take, checked.label !== undefined, request);
    // It may have had one already, for reading.
    const session = sessionOf(db);
    if (session.keepsLane) return db;
    const claiming = claimLane(session, 'write scope', request);
    if (claiming !== undefined) await claiming;
    session.keepLane();
    return db;
  }

  override stats(): SqlitePoolStats;
  override stats(options: StatsOptions): LabelStats[];
  override stats(options?: StatsOptions): SqlitePoolStats | LabelStats[] {
    if (checkStatsOptions(options)?.by !== undefined) return super.stats(options as StatsOptions);
    const lane = this.#driver.latest?.lane;
    return {
      ...super.stats(),
      laneHeld: lane?.holder === undefined ? 0 : 1,
      laneWaiting: lane?.waiting ?? 0,
      laneWaitTime: this.#laneWaits.summary(),
    };
  }

  override [observe](): PoolView {
    const now = (): number => this.clock.now();
    const describe = (request: LaneWaiter): WaiterView =>
      describeWaiter('write lane', request.holder.describe().label, request, now());
    const lane = (limit: number): LaneView => {
      const found = this.#driver.latest?.lane;
      const holder = found?.holder?.describe();
      return { holder, waiting: found?.waiting ?? 0, waiters: found?.first?.(limit).map(describe) ?? [] };
    };
    return { ...super[observe](), lane };
  }

  protected override get waitingBeside(): number {
    return super.waitingBeside + this.#queued;
  }

  override async close(options?: CloseOptions): Promise<void> {
    const closing = super.close(options);
    if (this.closed) this.#settings.ends.cancel(() => new ClosedError(this.name));
    return closing;
  }

  protected override transactionsOf(handle: LeasedDatabase): Transactions<SqliteRequest> {
    return transactionsOf(sessionOf(handle));
  }

  protected override mayPass(error: unknown): boolean {
    return isLockFailure(error);
  }

  protected override takeFor(
    request: SqliteRequest,
    entry: Entry,
    scope: ScopeRef | undefined,
    isLate: boolean,
  ): SqliteLease | Promise<SqliteLease> {
    const { mode } = request;
    const readsOnly = mode === 'read' || (mode === 'deferred' && this.#settings.readonly);
    // The one connection of a private database is the lane's as well: whoever has it may write.
    if (this.#settings.isPrivate) this.#refuseInside();
    if (!readsOnly && !this.#settings.isPrivate) return this.takeWriter(request, 'transaction', entry, scope, isLate);
    if (isLate) return this.takeLate(request, entry, scope);
    return this.take(request, entry, scope, undefined, { since: undefined, site: request.site });
  }

  /**
   * Takes the lane, then its connection, which nobody else can want meanwhile.
   * @param isLate whether the call has waited for something else, and has only what is left of its time
   */
  protected takeWriter(
    request: WaitRequest,
    claim: Claim,
    entry: Entry,
    scope: ScopeRef | undefined,
    isLate: boolean,
    holder?: ScopeRef,
  ): SqliteLease | Promise<SqliteLease> {
    if (this.closed) throw new ClosedError(this.name);
    if (this.#settings.readonly) throw new ReadOnlyError(this.name, request.label, 'pool');
    const take = () => this.#takeWriter(request, claim, entry, scope, isLate, holder);
    return acquires.isActive ? traceAcquire(this.events.pool, request, take) : take();
  }

  #takeWriter(
    request: WaitRequest,
    claim: Claim,
    entry: Entry,
    scope: ScopeRef | undefined,
    isLate: boolean,
    holder: ScopeRef | undefined,
  ): SqliteLease | Promise<SqliteLease> {
    const lend = (since?: number): SqliteLease | Promise<SqliteLease> =>
      this.takeReserve(this.#acquireOptions(request, since), entry, scope, holder, { since, site: request.site });
    if (this.#settings.isPrivate) return this.#takeOnly(request, claim, isLate ? () => lend(request.since) : lend);
    if (isLate) return this.#takeInTurn(request, claim, lend);
    const lane = this.#driver.latest?.lane;
    const permit = lane && this.#makePermit(lane, request, claim);
    if (lane === undefined || permit === undefined || !lane.tryEnter(permit)) {
      return this.#takeInTurn(request, claim, lend);
    }
    const settle = (lease: SqliteLease): SqliteLease | Promise<SqliteLease> =>
      this.#give(permit, lane, lease) ?? this.#takeInTurn(request, claim, lend);
    const failed = (error: unknown): never => {
      permit.leave();
      throw error;
    };
    try {
      const taken = lend();
      if (taken instanceof Lease) return settle(taken);
      endsOf(request);
      return taken.then(settle).catch(failed);
    } catch (error) {
      return failed(error);
    }
  }

  async #withWriter<Result>(fn: (db: LeasedDatabase) => Result, options: ScopeOptions): Promise<Awaited<Result>> {
    const around = frames.getStore();
    const outer = this.liveScope(around);
    const request = this.waitRequest(options, this.withConnection);
    const sharing = options.fresh ? undefined : this.shared(outer, request);
    const shared = sharing instanceof Promise ? await sharing : sharing;
    if (shared === undefined) {
      const isLate = sharing !== undefined;
      const taken = this.takeWriter(request, 'write scope', this.withConnection, outer?.ref, isLate);
      return this.runBound(taken, fn, outer, around);
    }
    const session = sessionOf(shared);
    const claiming = claimLane(session, 'write scope', request);
    if (claiming !== undefined) await claiming;
    try {
      return await fn(shared);
    } finally {
      session.permit?.drop('write scope');
    }
  }

  async #acquireWriter(options: AcquireOptions & WriteOption): Promise<LeasedDatabase> {
    const { write, rest } = checkWrite(options);
    if (!write) return super.acquire(rest);
    const scope = this.scope();
    const request = this.waitRequest(checkAcquireOptions(rest), this.acquire, scope);
    return handleOf(await this.takeWriter(request, 'write scope', this.acquire, scope, false, scope));
  }

  #tryAcquireWriter(options: AcquireOptions): LeasedDatabase | undefined {
    if (this.#settings.readonly) throw new ReadOnlyError(this.name, options.label, 'pool');
    checkAcquireOptions(options);
    // Whether the lane is free is known once its file has been opened.
    if (this.#driver.latest?.lane.holder !== undefined) return undefined;
    const db = this.#settings.isPrivate ? super.tryAcquire(options) : this.tryReserve(options);
    if (db === undefined) return undefined;
    const session = sessionOf(db);
    const permit = session.makePermit(session.lease.label, 'write scope');
    const isIn = db.open && session.connection.lane.tryEnter(permit);
    if (isIn) permit.give(session);
    else db.close();
    return isIn ? db : undefined;
  }

  /** The pool's one connection, which nobody else can write on. */
  async #takeOnly(
    request: WaitRequest,
    claim: Claim,
    lend: () => SqliteLease | Promise<SqliteLease>,
  ): Promise<SqliteLease> {
    this.#refuseInside();
    const lease = await lend();
    await claimLane(sessionOf(handleOf(lease)), claim, request);
    return lease;
  }

  /** A private database has one connection, so nobody can wait for it in code that runs inside of what it is held for. */
  #refuseInside(): void {
    const session = this.#driver.latest?.session;
    const holds = (owner: object | undefined, scope: ScopeRef | undefined): boolean =>
      (owner !== undefined && owner === session?.managed) || (scope !== undefined && scope === session?.lease.scope);
    if (session === undefined || !isInside(holds)) return;
    throw new WriteLockedError(this.name, session.connection.lane.holder?.describe(), 'own');
  }

  async #takeInTurn(
    request: WaitRequest,
    claim: Claim,
    lend: (since?: number) => SqliteLease | Promise<SqliteLease>,
  ): Promise<SqliteLease> {
    this.#queued++;
    try {
      for (;;) {
        // Also so that nothing goes round here without an end.
        if (this.closed) throw new ClosedError(this.name);
        this.#lanes.refuseLate(request);
        const found = this.#lanes.find(request);
        const lane = found instanceof Promise ? await found : found;
        const permit = this.#makePermit(lane, request, claim);
        if (!lane.tryEnter(permit)) {
          await enterLane(lane, permit, request, this.#settings, this.clock, [this.#settings.ends]);
        }
        try {
          // It may have ended in the same step in which the turn came.
          if (request.scope?.ended === true) throw this.scopeEnded(request.scope);
          // So that the end of the scope asks who waits here.
          if (request.scope !== undefined) endsOf(request);
          const taken = lend(request.since);
          const lease = this.#give(permit, lane, taken instanceof Lease ? taken : await taken);
          if (lease !== undefined) return lease;
        } catch (error) {
          permit.leave();
          throw error;
        }
      }
    } finally {
      this.#queued--;
    }
  }

  /** Gives the lane to a lease, unless its connection turns out to be of another file, put in the place of the first. */
  #give(permit: WritePermit, lane: WriteLane, lease: SqliteLease): SqliteLease | undefined {
    // A listener may have ended it.
    if (lease.ended) throw lease.endedError();
    const session = sessionOf(handleOf(lease));
    if (session.connection.lane === lane) {
      permit.give(session);
      return lease;
    }
    permit.leave();
    lease.discard('another file is in its place');
    void lease.release();
    return undefined;
  }

  #makePermit(lane: WriteLane, { label, site }: WaitRequest, claim: Claim): WritePermit {
    return new WritePermit(lane, { clock: this.clock, pool: this.name, label, site }, claim);
  }

  /** What is left of a request for an acquire. */
  #acquireOptions({ label, signal, priority, timeout }: WaitRequest, since: number | undefined): AcquireOptions {
    const left = since === undefined ? timeout : Math.max(since + timeout - this.clock.now(), 1);
    return { label, signal, priority, timeout: left };
  }
}
