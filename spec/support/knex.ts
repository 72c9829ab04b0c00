import type { ExecutionContext } from 'ava';
import knex, { type Knex } from 'knex';
import type { SqlitePool, SqlitePoolOptions } from '../../lib/index.ts';
import { knexClient } from '../../lib/orm/knex.ts';
import { temporaryPool } from './sqlite.ts';

/** Knex over a pool, and what it has had to complain of. */
export interface Setup {
  readonly pool: SqlitePool;
  readonly db: Knex;
  readonly complaints: string[];
}

/** Knex over this pool. */
export function knexOver(pool: SqlitePool, config: Knex.Config = {}): { db: Knex; complaints: string[] } {
  const complaints: string[] = [];
  const complain = (message: unknown) => void complaints.push(String(message));
  const log = { warn: complain, error: complain, deprecate: complain, debug: () => {} };
  return { db: knex({ client: knexClient(pool), useNullAsDefault: true, log, ...config }), complaints };
}

/** Knex over a pool on a file of its own, with an empty table `item (id, name)` in which names are unique. */
export async function openKnex(t: ExecutionContext, options?: SqlitePoolOptions, config?: Knex.Config): Promise<Setup> {
  const pool = temporaryPool(t, options);
  await pool.run('CREATE TABLE item (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE)');
  return { pool, ...knexOver(pool, config) };
}

/** The names that are committed, in the order in which they were written. */
export async function names(pool: SqlitePool): Promise<unknown[]> {
  const rows = await pool.all<{ name: string }>('SELECT name FROM item ORDER BY id');
  return rows.map(({ name }) => name);
}

/** Asserts that nothing is held and nobody waits. */
export function isIdle(t: ExecutionContext, pool: SqlitePool): void {
  t.like(pool.stats(), { leased: 0, waiting: 0, laneHeld: 0, laneWaiting: 0 });
  t.is(pool.stats().counters.leaks, 0);
}

/** Starts a query, which Knex does only when somebody asks for its result. */
export async function startNow<Result>(query: PromiseLike<Result>): Promise<Result> {
  return query;
}

/** Knex over this pool for those who can not get what they wait for, and are to be told so soon. */
export function impatient(pool: SqlitePool): Knex {
  return knexOver(pool, { acquireConnectionTimeout: 30 }).db;
}
