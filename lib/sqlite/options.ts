import { basename, resolve } from 'node:path';
import BetterSqlite3 from 'better-sqlite3';
import { Cancellations } from '../cancellations.ts';
import { OptionsError } from '../errors.ts';
import {
  defaultMax,
  hookRules,
  type PoolHooks,
  type PoolOptions,
  type PoolSettings,
  poolRules,
  poolSettings,
} from '../options.ts';
import { checkOptions, type Rule, rules } from '../rules.ts';
import type { DatabaseClass } from './better-sqlite3.ts';
import type { ConnectionSettings } from './connection.ts';
import type { LeasedDatabase } from './handle.ts';

/** A value of a PRAGMA; `null` leaves SQLite's own. */
export type PragmaValue = string | number | boolean | null;

/**
 * Options of a SQLite pool. Durations are milliseconds. Every option is checked when the pool is made; a bad
 * one throws `ERR_LEASEHOLD_OPTIONS`.
 */
export interface SqlitePoolOptions extends PoolOptions {
  /**
   * Pragmas applied once to each connection, in this order, over the defaults. `null` leaves out a default.
   * Names SQLite does not know are refused at the first open, where SQLite itself would ignore them.
   * @defaultValue { journal_mode: 'WAL', synchronous: 'NORMAL', foreign_keys: 'ON' }
   */
  readonly pragmas?: Readonly<Record<string, PragmaValue | undefined>> | undefined;

  /**
   * Longest a synchronous statement may wait for a lock held by another process. SQLite waits by blocking the
   * thread, so this bounds a stall of the whole event loop. Integer from 0 to 2147483647.
   * @defaultValue 1000
   */
  readonly busyTimeout?: number | undefined;

  /**
   * Opens the file read-only. It must exist.
   * @defaultValue false
   */
  readonly readonly?: boolean | undefined;

  /**
   * A synchronous write outside a transaction throws `ERR_LEASEHOLD_WRITE_LOCKED` always, not only where another holder
   * in this process is writing. So a program that would fail under load fails in its first test. Writes are then done
   * in `transaction`, by `run`, or with `write: true`.
   * @defaultValue false
   */
  readonly strictWrites?: boolean | undefined;

  /**
   * Prepared statements kept for each connection, the least recently used going first. Integer from 0.
   * @defaultValue 500
   */
  readonly statementCache?: number | undefined;

  /**
   * Once for each new connection, on better-sqlite3's own handle: functions, extensions, further pragmas,
   * attached databases. Every lease begins with what it sets up. May be async. A throw, or a transaction left
   * open, closes the connection and fails the open.
   */
  readonly onOpen?: ((db: BetterSqlite3.Database) => unknown) | undefined;

  /** Before each lease. May be async. Returning `false` or throwing discards the connection; the acquire tries another. */
  readonly onAcquire?: PoolHooks<unknown, LeasedDatabase>['onAcquire'];

  /** After each lease, on a handle of its own, once the connection is clean. May be async. Returning `false` or throwing discards it. */
  readonly onRelease?: PoolHooks<unknown, LeasedDatabase>['onRelease'];

  /**
   * Another class with the API of better-sqlite3's `Database`; it need not be a subclass. The pool itself calls
   * `new Database(file, { readonly, timeout })`, `prepare`, `exec`, `pragma` (with `simple`), `close`, `open` and
   * `inTransaction`; of statements `run`, `get`, `all`, `iterate`, `reader`, `readonly`, `busy`, `pluck` and `raw`; of
   * iterators `next` and `return`. Errors must carry SQLite's `code`. All else that a handle has is passed on as it is
   * called.
   * @defaultValue the class that `better-sqlite3` exports
   */
  readonly Database?: DatabaseClass | undefined;
}

/** What the SQLite driver goes by: complete, checked, frozen. */
export interface SqliteSettings extends ConnectionSettings {
  /** Absolute path, `''` or `':memory:'`. */
  readonly file: string;
  readonly pragmas: readonly (readonly [name: string, value: Exclude<PragmaValue, null>])[];
  readonly Database: DatabaseClass;
}

export interface NormalizedOptions {
  readonly pool: PoolSettings;
  readonly sqlite: SqliteSettings;
  readonly hooks: Pick<SqlitePoolOptions, 'onOpen' | 'onAcquire' | 'onRelease'>;
}

const defaultPragmas: Readonly<Record<string, PragmaValue>> = {
  journal_mode: 'WAL',
  synchronous: 'NORMAL',
  foreign_keys: 'ON',
};

