import test, { type ExecutionContext } from 'ava';
import type { Clock } from '../../lib/clock.ts';
import type { HolderInfo, PoolEventName, PoolEvents, PoolListener } from '../../lib/index.ts';
import type { OpenTransaction } from '../../lib/open-transaction.ts';
import type { PoolHooks, PoolOptions, ReadOptions } from '../../lib/options.ts';
import type { OpenScope } from '../../lib/scope.ts';
import type { ScopedPool } from '../../lib/scoped-pool.ts';
import { settled } from '../support/gate.ts';

// What a pool promises, whatever its database: the suites here run against each driver. A subject says how to do with one what
// all of them can.

/** What the handles of all databases have. */
export interface ContractHandle extends AsyncDisposable {
  readonly open: boolean;
  readonly inTransaction: boolean;
}

/** The handle of a lease of its own. */
export type Leased<Db> = Db & { discard(reason?: string): unknown };

export interface ContractTransactionOptions extends ReadOptions {
  readonly retries?: number | undefined;
}

/** The public surface that the pools of all databases have. */
export interface ContractPool<Db extends ContractHandle>
  extends Pick<
    ScopedPool<object, Db>,
    | 'name'
    | 'closed'
    | 'withConnection'
    | 'withScope'
    | 'connection'
    | 'current'
    | 'ready'
    | 'stats'
    | 'leases'
    | 'assertIdle'
    | 'resize'
    | 'drain'
    | 'closeIdle'
    | 'closeOverdue'
    | 'close'
  > {
  readonly db: Db;
  on<Name extends PoolEventName>(name: Name, listener: PoolListener<Name>): unknown;
  once<Name extends PoolEventName>(name: Name, listener: PoolListener<Name>): unknown;
  off<Name extends PoolEventName>(name: Name, listener: PoolListener<Name>): unknown;
  acquire(...params: Parameters<ScopedPool<object, Db>['acquire']>): Promise<Leased<Db>>;
  tryAcquire(...params: Parameters<ScopedPool<object, Db>['tryAcquire']>): Leased<Db> | undefined;
  openScope(
    ...params: Parameters<ScopedPool<object, Db>['openScope']>
  ): Pick<OpenScope<Db>, 'run' | 'end' | 'ended' | 'current' | 'db'>;
  transaction<Result>(fn: (tx: Db) => Result, options?: ContractTransactionOptions): Promise<Awaited<Result>>;
  read<Result>(fn: (db: Db) => Result, options?: ReadOptions): Promise<Awaited<Result>>;
  openTransaction(
    options?: ReadOptions,
  ): Pick<OpenTransaction<Db>, 'run' | 'ended' | 'commit' | 'rollback'> & { readonly begun: Promise<unknown> };
}

export interface ContractOptions<Db> extends PoolOptions, Pick<PoolHooks<unknown, Db>, 'onAcquire' | 'onRelease'> {
  /** Called for each new connection, with what is no handle. */
  readonly onOpen?: (() => unknown) | undefined;
}

/** A deadline for pools of tests that are about none: a machine that is busy, with many tests at once, keeps it. */
export const patient = { acquireTimeout: 30_000 } as const;

/** A database of a test's own. It has an empty table of names, and a number, which is 0. */
export interface Place<Db extends ContractHandle> {
  /** A pool named "app", closed after the test. */
  open(options?: ContractOptions<Db>, clock?: Clock): ContractPool<Db>;
  /** Adds 1 to the number, and commits, without the pool. */
  add(): Promise<void>;
}

/** One database, and how it does what all can do. */
export interface Subject<Db extends ContractHandle> {
  readonly name: string;
  place(t: ExecutionContext): Promise<Place<Db>>;
  /** A pool of a database that does not exist and can not be made by opening it. */
  nowhere(t: ExecutionContext): ContractPool<Db>;

