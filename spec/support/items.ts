import type { ExecutionContext } from 'ava';
import type { LeasedDatabase, SqlitePool, SqlitePoolOptions } from '../../lib/index.ts';
import { temporaryPool } from './sqlite.ts';

// A file with one table of names, for specs about who writes what, and what of it is kept.

/** A pool on a file of its own, with an empty table `item (name)`. */
export async function openItems(t: ExecutionContext, options?: SqlitePoolOptions): Promise<SqlitePool> {
  const pool = temporaryPool(t, options);
  await pool.run('CREATE TABLE item (name TEXT)');
  return pool;
}

export function insert(db: LeasedDatabase, name: string): void {
  db.prepare('INSERT INTO item VALUES (?)').run(name);
}

/** The names that are committed, in the order in which they were written. */
export async function namesIn(pool: SqlitePool): Promise<string[]> {
  const rows = await pool.all<{ name: string }>('SELECT name FROM item ORDER BY rowid');
  return rows.map(({ name }) => name);
}

/** What an error of Leasehold is told by. */
export function refusal(code: string): { readonly code: string } {
  return { code: `ERR_LEASEHOLD_${code}` };
}

/** What functions throw that have had enough. */
export class Enough extends Error {}
