import { DrizzleError, sql } from 'drizzle-orm';
import { type MigrationConfig, type MigrationMeta, readMigrationFiles } from 'drizzle-orm/migrator';
import type { AcquireOptions, LeasedDatabase } from '../../index.ts';
import type { LeaseholdDatabase } from './database.ts';
import { applyMigrations } from './internals.ts';

/** Options of `migrate` beside those of Drizzle: who asks, how long to wait for the turn to write, what ends the wait. */
export type MigrateOptions = Pick<AcquireOptions, 'label' | 'signal' | 'timeout'>;

/**
 * Brings the file up to date with the migrations that drizzle-kit has written, all of them in one write transaction: of two
 * processes that do so at once, the second waits and then finds nothing left to do.
 *
 * Where a migration says `PRAGMA foreign_keys=OFF`, as drizzle-kit has it build a table anew, that holds from before the
 * transaction on: inside SQLite ignores it, and to drop the old table would delete whatever refers to its rows by `CASCADE`.
 *
 * @throws DrizzleError where that leaves broken references which were whole before, or where it is asked for inside another
 * transaction; and all that `pool.transaction` throws
 */
export async function migrate<FullSchema extends Record<string, unknown>>(
  db: LeaseholdDatabase<FullSchema>,
  config: MigrationConfig,
  { label = 'migrate', ...rest }: MigrateOptions = {},
): Promise<void> {
  const migrations = readMigrationFiles(config);
  const options = { label, ...rest };
  const pool = db.$client;
  if (pool.current?.inTransaction === true || !migrations.some(switchesOff)) {
    return db.transaction(async (tx) => {
      const pending = await pendingOf(tx, migrations, config);
      if (pending.some(switchesOff) && pool.current !== undefined && hasForeignKeys(pool.current))
        throw new DrizzleError(inside);
      await applyMigrations(tx, pending, config);
    }, options);
  }
  // One of its own, since it is closed afterwards, for having been set up anew. A private database has only one, which
  // must be put right again, whatever is aborted.
  const { timeout } = options;
  const own = pool.db.memory ? { label, timeout } : { ...options, fresh: true };
  return pool.withConnection((connection) => applyUnguarded(db, connection, migrations, config, options), {
    ...own,
    write: true,
  });
}

/** Applies migrations on a connection whose foreign keys are switched off for it. */
async function applyUnguarded<FullSchema extends Record<string, unknown>>(
  db: LeaseholdDatabase<FullSchema>,
  connection: LeasedDatabase,
  migrations: MigrationMeta[],
  config: MigrationConfig,
  options: MigrateOptions,
): Promise<void> {
  const isGuarded = hasForeignKeys(connection);
  if (isGuarded) connection.pragma('foreign_keys = OFF');
  try {
    await db.transaction(async (tx) => {
      const pending = await pendingOf(tx, migrations, config);
      // To look for broken references takes as long as the file is large.
      if (pending.length === 0) return;
      const broken = isGuarded ? countBroken(connection) : 0;
      await applyMigrations(tx, pending, config);
      if (isGuarded && countBroken(connection) > broken) throw new DrizzleError(breaking);
    }, options);
  } finally {
    if (isGuarded && connection.memory) connection.pragma('foreign_keys = ON');
  }
}

const inside = {
  message:
    'A migration says PRAGMA foreign_keys=OFF, which SQLite ignores inside a transaction, and without which to drop a table ' +
    'may delete what refers to it. Migrate outside of transactions.',
};

const breaking = { message: 'The migrations would leave references to rows that are not there.' };

/** The migrations that have not been applied, by the rule of Drizzle's own migrators. */
async function pendingOf(
  tx: Pick<LeaseholdDatabase, 'values'>,
  migrations: MigrationMeta[],
  { migrationsTable = applied, ...config }: MigrationConfig,
): Promise<MigrationMeta[]> {
  // Of none: makes the table of those that have been applied.
  await applyMigrations(tx, [], { ...config, migrationsTable });
  const [row] = await tx.values(sql`SELECT max(created_at) FROM ${sql.identifier(migrationsTable)}`);
  return migrations.filter(({ folderMillis }) => folderMillis > Number(row?.[0] ?? -1));
}

/** Drizzle's name for the table of migrations that have been applied. */
const applied = '__drizzle_migrations';

function switchesOff({ sql: statements }: MigrationMeta): boolean {
  return statements.some((statement) => /^\s*PRAGMA\s+foreign_keys\s*=\s*(?:OFF|0|FALSE|NO)\b/im.test(statement));
}

function hasForeignKeys(connection: LeasedDatabase): boolean {
  return connection.pragma('foreign_keys', { simple: true }) === 1;
}

function countBroken(connection: LeasedDatabase): number {
  return connection.prepare<[], number>('SELECT count(*) FROM pragma_foreign_key_check').pluck().get() ?? 0;
}
