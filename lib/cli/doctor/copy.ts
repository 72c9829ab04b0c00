import {
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  openSync,
  readSync,
  rmSync,
  statfsSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { formatBytes } from '../../wording.ts';
import { openQuietly } from '../outside/peek.ts';
import { codeOf } from './reading.ts';
import { fileSystemOf } from './surroundings.ts';

/** What was to be examined is not what it was any more. */
export class ChangedMeanwhile extends Error {
  override readonly name = 'ChangedMeanwhile';
  readonly code = 'CHANGED';
}

export class NoSpace extends Error {
  override readonly name = 'NoSpace';
  readonly code = 'SPACE';
}

const pieceLength = 4 * 1024 * 1024;
const attempts = 3;
// The clock of a file system may stand still for so long: what is written after it shows in the time of the file.
const clockTick = 20;

/**
 * A copy of a database that nobody has open, together with what its next user would take into account: its log, or the journal of a
 * transaction that was cut off. No lock is taken for it; whether somebody wrote meanwhile is seen by what changed.
 *
 * @returns path of the copy
 * @throws ChangedMeanwhile, NoSpace, or what the file system says
 */
export async function copyDatabase(
  path: string,
  directory: string,
  tell: (done: number) => Promise<void>,
): Promise<string> {
  const target = join(directory, 'copy.db');
  for (let attempt = 0; attempt < attempts; attempt++) {
    const before = traceOf(path);
    requireSpace(directory, before);
    await sleep(clockTick);
    await copyFile(path, target, tell);
    for (const suffix of ['-wal', '-journal']) {
      // Of the attempt before.
      rmSync(target + suffix, { force: true });
      if (before.sizes.has(suffix)) await copyBeside(path + suffix, target + suffix);
    }
    if (traceOf(path).text === before.text) return target;
  }
  throw new ChangedMeanwhile(`It was written to each of the ${attempts} times it was copied.`);
}

/** What would be another after anybody wrote. The index of a log is left out: only what it says of the log would be in it. */
function traceOf(path: string): { readonly text: string; readonly sizes: ReadonlyMap<string, number> } {
  const sizes = new Map<string, number>();
  let text = '';
  for (const suffix of ['', '-wal', '-journal']) {
    const found = statSync(path + suffix, { bigint: true, throwIfNoEntry: false });
    if (found !== undefined) sizes.set(suffix, Number(found.size));
    text += `${suffix} ${found?.ino} ${found?.size} ${found?.mtimeNs} ${found?.ctimeNs};`;
  }
  return { text, sizes };
}

/** Of a transaction: gone when that has ended, so the next attempt finds another file. */
async function copyBeside(source: string, target: string): Promise<void> {
  try {
    await copyFile(source, target, async () => {});
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  }
}

function requireSpace(directory: string, { sizes }: { readonly sizes: ReadonlyMap<string, number> }): void {
  const { bavail, bsize, type } = statfsSync(directory);
  const isMemory = process.platform === 'linux' && fileSystemOf(type).kind === 'memory';
  const most = mostBytes(bavail * bsize, isMemory ? process.availableMemory() : undefined);
  const needed = [...sizes.values()].reduce((sum, size) => sum + size, 0);
  if (needed <= most) return;
  throw new NoSpace(
    `The copy needs ${formatBytes(needed)}, and no more than ${formatBytes(most)} are taken of ${isMemory ? 'memory' : 'the disk'}, which others need too.`,
  );
}

/**
 * How much a copy may take: whoever writes there meanwhile, perhaps to the database itself, is not to find the disk full.
 *
 * @param memory that programs can have, where the files are in it
 */
export function mostBytes(free: number, memory: number | undefined): number {
  return Math.max(0, Math.min(free / 2, free - 64 * 1024 * 1024, memory === undefined ? free : memory / 4));
}

async function copyFile(source: string, target: string, tell: (done: number) => Promise<void>): Promise<void> {
  try {
    // Where the file system can share what both have in common, it takes neither time nor room.
    copyFileSync(source, target, constants.COPYFILE_FICLONE_FORCE);
    chmodSync(target, 0o600);
    return;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') throw error;
  }
  const from = openQuietly(source);
  try {
    const to = openSync(target, 'w', 0o600);
    try {
      const total = statSync(source).size;
      const piece = Buffer.allocUnsafe(pieceLength);
      // Not further than it was long: one that grows all the time would have no end.
      for (let at = 0; at < total; ) {
        const length = readSync(from, piece, 0, Math.min(pieceLength, total - at), at);
        if (length === 0) break;
        for (let written = 0; written < length; )
          written += writeSync(to, piece, written, length - written, at + written);
        at += length;
        await tell(at / total);
      }
    } finally {
      closeSync(to);
    }
  } finally {
    closeSync(from);
  }
}
