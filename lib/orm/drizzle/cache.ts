import { Cache, type MutationOption } from 'drizzle-orm/cache/core';
import type { CacheConfig } from 'drizzle-orm/cache/core/types';
import { type ContextLevel, frames } from '../../context.ts';

/** Tables, or names of tables. */
type Tables = Set<Exclude<NonNullable<MutationOption['tables']>, readonly unknown[]>>;

/**
 * The user's cache, kept from what is not committed: it is asked, and given something to keep, outside of transactions
 * only. What a transaction reads may never be committed, and what others have cached is not of its snapshot.
 */
export class CommittedCache extends Cache {
  readonly #cache: Cache;
  readonly #isInTransaction: () => boolean;

  constructor(cache: Cache, isInTransaction: () => boolean) {
    super();
    this.#cache = cache;
    this.#isInTransaction = isInTransaction;
  }

  override strategy(): 'explicit' | 'all' {
    return this.#cache.strategy();
  }

  override async get(...params: Parameters<Cache['get']>): Promise<unknown[] | undefined> {
    return this.#isInTransaction() ? undefined : this.#cache.get(...params);
  }

  override async put(
    key: string,
    response: unknown,
    tables: string[],
    isTag: boolean,
    config?: CacheConfig,
  ): Promise<void> {
    if (!this.#isInTransaction()) await this.#cache.put(key, response, tables, isTag, config);
  }

  override async onMutate(mutation: MutationOption): Promise<void> {
    const tables = tablesOf(frames.getStore()?.level);
    if (tables !== undefined) for (const table of [mutation.tables ?? []].flat()) tables.add(table);
    await this.#cache.onMutate(mutation);
  }
}

/** What transactions that are open have written to, by their outermost level. */
const written = new WeakMap<ContextLevel, Tables>();

function tablesOf(innermost: ContextLevel | undefined, owner?: object): Tables | undefined {
  for (let level = innermost; level !== undefined; level = level.around) {
    const tables = written.get(level);
    if (tables !== undefined && (owner === undefined || level.owner === owner)) return tables;
  }
  return undefined;
}

/**
 * Runs a transaction, whose function has to call `begun`. What it writes to is invalidated a second time when it has
 * committed: between its statement and its COMMIT, others read and cache what was there before.
 */
export async function invalidating<Result>(
  cache: Cache,
  transact: (begun: () => void) => Promise<Result>,
): Promise<Result> {
  let tables: Tables | undefined;
  const result = await transact(() => {
    const level = frames.getStore()?.level;
    // A part of another leaves it to that.
    if (level === undefined || tablesOf(level, level.owner) !== undefined) return;
    tables = new Set();
    written.set(level, tables);
  });
  if (tables !== undefined && tables.size > 0) await cache.onMutate({ tables: [...tables] as string[] });
  return result;
}
