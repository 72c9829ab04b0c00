/** Milliseconds for which the event loop may sleep in one call into SQLite. */
export const longestSleep = 100;

/** A call into SQLite that took long. Milliseconds. */
export interface SlowCall {
  readonly sql: string;
  readonly took: number;
  /** For how long of that the thread neither ran nor wanted to: for a lock, or for the disk. */
  readonly asleep: number;
  /** How often the thread was put on a processor in it. */
  readonly turns: number;
  /** Longest that SQLite would wait for a lock in it, `undefined` where that can not be told. */
  readonly busyTimeout: number | undefined;
}

// SQLite looks for a lock again and again: after 1, 2, 5, 10, 15, 20, 25, 25 and 25 ms, which is 8 times in 100 ms. What holds up
// a machine, its host or its disk, does so for long and once.
const fewestNaps = 6;

// What commits may have the WAL brought into the file, and then waits for the disk; so does what is no statement.
const mayWaitForDisk =
  /^\s*(?:commit|end|release|insert|update|delete|replace|create|drop|alter|vacuum|pragma wal_checkpoint|pragma journal_mode)\b|^\(/i;

/**
 * What a call slept for. A call that reads or begins touches no disk that could keep it: its file is in memory since the start.
 * Where it may, it is the disk unless SQLite was allowed to wait for a lock for so long.
 */
export function sleptFor({ sql, asleep, turns, busyTimeout }: SlowCall): 'nothing' | 'machine' | 'disk' | 'lock' {
  if (asleep <= longestSleep) return 'nothing';
  if (turns < fewestNaps) return 'machine';
  return mayWaitForDisk.test(sql) && busyTimeout !== undefined && busyTimeout <= longestSleep ? 'disk' : 'lock';
}

export function stallFault(call: SlowCall): string | undefined {
  if (sleptFor(call) !== 'lock') return undefined;
  const { sql, took, asleep, busyTimeout } = call;
  return `"${sql}" took ${took.toFixed()} ms, ${asleep.toFixed()} of which the thread slept, with a busy timeout of ${busyTimeout ?? 'unknown'}`;
}
