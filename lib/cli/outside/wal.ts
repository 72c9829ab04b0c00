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
  if (head.length < walHeaderLength || !isMagic(head)) {
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

export function readJournal(file: Found): Omit<JournalState, 'isHot'> {
  const [head = Buffer.alloc(0)] = peek(file, [{ at: 0, length: 8 }]);
  // One that was kept after its transaction is empty, or its head is cleared.
  return { bytes: file.size, modified: file.modified, hasHead: head.some((byte) => byte !== 0) };
}

/** What a log holds that no index tells of any more. */
export interface LogContent {
  /** Frames of its round that SQLite reads: from the first to the last before one that is damaged. */
  readonly frames: number;
  /** How many of them belong to transactions that were committed. */
  readonly committed: number;
  /** How many more would, and are not read: one of them, or one before them, is damaged or was never written whole. */
  readonly lost: number;
  /** Whether its head is damaged, so that SQLite reads nothing of it. */
  readonly hasBadHead: boolean;
  /** Whether all of it was looked at, and not the beginning of one that is very long. */
  readonly isWhole: boolean;
}

// A few seconds' worth.
const mostBytes = 2 ** 30;

/**
 * Reads a log as SQLite does that finds it without an index, a frame at a time: each has to be of the round that its head tells of, and
 * to have the checksum of all before it and of itself (https://sqlite.org/fileformat2.html#walformat). As long as the log is, so nothing
 * for every second.
 *
 * @param most bytes that are looked at
 */
export function readFrames(file: Found, most = mostBytes): LogContent {
  const [head = Buffer.alloc(0)] = peek(file, [{ at: 0, length: walHeaderLength }]);
  // What is no longer than its head SQLite does not look at.
  const isBlank = file.size <= walHeaderLength || head.every((byte) => byte === 0);
  const pageSize = isBlank ? undefined : walPageSize(head);
  if (pageSize === undefined) return { frames: 0, committed: 0, lost: 0, hasBadHead: !isBlank, isWhole: true };
  const checksum = new Checksum(head.readUInt32BE(0));
  checksum.add(viewOf(head), 0, 24);
  const hasBadHead = !checksum.isAt(viewOf(head), 24);
  // Where the head is damaged this may be, too: then what the first frame says.
  let salt = hasBadHead ? undefined : head.subarray(16, 24);
  const step = frameHeaderLength + pageSize;
  const length = Math.min(Math.floor((file.size - walHeaderLength) / step), Math.floor(most / step));
  const found = { frames: 0, committed: 0, lost: 0 };
  let isSound = !hasBadHead;
  let seen = 0;
  peekAlong(file, { first: walHeaderLength, step, length: step }, (frame) => {
    salt ??= Buffer.from(frame.subarray(8, 16));
    if (seen >= length || !salt.equals(frame.subarray(8, 16))) return false;
    seen++;
    const view = viewOf(frame);
    if (isSound) {
      checksum.add(view, 0, 8);
      checksum.add(view, frameHeaderLength, step);
      // No page has the number 0.
      isSound = checksum.isAt(view, 16) && view.getUint32(0) !== 0;
    }
    if (isSound) found.frames = seen;
    // The number of pages of the database, which only the last frame of a transaction has.
    if (view.getUint32(4) !== 0) {
      if (isSound) found.committed = seen;
      else found.lost = seen - found.committed;
    }
    return true;
  });
  return { ...found, hasBadHead, isWhole: seen < length || step * (length + 1) > file.size - walHeaderLength };
}

/** `undefined` where the head is none. */
function walPageSize(head: Buffer): number | undefined {
  const pageSize = head.readUInt32BE(8);
  const isSize = pageSize >= 512 && pageSize <= 65_536 && (pageSize & (pageSize - 1)) === 0;
  return isMagic(head) && isSize ? pageSize : undefined;
}

/** The last bit says in which order of bytes checksums are reckoned. */
function isMagic(head: Buffer): boolean {
  return head.readUInt32BE(0) >>> 1 === 0x37_7f_06_82 >>> 1;
}

function viewOf({ buffer, byteOffset, byteLength }: Buffer): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}

/** Of all that was added to it, in pairs of numbers of 32 bits. */
class Checksum {
  readonly #isLittleEndian: boolean;
  #first = 0;
  #second = 0;

  constructor(magic: number) {
    this.#isLittleEndian = (magic & 1) === 0;
  }

  add(view: DataView, from: number, to: number): void {
    const isLittleEndian = this.#isLittleEndian;
    let [first, second] = [this.#first, this.#second];
    for (let at = from; at < to; at += 8) {
      first = (first + view.getInt32(at, isLittleEndian) + second) | 0;
      second = (second + view.getInt32(at + 4, isLittleEndian) + first) | 0;
    }
    [this.#first, this.#second] = [first, second];
  }

  isAt(view: DataView, at: number): boolean {
    return view.getInt32(at) === this.#first && view.getInt32(at + 4) === this.#second;
  }
}