  insert(db: Db, name: string): Promise<void>;
  /** The names that are to be seen, in the order in which they were written. */
  names(db: Db): Promise<string[]>;
  number(db: Db): Promise<number>;
  add(db: Db): Promise<void>;
  /** A statement that only reads, and that the database refuses for the value bound to it. */
  fail(db: Db): Promise<void>;
  /** What `fail` rejects with. */
  readonly refusal: { readonly code: string };
  /** A statement for which the database refuses the COMMIT after it. */
  failAtCommit(db: Db): Promise<void>;
  /** What a transaction rejects with that has done so. */
  readonly commitRefusal: { readonly code: string; readonly cause?: { readonly code: string } };
  /** Begins and ends a transaction by SQL. */
  begin(db: Db): Promise<void>;
  commit(db: Db): Promise<void>;
  /** Gives back, once more, a lease that has ended. */
  releaseAgain(db: Db): Promise<void>;
  /** Changes a setting of the session, which `isChanged` can tell. */
  change(db: Db): Promise<void>;
  isChanged(db: Db): Promise<boolean>;

  /** With these a transaction can not commit what was written after it has read, and fails with what `retries` are for. */
  readonly snapshot: ContractTransactionOptions;
  /** What such a transaction fails with. */
  readonly conflict: { readonly code: string };

  /** Whether write transactions of one database wait for each other, and hold none of the pool's slots: SQLite has one writer. */
  readonly writersTakeTurns: boolean;
  /**
   * Whether a transaction can not go on after a statement in it was refused, unless the part in which that happened is undone:
   * so it is in PostgreSQL.
   */
  readonly failureEndsTransaction: boolean;
  /** Whether a changed setting can be taken back. Where not, the connection is closed. */
  readonly resets: boolean;
  /** Whether a connection is open in the step in which it is asked for: there is no server to wait for. */
  readonly opensAtOnce: boolean;
}

/** A subject, and what tests do with any of them. */
export interface Contract<Db extends ContractHandle> extends Subject<Db> {
  /** Registers a test whose title names the subject. */
  test(title: string, run: (t: ExecutionContext) => Promise<void>): void;
  /** A pool on a database of its own. */
  open(t: ExecutionContext, options?: ContractOptions<Db>, clock?: Clock): Promise<ContractPool<Db>>;
  /** The names that are committed, read on a connection taken for that. */
  committed(pool: ContractPool<Db>): Promise<string[]>;
}

export function contractOf<Db extends ContractHandle>(subject: Subject<Db>): Contract<Db> {
  return {
    ...subject,
    test: (title, run) => test(`${subject.name}: ${title}`, run),
    open: async (t, options, clock) => (await subject.place(t)).open(options, clock),
    committed: (pool) => pool.withConnection((db) => subject.names(db), { fresh: true }),
  };
}

/** Gives a lease back, and waits until its connection is clean. */
export async function release(db: AsyncDisposable): Promise<void> {
  await db[Symbol.asyncDispose]();
}

/** What an error of Leasehold is told by. */
export function coded(code: string): { readonly code: string } {
  return { code: `ERR_LEASEHOLD_${code}` };
}

/** What functions throw that have had enough. */
export class Enough extends Error {}

/** Calls a function once a promise has resolved: so it is what is left over of whoever does not wait for it. */
export async function after<Result>(passed: Promise<void>, fn: () => Promise<Result>): Promise<Result> {
  await passed;
  return fn();
}

/** What a promise rejects with, whatever that is; fails where it resolves. */
export async function reasonOf(promise: Promise<unknown>): Promise<unknown> {
  const [outcome] = await Promise.allSettled([promise]);
  if (outcome.status === 'fulfilled') throw new Error('It has resolved');
  return outcome.reason;
}

/** Waits for what comes by itself: an answer of a server, the end of a clean-up. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await settled();
}

/** Everything of one kind that a pool tells of from now on. */
export function watch<Name extends PoolEventName>(
  pool: { on<Each extends PoolEventName>(name: Each, listener: PoolListener<Each>): unknown },
  name: Name,
): PoolEvents[Name][] {
  const events: PoolEvents[Name][] = [];
  pool.on(name, (event) => void events.push(event));
  return events;
}

/** The only lease there is. */
export function onlyLease(pool: { leases(): readonly HolderInfo[] }): HolderInfo {
  const [lease, ...others] = pool.leases();
  if (lease === undefined || others.length > 0) throw new Error('There is not exactly one lease');
  return lease;
}
