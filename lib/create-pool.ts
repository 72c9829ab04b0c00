import type { SqlitePoolOptions } from './sqlite/options.ts';
import { SqlitePool } from './sqlite/pool.ts';
import { makePool, type PoolTarget } from './target.ts';

/** What a pool is made for: the path of a SQLite file, or what `postgres()` of `leasehold/postgres` returns. */
type AnyTarget = string | PoolTarget<object, object>;

/** The options of the pool of a target. */
type OptionsOf<Target> = Target extends PoolTarget<object, infer Options> ? Options : SqlitePoolOptions;

/** The pool of a target. */
type PoolOf<Target> = Target extends PoolTarget<infer Pool, never> ? Pool : SqlitePool;

/**
 * Makes a pool. Nothing is opened before it is needed; call `ready()` to find out early.
 *
 * @param target path of a SQLite file, or `''` or `':memory:'` for a database private to the pool's one connection; or what
 * `postgres()` of `leasehold/postgres` returns
 * @throws OptionsError
 */
export function createPool<Target extends AnyTarget>(target: Target, options?: OptionsOf<Target>): PoolOf<Target> {
  const pool: object = isTarget(target) ? target[makePool](options) : new SqlitePool(target, options);
  return pool as PoolOf<Target>;
}

function isTarget(value: AnyTarget): value is PoolTarget<object, object> {
  try {
    return typeof value === 'object' && value !== null && makePool in value;
  } catch {
    // A proxy that was revoked can not even be asked.
    return false;
  }
}
