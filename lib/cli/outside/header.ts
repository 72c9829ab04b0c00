import type { DatabaseHeader, FileState } from './file-state.ts';

export const headerLength = 100;
const magic = 'SQLite format 3\0';

export function contentOf(head: Buffer): FileState['content'] {
  if (head.length === 0) return 'empty';
  return head.toString('latin1', 0, magic.length) === magic ? 'database' : 'other';
}

/** `undefined` where it is not the header of a database, or one that is damaged. */
export function readHeader(head: Buffer): DatabaseHeader | undefined {
  if (head.length < headerLength || contentOf(head) !== 'database') return undefined;
  const changeCounter = head.readUInt32BE(24);
  const pageSize = pageSizeOf(head.readUInt16BE(16));
  // One page has from 512 bytes to 64 kB, a power of two: nothing can be reckoned with another number.
  if (pageSize < 512 || (pageSize & (pageSize - 1)) !== 0) return undefined;
  // The number of pages counts only where whoever changed the file last also wrote it.
  const isPagesValid = head.readUInt32BE(92) === changeCounter;
  return {
    pageSize,
    reserved: head.readUInt8(20),
    journal: journalOf(head.readUInt8(18), head.readUInt8(19)),
    changeCounter,
    pages: isPagesValid ? head.readUInt32BE(28) : 0,
    freePages: head.readUInt32BE(36),
    schemaCookie: head.readUInt32BE(40),
    autoVacuum: head.readUInt32BE(52) === 0 ? 'none' : head.readUInt32BE(64) === 0 ? 'full' : 'incremental',
    encoding: (['UTF-8', 'UTF-16le', 'UTF-16be'] as const)[head.readUInt32BE(56) - 1] ?? 'unknown',
    userVersion: head.readInt32BE(60),
    applicationId: head.readInt32BE(68),
    sqliteVersion: head.readUInt32BE(96),
  };
}

/** Two bytes can not hold 65536, which is written as 1. */
export function pageSizeOf(written: number): number {
  return written === 1 ? 65_536 : written;
}

function journalOf(write: number, read: number): DatabaseHeader['journal'] {
  if (write === 1 && read === 1) return 'rollback';
  return write === 2 && read === 2 ? 'wal' : 'unknown';
}
