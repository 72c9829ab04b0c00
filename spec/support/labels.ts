import type { ExecutionContext } from 'ava';
import type { LabelStats, SqlitePoolOptions } from '../../lib/index.ts';
import { SqlitePool } from '../../lib/sqlite/pool.ts';
import { FakeClock } from './clock.ts';
import { temporaryFile } from './files.ts';

/** A pool on a file with a table of items, and its clock. Its own making of the table has no label. */
export async function labelledPool(t: ExecutionContext, options?: SqlitePoolOptions, file = temporaryFile(t)) {
  const clock = new FakeClock();
  const pool = new SqlitePool(file, options, clock);
  t.teardown(() => pool.close({ timeout: 0 }));
  await pool.run('CREATE TABLE item (name TEXT)');
  return { pool, clock };
}

export function byLabel(pool: SqlitePool): LabelStats[] {
  return pool.stats({ by: 'label' });
}

/** What is counted of each label, in the order in which it is told. */
export function countsByLabel(pool: SqlitePool): [label: string | undefined, counts: object][] {
  return byLabel(pool).map(({ label, leased, acquired, timeouts, waitTime, holdTime }) => [
    label,
    { leased, acquired, timeouts, waits: waitTime.count, holds: holdTime.count },
  ]);
}

/** What is told of one label, which must be told once. */
export function statsOf(pool: SqlitePool, label: string): LabelStats {
  const found = byLabel(pool).filter((each) => each.label === label);
  if (found.length !== 1) throw new Error(`${found.length} entries of ${label}`);
  return found[0] as LabelStats;
}
