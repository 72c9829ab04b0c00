import type { JournalState, WalIndex, WalState } from './file-state.ts';

import { type Found, peek, peekAlong } from './peek.ts';

/** Of the log, and of each frame in it before its page. */
export const walHeaderLength = 32;
export const frameHeaderLength = 24;

// Two copies of the header, then what checkpoints and readers say; the locks after it are bytes that are never read.
const indexLength = 120;
const indexHeaderLength = 48;
const backfillAt = 96;
const marksAt = 100;
const markCount = 5;
const unusedMark = 0xff_ff_ff_ff;

export function readWal(file: Found): WalState {
  const [head = Buffer.alloc(0)] = peek(file, [{ at: 0, length: walHeaderLength }]);
  const facts = { bytes: file.size, modified: file.modified };
  // One that was emptied, or whose header is still to come, has no magic number.
  if (head.length < walHeaderLength || head.readUInt32BE(0) >>> 1 !== 0x37_7f_06_82 >>> 1) {
    return { ...facts, frames: 0, pageSize: undefined, round: undefined, salt: undefined };
  }
  const pageSize = head.readUInt32BE(8);
  return {
    ...facts,
    frames: Math.max(0, Math.floor((file.size - walHeaderLength) / (frameHeaderLength + pageSize))),
    pageSize,
    round: head.readUInt32BE(12),
    salt: head.toString('hex', 16, 24),
  };
}

/** Its numbers are in the byte order of the machine; all machines that Node runs on with SQLite's binaries have the same. */
export function readWalIndex(file: Found): WalIndex {
  const none = { bytes: file.size, changes: 0, frames: 0, backfilled: 0, pages: 0, salt: '', marks: [] };
  // Whoever commits writes one copy of the header after the other: where they differ he is at it.
  for (let attempt = 0; attempt < 5; attempt++) {
    const [bytes = Buffer.alloc(0)] = peek(file, [{ at: 0, length: indexLength }]);
    if (bytes.length < indexLength) break;
    const copy = bytes.subarray(0, indexHeaderLength);
    if (!copy.equals(bytes.subarray(indexHeaderLength, 2 * indexHeaderLength))) continue;
    if (copy.readUInt8(12) === 0) break;
    return {
      bytes: file.size,
      valid: true,
      changes: copy.readUInt32LE(8),
      frames: copy.readUInt32LE(16),
      backfilled: bytes.readUInt32LE(backfillAt),
      pages: copy.readUInt32LE(20),
      salt: copy.toString('hex', 32, 40),
      marks: Array.from({ length: markCount }, (_, mark) => {
        const frame = bytes.readUInt32LE(marksAt + 4 * mark);
        return frame === unusedMark ? undefined : frame;
      }),
    };
  }
  return { valid: false, ...none };
}

/** @param isWriting whether somebody holds a lock to write, `undefined` where nobody can tell */
export function readJournal(file: Found, isWriting: boolean | undefined): JournalState {
  const [head = Buffer.alloc(0)] = peek(file, [{ at: 0, length: 8 }]);
  // One that was kept after its transaction is empty, or its head is cleared.
  const hasHead = head.some((byte) => byte !== 0);
  return {
    bytes: file.size,
    modified: file.modified,
    hasHead,
    isHot: !hasHead ? false : isWriting === undefined ? undefined : !isWriting,
  };
}

/** What a log holds that no index tells of any more. */
export interface LogContent {
  /** Frames of its round. */
  readonly frames: number;
  /** How many of them belong to transactions that were committed. */
  readonly committed: number;
  /** Whether all of it was read, and not the beginning of one that is very long. */
  readonly isWhole: boolean;
}

// Some seconds' worth.
const mostFrames = 1_000_000;

/**
 * Reads the head of each frame: as long as the log is, so nothing for every second. Checksums are not looked at; a transaction that
 * was cut off is seen by what is missing.
 */
export function readFrames(file: Found, wal: WalState): LogContent {
  const { pageSize, salt } = wal;
  if (pageSize === undefined || salt === undefined) return { frames: 0, committed: 0, isWhole: true };
  const wanted = Buffer.from(salt, 'hex');
  const length = Math.min(wal.frames, mostFrames);
  const layout = { first: walHeaderLength, step: frameHeaderLength + pageSize, length: frameHeaderLength };
  let frames = 0;
  let committed = 0;
  peekAlong(file, layout, (head) => {
    if (frames >= length || !wanted.equals(head.subarray(8, 16))) return false;
    frames++;
    // The number of pages of the database, which only the last frame of a transaction has.
    if (head.readUInt32BE(4) !== 0) committed = frames;
    return true;
  });
  return { frames, committed, isWhole: frames < length || length === wal.frames };
}
