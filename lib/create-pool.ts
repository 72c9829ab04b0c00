import type { SqlitePoolOptions } from './sqlite/options.ts';
import { SqlitePool } from './sqlite/pool.ts';
import { makePool, type PoolTarget } from './target.ts';

/**
 * Makes a pool for another database.
 *
 * @param target what `postgres()` of `leasehold/postgres` returns
 * @throws OptionsError
 */
export function createPool<Pool extends object, Options extends object>(
  target: PoolTarget<Pool, Options>,
  options?: Options,
): Pool;
/**
 * Makes a pool for a SQLite file. Nothing is opened before it is needed; call `ready()` to find out early.
 *
 * @param file path of the file, or `''` or `':memory:'` for a database private to the pool's one connection
 * @throws OptionsError
 */
export function createPool(file: string, options?: SqlitePoolOptions): SqlitePool;
export function createPool<Pool, Options>(
  target: string | PoolTarget<Pool, Options>,
  options?: Options,
): SqlitePool | Pool {
  return isTarget(target) ? target[makePool](options) : new SqlitePool(target, options as SqlitePoolOptions);
}

function isTarget<Pool, Options>(value: string | PoolTarget<Pool, Options>): value is PoolTarget<Pool, Options> {
  try {
    return typeof value === 'object' && value !== null && makePool in value;
  } catch {
    // A proxy that was revoked can not even be asked.
    return false;
  }
}
