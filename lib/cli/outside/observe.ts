import { realpathSync } from 'node:fs';
import type { FileLocks, FileState, Stranded } from './file-state.ts';
import { contentOf, headerLength, readHeader } from './header.ts';
import { locksOn, meaningOf, readLocks } from './locks.ts';
import { type Found, find, OpenHere, peekHead } from './peek.ts';
import { isConfined, type Users, usersOf } from './processes.ts';
import { standingOf } from './standing.ts';
import { readJournal, readWal, readWalIndex } from './wal.ts';

/**
 * One look at a database file and at what lies beside it. Cheap enough for every second; never waits for anybody's lock, takes none
 * and drops none, and writes nothing. Throws nothing: what went wrong is in what it returns.
 */
export function observeFile(path: string): FileState {
  const look: FileState = { ...nothing, path, at: Date.now() };
  let file: Found | undefined;
  try {
    file = find(path);
    if (file === undefined) return { ...look, kind: 'missing' };
    file = { ...file, path: realpathSync.native(path) };
  } catch (error) {
    return { ...look, kind: 'unreachable', error: codeOf(error) };
  }
  const { path: real, modified, kind } = file;
  if (kind !== 'file') return { ...look, path: real, kind, modified };
  return { ...look, path: real, modified, kind, ...contentsOf(file) };
}

const nothing = {
  kind: 'unreachable',
  error: undefined,
  size: undefined,
  modified: undefined,
  content: undefined,
  header: undefined,
  wal: undefined,
  index: undefined,
  journal: undefined,
  strangers: [],
  processes: undefined,
  hiddenProcesses: undefined,
  locks: undefined,
  isConfined: false,
  stranded: [],
  untold: [],
} as const satisfies Omit<FileState, 'path' | 'at'>;

function contentsOf(file: Found): Partial<FileState> {
  const untold = new Set<string>();
  const attempt = <Result>(what: string, read: () => Result): Result | undefined => {
    try {
      return read();
    } catch (error) {
      untold.add(excuse(what, error));
      return undefined;
    }
  };
  const strangers: string[] = [];
  const beside = (suffix: string) => {
    const found = attempt(`What lies beside it as ${suffix}`, () => find(`${file.path}${suffix}`));
    if (found === undefined || found.kind === 'file') return found;
    strangers.push(suffix);
    return undefined;
  };
  const [walFile, indexFile, journalFile] = [beside('-wal'), beside('-shm'), beside('-journal')];
  // One that may not be looked at is there all the same.
  const hasNoLog = walFile === undefined && !strangers.includes('-wal') && untold.size === 0;

  let error: string | undefined;
  const { head, size = file.size } =
    attempt('The file', () => {
      try {
        return peekHead(file, headerLength);
      } catch (failure) {
        error = codeOf(failure);
        throw failure;
      }
    }) ?? {};
  const wal = walFile && attempt('The log', () => readWal(walFile));
  const index = indexFile && attempt('The index of the log', () => readWalIndex(indexFile));
  const journal = journalFile && attempt('The rollback journal', () => readJournal(journalFile));
  const users = usersOf([file, walFile, indexFile].filter((found) => found !== undefined));
  const listing = readLocks();
  if (users === undefined) untold.add('Which processes have the file open is told on Linux alone.');
  if (listing === undefined) untold.add('Which locks are held is told on Linux alone.');
  if (users !== undefined && users.hidden.length > 0) {
    untold.add(
      `The open files of ${users.hidden.length} other ${users.hidden.length === 1 ? 'process' : 'processes'} may not be looked at without more rights.`,
    );
  }
  const confined = isConfined();
  if (confined) untold.add('Processes outside of this container (PID namespace), and their locks, can not be seen.');
  const pids = users?.processes.map(({ pid }) => pid) ?? [];
  const on = (found: Found | undefined) =>
    found === undefined || listing === undefined ? [] : locksOn(listing, found, pids);
  const header = head && readHeader(head);
  // The transaction that changes a file to WAL mode, or a backup of one that is in it, still has a journal when the header says so.
  const isWal = header?.journal === 'wal' && journal?.hasHead !== true;
  const locks: FileLocks | undefined =
    listing === undefined ? undefined : meaningOf(on(file), on(indexFile), index, isWal);
  const { exclusive, connected = [] } = locks ?? {};
  // Whoever has the file for itself may have the index in its own memory: then this is what a former process has left.
  const isFormer = exclusive !== undefined && !connected.includes(exclusive);
  // Nobody who can be seen is not nobody.
  const isWriting = locks?.writer !== undefined || (locks === undefined || confined ? undefined : false);
  return {
    size,
    error,
    content: head && contentOf(head),
    header,
    wal,
    index: isFormer ? undefined : index,
    journal: journal && {
      ...journal,
      isHot: !journal.hasHead ? false : isWriting === undefined ? undefined : !isWriting,
    },
    strangers,
    processes: users?.processes,
    hiddenProcesses: users?.hidden.length,
    locks,
    isConfined: confined,
    stranded: users === undefined ? [] : strandedOf(users, locks, { isWal, hasNoLog }),
    untold: [...untold],
  };
}

function strandedOf(
  { ties, hidden }: Users,
  locks: FileLocks | undefined,
  { isWal, hasNoLog }: { readonly isWal: boolean; readonly hasNoLog: boolean },
): Stranded[] {
  const seen = ties.map((own) => standingOf(own, locks, isWal)).filter((standing) => standing !== undefined);
  const pids = isWal && hasNoLog ? (locks?.users.filter((pid) => hidden.includes(pid)) ?? []) : [];
  return [...seen, ...pids.map((pid) => ({ pid, how: 'unseen' as const, log: undefined }))];
}

function excuse(what: string, error: unknown): string {
  if (error instanceof OpenHere) return `${what} can not be read by a process that has it open with SQLite itself.`;
  return `${what} can not be read: ${codeOf(error)}.`;
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}

/** How many commits there were between two looks at one file; `undefined` where that can not be told. */
export function commitsBetween(before: FileState, after: FileState): number | undefined {
  // With a log that has no index only its writer knows: the file tells of what was copied.
  const isUntold = after.index === undefined && after.wal !== undefined && after.header?.journal === 'wal';
  if (isUntold) return undefined;
  const counters =
    after.index?.valid === true
      ? ([before.index?.valid === true ? before.index.changes : undefined, after.index.changes] as const)
      : ([before.index === undefined ? before.header?.changeCounter : undefined, after.header?.changeCounter] as const);
  const [first, last] = counters;
  // It begins from 0 where the index was made anew.
  return first === undefined || last === undefined || last < first ? undefined : last - first;
}
