import { readFileSync } from 'node:fs';
import type { FileLocks, ReaderLock, WalIndex } from './file-state.ts';
import type { Found } from './peek.ts';

/** A lock of the system on a range of bytes of one file. */
export interface RangeLock {
  readonly pid: number;
  readonly kind: 'READ' | 'WRITE';
  /** Asked for, and not had yet. */
  readonly isBlocked: boolean;
  readonly from: number;
  readonly to: number;
}

/** Which bytes of a database file, and of the index of its log, SQLite locks for what. */
const pending = 0x40_00_00_00;
const reserved = pending + 1;
const shared = pending + 2;
const indexLocks = { write: 120, checkpoint: 121, recover: 122, firstMark: 123, connected: 128 };
const markCount = 5;

/** All locks of the machine, as the system lists them; `undefined` where it does not. */
export function readLocks(): string | undefined {
  try {
    return readFileSync('/proc/locks', 'utf8');
  } catch {
    return undefined;
  }
}

const line =
  /^\d+:( ->)? (?:POSIX|OFDLCK)\s+\S+\s+(READ|WRITE)\s+(-?\d+) ([0-9a-f]+):([0-9a-f]+):(\d+) (\d+) (\d+|EOF)$/gm;

/**
 * Those on one file.
 *
 * @param users processes that are known to have it open. Some file systems are listed under another device than files on them are
 * told to be of: then the inode counts, of a process that has the file open.
 */
export function locksOn(listing: string, file: Found, users: readonly number[]): RangeLock[] {
  const found: RangeLock[] = [];
  for (const [, arrow, kind, pid, major = '', minor = '', inode = '', from, to] of listing.matchAll(line)) {
    if (BigInt(inode) !== file.inode) continue;
    const isSame = deviceOf(Number.parseInt(major, 16), Number.parseInt(minor, 16)) === file.device;
    if (!isSame && !users.includes(Number(pid))) continue;
    found.push({
      pid: Number(pid),
      kind: kind as RangeLock['kind'],
      isBlocked: arrow !== undefined,
      from: Number(from),
      to: to === 'EOF' ? Number.POSITIVE_INFINITY : Number(to),
    });
  }
  return found;
}

/** As the system puts the two numbers of a device together for programs. */
function deviceOf(major: number, minor: number): bigint {
  const [high, low] = [BigInt(major), BigInt(minor)];
  return ((high & 0xff_ff_f0_00n) << 32n) | ((high & 0xf_ffn) << 8n) | ((low & 0xff_ff_ff_00n) << 12n) | (low & 0xffn);
}

/**
 * What the locks on a database and on the index of its log mean.
 *
 * @param hasLog whether the file is one that is written by way of a log
 */
export function meaningOf(
  database: readonly RangeLock[],
  index: readonly RangeLock[],
  state: WalIndex | undefined,
  hasLog: boolean,
): FileLocks {
  const held = database.filter(({ isBlocked }) => !isBlocked);
  const heldOfIndex = index.filter(({ isBlocked }) => !isBlocked);
  const writerOfIndex = holderOf(heldOfIndex, indexLocks.write);
  // With a WAL every connection holds the shared lock from its first use to its end, whether it reads or not.
  const connected = heldOfIndex.filter((lock) => covers(lock, indexLocks.connected)).map(({ pid }) => pid);
  const isWal = connected.length > 0 || hasLog;
  const sharing = held.filter((lock) => covers(lock, shared)).map(({ pid }) => pid);
  const alone = holderOf(held, pending) ?? holderOf(held, shared);
  return {
    writer: writerOfIndex ?? (isWal ? undefined : (holderOf(held, reserved) ?? alone)),
    exclusive: isWal ? alone : undefined,
    committing: isWal ? undefined : alone,
    checkpointer: holderOf(heldOfIndex, indexLocks.checkpoint),
    recoverer: holderOf(heldOfIndex, indexLocks.recover),
    readers: isWal
      ? readersOf(heldOfIndex, state)
      : unique(sharing).map((pid) => ({ pid, mark: undefined, frame: undefined, pins: false })),
    users: unique([...sharing, ...connected]),
    connected: unique(connected),
    blocked: unique([...database, ...index].filter(({ isBlocked }) => isBlocked).map(({ pid }) => pid)),
  };
}

function readersOf(locks: readonly RangeLock[], state: WalIndex | undefined): ReaderLock[] {
  const readers: ReaderLock[] = [];
  for (let mark = 0; mark < markCount; mark++) {
    for (const lock of locks) {
      // One that writes a mark anew holds it alone for a moment.
      if (lock.kind !== 'READ' || !covers(lock, indexLocks.firstMark + mark)) continue;
      const frame = mark === 0 ? 0 : state?.valid === true ? state.marks[mark] : undefined;
      const pins =
        state?.valid === true && frame !== undefined && frame < state.frames && state.backfilled < state.frames;
      readers.push({ pid: lock.pid, mark, frame, pins });
    }
  }
  return readers;
}

function covers({ from, to }: RangeLock, byte: number): boolean {
  return from <= byte && byte <= to;
}

/** Who holds a byte alone. */
function holderOf(locks: readonly RangeLock[], byte: number): number | undefined {
  return locks.find((lock) => lock.kind === 'WRITE' && covers(lock, byte))?.pid;
}

function unique(pids: readonly number[]): number[] {
  return [...new Set(pids)];
}
