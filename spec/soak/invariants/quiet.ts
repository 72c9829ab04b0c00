import type { SqlitePoolStats } from '../../../lib/index.ts';

/** What the operations have counted themselves. */
export interface Counted {
  readonly leaks: number;
  readonly timeouts: number;
}

/** What is wrong with the gauges of a pool that nobody uses. */
export function gaugeFaults(stats: SqlitePoolStats): string[] {
  const { leased, waiting, laneHeld, laneWaiting, size, idle, max } = stats;
  const faults = Object.entries({ leased, waiting, laneHeld, laneWaiting })
    .filter(([, value]) => value !== 0)
    .map(([name, value]) => `${name} is ${value}`);
  if (size > max + 1) faults.push(`size is ${size} with max ${max}`);
  if (leased === 0 && idle !== size) faults.push(`${idle} of ${size} are idle`);
  return faults;
}

/** What is wrong with the counters of a pool that nobody uses. `seen` is what its listeners and callers counted. */
export function counterFaults({ counters, size }: SqlitePoolStats, seen: Counted): string[] {
  const { acquired, released, opened, closed, leaks, timeouts } = counters;
  const faults: string[] = [];
  const same = (name: string, left: number, right: number): void => {
    if (left !== right) faults.push(`${name}: ${left} and ${right}`);
  };
  same('acquired and released', acquired, released);
  same('opened less closed, and size', opened - closed, size);
  same('leaks counted and seen', leaks, seen.leaks);
  same('timeouts counted and seen', timeouts, seen.timeouts);
  return faults;
}
