import type { DatabaseIntrospector, Dialect, DialectAdapter, Driver, QueryCompiler } from 'kysely';
import { SqliteIntrospector, SqliteQueryCompiler } from 'kysely';
import { checkOptions, type Rule, rules } from '../rules.ts';
import type { SqlitePool } from '../sqlite/pool.ts';
import { LeaseholdAdapter } from './kysely/adapter.ts';
import { LeaseholdDriver } from './kysely/driver.ts';

/** Options of `LeaseholdDialect`. */
export interface LeaseholdDialectConfig {
  /** Where the connections come from. Any number of Kysely instances may share a pool; `destroy()` of one closes it. */
  readonly pool: SqlitePool;

  /**
   * How long a `Migrator` waits while another one, in this process or another, migrates the same file. Milliseconds above
   * 0, or `Infinity`.
   * @defaultValue 60_000
   */
  readonly migrationTimeout?: number | undefined;
}

const configRules = {
  pool: {
    allowed: 'a pool of Leasehold',
    accepts: (value) => typeof value === 'object' && value !== null && 'openTransaction' in value,
  },
  migrationTimeout: rules.duration,
} as const satisfies Record<keyof LeaseholdDialectConfig, Rule>;

/**
 * Kysely on a pool. Queries run on the connection of their scope and take part in its transaction; others take one just
 * for themselves, and what writes waits for its turn. The callback of `db.transaction()` is inside the transaction with
 * all that it calls, whichever Kysely instance or method of the pool they use.
 *
 * SQL and introspection are those of Kysely's own SqliteDialect.
 */
export class LeaseholdDialect implements Dialect {
  readonly #pool: SqlitePool;
  readonly #migrationTimeout: number;

  /** @throws OptionsError */
  constructor(config: LeaseholdDialectConfig) {
    const { pool, migrationTimeout = 60_000 } = checkOptions(config, configRules);
    // The rule lets pass what is not given.
    if (pool === undefined) checkOptions({ pool: null }, configRules);
    this.#pool = pool;
    this.#migrationTimeout = migrationTimeout;
  }

  createDriver(): Driver {
    return new LeaseholdDriver(this.#pool);
  }

  createQueryCompiler(): QueryCompiler {
    return new SqliteQueryCompiler();
  }

  createAdapter(): DialectAdapter {
    return new LeaseholdAdapter(this.#pool, this.#migrationTimeout);
  }

  createIntrospector(db: Parameters<Dialect['createIntrospector']>[0]): DatabaseIntrospector {
    return new SqliteIntrospector(db);
  }
}
