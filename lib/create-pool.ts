import type { SqlitePoolOptions } from './sqlite/options.ts';
import { SqlitePool } from './sqlite/pool.ts';
import { makePool, type PoolTarget } from './target.ts';

/** What a pool is made for: the path of a SQLite file, or what `postgres()` of `leasehold/postgres` returns. */
type AnyTarget = string | PoolTarget<object, object>;

/** What is not known is a path, as a configuration has it that was parsed. */
type Known<Target> = 0 extends Target & 1 ? string : Target;

/** The options of the pool of a target. */
type OptionsOf<Target> = Target extends PoolTarget<object, infer Options> ? Options : SqlitePoolOptions;

/** The pool of a target. `ReturnType<typeof createPool>`, where nothing is known of it, is the pool of a file. */
type PoolOf<Target> =
  Target extends PoolTarget<infer Pool, never> ? (object extends Pool ? SqlitePool : Pool) : SqlitePool;

/**
 * Makes a pool. Nothing is opened before it is needed; call `ready()` to find out early.
 *
 * @param target path of a SQLite file, or `''` or `':memory:'` for a database private to the pool's one connection; or what
 * `postgres()` of `leasehold/postgres` returns
 * @throws OptionsError
 */
export function createPool<Target extends AnyTarget>(
  target: Target,
  options?: OptionsOf<Known<Target>>,
): PoolOf<Known<Target>> {
  const pool: object = isTarget(target) ? target[makePool](options) : new SqlitePool(target, options);
  return pool as PoolOf<Known<Target>>;
}

function isTarget(value: AnyTarget): value is PoolTarget<object, object> {
  try {
    return typeof value === 'object' && value !== null && makePool in value;
  } catch {
    // A proxy that was revoked can not even be asked.
    return false;
  }
}
