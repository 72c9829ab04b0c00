/**
 * Method of what `createPool` takes instead of a path: makes the pool. Known by its name, so that the subpath of a database and
 * the main entry may be of two copies of the package.
 */
export const makePool: unique symbol = Symbol.for('leasehold.makePool') as never;

/** What a pool is made for, of a database other than SQLite: what `postgres()` returns. */
export interface PoolTarget<Pool, Options> {
  /** @throws OptionsError */
  [makePool](options: Options | undefined): Pool;
}
