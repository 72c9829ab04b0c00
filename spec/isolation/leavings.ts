import type { ExecutionContext } from 'ava';
import type { PoolEvents, SqlitePool, SqlitePoolOptions } from '../../lib/index.ts';
import { auditedPool, fingerprint, isIdle } from './fingerprint.ts';
import type { Leave } from './ways.ts';

// A few kinds of state, for every way to leave something.

/** What one statement leaves, and what is reported of it. */
export const statements: Readonly<Record<string, string>> = {
  'PRAGMA cache_size = 321': 'pragma cache_size',
  'CREATE TEMP TABLE stray (x)': 'temporary table stray',
  "ATTACH ':memory:' AS stray": 'attached database stray',
};

/** The same of handles. */
export const leavings: Readonly<Record<string, Leave>> = {
  ...Object.fromEntries(
    Object.entries(statements).map(([sql, trace]): [string, Leave] => [trace, (db) => db.prepare(sql).run()]),
  ),
  'user function': (db) => db.function('stray', () => 7),
  'user aggregate': (db) => db.aggregate('stray', { start: 0, step: (total: number) => total }),
  'virtual table': (db) => db.table('stray', { columns: ['a'], *rows() {} }),
  unsafeMode: (db) => db.unsafeMode(),
  defaultSafeIntegers: (db) => db.defaultSafeIntegers(),
};

/** What the next holders see: of a connection of the pool, and of the lane's. */
export async function look(pool: SqlitePool): Promise<unknown> {
  return [await pool.withConnection(fingerprint), await pool.transaction(fingerprint)];
}

/** Traces of the state itself. A transaction that was left open is reported beside. */
export function tracesOf(dirt: readonly PoolEvents['dirty'][]): string[] {
  return dirt.flatMap(({ traces }) => traces).filter((trace) => trace !== 'open transaction');
}

export async function leavesNothing(
  t: ExecutionContext,
  leave: (pool: SqlitePool) => unknown,
  traces: readonly string[],
  options?: SqlitePoolOptions,
): Promise<void> {
  const { pool, dirt } = auditedPool(t, options);
  const before = await look(pool);
  const { opened } = pool.stats().counters;
  await leave(pool);
  t.deepEqual(await look(pool), before);
  t.deepEqual(tracesOf(dirt).toSorted(), traces.toSorted());
  t.is(pool.stats().counters.opened - opened, 1, 'One connection is a new one');
  isIdle(t, pool);
  await pool.close();
}