const pragmaName = /^[a-z_]+$/;

const pragmas: Rule = {
  allowed: 'a plain object from pragma names in lower case to strings, finite numbers, booleans or null',
  accepts: (value) =>
    typeof value === 'object' &&
    value !== null &&
    [Object.prototype, null].includes(Object.getPrototypeOf(value)) &&
    Object.entries(value).every(
      ([name, setting]) =>
        pragmaName.test(name) &&
        (setting === undefined ||
          setting === null ||
          typeof setting === 'string' ||
          typeof setting === 'boolean' ||
          Number.isFinite(setting)),
    ),
};

const sqliteRules = {
  ...poolRules,
  ...hookRules,
  pragmas,
  // The bound of better-sqlite3's `timeout`.
  busyTimeout: rules.integerBetween(0, 2 ** 31 - 1),
  readonly: rules.boolean,
  strictWrites: rules.boolean,
  statementCache: rules.integerFrom(0),
  Database: { allowed: 'a class with the API of better-sqlite3', accepts: (value) => typeof value === 'function' },
} as const satisfies Record<keyof SqlitePoolOptions, Rule>;

/** Checks and completes what was given to `createPool`. @throws OptionsError */
export function normalize(file: unknown, given: SqlitePoolOptions = {}): NormalizedOptions {
  const options = checkOptions(given, sqliteRules);
  // Read once, as everything else: what was checked is what is used.
  const { pragmas: pragmasAsked } = checkOptions({ pragmas: { ...options.pragmas } }, { pragmas });
  const path = checkFile(file);
  if (pragmasAsked['busy_timeout'] != null) {
    throw new OptionsError(
      'pragmas.busy_timeout',
      pragmasAsked['busy_timeout'],
      'absent',
      'Set "busyTimeout" instead.',
    );
  }
  const isPrivate = path === '' || path === ':memory:';
  if (isPrivate && options.readonly) {
    throw new OptionsError(
      'readonly',
      true,
      `false for "${path}"`,
      'A private database begins empty, so there is nothing to read.',
    );
  }
  const asked = Object.entries(pragmasAsked).filter(([, value]) => value !== undefined);
  const settings = Object.entries({ ...defaultPragmas, ...Object.fromEntries(asked) });
  const pool = poolSettings(options, {
    name: isPrivate ? path || 'temporary' : basename(path).replace(/(?<=.)\.[^.]*$/, ''),
    max: isPrivate ? 1 : defaultMax,
    // To close its connection is to lose a private database, so it is not done for want of use.
    ...(isPrivate && { min: 1 }),
  });
  return {
    pool,
    sqlite: Object.freeze({
      pool: pool.name,
      acquireTimeout: pool.acquireTimeout,
      maxWaiting: pool.maxWaiting,
      onWait: () => {},
      onEntered: () => {},
      onRefused: () => {},
      onCloseError: () => {},
      ends: new Cancellations(),
      file: path,
      isPrivate,
      pragmas: settings.filter((entry): entry is [string, Exclude<PragmaValue, null>] => entry[1] != null),
      busyTimeout: options.busyTimeout ?? 1000,
      readonly: options.readonly ?? false,
      strictWrites: options.strictWrites ?? false,
      capturesStacks: pool.leakThreshold !== Infinity,
      statementCache: options.statementCache ?? 500,
      Database: options.Database ?? BetterSqlite3,
    }),
    hooks: { onOpen: options.onOpen, onAcquire: options.onAcquire, onRelease: options.onRelease },
  };
}

const otherDatabases = 'For PostgreSQL: createPool(postgres(url)), with "postgres" from "leasehold/postgres".';

function checkFile(file: unknown): string {
  if (typeof file !== 'string') throw new OptionsError('file', file, 'a path, "" or ":memory:"', otherDatabases);
  // better-sqlite3 trims names, so what is left of one must be looked at.
  const name = file.trim();
  if (name.startsWith('file:')) {
    throw new OptionsError(
      'file',
      file,
      'a path, not a URI',
      'This build of SQLite would create a file of that literal name.',
    );
  }
  // Nothing of it is shown: there may be a password in it.
  if (/^[a-z][a-z\d+.-]+:\/\//i.test(name)) {
    throw new OptionsError('file', file, 'a path, not a URL', otherDatabases).withoutValue();
  }
  if (name.includes('\0')) throw new OptionsError('file', file, 'a path without a NUL character');
  return name === '' || name === ':memory:' ? name : resolve(name);
}
