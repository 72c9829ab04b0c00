import type { ExecutionContext } from 'ava';
import type { PoolEvents, SqlitePool, SqlitePoolOptions } from '../../lib/index.ts';
import { gate, settled } from './gate.ts';
import { openItems, refusal } from './items.ts';
import { watchDirt } from './sqlite.ts';

// For specs about what is left over at the end of a scope.

/** A pool with an empty table, and what it reports as left behind. */
export async function watchedItems(t: ExecutionContext, options?: SqlitePoolOptions) {
  const pool = await openItems(t, options);
  return { pool, dirt: watchDirt(pool) };
}

/** Who left what: one line an event. */
export function tracesOf(dirt: readonly PoolEvents['dirty'][]): (string | undefined)[][] {
  return dirt.map(({ label, traces }) => [label, ...traces]);
}

/** Waits for what outlived its scope to fail, and lets it until then. */
export function outlived(t: ExecutionContext, work: Promise<unknown>, code = 'SCOPE_ENDED'): Promise<unknown> {
  return t.throwsAsync(work, refusal(code));
}

/** Somebody else in this process holds the lane until `release`. */
export async function heldLane(t: ExecutionContext, pool: SqlitePool): Promise<() => Promise<void>> {
  const open = gate();
  const holding = pool.transaction(() => open.passed, { label: 'holder' });
  t.teardown(() => open.open());
  await settled();
  return async () => {
    open.open();
    await holding;
  };
}
