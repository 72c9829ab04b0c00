import type pg from 'pg';
import { OptionsError } from '../errors.ts';
import { hookRules, type PoolHooks, type PoolOptions, type PoolSettings, poolRules, poolSettings } from '../options.ts';
import { checkOptions, type Rule, rules } from '../rules.ts';
import type { ConnectionSettings } from './connection.ts';
import type { LeasedClient } from './handle.ts';
import { checkSecretly, type Hosts, isOfConfig } from './hosts.ts';

/**
 * Options of a pool of PostgreSQL. Durations are milliseconds. Every option is checked when the pool is made; a bad one throws
 * `ERR_LEASEHOLD_OPTIONS`.
 */
export interface PostgresPoolOptions extends PoolOptions {
  /**
   * Leases at once, and connections. Integer from 1.
   * @defaultValue 10
   */
  readonly max?: number | undefined;

  /**
   * Settings of each session, as `SET` has them: `{ search_path: 'app', statement_timeout: '5s' }`. They go with the start of the
   * connection, cost no time, and are what `DISCARD ALL` goes back to.
   */
  readonly settings?: Readonly<Record<string, string | number | boolean>> | undefined;

  /**
   * How long one host may take to answer, where the configuration has no `connectionTimeoutMillis`. Then the next is tried.
   * @defaultValue 3000
   */
  readonly connectTimeout?: number | undefined;

  /**
   * A connection that was idle for longer is asked whether it is still there before anybody gets it. Above 0, or `Infinity`.
   * @defaultValue 30000
   */
  readonly validateAfter?: number | undefined;

  /**
   * How long the server may take to end a query that was cancelled. Then the connection is given up. Above 0, or `Infinity`.
   * @defaultValue 2000
   */
  readonly cancelTimeout?: number | undefined;

  /**
   * When a connection that comes back is reset by `DISCARD ALL`: where the lease has changed the session as far as its statements
   * show; or always, for programs whose database functions do so unseen.
   * @defaultValue 'changed'
   */
  readonly reset?: 'changed' | 'always' | undefined;

  /**
   * Prepared statements kept for each connection, the least recently used going first. Integer from 1.
   * @defaultValue 500
   */
  readonly statementCache?: number | undefined;

  /**
   * Once for each new connection, on pg's own client. May be async. A throw, or a transaction left open, closes the connection
   * and fails the open. A connection that `DISCARD ALL` would rob of what it sets up is closed instead: put settings into
   * `settings`.
   */
  readonly onOpen?: ((client: pg.Client) => unknown) | undefined;

  /** Before each lease. May be async. Returning `false` or throwing discards the connection; the acquire tries another. */
  readonly onAcquire?: PoolHooks<unknown, LeasedClient>['onAcquire'];

  /** After each lease, on a handle of its own, once the connection is clean. May be async. Returning `false` or throwing discards it. */
  readonly onRelease?: PoolHooks<unknown, LeasedClient>['onRelease'];

  /**
   * Another class with the API of pg's `Client`.
   * @defaultValue the class that `pg` exports
   */
  readonly Client?: typeof pg.Client | undefined;
}

/** What the driver goes by: complete, checked, frozen. */
export interface PostgresSettings extends ConnectionSettings {
  readonly hosts: Hosts;
  /** What pg sends as `options` when it connects. */
  readonly startup: string;
  readonly connectTimeout: number;
  readonly validateAfter: number;
  readonly resetsAlways: boolean;
  readonly hasOpenHook: boolean;
  readonly Client: typeof pg.Client | undefined;
}

export interface NormalizedOptions {
  readonly pool: PoolSettings;
  readonly postgres: PostgresSettings;
  readonly hooks: Pick<PostgresPoolOptions, 'onOpen' | 'onAcquire' | 'onRelease'>;
}

const settingName = /^[a-z_][\w.]*$/i;
const settingsRule: Rule = {
  allowed: 'a plain object from names of settings, but session_authorization, to strings, finite numbers or booleans',
  accepts: (value) =>
    typeof value === 'object' &&
    value !== null &&
    Object.entries(value).every(
      ([name, setting]) =>
        settingName.test(name) &&
        // The server takes no notice of it there.
        name.toLowerCase() !== 'session_authorization' &&
        (typeof setting === 'string' || typeof setting === 'boolean' || Number.isFinite(setting)) &&
        !String(setting).includes('\0'),
    ),
};

const postgresRules = {
  ...poolRules,
  ...hookRules,
  settings: settingsRule,
  connectTimeout: rules.duration,
  validateAfter: rules.duration,
  cancelTimeout: rules.duration,
  reset: rules.oneOf('changed', 'always'),
  statementCache: rules.integerFrom(1),
  Client: { allowed: "a class with the API of pg's Client", accepts: (value) => typeof value === 'function' },
} as const satisfies Record<keyof PostgresPoolOptions, Rule>;

/** Checks and completes what was given to `createPool`. @throws OptionsError */
export function normalize(hosts: Hosts, given: PostgresPoolOptions = {}): NormalizedOptions {
  // Whoever gives what is for `postgres()` here may give a password.
  const options = checkSecretly(() => {
    for (const name in given) {
      if (isOfConfig(name)) throw new OptionsError(name, undefined, 'absent', 'It is for postgres({ … }).');
    }
    return checkOptions(given, postgresRules);
  });
  const pool = poolSettings(options, { name: hosts.database || 'postgres', max: 10 });
  return {
    pool,
    postgres: Object.freeze({
      pool: pool.name,
      target: hosts.target,
      hosts,
      wantsWriter: hosts.targetSession === 'read-write',
      startup: startupOf(options.settings ?? {}),
      connectTimeout: options.connectTimeout ?? 3000,
      validateAfter: options.validateAfter ?? 30_000,
      cancelTimeout: options.cancelTimeout ?? 2000,
      resetsAlways: options.reset === 'always',
      statementCache: options.statementCache ?? 500,
      queryTimeout: hosts.queryTimeout,
      hasOpenHook: options.onOpen !== undefined,
      Client: options.Client,
    }),
    hooks: { onOpen: options.onOpen, onAcquire: options.onAcquire, onRelease: options.onRelease },
  };
}

/** As the server reads them: words, in which blanks and backslashes are escaped. */
function startupOf(settings: Readonly<Record<string, string | number | boolean>>): string {
  return Object.entries(settings)
    .map(([name, value]) => `-c ${name}=${String(value).replaceAll(/[\\\s]/g, String.raw`\$&`)}`)
    .join(' ');
}
