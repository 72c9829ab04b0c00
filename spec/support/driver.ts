import type { Driver, LeaseControl, Residue } from '../../lib/driver.ts';
import type { PoolHooks, PoolOptions } from '../../lib/options.ts';
import { poolSettings } from '../../lib/options.ts';
import { ScopedPool } from '../../lib/scoped-pool.ts';
import { FakeClock } from './clock.ts';
import { settled } from './gate.ts';

/** A connection to nothing, which knows whether it is used as a connection may be. */
export class FakeConnection {
  readonly id: number;
  open = true;
  inTransaction = false;
  /** What the present holder leaves behind. */
  residue: Residue | undefined;
  /** The checkout it is lent to, from `lend` to the end of `reclaim`. */
  lease: LeaseControl | undefined;
  /** Tells the pool that it is lost. */
  readonly lose: (reason: string) => void;

  constructor(id: number, lose: (reason: string) => void) {
    this.id = id;
    this.lose = lose;
  }
}

export class FakeHandle {
  readonly connection: FakeConnection;
  readonly lease: LeaseControl;
  readonly #driver: FakeDriver;

  constructor(driver: FakeDriver, connection: FakeConnection, lease: LeaseControl) {
    this.#driver = driver;
    this.connection = connection;
    this.lease = lease;
  }

  /** Uses the connection, as a statement would; returns its number. */
  use(): number {
    if (this.lease.ended) throw this.lease.endedError();
    if (!this.connection.open) this.#driver.faults.push(`connection ${this.connection.id} used after its close`);
    this.lease.lastUsedAt = this.#driver.clock.now();
    return this.connection.id;
  }

  begin(): void {
    this.use();
    this.connection.inTransaction = true;
  }

  /** Leaves something behind. */
  soil(...traces: string[]): void {
    this.use();
    this.connection.residue = { traces, reusable: false, errors: [] };
  }

  discard(reason = 'asked'): void {
    this.lease.discard(reason);
  }

  release(): void | Promise<void> {
    return this.lease.release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve(this.release());
  }
}

/** A failure of `open` that may pass by itself. */
export class TransientError extends Error {}

type MaybePromise<Value> = Value | PromiseLike<Value>;

/**
 * A driver in memory. It does all its contract asks, synchronously unless one of its `before…` functions
 * returns a promise, and notes in `faults` whatever the pool may never do.
 */
export class FakeDriver implements Driver<FakeConnection, FakeHandle> {
  readonly target = '/data/fake.db';
  limit = Infinity;
  clock = new FakeClock();
  /** Calls of `open`, of `reclaim`. */
  opens = 0;
  reclaims = 0;
  /** Open now. */
  readonly connections = new Set<FakeConnection>();
  /** What the pool did and may not do. */
  readonly faults: string[] = [];
  /** Each may throw, or return a promise to be asynchronous. */
  beforeOpen: (onLost: (reason: string) => void) => MaybePromise<void> = () => {};
  beforeValidate: (connection: FakeConnection) => MaybePromise<void> = () => {};
  validateAfter = Infinity;
  beforeReclaim: (connection: FakeConnection) => MaybePromise<void> = () => {};
  beforeClose: (connection: FakeConnection) => MaybePromise<void> = () => {};
  /** Why a connection leads to what was replaced. */
  outdated: (connection: FakeConnection) => string | undefined = () => undefined;

  open(onLost: (reason: string) => void): MaybePromise<FakeConnection> {
    const id = ++this.opens;
    return after(this.beforeOpen(onLost), () => {
      const connection = new FakeConnection(id, onLost);
      this.connections.add(connection);
      return connection;
    });
  }

  isTransient(error: unknown): boolean {
    return error instanceof TransientError;
  }

  async validate(connection: FakeConnection): Promise<void> {
    if (!connection.open) this.faults.push(`connection ${connection.id} validated after its close`);
    await this.beforeValidate(connection);
  }

  lend(connection: FakeConnection, lease: LeaseControl): FakeHandle {
    if (connection.lease !== undefined) this.faults.push(`connection ${connection.id} is in two hands`);
    if (!connection.open) this.faults.push(`connection ${connection.id} lent after its close`);
    connection.lease = lease;
    return new FakeHandle(this, connection, lease);
  }

  reclaim(connection: FakeConnection): MaybePromise<Residue | undefined> {
    this.reclaims++;
    if (connection.lease?.ended !== true) this.faults.push(`connection ${connection.id} reclaimed from a live lease`);
    return after(this.beforeReclaim(connection), () => {
      const { residue, inTransaction } = connection;
      connection.lease = undefined;
      connection.residue = undefined;
      connection.inTransaction = false;
      return residue ?? (inTransaction ? { traces: ['open transaction'], reusable: true, errors: [] } : undefined);
    });
  }

  isInTransaction(connection: FakeConnection): boolean {
    return connection.inTransaction;
  }

  close(connection: FakeConnection): MaybePromise<void> {
    if (!connection.open) this.faults.push(`connection ${connection.id} closed twice`);
    if (connection.lease?.ended === false) this.faults.push(`connection ${connection.id} closed under its holder`);
    connection.open = false;
    this.connections.delete(connection);
    return this.beforeClose(connection);
  }
}

function after<Value>(first: MaybePromise<void>, then: () => Value): MaybePromise<Value> {
  return first === undefined ? then() : first.then(then);
}

/** Just enough of ava's `t` to look at the pool after a test. */
export interface TestContext {
  teardown(fn: () => void | Promise<void>): void;
}

export interface FakePool {
  readonly pool: ScopedPool<FakeConnection, FakeHandle>;
  readonly driver: FakeDriver;
  readonly clock: FakeClock;
}

/**
 * A pool of two on a fake driver and clock. When the test is over it is closed, and must then have closed
 * every connection, have kept the driver's contract, and have left no timer.
 */
export function fakePool(
  t: TestContext,
  options: PoolOptions & PoolHooks<FakeConnection, FakeHandle> = {},
  driver = new FakeDriver(),
): FakePool {
  const { clock } = driver;
  const pool = new ScopedPool(driver, poolSettings(options, { name: 'fake', max: 2 }), options, clock);
  t.teardown(async () => {
    let closed = false;
    void pool.close({ timeout: 0 }).then(() => {
      closed = true;
    });
    await settled();
    const left = { closed, open: driver.connections.size, timers: clock.pending, faults: driver.faults };
    const expected = { closed: true, open: 0, timers: 0, faults: [] };
    if (JSON.stringify(left) !== JSON.stringify(expected)) throw new Error(`Left behind: ${JSON.stringify(left)}`);
  });
  return { pool, driver, clock };
}

/** An acquire under observation: tells without an `await` what has become of it. */
export interface Attempt {
  state: 'waiting' | 'granted' | 'refused';
  handle: FakeHandle | undefined;
  error: unknown;
}

export function attempt(acquiring: Promise<FakeHandle>): Attempt {
  const observed: Attempt = { state: 'waiting', handle: undefined, error: undefined };
  acquiring.then(
    (handle) => {
      observed.state = 'granted';
      observed.handle = handle;
    },
    (error: unknown) => {
      observed.state = 'refused';
      observed.error = error;
    },
  );
  return observed;
}
