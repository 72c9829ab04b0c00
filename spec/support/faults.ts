import type { ExecutionContext } from 'ava';
import Database from 'better-sqlite3';
import { systemClock } from '../../lib/clock.ts';
import type { PoolEvents, SqlitePoolOptions } from '../../lib/index.ts';
import { SqlitePool } from '../../lib/sqlite/pool.ts';
import { temporaryFile } from './files.ts';

type DatabaseClass = NonNullable<SqlitePoolOptions['Database']>;

/** What is asked of a connection. */
export type Call = 'open' | 'close' | 'prepare' | 'exec' | 'pragma' | 'run' | 'get' | 'all';

/** Says of each call whether it fails, and with what. `db` is the connection, where there is one. */
export type Decide = (call: Call, sql: string, db?: Database.Database) => Error | undefined;

const never: Decide = () => undefined;

/** An error such as SQLite's own. */
export function sqliteError(code: string): Error {
  return new Database.SqliteError(`${code} by injection`, code);
}

/** Calls that begin with one of these texts fail with `error`. */
export function failing(error: Error, ...starts: readonly string[]): Decide {
  return (call, sql) => (starts.some((start) => `${call} ${sql}`.startsWith(start)) ? error : undefined);
}

/** The same, as often as `times` says. */
export function failingTimes(times: number, error: Error, ...starts: readonly string[]): Decide {
  const fails = failing(error, ...starts);
  let left = times;
  return (call, sql) => {
    const found = left > 0 ? fails(call, sql) : undefined;
    if (found !== undefined) left--;
    return found;
  };
}

/** A `Database` class whose calls fail when they are told to, and the account of its connections. */
export interface Faults {
  readonly Database: DatabaseClass;
  /** Asked before each call does anything: what fails then has not been done. */
  decide: Decide;
  /** Asked of statements that have been done. */
  decideAfter: Decide;
  /** Nothing fails any more. */
  mend(): void;
  /** How often a connection was asked for, whether there came one or not. */
  tries(): number;
  /** Connections of SQLite that are open, also those of which the pool knows nothing any more. */
  open(): number;
  /** How often a connection could not be closed. */
  unclosed(): number;
  /** Closes those that could not be closed. */
  closeOrphans(): void;
}

/** Connections that could not be closed are, after the test. */
export function faultyClass(t: ExecutionContext): Faults {
  const open = new Set<FaultyDatabase>();
  const orphans = new Set<FaultyDatabase>();
  let tries = 0;
  let unclosed = 0;
  const faults = { decide: never, decideAfter: never };
  const check = (call: Call, sql = '', db?: Database.Database): void => {
    const error = faults.decide(call, sql, db);
    if (error !== undefined) throw error;
  };
  class FaultyDatabase extends Database {
    constructor(file: string, options?: Database.Options) {
      tries++;
      check('open', file);
      super(file, options);
      open.add(this);
    }

    override prepare(sql: string): never {
      check('prepare', sql, this);
      const statement = super.prepare(sql);
      for (const call of ['run', 'get', 'all'] as const) {
        const original: (...params: unknown[]) => unknown = statement[call];
        const checked = (...params: unknown[]): unknown => {
          check(call, sql, this);
          const result = original.apply(statement, params);
          const error = faults.decideAfter(call, sql, this);
          if (error !== undefined) throw error;
          return result;
        };
        Object.defineProperty(statement, call, { value: checked });
      }
      return statement as never;
    }

    override exec(sql: string): this {
      check('exec', sql, this);
      return super.exec(sql);
    }

    override pragma(source: string, options?: Database.PragmaOptions): unknown {
      check('pragma', source, this);
      return super.pragma(source, options);
    }

    override close(): this {
      try {
        check('close', '', this);
        super.close();
      } catch (error) {
        unclosed++;
        orphans.add(this);
        throw error;
      }
      open.delete(this);
      return this;
    }
  }
  const mend = (): void => {
    faults.decide = never;
    faults.decideAfter = never;
  };
  const closeOrphans = (): void => {
    mend();
    for (const db of orphans) db.close();
    orphans.clear();
  };
  t.teardown(closeOrphans);
  return Object.assign(faults, {
    Database: FaultyDatabase,
    mend,
    tries: () => tries,
    open: () => open.size,
    unclosed: () => unclosed,
    closeOrphans,
  });
}

/** What the pool has reported that no caller can be told of. */
export function watchErrors(pool: SqlitePool): PoolEvents['error'][] {
  const errors: PoolEvents['error'][] = [];
  pool.on('error', (event) => void errors.push(event));
  return errors;
}

/** A pool whose connections fail when they are told to, on a file with an empty table `item (name)`. */
export async function faultyPool(
  t: ExecutionContext,
  options: SqlitePoolOptions = {},
  { file = temporaryFile(t), clock = systemClock, faults = faultyClass(t) } = {},
) {
  const pool = new SqlitePool(file, { acquireTimeout: 60_000, Database: faults.Database, ...options }, clock);
  t.teardown(() => pool.close({ timeout: 0 }));
  await pool.run('CREATE TABLE IF NOT EXISTS item (name TEXT)');
  return { pool, faults, errors: watchErrors(pool) };
}

/** Asserts that nobody holds or waits for anything, and that the next writer and the next reader are served. */
export async function goesOn(t: ExecutionContext, pool: SqlitePool): Promise<void> {
  t.notThrows(() => pool.assertIdle());
  t.like(pool.stats(), { leased: 0, waiting: 0, laneHeld: 0, laneWaiting: 0 });
  await pool.transaction((tx) => void tx.prepare("INSERT INTO item VALUES ('last')").run());
  t.is(await pool.read((db) => db.prepare("DELETE FROM item WHERE name = 'last'").readonly), false);
  await pool.run("DELETE FROM item WHERE name = 'last'");
  t.deepEqual(await pool.all('PRAGMA integrity_check'), [{ integrity_check: 'ok' }]);
}

/** A source of numbers from 0 to below 1 that are the same in every run. */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d_2b_79_f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
