import { setTimeout } from 'node:timers/promises';
import type Database from 'better-sqlite3';
import { type Clock, systemClock } from '../clock.ts';
import { OptionsError } from '../errors.ts';
import { isPromiseLike } from '../events.ts';
import { type AcquireOptions, checkAcquireOptions } from '../options.ts';
import { ScopedPool } from '../scope.ts';
import { AmbientDatabase } from './ambient.ts';
import type { CheckpointMode, CheckpointResult, SqliteConnection } from './connection.ts';
import { SqliteDriver } from './driver.ts';
import type { LeasedDatabase } from './handle.ts';
import { type NormalizedOptions, normalize, type SqlitePoolOptions } from './options.ts';

/** Values for the parameters of a statement: by position, or by name. */
export type BindValues = readonly unknown[] | Readonly<Record<string, unknown>>;

/** A pool of connections to one SQLite file. Made by `createPool`. */
export class SqlitePool extends ScopedPool<SqliteConnection, LeasedDatabase> {
  /** The handle of whatever connection the current scope holds. */
  readonly db: AmbientDatabase;
  readonly #clock: Clock;
  readonly #busyTimeout: number;
  readonly #acquireTimeout: number;

  constructor(file: string, options: SqlitePoolOptions = {}, clock: Clock = systemClock) {
    const { pool, sqlite, hooks } = normalize(file, options);
    super(new SqliteDriver(sqlite, clock), pool, { ...hooks, onOpen: openHook(hooks.onOpen) }, clock);
    this.#clock = clock;
    this.#busyTimeout = sqlite.busyTimeout;
    this.#acquireTimeout = pool.acquireTimeout;
    this.db = new AmbientDatabase({
      pool: pool.name,
      file: sqlite.file,
      readonly: sqlite.readonly,
      memory: sqlite.isPrivate,
      handle: () => this.ambient(),
      current: () => this.current,
    });
  }

  /**
   * The first row of a query, `undefined` where there is none. Runs on the scope's connection, else on one
   * taken for this query alone.
   */
  async get<Row = unknown>(sql: string, values?: BindValues, options?: AcquireOptions): Promise<Row | undefined> {
    const run = (db: LeasedDatabase) => db.prepare<unknown[], Row>(sql).get(...spread(values));
    return this.borrow(run, checkAcquireOptions(options), this.get);
  }

  /** All rows of a query. Runs as `get` does. */
  async all<Row = unknown>(sql: string, values?: BindValues, options?: AcquireOptions): Promise<Row[]> {
    const run = (db: LeasedDatabase) => db.prepare<unknown[], Row>(sql).all(...spread(values));
    return this.borrow(run, checkAcquireOptions(options), this.all);
  }

  /** Runs a statement that returns no rows. Runs as `get` does. */
  async run(sql: string, values?: BindValues, options?: AcquireOptions): Promise<Database.RunResult> {
    const run = (db: LeasedDatabase) => db.prepare(sql).run(...spread(values));
    return this.borrow(run, checkAcquireOptions(options), this.run);
  }

  /**
   * Brings the WAL into the database file. Modes other than `'passive'` wait for readers and writers, from a
   * timer and with a free event loop, until `timeout`; what they could not finish then shows as `busy`.
   *
   * @throws OptionsError, and all that `acquire` throws
   */
  async checkpoint(mode: CheckpointMode = 'passive', options?: CheckpointOptions): Promise<CheckpointResult> {
    if (!checkpointModes.includes(mode)) throw new OptionsError('mode', mode, `one of ${checkpointModes.join(', ')}`);
    const checked = checkAcquireOptions(options);
    const { signal, timeout = this.#acquireTimeout } = checked;
    const deadline = this.#clock.now() + timeout;
    const attempt = (_: LeasedDatabase, connection: SqliteConnection) => connection.checkpoint(mode, this.#busyTimeout);
    for (let pause = firstPause; ; pause = Math.min(pause * 2, longestPause)) {
      const patience = Math.max(deadline - this.#clock.now(), 1);
      const result = await this.borrow(attempt, { ...checked, timeout: patience }, this.checkpoint);
      const left = deadline - this.#clock.now();
      if (!result.busy || mode === 'passive' || left <= 0) return result;
      await setTimeout(Math.min(pause, left), undefined, { signal });
    }
  }
}

/** Options of `checkpoint`. */
export type CheckpointOptions = Pick<AcquireOptions, 'signal' | 'timeout'>;

const checkpointModes: readonly CheckpointMode[] = ['passive', 'full', 'restart', 'truncate'];
// First pause between two attempts at a checkpoint, doubled up to the longest.
const firstPause = 5;
const longestPause = 100;

/**
 * Makes a pool for a SQLite file. Nothing is opened before it is needed; call `ready()` to find out early.
 *
 * @param file path of the file, or `''` or `':memory:'` for a database private to the pool's one connection
 * @throws OptionsError
 */
export function createPool(file: string, options?: SqlitePoolOptions): SqlitePool {
  return new SqlitePool(file, options);
}

/** The user's hook on the user's terms, and afterwards what the driver has to look at. */
function openHook(
  onOpen: NormalizedOptions['hooks']['onOpen'],
): ((connection: SqliteConnection) => unknown) | undefined {
  if (onOpen === undefined) return undefined;
  return (connection) => {
    const result = onOpen(connection.raw);
    if (isPromiseLike(result)) return result.then(() => connection.settle());
    connection.settle();
    return undefined;
  };
}

function spread(values: BindValues | undefined): unknown[] {
  if (values === undefined) return [];
  return Array.isArray(values) ? values : [values];
}
