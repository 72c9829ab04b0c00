import type { FileLocks, Stranded } from './file-state.ts';

/** What a process has open, by the names it knows it by. Those of deleted files end as the system has them end. */
export interface Ties {
  readonly pid: number;
  /** Links to the database file. */
  readonly database: readonly string[];
  /** Links to what lies beside it: its log, and the index of that. */
  readonly beside: readonly string[];
  /** Links to all other files. */
  readonly others: readonly string[];
}

const deleted = ' (deleted)';

/**
 * Whether a process that uses the database uses the log that is beside it, by what it has open.
 *
 * @param isWal whether the header of the file says that it has a log
 */
export function standingOf(ties: Ties, locks: FileLocks | undefined, isWal: boolean): Stranded | undefined {
  const { pid, database, beside, others } = ties;
  const isOpen = (name: string) => others.includes(name);
  if (database.length === 0) {
    // Its own file has lost its name to this one, or another name.
    const isReplaced = beside.some((link) => isOpen(stemOf(link) + deleted)) || locks?.connected.includes(pid) === true;
    return isReplaced ? { pid, how: 'other file', log: undefined } : undefined;
  }
  // A child that has only inherited what is open has no lock, which whoever is connected with a WAL has for as long as that is so.
  if (!isWal || locks?.users.includes(pid) === false) return undefined;
  const hasLog = beside.some((link) => nameOf(link).endsWith('-wal'));
  const own = new Set(database.map(nameOf));
  const names = new Set(others.map(nameOf));
  const belongs = (link: string, suffix: string) => {
    const stem = stemOf(link);
    // Of a file that was renamed the log keeps its name: then there is no other file it could belong to.
    return nameOf(link) === stem + suffix && (own.has(stem) || (!hasLog && !names.has(stem)));
  };
  const logs = others.filter((link) => belongs(link, '-wal'));
  if (logs.some((link) => link.endsWith(deleted))) return { pid, how: 'no log', log: undefined };
  if (logs.length > 0) return { pid, how: 'other log', log: logs.length === 1 ? logs[0] : undefined };
  const isIndexDeleted = others.some((link) => belongs(link, '-shm') && link.endsWith(deleted));
  return isIndexDeleted ? { pid, how: 'no index', log: undefined } : undefined;
}

function nameOf(link: string): string {
  return link.endsWith(deleted) ? link.slice(0, -deleted.length) : link;
}

/** Name of the database that a log, or an index, is of. */
function stemOf(link: string): string {
  return nameOf(link).replace(/-(?:wal|shm)$/, '');
}
