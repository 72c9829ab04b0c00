import type { ExecutionContext } from 'ava';
import { createPool } from '../../lib/index.ts';
import { type PostgresPool, type PostgresPoolOptions, postgres } from '../../lib/postgres.ts';
import { postgresUrl } from './postgres.ts';

/** A pool on an empty database of its own. */
export async function openPostgres(t: ExecutionContext, options: PostgresPoolOptions = {}): Promise<PostgresPool> {
  const pool = createPool(postgres(await postgresUrl(t)), { name: 'app', acquireTimeout: 60_000, ...options });
  t.teardown(() => pool.close({ timeout: 0 }));
  return pool;
}

/** The same with a table `item`, and what is in it. */
export async function withItems(t: ExecutionContext, options?: PostgresPoolOptions) {
  const pool = await openPostgres(t, options);
  await pool.query('CREATE TABLE item (id serial, name text UNIQUE)');
  const names = async (): Promise<string[]> =>
    (await pool.query<{ name: string }>('SELECT name FROM item ORDER BY id')).rows.map(({ name }) => name);
  return { pool, names };
}

export const insertion = 'INSERT INTO item (name) VALUES ($1)';
